# SPDX-License-Identifier: GPL-3.0-or-later
"""Starts and stops the heartbeat. In the controller's own process: a start does not wait for an interpreter."""

from __future__ import annotations

import json
import os
from typing import Any

from ansible_collections.wildberryeye.orchestrator.plugins.module_utils import (
    durable,
    errors,
    heartbeat_config,
    user_manager,
)
from ansible_collections.wildberryeye.orchestrator.plugins.modules.heartbeat import ARGUMENTS
from ansible_collections.wildberryeye.orchestrator.plugins.plugin_utils.orchestrator_side import OrchestratorSideAction

UNIT = "wildberryeye_heartbeat.service"
CONFIG = "~/.config/wildberryeye/heartbeat.json"
_ONLY_NOW = "until the next boot or logout, because setup.yml was not run"
_STOPPING = 20.0
"""Seconds; systemd kills it after ten."""


class ActionModule(OrchestratorSideAction):
    """See the module `heartbeat`."""

    arguments = ARGUMENTS

    def tried(self, given: dict[str, Any]) -> str:
        return f"{given['state']} the heartbeat"

    def work(self, given: dict[str, Any]) -> dict[str, Any]:
        return self._started(given) if given["state"] == "started" else self._ended(given)

    def _started(self, given: dict[str, Any]) -> dict[str, Any]:
        # It would end at once, and systemd would say no more than that.
        if wrong := heartbeat_config.out_of_range(given["config"]):
            raise errors.Error("", wrong)
        path = os.path.expanduser(CONFIG)
        told = json.dumps(given["config"], indent=2, sort_keys=True).encode() + b"\n"
        news = durable.content(path) != told
        if self._task.check_mode:
            return {"changed": news, "watching": False, "msg": "the heartbeat would watch"}
        if news:
            durable.make_directories(os.path.dirname(path))
            with durable.replacing(path) as file:
                file.write(told)
        if not user_manager.available():
            advice = "run setup.yml, or log in as a user of systemd"
            return {
                "changed": news,
                "watching": False,
                "msg": f"NOT watched: no systemd manager of this user runs here; {advice}",
            }
        installed = user_manager.installed(UNIT)
        if not installed:
            unit = os.path.join(user_manager.passing_units(), UNIT)
            durable.make_directories(os.path.dirname(unit))
            with durable.replacing(unit) as file:
                file.write(given["unit"].encode())
            _systemctl("daemon-reload")
        running = _running()
        if not running or news:
            _systemctl("restart" if running else "start")
        return {
            "changed": news or not running,
            "watching": True,
            "msg": "the heartbeat watches" if _permanent() else f"the heartbeat watches, but only {_ONLY_NOW}",
        }

    def _ended(self, given: dict[str, Any]) -> dict[str, Any]:
        running = user_manager.available() and user_manager.installed(UNIT) and _running()
        renewed = given["state"] == "renewed"
        if not running:
            return {"changed": False, "watching": False, "msg": "the heartbeat does not run"}
        if self._task.check_mode:
            would = f"the heartbeat would {'look again' if renewed else 'end'}"
            return {"changed": True, "watching": True, "msg": would}
        _systemctl("restart" if renewed else "stop")
        said = "looks again" if renewed else "has ended"
        return {"changed": True, "watching": renewed, "msg": f"the heartbeat {said}"}


def _permanent() -> bool:
    return os.path.exists(os.path.expanduser(f"~/.config/systemd/user/{UNIT}"))


def _running() -> bool:
    state = user_manager.systemctl("show", "--property=ActiveState", "--value", UNIT).stdout.strip()
    return state in ("active", "activating", "reloading", "deactivating")


def _systemctl(verb: str) -> None:
    words = [verb] if verb == "daemon-reload" else [verb, UNIT]
    done = user_manager.systemctl(*words, timeout=_STOPPING)
    if done.returncode:
        raise errors.Error(
            f"{verb} the heartbeat", done.stderr or done.stdout, f"Look at 'journalctl --user -u {UNIT}'"
        )
