# SPDX-License-Identifier: GPL-3.0-or-later
"""Looking at a camera finds what is there, changes nothing, and costs a small machine little."""

from __future__ import annotations

import datetime as dt
import errno
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible.errors import AnsibleConnectionFailure

from ansible_collections.wildberryeye.orchestrator.plugins.action import camera_status as action
from ansible_collections.wildberryeye.orchestrator.plugins.module_utils import sensor
from ansible_collections.wildberryeye.orchestrator.plugins.module_utils.card import Card
from ansible_collections.wildberryeye.orchestrator.plugins.modules import camera_status
from unit.acting import There, act
from unit.cards import OURS, Systemctl, make_card, three
from unit.support import EXPERIMENT, Outcome, image, images, jpeg, run_module, tree

MANY = 50_000
MEMORY = 60_000_000
"""Bytes that a look may take on a machine with 512 MB that also runs the camera."""
MEASURED = """
import resource, subprocess, sys
code = subprocess.call(sys.argv[2:])
used = resource.getrusage(resource.RUSAGE_CHILDREN)
open(sys.argv[1], "w").write(f"{used.ru_maxrss * 1024} {used.ru_utime + used.ru_stime}")
sys.exit(code)
"""


@pytest.fixture
def camera(tmp_path: Path) -> Systemctl:
    """A camera whose service runs, with a label, three loose images and two that are set aside."""
    unit = Systemctl(tmp_path / "camera")
    card = make_card(unit.images, images(2, start=10), EXPERIMENT)
    card.set_aside(sorted(images(2, start=10)), EXPERIMENT)
    make_card(unit.images, three())
    for age, name in enumerate(sorted(three(), reverse=True), start=1):
        os.utime(unit.images / name, (1, time.time() - 100 * age))
    return unit


def look(camera: Systemctl, **options: Any) -> Outcome:
    return run_module("camera_status", {"image_dir": str(camera.images)}, env=camera.env, **options)


@pytest.mark.parametrize("check", [False, True])
def test_all_that_is_there_is_found_and_nothing_is_changed(camera: Systemctl, check: bool) -> None:
    before, stats = tree(camera.path), [os.lstat(path) for path in sorted(camera.path.rglob("*"))]
    result = look(camera, check=check, real=True).ok()
    assert not result["changed"] and result["problem"] == "" and result["label"] == EXPERIMENT
    card = result["card"]
    assert 100 <= card.pop("last_age") < 160
    space = os.statvfs(camera.images)
    assert abs(card.pop("free_bytes") - space.f_bavail * space.f_frsize) < 1e9
    assert card.pop("free_inodes") > 0
    assert card.pop("last_taken") == dt.datetime(2026, 5, 22, 9, 30, 15).astimezone().isoformat()
    assert card == {
        "images": 3,
        "bytes": 1800,
        "last": image(3),
        "foreign_count": 0,
        "batches": 1,
        "set_aside": 2,
    }
    assert result["service"]["state"] == "active" and camera.verbs == []
    assert abs(result["clock"] - time.time()) < 10 and result["uptime"] > 0
    assert tree(camera.path) == before
    after = [os.lstat(path) for path in sorted(camera.path.rglob("*"))]
    assert [stat.st_mtime_ns for stat in after] == [stat.st_mtime_ns for stat in stats]


def test_the_last_image_is_one_that_detection_wrote_not_the_heartbeats_picture(camera: Systemctl) -> None:
    (camera.images / image(99, "manual")).write_bytes(jpeg(1))
    card = look(camera).ok()["card"]
    assert (card["images"], card["last"]) == (4, image(3))


def test_what_is_no_image_is_counted_and_no_more(camera: Systemctl) -> None:
    (camera.images / "x.zip").write_bytes(b"x" * 10_000)
    (camera.images / image(50)).mkdir()
    (camera.images / image(51)).symlink_to("/etc/passwd")
    card = look(camera).ok()["card"]
    assert (card["foreign_count"], card["images"], card["bytes"]) == (3, 3, 1800)


def test_a_name_with_a_time_that_does_not_exist_is_an_image_all_the_same(camera: Systemctl) -> None:
    for name in ("object_20260522-990060-000001_w_root.jpg", "object_00010101-000000-000001_w_root.jpg"):
        (camera.images / name).write_bytes(jpeg(1))
        card = look(camera).ok()["card"]
        assert card["last"] == name and card["last_taken"] is None
        (camera.images / name).unlink()


def test_an_empty_card_has_no_last_image(camera: Systemctl) -> None:
    for path in camera.images.glob("*.jpg"):
        path.unlink()
    card = look(camera).ok()["card"]
    assert (card["images"], card["bytes"], card["last"], card["last_taken"], card["last_age"]) == (0, 0, *[None] * 3)


def test_a_missing_image_directory_is_a_value_that_says_so(camera: Systemctl) -> None:
    camera.images.rename(camera.path / "elsewhere")
    result = look(camera).ok()
    assert result["card"] is None and "no such directory. Start the camera's service once" in result["problem"]
    assert result["service"]["state"] == "active" and not camera.images.exists()


def test_a_card_that_cannot_be_read_hides_nothing_else(camera: Systemctl, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(path: str) -> Iterator[Any]:
        raise OSError(errno.EIO, os.strerror(errno.EIO), path)

    monkeypatch.setattr(os, "scandir", failing)
    result = look(camera).ok()
    assert result["card"] is None and "Input/output error" in result["problem"] and "replace it" in result["problem"]
    assert result["service"]["state"] == "active"


def test_a_collection_that_tidies_up_meanwhile_is_no_trouble(
    camera: Systemctl, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, calls = Card.batches, []

    def late(card: Card) -> Any:
        calls.append(card)
        if len(calls) == 1:
            raise FileNotFoundError(errno.ENOENT, "gone", card.root)
        return real(card)

    monkeypatch.setattr(Card, "batches", late)
    assert look(camera).ok()["card"]["set_aside"] == 2
    for path in (camera.images / OURS).rglob("*.jpg"):
        path.unlink()
    for path in (camera.images / OURS / EXPERIMENT).iterdir():
        path.rmdir()
        path.with_name(f"{path.name}.manifest").touch()
    card = look(camera).ok()["card"]
    assert (card["batches"], card["set_aside"]) == (1, 0)


@pytest.mark.parametrize("state", ["inactive", "failed", "activating"])
def test_a_service_that_does_not_run_says_so(camera: Systemctl, state: str) -> None:
    camera.set(state=state)
    assert look(camera).ok()["service"]["state"] == state


def test_a_unit_that_is_missing_or_not_told_of_is_a_value_that_says_so(camera: Systemctl) -> None:
    camera.set(load="not-found", state="inactive")
    assert look(camera).ok()["service"] == {"state": "missing", "age": None, "restarts": None}
    camera.set(fail="show")
    assert look(camera).ok()["service"] == {"state": "unknown", "age": None, "restarts": None}


@pytest.mark.parametrize(
    ("state", "age"), [("active", 20), ("activating", 30), ("inactive", 40), ("failed", 40), ("deactivating", 40)]
)
def test_the_unit_is_as_old_as_its_state(state: str, age: int) -> None:
    now = time.clock_gettime(time.CLOCK_MONOTONIC)
    shown = {
        "LoadState": "loaded",
        "ActiveState": state,
        "NRestarts": "4",
        "ActiveEnterTimestampMonotonic": int((now - 20) * 1e6),
        "InactiveExitTimestampMonotonic": int((now - 30) * 1e6),
        "InactiveEnterTimestampMonotonic": int((now - 40) * 1e6),
    }
    text = "".join(f"{name}={value}\n" for name, value in shown.items())
    found = camera_status.service("x.service", lambda command: (0, text, ""))
    assert age <= found["age"] < age + 2 and (found["state"], found["restarts"]) == (state, 4)


def test_the_temperature_is_in_degrees_or_unknown(
    camera: Systemctl, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    thermal = tmp_path / "temp"
    monkeypatch.setattr(sensor, "THERMAL", str(thermal))
    assert look(camera).ok()["temperature"] is None
    thermal.write_text("53692\n")
    assert look(camera).ok()["temperature"] == 53.692
    thermal.write_text("\n")
    assert look(camera).ok()["temperature"] is None


def test_fifty_thousand_images_are_counted_in_little_memory_and_time(camera: Systemctl, tmp_path: Path) -> None:
    (camera.images / "first").touch()
    for number in range(MANY // 2):
        os.link(camera.images / "first", camera.images / image(number + 100))
    batch = next((camera.images / OURS / EXPERIMENT).iterdir())
    for number in range(MANY // 2):
        os.link(camera.images / "first", batch / image(number + 100))

    report = tmp_path / "report"
    card = look(camera, under=[sys.executable, "-c", MEASURED, str(report)]).ok()["card"]
    assert (card["images"], card["set_aside"]) == (MANY // 2 + 3, MANY // 2 + 2)
    memory, seconds = map(float, report.read_text().split())
    assert memory < MEMORY and seconds < 3, (memory, seconds)


# -- the action ------------------------------------------------------------------------------------------


def test_a_camera_that_cannot_be_reached_is_an_answer_not_a_failure() -> None:
    lost = AnsibleConnectionFailure("ssh: connect to host x port 22: Connection timed out during banner exchange")
    refused = {"failed": True, "msg": "MODULE FAILURE", "module_stderr": "sudo: a password is required"}
    for answer, words in ((lost, "unreachable by SSH"), (refused, "sudo asks for a password")):
        result = act(action.ActionModule, There(answer), image_dir="/card")
        assert not result.get("failed") and result["reachable"] is False and words in result["problem"]
        assert "msg" not in result


def test_a_camera_that_was_looked_at_is_reachable_and_the_time_is_ours() -> None:
    result = act(action.ActionModule, There({"clock": 1.0, "problem": ""}), check=True, image_dir="/card")
    assert result["reachable"] is True and abs(result["looked"] - time.time()) < 5 and result["clock"] == 1.0
