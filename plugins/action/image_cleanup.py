# SPDX-License-Identifier: GPL-3.0-or-later
"""Deletes from a camera what receipts prove; the work is the module's."""

from __future__ import annotations

from typing import Any

from ansible_collections.wildberryeye.orchestrator.plugins.modules.image_cleanup import ARGUMENTS
from ansible_collections.wildberryeye.orchestrator.plugins.plugin_utils.camera_side import CameraSideAction


class ActionModule(CameraSideAction):
    """See the module `image_cleanup`."""

    tried = "delete what receipts prove"

    def work(self, task_vars: dict[str, Any]) -> dict[str, Any]:
        _unused, given = self.validate_argument_spec(argument_spec=ARGUMENTS)
        self.limit = float(given["timeout"])
        return {"reached": True, **self.on_camera(dict(self._task.args), task_vars)}
