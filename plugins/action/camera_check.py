# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks that a camera has what the orchestrator needs, without needing any of it but SSH."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any

from ansible.errors import AnsibleError

from ansible_collections.wildberryeye.orchestrator.plugins.module_utils import failure, unit
from ansible_collections.wildberryeye.orchestrator.plugins.module_utils.errors import Error
from ansible_collections.wildberryeye.orchestrator.plugins.modules.camera_check import ARGUMENTS
from ansible_collections.wildberryeye.orchestrator.plugins.plugin_utils.camera_side import (
    CameraSideAction,
    NotDoneThere,
)

_OLDEST_PYTHON = (3, 9)
"""What modules of today's ansible-core still run with."""

# Says one fact in a line, `wildberryeye NAME=VALUE`: a login may say other things.
_SCRIPT = """
LC_ALL=C; export LC_ALL
say() { printf 'wildberryeye %s=%s\\n' "$1" "$(printf %s "$2" | tr '\\n' ' ')"; }
if ! command -v sudo >/dev/null; then say sudo 'sudo: command not found'
elif said=$(sudo -n true 2>&1 </dev/null); then say sudo ok
else say sudo "${said:-sudo: not allowed to execute}"; fi
say python "$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null </dev/null)"
say rsync "$(command -v rsync)"
systemctl show --property LoadState,UnitFileState,ActiveState,ExecStart,WantedBy,RequiredBy -- "$service" \
    2>/dev/null </dev/null | sed 's/^/wildberryeye /'
say end yes
"""


class ActionModule(CameraSideAction):
    """See the module `camera_check`."""

    tried = "check the camera"

    def work(self, task_vars: dict[str, Any]) -> dict[str, Any]:
        _, given = self.validate_argument_spec(argument_spec=ARGUMENTS)
        facts = self._look(given["service"], given["python"])
        found = problems(facts, given["service"], given["mode"], given["python"])
        if found:
            return {"reached": True, "failed": True, "problems": found, "msg": "; ".join(found)}
        there = f"ssh, sudo, python3 {facts['python']}, rsync, {given['service']} ({given['mode']}): all there"
        return {"reached": True, "problems": [], "msg": there}

    def _look(self, service: str, python: str) -> dict[str, str]:
        """Return what the script says of the camera."""
        given = f"service={shlex.quote(service)} python={shlex.quote(python)}\n"
        try:
            done = self._low_level_execute_command(given + _SCRIPT, sudoable=False)
        except AnsibleError as error:
            raise NotDoneThere("", failure.explain(str(error))) from None
        facts = dict(
            line.removeprefix("wildberryeye ").rstrip().partition("=")[::2]
            for line in done["stdout"].splitlines()
            if line.startswith("wildberryeye ")
        )
        if "end" not in facts:
            raise NotDoneThere("", failure.explain(done["stderr"] or done["stdout"]))
        return facts


def problems(facts: Mapping[str, str], service: str, mode: str, python: str) -> list[str]:
    """Return what is missing on a camera and how to mend it, a line each.

    Args:
        facts: ``sudo`` (``ok``, or what it said), ``python`` (its version) and ``rsync`` (its path), empty where they
            are not there; properties of the unit, as ``systemctl show`` says them.
        service: the unit.
        mode: what the inventory says that the camera detects with.
        python: the interpreter that the inventory names.
    """
    found = []
    if facts["sudo"] != "ok":
        found.append(failure.explain(facts["sudo"]))
    version = tuple(int(word) for word in facts["python"].split(".") if word.isdigit())
    if not version:
        advice = "Run 'sudo apt install python3' there, or correct ansible_python_interpreter"
        found.append(f"{python} does not run on the camera. {advice}")
    elif version < _OLDEST_PYTHON:
        needed = ".".join(str(part) for part in _OLDEST_PYTHON)
        advice = "Bring the camera's system up to date, or correct ansible_python_interpreter"
        found.append(f"{python} is {facts['python']}, {needed} is needed. {advice}")
    if not facts["rsync"]:
        found.append("rsync is not installed on the camera. Run 'sudo apt install rsync' there")
    return [*found, *_problems_of_unit(facts, service, mode)]


def _problems_of_unit(facts: Mapping[str, str], service: str, mode: str) -> list[str]:
    if "LoadState" not in facts:
        return ["systemctl does not answer on the camera. Check there that systemd runs"]
    found = []
    try:
        unit.check(service, facts, mode)
    except Error as error:
        found.append(str(error))
        if facts["LoadState"] != "loaded":
            return found
    if not unit.at_boot(facts):
        found.append(
            f"{service} does not come back after a power cut: it is {facts.get('UnitFileState') or 'not enabled'}."
            f" Run 'sudo systemctl enable {service}' on the camera"
        )
    if facts.get("ActiveState") == "failed":
        found.append(f"{service} has failed. Look at 'systemctl status {service}' on the camera")
    return found
