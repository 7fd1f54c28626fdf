# SPDX-License-Identifier: GPL-3.0-or-later
"""Fixtures of the unit tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.emulated import Lab


@pytest.fixture
def camera(tmp_path: Path) -> Iterator[Lab]:
    """An emulated camera, not started yet."""
    directory = tmp_path / "camera"
    directory.mkdir()
    emulated = Lab(directory)
    yield emulated
    if emulated.process is not None and emulated.process.poll() is None:
        emulated.end()


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    """A data directory that does not exist yet, with a space in its name."""
    return tmp_path / "the data"
