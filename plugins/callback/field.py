# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Output for people who know their cameras and not Ansible."""

from __future__ import annotations

DOCUMENTATION = r"""
name: field
type: stdout
short_description: One line per step and camera
version_added: 0.1.0
description:
  - Prints what is being done, and for each camera one line of what came of it. A failure is one line as well, with
    what to do about it.
  - With C(-v) results are printed whole.
author:
  - WildBerryEye contributors (@wildberryeye)
extends_documentation_fragment:
  - result_format_callback
"""

import time
from typing import Any

from ansible import constants as C
from ansible.plugins.callback import CallbackBase

from ansible_collections.wildberryeye.orchestrator.plugins.module_utils.failure import in_one_line

_INTERNAL = (
    "set_fact",
    "meta",
    "include_role",
    "include_tasks",
    "import_tasks",
    "include_vars",
    "validate_argument_spec",
)


class CallbackModule(CallbackBase):  # type: ignore[misc]  # ansible-core has no types
    """The output plugin."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "stdout"
    CALLBACK_NAME = "wildberryeye.orchestrator.field"

    def __init__(self) -> None:
        super().__init__()
        self._announced: set[str] = set()
        self._hosts = 0

    def v2_playbook_on_play_start(self, play: Any) -> None:
        checking = " (check: nothing is changed)" if play.check_mode else ""
        self._display.display(f"{play.get_name()}{checking}")

    def v2_playbook_on_task_start(self, task: Any, is_conditional: bool) -> None:
        self._announce(task)

    def v2_playbook_on_no_hosts_matched(self) -> None:
        self._display.display("no camera matches: check --limit and the inventory", color=C.COLOR_ERROR)

    def v2_runner_on_start(self, host: Any, task: Any) -> None:
        self._announce(task)

    def v2_runner_on_ok(self, result: Any) -> None:
        found = _content(result)
        self._handle_warnings(found)
        name = _action(result)
        if name in _INTERNAL:
            return
        if name == "assert":
            # The table at the end stands for itself.
            self._display.display(str(found.get("msg", "")))
        else:
            color = C.COLOR_CHANGED if found.get("changed") else C.COLOR_OK
            said = found.get("msg") if name != "file" and "results" not in found else ""
            if said:
                self._line(result, str(said), color)
        self._verbose(found)

    def v2_runner_on_failed(self, result: Any, ignore_errors: bool = False) -> None:
        found = _content(result)
        self._handle_warnings(found)
        if _action(result) == "assert":
            self._display.display(str(found.get("msg", "")), color=C.COLOR_ERROR)
        else:
            self._line(result, f"FAILED: {in_one_line(found)}", C.COLOR_ERROR)
        self._verbose(found)

    def v2_on_file_diff(self, result: Any) -> None:
        found = _content(result)
        # A loop's result holds those of its items.
        for each in found.get("results") or [found]:
            if each.get("diff") and each.get("changed"):
                self._display.display(self._get_diff(each["diff"]).rstrip("\n"))

    def v2_runner_on_unreachable(self, result: Any) -> None:
        found = _content(result)
        self._line(result, f"FAILED: {in_one_line(found)}", C.COLOR_UNREACHABLE)
        self._verbose(found)

    def _announce(self, task: Any) -> None:
        if task._uuid in self._announced or str(task.action).rpartition(".")[2] in (*_INTERNAL, "assert"):
            return
        self._announced.add(task._uuid)
        sentence = task.get_name(include_role_fqcn=False).rpartition(" : ")[2]
        self._display.display(f"{time.strftime('%H:%M:%S')}  {sentence}")

    def _line(self, result: Any, text: str, color: str) -> None:
        delegated = _content(result).get("_ansible_delegated_vars")
        host = _host(result)
        where = "" if delegated and _run_once(result) else f"{host}: "
        self._display.display(f"            {where}{text}", color=color)

    def _verbose(self, found: dict[str, Any]) -> None:
        if self._display.verbosity > 0:
            self._display.display(self._dump_results(found))


def _content(result: Any) -> dict[str, Any]:
    # ansible-core 2.19 renamed it, and warns about the old name.
    return dict(result.result)


def _host(result: Any) -> str:
    return str(result.host.get_name())


def _action(result: Any) -> str:
    return str(result.task.action).rpartition(".")[2]


def _run_once(result: Any) -> bool:
    return bool(result.task.run_once)
