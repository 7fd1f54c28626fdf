# SPDX-License-Identifier: GPL-3.0-or-later
"""Filters for the role camtrap_dp: what the inventory says of places and project."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ansible_collections.wildberryeye.orchestrator.plugins.module_utils import camtrap_site


def camera_sites(cameras: Iterable[str], hostvars: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return what the inventory says of each camera's place, as the module `camtrap_dp` takes it."""
    return camtrap_site.settings(cameras, hostvars)


def camera_site_problems(
    cameras: Iterable[str], hostvars: Mapping[str, Mapping[str, Any]], project: Mapping[str, Any]
) -> list[str]:
    """Return why no data package could be written, a line each."""
    return camtrap_site.problems(cameras, hostvars, project)


class FilterModule:
    """The filters by name."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"camera_sites": camera_sites, "camera_site_problems": camera_site_problems}
