# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks that a camera has what the orchestrator needs, without needing any of it but SSH."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any, NamedTuple

from ansible.errors import AnsibleError

from ansible_collections.wildberryeye.orchestrator.plugins.module_utils import failure, unit
from ansible_collections.wildberryeye.orchestrator.plugins.module_utils.errors import Error, one_line
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
"""
# What the camera's user may do, and what setup has put there. Only root may ask polkit about unit and verb, so systemd
# is asked for what changes nothing: to forget a failure that there is none of, or to stop what has failed.
_ACCESS = """
unit_is() { systemctl show --property "$2" --value -- "$1" 2>/dev/null </dev/null; }
user=$(id -un)
say user "$user"
say groups "$(id -nG "$user")"
say address "${SSH_CONNECTION-}"
say polkit "$(unit_is polkit.service LoadState)"
say nft "$(PATH=$PATH:/usr/sbin command -v nft)"
say port "$(unit_is wildberryeye_port.service ActiveState)"
[ -e /etc/wildberryeye_port.nft ] && say filter yes
sudo -n test -e /etc/polkit-1/rules.d/50-wildberryeye.rules 2>/dev/null </dev/null && say rule yes
[ -d "$images" ] && say images yes
{ find -H "$images" -maxdepth 0 ! -user "$user"; find "$images/.wildberryeye" -type d ! -user "$user"; } 2>/dev/null |
    sed 's/^/wildberryeye directory=/'
say unreadable "$(find "$images" -name '*.jpg' -type f ! -readable -print -quit 2>/dev/null)"
if [ -n "$ask" ]; then
    [ "$(unit_is "$service" ActiveState)" = failed ] && verb=stop || verb=reset-failed
    if said=$(systemctl --no-ask-password "$verb" -- "$service" 2>&1 </dev/null); then say manages ok
    else say manages "${said:-it ended without a word}"; fi
fi
"""
_END = "say end yes\n"
_JOURNAL_READERS = {"root", "adm", "systemd-journal"}
"""Groups that Debian lets read the whole journal."""


class Facts(NamedTuple):
    """What a camera says of itself."""

    said: dict[str, str]
    directories: list[str]
    """Where images lie and that belong to somebody else than the user."""

    def found(self) -> dict[str, Any]:
        """Return what the role C(camera_access) must know."""
        groups = self.said["groups"].split()
        return {
            "user": self.said["user"],
            # Those of a link are said with the interface of the camera.
            "address": self.said["address"].partition(" ")[0].partition("%")[0],
            "groups": groups,
            "journal": bool(_JOURNAL_READERS & set(groups)),
            "sudo": self.said["sudo"] == "ok",
            "polkit": self.said["polkit"] == "loaded",
            "nft": bool(self.said["nft"]),
            "active": self.said.get("ActiveState") == "active",
            "rule": "rule" in self.said,
            "filter": "filter" in self.said,
            "foreign_directories": self.directories,
        }


class ActionModule(CameraSideAction):
    """See the module `camera_check`."""

    tried = "check the camera"

    def work(self, task_vars: dict[str, Any]) -> dict[str, Any]:
        _unused, given = self.validate_argument_spec(argument_spec=ARGUMENTS)
        facts = self._look(given)
        if not given["required"]:
            return {"reached": True, "problems": [], "found": facts.found(), "msg": ""}
        found = problems(facts.said, given["service"], given["mode"], given["python"], needs_sudo=given["sudo"])
        # In check mode nothing is given that could then be there.
        if not (self._task.check_mode and facts.said["sudo"] == "ok"):
            found += _problems_of_access(facts, given)
        if found:
            return {"reached": True, "failed": True, "problems": found, "msg": "; ".join(found)}
        sudo = "sudo" if given["sudo"] else "no sudo"
        there = f"ssh, {sudo}, python3 {facts.said['python']}, rsync, {given['service']} ({given['mode']}): all there"
        return {"reached": True, "problems": [], "msg": there}

    def _look(self, given: Mapping[str, Any]) -> Facts:
        """Return what the scripts say of the camera."""
        names = {
            "service": given["service"],
            "python": given["python"],
            "images": given["image_dir"],
            "ask": "" if given["sudo"] or not given["required"] else "yes",
        }
        script = "".join(f"{name}={shlex.quote(value)}\n" for name, value in names.items()) + _SCRIPT
        if given["limited"] or not given["sudo"] or not given["required"]:
            script += _ACCESS
        try:
            done = self._low_level_execute_command(script + _END, sudoable=False)
        except AnsibleError as error:
            raise NotDoneThere("", failure.explain(str(error))) from None
        lines = [
            line.removeprefix("wildberryeye ").rstrip().partition("=")[::2]
            for line in done["stdout"].splitlines()
            if line.startswith("wildberryeye ")
        ]
        said = dict(lines)
        if "end" not in said:
            raise NotDoneThere("", failure.explain(done["stderr"] or done["stdout"]))
        return Facts(said, [value for name, value in lines if name == "directory"])


def problems(facts: Mapping[str, str], service: str, mode: str, python: str, needs_sudo: bool = True) -> list[str]:
    """Return what is missing on a camera and how to mend it, a line each.

    Args:
        facts: ``sudo`` (``ok``, or what it said), ``python`` (its version) and ``rsync`` (its path), empty where they
            are not there; properties of the unit, as ``systemctl show`` says them.
        service: the unit.
        mode: what the inventory says that the camera detects with.
        python: the interpreter that the inventory names.
        needs_sudo: whether the orchestrator works as root there.
    """
    found = []
    if needs_sudo and facts["sudo"] != "ok":
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


def _problems_of_access(facts: Facts, given: Mapping[str, Any]) -> list[str]:
    """Return what is missing of what setup gives to the camera's user, and of what keeps strangers out."""
    said, lines = facts.said, []
    user, service = said.get("user", ""), given["service"]
    sudo = said["sudo"] == "ok"
    remedy = "Run setup.yml again" if sudo else f"Let {user} use sudo there while setup.yml is run once more"
    if not given["sudo"]:
        if said["polkit"] != "loaded":
            advice = "Run 'sudo apt install polkitd' there, then setup.yml; or set wildberryeye_camera_sudo to true"
            lines.append(f"{user} cannot be given {service}: polkit is {said['polkit'] or 'not there'}. {advice}")
        elif said["manages"] != "ok":
            said_so = one_line(said["manages"], 120)
            look = "Look at 'systemctl status polkit' there" if sudo else remedy
            lines.append(f"{user} may not start and stop {service} without sudo ({said_so}). {look}")
        if "images" not in said:
            advice = "Start its service once, then run setup.yml, or correct wildberryeye_image_dir"
            lines.append(f"{given['image_dir']} is not there on the camera. {advice}")
        if facts.directories:
            lines.append(f"{facts.directories[0]} does not belong to {user}. {remedy}")
        if said["unreadable"]:
            advice = f"Take UMask= out of {service}, and run 'sudo chmod -R a+rX {given['image_dir']}' there"
            lines.append(f"{user} may not read {said['unreadable']}. {advice}")
        if not facts.found()["journal"]:
            lines.append(f"{user} may not read the journal of {service}. {remedy}")
    if given["limited"] and said["port"] != "active":
        advice = remedy if said["nft"] else "Run 'sudo apt install nftables' there, then setup.yml"
        lines.append(f"everybody may call the camera's port: nftables does not keep strangers out. {advice}")
    return lines
