# SPDX-License-Identifier: GPL-3.0-or-later
"""A filter that says how the station is, to people and to programs."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ansible.errors import AnsibleFilterError

from ansible_collections.wildberryeye.orchestrator.plugins.module_utils import inventory
from ansible_collections.wildberryeye.orchestrator.plugins.module_utils.errors import Error
from ansible_collections.wildberryeye.orchestrator.plugins.module_utils.overview import facts, table


def overview(
    cameras: Iterable[str],
    hostvars: Mapping[str, Mapping[str, Any]],
    groups: Mapping[str, Iterable[str]],
    station: Mapping[str, Any],
) -> dict[str, str]:
    """Return how the station is: the `table`, and the `json`."""
    results = {camera: hostvars[camera].get("wildberryeye_status_result") or {} for camera in cameras}
    try:
        found = facts(results, inventory.modes(results, groups), station, dt.datetime.now().astimezone())
    except Error as error:
        raise AnsibleFilterError(str(error)) from None
    return {"table": table(found), "json": json.dumps(found)}


class FilterModule:
    """The filters by name."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"overview": overview}
