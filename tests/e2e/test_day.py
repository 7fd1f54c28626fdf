# SPDX-License-Identifier: GPL-3.0-or-later
"""A day's experiment, from start to the archives that a researcher opens in the morning."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from e2e.station import Station, today
from lab import CameraSpec, Lab, wait_until


@pytest.mark.parametrize("method", ["zip", "files"])
def test_every_image_of_a_day_is_home_and_the_cards_are_empty(station: Station, method: str) -> None:
    station.play("start")
    assert all(camera.detecting_now() for camera in station.cameras.values())
    station.wait_for_images(more=20)
    station.play("stop", "-e", f"wildberryeye_collection_method={method}")
    assert not any(camera.detecting_now() for camera in station.cameras.values())
    station.assert_all_home()
    for name in station.cameras:
        # The path that the researchers' notebooks open.
        assert (station.data / today() / name / f"{name}_{today()}.zip").is_file()
        assert len(station.archives(name)) == 1
    record = station.record(today())
    assert record["state"] == "closed"
    assert {camera["state"] for camera in record["cameras"].values()} == {"home"}
    events = [json.loads(line) for line in (station.data / today() / "events.jsonl").read_text().splitlines()]
    assert [event["event"] for event in events if event["camera"] is None] == ["opened", "closing", "closed"]


@pytest.mark.ci
@pytest.mark.parametrize("release", ["bookworm", "trixie"])
def test_a_minute_on_each_orchestrator_with_cameras_of_both_releases(release: str, tmp_path: Path) -> None:
    cameras = [CameraSpec("object", "object", release="trixie"), CameraSpec("motion", "motion")]
    with Lab(cameras, orchestrator=release, directory=tmp_path / "lab") as lab:
        station = Station(lab)
        station.fresh()
        station.play("start")
        began = time.monotonic()
        station.wait_for_images(more=10)
        station.play("restart", "--limit", "motion")
        station.play("collect")
        wait_until(lambda: time.monotonic() - began >= 60, "a minute passes", 90)
        station.play("stop")
        station.assert_all_home()
        before = station.footprint()
        station.play("stop")
        assert station.footprint() == before


@pytest.mark.ci
def test_starting_twice_resumes_and_touches_neither_images_nor_service(station: Station) -> None:
    station.play("start")
    station.wait_for_images()
    starts = [len(camera.detecting()) for camera in station.cameras.values()]
    cards = {name: station.on_card(name) for name in station.cameras}
    run = station.play("start")
    assert "resumed" in run.text
    assert [len(camera.detecting()) for camera in station.cameras.values()] == starts
    assert all(cards[name].items() <= station.on_card(name).items() for name in cards)
    station.play("stop")
    station.assert_all_home()
    assert station.experiments() == [today()]


@pytest.mark.ci
def test_starting_again_brings_a_camera_back_that_lost_its_detection_or_hangs(station: Station) -> None:
    station.play("start")
    station.wait_for_images()
    station.cameras["object"].restart_service()
    station.cameras["motion"].exec("systemctl", "kill", "-s", "STOP", "wildberryeye.service")
    # The frozen one has been up for longer than it may take to get ready.
    time.sleep(1)
    station.play("start", "-e", "wildberryeye_ready_timeout=10")
    assert all(camera.detecting_now() for camera in station.cameras.values())
    station.wait_for_images()
    station.play("stop")
    station.assert_all_home()


@pytest.mark.ci
def test_a_start_after_midnight_resumes_yesterdays_experiment(station: Station) -> None:
    station.at("2026-05-22 23:50:00", "start")
    station.wait_for_images()
    run = station.at("2026-05-23 00:30:00", "start")
    assert "experiment 2026-05-22 resumed" in run.text
    station.wait_for_images()
    station.at("2026-05-23 01:00:00", "stop")
    station.assert_all_home()
    assert station.experiments() == ["2026-05-22"]
    assert list(station.archives("motion")) == ["motion_2026-05-22.zip"]


@pytest.mark.ci
def test_what_a_failed_stop_left_is_closed_by_the_next_mornings_start(station: Station) -> None:
    station.at("2026-05-22 07:00:00", "start")
    station.wait_for_images()
    first = {name: set(station.truth(camera)) for name, camera in station.cameras.items()}
    run = station.at("2026-05-23 07:00:00", "start")
    assert "experiment 2026-05-23 opened" in run.text
    # All of it is home now: whoever comes in the morning finds it reported.
    assert [path.parent.name for path in station.data.glob("*/report.html")] == ["2026-05-22"]
    assert "2026-05-22/report.html" in run.text.splitlines()[-1]
    station.wait_for_images()
    station.at("2026-05-24 01:00:00", "stop")
    station.assert_all_home()
    assert station.experiments() == ["2026-05-22", "2026-05-23"]
    for name in station.cameras:
        assert first[name] <= station.archives(name)[f"{name}_2026-05-22.zip"].keys()
        assert station.record("2026-05-22")["state"] == "closed"


@pytest.mark.ci
def test_a_second_experiment_of_a_day_gets_a_name_of_its_own(station: Station) -> None:
    for _ in range(2):
        station.play("start")
        station.wait_for_images()
        station.play("stop")
    station.assert_all_home()
    assert station.experiments() == [today(), f"{today()}_2"]


@pytest.mark.ci
def test_images_that_nothing_claims_come_home_as_unclaimed(station: Station) -> None:
    import requests

    for camera in station.cameras.values():
        assert requests.post(f"http://{camera.address}:5000/api/capture", timeout=10).status_code == 200
    station.play("stop")
    station.assert_all_home()
    assert list(station.archives("object")) == ["object_unclaimed.zip"]
    assert station.experiments() == []
    # Never overwritten: what comes next gets an archive of its own.
    requests.post(f"http://{station.cameras['object'].address}:5000/api/capture", timeout=10)
    station.play("stop")
    station.assert_all_home()
    assert list(station.archives("object")) == ["object_unclaimed.zip", "object_unclaimed_part2.zip"]


@pytest.mark.ci
def test_what_lies_on_a_card_at_dawn_belongs_to_the_experiment_before_and_delays_nothing(station: Station) -> None:
    station.play("start", "-e", "wildberryeye_experiment=evening")
    station.wait_for_images()
    station.play("stop")
    import requests

    requests.post(f"http://{station.cameras['object'].address}:5000/api/capture", timeout=10)
    before = (station.data / "evening" / "object" / "object_evening.zip").read_bytes()
    station.play("start", "-e", "wildberryeye_experiment=dawn")
    assert list(station.archives("object")) == ["object_evening.zip", "object_evening_part2.zip"]
    assert (station.data / "evening" / "object" / "object_evening.zip").read_bytes() == before
    station.play("stop")
    station.assert_all_home()
