# SPDX-License-Identifier: GPL-3.0-or-later
"""One station for all tests of a run, and the table of faults at its end."""

from __future__ import annotations

import ctypes
import signal
from collections.abc import Iterator
from types import FrameType

import pytest

from e2e.station import Station
from faults.table import pytest_collection_modifyitems, pytest_runtest_makereport, pytest_terminal_summary
from lab import CameraSpec, Lab

# pytest looks for its hooks here.
__all__ = ["pytest_collection_modifyitems", "pytest_runtest_makereport", "pytest_terminal_summary"]


@pytest.fixture(scope="session", autouse=True)
def leave_the_clock_alone() -> None:
    """Let nothing that a test starts set this machine's clock: modules of ours do, as root and where it is wrong."""
    PR_CAPBSET_DROP, CAP_SYS_TIME = 24, 25
    # Refused to anybody but root, who could not set it either.
    ctypes.CDLL(None).prctl(PR_CAPBSET_DROP, CAP_SYS_TIME, 0, 0, 0)


@pytest.fixture(scope="session", autouse=True)
def end_in_order() -> Iterator[None]:
    """Let SIGTERM end a run as Ctrl-C does, so that no container outlives it."""

    def end(signum: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, end)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """An orchestrator, and a camera of each mode, on both releases, with two users' names."""
    cameras = [
        CameraSpec("object", "object"),
        CameraSpec("motion", "motion", release="trixie", user="station-2"),
    ]
    with Lab(cameras, orchestrator="bookworm", directory=tmp_path_factory.mktemp("station")) as up:
        yield up


@pytest.fixture
def station(lab: Lab) -> Station:
    """The station, as it was before the first experiment."""
    found = Station(lab)
    found.fresh()
    return found
