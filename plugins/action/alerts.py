# SPDX-License-Identifier: GPL-3.0-or-later
"""Keeps, checks and tries out where alerts go. In the controller's own process: no secret is copied anywhere."""

from __future__ import annotations

import importlib.util
import json
import os
import pathlib
import shutil
import socket
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from ansible_collections.wildberryeye.orchestrator.plugins.module_utils import (
    alert,
    delivery,
    durable,
    errors,
    notices,
    user_manager,
)
from ansible_collections.wildberryeye.orchestrator.plugins.module_utils.ping import Ping
from ansible_collections.wildberryeye.orchestrator.plugins.modules.alerts import ARGUMENTS
from ansible_collections.wildberryeye.orchestrator.plugins.plugin_utils.orchestrator_side import OrchestratorSideAction

DELIVER = str(pathlib.Path(__file__).parents[2] / "roles" / "alerts" / "files" / "deliver.py")
UNIT = "wildberryeye_alerts.path"
_MANUAL = "docs/alerts.md shows how it is written"


class ActionModule(OrchestratorSideAction):
    """See the module `alerts`."""

    arguments = ARGUMENTS

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Say what is wrong in any case: a play that goes on all the same takes `failed` away."""
        result = super().run(tmp, task_vars)
        return {**result, "problem": result["msg"] if result.get("failed") else ""}

    def tried(self, given: dict[str, Any]) -> str:
        return f"see to alerts ({given['state']})"

    def work(self, given: dict[str, Any]) -> dict[str, Any]:
        steps = {
            "present": self._present,
            "absent": self._absent,
            "checked": self._checked,
            "noted": self._noted,
            "tested": self._tested,
        }
        return steps[given["state"]](given)

    def _present(self, given: dict[str, Any]) -> dict[str, Any]:
        urls = _said(given)
        if not urls and not given["ping_url"]:
            return self._absent(given)
        found, wrong = _services(urls)
        content = {"notify_urls": list(found), "ping_url": given["ping_url"], "gather": given["gather"]}
        told = json.dumps(content).encode() + b"\n"
        config, state = _paths()
        news = durable.content(config) != told or bool(found) != notices.wanted(state)
        if news and not self._task.check_mode:
            durable.make_directories(os.path.dirname(config))
            with durable.replacing(config, 0o600) as file:
                file.write(told)
            if found:
                durable.make_directories(os.path.dirname(state))
                durable.make_directories(state, 0o700)
                durable.make_directories(notices.directory(state), 0o700)
            else:
                _forget(state)
        said = [f"alerts go by {', '.join(found.values())}"] if found else []
        said += ["the ping is sent by the heartbeat"] if given["ping_url"] else []
        wrong += _wrong_ping(given["ping_url"])
        return {
            "changed": news,
            "services": list(found.values()),
            "failed": bool(wrong),
            "msg": "; ".join(wrong or said),
        }

    def _absent(self, given: dict[str, Any]) -> dict[str, Any]:
        config, state = _paths()
        there = os.path.exists(config) or os.path.exists(state)
        if there and not self._task.check_mode:
            durable.remove(config)
            _forget(state)
        return {"changed": there, "services": [], "msg": "no alerts are sent" if there else ""}

    def _checked(self, given: dict[str, Any]) -> dict[str, Any]:
        urls = _said(given)
        config, state = _paths()
        missing = ""
        try:
            kept = alert.settings(json.loads(durable.content(config) or b"null"))
        except (ValueError, RecursionError):
            kept = None
        if urls and importlib.util.find_spec("apprise") is None:
            missing = f"{delivery.NoApprise().came_back}. To have it, {delivery.ADVICE}"
        elif kept is None or not set(kept["notify_urls"]) <= set(urls) or kept["ping_url"] != given["ping_url"]:
            missing = "the inventory has changed since. Run setup.yml"
        elif urls and not (notices.wanted(state) and user_manager.available() and user_manager.installed(UNIT)):
            missing = "nobody is there to send them. Run setup.yml"
        return {"changed": False, "msg": f"NO ALERTS: {missing}" if missing else ""}

    def _noted(self, given: dict[str, Any]) -> dict[str, Any]:
        _unused, state = _paths()
        if self._task.check_mode:
            return {"changed": False, "msg": ""}
        for each in given["notices"]:
            notices.put(state, each["topic"], bool(each["bad"]), str(each["text"]))
        if given["playbook"] != "restart":
            # The notice that systemd leaves of the same timer's run is superfluous from here on.
            run = os.environ.get("INVOCATION_ID", "")
            notices.put(state, alert.run_topic(given["playbook"]), False, "has run", run)
        return {"changed": False, "msg": ""}

    def _tested(self, given: dict[str, Any]) -> dict[str, Any]:
        urls = _said(given)
        if not urls and not given["ping_url"]:
            raise errors.Error(
                "send a test alert", "neither wildberryeye_notify_urls nor wildberryeye_ping_url is set", _MANUAL
            )
        found, wrong = _services(urls)
        wrong += _wrong_ping(given["ping_url"])
        if self._task.check_mode:
            return {
                "changed": False,
                "services": list(found.values()),
                "failed": bool(wrong),
                "msg": "; ".join(wrong) or f"a message would go by {', '.join(found.values()) or 'no service'}",
            }
        title = f"WildBerryEye {socket.gethostname()}: a test"
        body = "This is what an alert looks like. Nothing is wrong."
        with ThreadPoolExecutor() as pool:
            said = list(pool.map(lambda url: delivery.deliver(DELIVER, url, title, body, False), found))
        lines = []
        for url, words in zip(found, said, strict=True):
            line = f"{delivery.name(urls, urls.index(url))}: {words or 'sent'}"
            lines.append(line)
            wrong += [f"{line}. Check it, and the network"] if words else []
        if given["ping_url"] and not _wrong_ping(given["ping_url"]):
            failed = Ping.ask(given["ping_url"])
            lines.append(f"wildberryeye_ping_url: {failed or 'answers'}")
            wrong += [f"{lines[-1]}. Check it, and the network"] if failed else []
        return {
            "changed": bool(found),
            "services": list(found.values()),
            "failed": bool(wrong),
            "msg": "; ".join(wrong or lines),
        }


def _said(given: dict[str, Any]) -> list[str]:
    """Return the URLs that are there, in order, each of them once."""
    return list(dict.fromkeys(url.strip() for url in given["notify_urls"] if url.strip()))


def _services(urls: list[str]) -> tuple[dict[str, str], list[str]]:
    """Return URL to service of those that can be understood, and a line for each that is to be written otherwise."""
    if not urls:
        return {}, []
    services = delivery.services(DELIVER, urls)
    wrong = [
        f"{delivery.name(urls, number)}: "
        + (
            f"apprise cannot understand it ({_MANUAL})"
            if found is None
            else f"it goes to {found.recipients}. Write one URL for each: when one of them cannot be reached, it is "
            "tried again, and the others would get the same alert each time"
        )
        for number, found in enumerate(services)
        if found is None or found.recipients > 1
    ]
    return {url: found.name for url, found in zip(urls, services, strict=True) if found is not None}, wrong


def _wrong_ping(url: str) -> list[str]:
    return (
        [] if not url or url.startswith(("http://", "https://")) else ["wildberryeye_ping_url: begin it with https://"]
    )


def _paths() -> tuple[str, str]:
    return os.path.expanduser(notices.CONFIG), os.path.expanduser(notices.STATE)


def _forget(state: str) -> None:
    if os.path.isdir(state):
        shutil.rmtree(state)
