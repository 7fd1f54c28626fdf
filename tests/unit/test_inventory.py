# SPDX-License-Identifier: GPL-3.0-or-later
"""An inventory that would mix up cameras is refused before anything is touched."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.wildberryeye.orchestrator.plugins.module_utils import inventory
from ansible_collections.wildberryeye.orchestrator.plugins.module_utils.errors import Error

GROUPS = {"cameras": ["object", "motion"], "object_cameras": ["object"], "motion_cameras": ["motion"]}


def problems(groups: dict[str, list[str]], **addresses: dict[str, Any]) -> list[str]:
    hostvars = {name: {"ansible_host": f"192.0.2.{n}"} for n, name in enumerate(groups.get("cameras", []))}
    return inventory.problems(groups, {**hostvars, **addresses})


def test_a_cameras_mode_is_its_group() -> None:
    assert inventory.modes(["object", "motion"], GROUPS) == {"object": "object", "motion": "motion"}
    assert inventory.modes([], {}) == {}


def test_a_camera_in_no_group_or_in_both_has_no_mode() -> None:
    with pytest.raises(Error, match="neither group"):
        inventory.modes(["third"], GROUPS)
    with pytest.raises(Error, match="both groups"):
        inventory.modes(["object"], {**GROUPS, "motion_cameras": ["object"]})


def test_the_shipped_inventory_is_fine() -> None:
    assert problems(GROUPS) == [] and problems({}) == []


@pytest.mark.parametrize("name", ["a/b", "a b", "..", "-x", "", "unclaimed", "x" * 64, "a..b", "$(reboot)", "ä"])
def test_a_name_that_cannot_be_a_directory_is_refused_with_the_reason(name: str) -> None:
    (line,) = problems({"cameras": [name], "object_cameras": [name]})
    assert "camera's name" in line and "\n" not in line


def test_two_names_for_one_machine_would_collect_it_twice() -> None:
    same = {"ansible_host": "192.0.2.7"}
    (line,) = problems(GROUPS, object=same, motion={**same, "ansible_port": 22})
    assert "object and motion are the same machine, 192.0.2.7:22" in line
    assert problems(GROUPS, object=same, motion={**same, "ansible_port": 2222}) == []


def test_a_camera_without_an_address_goes_by_its_name() -> None:
    assert problems(GROUPS, object={}, motion={}) == []
    assert len(problems(GROUPS, object={}, motion={"ansible_host": "object"})) == 1


def test_every_problem_is_told_at_once() -> None:
    groups = {"cameras": ["a b", "c", "d", "e"], "object_cameras": ["a b", "d", "e"]}
    assert len(problems(groups, d={"ansible_host": "x"}, e={"ansible_host": "x"})) == 3


@pytest.mark.parametrize(
    ("name", "value", "most"),
    [
        ("wildberryeye_api_port", 99999, 65535),
        ("wildberryeye_ready_timeout", -5, 86400),
        ("wildberryeye_collection_timeout", 0, 86400),
        # Nobody would ever be next.
        ("wildberryeye_collection_parallel", "0", 1000),
    ],
)
def test_a_number_with_which_nothing_would_come_home_is_refused(name: str, value: object, most: int) -> None:
    setting = {"ansible_host": "192.0.2.7", name: value}
    assert problems(GROUPS, motion=setting) == [f"motion: {name} is {value}: set it to 1 to {most}"]
    assert problems(GROUPS, motion={**setting, name: 1}) == problems(GROUPS, motion={**setting, name: "often"}) == []
