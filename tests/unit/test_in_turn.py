# SPDX-License-Identifier: GPL-3.0-or-later
"""Two cameras at a time share the air, and the next one is ready when one of them is done."""

from __future__ import annotations

import signal
import subprocess
import time
from pathlib import Path

from unit.support import ROOT

SCRIPT = ROOT / "roles" / "image_collection" / "files" / "in_turn"


def begin(places: Path, number: int, script: str) -> subprocess.Popen[str]:
    """Begin to run `script` as one of `number` at a time."""
    return subprocess.Popen([SCRIPT, places, str(number), "sh", "-c", script], stdout=subprocess.PIPE, text=True)


def test_no_more_run_at_a_time_than_may_and_each_gets_its_turn(tmp_path: Path) -> None:
    here = tmp_path / "on the air"
    here.mkdir()
    count = f"touch '{here}'/$$; ls '{here}' | wc -l; sleep 0.2; rm '{here}'/$$"
    all_of_them = [begin(tmp_path, 2, count) for _ in range(7)]
    seen = [int(running.communicate(timeout=60)[0]) for running in all_of_them]
    assert len(seen) == 7 and max(seen) == 2


def test_how_the_command_ends_is_passed_on(tmp_path: Path) -> None:
    running = begin(tmp_path, 1, "echo said; exit 23")
    assert running.communicate(timeout=30)[0] == "said\n" and running.returncode == 23


def test_what_a_command_leaves_behind_keeps_no_other_from_the_air(tmp_path: Path) -> None:
    left = begin(tmp_path, 1, "sleep 600 >/dev/null & echo $!")
    behind = int(left.communicate(timeout=30)[0])
    try:
        assert begin(tmp_path, 1, "echo next").communicate(timeout=30)[0] == "next\n"
    finally:
        subprocess.run(["kill", str(behind)], check=True)


def test_the_place_of_one_that_was_killed_is_free_at_once(tmp_path: Path) -> None:
    script = "echo mine; exec sleep 600"
    killed = begin(tmp_path, 1, script)
    assert killed.stdout is not None and killed.stdout.readline() == "mine\n"
    (command,) = subprocess.run(["pgrep", "-P", str(killed.pid)], capture_output=True, text=True).stdout.split()
    waiting = begin(tmp_path, 1, "echo next")
    time.sleep(0.3)
    assert waiting.poll() is None
    killed.send_signal(signal.SIGKILL)
    try:
        assert waiting.communicate(timeout=30)[0] == "next\n"
    finally:
        subprocess.run(["kill", command], check=True)
        killed.communicate(timeout=30)
