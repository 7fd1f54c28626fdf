# SPDX-License-Identifier: GPL-3.0-or-later
"""Fixtures of the unit tests."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ansible_collections.wildberryeye.orchestrator.plugins.module_utils.layout import Layout
from lab.emulated import Lab
from unit.support import ROOT


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


@pytest.fixture
def layout(data_dir: Path) -> Layout:
    """What lies where in that directory."""
    return Layout(str(data_dir))


def _local_time(monkeypatch: pytest.MonkeyPatch, zone: str) -> Iterator[None]:
    with monkeypatch.context() as patch:
        patch.setenv("TZ", zone)
        time.tzset()
        yield
    time.tzset()


@pytest.fixture
def in_berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Local time is that of a zone which is not UTC, and has a summer."""
    yield from _local_time(monkeypatch, "Europe/Berlin")


@pytest.fixture
def in_utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Local time is UTC."""
    yield from _local_time(monkeypatch, "UTC")


@pytest.fixture
def findable(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is started finds the collection."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT / "collections"))
