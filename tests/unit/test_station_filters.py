# SPDX-License-Identifier: GPL-3.0-or-later
"""The filters give roles what the knowledge behind them says."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
from ansible.errors import AnsibleFilterError

from ansible_collections.wildberryeye.orchestrator.plugins.filter import station
from unit.support import BATCH, EXPERIMENT, images

GROUPS = {"object_cameras": ["object"], "motion_cameras": ["motion"]}


def test_every_filter_has_the_name_that_roles_use() -> None:
    filters = station.FilterModule().filters()
    assert filters == {
        name: getattr(station, name)
        for name in ("camera_modes", "explained", "inventory_problems", "outcomes", "rsync_options", "without_room")
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
        "c": hostvars(recording_result={"reached": True, "waiting": 2}, collection_failure="stalled"),
        "d": {},
    }
    result = station.outcomes(found, found)
    assert result == {
        "home": {"a": ""},
        "carried": [],
        "failures": {"b": "unreachable", "c": "stalled"},
    }
    table = station.outcomes(found, found, "start")
    assert table["failed"] is True and len(table["table"].splitlines()) == 5
    assert station.outcomes(["a"], found, "start")["failed"] is False


def test_who_is_home_comes_with_what_its_card_says_that_it_records() -> None:
    batch = {"batches": [{"batch": BATCH}], "label": EXPERIMENT}
    found = {
        "a": hostvars(batch_result=batch, cleanup_result={"left": 0}),
        "b": hostvars(batch_result={"batches": [], "label": ""}),
        "c": hostvars(batch_result=batch, cleanup_result={"left": 1}),
    }
    assert station.outcomes(found, found)["home"] == {"a": EXPERIMENT, "b": ""}


def test_in_check_mode_the_table_says_would_be() -> None:
    found = {"a": {**hostvars(recording_result={"reached": True}), "ansible_check_mode": True}}
    assert "would be recording" in station.outcomes(found, found, "start")["table"]


@pytest.mark.parametrize("zipped", [True, False])
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
    options = station.rsync_options([{"experiment": EXPERIMENT, "batch": BATCH, "zipped": zipped}], "", 60)
    subprocess.run(["rsync", "-r", *options, f"{card}/", f"{home}/"], check=True)
    found = sorted(str(path.relative_to(home)) for path in home.rglob("*") if path.is_file())
    expected = f"{EXPERIMENT}/{BATCH}.zip" if zipped else f"{EXPERIMENT}/{BATCH}/{name}"
    assert found == sorted([expected, f"{EXPERIMENT}/{BATCH}.manifest"])


def test_the_limit_of_bandwidth_is_passed_on() -> None:
    assert "--bwlimit=500k" in station.rsync_options([], "500k", 60)
    assert not any("bwlimit" in option for option in station.rsync_options([], "", 60))


@pytest.mark.parametrize(("seconds", "minutes"), [(10800, 180), ("10801", 181), (61, 2), (60, 1), (1, 1), (0, 1)])
def test_a_transfer_ends_by_itself_in_whole_minutes(seconds: Any, minutes: int) -> None:
    assert f"--stop-after={minutes}" in station.rsync_options([], "", seconds)


def test_at_night_nothing_has_to_record_but_what_is_left_has_to_come_home() -> None:
    night = {"wildberryeye_night_result": True}
    home = hostvars(batch_result={"batches": []})
    assert station.outcomes(["a"], {"a": home}, "start")["failed"] is True
    found = station.outcomes(["a"], {"a": {**home, **night}}, "start")
    assert found["failed"] is False and "collected" in found["table"]
    lost = {**hostvars(collection_failure="unreachable by SSH"), **night}
    assert station.outcomes(["a"], {"a": lost}, "start")["failed"] is True
