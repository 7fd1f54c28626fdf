# SPDX-License-Identifier: GPL-3.0-or-later
"""Starting and ending the heartbeat: it is told what it needs, and a start never fails for want of systemd."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.wildberryeye.orchestrator.plugins.action import heartbeat
from ansible_collections.wildberryeye.orchestrator.plugins.module_utils import user_manager
from unit.acting import action_for
from unit.support import tree

UNIT = heartbeat.UNIT
CONFIG: dict[str, Any] = {
    "data_dir": "/the data",
    "interval": 60,
    "timeout": 15,
    "failures": 3,
    "cameras": {"object": {"port": 5000}},
}
# Notes what it is asked, knows whether the unit runs, and fails where it is told to.
FAKE = """#!/bin/sh
shift 2
echo "$*" >>"$HOME/asked"
case "$1" in
show) cat "$HOME/state" ;;
start | restart) echo active >"$HOME/state" ;;
stop) echo inactive >"$HOME/state" ;;
esac
eval "$(cat "$HOME/answer-$1" 2>/dev/null)"
"""


class Home:
    """The home of a user, with a systemd of its own."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.config = path / ".config" / "wildberryeye" / "heartbeat.json"
        self.passing = path / "run" / "systemd" / "user" / UNIT
        (path / "bin").mkdir()
        (path / "bin" / "systemctl").write_text(FAKE)
        (path / "bin" / "systemctl").chmod(0o755)
        (path / "run" / "systemd").mkdir(parents=True)
        (path / "run" / "systemd" / "private").touch()
        self.is_("inactive")

    def is_(self, state: str) -> None:
        """Have the unit in this state."""
        (self.path / "state").write_text(f"{state}\n")

    def set_up(self) -> None:
        """Do what setup.yml does."""
        path = self.path / ".config" / "systemd" / "user" / UNIT
        path.parent.mkdir(parents=True)
        path.touch()

    def answers(self, verb: str, script: str) -> None:
        (self.path / f"answer-{verb}").write_text(script)

    def without_a_manager(self) -> None:
        (self.path / "run" / "systemd" / "private").unlink()

    def asked(self) -> list[str]:
        """What systemctl was asked for since the last time, but for the state."""
        path = self.path / "asked"
        lines = path.read_text().splitlines() if path.exists() else []
        path.write_text("")
        return [line for line in lines if not line.startswith("show ")]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:{os.environ['PATH']}")
    monkeypatch.setattr(user_manager, "_runtime_dir", lambda: f"{tmp_path}/run")
    return Home(tmp_path)


def act(state: str, check: bool = False, **given: Any) -> dict[str, Any]:
    """Run the action as Ansible does; what it says is one line."""
    result = action_for(heartbeat.ActionModule, check, state=state, **given).run(None, {})
    assert result["msg"] and "\n" not in result["msg"] and "Traceback" not in result["msg"]
    return dict(result)


def start(check: bool = False, **changed: Any) -> dict[str, Any]:
    return act("started", check, config={**CONFIG, **changed}, unit="[Service]\n")


def test_a_start_writes_what_the_heartbeat_is_told_and_starts_it(home: Home) -> None:
    home.set_up()
    result = start()
    assert (result["changed"], result["watching"], result["msg"]) == (True, True, "the heartbeat watches")
    assert json.loads(home.config.read_text()) == CONFIG and home.asked() == [f"start {UNIT}"]
    assert not home.passing.exists()


def test_a_second_start_changes_nothing_and_leaves_the_heartbeat_at_its_work(home: Home) -> None:
    home.set_up()
    start()
    home.asked()
    before = tree(home.path / ".config")
    written = home.config.stat().st_mtime_ns
    result = start()
    assert (result["changed"], result["watching"]) == (False, True) and home.asked() == []
    assert tree(home.path / ".config") == before and home.config.stat().st_mtime_ns == written


@pytest.mark.parametrize("check", [False, True])
@pytest.mark.parametrize(
    ("setting", "value", "said"),
    [
        ("interval", 3600, "wildberryeye_heartbeat_interval is 3600: set it to 1 to 3599 seconds"),
        ("timeout", 0, "wildberryeye_heartbeat_timeout is 0: set it to 1 to 3599 seconds"),
        ("failures", 0, "wildberryeye_heartbeat_failures is 0: set it to 1 or more"),
    ],
)
def test_a_setting_that_no_heartbeat_can_work_with_is_named_and_the_one_that_watches_goes_on(
    home: Home, setting: str, value: int, said: str, check: bool
) -> None:
    home.set_up()
    start()
    home.asked()
    result = start(check, **{setting: value})
    assert result["failed"] and result["msg"] == said
    assert json.loads(home.config.read_text()) == CONFIG and home.asked() == []


@pytest.mark.parametrize("state", ["active", "activating", "reloading", "deactivating"])
def test_one_that_runs_is_begun_again_when_what_it_is_told_has_changed(home: Home, state: str) -> None:
    home.set_up()
    start()
    home.asked()
    home.is_(state)
    result = start(interval=30)
    assert result["changed"] and result["watching"] and home.asked() == [f"restart {UNIT}"]
    assert json.loads(home.config.read_text())["interval"] == 30


@pytest.mark.parametrize("state", ["inactive", "failed", ""])
def test_one_that_has_ended_is_started_though_it_is_told_nothing_new(home: Home, state: str) -> None:
    home.set_up()
    start()
    home.asked()
    home.is_(state)
    result = start()
    assert result["changed"] and result["watching"] and home.asked() == [f"start {UNIT}"]


def test_without_a_setup_it_is_started_until_the_next_boot_and_that_is_said(home: Home) -> None:
    result = start()
    assert result["watching"] and "only until the next boot" in result["msg"] and "setup.yml" in result["msg"]
    assert home.passing.read_text() == "[Service]\n"
    assert home.asked() == ["daemon-reload", f"start {UNIT}"]
    start()
    assert home.asked() == []
    assert "only until the next boot" in start()["msg"]


def test_without_a_manager_of_that_user_the_start_goes_on_and_says_that_nobody_watches(home: Home) -> None:
    home.without_a_manager()
    result = start()
    assert not result.get("failed") and result["watching"] is False and result["msg"].startswith("NOT watched")
    assert json.loads(home.config.read_text()) == CONFIG  # for the heartbeat of the next boot
    assert home.asked() == [] and not home.passing.exists()


@pytest.mark.parametrize("state", ["started", "renewed", "stopped"])
@pytest.mark.parametrize("running", [False, True])
def test_in_check_mode_nothing_is_written_started_or_ended(home: Home, state: str, running: bool) -> None:
    home.set_up()
    home.is_("active" if running else "inactive")
    before = tree(home.path / ".config")
    result = act(state, check=True, config=CONFIG, unit="x")
    assert result["changed"] == (running or state == "started") and home.asked() == []
    assert tree(home.path / ".config") == before and not home.passing.exists()
    assert "would" in result["msg"] or not running


def test_in_check_mode_what_is_there_already_is_no_change(home: Home) -> None:
    home.set_up()
    start()
    assert start(check=True)["changed"] is False and start(check=True, interval=7)["changed"] is True


def test_a_stop_ends_it_and_a_second_one_finds_nothing_to_do(home: Home) -> None:
    home.set_up()
    start()
    home.asked()
    result = act("stopped")
    assert (result["changed"], result["watching"], home.asked()) == (True, False, [f"stop {UNIT}"])
    result = act("stopped")
    assert (result["changed"], result["watching"], home.asked()) == (False, False, [])


def test_one_that_has_others_to_watch_looks_again_at_once(home: Home) -> None:
    home.set_up()
    assert act("renewed")["changed"] is False and home.asked() == []
    start()
    home.asked()
    result = act("renewed")
    assert (result["changed"], result["watching"], home.asked()) == (True, True, [f"restart {UNIT}"])


def test_a_stop_where_there_was_never_a_heartbeat_asks_nobody(home: Home) -> None:
    home.is_("active")
    assert act("stopped")["changed"] is False
    home.set_up()
    home.without_a_manager()
    assert act("stopped")["watching"] is False
    assert not (home.path / "asked").exists()


@pytest.mark.parametrize(
    ("verb", "state"), [("start", "started"), ("daemon-reload", "started"), ("stop", "stopped"), ("restart", "renewed")]
)
def test_a_systemd_that_refuses_is_a_failure_of_one_line(home: Home, verb: str, state: str) -> None:
    if verb != "daemon-reload":
        home.set_up()
    home.is_("active" if state != "started" else "inactive")
    home.answers(verb, "echo Unit is masked >&2; echo and more >&2; exit 1")
    result = act(state, config=CONFIG, unit="x")
    assert result["failed"] and result["msg"].startswith(f"{verb} the heartbeat: Unit is masked and more. ")
    assert "journalctl --user" in result["msg"] and not result.get("watching")


def test_a_systemd_that_hangs_is_a_failure_of_one_line(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    home.set_up()
    home.answers("start", "exec sleep 60")
    monkeypatch.setattr(heartbeat, "_STOPPING", 0.3)
    result = start()
    assert result["failed"] and "did not end within 0.3 s" in result["msg"]


def test_a_home_that_cannot_be_written_to_is_a_failure_of_one_line(home: Home) -> None:
    home.set_up()
    home.config.mkdir(parents=True)
    result = start()
    assert result["failed"] and result["msg"].startswith("started the heartbeat: Is a directory")
    assert home.asked() == []


def test_what_it_is_told_is_whole_or_not_there_and_nobody_else_may_write_it(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    home.set_up()
    start()
    before = home.config.read_bytes()
    assert not stat.S_IMODE(home.config.stat().st_mode) & 0o022
    assert not stat.S_IMODE(home.config.parent.stat().st_mode) & 0o022

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as full:
        full.setattr(os, "fsync", fail)
        result = start(interval=99)
    assert result["failed"] and "No space left on device" in result["msg"]
    assert home.config.read_bytes() == before and os.listdir(home.config.parent) == [home.config.name]
