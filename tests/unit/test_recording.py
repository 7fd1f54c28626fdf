# SPDX-License-Identifier: GPL-3.0-or-later
"""The camera's part of making it record or idle: no image is lost, and its service comes back."""

from __future__ import annotations

import multiprocessing
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.wildberryeye.orchestrator.plugins.module_utils import batch
from ansible_collections.wildberryeye.orchestrator.plugins.module_utils.card import Card
from ansible_collections.wildberryeye.orchestrator.plugins.modules import image_batch
from lab.emulated import wait_for
from unit.cards import OURS, Systemctl, at_work, counted, images_below, impatient, make_batch, make_card, three
from unit.support import (
    EXPERIMENT,
    Outcome,
    arguments,
    begin_module,
    documented,
    ended,
    images,
    run_module,
    tree,
)

BEFORE = "2026-05-21"


@pytest.fixture
def camera(tmp_path: Path) -> Systemctl:
    """A camera of mode object whose service runs, with three loose images."""
    unit = Systemctl(tmp_path / "camera")
    make_card(unit.images, three())
    return unit


def arguments_for(camera: Systemctl, **args: Any) -> dict[str, Any]:
    return {
        "experiment": EXPERIMENT,
        "image_dir": str(camera.images),
        "mode": "object",
        "host": "127.0.0.1",
        "data_dir": "/nowhere",
        "purpose": "start",
        **args,
    }


def run(camera: Systemctl, check: bool = False, real: bool = False, **args: Any) -> Outcome:
    return run_module("recording", arguments_for(camera, **args), check, env=camera.env, real=real)


IDLE = {"state": "idle", "experiment": "", "purpose": "stop"}


def idle(camera: Systemctl, check: bool = False, **args: Any) -> Outcome:
    return run(camera, check, **{**IDLE, **args})


def card_of(camera: Systemctl) -> Card:
    return Card(str(camera.images))


def test_a_start_sets_aside_what_lay_there_and_labels_what_comes(camera: Systemctl) -> None:
    (camera.images / "other.zip").touch()
    result = run(camera, real=True, fallback=BEFORE).ok()
    assert result["changed"] and not result["resumed"]
    assert (result["set_aside"], result["set_aside_for"], result["waiting"]) == (3, BEFORE, 1)
    assert result["foreign"] == ["other.zip"] and result["msg"] == f"3 images of {BEFORE} set aside"
    assert card_of(camera).label() == EXPERIMENT
    assert camera.verbs == ["stop", "reset-failed", "start"] and camera.state == "active"
    assert images_below(camera.images) == counted(three())


def test_a_start_in_check_mode_touches_nothing(camera: Systemctl) -> None:
    before = tree(camera.path)
    result = run(camera, check=True, fallback=BEFORE).ok()
    assert result["changed"] and (result["set_aside"], result["bytes"], result["waiting"]) == (3, 1800, 1)
    assert result["msg"] == f"3 images of {BEFORE} would be set aside"
    assert tree(camera.path) == before and camera.verbs == []


def test_a_second_start_touches_neither_images_nor_a_camera_that_records(camera: Systemctl) -> None:
    run(camera).ok()
    make_card(camera.images, images(2, start=10))
    before = tree(camera.images)
    result = run(camera).ok()
    assert not result["changed"] and result["resumed"] and result["service_age"] > 0
    assert result["set_aside"] == 0 and result["waiting"] == 1
    assert tree(camera.images) == before and camera.verbs == ["stop", "reset-failed", "start"]


def test_the_last_image_that_comes_while_the_service_stops_is_set_aside_too(camera: Systemctl) -> None:
    camera.late(images(1, start=10))
    assert run(camera).ok()["set_aside"] == 4
    assert card_of(camera).loose().images == []
    assert images_below(camera.images) == counted({**three(), **images(1, start=10)})


def test_a_service_that_died_in_the_experiment_is_restarted_and_its_images_stay_its_own(camera: Systemctl) -> None:
    card_of(camera).write_label(EXPERIMENT)
    camera.set(state="failed")
    result = run(camera).ok()
    assert result["changed"] and result["resumed"] and result["set_aside"] == 0
    assert camera.verbs == ["reset-failed", "restart"] and camera.state == "active"
    assert sorted(card_of(camera).loose().images) == sorted(three())


def test_a_restart_restarts_a_service_that_seems_to_run(camera: Systemctl) -> None:
    card_of(camera).write_label(EXPERIMENT)
    assert run(camera, state="restarted", purpose="restart").ok()["changed"]
    assert camera.verbs == ["reset-failed", "restart"]
    assert sorted(card_of(camera).loose().images) == sorted(three())


def test_an_image_directory_is_made_by_the_service_and_never_by_us(tmp_path: Path) -> None:
    camera = Systemctl(tmp_path / "camera", state="inactive")
    assert run(camera).ok()["waiting"] == 0
    assert card_of(camera).label() == EXPERIMENT and camera.state == "active"


def test_without_an_image_directory_check_mode_says_so_and_starts_nothing(tmp_path: Path) -> None:
    camera = Systemctl(tmp_path / "camera", state="inactive")
    assert "no such directory. Start the camera's service once" in run(camera, check=True).failed()
    assert camera.verbs == [] and not camera.images.exists()


def test_a_camera_of_the_wrong_mode_is_not_touched(camera: Systemctl) -> None:
    before = tree(camera.images)
    message = run(camera, mode="motion").failed()
    assert "it runs the camera in object mode, the inventory says motion" in message and "object_cameras" in message
    assert tree(camera.images) == before and camera.verbs == []


def test_a_camera_without_the_service_says_what_to_do(camera: Systemctl) -> None:
    camera.set(load="not-found")
    assert "systemd says not-found. Install WildBerryEye" in run(camera).failed()


def test_a_service_that_does_not_stop_loses_no_image(camera: Systemctl) -> None:
    camera.set(fail="stop")
    assert "stop wildberryeye.service: Job for wildberryeye.service failed" in run(camera).failed()
    assert images_below(camera.images) == counted(three()) and card_of(camera).label() is None


def test_a_service_that_does_not_start_is_told_and_the_images_are_safe(camera: Systemctl) -> None:
    camera.set(fail="start")
    assert "start wildberryeye.service: Job for" in run(camera).failed()
    assert images_below(camera.images) == counted(three()) and card_of(camera).label() == EXPERIMENT
    camera.set(fail="")
    assert run(camera).ok()["resumed"]
    assert camera.state == "active"


@pytest.mark.parametrize("state", ["recording", "idle"])
def test_a_card_that_cannot_be_written_to_leaves_a_camera_that_runs(camera: Systemctl, state: str) -> None:
    (camera.images / OURS).write_bytes(b"somebody's file")
    message = run(camera, state=state).failed()
    assert message.startswith("set images aside: ") and OURS in message
    assert camera.state == "active" and images_below(camera.images) == counted(three())


@pytest.mark.parametrize("experiment", ["", "../x", "recording"])
def test_an_experiment_that_cannot_be_labelled_stops_no_camera(camera: Systemctl, experiment: str) -> None:
    before = tree(camera.images)
    assert "not a name for a directory" in run(camera, experiment=experiment).failed()
    assert tree(camera.images) == before and camera.verbs == []


def test_hostile_names_are_reported_without_being_executed(camera: Systemctl) -> None:
    (camera.images / "$(touch pwned)\n.jpg").touch()
    (camera.images / "object_20260522-093015-000001_w\udcff.jpg").touch()
    result = run(camera).ok()
    assert result["foreign"] == ["$(touch pwned)\\n.jpg", "object_20260522-093015-000001_w\\udcff.jpg"]
    assert not list(camera.path.rglob("pwned"))


def test_a_stop_sets_everything_aside_and_clears_the_label(camera: Systemctl) -> None:
    card_of(camera).write_label(EXPERIMENT)
    camera.late(images(1, start=10))
    result = idle(camera, detection_stopped=True).ok()
    assert result["changed"]
    assert (result["set_aside"], result["set_aside_for"], result["waiting"]) == (4, EXPERIMENT, 1)
    assert card_of(camera).label() is None and card_of(camera).loose().images == []
    assert camera.verbs == ["stop", "reset-failed", "start"]
    assert images_below(camera.images) == counted({**three(), **images(1, start=10)})


def test_a_second_stop_changes_nothing(camera: Systemctl) -> None:
    idle(camera, detection_stopped=True).ok()
    before = tree(camera.path)
    assert not idle(camera, detection_stopped=True).ok()["changed"]
    assert tree(camera.path) == before


def test_a_stop_in_check_mode_touches_nothing(camera: Systemctl) -> None:
    before = tree(camera.path)
    result = idle(camera, check=True).ok()
    assert result["changed"] and (result["set_aside"], result["bytes"], result["waiting"]) == (3, 1800, 1)
    assert tree(camera.path) == before


def test_a_stop_can_leave_the_service_stopped_to_save_the_battery(camera: Systemctl) -> None:
    assert idle(camera, service_after_stop="stopped").ok()["changed"]
    assert camera.verbs == ["stop"] and camera.state == "inactive"
    assert not idle(camera, service_after_stop="stopped").ok()["changed"]


def test_a_camera_that_did_not_confirm_its_stop_has_its_service_stopped(camera: Systemctl) -> None:
    idle(camera, detection_stopped=True).ok()
    assert idle(camera, detection_stopped=False).ok()["changed"]
    assert camera.verbs[-3:] == ["stop", "reset-failed", "start"]


def test_a_stop_clears_away_what_a_killed_cleanup_left_of_ours(camera: Systemctl) -> None:
    for name in three():
        (camera.images / name).unlink()
    (camera.images / OURS / EXPERIMENT).mkdir(parents=True)
    assert idle(camera, check=True, detection_stopped=True).ok()["changed"] is False
    assert (camera.images / OURS).exists()
    assert idle(camera, detection_stopped=True).ok()["changed"] is False
    assert not (camera.images / OURS).exists()


def test_what_a_killed_run_left_at_work_is_over_before_a_stop_clears_the_label(camera: Systemctl) -> None:
    camera.set(**{"hold-stop": ""})
    left = begin_module("recording", arguments_for(camera), camera.env)
    wait_for((camera.path / "held").exists, 20)
    stop = begin_module("recording", arguments_for(camera, **IDLE), camera.env)
    time.sleep(1)
    assert stop.poll() is None and camera.verbs == ["stop"]
    (camera.path / "held").unlink()
    assert ended(left).ok()["label"] == EXPERIMENT
    assert ended(stop).ok()["label"] == ""
    assert card_of(camera).label() is None
    assert camera.verbs == ["stop", "reset-failed", "start"] * 2
    assert images_below(camera.images) == counted(three())


def test_a_start_goes_on_at_once_when_what_was_at_work_is_killed(camera: Systemctl) -> None:
    camera.set(**{"hold-stop": ""})
    left = begin_module("recording", arguments_for(camera, **IDLE), camera.env)
    wait_for((camera.path / "held").exists, 20)
    start = begin_module("recording", arguments_for(camera), camera.env)
    time.sleep(1)
    assert start.poll() is None
    left.kill()
    with left:
        assert left.wait(5) == -signal.SIGKILL
        # Its systemctl goes on, and holds nothing.
        assert ended(start, 10).ok()["label"] == EXPERIMENT and (camera.path / "held").exists()
        (camera.path / "held").unlink()
    assert card_of(camera).label() == EXPERIMENT


@pytest.mark.parametrize("args", [{}, {"state": "restarted"}, IDLE])
def test_where_another_run_is_at_work_nothing_is_changed(
    camera: Systemctl, args: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    impatient(monkeypatch)
    before = tree(camera.path)
    with at_work(card_of(camera)):
        assert "another run is still at work there" in run(camera, **args).failed()
        assert tree(camera.path) == before and camera.verbs == []
        assert run(camera, check=True, **args).ok()["changed"]
    assert run(camera, **args).ok()["changed"]


def test_dawn_does_not_wait_for_a_collection_that_reads_a_card(
    camera: Systemctl, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_batch(camera.images, images(1, start=10), BEFORE)
    reading = camera.path / "reading"

    def endless(*_: Any) -> None:
        reading.touch()
        time.sleep(60)

    card = card_of(camera)
    params = {"set_aside": "none", "fallback": "unclaimed", "method": "zip", "receipts": []}
    carry = {"image_dir": str(camera.images), "data_dir": "/nowhere", "purpose": "stop"}
    with monkeypatch.context() as patch:
        patch.setattr(batch, "_read", endless)
        collection = multiprocessing.get_context("fork").Process(target=image_batch.ready, args=(card, params, False))
        collection.start()
    try:
        wait_for(reading.exists, 20)
        impatient(monkeypatch)
        assert idle(camera).ok()["changed"]
        assert run(camera, fallback=BEFORE).ok()["changed"]
        assert run(camera, state="restarted").ok()["changed"]
        for name, args in (
            ("image_batch", carry),
            ("image_cleanup", {"image_dir": str(camera.images), "receipts": []}),
        ):
            assert "another run is still at work there" in run_module(name, args).failed()
    finally:
        collection.kill()
        collection.join()
    found = run_module("image_batch", carry).ok()
    assert found["images"] == 4
    assert images_below(camera.images) == counted({**three(), **images(1, start=10)})


def test_a_second_stop_takes_nothing_away_that_a_collection_has_not_finished(camera: Systemctl) -> None:
    idle(camera, detection_stopped=True).ok()
    card = card_of(camera)
    Path(f"{card.batches()[0].zip}.tmp").write_bytes(b"half")
    before = tree(camera.images)
    with at_work(card, "exclusive_batches"):
        assert not idle(camera, detection_stopped=True).ok()["changed"]
        assert tree(camera.images) == before


def test_a_clock_that_is_far_off_is_set_while_no_image_can_appear(camera: Systemctl) -> None:
    camera.set(synchronised="no")
    result = run(camera, clock=time.time() - 500).ok()
    asked, told = camera.clock
    assert asked.startswith("timedatectl show") and told.startswith("date --utc --set=@") and told.endswith(" inactive")
    assert abs(float(told.split("@")[1].split()[0]) - time.time() + 500) < 20
    assert "clock_stepped" in result and abs(result["now"] - time.time()) < 20
    assert camera.state == "active" and card_of(camera).label() == EXPERIMENT


def test_a_restart_sets_the_clock_as_well(camera: Systemctl) -> None:
    card_of(camera).write_label(EXPERIMENT)
    camera.set(synchronised="no")
    assert "clock_stepped" in run(camera, state="restarted", clock=time.time() + 500).ok()
    assert len(camera.clock) == 2 and camera.verbs == ["reset-failed", "restart"]


@pytest.mark.parametrize("clock", ["right", "not given", "recording", "check", "idle"])
def test_a_clock_is_left_alone_where_it_is_right_or_not_to_be_set_now(camera: Systemctl, clock: str) -> None:
    camera.set(synchronised="no")
    given: dict[str, Any] = {} if clock == "not given" else {"clock": time.time() - (0 if clock == "right" else 500)}
    if clock == "recording":
        card_of(camera).write_label(EXPERIMENT)
    result = run(camera, check=clock == "check", **{**given, **(IDLE if clock == "idle" else {})}).ok()
    notes = {"recording": "which restart.yml sets", "check": "which would be set"}
    assert (camera.clock, result.get("clock_note")) == ([], notes.get(clock)) and "clock_stepped" not in result


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ({}, "ask timedatectl whether it is kept right: Failed to query server: no bus"),
        ({"synchronised": "yes"}, "it is kept right by a time server"),
        ({"synchronised": "no", "denied": ""}, "date: cannot set date: Operation not permitted"),
    ],
)
def test_a_clock_that_cannot_be_set_costs_no_recording(camera: Systemctl, state: dict[str, str], words: str) -> None:
    camera.set(**state)
    result = run(camera, clock=time.time() - 500).ok()
    assert result["clock_note"].startswith(f"not set: {words}")
    assert camera.state == "active" and card_of(camera).label() == EXPERIMENT and result["set_aside"] == 3


def test_documentation_and_arguments_agree() -> None:
    assert documented("recording").keys() == arguments("recording").keys()
