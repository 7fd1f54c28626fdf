# SPDX-License-Identifier: GPL-3.0-or-later
"""A scenario has its hosts for as long as Molecule needs them, and no longer. Each test has a scenario of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from lab import wait_until
from lab.lab import labs, started
from scenarios.hosts import keeper

pytestmark = pytest.mark.ci

ROOT = Path(__file__).parents[2]
BINARIES = Path(sys.executable).parent


def molecule(tmp_path: Path, *words: str) -> subprocess.Popen[str]:
    """Start Molecule as a person does, in a process group of its own, as a terminal does."""
    path = f"{BINARIES}:{os.environ['PATH']}"
    return subprocess.Popen(
        # Who runs the tests in the background has SIGINT ignored, and so have the tests' children.
        ["env", "--default-signal=INT", str(BINARIES / "molecule"), *words],
        cwd=ROOT,
        env={**os.environ, "PATH": path, "MOLECULE_EPHEMERAL_DIRECTORY": str(tmp_path / "molecule")},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def of(process: int) -> list[str]:
    """Return the labs that belong to a process."""
    owner = f"{process}:{started(process)}"
    return [name for name, remains in labs().items() if remains.owner == owner]


@pytest.mark.parametrize(("scenario", "how"), [("preflight", signal.SIGINT), ("at_rest", signal.SIGKILL)])
def test_a_test_that_is_broken_off_leaves_no_host_behind(tmp_path: Path, scenario: str, how: signal.Signals) -> None:
    directory = ROOT / "build" / "molecule" / scenario
    running = molecule(tmp_path, "test", "--scenario-name", scenario)
    wait_until(lambda: (directory / "ready").exists() and keeper(directory) is not None, "the hosts are up", 120)
    process = keeper(directory)
    assert process is not None
    (name,) = of(process)
    os.killpg(running.pid, how)
    running.communicate(timeout=60)
    wait_until(lambda: keeper(directory) is None, "their keeper has ended", 60)
    assert name not in labs()
    assert not (tmp_path / "molecule" / "state.yml").exists(), "the next test would take them for created"


def test_hosts_stay_after_create_until_they_are_destroyed(tmp_path: Path) -> None:
    directory = ROOT / "build" / "molecule" / "common"
    out, _ = molecule(tmp_path, "create", "--scenario-name", "common").communicate(timeout=120)
    process = keeper(directory)
    assert process is not None, out
    (name,) = of(process)
    assert len(labs()[name].containers) == 3
    out, _ = molecule(tmp_path, "destroy", "--scenario-name", "common").communicate(timeout=60)
    assert keeper(directory) is None and name not in labs(), out
