# SPDX-License-Identifier: GPL-3.0-or-later
"""The live page as a process, over real HTTP: what it shows of a station, and how it begins."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from ansible_collections.wildberryeye.orchestrator.plugins.module_utils import events, record
from lab.emulated import Lab, wait_for
from unit.live_station import SCRIPT, TODAY, LiveStation, at, raw, state, with_secrets
from unit.support import ROOT

pytestmark = pytest.mark.usefixtures("findable")


@pytest.fixture
def station(tmp_path: Path) -> Iterator[LiveStation]:
    found = with_secrets(tmp_path, "object", "motion")
    yield found
    found.end()


# -- what it shows ----------------------------------------------------------------------------------


def test_the_page_says_how_each_camera_is_and_where_the_reports_are(station: LiveStation) -> None:
    station.records("2026-05-21", "object", opened=-90000, state=record.HOME)
    station.thinks("object")
    station.thinks("motion", "unreachable", text="no connection within 10 s")
    found = state(station.serve())
    assert [camera["name"] for camera in found["cameras"]] == ["motion", "object"], "trouble comes first"
    assert [camera["level"] for camera in found["cameras"]] == ["bad", "ok"]
    assert found["verdict"]["title"] == "motion: out of reach" and found["verdict"]["cameras"] == ["motion"]
    assert [(each["id"], each["state"], each["report"]) for each in found["experiments"]] == [
        (TODAY, "recording", True),
        ("2026-05-21", "closed", False),
    ]
    assert found["disk"]["free_bytes"] > 0 and found["problems"] == []
    assert (
        raw(station.url, f"/experiments/{TODAY}/report.html")[2] == (station.data / TODAY / "report.html").read_bytes()
    )
    page = raw(station.url, "/")[2].decode()
    for path in re.findall(r'(?:href|src)="(/[^"]*)"', page):
        assert raw(station.url, path)[0] == 200, path


def test_a_change_on_the_station_is_seen_within_seconds(station: LiveStation) -> None:
    station.thinks("object")
    station.thinks("motion")
    url = station.serve()
    assert state(url)["verdict"]["level"] == "ok"
    station.thinks("motion", "down", text="connection refused")
    wait_for(lambda: state(url)["verdict"]["title"] == "motion: its service is down", 5)
    station.records(TODAY, "object", "motion", state=record.HOME)
    wait_for(lambda: state(url)["experiments"][0]["state"] == "closed", 5)


def test_a_heartbeat_that_died_is_not_believed(station: LiveStation) -> None:
    station.thinks("object")
    station.thinks("motion", alive=False)
    found = state(station.serve())
    assert found["verdict"]["level"] == "bad" and "not watched" in found["verdict"]["title"]


def test_what_is_torn_costs_a_line_and_nothing_else(station: LiveStation) -> None:
    station.thinks("object")
    station.thinks("motion")
    (station.data / "2026-05-20").mkdir()
    (station.data / "2026-05-20" / "experiment.json").write_text('{"format": 1, "id"')
    (station.data / TODAY / "events.jsonl").write_text('{"at": "2026-05-\n[]\n{"event": {}}\n')
    url = station.serve()
    found = state(url)
    assert found["verdict"]["level"] == "ok" and [each["id"] for each in found["experiments"]] == [TODAY]
    assert len(found["problems"]) == 1 and found["problems"][0].startswith(
        "read 2026-05-20/experiment.json: it is torn"
    )
    station.config.write_text('{"cameras": [')
    wait_for(lambda: any("heartbeat.json: it is torn" in line for line in state(url)["problems"]), 5)
    Path(station.layout.heartbeat()).write_text("[")
    wait_for(lambda: "not watched" in state(url)["verdict"]["title"], 5)


def test_before_the_first_start_there_is_nothing_and_that_is_no_error(tmp_path: Path) -> None:
    new = LiveStation(tmp_path)
    try:
        found = state(new.serve("--start", "00:00", "--stop", "23:59"))
        assert (found["cameras"], found["experiments"], found["problems"]) == ([], [], [])
        assert found["verdict"]["title"] in ("No experiment yet", "At rest")
    finally:
        assert "Traceback" not in new.end()


def test_a_disk_that_was_pulled_out_is_said(station: LiveStation) -> None:
    station.thinks("object")
    url = station.serve()
    station.data.rename(station.directory / "pulled out")
    wait_for(lambda: "disk with the experiments is not there" in state(url)["verdict"]["title"], 5)
    (station.directory / "pulled out").rename(station.data)
    wait_for(lambda: "disk" not in state(url)["verdict"]["title"], 5)


def test_a_hundred_days_are_not_sent_again_every_five_seconds(station: LiveStation) -> None:
    for number in range(100):
        station.records(f"day-{number:03}", "object", "motion", opened=-86400 * (number + 1), state=record.HOME)
    station.thinks("object")
    url = station.serve()
    assert len(state(url)["experiments"]) == 101
    first, again = (requests.get(f"{url}state.json", timeout=10) for _ in range(2))
    assert len(first.content) < 4000 and first.json()["history"] == again.json()["history"]


# -- how it begins and ends -------------------------------------------------------------------------


def run(station: LiveStation, *options: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, str(SCRIPT), "--data-dir", str(station.data), "--heartbeat", str(station.config), *options],
        capture_output=True,
        text=True,
        timeout=20,
        env={**os.environ, "PYTHONPATH": str(ROOT / "collections")},
    )
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--address", "192.0.2.7"], "Correct|This machine does not have that address, or not yet"),
        (["--address", "station.example"], "that is no address"),
        (["--port", "99999"], "port must be 0-65535"),
        (["--start", "450", "--stop", "01:00"], 'wildberryeye_start_time: not a time of day. .* "07:30"'),
    ],
)
def test_what_cannot_be_served_is_said_in_one_line(station: LiveStation, options: list[str], said: str) -> None:
    code, text = run(station, *options)
    assert code == 1 and len(text.splitlines()) == 1 and re.search(said, text), text


def test_a_port_that_is_taken_is_said_in_one_line(station: LiveStation) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        code, text = run(station, "--port", str(taken.getsockname()[1]))
    assert code == 1 and "choose another wildberryeye_live_page_port" in text and len(text.splitlines()) == 1


def test_systemd_is_told_when_it_can_be_opened_and_it_ends_when_asked(
    station: LiveStation, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.settimeout(10)
        systemd.bind(str(station.directory / "notify"))
        monkeypatch.setenv("NOTIFY_SOCKET", str(station.directory / "notify"))
        url = station.serve()
        assert systemd.recv(100) == b"READY=1" and raw(url, "/")[0] == 200
    assert station.process is not None
    station.process.terminate()
    assert station.process.wait(5) == 0


def test_it_can_be_served_over_ipv6(station: LiveStation) -> None:
    url = station.serve("--address", "::1")
    assert url.startswith("http://[::1]:") and raw(url, "/state.json")[0] == 200


# -- the cameras' pictures --------------------------------------------------------------------------


def asked(camera: Lab) -> list[tuple[str, str]]:
    """What was asked of a camera."""
    return [(line["method"], line["path"]) for line in camera.lines("requests")]


def test_a_camera_is_asked_for_its_picture_only_while_somebody_looks_and_it_records(
    tmp_path: Path, camera: Lab
) -> None:
    camera.start()
    name = camera.capture()
    station = LiveStation(tmp_path)
    station.knows({"object": ("object", camera.port)})
    station.records(TODAY, "object")
    station.thinks("object", "wedged")
    before = asked(camera)
    try:
        url = station.serve()
        for _ in range(5):
            assert state(url)["cameras"][0]["picture"] is None
        assert asked(camera) == before, "a camera in trouble is left in peace"
        assert raw(url, "/pictures/object.jpg")[0] == 404
        station.thinks("object")
        wait_for(lambda: state(url)["cameras"][0]["picture"], 10)
        status, headers, content = raw(url, "/pictures/object.jpg")
        assert status == 200 and content == (camera.images / name).read_bytes()
        assert headers["content-type"] == "image/jpeg" and headers["x-content-type-options"] == "nosniff"
        for _ in range(20):
            state(url)
            raw(url, "/pictures/object.jpg")
        new = asked(camera)[len(before) :]
        assert new == [("GET", "/latest-image")], "once a minute, whoever looks how often"
    finally:
        station.end()


# -- the time line ----------------------------------------------------------------------------------


def test_the_time_line_is_made_beside_and_costs_the_page_no_memory(station: LiveStation) -> None:
    station.thinks("object")
    station.thinks("motion")
    events.append(station.layout.events(TODAY), "recording", "object")
    url = station.serve()
    line = wait_for(lambda: state(url)["time_line"], 20)
    assert set(line["cameras"]) == {"object", "motion"}
    assert line["cameras"]["object"]["spans"][-1][2] == "recording"
    assert station.end().count("no time line") == 0


def test_what_a_heartbeat_saw_before_it_was_killed_is_still_known_afterwards(station: LiveStation) -> None:
    station.thinks("object", alive=False, last_good=at(-1800))
    events.append(station.layout.events(TODAY), "recording", "object")
    url = station.serve()
    line = wait_for(lambda: state(url)["time_line"], 20)
    recorded, lost = line["cameras"]["object"]["spans"][-2:]
    assert (recorded[2], lost[2]) == ("recording", "unknown") and abs(lost[0] - (time.time() - 1800)) < 60


def test_a_time_line_that_cannot_be_made_costs_nothing_else(station: LiveStation) -> None:
    station.thinks("object")
    (station.data / TODAY / "events.jsonl").unlink()
    (station.data / TODAY / "events.jsonl").mkdir()
    url = station.serve()
    assert state(url)["verdict"]["level"] == "warn"
    time.sleep(1)
    assert state(url)["time_line"] is None and json.dumps(state(url))
