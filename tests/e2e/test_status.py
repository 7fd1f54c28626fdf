# SPDX-License-Identifier: GPL-3.0-or-later
"""The status tells the truth about every camera, soon, whatever became of one of them, and touches nothing."""

from __future__ import annotations

import datetime as dt
import json
import re
import time
from typing import Any

import pytest

from ansible_collections.wildberryeye.orchestrator.plugins.module_utils import overview
from e2e.station import Station

SOON = 10.0
"""Seconds that a person waits for the table, a dead camera or not."""
COMPLETE = re.compile(
    r"object +yes +active \d\d:\d\d +day, \d\d:\d\d +\d+ s, \d\d:\d\d:\d\d +\d+( \+ \d+ aside)? +[\d.]+ GB +ok +"
    r"(-|\d+ °C) +\S+"
)
NOTHING = re.compile(r"motion +no( +-){7} +\S+")

FILLED = """
set -e
systemctl stop wildberryeye.service
cd "$1"
mkdir -p .wildberryeye/day/20260522T050001Z-3fa91c02
echo day > .wildberryeye/recording
for number in 1 2 3; do printf 12345 > "object_20260522-09301$number-000000_w_root.jpg"; done
printf 1 > manual_20260522-093020-000000_w_root.jpg
printf 1 > .wildberryeye/day/20260522T050001Z-3fa91c02/object_20260522-050000-000000_w_root.jpg
touch -d "3 hours ago" *.jpg
touch -d "140 minutes ago" object_20260522-093013-000000_w_root.jpg
touch stray.zip /run/marker
"""


def facts(station: Station, *arguments: str) -> dict[str, Any]:
    """What programs get: the last line of a run that says no word too much."""
    command = station.command("status", "-e", "wildberryeye_status_format=json", *arguments)
    done = station.orchestrator.ansible(*command)
    assert done.returncode == 0 and done.stderr == "", done.stderr
    assert not re.search("WARNING|DEPRECAT|Traceback", done.stdout), done.stdout
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def test_two_cameras_that_record_are_shown_as_they_are(station: Station) -> None:
    station.play("start", "-e", "wildberryeye_experiment=day")
    station.wait_for_images()
    begin = time.time()
    before = {name: len(station.truth(camera)) for name, camera in station.cameras.items()}
    found = facts(station)
    after = {name: station.truth(camera) for name, camera in station.cameras.items()}
    assert [(each["id"], each["state"]) for each in found["experiments"]] == [("day", "recording")]
    for name in station.cameras:
        camera = found["cameras"][name]
        assert (camera["mode"], camera["reachable"], camera["problem"]) == (name, True, "")
        assert camera["service"]["state"] == "active"
        assert (camera["recording"], camera["label"], camera["wanted"]) == (True, "day", "day")
        assert camera["wanted_since"] == station.record("day")["cameras"][name]["since"]
        # The heartbeat takes a picture of its own meanwhile, and removes the one before.
        assert before[name] - 2 <= camera["images"]["loose"] <= len(after[name]) + 1
        assert camera["last_image"]["name"] in after[name] and camera["last_image"]["name"].startswith(name)
        assert camera["last_image"]["age"] <= 3 and abs(camera["clock_offset"]) <= 1
        taken = dt.datetime.fromisoformat(camera["last_image"]["taken"]).timestamp()
        assert begin - 3 <= taken <= time.time()
        free = station.cameras[name].exec("stat", "-f", "-c", "%a %S", station.cameras[name].image_dir).stdout
        blocks, size = map(int, free.split())
        assert abs(camera["free_bytes"] - blocks * size) < 1e9
    run = station.play("status")
    assert "experiment day is recording since" in run.text and COMPLETE.fullmatch(run.row("object")), run.row("object")


@pytest.mark.ci
def test_a_camera_that_does_not_answer_is_a_row_within_seconds_and_the_others_are_complete(station: Station) -> None:
    station.play("start", "-e", "wildberryeye_experiment=day")
    station.wait_for_images()
    motion, peer = station.cameras["motion"], station.orchestrator.address
    # Connections that are shared, and hang once the camera has frozen.
    assert station.orchestrator.exec("pgrep", "-f", r"ssh: .*\[mux\]").stdout
    for die, revive in (
        (motion.pause, motion.unpause),
        (lambda: motion.blackhole(peer), lambda: motion.unblackhole(peer)),
        (motion.stop, motion.start),
    ):
        die()
        begin = time.monotonic()
        run = station.play("status")
        took = time.monotonic() - begin
        assert took < SOON
        assert NOTHING.fullmatch(run.row("motion")) and "motion: unreachable by SSH" in run.text
        assert COMPLETE.fullmatch(run.row("object")), run.row("object")
        revive()


@pytest.mark.ci
def test_looking_changes_nothing_and_says_the_same_to_people_and_to_programs(station: Station) -> None:
    for camera in station.cameras.values():
        # What sudo leaves in a home when it is used for the first time.
        camera.exec("touch", f"/home/{camera.spec.user}/.sudo_as_admin_successful")
        camera.exec("sh", "-c", FILLED, "sh", camera.image_dir)
    before = station.everything()
    found = facts(station)
    for run in (station.play("status"), station.play("status", "--check")):
        table = run.text[run.text.index("no experiment is open") :].rstrip("\n")
        # Others write on the disk that the lab shares.
        assert re.sub(r"[\d.]+ GB", "GB", table) == re.sub(r"[\d.]+ GB", "GB", overview.table(found))
    camera = found["cameras"]["object"]
    assert (camera["label"], camera["recording"], camera["service"]["state"]) == ("day", False, "inactive")
    assert camera["images"] == {"loose": 4, "bytes": 16, "batches": 1, "set_aside": 1, "foreign": 1}
    assert camera["last_image"]["name"] == "object_20260522-093013-000000_w_root.jpg"
    assert 140 <= camera["last_image"]["age"] / 60 < 142
    assert "experiments" in facts(station, "--check")

    assert station.everything() == before
    assert list(station.lab.home_data.iterdir()) == []
    for host in station.cameras.values():
        assert host.exec("find", "/home", "/root", "/opt", "-newer", "/run/marker").stdout == ""


@pytest.mark.ci
def test_a_clock_that_is_wrong_is_shown_as_wrong_as_it_is(station: Station) -> None:
    then = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=100)
    run = station.at(f"{then:%Y-%m-%d %H:%M:%S}", "status")
    assert re.search(r" -(99|100|101|102) s ", run.row("object")), run.row("object")
