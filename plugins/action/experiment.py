# SPDX-License-Identifier: GPL-3.0-or-later
"""Keeps the experiment's record. In the controller's own process: nobody waits for an interpreter."""

from __future__ import annotations

from typing import Any

from ansible_collections.wildberryeye.orchestrator.plugins.modules.experiment import ARGUMENTS, TRIED, work
from ansible_collections.wildberryeye.orchestrator.plugins.plugin_utils.orchestrator_side import OrchestratorSideAction


class ActionModule(OrchestratorSideAction):
    """See the module `experiment`."""

    arguments = ARGUMENTS

    def work(self, given: dict[str, Any]) -> dict[str, Any]:
        return work(given, self._task.check_mode)

    def tried(self, given: dict[str, Any]) -> str:
        return TRIED
