# SPDX-License-Identifier: GPL-3.0-or-later
"""A camera whose rsync is frozen, or waits for a card that hangs, ends the transfer; a slow one does not."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from unit.support import ROOT

SCRIPT = ROOT / "roles" / "image_collection" / "files" / "rsync_unless_silent"

pytestmark = pytest.mark.skipif(
    not (shutil.which("rsync") and shutil.which("pgrep")), reason="needs rsync and pgrep, as the orchestrator does"
)


def begin(tmp_path: Path, *options: str) -> subprocess.Popen[str]:
    """Begin to fetch 3 MB from a camera, which is this machine: no ssh between."""
    there = tmp_path / "there"
    there.mkdir()
    (there / "images.zip").write_bytes(os.urandom(3_000_000))
    shell = tmp_path / "ssh"
    # What runs on a camera does not hold the output here open.
    shell.write_text('#!/bin/sh\nshift\nexec "$@" 2>/dev/null\n')
    shell.chmod(0o755)
    command = [str(SCRIPT), "-rt", "--inplace", f"--rsh={shell}", *options, f"camera:{there}/", f"{tmp_path}/here/"]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def far_end(tmp_path: Path) -> list[int]:
    """Return the rsync on the camera."""
    found = subprocess.run(
        ["pgrep", "-f", f"rsync --server --sender .*{tmp_path}"], capture_output=True, text=True, check=False
    )
    return [int(pid) for pid in found.stdout.split()]


def test_a_frozen_rsync_on_the_camera_ends_the_transfer_and_leaves_nothing_running_here(tmp_path: Path) -> None:
    running = begin(tmp_path, "--timeout=3", "--bwlimit=300")
    while not list(tmp_path.glob("here/images.zip")):
        assert running.poll() is None
        time.sleep(0.05)
    (frozen,) = far_end(tmp_path)
    os.kill(frozen, signal.SIGSTOP)
    try:
        _, said = running.communicate(timeout=30)
    finally:
        os.kill(frozen, signal.SIGKILL)
    assert running.returncode != 0
    assert "timeout in data send/receive: nothing came from the camera for 3 s" in said
    assert (tmp_path / "here" / "images.zip").stat().st_size > 0, "what has arrived stays"


def test_a_slow_camera_is_waited_for(tmp_path: Path) -> None:
    running = begin(tmp_path, "--timeout=3", "--bwlimit=400")
    assert running.communicate(timeout=60) == ("", "")
    assert running.returncode == 0
    assert (tmp_path / "here" / "images.zip").read_bytes() == (tmp_path / "there" / "images.zip").read_bytes()


def test_what_rsync_says_and_how_it_ends_is_passed_on(tmp_path: Path) -> None:
    done = subprocess.run([SCRIPT, "-a", f"{tmp_path}/nothing", f"{tmp_path}/here"], capture_output=True, text=True)
    assert done.returncode == 23 and "No such file" in done.stderr
