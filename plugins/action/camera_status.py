# SPDX-License-Identifier: GPL-3.0-or-later
"""Looks at a camera; one that cannot be looked at is an answer as well."""

from __future__ import annotations

import time
from typing import Any

from ansible_collections.wildberryeye.orchestrator.plugins.plugin_utils.camera_side import (
    CameraSideAction,
    NotDoneThere,
)


class ActionModule(CameraSideAction):
    """See the module `camera_status`."""

    tried = "look at the camera"

    def work(self, task_vars: dict[str, Any]) -> dict[str, Any]:
        try:
            result = self.on_camera(dict(self._task.args), task_vars)
        except NotDoneThere as error:
            return {"changed": False, "reachable": False, "problem": str(error)}
        # Logging in and starting Python take long on a camera, ending takes next to nothing: the clock
        # that the module read last is compared with ours of now, not of the middle.
        return {**result, "reachable": True, "looked": time.time()}
