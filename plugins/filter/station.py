# SPDX-License-Identifier: GPL-3.0-or-later
"""Filters for the roles of this collection: what stands in the inventory, and what became of each camera."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ansible.errors import AnsibleFilterError

from ansible_collections.wildberryeye.orchestrator.plugins.module_utils import (
    alert,
    failure,
    inventory,
    outcome,
)
from ansible_collections.wildberryeye.orchestrator.plugins.module_utils.errors import Error


def camera_modes(cameras: Iterable[str], groups: Mapping[str, Iterable[str]]) -> dict[str, str]:
    """Return camera to mode, for `cameras`."""
    try:
        return inventory.modes(cameras, groups)
    except Error as error:
        raise AnsibleFilterError(str(error)) from None


def inventory_problems(groups: Mapping[str, Iterable[str]], hostvars: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Return what is wrong with the inventory, a line each."""
    return inventory.problems(groups, hostvars)


def outcomes(
    cameras: Iterable[str], hostvars: Mapping[str, Mapping[str, Any]], asked: str = "", scheduled: bool = False
) -> dict[str, Any]:
    """Return what became of `cameras`: those home, failures; if `asked` is given the table, and notices for alerts."""
    steps = {camera: outcome.results(hostvars[camera]) for camera in cameras}
    wrong = {camera: outcome.failure(found) for camera, found in steps.items()}
    result: dict[str, Any] = {
        "home": {camera: outcome.label(found) for camera, found in steps.items() if outcome.home(found)},
        "failures": {camera: text for camera, text in wrong.items() if text},
    }
    if asked:
        first = hostvars[next(iter(steps))]
        record = first.get("wildberryeye_experiment_record") or {}
        check = bool(first.get("ansible_check_mode"))
        # A start at night brings home what is left, as a collection does.
        asked = "collect" if first.get("wildberryeye_night_result") else asked
        rows = [outcome.outcome(camera, found, asked, record, check) for camera, found in steps.items()]
        result["table"] = outcome.table(rows)
        result["failed"] = any(row.failed for row in rows)
        result["notices"] = alert.of_run(asked, rows, scheduled)
        result["notices"] += alert.of_heartbeat(first.get("wildberryeye_heartbeat_result") or {}, scheduled)
    return result


def explained(result: Mapping[str, Any]) -> str:
    """Return in one line why a task failed, and what to do."""
    return failure.in_one_line(result)


class FilterModule:
    """The filters by name."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {
            "camera_modes": camera_modes,
            "explained": explained,
            "inventory_problems": inventory_problems,
            "outcomes": outcomes,
        }
