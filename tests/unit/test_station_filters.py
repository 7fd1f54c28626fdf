# SPDX-License-Identifier: GPL-3.0-or-later
"""The filters give roles what the knowledge behind them says."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.errors import AnsibleFilterError

from ansible_collections.wildberryeye.orchestrator.plugins.filter import station
from unit.support import BATCH, EXPERIMENT

STALLED = {"failed": True, "msg": "stalled", "reached": True}
GROUPS = {"object_cameras": ["object"], "motion_cameras": ["motion"]}


def test_every_filter_has_the_name_that_roles_use() -> None:
    filters = station.FilterModule().filters()
    assert filters == {
        name: getattr(station, name) for name in ("camera_modes", "explained", "inventory_problems", "outcomes")
    }


def test_a_camera_without_a_mode_is_an_error_of_one_line() -> None:
    assert station.camera_modes(["object"], GROUPS) == {"object": "object"}
    with pytest.raises(AnsibleFilterError, match="neither group"):
        station.camera_modes(["third"], GROUPS)


def test_problems_and_explanations_are_passed_on() -> None:
    assert station.inventory_problems({"cameras": []}, {}) == []
    assert "apt install rsync" in station.explained({"msg": "rsync: command not found"})


def hostvars(**results: Any) -> dict[str, Any]:
    return {f"wildberryeye_{name}": result for name, result in results.items()}


def test_outcomes_tell_who_is_home_and_who_failed() -> None:
    found: dict[str, dict[str, Any]] = {
        "a": hostvars(recording_result={"reached": True, "waiting": 0}),
        "b": hostvars(recording_result={"failed": True, "reached": False, "msg": "unreachable"}),
        "c": hostvars(recording_result={"reached": True, "waiting": 2}, collection_result=STALLED),
        "d": {},
    }
    result = station.outcomes(found, found)
    assert result == {
        "home": {"a": ""},
        "failures": {"b": "unreachable", "c": "stalled"},
    }
    table = station.outcomes(found, found, "start")
    assert table["failed"] is True and len(table["table"].splitlines()) == 5
    assert station.outcomes(["a"], found, "start")["failed"] is False


def test_a_heartbeat_that_a_timer_could_not_start_is_to_be_noticed() -> None:
    def noticed(result: dict[str, Any], scheduled: bool = True) -> list[Any]:
        found = {"a": hostvars(recording_result={"reached": True, "waiting": 0}, heartbeat_result=result)}
        notices = station.outcomes(found, found, "start", scheduled)["notices"]
        return [(each["bad"], each["text"]) for each in notices if each["topic"] == "heartbeat/the heartbeat"]

    failed = {"msg": "start the heartbeat: Unit not found"}
    assert noticed(failed) == [
        (True, "cannot be seen to, so that nobody looks after the cameras: start the heartbeat: Unit not found")
    ]
    assert noticed(failed, scheduled=False) == [] and noticed({"skipped": True}) == [] and noticed({}) == []
    assert noticed({"msg": "the heartbeat watches", "watching": True}) == [(False, "is well")]


def test_what_a_timers_run_did_not_achieve_is_to_be_noticed_and_by_hand_only_what_is_well() -> None:
    found: dict[str, dict[str, Any]] = {
        "a": hostvars(recording_result={"reached": True, "waiting": 0}),
        "b": hostvars(recording_result={"failed": True, "reached": False, "msg": "unreachable"}),
    }
    noticed = {scheduled: station.outcomes(found, found, "start", scheduled)["notices"] for scheduled in (True, False)}
    assert [(each["topic"], each["bad"]) for each in noticed[True]] == [("camera/a", False), ("camera/b", True)]
    assert "unreachable" in noticed[True][1]["text"] and noticed[False] == noticed[True][:1]


def test_who_is_home_comes_with_what_its_card_says_that_it_records() -> None:
    some = {"batches": [{"batch": BATCH}], "label": EXPERIMENT}
    found = {
        "a": hostvars(collection_result={"batch": some, "cleanup": {"left": 0}}),
        "b": hostvars(collection_result={"batch": {"batches": [], "label": ""}}),
        "c": hostvars(collection_result={"batch": some, "cleanup": {"left": 1}}),
    }
    assert station.outcomes(found, found)["home"] == {"a": EXPERIMENT, "b": ""}


def test_in_check_mode_the_table_says_would_be() -> None:
    found = {"a": {**hostvars(recording_result={"reached": True}), "ansible_check_mode": True}}
    assert "would be recording" in station.outcomes(found, found, "start")["table"]


def test_at_night_nothing_has_to_record_but_what_is_left_has_to_come_home() -> None:
    night = {"wildberryeye_night_result": True}
    home = hostvars(collection_result={"batch": {"batches": []}})
    assert station.outcomes(["a"], {"a": home}, "start")["failed"] is True
    found = station.outcomes(["a"], {"a": {**home, **night}}, "start")
    assert found["failed"] is False and "collected" in found["table"]
    lost = {**hostvars(collection_result={**STALLED, "msg": "unreachable by SSH"}), **night}
    assert station.outcomes(["a"], {"a": lost}, "start")["failed"] is True
