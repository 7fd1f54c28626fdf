# SPDX-License-Identifier: GPL-3.0-or-later
"""What is carried is exactly what is ready, and two cameras at a time share the air, whoever brings them home."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.wildberryeye.orchestrator.plugins.module_utils import transfer
from unit.support import BATCH, EXPERIMENT, ROOT, images


@pytest.mark.parametrize("zipped", [True, False])
def test_rsync_fetches_exactly_the_batches_and_nothing_else_of_the_card(tmp_path: Path, zipped: bool) -> None:
    card, home = tmp_path / "card", tmp_path / "home"
    other = BATCH.replace("3", "4")
    name = next(iter(images(1)))
    for experiment, batch in ((EXPERIMENT, BATCH), (EXPERIMENT, other), ("unclaimed", BATCH)):
        directory = card / experiment / batch
        directory.mkdir(parents=True)
        for path in (directory / name, directory / "evil.sh", directory.with_name(f"{batch}.zip")):
            path.write_bytes(b"x")
        directory.with_name(f"{batch}.manifest").write_bytes(b"x")
    (card / "recording").write_text("x")
    (card / EXPERIMENT / BATCH / "deeper").mkdir()
    (card / EXPERIMENT / BATCH / "deeper" / name).write_text("x")
    options = transfer.rsync_options([{"experiment": EXPERIMENT, "batch": BATCH, "zipped": zipped}], "", 60)
    subprocess.run(["rsync", "-r", *options, f"{card}/", f"{home}/"], check=True)
    found = sorted(str(path.relative_to(home)) for path in home.rglob("*") if path.is_file())
    expected = f"{EXPERIMENT}/{BATCH}.zip" if zipped else f"{EXPERIMENT}/{BATCH}/{name}"
    assert found == sorted([expected, f"{EXPERIMENT}/{BATCH}.manifest"])


def test_the_limit_of_bandwidth_is_passed_on() -> None:
    assert "--bwlimit=500k" in transfer.rsync_options([], "500k", 60)
    assert not any("bwlimit" in option for option in transfer.rsync_options([], "", 60))


@pytest.mark.parametrize(("seconds", "minutes"), [(10800, 180), ("10801", 181), (61, 2), (60, 1), (1, 1), (0, 1)])
def test_a_transfer_ends_by_itself_in_whole_minutes(seconds: Any, minutes: int) -> None:
    assert f"--stop-after={minutes}" in transfer.rsync_options([], "", seconds)


def test_no_more_transfers_run_at_a_time_than_may_and_each_gets_its_turn(tmp_path: Path) -> None:
    at_work: list[int] = []
    seen: list[int] = []
    done: list[int] = []

    def carry(number: int) -> None:
        with transfer.turn(str(tmp_path), 2, {"camera": f"c{number}"}):
            at_work.append(number)
            seen.append(len(at_work))
            time.sleep(0.05)
            at_work.remove(number)
        done.append(number)

    threads = [threading.Thread(target=carry, args=(number,)) for number in range(7)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(done) == list(range(7)) and max(seen) == 2


def test_whoever_gets_a_turn_learns_what_the_others_carry(tmp_path: Path) -> None:
    with transfer.turn(str(tmp_path), 3, {"camera": "a", "batches": []}) as others:
        assert others == []
        with transfer.turn(str(tmp_path), 3, {"camera": "b"}) as others:
            assert others == [{"camera": "a", "batches": []}]
    with transfer.turn(str(tmp_path), 3, {}) as others:
        assert others == [], "who is done is not at it any more"


def test_the_place_of_a_run_that_was_killed_is_free_at_once(tmp_path: Path) -> None:
    script = (
        "import sys, time\n"
        "from ansible_collections.wildberryeye.orchestrator.plugins.module_utils import transfer\n"
        "with transfer.turn(sys.argv[1], 1, {}): print('mine', flush=True); time.sleep(600)\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "collections")}
    command = [sys.executable, "-c", script, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None and process.stdout.readline() == "mine\n"
        process.kill()
    with transfer.turn(str(tmp_path), 1, {}) as others:
        assert others == []
