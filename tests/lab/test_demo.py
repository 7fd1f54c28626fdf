# SPDX-License-Identifier: GPL-3.0-or-later
"""`make demo`: what a newcomer sees first."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from lab import wait_until
from lab.lab import labs

pytestmark = pytest.mark.ci

ROOT = Path(__file__).parents[2]


def begin() -> subprocess.Popen[str]:
    """Start the demo as make does, in a process group of its own, as a terminal does."""
    return subprocess.Popen(
        # Who runs the tests in the background has SIGINT ignored, and so have the tests' children.
        ["env", "--default-signal=INT", sys.executable, "-m", "lab.demo"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": "tests"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def test_ctrl_c_leaves_no_camera_behind_and_the_next_one_shows_two_archives_that_agree() -> None:
    running = begin()
    wait_until(lambda: bool(labs().get("demo") and labs()["demo"].containers), "the cameras are there", 60)
    os.killpg(running.pid, signal.SIGINT)
    out, _ = running.communicate(timeout=60)
    assert running.returncode == 130, out
    assert "Traceback" not in out
    assert "demo" not in labs()

    running = begin()
    out, _ = running.communicate(timeout=240)
    assert running.returncode == 0, out
    assert out.count("sha256sum agrees, and it is all that the camera wrote") == 2
    assert (ROOT / out.split()[-1]).name == "report.html" and (ROOT / out.split()[-1]).stat().st_size > 500_000
    assert not any(alarm in out for alarm in ("WARNING", "DEPRECATION", "Traceback", '{"'))
    assert "demo" not in labs()
