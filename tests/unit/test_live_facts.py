# SPDX-License-Identifier: GPL-3.0-or-later
"""What the live page says is what a person needs to know first; what is not known is not made up."""

from __future__ import annotations

import datetime as dt
import json
from typing import Any

import pytest

from ansible_collections.wildberryeye.orchestrator.plugins.module_utils import heartbeat_file, live_facts, record, watch
from ansible_collections.wildberryeye.orchestrator.plugins.module_utils.heartbeat_file import Card
from ansible_collections.wildberryeye.orchestrator.plugins.module_utils.live_facts import Disk, Schedule, Seen, Shot
from ansible_collections.wildberryeye.orchestrator.plugins.module_utils.record import CameraRecord, Record

pytestmark = pytest.mark.usefixtures("in_utc")

OPENED = "2026-05-22T07:00:00+00:00"
NOW = dt.datetime.fromisoformat("2026-05-22T12:00:00+00:00")
DAY = Schedule(dt.time(7), dt.time(1))


def recorded(state: str = record.RECORDING, **states: str) -> Record:
    cameras = {
        name: CameraRecord(name, states.get(name, state), "2026-05-22T07:00:20+00:00") for name in ("object", "motion")
    }
    return Record("2026-05-22", OPENED, "2026-05-23T01:00:00+00:00", None, cameras)


def thought(state: str = "recording", **more: Any) -> dict[str, Any]:
    return {
        "state": state,
        "text": "",
        "since": OPENED,
        "last_good": "2026-05-22T11:59:50+00:00",
        "clock_offset": 0.2,
        **more,
    }


def beat(written: str = "2026-05-22T11:59:50+00:00", alive: bool = True, **cameras: dict[str, Any]) -> dict[str, Any]:
    return heartbeat_file.beat({"pid": 1, "written": written, "cameras": cameras}, alive)


def seen(**changed: Any) -> Seen:
    well = Seen(
        station="station",
        records=[recorded()],
        problems=[],
        beat=beat(object=thought(), motion=thought()),
        cards={},
        interval=60.0,
        modes={"object": "object", "motion": "motion"},
        missing=False,
        disk=Disk(100_000_000_000, 200_000_000_000),
        reports=set(),
        happened=[],
        shots={},
        schedule=DAY,
        time_line=None,
    )
    return well._replace(**changed)


def verdict(now: dt.datetime = NOW, **changed: Any) -> tuple[str, str, str]:
    found = live_facts.facts(seen(**changed), now)["verdict"]
    return found["level"], found["title"], found["text"]


def camera(name: str = "object", now: dt.datetime = NOW, **changed: Any) -> dict[str, Any]:
    (found,) = [each for each in live_facts.facts(seen(**changed), now)["cameras"] if each["name"] == name]
    return dict(found)


def test_all_is_well_only_where_all_is_known_to_record() -> None:
    assert verdict() == ("ok", "All is well", "2 cameras record.")
    assert verdict(beat=beat(object=thought()))[0] == "warn", "nobody has looked at the other one yet"


@pytest.mark.parametrize("state", sorted(set(live_facts._SAID) - {watch.RECORDING}))
def test_no_trouble_counts_as_well(state: str) -> None:
    level, title, _ = verdict(beat=beat(object=thought(), motion=thought(state, text="why")))
    assert level == ("warn" if state in (watch.UNKNOWN, watch.DOUBTFUL, watch.STARTING) else "bad")
    if level == "bad":
        assert (
            title.startswith("motion: ")
            and camera("motion", beat=beat(motion=thought(state, text="why")))["text"] == "why"
        )


def test_every_state_that_a_heartbeat_knows_has_words() -> None:
    states = {
        value
        for name, value in vars(watch).items()
        if name.isupper() and isinstance(value, str) and value not in (watch.FINE, watch.RESTART, watch.COLLECT)
    }
    assert states == set(live_facts._SAID)


@pytest.mark.parametrize(
    ("changed", "title"),
    [
        ({"beat": beat(alive=False, object=thought())}, "The cameras are not watched"),
        (
            {"beat": beat("2026-05-22T11:30:00+00:00", object=thought(), motion=thought())},
            "The cameras are not watched",
        ),
        ({"missing": True, "records": []}, "The disk with the experiments is not there"),
        (
            {"beat": beat(object=thought("down"), motion=thought("wedged"))},
            "2 of 2 cameras do not record as they should",
        ),
        ({"beat": beat(object=thought(), motion=thought("recording", degraded=True))}, "motion: recording"),
        ({"records": []}, "No experiment yet"),
    ],
)
def test_what_a_person_has_to_see_to_is_said_first(changed: dict[str, Any], title: str) -> None:
    level, said, _ = verdict(**changed)
    assert said == title and level == ("idle" if title == "No experiment yet" else "bad")


def test_what_will_be_trouble_is_said_before_it_is() -> None:
    assert verdict(disk=Disk(1_000_000_000, 200_000_000_000))[1] == "The station's disk is nearly full"
    late = NOW + dt.timedelta(hours=14)
    later = late.isoformat(timespec="seconds")
    now = beat(later, object=thought(last_good=later), motion=thought(last_good=later))
    assert verdict(late, beat=now)[1] == "Should have ended by now"


def test_at_night_nothing_is_wrong_and_by_day_nothing_recorded_is() -> None:
    yesterday = Record("2026-05-21", "2026-05-21T07:00:00+00:00", "2026-05-22T01:00:00+00:00", OPENED, {})
    night = NOW.replace(hour=3)
    assert verdict(night, records=[yesterday]) == ("idle", "At rest", "The next experiment begins at 07:00.")
    assert verdict(NOW, records=[yesterday])[:2] == ("bad", "Nothing is being recorded")
    ended = recorded(record.HOME)
    assert verdict(NOW, records=[ended, yesterday])[:2] == ("idle", "Ended for today")
    assert verdict(NOW, records=[yesterday], schedule=None)[:2] == ("idle", "Nothing is being recorded")


def test_images_that_are_not_home_are_said() -> None:
    found = verdict(records=[recorded(record.HOME, motion=record.CLOSING)], beat=beat(alive=False))
    assert found == ("idle", "Images are coming home", "Not home yet: motion.")
    assert camera("motion", records=[recorded(motion=record.CLOSING)])["state"] == "images are coming home"


def test_a_camera_that_is_away_since_yesterday_does_not_hide_that_nothing_is_recorded_today() -> None:
    left = recorded(record.HOME, motion=record.CLOSING)
    tomorrow = NOW + dt.timedelta(days=1)
    assert verdict(tomorrow, records=[left])[:2] == ("bad", "Nothing is being recorded")
    assert verdict(tomorrow.replace(hour=3), records=[left])[:2] == ("idle", "Images are coming home")
    assert verdict(tomorrow, records=[left], schedule=None)[:2] == ("idle", "Images are coming home")


def test_what_a_heartbeat_thought_of_another_day_is_not_told_of_a_camera_at_rest() -> None:
    found = camera(records=[recorded(record.HOME)], beat=beat(object=thought("wedged", text="old")))
    assert (found["level"], found["text"], found["last_good"]) == ("idle", "", None)


def test_trouble_comes_first_among_forty() -> None:
    names = [f"camera{number:02}" for number in range(40)]
    many = Record(
        "2026-05-22",
        OPENED,
        "2026-05-23T01:00:00+00:00",
        None,
        {name: CameraRecord("object", record.RECORDING) for name in names},
    )
    thoughts = {name: thought("starting" if name == "camera20" else "recording") for name in names}
    thoughts["camera31"] = thought("down")
    found = live_facts.facts(
        seen(
            records=[many],
            beat=heartbeat_file.beat({"pid": 1, "written": NOW.isoformat(), "cameras": thoughts}, True),
            modes={},
        ),
        NOW,
    )
    assert [each["name"] for each in found["cameras"]][:3] == ["camera31", "camera20", "camera00"]
    assert found["verdict"]["cameras"] == ["camera31"] and found["verdict"]["text"] == "38 cameras record."


def test_a_clock_that_is_wrong_is_said_as_people_say_it() -> None:
    found = camera(beat=beat(object=thought(clock_offset=-7200.0)))["clock"]
    assert found == {"offset": -7200.0, "level": "warn", "text": "2 h behind"}
    assert camera()["clock"] == {"offset": 0.2, "level": "ok", "text": "right"}
    assert camera(beat=beat(object=thought(clock_offset=None)))["clock"] is None


def test_pictures_an_hour_are_counted_where_they_are_home_and_reckoned_where_not() -> None:
    shots = {"object": Shot("v", NOW.timestamp() - 60, 200_000)}
    cards = {"object": Card(10_000_000_000, 200_000 * 120 / 3600)}
    line = {"cameras": {"object": {"per_hour": 118, "last": NOW.timestamp() - 600}}}
    assert camera(shots=shots, cards=cards)["per_hour"] == {"count": 120, "until": None}
    counted = camera(shots=shots, cards=cards, time_line=line)["per_hour"]
    assert counted == {"count": 118, "until": "2026-05-22T11:50:00+00:00"}
    line["cameras"]["object"]["last"] = NOW.timestamp() - 10_000
    assert camera(shots=shots, cards=cards, time_line=line)["per_hour"]["count"] == 120, "that count was long ago"
    assert camera(shots=shots, cards={"object": Card(1, None)})["per_hour"] is None, "nothing is made up"
    assert camera(cards=cards)["per_hour"] is None


def test_a_card_that_will_be_full_before_the_end_is_said() -> None:
    assert camera(cards={"object": Card(10_000_000_000, 1.0)})["card"]["level"] == "ok"
    found = camera(cards={"object": Card(3_600_000_000, 1_000_000.0)})["card"]
    assert found == {"free_bytes": 3_600_000_000, "level": "warn", "full": "2026-05-22T13:00:00+00:00"}


def test_what_happened_is_told_the_latest_first_and_in_words() -> None:
    events: list[dict[str, Any]] = [
        {"at": OPENED, "camera": None, "event": "opened"},
        {"at": OPENED, "camera": "object", "event": "clock", "offset": 1},
        {"at": OPENED, "camera": "object", "event": "card", "free": 1},
        {"at": "2026-05-22T08:00:00+00:00", "camera": "object", "event": "wedged", "text": "no answer"},
        {"at": "2026-05-22T08:05:00+00:00", "camera": "object", "event": "gap", "text": "records again after 300 s: x"},
        {"at": "rubbish", "camera": ["x"], "event": "<b>new</b>\n\x1b[31m", "text": {"a": 1}},
        {"at": OPENED, "camera": "object", "event": "receipt", "images": 1432},
        {"event": 7},
        {},
    ]
    told = live_facts.worth_seeing(events)
    assert [(each["level"], each["said"], each["text"]) for each in told] == [
        ("ok", "images came home", "1\u202f432 images"),
        ("idle", "<b>new</b> ?[31m", ""),
        ("ok", "records again after 300 s: x", ""),
        ("bad", "does not answer", "no answer"),
        ("ok", "experiment begun", ""),
    ]
    assert told[1]["at"] is None and told[1]["camera"] is None
    assert len(live_facts.worth_seeing(events * 99)) == live_facts._MOST_EVENTS


def test_all_that_is_said_can_be_sent() -> None:
    found = live_facts.facts(seen(problems=["torn\nfile"], reports={"2026-05-22"}), NOW)
    assert json.loads(json.dumps(found)) == found
    assert found["problems"] == ["torn file"] and found["experiments"][0]["report"] is True
