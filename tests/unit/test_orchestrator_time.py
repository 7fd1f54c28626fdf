# SPDX-License-Identifier: GPL-3.0-or-later
"""When an image was taken, whatever the camera's clock showed."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from ansible_collections.wildberryeye.orchestrator.plugins.module_utils.orchestrator_time import (
    CameraClock,
    Zone,
    moment,
)

pytestmark = pytest.mark.usefixtures("in_berlin")

DAY = "2026-05-22T"


def at(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(f"{DAY}{text}+02:00")


def note(when: str, offset: Any, by: str = "heartbeat", camera: str = "object", **more: Any) -> dict[str, Any]:
    return {"at": f"{DAY}{when}+02:00", "camera": camera, "event": "clock", "by": by, "offset": offset, **more}


def clock(*notes: dict[str, Any], offset: float | None = None) -> CameraClock:
    return CameraClock(Zone(at("07:00:00")), notes, "object", offset)


def taken(found: CameraClock, shown: str) -> str:
    result = found.taken(dt.datetime.fromisoformat(DAY + shown))
    assert result is not None
    return result.at.isoformat().removeprefix(DAY)


def test_the_offset_that_was_noted_last_is_taken_off() -> None:
    found = clock(note("07:00:00", 12.5, "start"), note("12:00:00", -3.5, before=12.5))
    assert taken(found, "09:00:12.5") == "09:00:00+02:00"
    assert taken(found, "14:00:00") == "14:00:03.500000+02:00"
    assert [offset for _, offset in found.noted] == [12.5, -3.5]


def test_a_jump_back_that_was_noted_later_puts_each_image_where_it_was_taken() -> None:
    found = clock(note("07:00:00", 0.0, "start"), note("10:05:00", -3600.0, before=0.0))
    assert taken(found, "09:04:30") == "10:04:30+02:00"
    assert taken(found, "10:04:10") == "10:04:10+02:00"
    assert taken(found, "11:00:00") == "12:00:00+02:00"
    assert taken(found, "08:00:00") == "08:00:00+02:00"


@pytest.mark.parametrize("by", ["collect", "stop"])
def test_a_jump_that_a_collection_or_stop_was_the_first_to_meet_costs_no_more_than_one_that_the_heartbeat_met(
    by: str,
) -> None:
    found = clock(note("07:00:00", 0.0, "start"), note("10:05:00", -3600.0, by))
    assert taken(found, "09:04:15") == "10:04:15+02:00"


def test_a_jump_ahead_that_was_noted_later_puts_each_image_where_it_was_taken() -> None:
    found = clock(note("07:00:00", 0.0, "start"), note("10:05:00", 7200.0, before=0.0))
    assert taken(found, "12:04:30") == "10:04:30+02:00"
    assert taken(found, "10:04:30") == "10:04:30+02:00"
    # By neither clock could it have been taken: it is left where it is least wrong.
    assert taken(found, "10:30:00") == "10:30:00+02:00"
    assert taken(found, "13:30:00") == "11:30:00+02:00"


def test_a_clock_that_woke_up_in_1970_and_was_set_later_costs_no_time() -> None:
    years = -at("07:00:00").timestamp()
    found = clock(note("07:00:00", years, "start"), note("11:00:00", 0.5, "restart", set=True, before=years))
    result = found.taken(dt.datetime(1970, 1, 1, 2, 30))
    assert result is not None and result.at == at("08:30:00") and result.offset == years and not result.doubtful
    assert taken(found, "12:00:00.5") == "12:00:00+02:00"


def test_what_lay_there_before_the_clock_was_set_bears_the_old_time() -> None:
    found = clock(note("07:00:20", 0.0, "start", set=True, before=-600.0))
    assert taken(found, "06:40:00") == "06:50:00+02:00"
    assert taken(found, "07:00:19") == "07:00:19+02:00"


def test_a_name_that_can_mean_two_times_is_called_doubtful() -> None:
    found = clock(note("07:00:00", 0.0, "start"), note("10:05:00", -3600.0, before=0.0))
    for shown, doubtful in (("09:30:00", True), ("08:00:00", False), ("11:30:00", False)):
        result = found.taken(dt.datetime.fromisoformat(DAY + shown))
        assert result is not None and result.doubtful == doubtful, shown


def test_without_any_note_the_record_counts() -> None:
    assert taken(clock(offset=60.0), "07:01:00") == "07:00:00+02:00"
    assert taken(clock(), "07:01:00") == "07:01:00+02:00"
    assert taken(clock(note("07:00:00", 5, camera="motion"), offset=60.0), "07:01:00") == "07:00:00+02:00"


@pytest.mark.parametrize("offset", ["5", None, float("nan"), float("inf"), [], {}, True])
def test_a_note_that_was_torn_or_tampered_with_is_passed_over(offset: Any) -> None:
    found = clock(note("07:00:00", offset, "start"), {"event": "clock", "camera": "object", "at": "noon", "offset": 3})
    assert taken(found, "07:01:00") in ("07:01:00+02:00", "07:00:59+02:00")


def test_times_at_the_end_of_the_calendar_cost_no_report() -> None:
    far = clock(note("07:00:00", 1e300, "start"))
    for shown in (dt.datetime.min, dt.datetime.max, dt.datetime(2026, 5, 22)):
        far.taken(shown)
        clock().taken(shown)
    assert [moment(text) for text in ("0001-01-01T00:00:00+14:00", "2026-05-22T07:00:00", 7, None)][1:] == [None] * 3


def test_an_experiment_of_another_time_zone_keeps_its_own() -> None:
    opened = dt.datetime.fromisoformat("2026-05-22T07:00:00-06:00")
    result = CameraClock(Zone(opened), [], "object").taken(dt.datetime(2026, 5, 22, 9))
    assert result is not None and result.at.isoformat() == "2026-05-22T09:00:00-06:00"


def test_the_night_in_which_the_clocks_change_has_two_offsets() -> None:
    opened = dt.datetime.fromisoformat("2026-10-24T20:00:00+02:00")
    found = CameraClock(Zone(opened), [], "object")
    shown = [dt.datetime(2026, 10, 25, *at) for at in ((1, 59), (2, 30), (3, 1))]
    assert [(each.at.isoformat(), each.doubtful) for each in map(found.taken, shown) if each] == [
        ("2026-10-25T01:59:00+02:00", False),
        ("2026-10-25T02:30:00+02:00", True),
        ("2026-10-25T03:01:00+01:00", False),
    ]
