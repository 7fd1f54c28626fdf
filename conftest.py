# SPDX-License-Identifier: GPL-3.0-or-later
"""What pytest must know of the tests however it is started: `ansible-test units` reads no pyproject.toml."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

MARKERS = (
    "row: a row of what must be survived; known by the test's name",
    "slow: takes long; left out of `make test` and `ansible-test units`, part of `make faults`",
)
_TESTS = str(Path(__file__).parent / "tests")

if _TESTS not in sys.path:
    sys.path.insert(0, _TESTS)


def pytest_configure(config: pytest.Config) -> None:
    """Make the markers known."""
    for marker in MARKERS:
        config.addinivalue_line("markers", marker)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what takes long where nobody can ask for it: `ansible-test units` passes no `-m` on."""
    if config.inipath is not None and config.inipath.name == "pyproject.toml":
        return
    long = [item for item in items if item.get_closest_marker("slow")]
    config.hook.pytest_deselected(items=long)
    items[:] = [item for item in items if item not in long]
