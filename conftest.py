# SPDX-License-Identifier: GPL-3.0-or-later
"""What pytest must know of the tests however it is started: `ansible-test units` reads no pyproject.toml."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

MARKERS = (
    "row: a row of what must be survived; known by the test's name",
    "ci: takes too long for daily work; CI runs it, `make test TESTS=ci`",
    "slow: takes too long for CI as well; part of `make test TESTS=all`, and of `make faults` if it is a row",
)
_TESTS = str(Path(__file__).parent / "tests")

if _TESTS not in sys.path:
    sys.path.insert(0, _TESTS)


def pytest_configure(config: pytest.Config) -> None:
    """Make the markers known."""
    for marker in MARKERS:
        config.addinivalue_line("markers", marker)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what is not for daily work where nobody can ask for it: `ansible-test units` passes no `-m` on."""
    if config.inipath is not None and config.inipath.name == "pyproject.toml":
        return
    long = [item for item in items if item.get_closest_marker("ci") or item.get_closest_marker("slow")]
    config.hook.pytest_deselected(items=long)
    items[:] = [item for item in items if item not in long]
