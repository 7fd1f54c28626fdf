# SPDX-License-Identifier: GPL-3.0-or-later
"""When a camera recorded: nothing that was missed is called recorded, and nothing that was recorded missed."""

from __future__ import annotations

import datetime as dt
import itertools
from collections.abc import Iterable
from typing import Any

from ansible_collections.wildberryeye.orchestrator.plugins.module_utils.coverage import (
    Coverage,
    Span,
    coarse,
    coverage,
)
from ansible_collections.wildberryeye.orchestrator.plugins.module_utils.orchestrator_time import Taken
from ansible_collections.wildberryeye.orchestrator.plugins.module_utils.pictures import Picture
from ansible_collections.wildberryeye.orchestrator.plugins.module_utils.record import CameraRecord

MINUTE = dt.timedelta(minutes=1)
Told = tuple[str, str, str, str]


def at(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(f"2026-05-22T{text}+02:00")


def event(when: str, name: str, camera: str | None = "object", **details: Any) -> dict[str, Any]:
    for key in ("from_", "to"):
        if key in details:
            details[key.rstrip("_")] = at(details.pop(key)).isoformat()
    return {"at": at(when).isoformat(), "camera": camera, "event": name, **details}


STARTED = (event("07:00:00", "opened", None), event("07:00:05", "watched"), event("07:01:00", "recording"))
STOPPED = (event("13:00:00", "closing", None, cameras=["object"]), event("13:00:01", "unwatched"))


def pictures(times: Iterable[dt.datetime]) -> list[Picture]:
    return [Picture("x", "object", 1, "a.zip", Taken(each, 0.0, False)) for each in times]


def every(seconds: float, begin: str, end: str) -> list[Picture]:
    count = int((at(end) - at(begin)).total_seconds() / seconds)
    return pictures(at(begin) + dt.timedelta(seconds=seconds * number) for number in range(count + 1))


def look(
    *happened: dict[str, Any],
    state: str = "home",
    since: str | None = "07:01:00",
    images: Iterable[Picture] = (),
    now: str = "18:00:00",
    seen: str = "",
) -> Coverage:
    entry = CameraRecord("object", state, at(since).isoformat() if since else None)
    return coverage(
        at("07:00:00"), "object", entry, happened, images, at(now), seen=at(seen) if seen else None, interval=60
    )


def told(found: Coverage) -> list[Told]:
    previous = None
    for span in found.spans:
        assert span.begin < span.end and (previous is None or previous == span.begin), "a hole or an overlap"
        previous = span.end
    return [(s.state, f"{s.begin:%H:%M:%S}", f"{s.end:%H:%M:%S}", s.cause) for s in found.spans]


BEFORE = ("not recording", "07:00:00", "07:01:00", "it was not started yet")


def test_a_day_on_which_nothing_happened_was_recorded_from_start_to_stop() -> None:
    found = look(*STARTED, *STOPPED)
    assert told(found) == [BEFORE, ("recording", "07:01:00", "13:00:00", "")] and not found.open
    assert found.seconds("recording") == 21540


def test_an_experiment_that_goes_on_is_recorded_until_now_while_the_heartbeat_lives() -> None:
    found = look(*STARTED, state="recording", now="09:00:00", seen="08:59:30")
    assert told(found) == [BEFORE, ("recording", "07:01:00", "09:00:00", "")] and found.open


def test_a_gap_that_the_heartbeat_told_is_not_recorded_and_has_its_cause() -> None:
    gap = event("10:02:00", "gap", from_="09:59:00", to="10:02:00", text="records again after 3 min: no answer")
    assert told(look(*STARTED, event("10:01:00", "wedged", text="no answer"), gap, *STOPPED)) == [
        BEFORE,
        ("recording", "07:01:00", "09:59:00", ""),
        ("not recording", "09:59:00", "10:02:00", "it did not answer"),
        ("recording", "10:02:00", "13:00:00", ""),
    ]


def test_images_say_to_the_second_when_a_gap_began() -> None:
    gap = event("10:02:00", "gap", from_="09:59:00", to="10:02:00", text="records again after 3 min: why not")
    images = [*every(5, "07:01:00", "09:59:40"), *every(5, "10:02:00", "12:59:00")]
    assert told(look(*STARTED, gap, *STOPPED, images=images))[2] == (
        "not recording",
        "09:59:40",
        "10:02:00",
        "why not",
    )


def test_a_gap_shorter_than_an_interval_is_not_argued_away_by_images_around_it() -> None:
    gap = event("10:00:40", "gap", from_="10:00:00", to="10:00:40", text="x: its service was restarted")
    images = [*every(5, "09:50:00", "10:00:20"), *every(5, "10:00:40", "12:59:00")]
    assert told(look(*STARTED, gap, *STOPPED, images=images))[2] == (
        "not recording",
        "10:00:20",
        "10:00:40",
        "its service was restarted",
    )


def test_a_camera_that_no_start_reached_did_not_record() -> None:
    found = look(*STARTED[:2], event("07:05:00", "expected"), *STOPPED, state="closing", since=None)
    assert {(span.state, span.cause) for span in found.spans} == {("not recording", "no start had reached it")}


def test_time_without_a_heartbeat_is_unknown_but_where_images_prove_more() -> None:
    assert told(look(*STARTED, STOPPED[0], seen="09:00:00")) == [
        BEFORE,
        ("recording", "07:01:00", "09:00:00", ""),
        ("unknown", "09:00:00", "13:00:00", "the heartbeat did not run"),
    ]
    images = every(30, "09:00:10", "10:00:10")
    assert told(look(*STARTED, STOPPED[0], seen="09:00:00", images=images))[1:] == [
        ("recording", "07:01:00", "10:00:10", ""),
        ("unknown", "10:00:10", "13:00:00", "the heartbeat did not run"),
    ]


def test_without_any_heartbeat_nothing_but_images_is_known() -> None:
    assert told(look(STARTED[0], STARTED[2], STOPPED[0]))[1:] == [
        ("unknown", "07:01:00", "13:00:00", "no heartbeat watched it")
    ]


def test_images_prove_more_than_one_kind_of_unknown_in_a_row() -> None:
    # It recorded without a heartbeat, and on for as long as its stop took.
    images = [*every(0.5, "09:00:10", "12:59:59"), *pictures([at("13:00:02")])]
    asked = event("13:00:04", "clock", by="collect", offset=0.0)
    found = look(STARTED[0], STARTED[2], STOPPED[0], asked, images=images, seen="09:00:00")
    assert told(found)[1:] == [("recording", "07:01:00", "13:00:02", "")]


def test_a_heartbeat_that_was_killed_and_came_back_found_out_what_had_become_of_the_camera() -> None:
    assert told(look(*STARTED, event("11:00:00", "watched"), *STOPPED))[1:] == [
        ("recording", "07:01:00", "13:00:00", "")
    ]


def test_a_heartbeat_that_came_back_just_before_the_end_knows_nothing_of_the_outage() -> None:
    # Power was off from ten on; a start that was due closed the experiment before the cameras were looked at.
    for name in ("watched", "unwatched"):
        back = {**event("12:59:50", name), "last_good": at("10:00:00").isoformat()}
        found = look(*STARTED, back, STOPPED[0], images=every(10, "07:01:00", "10:00:20"))
        assert told(found)[1:] == [
            ("recording", "07:01:00", "10:00:20", ""),
            ("unknown", "10:00:20", "13:00:00", "the heartbeat did not run"),
        ]


def test_a_gap_that_is_still_open_lasts_until_the_end() -> None:
    found = look(*STARTED, event("12:00:00", "dead"), *STOPPED, images=every(10, "07:01:00", "11:59:10"))
    assert told(found)[1:] == [
        ("recording", "07:01:00", "11:59:10", ""),
        ("not recording", "11:59:10", "13:00:00", "its detection had died"),
    ]


def test_out_of_reach_is_unknown_until_it_is_known_to_have_recorded_on() -> None:
    lost = event("10:00:00", "unreachable", text="no route")
    assert told(look(*STARTED, lost, *STOPPED))[-1] == ("unknown", "09:58:00", "13:00:00", "it was out of reach")
    back = event("11:00:00", "back", from_="09:58:30", to="11:00:00", text="answers again; it recorded on meanwhile")
    assert told(look(*STARTED, lost, back, *STOPPED))[1:] == [("recording", "07:01:00", "13:00:00", "")]
    images = every(10, "07:01:00", "12:50:00")
    assert told(look(*STARTED, lost, *STOPPED, images=images))[1][:3] == ("recording", "07:01:00", "12:50:00")


def test_a_full_card_ends_when_it_was_collected() -> None:
    happened = (
        event("10:00:00", "storage", text="it took x.jpg, and did not store it"),
        event("10:00:01", "collecting"),
        event("10:05:00", "receipt", batch="b", images=9),
    )
    images = [*every(5, "07:01:00", "09:58:30"), *every(5, "10:05:05", "12:59:00")]
    assert told(look(*STARTED, *happened, *STOPPED, images=images))[2][:3] == (
        "not recording",
        "09:58:30",
        "10:05:00",
    )


def test_a_card_that_stored_all_but_the_heartbeats_picture_missed_nothing() -> None:
    happened = (event("10:00:00", "storage"), event("10:00:01", "collecting"), event("10:05:00", "receipt"))
    assert told(look(*STARTED, *happened, *STOPPED, images=every(5, "07:01:00", "12:59:00")))[1:] == [
        ("recording", "07:01:00", "13:00:00", "")
    ]


def test_another_cameras_stop_is_not_mine() -> None:
    other = event("10:00:00", "closing", None, cameras=["motion"])
    assert told(look(*STARTED, other, *STOPPED))[1:] == [("recording", "07:01:00", "13:00:00", "")]


def test_a_camera_that_was_stopped_and_started_again_did_not_record_between() -> None:
    again = (STOPPED[0], STOPPED[1], event("14:00:00", "watched"), event("14:01:00", "recording"))
    ended = (event("15:00:00", "closing", None), event("15:00:01", "unwatched"))
    assert told(look(*STARTED, *again, *ended))[1:] == [
        ("recording", "07:01:00", "13:00:00", ""),
        ("not recording", "13:00:00", "14:01:00", "it was stopped"),
        ("recording", "14:01:00", "15:00:00", ""),
    ]


def test_what_a_camera_recorded_that_could_not_be_reached_to_be_stopped_counts() -> None:
    images = every(20, "07:01:00", "13:30:00")
    later = event("16:00:00", "clock", by="collect", offset=0.0)
    assert told(look(*STARTED, *STOPPED, later, images=images))[1:] == [("recording", "07:01:00", "13:30:00", "")]


def test_a_day_full_of_images_without_a_heartbeat_takes_no_longer_than_others() -> None:
    found = look(STARTED[0], STARTED[2], STOPPED[0], images=every(90, "07:01:00", "12:59:00") * 100)
    assert found.seconds("recording") == 0
    pairs = pictures(
        at("07:01:00") + dt.timedelta(seconds=1.5 * number + 59 * (number % 2)) for number in range(14_000)
    )
    assert len(look(STARTED[0], STARTED[2], STOPPED[0], images=pairs).spans) > 1


def test_spans_that_are_too_many_to_be_shown_are_shown_as_what_was_longest() -> None:
    begin = at("07:00:00")
    many = [
        Span("recording" if number % 2 else "unknown", begin + number * MINUTE, begin + (number + 1) * MINUTE)
        for number in range(1000)
    ]
    assert coarse(many, 2000) == many
    few = coarse([*many, Span("not recording", many[-1].end, many[-1].end + 1000 * MINUTE, "x")], 50)
    assert len(few) <= 50 and few[0].begin == begin and few[-1].end == begin + 2000 * MINUTE
    assert few[-1].state == "not recording" and abs(few[-1].seconds - 60_000) <= 2400
    assert all(one.end == two.begin for one, two in itertools.pairwise(few))


def test_events_of_any_form_cost_no_report() -> None:
    strange: list[dict[str, Any]] = [
        {},
        {"at": 5, "event": []},
        {"at": "x", "event": "gap", "camera": "object"},
        {**event("08:00:00", "gap"), "from": 3, "to": {}},
        event("08:00:00", "gap", from_="12:00:00", to="09:00:00"),
        event("08:00:00", "closing", None, cameras={"a": 1}),
        event("08:00:00", "watched", "somebody else"),
    ]
    assert look(*strange, *STARTED, *STOPPED).spans
    assert look(*strange, since=None, state="given_up").spans
    assert look(state="home").spans is not None
