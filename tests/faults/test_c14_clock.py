# SPDX-License-Identifier: GPL-3.0-or-later
"""Cameras whose clocks are wrong (row C14): nothing is lost or mixed up, and all can be put on one time line.

The hosts of the lab share the clock of the machine that they run on, and none of them may set it. What stands in for a
camera's own clock: the emulator's switch `clock_offset` (file names and HTTP dates), a `time.time` in its Python, so
that our modules see the same time, and, where a test says so, a `date` that sets these two. timedatectl is real.
"""

from __future__ import annotations

import datetime as dt
import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from e2e.station import Station
from lab import Camera, wait_until

CAP_SYS_TIME = 25
DAY = 86400.0

PYTHON = "/opt/camera-clock/python"
PYTHON_SCRIPT = """#!/bin/sh
PYTHONPATH=/opt/camera-clock PYTHONDONTWRITEBYTECODE=1 exec /usr/bin/python3 "$@"
"""
SITE = "/opt/camera-clock/sitecustomize.py"
SITE_SCRIPT = """
import time
real = time.time
def shown():
    with open("/run/camera-clock") as file:
        return real() + float(file.read())
time.time = shown
"""

DATE = "/usr/local/bin/date"
DATE_SCRIPT = """#!/bin/sh
# `date --set=@SECONDS` sets the stand-ins of the camera's clock.
for word do case $word in --set=@*) to=${word#--set=@} ;; esac; done
[ -n "$to" ] || exec /usr/bin/date "$@"
offset=$(awk "BEGIN {printf \\"%+.3f\\", $to - $(/usr/bin/date +%s.%N)}")
echo "$offset" >/run/camera-clock.new
mv /run/camera-clock.new /run/camera-clock
echo "{\\"clock_offset\\": ${offset#+}}" >/var/lib/wildberryeye-emulator/faults.new
mv /var/lib/wildberryeye-emulator/faults.new /var/lib/wildberryeye-emulator/faults.json
echo "$*" >>/run/camera-clock-set
"""


class Clock:
    """A camera's clock."""

    def __init__(self, camera: Camera) -> None:
        self.camera = camera
        for which in ("self", "1"):
            status = camera.exec("cat", f"/proc/{which}/status").stdout
            held = int(next(line.split()[1] for line in status.splitlines() if line.startswith("CapBnd:")), 16)
            assert not held >> CAP_SYS_TIME & 1, "this host could set the clock of the machine that the lab runs on"
        self._script(PYTHON, PYTHON_SCRIPT)
        self._script(SITE, SITE_SCRIPT)
        self.show(0)

    def show(self, offset: float) -> None:
        """Be so many seconds ahead from now on."""
        # In one step: whoever reads half of it has no time at all.
        script = "echo $1 >/run/camera-clock.new && mv /run/camera-clock.new /run/camera-clock"
        self.camera.exec("sh", "-c", script, "sh", f"{offset:+.3f}")
        self.camera.faults(clock_offset=offset)

    def can_be_set(self) -> None:
        """From now on root may set it."""
        self._script(DATE, DATE_SCRIPT)

    def was_set(self) -> int:
        """How often it was."""
        return len(self.camera.exec("cat", "/run/camera-clock-set", check=False).stdout.splitlines())

    def remove(self) -> None:
        """Be the clock of the machine again."""
        self.camera.exec("rm", "-rf", "/opt/camera-clock", DATE, "/run/camera-clock", "/run/camera-clock-set")

    def _script(self, path: str, text: str) -> None:
        self.camera.exec("sh", "-c", 'mkdir -p "${1%/*}" && cat >"$1" && chmod 755 "$1"', "sh", path, input=text)


@pytest.fixture
def clocks(station: Station) -> Iterator[dict[str, Clock]]:
    """The cameras' clocks, which are right, and which nobody may set."""
    found = {name: Clock(camera) for name, camera in station.cameras.items()}
    configure(station)
    yield found
    for clock in found.values():
        clock.remove()


def configure(station: Station, **variables: object) -> None:
    station.variables(ansible_python_interpreter=PYTHON, wildberryeye_heartbeat_interval=2, **variables)


def told(station: Station, experiment: str, camera: str) -> list[dict[str, Any]]:
    """What an experiment's events say of a camera's clock."""
    lines = (station.data / experiment / "events.jsonl").read_text().splitlines()
    found = [json.loads(line) for line in lines]
    return [event for event in found if event["event"] == "clock" and event["camera"] == camera]


def taken(name: str) -> float:
    """When an image was taken, by the clock of the camera, which is in UTC."""
    return dt.datetime.strptime(f"{name.split('_')[1]} +0000", "%Y%m%d-%H%M%S-%f %z").timestamp()


def written(camera: Camera) -> dict[str, float]:
    """When each of the camera's images was really taken."""
    return {str(line["name"]): float(str(line["at"])) for line in camera.written() if line["event"] == "begin"}


def assert_on_one_time_line(station: Station, experiment: str, camera: str, within: float) -> None:
    """Each image's own time, less the offset that the events tell for then, is when it was taken.

    Args:
        station: the station.
        experiment: the experiment.
        camera: whose images.
        within: seconds between a change of the clock and its event.
    """
    events = told(station, experiment, camera)
    began = [dt.datetime.fromisoformat(event["at"]).timestamp() for event in events]
    for name, at in written(station.cameras[camera]).items():
        pieces = [
            event["offset"]
            for number, event in enumerate(events)
            if began[number] - within <= at and (number + 1 == len(events) or at <= began[number + 1] + 1)
        ] or [events[0]["offset"]]
        off = min(abs(taken(name) - offset - at) for offset in pieces)
        # 0.1 s is what the emulator takes between naming a picture and noting that it has begun to write it.
        assert off <= max(event["uncertainty"] for event in events) + 1, (name, at, events)


@pytest.mark.slow
def test_c14_a_clock_at_1970_or_a_day_ahead_or_jumping_back_mixes_up_no_experiment(
    station: Station, clocks: dict[str, Clock]
) -> None:
    """Clocks at 1970, and a day ahead and then back -> all in the right experiments, offset in table and events."""
    configure(station, wildberryeye_set_camera_clock=False)
    since_1970 = 30 - time.time()
    clocks["object"].show(since_1970)
    clocks["motion"].show(DAY)
    station.begin_day()
    again = station.play("start", "-e", "wildberryeye_experiment=day")
    assert "days behind" in again.row("object") and "its clock is 24 h ahead" in again.row("motion")
    clocks["motion"].show(-DAY)
    wait_until(lambda: told(station, "day", "motion")[-1]["by"] == "heartbeat", "the jump is noticed", 60)
    station.wait_for_images()
    station.play("collect")
    station.wait_for_images()
    stop = station.play("stop")
    assert "home" in stop.row("motion")
    first = {name: set(station.truth(camera)) for name, camera in station.cameras.items()}
    station.play("start", "-e", "wildberryeye_experiment=next")
    station.wait_for_images()
    station.play("stop")
    station.assert_all_home()
    for name in station.cameras:
        archives = station.archives(name)
        assert archives[f"{name}_day.zip"].keys() == first[name], "an image of one experiment is in the other"
        assert archives[f"{name}_next.zip"], name
    for name, offsets in {"object": {since_1970}, "motion": {DAY, -DAY}}.items():
        events = told(station, "day", name)
        assert [event["by"] for event in events if event["by"] != "heartbeat"] == ["start", "start", "collect", "stop"]
        assert all(min(abs(event["offset"] - offset) for offset in offsets) < 2 for event in events), events
        assert abs(station.record("day")["cameras"][name]["clock_offset"] - events[-1]["offset"]) < 0.1
        assert not any(event.get("set") for event in events)
    assert station.cameras["object"].exec("date", "+%Y").stdout.strip() == time.strftime("%Y")
    assert_on_one_time_line(station, "day", "motion", within=15)


@pytest.mark.slow
def test_c14_a_wrong_clock_is_set_before_the_start_and_at_a_restart(station: Station, clocks: dict[str, Clock]) -> None:
    """Clocks at 1970 and a day ahead, and a `date` that may set them -> set; names, table and events are right."""
    clocks["object"].can_be_set()
    clocks["motion"].can_be_set()
    since_1970 = 30 - time.time()
    clocks["object"].show(since_1970)
    clocks["motion"].show(DAY)
    run = station.play("start", "-e", "wildberryeye_experiment=day")
    assert "days behind and has been set" in run.row("object")
    assert "its clock was 24 h ahead and has been set" in run.row("motion")
    station.wait_for_images()
    for name, before in {"object": since_1970, "motion": DAY}.items():
        (event,) = (event for event in told(station, "day", name) if event["by"] == "start")
        assert event["set"] is True and abs(event["before"] - before) < 3 and abs(event["offset"]) < 5, event
        assert clocks[name].was_set() == 1
        # Its service was stopped before it was set: no image bears the old time.
        images = [image for image in written(station.cameras[name]) if not image.startswith("manual")]
        assert images and all(abs(taken(image) - time.time()) < 600 for image in images)
    # A camera without a clock of its own is back from a power cut; the heartbeat makes it detect again and sees it.
    clocks["object"].show(-3600)
    wait_until(lambda: told(station, "day", "object")[-1]["by"] == "heartbeat", "the jump is noticed", 60)
    again = station.play("start", "-e", "wildberryeye_experiment=day")
    assert "its clock is 60 min behind, which restart.yml sets" in again.row("object")
    run = station.play("restart", "--limit", "object")
    assert "its clock was 60 min behind and has been set" in run.row("object")
    assert (clocks["object"].was_set(), clocks["motion"].was_set()) == (2, 1)
    station.wait_for_images()
    station.play("stop")
    station.assert_all_home()
    assert_on_one_time_line(station, "day", "object", within=15)
    assert_on_one_time_line(station, "day", "motion", within=15)


@pytest.mark.slow
def test_c14_a_clock_that_cannot_be_set_costs_no_recording(station: Station, clocks: dict[str, Clock]) -> None:
    """A clock a day behind, and the real `date`, which the kernel refuses -> said in the table; it records."""
    clocks["object"].show(-DAY)
    run = station.play("start", "-e", "wildberryeye_experiment=day")
    assert "its clock is 24 h behind, not set: date: cannot set date: Operation not permitted" in run.row("object")
    assert "clock" not in run.row("motion")
    station.wait_for_images()
    station.play("stop")
    station.assert_all_home()


@pytest.mark.slow
def test_c14_an_orchestrator_that_woke_up_in_the_past_spoils_no_good_clock(
    station: Station, clocks: dict[str, Clock]
) -> None:
    """The orchestrator's clock is older than its newest event -> no camera's clock is set, and why is said."""
    for clock in clocks.values():
        clock.can_be_set()
    station.begin_day()
    station.play("stop")
    run = station.at("2026-05-22 07:00:00", "start", "-e", "wildberryeye_experiment=past")
    for name in station.cameras:
        assert "days ahead, not set: this machine's own clock shows 2026-05-22 07:0" in run.row(name)
        assert clocks[name].was_set() == 0
    station.wait_for_images()
    station.at("2026-05-22 08:00:00", "stop")
    station.assert_all_home()
