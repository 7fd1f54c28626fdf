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

from ansible_collections.wildberryeye.orchestrator.plugins.module_utils.transfer import rsync_options
from unit.support import ROOT

SCRIPT = ROOT / "roles" / "image_collection" / "files" / "rsync_unless_silent"

pytestmark = pytest.mark.skipif(
    not all(map(shutil.which, ("rsync", "pgrep", "strace"))), reason="needs rsync, pgrep and strace"
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
    command = [str(SCRIPT), "-rt", "--append", f"--rsh={shell}", *options, f"camera:{there}/", f"{tmp_path}/here/"]
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


def test_a_transfer_that_goes_on_where_it_was_is_not_ended_over_what_has_arrived(tmp_path: Path) -> None:
    # Reading 100 MB takes this camera ten seconds: it would say nothing meanwhile.
    content = os.urandom(100_000_000)
    shell = tmp_path / "ssh"
    slow = "strace -f -qq -o /dev/null -e trace=read -e inject=read:delay_enter=25000"
    shell.write_text(f'#!/bin/sh\nshift\nexec {slow} "$@" 2>/dev/null\n')
    shell.chmod(0o755)
    for name, size in (("there", len(content)), ("here", 98_000_000)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "images.zip").write_bytes(content[:size])
    options = [each for each in rsync_options([], "", 600) if not each.startswith(("--include", "--exclude"))]
    command = [str(SCRIPT), "-rt", *options, "--timeout=4", f"--rsh={shell}"]
    done = subprocess.run([*command, f"camera:{tmp_path}/there/", f"{tmp_path}/here/"], timeout=120)
    assert done.returncode == 0
    assert (tmp_path / "here" / "images.zip").read_bytes() == content
