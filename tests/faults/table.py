# SPDX-License-Identifier: GPL-3.0-or-later
"""The table of faults at the end of a run: its hooks, which tests/conftest.py hands to pytest."""

from __future__ import annotations

import re
from collections.abc import Generator

import pytest
from _pytest.terminal import TerminalReporter

_ROW = re.compile(r"test_(?P<letter>[crs])(?P<number>\d+)_")
INVARIANT = "invariant"
"""Property of a test's report: whether nothing was lost and nothing left, `held` or what did not hold."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the rows: `-m row` chooses them."""
    for item in items:
        if _ROW.match(item.name):
            item.add_marker(pytest.mark.row)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Send what a row injects along with its report, so that it arrives from other processes, too."""
    report = yield
    if item.get_closest_marker("row") and isinstance(item, pytest.Function):
        report.user_properties.append(("row", (item.function.__doc__ or "").strip()))
    return report


def pytest_terminal_summary(terminalreporter: TerminalReporter) -> None:
    """Print the table of faults: row, what was injected and must come of it, outcome, seconds, invariant."""
    rows: dict[str, Row] = {}
    for outcome, reports in terminalreporter.stats.items():
        for report in reports:
            if isinstance(report, pytest.TestReport) and "row" in dict(report.user_properties):
                rows.setdefault(report.nodeid, Row(report.nodeid)).add(outcome, report)
    if rows:
        terminalreporter.section("what must be survived")
        for row in sorted(rows.values(), key=lambda row: row.order):
            terminalreporter.write_line(str(row))


class Row:
    """A line of the table of faults."""

    def __init__(self, node: str) -> None:
        self._name = node.rpartition("::")[2]
        found = _ROW.match(self._name)
        assert found
        self._words = self._name[found.end() :].partition("[")[0].replace("_", " ")
        # A test can show a second row as well: test_r3_…_and_r10_….
        ids = [f"{found['letter']}{found['number']}", *re.findall(r"_and_([crs]\d+)_", self._name)]
        self.id = " ".join(ids).upper()
        self.order = ("CSR".index(self.id[0]), int(found["number"]), self._name)
        self._outcome, self._seconds, self._invariant, self._what = "passed", 0.0, "-", ""

    def add(self, outcome: str, report: pytest.TestReport) -> None:
        """Add what one phase of the test came to."""
        properties = dict(report.user_properties)
        self._seconds += report.duration
        self._invariant = str(properties.get(INVARIANT, self._invariant))
        self._what = str(properties["row"]) or self._words
        if outcome:
            self._outcome = outcome

    def __str__(self) -> str:
        case = self._name[self._name.index("[") :] if "[" in self._name else ""
        return (
            f"{self.id:6} {self._outcome:7} {self._seconds:6.1f} s  {self._invariant:6}  {self._what} {case}".rstrip()
        )
