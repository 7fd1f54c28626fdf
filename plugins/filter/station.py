# SPDX-License-Identifier: GPL-3.0-or-later
"""Filters for the roles of this collection: what stands in the inventory, and what became of each camera."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ansible.errors import AnsibleFilterError

from ansible_collections.wildberryeye.orchestrator.plugins.module_utils import (
    failure,
    inventory,
    names,
    outcome,
    room,
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


def outcomes(cameras: Iterable[str], hostvars: Mapping[str, Mapping[str, Any]], asked: str = "") -> dict[str, Any]:
    """Return what became of `cameras`: those home, failures, and the table if `asked` is given."""
    steps = {camera: outcome.results(hostvars[camera]) for camera in cameras}
    wrong = {camera: outcome.failure(found) for camera, found in steps.items()}
    result: dict[str, Any] = {
        "home": {camera: outcome.label(found) for camera, found in steps.items() if outcome.home(found)},
        "carried": [camera for camera, found in steps.items() if outcome.home(found) and outcome.carried(found)],
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
    return result


def explained(result: Mapping[str, Any]) -> str:
    """Return in one line why a task failed, and what to do."""
    return failure.in_one_line(result)


def rsync_options(batches: Iterable[Mapping[str, Any]], bwlimit: str, timeout: int) -> list[str]:
    """Return the options that make rsync fetch exactly `batches`: manifests, and zips or images.

    Args:
        batches: as the module `image_batch` returns them.
        bwlimit: the most that it may take of the link, in rsync's notation; empty for all.
        timeout: seconds after which it ends by itself, rounded up to minutes.

    Raises:
        AnsibleFilterError: if one has a name that could be more to rsync than a name.
    """
    # Goes on where it was without reading again, on both sides, what has arrived: a Zero would be silent for minutes.
    # That the whole is what it must be is proven afterwards, by SHA-256.
    options = ["--append", "--prune-empty-dirs", f"--stop-after={max(1, -(-int(timeout) // 60))}"]
    if bwlimit:
        options.append(f"--bwlimit={bwlimit}")
    for batch in batches:
        try:
            path = f"/{names.batch_path(batch['experiment'], batch['batch'])}"
        except Error as error:
            raise AnsibleFilterError(str(error)) from None
        options.append(f"--include=/{batch['experiment']}/")
        options.append(f"--include={path}.manifest")
        if batch["zipped"]:
            options.append(f"--include={path}.zip")
        else:
            options += [f"--include={path}/", f"--include={path}/*.jpg"]
    return [*options, "--exclude=*"]


def without_room(cameras: Iterable[str], hostvars: Mapping[str, Mapping[str, Any]], data_dir: str) -> dict[str, str]:
    """Return those of `cameras` whose batches do not fit into `data_dir`, and a line for each."""
    found = {camera: hostvars[camera].get("wildberryeye_batch_result") or {} for camera in cameras}
    needs = {camera: (result["needed"], result["room"]) for camera, result in found.items() if "needed" in result}
    return room.lacking(needs, data_dir)


class FilterModule:
    """The filters by name."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {
            "camera_modes": camera_modes,
            "explained": explained,
            "inventory_problems": inventory_problems,
            "outcomes": outcomes,
            "rsync_options": rsync_options,
            "without_room": without_room,
        }
