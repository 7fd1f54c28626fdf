# SPDX-License-Identifier: GPL-3.0-or-later
"""What an inventory says about cameras, and what is wrong with it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from .errors import Error
from .names import camera_name

_GROUPS = {"object_cameras": "object", "motion_cameras": "motion"}
_RANGES = {
    "wildberryeye_api_port": (1, 65535),
    "wildberryeye_ready_timeout": (1, 86400),
    "wildberryeye_collection_timeout": (1, 86400),
    "wildberryeye_collection_parallel": (1, 1000),
}
"""What a run cannot do without, from least to most; of their types, argument specifications take care."""


def modes(cameras: Iterable[str], groups: Mapping[str, Iterable[str]]) -> dict[str, str]:
    """Return the mode of each of `cameras`: that of its group.

    Raises:
        Error: if a camera is in none of the two groups, or in both.
    """
    found = {}
    for camera in cameras:
        mine = [mode for group, mode in _GROUPS.items() if camera in (groups.get(group) or ())]
        if len(mine) != 1:
            raise Error(
                f"look up {camera} in the inventory",
                "it is in both groups" if mine else "it is in neither group",
                "Put it into either object_cameras or motion_cameras",
            )
        found[camera] = mine[0]
    return found


def problems(groups: Mapping[str, Iterable[str]], hostvars: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Return a line for each thing in the inventory that makes a run impossible."""
    found = []
    addresses: dict[str, str] = {}
    for camera in groups.get("cameras") or ():
        try:
            modes([camera_name(camera)], groups)
        except Error as error:
            found.append(str(error))
            continue
        address = f"{hostvars[camera].get('ansible_host') or camera}:{hostvars[camera].get('ansible_port') or 22}"
        if address in addresses:
            found.append(f"{addresses[address]} and {camera} are the same machine, {address}: correct ansible_host")
        addresses[address] = camera
        found += [f"{camera}: {problem}" for problem in _out_of_range(hostvars[camera])]
    return found


def _out_of_range(variables: Mapping[str, Any]) -> Iterator[str]:
    for name, (least, most) in _RANGES.items():
        try:
            sound = least <= float(variables.get(name, least)) <= most
        except (TypeError, ValueError):
            continue
        if not sound:
            yield f"{name} is {variables[name]}: set it to {least} to {most}"
