# SPDX-License-Identifier: GPL-3.0-or-later
"""Setting alerts up: a wrong URL is told at once, a secret is told to nobody, and a run that fails leaves a notice."""

from __future__ import annotations

import importlib.util
import json
import os
import stat
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.wildberryeye.orchestrator.plugins.action import alerts
from ansible_collections.wildberryeye.orchestrator.plugins.module_utils import alert, delivery, notices, user_manager
from unit.acting import action_for
from unit.sinks import SECRET, Web, free_port

NTFY = f"ntfy://{SECRET}"
PING = f"https://ping.example/{SECRET}"


class Home:
    """The home of the orchestrator's user."""

    def __init__(self, path: Path) -> None:
        self.config = path / ".config" / "wildberryeye" / "alerts.json"
        self.state = path / ".local" / "state" / "wildberryeye" / "alerts"

    def act(self, state: str, *urls: str, check: bool = False, **given: Any) -> dict[str, Any]:
        """Run the action as Ansible does."""
        action = action_for(alerts.ActionModule, check, state=state, notify_urls=list(urls), **given)
        found = dict(action.run(None, {}))
        assert SECRET not in json.dumps(found) and "\n" not in found["msg"]
        return found

    def kept(self) -> dict[str, Any]:
        return dict(json.loads(self.config.read_text()))

    def noticed(self) -> list[Any]:
        return [each.notice for each in notices.lying(str(self.state))]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Iterator[Home]:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("INVOCATION_ID", raising=False)
    yield Home(tmp_path)
    assert SECRET not in "".join(capfd.readouterr())


def test_urls_are_kept_where_nobody_else_can_read_them(home: Home) -> None:
    found = home.act("present", NTFY, "json://127.0.0.1", NTFY, ping_url=PING, gather=30)
    assert found["changed"] and not found["failed"] and found["services"] == ["ntfy", "JSON"]
    assert found["msg"] == "alerts go by ntfy, JSON; the ping is sent by the heartbeat"
    assert home.kept() == {"notify_urls": [NTFY, "json://127.0.0.1"], "ping_url": PING, "gather": 30}
    assert stat.S_IMODE(home.config.stat().st_mode) == 0o600 and notices.wanted(str(home.state))
    assert stat.S_IMODE(home.state.stat().st_mode) == 0o700
    assert not home.act("present", NTFY, "json://127.0.0.1", ping_url=PING, gather=30)["changed"]


def test_a_wrong_url_is_told_by_its_number_and_the_others_are_kept(home: Home) -> None:
    found = home.act("present", f"tgram://{SECRET}", NTFY)
    assert found["failed"] and found["msg"].startswith("wildberryeye_notify_urls, number 1 (tgram://…): apprise cannot")
    assert home.kept()["notify_urls"] == [NTFY]


def test_an_url_for_several_people_is_told_because_one_who_is_away_has_the_others_told_again(home: Home) -> None:
    found = home.act("present", NTFY, "mailtos://x:y@mail.example?to=me@lab.example,you@lab.example")
    assert found["failed"] and "number 2 (mailtos://…): it goes to 2. Write one URL for each" in found["msg"]
    assert len(home.kept()["notify_urls"]) == 2, "until that is done, it is better than nobody"


def test_a_ping_that_is_no_url_is_told(home: Home) -> None:
    assert "wildberryeye_ping_url: begin it with https://" in home.act("present", ping_url=SECRET)["msg"]


def test_check_mode_keeps_nothing(home: Home) -> None:
    assert home.act("present", NTFY, check=True)["changed"] and not home.config.exists() and not home.state.exists()
    home.act("present", NTFY)
    assert home.act("absent", check=True)["changed"] and home.config.exists() and home.state.exists()


@pytest.mark.parametrize("state", ["absent", "present"])
def test_without_urls_everything_is_forgotten(home: Home, state: str) -> None:
    assert not home.act(state)["changed"]
    home.act("present", NTFY, ping_url=PING)
    assert home.act(state)["changed"] and not home.config.exists() and not home.state.exists()
    assert not home.act(state)["changed"]


def test_a_ping_alone_needs_no_notices(home: Home) -> None:
    home.act("present", NTFY, ping_url=PING)
    assert home.act("present", ping_url=PING)["changed"] and not home.state.exists()
    assert home.kept()["ping_url"] == PING and not home.act("present", ping_url=PING)["changed"]


def test_without_apprise_it_says_what_to_do(home: Home, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    script = tmp_path / "deliver.py"
    script.write_text("raise SystemExit(3)")
    monkeypatch.setattr(alerts, "DELIVER", str(script))
    found = home.act("present", NTFY)
    assert found["failed"] and "pip install -r requirements.txt" in found["msg"] and sys.executable in found["msg"]
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert "NO ALERTS: apprise is not installed" in home.act("checked", NTFY)["msg"]
    # Who wants no alerts needs no apprise.
    assert not home.act("present", ping_url=PING)["failed"]


# --- what a start says ----------------------------------------------------------------------------


def test_a_start_says_in_a_line_if_no_alert_would_come(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    there = {"available": True, "installed": True}
    monkeypatch.setattr(user_manager, "available", lambda: there["available"])
    monkeypatch.setattr(user_manager, "installed", lambda unit: there["installed"])
    assert home.act("checked", NTFY)["msg"] == "NO ALERTS: the inventory has changed since. Run setup.yml"
    home.act("present", NTFY)
    assert home.act("checked", NTFY)["msg"] == ""
    assert "Run setup.yml" in home.act("checked", NTFY, ping_url=PING)["msg"]
    assert "Run setup.yml" in home.act("checked", "json://x")["msg"]
    for missing in there:
        there[missing] = False
        assert "nobody is there to send them" in home.act("checked", NTFY)["msg"]
        there[missing] = True
    home.config.write_text("{")
    assert "Run setup.yml" in home.act("checked", NTFY)["msg"]


# --- notices of a run -----------------------------------------------------------------------------

NOT_HOME = {"topic": "home/motion", "bad": True, "text": "its images are not home: x"}


def test_a_run_leaves_its_notices_and_says_that_it_came_to_its_end(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INVOCATION_ID", "abc")
    home.act("present", NTFY)
    home.act("noted", notices=[NOT_HOME], playbook="stop")
    first, last = home.noticed()
    assert (first.topic, first.bad, first.text) == ("home/motion", True, NOT_HOME["text"])
    assert (last.topic, last.bad, last.run) == (alert.run_topic("stop"), False, "abc")


def test_a_restart_which_no_timer_begins_says_nothing_of_a_timers_run(home: Home) -> None:
    home.act("present", NTFY)
    home.act("noted", notices=[NOT_HOME], playbook="restart")
    assert [each.topic for each in home.noticed()] == ["home/motion"]


def test_it_leaves_none_where_nobody_wants_any_and_in_check_mode(home: Home) -> None:
    home.act("noted", notices=[NOT_HOME], playbook="stop")
    assert not home.state.exists()
    home.act("present", NTFY)
    home.act("noted", notices=[NOT_HOME], playbook="stop", check=True)
    assert home.noticed() == []


# --- a test message -------------------------------------------------------------------------------


@pytest.fixture
def web() -> Iterator[Web]:
    sink = Web()
    yield sink
    sink.close()


def test_a_test_arrives_and_says_so(home: Home, web: Web) -> None:
    found = home.act("tested", web.url, ping_url=web.ping)
    assert not found["failed"] and found["changed"], found
    assert found["msg"] == "wildberryeye_notify_urls, number 1 (json://…): sent; wildberryeye_ping_url: answers"
    assert len(web.got) == 1 and "a test" in web.got[0]["title"] and len(web.asked) == 1
    assert not home.config.exists()


def test_a_test_names_what_it_did_not_reach(home: Home, web: Web) -> None:
    dead = f"json://x:{SECRET}@127.0.0.1:{free_port()}/"
    found = home.act("tested", web.url, dead, SECRET, ping_url=f"http://127.0.0.1:{free_port()}/{SECRET}")
    assert found["failed"] and len(web.got) == 1
    assert "number 2 (json://…): not delivered. Check it" in found["msg"] and "number 1" not in found["msg"]
    assert "number 3: apprise cannot understand it" in found["msg"]
    assert "wildberryeye_ping_url: no connection. Check it" in found["msg"]


def test_in_check_mode_nothing_is_sent(home: Home, web: Web) -> None:
    found = home.act("tested", web.url, ping_url=web.ping, check=True)
    assert found["msg"] == "a message would go by JSON" and web.got == [] and web.asked == []


def test_with_nothing_to_test_it_says_so(home: Home) -> None:
    assert "neither wildberryeye_notify_urls nor wildberryeye_ping_url is set" in home.act("tested")["msg"]


def test_apprise_that_does_not_answer_is_an_error_of_one_line(
    home: Home, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    script = tmp_path / "deliver.py"
    monkeypatch.setattr(alerts, "DELIVER", str(script))
    for code, words in (
        ("raise SystemExit(9)", "it ended with status 9, and without a word"),
        ("print('{}')", "ask apprise about wildberryeye_notify_urls"),
    ):
        script.write_text(code)
        assert words in home.act("present", NTFY)["msg"]
    script.write_text("import time; time.sleep(60)")
    monkeypatch.setattr(delivery, "TIMEOUT", 1)
    assert "no answer within 1 s" in home.act("present", NTFY)["msg"]
    assert os.path.exists(home.config) is False
