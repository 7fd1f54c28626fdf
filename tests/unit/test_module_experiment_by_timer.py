# SPDX-License-Identifier: GPL-3.0-or-later
"""The module experiment where timers run it: at the wrong time, late, or under another name."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from unit.dated_station import ONE, Station
from unit.support import EXPERIMENT, public, tree

BY_TIMER: dict[str, Any] = {"scheduled": True}


@pytest.fixture
def station(data_dir: Path) -> Station:
    return Station(data_dir)


def test_a_timer_that_fires_at_night_begins_nothing_and_changes_nothing(station: Station) -> None:
    found = station.ok("recording", "2026-05-23 02:00:00", **BY_TIMER)
    assert (found["night"], found["changed"], found["id"], found["to_record"]) == (True, False, "", [])
    assert found["msg"] == "it is night (until 07:00): nothing is begun" and not station.layout.experiments()
    station.begin()
    before = tree(station.data_dir)
    found = station.ok("recording", "2026-05-23 01:00:00", **BY_TIMER)
    # What the day before has left open is the stop's to close.
    assert (found["night"], found["changed"], found["id"]) == (True, False, EXPERIMENT)
    assert found["to_record"] == ["motion", "object"] and tree(station.data_dir) == before
    found = station.ok("recording", "2026-05-23 02:00:00", id="meadow", **BY_TIMER)
    assert found["night"] and found["id"] == "" and tree(station.data_dir) == before
    assert station.ok("closed", "2026-05-23 02:00:00", id="meadow", **BY_TIMER)["changed"] is False


@pytest.mark.parametrize(("when", "night"), [("06:59:59", True), ("07:00:00", False), ("23:59:59", False)])
def test_a_timer_that_fires_by_day_begins_what_is_due(station: Station, when: str, night: bool) -> None:
    found = station.ok("recording", f"2026-05-22 {when}", **BY_TIMER)
    assert (found["night"], bool(found["id"])) == (night, not night)
    assert found["to_record"] == ([] if night else ["motion", "object"])


def test_a_person_may_begin_at_night(station: Station) -> None:
    assert station.ok("recording", "2026-05-23 02:00:00")["night"] is False and station.layout.experiments()


def test_a_stop_that_comes_late_closes_yesterday_and_lets_today_record(station: Station) -> None:
    station.begin()
    station.begin("2026-05-23 08:00:00", cameras={"object": "object"})
    found = station.ok("closing", "2026-05-23 08:00:00", **BY_TIMER)
    assert (found["id"], found["to_record"]) == (EXPERIMENT, ["object"])
    assert station.states() == {"object": "closing", "motion": "closing"}
    assert station.states("2026-05-23") == {"object": "recording"}
    assert {name: (each["state"], each["recording_in"]) for name, each in found["cameras"].items()} == {
        "object": ("recording", "2026-05-23"),
        "motion": ("closing", ""),
    }
    station.part("object", ONE)
    station.ok("closed", "2026-05-23 08:10:00", id=EXPERIMENT, home={"object": "2026-05-23", "motion": ""}, **BY_TIMER)
    assert station.record()["state"] == "closed" and public(station.data_dir) == [ONE]
    before = tree(station.data_dir)
    found = station.ok("closing", "2026-05-23 08:30:00", **BY_TIMER)
    assert (found["id"], found["changed"]) == ("", False)
    assert found["msg"] == "nothing is open from before" and tree(station.data_dir) == before


def test_a_stop_that_is_in_time_or_asked_for_by_a_person_closes_all(station: Station) -> None:
    for when, given in (
        ("2026-05-23 01:00:00", BY_TIMER),
        ("2026-05-23 06:59:00", BY_TIMER),
        ("2026-05-22 12:00:00", {}),
    ):
        opened = station.begin()
        assert station.ok("closing", when, **given)["to_record"] == []
        assert set(station.states(opened).values()) == {"closing"}
        shutil.rmtree(station.data_dir)


def test_what_a_start_goes_on_with_is_not_closed_by_a_late_stop(station: Station) -> None:
    opened = station.begin("2026-05-22 06:30:00")
    assert station.ok("recording", "2026-05-22 07:00:00", **BY_TIMER)["id"] == opened
    assert station.ok("closing", "2026-05-22 08:00:00", **BY_TIMER)["changed"] is False
    assert station.states(opened) == {"object": "recording", "motion": "recording"}


def test_a_timer_stops_what_is_open_whatever_name_stands_in_the_inventory(station: Station) -> None:
    station.begin(id="meadow")
    station.ok("closing", "2026-05-23 01:00:00", id="meadow", **BY_TIMER)
    assert station.begin("2026-05-23 07:00:00", id="meadow") == "meadow_2"
    assert station.ok("closing", "2026-05-24 01:00:00", id="meadow", **BY_TIMER)["id"] == "meadow_2"
    assert set(station.states("meadow_2").values()) == {"closing"}


def test_a_timer_collects_what_is_being_recorded_and_nothing_else(station: Station) -> None:
    nothing = "nothing is being recorded: no camera is touched"
    found = station.ok("present", **BY_TIMER)
    assert (found["idle"], found["msg"]) == (True, nothing) and not station.ok("present")["idle"]
    station.begin()
    # Whatever name stands in the inventory for the next one; and whatever the hour: the record says what records.
    found = station.ok("present", "2026-05-23 03:00:00", id="meadow", **BY_TIMER)
    assert (found["idle"], found["id"], found["msg"]) == (False, EXPERIMENT, f"experiment {EXPERIMENT}")
    station.ok("closing", cameras={"object": "object"})
    found = station.ok("present", **BY_TIMER)
    assert (found["idle"], found["cameras"]["object"]["recording_in"]) == (False, "")
    station.ok("closing")
    found = station.ok("present", **BY_TIMER)
    assert (found["idle"], found["msg"]) == (True, nothing) and not station.ok("present")["idle"]
