# SPDX-License-Identifier: GPL-3.0-or-later
"""The table that setup ends with: an alert that would never come is known while somebody is there."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.wildberryeye.orchestrator.plugins.filter.readiness import readiness

ALERTS = {"problem": "wildberryeye_notify_urls, number 2 (tgram://…): apprise cannot understand it"}


def said(asked: str, **results: Any) -> dict[str, Any]:
    ready = {"wildberryeye_host_key_result": {}, "wildberryeye_check_result": {"msg": ""}}
    facts = {**ready, **{f"wildberryeye_{name}_result": result for name, result in results.items()}}
    return readiness(["object"], {"object": facts}, asked, ["all is there"])


@pytest.mark.parametrize(("asked", "words"), [("setup", "not ready"), ("remove", "not removed")])
def test_alerts_that_would_not_come_fail_it_by_name(asked: str, words: str) -> None:
    found = said(asked, alerts=ALERTS)
    assert found["failed"] and f"orchestrator  {words}" in found["table"]
    assert "alerts: wildberryeye_notify_urls, number 2 (tgram://…)" in found["table"]
    assert not said(asked, alerts={"problem": "", "msg": "alerts go by ntfy"})["failed"]
    assert not said(asked)["failed"]


def test_whatever_is_missing_on_the_orchestrator_is_said_all_at_once() -> None:
    table = said("setup", alerts=ALERTS, lingering={"rc": 1})["table"]
    assert "enable-linger" in table and "number 2" in table
