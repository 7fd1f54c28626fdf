# SPDX-License-Identifier: GPL-3.0-or-later
"""How far a camera's clock is ahead, and setting it: a wrong answer puts two cameras' pictures on two time lines."""

from __future__ import annotations

import datetime as dt
import math
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.wildberryeye.orchestrator.plugins.module_utils import book, clock, events, record
from ansible_collections.wildberryeye.orchestrator.plugins.module_utils.errors import Error
from ansible_collections.wildberryeye.orchestrator.plugins.module_utils.layout import Layout
from ansible_collections.wildberryeye.orchestrator.plugins.module_utils.record import CameraRecord, Record
from unit.support import EXPERIMENT

FOUND = clock.Estimate(-3.5, 0.25)


class Time:
    """A clock that is never set."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_nothing_is_known_of_a_clock_that_nobody_asked() -> None:
    assert clock.Offset().estimate is None


def test_one_answer_tells_it_to_half_a_second_and_what_it_took() -> None:
    offset = clock.Offset()
    offset.dated(5010.0, sent=5000.0, received=5000.2)
    assert offset.estimate == (10.4, 0.6)


@given(
    true=st.floats(-1e9, 1e9),
    answers=st.lists(st.tuples(st.floats(0, 600), st.floats(0, 3), st.floats(0, 3)), min_size=1, max_size=20),
    drift=st.floats(-4e-4, 4e-4),
)
def test_what_is_told_is_true_however_slow_the_answers_are_and_the_clocks_run_apart(
    true: float, answers: list[tuple[float, float, float]], drift: float
) -> None:
    monotonic = Time()
    offset = clock.Offset(monotonic)
    ours = 1.8e9
    for pause, there, back in answers:
        sent = ours + pause
        asked = sent + there
        ours = asked + back
        monotonic.now += pause + there + back
        true += drift * (pause + there)
        offset.dated(math.floor(asked + true), sent, ours)
        true += drift * back
    assert offset.estimate is not None
    assert abs(offset.estimate.offset - true) <= offset.estimate.uncertainty + 0.02


def test_many_answers_tell_it_better_than_one() -> None:
    offset = clock.Offset()
    for tenth in range(10):
        now = 1.8e9 + tenth / 10
        offset.dated(math.floor(now + 7.25), now, now + 0.01)
    assert offset.estimate is not None and offset.estimate.uncertainty <= 0.11
    assert abs(offset.estimate.offset - 7.25) <= 0.11


def test_a_clock_that_was_set_is_known_by_its_latest_answer_alone() -> None:
    offset = clock.Offset()
    offset.dated(5010.0, sent=5000.0, received=5000.2)
    offset.dated(5001.0, sent=5001.0, received=5001.2)
    assert offset.estimate == (0.4, 0.6)


def test_a_login_tells_it_as_well() -> None:
    assert clock.Offset().logged_in(5010.0, received=5000.0) == (10.5, 0.5)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (3.1, "3 s ahead"),
        (-120.2, "2 min behind"),
        (3600, "60 min ahead"),
        (-86400, "24 h behind"),
        (1e9, "11574 days"),
    ],
)
def test_people_read_it_in_units_that_say_something(seconds: float, words: str) -> None:
    assert clock.said(seconds).startswith(words)


def test_the_time_there_is_what_was_sent_and_what_this_process_took_since() -> None:
    assert 0 <= clock.now_there(5.0) - 5.0 < 3600 * 24


# --- setting it: no command of this machine is ever run here ------------------------------------


class Commands:
    """A camera's commands."""

    def __init__(self, synchronised: str = "no", status: int = 0, err: str = "") -> None:
        self.synchronised, self.status, self.err = synchronised, status, err
        self.asked: list[list[str]] = []

    def __call__(self, command: Sequence[str]) -> tuple[int, str, str]:
        self.asked.append([*command])
        if command[:2] == ["timedatectl", "show"]:
            return 0, f"NTP=yes\nNTPSynchronized={self.synchronised}\n", ""
        return self.status, "Mon Nov 23 11:19:08 UTC 2026\n", self.err


def test_root_sets_it_although_a_time_service_is_enabled_that_hears_of_no_server() -> None:
    commands = Commands()
    clock.set_by(100.0, commands, root=True)
    (name, utc, to) = commands.asked[-1]
    assert (name, utc) == ("date", "--utc") and abs(float(to.removeprefix("--set=@")) - time.time() - 100) < 5


def test_whoever_is_not_root_asks_timedatectl_which_asks_polkit() -> None:
    commands = Commands(status=1, err="Failed to set time: Automatic time synchronization is enabled\n")
    with pytest.raises(Error, match="Automatic time synchronization is enabled"):
        clock.set_by(100.0, commands, root=False)
    assert commands.asked[-1][:2] == ["timedatectl", "set-time"]


def test_a_clock_that_a_time_server_keeps_right_is_left_alone() -> None:
    commands = Commands("yes")
    with pytest.raises(Error, match="it is kept right by a time server"):
        clock.set_by(100.0, commands, root=True)
    assert len(commands.asked) == 1


@pytest.mark.parametrize("kind", ["refused", "hangs", "no bus", "nothing"])
def test_a_clock_that_cannot_be_set_is_an_error_of_one_line(kind: str) -> None:
    def run(command: Sequence[str]) -> tuple[int, str, str]:
        if kind == "hangs":
            raise subprocess.TimeoutExpired(command, 5)
        if kind == "no bus":
            return 1, "", "Failed to query server\n"
        if kind == "nothing":
            return 0, "", ""
        return Commands(status=1, err="date: cannot set date: Operation not permitted\n")(command)

    words = {"refused": "Operation not permitted", "hangs": "no end within 5 s", "no bus": "Failed to query server"}
    with pytest.raises(Error) as caught:
        clock.set_by(100.0, run, root=True)
    assert words.get(kind, "it ended with status 0") in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("error", [Error("", "no"), OSError(2, "No such file or directory", "date"), ValueError("x")])
def test_whatever_goes_wrong_with_a_clock_is_a_note(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> float:
        raise error

    monkeypatch.setattr(clock, "set_by", fail)
    # Long before this process began: what it is old, counts as on the way.
    assert clock.correct(time.time() - 1e8)["clock_note"].startswith("not set: ")
    monkeypatch.setattr(clock, "now_there", fail)
    assert clock.correct(time.time())["clock_note"].startswith("not set: ")


def test_only_a_clock_that_is_far_off_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    steps: list[float] = []

    def set_by(seconds: float) -> float:
        steps.append(seconds)
        return seconds

    monkeypatch.setattr(clock, "set_by", set_by)
    monkeypatch.setattr(clock, "now_there", lambda sent: sent)
    now = time.time()
    assert clock.correct(None) == clock.correct(now + 28) == clock.correct(now - 28) == {}
    assert clock.correct(now - 500, "which would be set") == {"clock_note": "which would be set"} and steps == []
    assert abs(clock.correct(now + 31)["clock_stepped"] - 31) < 1 and abs(steps[0] - 31) < 1
    clock.correct(now - 31)
    assert abs(steps[1] + 31) < 1


# --- noting it -----------------------------------------------------------------------------------


@pytest.fixture
def layout(data_dir: Path) -> Layout:
    found = Layout(str(data_dir))
    cameras = {"object": CameraRecord("object", record.RECORDING)}
    record.save(found, Record(EXPERIMENT, "2026-05-22T07:00:00+02:00", "2026-05-23T01:00:00+02:00", None, cameras))
    return found


def noted(layout: Layout) -> list[dict[str, Any]]:
    return [
        {key: value for key, value in event.items() if key not in ("at", "event")}
        for event in events.read(layout.events(EXPERIMENT))
    ]


def test_each_look_is_an_event_and_the_latest_is_in_the_record(layout: Layout) -> None:
    assert book.note_clock(layout, "object", EXPERIMENT, FOUND, "start") == ""
    assert book.note_clock(layout, "object", EXPERIMENT, clock.Estimate(0.5, 0.25), "restart", stepped=4.0) == ""
    assert noted(layout) == [
        {"camera": "object", "by": "start", "offset": -3.5, "uncertainty": 0.25},
        {
            "camera": "object",
            "by": "restart",
            "offset": 0.5,
            "uncertainty": 0.25,
            "set": True,
            "before": -3.5,
        },
    ]
    found = record.load(layout, EXPERIMENT)
    assert found is not None and found.cameras["object"].clock_offset == 0.5


@pytest.mark.parametrize(("camera", "experiment"), [("other", EXPERIMENT), ("object", "unclaimed"), ("object", "")])
def test_what_no_record_knows_is_noted_nowhere(layout: Layout, camera: str, experiment: str) -> None:
    assert book.note_clock(layout, camera, experiment, FOUND, "start") == ""
    assert noted(layout) == [] and layout.experiments() == [EXPERIMENT]


def test_what_cannot_be_noted_is_one_line(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    Path(layout.record(EXPERIMENT)).write_text("{")
    assert book.note_clock(layout, "object", EXPERIMENT, FOUND, "start").startswith("note how far its clock is ahead: ")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(record, "load", full)
    assert "No space left" in book.note_clock(layout, "object", EXPERIMENT, FOUND, "start")


@pytest.mark.parametrize("hours", [1, 24 * 365 * 56])
def test_an_orchestrator_that_woke_up_in_the_past_knows_it_by_the_newest_of_all_events(
    layout: Layout, monkeypatch: pytest.MonkeyPatch, hours: int
) -> None:
    assert book.behind(layout) == ""
    events.append(layout.events(EXPERIMENT), "opened")
    assert book.behind(layout) == ""
    later = (dt.datetime.now(dt.UTC) + dt.timedelta(hours=hours)).isoformat(timespec="seconds")
    monkeypatch.setattr(events, "now", lambda: later)
    events.append(layout.events(EXPERIMENT), "home", "object")
    monkeypatch.undo()
    # It has written more since, with its own clock, and the experiment is not the last by name.
    events.append(layout.events(EXPERIMENT), "opened")
    events.append(layout.events("zzz"), "opened")
    assert f"and {EXPERIMENT} has an event of {later[:4]}" in book.behind(layout)


def test_a_line_that_is_no_event_makes_no_orchestrator_old(layout: Layout) -> None:
    path = Path(layout.events(EXPERIMENT))
    path.write_text(
        '{"at": "2999"}\n{"at": "2999-01-01T00:00:00"}\n{"at": "2999-99-01T00:00:00+00:00", "event": "x"}\n\xff\n'
    )
    assert events.newest(str(path)) is None and book.behind(layout) == ""
