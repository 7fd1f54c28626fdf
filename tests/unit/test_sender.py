# SPDX-License-Identifier: GPL-3.0-or-later
"""Alerts arrive: by mail and by web, once, later if there is no way now, and with no secret in any log."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.wildberryeye.orchestrator.plugins.module_utils import alert, delivery, notices
from lab.emulated import wait_for
from unit.sinks import SECRET, Mail, Web, free_port
from unit.support import ROOT

FILES = ROOT / "roles" / "alerts" / "files"
PYTHONPATH = {"PYTHONPATH": str(ROOT / "collections"), "PYTHONDONTWRITEBYTECODE": "1"}


class Orchestrator:
    """A home with alerts set up, and their sender as systemd starts it."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.config = home / "alerts.json"
        self.state = str(home / "alerts")
        os.makedirs(notices.directory(self.state))
        self.log = home / "journal"
        self.process: subprocess.Popen[bytes] | None = None
        self.files = FILES

    def settings(self, *urls: str, gather: float = 0.1) -> None:
        self.config.write_text(json.dumps({"notify_urls": urls, "ping_url": "", "gather": gather}))

    def notice(self, topic: str = "camera/motion", bad: bool = True, text: str = "does not record") -> None:
        assert notices.put(self.state, topic, bad, text)

    def send(self) -> subprocess.Popen[bytes]:
        """Start the sender."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, str(self.files / "sender.py"), str(self.config), self.state],
                env={**os.environ, **PYTHONPATH},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        return self.process

    def sent(self, within: float = 20) -> str:
        """Have all of it sent, to the sender's end; return what it said."""
        assert self.send().wait(within) == 0
        return self.said()

    def said(self) -> str:
        return self.log.read_text() if self.log.exists() else ""

    def desk(self) -> alert.Desk:
        return alert.Desk.read((Path(self.state) / "desk.json").read_bytes())

    def hurried(self, **changes: str) -> None:
        """Use copies of the scripts with some text changed: minutes are too long for a test."""
        self.files = self.home / "files"
        self.files.mkdir()
        for name in ("sender.py", "deliver.py"):
            text = (FILES / name).read_text()
            for old, new in {"AGAIN = (60.0, 120.0, 300.0, 600.0, 900.0)": "AGAIN = (0.3,)", **changes}.items():
                text = text.replace(old, new)
            (self.files / name).write_text(text)


@pytest.fixture
def orchestrator(tmp_path: Path) -> Iterator[Orchestrator]:
    found = Orchestrator(tmp_path)
    yield found
    if found.process is not None and found.process.poll() is None:
        found.process.kill()
        found.process.wait()
    # Whatever a test is about.
    said = found.said()
    assert SECRET not in said and "Traceback" not in said
    for path in Path(found.state).rglob("*"):
        assert not path.is_file() or (SECRET.encode() not in path.read_bytes() and not path.stat().st_mode & 0o077)


@pytest.fixture
def web() -> Iterator[Web]:
    sink = Web()
    yield sink
    sink.close()


@pytest.fixture
def mail() -> Iterator[Mail]:
    sink = Mail()
    yield sink
    sink.close()


# --- it arrives -----------------------------------------------------------------------------------


def test_an_alert_arrives_by_mail_and_by_web_once(orchestrator: Orchestrator, mail: Mail, web: Web) -> None:
    orchestrator.settings(mail.url, web.url)
    orchestrator.notice()
    said = orchestrator.sent()
    (letter,) = mail.got
    assert letter["To"] == "me@lab.example" and letter["Subject"].endswith("trouble: motion")
    assert "motion: does not record" in letter.get_body().get_content()  # type: ignore[union-attr]
    (post,) = web.got
    assert post["type"] == "warning" and "motion: does not record" in post["message"]
    assert said.count("sent 'WildBerryEye") == 2 and "wildberryeye_notify_urls, number 1 (mailto://…)" in said
    orchestrator.notice()
    orchestrator.sent()
    assert len(mail.got) == len(web.got) == 1
    assert notices.lying(orchestrator.state) == []


def test_several_cameras_are_one_message_and_that_they_are_back_another(orchestrator: Orchestrator, web: Web) -> None:
    orchestrator.settings(web.url)
    for bad in (True, False):
        for name in ("object", "motion"):
            orchestrator.notice(f"camera/{name}", bad, "out of reach" if bad else "records again")
        orchestrator.sent()
    first, second = web.got
    assert first["title"].endswith("trouble: object, motion") and second["title"].endswith("well again: object, motion")
    assert second["type"] == "success" and len(first["message"].splitlines()) == 2


def test_all_that_waited_for_a_day_arrives_where_a_message_may_not_be_long(orchestrator: Orchestrator) -> None:
    strict = Web(most=4200)
    try:
        orchestrator.settings(f"mmost://127.0.0.1:{strict.port}/{SECRET.replace('-', '')}")
        for number in range(60):
            orchestrator.notice(
                f"camera/camera{number}", text=f"is out of reach, for 10 min: {'no route to host; ' * 6}"
            )
        orchestrator.sent()
        said = "\n".join(each["text"] for each in strict.got)
        assert len(strict.got) > 1 and all(f"camera{number}: is out" in said for number in range(60))
    finally:
        strict.close()


def test_what_comes_while_it_waits_goes_with_it(orchestrator: Orchestrator, web: Web) -> None:
    orchestrator.settings(web.url, gather=2)
    orchestrator.notice("camera/object")
    orchestrator.send()
    time.sleep(0.5)
    orchestrator.notice("camera/motion")
    assert orchestrator.process is not None and orchestrator.process.wait(10) == 0
    assert len(web.got) == 1 and len(web.texts()[0].splitlines()) == 2


def test_what_stands_in_a_message_is_text_and_no_markup(orchestrator: Orchestrator, mail: Mail, web: Web) -> None:
    orchestrator.settings(mail.url, web.url)
    orchestrator.notice(text="<b onclick='x()'>hello</b> {{ 7*7 }} %(x)s *bold* \\n")
    orchestrator.sent()
    assert "<b onclick='x()'>hello</b> {{ 7*7 }} %(x)s *bold* \\n" in web.texts()[0]
    html = mail.got[0].get_body(("html",))
    assert "onclick='x()'>hello</b>" not in (html.get_content() if html else "")


def test_without_alerts_nothing_is_left_and_nothing_is_sent(orchestrator: Orchestrator, tmp_path: Path) -> None:
    nobody = str(tmp_path / "nobody")
    assert not notices.put(nobody, "camera/motion", True) and not os.path.exists(nobody)
    orchestrator.state = nobody
    assert orchestrator.sent() == ""


def test_apprise_takes_memory_only_while_it_sends(orchestrator: Orchestrator) -> None:
    orchestrator.settings(f"json://127.0.0.1:{free_port()}/")
    orchestrator.notice()
    process = orchestrator.send()
    wait_for(lambda: "not delivered" in orchestrator.said())
    maps = Path(f"/proc/{process.pid}/status").read_text()
    peak = int(next(line for line in maps.splitlines() if line.startswith("VmHWM")).split()[1])
    assert peak < 25_000, f"{peak} kB"


# --- there is no way now --------------------------------------------------------------------------


def test_what_cannot_be_delivered_arrives_later_and_no_other_waits_for_it(orchestrator: Orchestrator, web: Web) -> None:
    orchestrator.hurried()
    port = free_port()
    orchestrator.settings(f"json://x:{SECRET}@127.0.0.1:{port}/", web.url)
    orchestrator.notice()
    orchestrator.send()
    wait_for(lambda: web.got)
    time.sleep(1)
    assert orchestrator.said().count("not delivered. It is tried again; this is said once") == 1
    late = Web(port)
    try:
        assert orchestrator.process is not None and orchestrator.process.wait(10) == 0
        assert late.texts() == web.texts() and len(late.got) == len(web.got) == 1
    finally:
        late.close()


def test_what_was_not_delivered_before_a_power_cut_is_delivered_after_it(orchestrator: Orchestrator) -> None:
    port = free_port()
    orchestrator.settings(f"json://127.0.0.1:{port}/")
    orchestrator.notice()
    process = orchestrator.send()
    wait_for(lambda: "not delivered" in orchestrator.said())
    process.kill()
    process.wait()
    # The notice is gone: the boot starts it.
    assert notices.lying(orchestrator.state) == []
    late = Web(port)
    try:
        orchestrator.sent()
        assert len(late.got) == 1 and "motion: does not record" in late.texts()[0]
    finally:
        late.close()


def test_a_sink_that_hangs_is_given_up_and_the_other_gets_its_message(orchestrator: Orchestrator, web: Web) -> None:
    hanging = Web(hangs=True)
    try:
        orchestrator.hurried()
        orchestrator.settings(f"{hanging.url}?rto=60", web.url)
        sender = (orchestrator.files / "sender.py").read_text()
        impatient = sender.replace("body, bad)", "body, bad, 2)")
        assert impatient != sender
        (orchestrator.files / "sender.py").write_text(impatient)
        orchestrator.notice()
        began = time.monotonic()
        orchestrator.send()
        wait_for(lambda: web.got, 15)
        assert time.monotonic() - began < 10
        assert "no answer within 2 s. It is tried again" in orchestrator.said()
    finally:
        hanging.close()


def test_a_sink_that_refuses_is_named_with_its_status_and_without_its_secret(orchestrator: Orchestrator) -> None:
    refusing = Web(status=403)
    try:
        orchestrator.hurried()
        orchestrator.settings(refusing.url)
        orchestrator.notice()
        orchestrator.send()
        wait_for(lambda: len(refusing.tries) > 3, 20)
        assert orchestrator.said().count("refused with HTTP 403. It is tried again; this is said once") == 1
        refusing.status = 200
        assert orchestrator.process is not None and orchestrator.process.wait(10) == 0
        assert "wildberryeye_notify_urls, number 1 (json://…): sent" in orchestrator.said() and len(refusing.got) == 1
    finally:
        refusing.close()


def test_a_sink_that_refuses_is_not_asked_all_the_time(orchestrator: Orchestrator) -> None:
    refusing = Web(status=500)
    try:
        orchestrator.hurried(**{"AGAIN = (0.3,)": "AGAIN = (1.0, 3.0)"})
        orchestrator.settings(refusing.url)
        orchestrator.notice()
        orchestrator.send()
        wait_for(lambda: len(refusing.tries) > 2, 20)
        first, second, third = refusing.tries[:3]
        assert second - first >= 1 and third - second >= 3
    finally:
        refusing.close()


def test_without_apprise_the_reason_is_said_in_one_line(orchestrator: Orchestrator) -> None:
    orchestrator.hurried(**{"import apprise\n": "raise ImportError\n"})
    orchestrator.settings(f"json://127.0.0.1:{free_port()}/{SECRET}")
    orchestrator.notice()
    orchestrator.send()
    wait_for(lambda: "apprise is not installed in" in orchestrator.said())
    time.sleep(0.5)
    assert orchestrator.said().count("\n") == 1


# --- what could go wrong --------------------------------------------------------------------------


def test_two_senders_send_nothing_twice(orchestrator: Orchestrator, web: Web) -> None:
    orchestrator.settings(web.url, gather=1)
    orchestrator.notice()
    first = orchestrator.send()
    time.sleep(0.5)
    assert orchestrator.send().wait(5) == 0 and "another one is sending them" in orchestrator.said()
    assert first.wait(10) == 0 and len(web.got) == 1


def test_a_desk_that_is_torn_costs_no_alert(orchestrator: Orchestrator, web: Web) -> None:
    orchestrator.settings(web.url)
    path = Path(orchestrator.state) / "desk.json"
    path.touch(0o600)
    path.write_text("{")
    orchestrator.notice()
    assert "what was told before is not known any more" in orchestrator.sent() and len(web.got) == 1


@pytest.mark.parametrize("content", [b"", b"{", b"[" * 100_000, b"\xff", b"[]"])
def test_a_notice_that_is_torn_goes_and_costs_no_other(orchestrator: Orchestrator, web: Web, content: bytes) -> None:
    orchestrator.settings(web.url)
    path = Path(notices.directory(orchestrator.state)) / "00000000000000000001-1-1.json"
    path.touch(0o600)
    path.write_bytes(content)
    orchestrator.notice()
    orchestrator.sent()
    assert len(web.got) == 1 and notices.lying(orchestrator.state) == []


@pytest.mark.parametrize("content", [None, b"{", b"[" * 100_000, b'{"notify_urls": [7]}'])
def test_settings_that_are_missing_or_torn_are_said_once(orchestrator: Orchestrator, content: bytes | None) -> None:
    orchestrator.hurried(**{'"gather": 60.0': '"gather": 0.1'})
    if content is not None:
        orchestrator.config.write_bytes(content)
    orchestrator.notice()
    said = orchestrator.sent()
    assert said == f"{orchestrator.config} is missing, or torn: run setup.yml\n"


def test_notices_are_bounded_where_nobody_takes_them(orchestrator: Orchestrator) -> None:
    for number in range(notices.MOST + 20):
        orchestrator.notice(f"camera/{number}")
    found = notices.lying(orchestrator.state)
    assert len(found) == notices.MOST
    last = found[-1].notice
    assert last is not None and last.topic == f"camera/{notices.MOST + 19}"
    modes = {stat.S_IMODE(os.stat(each.path).st_mode) for each in found}
    assert modes == {0o600} and [path.name for path in Path(orchestrator.state).iterdir()] == ["notices"]


def test_a_notice_that_cannot_be_written_leaves_nothing_half_written(
    orchestrator: Orchestrator, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        notices.put(orchestrator.state, "camera/motion", True)
    assert [path.name for path in Path(orchestrator.state).rglob("*")] == ["notices"]


# --- how a run of a timer ended -------------------------------------------------------------------


def ended(orchestrator: Orchestrator, **said: str) -> list[Any]:
    """What is noticed when systemd says this of a run's end."""
    command = [sys.executable, str(FILES / "run_ended.py"), orchestrator.state, "stop", "wildberryeye_stop_experiment"]
    environment = {**PYTHONPATH, "INVOCATION_ID": "abc", **said}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout + done.stderr == ""
    return [each.notice for each in notices.lying(orchestrator.state)]


def test_a_run_that_fails_before_its_end_is_noticed_with_its_status(orchestrator: Orchestrator) -> None:
    (found,) = ended(orchestrator, SERVICE_RESULT="exit-code", EXIT_CODE="exited", EXIT_STATUS="4")
    assert (found.topic, found.bad, found.run) == (alert.run_topic("stop"), True, "abc")
    assert "(exited 4)" in found.text and "journalctl --user -u wildberryeye_stop_experiment" in found.text


def test_a_run_that_could_not_even_be_started_is_noticed(orchestrator: Orchestrator) -> None:
    (found,) = ended(orchestrator, SERVICE_RESULT="resources")
    assert found.bad and "(resources)" in found.text


def test_a_run_that_succeeded_is_well_and_one_that_had_to_end_is_neither(orchestrator: Orchestrator) -> None:
    assert ended(orchestrator, SERVICE_RESULT="success", EXIT_CODE="killed", EXIT_STATUS="TERM") == []
    (found,) = ended(orchestrator, SERVICE_RESULT="success", EXIT_CODE="exited", EXIT_STATUS="0")
    assert not found.bad


# --- what URLs are called -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("ntfy://topic", "number 1 (ntfy://…)"),
        (f"{SECRET}", "number 1"),
        (f"{SECRET}://x", "number 1"),
        ("", "number 1"),
        ("a" * 40 + "://x", "number 1"),
    ],
)
def test_an_url_is_called_by_its_number_and_kind_alone(url: str, name: str) -> None:
    assert delivery.name([url], 0) == f"wildberryeye_notify_urls, {name}"


def test_what_apprise_understands_is_told_by_the_names_of_services() -> None:
    urls = [f"ntfy://{SECRET}", f"tgram://{SECRET}", SECRET, "json://127.0.0.1"]
    assert delivery.services(str(FILES / "deliver.py"), urls) == [("ntfy", 1), None, None, ("JSON", 1)]
