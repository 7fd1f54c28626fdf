# SPDX-License-Identifier: GPL-3.0-or-later
"""A filter that says whether all is set up, and what is missing."""

from __future__ import annotations

import getpass
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from ansible_collections.wildberryeye.orchestrator.plugins.module_utils import failure

_GIVEN_UP = "or leave on it what is there: -e wildberryeye_camera_sudo=true -e wildberryeye_limit_camera_port=false"
_Row = tuple[bool, str, list[str]]
"""Whether it failed, its outcome, and lines that say what to do."""


def readiness(
    cameras: Iterable[str], hostvars: Mapping[str, Mapping[str, Any]], asked: str, words: Sequence[str]
) -> dict[str, Any]:
    """Return whether the run failed, and the table that a person reads last.

    Args:
        cameras: those of the play.
        hostvars: what the roles have registered for each.
        asked: ``setup`` or ``remove``.
        words: what is said of an orchestrator that is as asked, line by line.
    """
    found = {camera: hostvars[camera] for camera in cameras}
    camera_row = _set_up if asked == "setup" else _removed
    rows = {camera: camera_row(facts) for camera, facts in found.items()}
    rows["orchestrator"] = _orchestrator(next(iter(found.values())), asked, words)
    return {"failed": any(row[0] for row in rows.values()), "table": _table(rows)}


def _set_up(facts: Mapping[str, Any]) -> _Row:
    key = facts.get("wildberryeye_host_key_result") or {}
    check = facts.get("wildberryeye_check_result") or {}
    if key.get("failed"):
        return True, "not ready", [failure.in_one_line(key)]
    # What could not be given or taken, before what is missing for that.
    access = [str(facts["wildberryeye_access_failure"])] if "wildberryeye_access_failure" in facts else []
    if check.get("failed"):
        found = list(check.get("problems") or [failure.in_one_line(check)])
        return True, "not ready", [*(line for line in access if line not in found), *found]
    if access:
        return True, "not ready", access
    if check.get("skipped", not check):
        return False, "not checked", ["it is looked at once its host key is pinned"]
    return False, "ready", []


def _removed(facts: Mapping[str, Any]) -> _Row:
    key = facts.get("wildberryeye_host_key_result") or {}
    if key.get("failed"):
        return True, "not removed", [failure.in_one_line(key)]
    if "wildberryeye_access_failure" in facts:
        return True, "not removed", [str(facts["wildberryeye_access_failure"]), _GIVEN_UP]
    return False, "removed", []


def _orchestrator(facts: Mapping[str, Any], asked: str, words: Sequence[str]) -> _Row:
    wrong = []
    if (facts.get("wildberryeye_lingering_result") or {}).get("rc"):
        user = getpass.getuser()
        if asked == "setup":
            advice = f"run 'sudo loginctl enable-linger {user}', then setup.yml again"
            wrong.append(f"timers and heartbeat end when {user} logs out: {advice}")
        else:
            wrong.append(f"lingering is still on: run 'sudo loginctl disable-linger {user}'")
    if "wildberryeye_live_page_failure" in facts:
        wrong.append(str(facts["wildberryeye_live_page_failure"]))
    alerts = facts.get("wildberryeye_alerts_result") or {}
    if alerts.get("problem"):
        wrong.append(f"alerts: {alerts['problem']}")
    if wrong:
        return True, {"setup": "not ready", "remove": "not removed"}[asked], wrong
    if facts.get("ansible_check_mode"):
        return False, "checked", ["nothing was changed; the lines above say what would be"]
    return False, {"setup": "ready", "remove": "removed"}[asked], list(words)


def _table(rows: Mapping[str, _Row]) -> str:
    lines = [("camera", "outcome", "next")]
    for name, (_unused, outcome, words) in rows.items():
        # One line for each thing to do, below the first.
        lines += [
            (name if number == 0 else "", outcome if number == 0 else "", text)
            for number, text in enumerate(words or [""])
        ]
    widths = [max(len(line[column]) for line in lines) for column in range(2)]
    return "\n".join(f"{name:<{widths[0]}}  {said:<{widths[1]}}  {text}".rstrip() for name, said, text in lines)


class FilterModule:
    """The filters by name."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"readiness": readiness}
