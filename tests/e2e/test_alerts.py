# SPDX-License-Identifier: GPL-3.0-or-later
"""Alerts from a whole station: they reach people by web and by mail, once, also at night and after an outage."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from typing import Any

import pytest

from e2e.station import Station
from e2e.timers import START, STOP, Timers
from e2e.watching import HEARTBEAT, told
from lab import wait_until

SECRET = "hunter2-s3cret"
WEB, MAIL = 18025, 18026
SINK = f"""
import http.server, json, socketserver, threading, time
from email import message_from_bytes, policy
from pathlib import Path

def note(kind, **what):
    with open(Path.home() / "sink.jsonl", "a") as file:
        print(json.dumps({{"at": time.time(), "kind": kind, **what}}), file=file)

class Web(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        note("web", **json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.do_GET()

    def do_GET(self):
        if self.command == "GET":
            note("ping")
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_):
        pass

class Mail(socketserver.StreamRequestHandler):
    def say(self, line):
        self.wfile.write(line.encode() + b"\\r\\n")

    def handle(self):
        self.say("220 sink")
        while line := self.rfile.readline().strip().upper():
            if line == b"DATA":
                self.say("354 go on")
                lines = iter(self.rfile.readline, b".\\r\\n")
                message = message_from_bytes(b"".join(lines), policy=policy.default)
                note("mail", title=message["Subject"], message=message.get_body().get_content())
            self.say("221 bye" if line == b"QUIT" else "250 yes")
            if line == b"QUIT":
                return

# The next test's sink takes the ports while connections of this one's still fade.
socketserver.ThreadingTCPServer.allow_reuse_address = True
mail = socketserver.ThreadingTCPServer(("127.0.0.1", {MAIL}), Mail)
threading.Thread(target=mail.serve_forever, daemon=True).start()
http.server.ThreadingHTTPServer(("127.0.0.1", {WEB}), Web).serve_forever()
"""
URLS = [
    f"json://field:{SECRET}@127.0.0.1:{WEB}/{SECRET}",
    f"mailto://127.0.0.1:{MAIL}?smtp=127.0.0.1&mode=insecure&from=station@field.example&to=me@lab.example",
]
SETTINGS = {**HEARTBEAT, "wildberryeye_notify_urls": URLS, "wildberryeye_ping_url": f"http://127.0.0.1:{WEB}/{SECRET}"}

pytestmark = pytest.mark.ci


class People:
    """Whoever is told, on the orchestrator's own loopback."""

    def __init__(self, station: Station) -> None:
        self.station = station
        self.host = station.orchestrator

    def listen(self) -> None:
        """Have a mail server and a web server, as a unit of the user."""
        ready = ["systemctl", "--user", "is-active", "--quiet", "default.target"]
        manager = lambda: self.host.exec(*ready, user="decim", check=False).returncode == 0  # noqa: E731
        wait_until(manager, "the user's systemd is up", 20)
        self.host.exec("sh", "-c", "cat >~/sink.py", user="decim", input=SINK)
        self.host.exec(
            *("systemd-run", "--user", "--unit=sink", "--quiet", "--", self._python(), "/home/decim/sink.py"),
            user="decim",
        )
        probe = f"exec 3<>/dev/tcp/127.0.0.1/{WEB}"
        up = lambda: self.host.exec("bash", "-c", probe, check=False).returncode == 0  # noqa: E731
        wait_until(up, "the sinks listen", 10)

    def deaf(self) -> None:
        self.host.exec("systemctl", "--user", "stop", "sink", user="decim", check=False)

    def got(self, kind: str = "web", word: str = "") -> list[dict[str, Any]]:
        """What has arrived, and has `word` in its text."""
        said = self.host.exec("sh", "-c", "cat ~/sink.jsonl 2>/dev/null", user="decim", check=False).stdout
        found = [json.loads(line) for line in said.splitlines()]
        return [each for each in found if each["kind"] == kind and word in each.get("message", "")]

    def waits_for(self, word: str, timeout: float, count: int = 1) -> list[dict[str, Any]]:
        wait_until(lambda: len(self.got("web", word)) >= count, f"'{word}' arrives", timeout, 0.5)
        return self.got("web", word)

    def assert_no_secret(self) -> None:
        """No secret is in any journal, any result, or any file but the two that are to have it."""
        journal = self.host.exec("journalctl", "--no-pager", "-o", "cat").stdout
        assert SECRET not in journal
        search = f"grep -rl --exclude-dir=wildberryeye-orchestrator {SECRET} /home/decim /run/user 2>/dev/null"
        kept = self.host.exec("sh", "-c", search, check=False).stdout
        names = {re.sub(r".*/", "", path) for path in kept.splitlines()} - {"hosts.yml"}
        assert names <= {"alerts.json", "sink.jsonl"}, kept
        mode = self.host.exec("stat", "-c", "%a %U", "/home/decim/.config/wildberryeye/alerts.json").stdout
        assert mode.strip() == "600 decim"
        processes = self.host.exec("ps", "-e", "-o", "args").stdout
        assert SECRET not in processes

    def _python(self) -> str:
        unit = "/home/decim/.config/systemd/user/wildberryeye_alerts.service"
        (python,) = re.findall(r"^ExecStart=(\S+)", self.host.exec("cat", unit).stdout, re.M)
        return str(python)


@pytest.fixture
def people(station: Station) -> Iterator[People]:
    found = People(station)
    station.variables(**SETTINGS)
    assert "alerts go by JSON, E-Mail; the ping is sent by the heartbeat" in station.play("setup").text
    found.listen()
    try:
        yield found
        found.assert_no_secret()
    finally:
        found.deaf()
        found.host.exec("sh", "-c", "rm -rf ~/sink* ~/.local/state/wildberryeye", user="decim", check=False)


@pytest.mark.slow
def test_setting_alerts_up_again_changes_nothing_and_removing_leaves_nothing(people: People) -> None:
    station = people.station
    again = station.play("setup", "--diff")
    assert "alerts.json" not in again.text and "+++" not in again.text and SECRET not in again.text
    verify = "systemd-analyze --user verify ~/.config/systemd/user/wildberryeye_*"
    verified = people.host.exec("sh", "-c", verify, user="decim")
    assert verified.stdout + verified.stderr == ""
    tested = station.play("notify")
    assert "number 1 (json://…): sent" in tested.text and "wildberryeye_ping_url: answers" in tested.text
    assert [len(people.got(kind)) for kind in ("web", "mail", "ping")] == [1, 1, 1]
    station.variables(**{**SETTINGS, "wildberryeye_notify_urls": [*URLS, f"tgram://{SECRET}"]})
    wrong = station.play("setup", status=2)
    assert "wildberryeye_notify_urls, number 3 (tgram://…): apprise cannot understand it" in wrong.row("orchestrator")
    assert "number 3 (tgram://…)" in station.play("notify", status=2).text
    station.variables()
    station.play("setup")
    left = (
        "cd; ls -d .config/systemd/user/wildberryeye_alerts* .local/state/wildberryeye/alerts .config/wildberryeye/al*"
    )
    assert people.host.exec("sh", "-c", left, user="decim", check=False).stdout == ""
    station.variables(**SETTINGS)
    station.play("setup")


def test_a_card_that_stores_nothing_is_told_once_and_that_it_is_back_once(people: People) -> None:
    station = people.station
    station.play("start")
    station.wait_for_images(more=2)
    station.cameras["object"].faults(capture="no_file")
    (alert,) = people.waits_for("cannot store its pictures", 60)
    assert "object: cannot store its pictures" in alert["message"] and alert["title"].endswith("trouble: object")
    assert alert["type"] == "warning" and "motion" not in alert["message"]
    station.cameras["object"].faults()
    (back,) = people.waits_for("records again", 60)
    assert back["title"].endswith("well again: object") and back["type"] == "success"
    wait_until(lambda: len(people.got("mail")) >= 2, "the mail arrives as well", 20, 0.5)
    assert [len(people.got(kind)) for kind in ("web", "mail")] == [2, 2]
    pings = people.got("ping")
    assert len(pings) >= 3, "the heartbeat is heard of elsewhere"


@pytest.mark.slow
def test_a_network_that_is_gone_is_one_message_with_all_cameras(people: People) -> None:
    station = people.station
    station.play("start")
    station.wait_for_images(more=2)
    for camera in station.cameras.values():
        camera.link_down()
    alerts = people.waits_for("out of reach", 150)
    for camera in station.cameras.values():
        camera.link_up()
    people.waits_for("records again", 90)
    words = "\n".join(each["message"] for each in alerts)
    assert "object: is out of reach" in words and "motion: is out of reach" in words
    # They are looked at half an interval apart, and each look takes its time.
    assert len(people.got("web", "out of reach")) == 1


@pytest.mark.slow
def test_a_stop_that_fails_at_night_is_told_by_name_and_only_once_however_often_it_is_tried(people: People) -> None:
    station = people.station
    timers = Timers(station)
    station.play("start")
    station.wait_for_images(more=2)
    timers.hours(-60, -1, **SETTINGS)
    station.play("setup")
    timers.drop_in(f"{STOP}.service", "[Service]", "RestartSec=3s")
    station.cameras["motion"].stop()
    timers.systemctl("start", "--no-block", f"{STOP}.service")
    (alert,) = people.waits_for("not home", 120)
    assert "motion: its images are not home: unreachable by SSH" in alert["message"]
    assert "failed before its end" not in alert["message"]
    wait_until(lambda: int(timers.state(STOP, "NRestarts") or 0) > 1, "stop is tried again", 120)
    assert len(people.got("web", "not home")) == 1
    station.cameras["motion"].start()
    timers.ended(STOP)
    (home,) = people.waits_for("its images are home", 30)
    assert home["title"].endswith("well again: motion")
    station.assert_all_home()


@pytest.mark.slow
def test_a_start_that_cannot_even_begin_is_told(people: People) -> None:
    station = people.station
    timers = Timers(station)
    station.variables(**SETTINGS, wildberryeye_data_dir="neither / nor ~")
    timers.systemctl("start", f"{START}.service", check=False)
    assert timers.state(START) == "failed"
    (alert,) = people.waits_for("failed before its end", 30)
    assert f"journalctl --user -u {START}" in alert["message"] and "start.yml" in alert["title"]
    station.variables(**SETTINGS)
    timers.systemctl("start", f"{START}.service")
    assert people.waits_for("has run", 30)[0]["type"] == "success"
    assert told(station, "object")


@pytest.mark.slow
def test_an_alert_that_finds_no_way_arrives_later_though_the_power_was_cut_meanwhile(people: People) -> None:
    station = people.station
    station.play("start")
    station.wait_for_images(more=2)
    people.deaf()
    station.cameras["object"].faults(capture="no_file")
    journal = ["journalctl", "_SYSTEMD_USER_UNIT=wildberryeye_alerts.service", "-o", "cat", "--no-pager"]
    wait_until(lambda: "It is tried again" in people.host.exec(*journal).stdout, "there is no way", 90, 0.5)
    happened = time.time()
    people.host.reboot()
    people.listen()
    (late,) = people.waits_for("cannot store its pictures", 90)
    assert late["at"] >= happened and time.strftime("%Y-%m-%d ", time.gmtime(happened)) in late["message"]
    station.cameras["object"].faults()


@pytest.mark.slow
def test_a_run_whose_inventory_cannot_be_read_fails_and_does_not_end_as_if_all_were_done(station: Station) -> None:
    station.orchestrator.exec("sh", "-c", "echo 'cameras: [' >/tmp/torn.yml")
    done = station.orchestrator.ansible("ansible-playbook", "-i", "/tmp/torn.yml", "playbooks/stop.yml")
    assert done.returncode != 0 and "No inventory was parsed" in done.stdout + done.stderr
