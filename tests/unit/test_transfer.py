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
from ansible_collections.wildberryeye.orchestrator.plugins.module_utils.errors import Error
from unit.support import BATCH, BY_EITHER_METHOD, EXPERIMENT, ROOT, images


@BY_EITHER_METHOD
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


def test_what_arrives_can_be_written_to_whatever_rights_it_had_on_the_card(tmp_path: Path) -> None:
    (tmp_path / "card" / EXPERIMENT).mkdir(parents=True)
    for suffix in ("zip", "manifest"):
        path = tmp_path / "card" / EXPERIMENT / f"{BATCH}.{suffix}"
        path.write_bytes(b"x")
        path.chmod(0o400)
    path.parent.chmod(0o500)
    options = transfer.rsync_options([{"experiment": EXPERIMENT, "batch": BATCH, "zipped": True}], "", 60)
    subprocess.run(["rsync", "-r", *options, f"{tmp_path}/card/", f"{tmp_path}/not/yet/home/"], check=True)
    home = tmp_path / "not" / "yet" / "home" / EXPERIMENT
    assert {oct(path.stat().st_mode & 0o777) for path in home.iterdir()} == {"0o644"}
    assert home.stat().st_mode & 0o777 == 0o755


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


def others(directory: Path, at_a_time: int) -> list[dict[str, Any]]:
    """Return what one who gets a turn now learns of the others."""
    seen: list[list[dict[str, Any]]] = []
    with transfer.turn(str(directory), at_a_time, {}, seen.append):
        return seen[0]


def test_whoever_gets_a_turn_learns_what_the_others_carry(tmp_path: Path) -> None:
    mine = {"camera": "a", "batches": []}
    with transfer.turn(str(tmp_path), 3, mine):
        assert others(tmp_path, 3) == [mine]
    assert others(tmp_path, 3) == [], "who is done is not at it any more"


def test_one_whose_images_do_not_fit_keeps_no_other_from_the_air(tmp_path: Path) -> None:
    def refuse(others: list[dict[str, Any]]) -> None:
        raise Error("carry", "no room", "Free some")

    with pytest.raises(Error, match="no room"), transfer.turn(str(tmp_path), 1, {"camera": "a", "batches": []}, refuse):
        pytest.fail("it is on the air")
    assert not (tmp_path / "transfer-1.guard").read_bytes(), "what does not come takes no room"
    assert others(tmp_path, 1) == []


@pytest.mark.parametrize("content", [b"null", b"{}", b"[1]", b'{"camera": "a"}', b"{", b"\xff"])
def test_a_place_that_says_nothing_sensible_is_taken_all_the_same(tmp_path: Path, content: bytes) -> None:
    with transfer.turn(str(tmp_path), 2, {}):
        (tmp_path / "transfer-1.guard").write_bytes(content)
        assert others(tmp_path, 2) == []


@pytest.mark.parametrize("at_a_time", [0, -1])
def test_nobody_waits_for_a_turn_that_never_comes(tmp_path: Path, at_a_time: int) -> None:
    with pytest.raises(Error, match=f"wildberryeye_collection_parallel is {at_a_time}. Set it to 1 or more"):
        others(tmp_path, at_a_time)


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
    assert others(tmp_path, 1) == []
