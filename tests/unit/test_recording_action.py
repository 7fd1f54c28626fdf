# SPDX-License-Identifier: GPL-3.0-or-later
"""What the action `recording` does on the orchestrator: order of steps, locks, the API; only the login is a fake."""

from __future__ import annotations

import errno
import os
import time
from pathlib import Path
from typing import Any

import pytest
from ansible.errors import AnsibleConnectionFailure

from ansible_collections.wildberryeye.orchestrator.plugins.action import recording
from ansible_collections.wildberryeye.orchestrator.plugins.module_utils import book, events, lock
from ansible_collections.wildberryeye.orchestrator.plugins.module_utils.camera_client import CameraClient
from ansible_collections.wildberryeye.orchestrator.plugins.module_utils.errors import Error
from ansible_collections.wildberryeye.orchestrator.plugins.module_utils.layout import Layout
from ansible_collections.wildberryeye.orchestrator.plugins.module_utils.record import (
    CLOSING,
    EXPECTED,
    RECORDING,
    CameraRecord,
    Record,
    load_all,
    save,
)
from lab.emulated import Lab
from unit.acting import FAILED, There, act, clocks
from unit.support import EXPERIMENT

SET_ASIDE = {"changed": True, "msg": "3 images set aside", "waiting": 1}


class Recorder:
    """The action `recording` for one emulated camera."""

    def __init__(self, camera: Lab, layout: Layout) -> None:
        self.camera, self.layout = camera, layout

    def __call__(self, there: There, check: bool = False, **given: Any) -> dict[str, Any]:
        there.meanwhile = lambda: self.held.append(self.owner())
        self.held: list[lock.Owner | None] = []
        if not check:
            self.decide(CLOSING if given.get("state") == "idle" else EXPECTED)
        result = act(
            recording.ActionModule,
            there,
            check,
            **{
                "experiment": EXPERIMENT,
                "image_dir": "/card",
                "mode": "object",
                "host": "127.0.0.1",
                "port": self.camera.port,
                "ready_timeout": 2,
                "data_dir": self.layout.data_dir,
                "purpose": "start",
                **given,
            },
        )
        assert self.owner() is None
        assert all((owner is None) == check for owner in self.held)
        assert check or all(owner and (owner.pid, owner.purpose) == (os.getpid(), "start") for owner in self.held)
        return result

    def decide(self, state: str, experiment: str = EXPERIMENT) -> None:
        """Have the records say what is to become of the camera, unless they do already."""
        if not load_all(self.layout)[0]:
            cameras = {"object": CameraRecord("object", state)}
            save(
                self.layout, Record(experiment, "2026-05-22T07:00:00+02:00", "2026-05-23T01:00:00+02:00", None, cameras)
            )

    def owner(self) -> lock.Owner | None:
        return lock.owner(self.layout.locks(), "camera-object")

    def paths(self) -> list[str]:
        """What the API was asked for, in order."""
        return [line["path"] for line in self.camera.lines("requests") if line["event"] == "answered"]


@pytest.fixture
def record(camera: Lab, layout: Layout) -> Recorder:
    return Recorder(camera, layout)


def test_a_start_asks_the_api_when_the_part_on_the_camera_is_done(record: Recorder, camera: Lab) -> None:
    camera.start()
    there = There(SET_ASIDE)
    result = record(there)
    assert result["reached"] and not result.get("failed") and result["waiting"] == 1
    assert result["msg"] == "recording; 3 images set aside" and abs(result["clock_offset"]) < 2.5
    assert there.states == ["recording"] and camera.detecting()[-1][0] is True
    assert record.paths()[0] == "/api/capture" and record.paths()[-1] == "/api/start"


@pytest.mark.parametrize("state", ["recording", "restarted"])
@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (FAILED, "stop wildberryeye.service: no. Look"),
        ({"unreachable": True, "msg": "ssh: connect to host x port 22: No route to host"}, "unreachable by SSH"),
        (AnsibleConnectionFailure("ssh: connect to host x port 22: Connection refused"), "SSH connection refused"),
    ],
    ids=["failed", "unreachable", "raised"],
)
def test_where_the_part_on_the_camera_was_not_done_nothing_is_asked_and_it_counts_as_out_of_reach(
    record: Recorder, camera: Lab, state: str, answer: Any, words: str
) -> None:
    camera.start()
    result = record(There(answer), state=state)
    assert result["failed"] and result["reached"] is False and words in result["msg"]
    assert record.paths() == [] and camera.lines("requests") == []


def test_a_camera_that_records_already_is_asked_once_more_and_not_restarted(record: Recorder, camera: Lab) -> None:
    camera.start()
    there = There({"changed": False, "msg": "nothing to set aside", "service_age": 500.0})
    result = record(there)
    assert (result["msg"], result["changed"], there.states) == ("records already", False, ["recording"])
    assert camera.detecting()[-1][0] is True


@pytest.mark.parametrize("cured", [True, False])
def test_one_that_should_record_already_and_does_not_answer_is_restarted(
    record: Recorder, camera: Lab, monkeypatch: pytest.MonkeyPatch, cured: bool
) -> None:
    camera.start()
    camera.faults(capture="error500")
    monkeypatch.setattr(recording, "_PATIENCE", 0.5)
    there = There({"changed": False, "msg": "nothing to set aside", "service_age": 500.0}, SET_ASIDE)
    restart = there.execute

    def execute(**given: Any) -> dict[str, Any]:
        if given["module_args"]["state"] == "restarted" and cured:
            camera.faults()
        return restart(**given)

    monkeypatch.setattr(there, "execute", execute)
    result = record(there, ready_timeout=1)
    assert there.states == ["recording", "restarted"]
    assert there.asked[0] == {**there.asked[1], "state": "recording"}
    if cured:
        assert result["msg"] == "recording; 3 images set aside" and camera.detecting()[-1][0] is True
    else:
        assert result["failed"] and result["reached"] is True and "HTTP status 500" in result["msg"]


def test_one_that_has_just_been_started_gets_the_rest_of_its_time(
    record: Recorder, camera: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[float] = []
    monkeypatch.setattr(CameraClient, "detect", lambda self, mode, timeout: given.append(timeout))
    for age in (10.0, 500.0):
        record(There({"changed": False, "msg": "", "service_age": age}), ready_timeout=300)
    assert given == [290.0, 30.0]


def test_a_full_card_is_told_and_no_reason_to_restart(record: Recorder, camera: Lab) -> None:
    camera.start()
    camera.faults(capture="no_file")
    there = There({"changed": False, "msg": "", "service_age": 500.0})
    result = record(there, ready_timeout=10)
    assert result["failed"] and result["reached"] is True and "no such file exists" in result["msg"]
    assert there.states == ["recording"]


@pytest.mark.parametrize("fault", ["ok", "error500", "down"])
def test_a_stop_tells_the_camera_whether_the_api_has_stopped_detection(
    record: Recorder, camera: Lab, fault: str
) -> None:
    if fault != "down":
        camera.start()
        camera.faults(stop=fault)
    there = There(SET_ASIDE)
    result = record(there, state="idle", experiment="")
    assert result["msg"] == "idle; 3 images set aside" and result["reached"]
    assert [given["detection_stopped"] for given in there.asked] == [fault == "ok"]


def test_without_an_experiment_nothing_is_recorded_and_nobody_is_asked(record: Recorder, camera: Lab) -> None:
    camera.start()
    result = record(There(), experiment="")
    assert result["failed"] and "Run start.yml" in result["msg"] and camera.lines("requests") == []


@pytest.mark.parametrize("state", ["recording", "restarted", "idle"])
def test_in_check_mode_the_camera_is_looked_at_and_the_api_is_sent_nothing(
    record: Recorder, camera: Lab, state: str, data_dir: Path
) -> None:
    camera.start()
    there = There(SET_ASIDE)
    assert record(there, check=True, state=state)["reached"] and there.states == [state]
    assert camera.lines("requests") == [] and not data_dir.exists()


def test_a_camera_that_another_run_holds_is_left_alone(
    record: Recorder, camera: Lab, layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    camera.start()
    monkeypatch.setattr(recording, "_LOCK_MARGIN", -1.0)
    monkeypatch.setattr(record, "owner", lambda: None)
    lock.take(layout.locks(), "camera-object", lock.Owner.of(1, "stop"), wait=0)
    result = record(There(), ready_timeout=1)
    assert result["failed"] and result["reached"] is True and "a stop that is running" in result["msg"]
    assert camera.lines("requests") == []
    held = lock.owner(layout.locks(), "camera-object")
    assert held is not None and held.pid == 1  # it is not ours to give back


def test_a_start_that_waited_while_a_stop_was_run_does_not_set_the_camera_detecting_all_night(
    record: Recorder, camera: Lab
) -> None:
    camera.start()
    record.decide(CLOSING)
    for state in ("recording", "restarted"):
        result = record(There(), state=state)
        assert result["failed"] and "that was stopped meanwhile. Run start.yml" in result["msg"]
    assert record.paths() == []


def test_a_stop_that_waited_while_the_next_day_began_does_not_end_that(record: Recorder, camera: Lab) -> None:
    camera.start()
    record.decide(EXPECTED, "2026-05-23")
    result = record(There(), state="idle", purpose="stop")
    assert result["failed"] and "it is to record 2026-05-23" in result["msg"]
    result = record(There())
    assert result["failed"] and f"make the camera record {EXPERIMENT}: it is to record 2026-05-23 now" in result["msg"]
    assert record.paths() == []


@pytest.mark.parametrize("state", ["recording", "restarted"])
def test_that_it_records_is_noted_before_anybody_else_may_touch_the_camera(
    record: Recorder, camera: Lab, layout: Layout, monkeypatch: pytest.MonkeyPatch, state: str
) -> None:
    camera.start()
    noted: list[tuple[bool, lock.Owner | None]] = []
    note = book.note_recording

    def watched(*given: str) -> None:
        noted.append((camera.detecting()[-1][0], record.owner()))
        note(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(book, "note_recording", watched)
    record(There(SET_ASIDE), state=state)
    assert len(noted) == 1 and noted[0][0] is True and noted[0][1] is not None
    (found,), _ = load_all(layout)
    assert found.cameras["object"].state == RECORDING and found.cameras["object"].since
    assert [event["event"] for event in events.read(layout.events(EXPERIMENT))] == ["recording", "clock"]


def test_one_that_was_asked_to_stop_while_it_got_ready_stays_so(
    record: Recorder, camera: Lab, layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    camera.start()
    stop = Record(
        EXPERIMENT,
        "2026-05-22T07:00:00+02:00",
        "2026-05-23T01:00:00+02:00",
        None,
        {"object": CameraRecord("object", CLOSING)},
    )
    monkeypatch.setattr(CameraClient, "detect", lambda *given: save(layout, stop))
    record(There(SET_ASIDE))
    (found,), _ = load_all(layout)
    assert found.cameras["object"].state == CLOSING and events.read(layout.events(EXPERIMENT)) == []


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left on device"), Error("read x", "it is torn")])
def test_a_camera_that_records_has_not_failed_because_the_disk_is_full(
    record: Recorder, camera: Lab, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    camera.start()

    def fail(*given: object) -> None:
        raise error

    monkeypatch.setattr(book, "note_recording", fail)
    result = record(There(SET_ASIDE))
    assert not result.get("failed") and result["reached"] and camera.detecting()[-1][0] is True
    assert result["msg"].startswith("recording; 3 images set aside; note that in the experiment's record: ")


@pytest.mark.parametrize("state", ["recording", "restarted", "idle"])
def test_how_far_the_clock_is_ahead_is_noted_whatever_is_done(
    record: Recorder, camera: Lab, layout: Layout, state: str
) -> None:
    camera.start()
    camera.faults(clock_offset=-7200)
    result = record(There({**SET_ASIDE, "now": 5.0}), state=state)
    (event,) = clocks(layout)
    assert event["by"] == "start" and abs(event["offset"] + 7200) <= event["uncertainty"] + 0.1 <= 1
    assert (result["clock_offset"], result["clock_uncertainty"]) == (event["offset"], event["uncertainty"])
    assert "now" not in result and load_all(layout)[0][0].cameras["object"].clock_offset == event["offset"]


def test_a_stop_that_the_api_does_not_answer_learns_the_clock_from_the_login(record: Recorder, layout: Layout) -> None:
    record(There({**SET_ASIDE, "now": time.time() + 100}), state="idle")
    (event,) = clocks(layout)
    assert abs(event["offset"] - 100) < 5


def test_the_time_is_told_to_a_camera_that_may_set_its_clock_and_to_no_other(record: Recorder, camera: Lab) -> None:
    camera.start()
    for set_clock, state in ((True, "recording"), (True, "restarted"), (False, "recording")):
        there = There(SET_ASIDE)
        record(there, state=state, set_clock=set_clock)
        assert ("clock" in there.asked[0]) == set_clock
        assert not set_clock or abs(there.asked[0]["clock"] - time.time()) < 30


def test_an_idle_camera_keeps_its_clock(record: Recorder, camera: Lab) -> None:
    camera.start()
    there = There(SET_ASIDE)
    record(there, state="idle", set_clock=True)
    assert "clock" not in there.asked[0]


def test_an_orchestrator_that_woke_up_in_the_past_sets_no_clock_and_says_why(
    record: Recorder, camera: Lab, layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    camera.start()
    monkeypatch.setattr(events, "now", lambda: "2999-01-01T00:00:00+00:00")
    events.append(layout.events("2998-12-31"), "opened")
    monkeypatch.undo()
    camera.faults(clock_offset=7200)
    there = There(SET_ASIDE)
    result = record(there, set_clock=True)
    assert "clock" not in there.asked[0]
    assert "and 2998-12-31 has an event of 2999-01-01 00:00" in result["clock_note"]
    camera.faults()
    assert "clock_note" not in record(There(SET_ASIDE), set_clock=True)


def test_images_of_the_day_before_bear_the_times_of_the_clock_as_it_was(
    record: Recorder, camera: Lab, layout: Layout
) -> None:
    camera.start()
    record.decide(EXPECTED)
    cameras = {"object": CameraRecord("object", CLOSING)}
    save(layout, Record("before", "2026-05-21T07:00:00+02:00", "2026-05-22T01:00:00+02:00", None, cameras))
    answer = {**SET_ASIDE, "set_aside": 3, "set_aside_for": "before", "clock_stepped": 500.0}
    record(There(answer), set_clock=True)
    (then,), (now,) = clocks(layout, "before"), clocks(layout)
    assert abs(then["offset"] + 500) < 1.5 and "set" not in then
    assert abs(now["offset"]) < 1.5 and now["set"] is True and now["before"] == then["offset"]


def test_a_clock_that_cannot_be_noted_fails_nothing(
    record: Recorder, camera: Lab, layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    camera.start()
    append = events.append

    def full(path: str, event: str, *given: Any, **details: Any) -> None:
        if event == "clock":
            raise OSError(errno.ENOSPC, "No space left on device")
        append(path, event, *given, **details)

    monkeypatch.setattr(events, "append", full)
    result = record(There(SET_ASIDE))
    assert not result.get("failed") and "; note how far its clock is ahead: No space left" in result["msg"]


def test_a_stop_and_a_failed_start_note_no_recording(record: Recorder, camera: Lab, layout: Layout) -> None:
    record(There(SET_ASIDE), state="idle", experiment="")
    assert events.read(layout.events(EXPERIMENT)) == []
    os.unlink(layout.record(EXPERIMENT))
    assert record(There(SET_ASIDE), ready_timeout=1)["failed"]
    assert load_all(layout)[0][0].cameras["object"].state == EXPECTED
