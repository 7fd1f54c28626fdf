# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes the reports of experiments. In the controller's own process: nobody waits for an interpreter."""

from __future__ import annotations

from typing import Any

from ansible_collections.wildberryeye.orchestrator.plugins.module_utils.layout import Layout
from ansible_collections.wildberryeye.orchestrator.plugins.module_utils.report_data import Settings
from ansible_collections.wildberryeye.orchestrator.plugins.modules.report import ARGUMENTS
from ansible_collections.wildberryeye.orchestrator.plugins.plugin_utils.orchestrator_side import OrchestratorSideAction

_NONE = "no experiment is open. Name one: -e wildberryeye_experiment=2026-05-22"


class ActionModule(OrchestratorSideAction):
    """See the module `report`."""

    arguments = ARGUMENTS

    def tried(self, given: dict[str, Any]) -> str:
        return "write the report"

    def work(self, given: dict[str, Any]) -> dict[str, Any]:
        """Write them; whatever goes wrong with one is a line, and the others are written."""
        # Only where a report is written: it brings the template engine and the template with it.
        from ansible_collections.wildberryeye.orchestrator.plugins.plugin_utils import reporting

        check = bool(self._task.check_mode)
        settings = Settings(given["visit_gap"], given["visit_minimum"], given["heartbeat_interval"])
        layout = Layout(given["data_dir"])
        found = [reporting.write(layout, each, settings, check) for each in dict.fromkeys(given["experiments"])]
        paths = [each.path for each in found if not each.problem]
        changed = any(each.changed for each in found)
        did = ("would write" if check else "wrote") if changed else "up to date:"
        problems = [each.problem for each in found if each.problem] if given["experiments"] else [_NONE]
        would = "would be " if check else ""
        lines = [
            *(
                f"report: {would}{each.path}" + (f" ({each.note})" if each.note else "")
                for each in found
                if not each.problem
            ),
            *(f"report: NOT written: {problem}" for problem in problems),
        ]
        return {
            "changed": changed,
            "failed": bool(problems),
            "msg": "; ".join(problems or [f"{did} {', '.join(paths)}"]),
            "paths": paths,
            "problems": problems,
            "lines": lines,
        }
