# SPDX-License-Identifier: GPL-3.0-or-later
"""The data package for science says what the archives hold, and when it was taken."""

from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path

import pytest
from PIL import Image

from unit.camtrap_day import a_day, counted, judged, said, seconds
from unit.camtrap_station import SITES, Station, named, pictures
from unit.support import EXPERIMENT

pytestmark = pytest.mark.usefixtures("in_berlin")


@pytest.fixture
def station(data_dir: Path) -> Station:
    return Station(data_dir)


# --- what it says ---------------------------------------------------------------------------------


def test_each_image_of_the_archives_is_there_once_with_its_own_sha256(data_dir: Path) -> None:
    station = a_day(data_dir)
    written = station.write()
    media = station.rows("media")
    expected = counted(station)
    assert len(expected) == 12 == written.media
    assert {row["filePath"]: said(row) for row in media} == expected and len(media) == len(expected)
    assert all(row["filePath"].endswith("/" + row["fileName"]) for row in media)
    assert {row["fileMediatype"] for row in media} == {"image/jpeg"} and {row["filePublic"] for row in media} == {
        "false"
    }


def test_a_file_path_leads_to_the_image_once_its_archive_is_unpacked_beside_it(data_dir: Path) -> None:
    station = a_day(data_dir)
    station.write()
    for path in station.directory.glob("*/*.zip"):
        subprocess.run(["unzip", "-q", "-d", path.with_suffix(""), path], check=True)
    for row in station.rows("media"):
        file = station.directory / row["filePath"]
        assert hashlib.sha256(file.read_bytes()).hexdigest() == said(row)
        with Image.open(file) as image:
            assert image.format == "JPEG"
    # And what people have unpacked is not in the way of anything.
    assert not station.write().changed


def test_a_detection_is_an_unclassified_observation_and_a_picture_that_was_asked_for_is_none(data_dir: Path) -> None:
    station = a_day(data_dir)
    written = station.write()
    media, observations = station.rows("media"), station.rows("observations")
    detected = {row["mediaID"] for row in media if not row["fileName"].startswith("manual")}
    of_media = [row for row in observations if row["observationLevel"] == "media"]
    assert {row["mediaID"] for row in of_media} == detected and len(of_media) == len(detected) == 10
    assert {row["mediaID"] for row in media if row["captureMethod"] == "activityDetection"} == detected
    assert {row["captureMethod"] for row in media if row["mediaID"] not in detected} == {""}
    assert {row["observationType"] for row in observations} == {"unclassified"}
    assert {row["scientificName"] + row["count"] + row["classificationMethod"] for row in observations} == {""}
    assert written.observations == len(observations) == 10 + 3


def test_a_visit_is_an_event_that_its_images_lie_in_and_no_other(data_dir: Path) -> None:
    station = a_day(data_dir)
    station.write()
    observations = station.rows("observations")
    events = [row for row in observations if row["observationLevel"] == "event"]
    assert sorted((row["deploymentID"].split(":")[1], row["observationComments"]) for row in events) == [
        ("motion", "a visit of 2 images"),
        ("object", "a visit of 2 images"),
        ("object", "a visit of 3 images"),
    ]
    assert {row["mediaID"] for row in events} == {""} and len({row["eventID"] for row in events}) == 3
    taken = {row["mediaID"]: row for row in station.rows("media")}
    for row in observations:
        if row["observationLevel"] == "media":
            at = seconds(taken[row["mediaID"]]["timestamp"])
            # As readers join them: by deployment and time.
            inside = {
                event["eventID"]
                for event in events
                if event["deploymentID"] == row["deploymentID"]
                and seconds(event["eventStart"]) <= at <= seconds(event["eventEnd"])
            }
            assert inside == ({row["eventID"]} if row["eventID"] else set())
            assert seconds(row["eventStart"]) <= at <= seconds(row["eventEnd"])


def test_what_makes_a_visit_can_be_set(station: Station) -> None:
    station.archive(pictures(named("09:30:00"), named("09:31:00"), named("09:32:00")))
    station.closed()
    for gap, images, visits in ((30, 2, 0), (60, 2, 1), (60, 4, 0), (30, 1, 3)):
        station.wanted = station.wanted._replace(visit_gap=gap, visit_minimum=images)
        station.write()
        assert sum(row["observationLevel"] == "event" for row in station.rows("observations")) == visits


def test_a_deployment_says_where_the_camera_stood_and_when_it_did_not_record(data_dir: Path) -> None:
    station = a_day(data_dir)
    station.write()
    motion, row = station.rows("deployments")
    assert (row["deploymentID"], row["cameraID"]) == (f"{EXPERIMENT}:object", "object")
    assert [row[name] for name in ("latitude", "longitude", "coordinateUncertainty", "cameraHeight")] == [
        *("52.52", "13.405", "5", "0.4")
    ]
    assert [motion[name] for name in ("latitude", "longitude", "cameraTilt", "locationName")] == [
        *("52.5201", "-13.4051", "-30", "Wiese, Süd")
    ]
    assert (row["deploymentStart"], row["deploymentEnd"]) == ("2026-05-22T07:00:10+02:00", "2026-05-22T13:00:00+02:00")
    gap = "Not recording 2026-05-22T10:00:00+02:00/2026-05-22T10:20:00+02:00: its power was cut"
    assert gap in row["deploymentComments"] and "recording" not in motion["deploymentComments"]
    assert row["deploymentTags"] == "detection:object"
    assert station.description["spatial"]["coordinates"] == [[-13.4051, 52.5201], [13.405, 52.52]]
    assert station.description["temporal"] == {"start": "2026-05-22", "end": "2026-05-22"}


def test_a_camera_that_never_recorded_and_has_no_image_was_not_there(data_dir: Path) -> None:
    station = Station(data_dir, cameras=("object", "motion"))
    station.record.cameras["motion"].since = None
    station.save()
    events = station.directory / "events.jsonl"
    events.write_text("".join(line for line in events.read_text().splitlines(True) if '"motion"' not in line))
    station.archive(pictures(named("09:30:00")))
    station.closed()
    # Nobody has to know where it would have stood.
    station.wanted = station.wanted._replace(sites={"object": SITES["object"]})
    station.write()
    assert station.only("deployments")["cameraID"] == "object"


def test_a_day_without_visitors_is_a_deployment_without_images(station: Station) -> None:
    station.closed()
    assert station.write().deployments == 1
    assert station.rows("media") == station.rows("observations") == []
    judged(station)


# --- when -----------------------------------------------------------------------------------------


def test_times_are_corrected_by_how_far_the_clock_was_off_and_say_so(station: Station) -> None:
    station.compared("07:00:12", 3600.25)
    station.archive(pictures(named("10:30:00.50"), named("08:00:01", "manual")))
    station.closed()
    station.write()
    asked, detected = station.rows("media")
    assert detected["timestamp"] == "2026-05-22T09:30:00+02:00"
    assert "timestamp is the time in fileName -3600.25 s" in detected["mediaComments"]
    assert asked["timestamp"] == "2026-05-22T07:00:00+02:00" and "asked for" in asked["mediaComments"]
    row = station.only("deployments")
    assert "ahead of the orchestrator's by +3600.25 s (2026-05-22T07:00:12+02:00)" in row["deploymentComments"]
    assert row["timestampIssues"] == "false"


def test_a_clock_that_jumped_corrects_each_image_by_what_held_then(station: Station) -> None:
    station.compared("07:00:12", 0.0)
    station.compared("10:05:00", -3600.0, by="heartbeat", before=0.0)
    station.archive(pictures(named("09:30:00"), named("09:04:30"), named("11:00:00")))
    station.closed()
    station.write()
    times = {row["fileName"]: row["timestamp"][11:19] for row in station.rows("media")}
    assert times == {named("09:04:30"): "10:04:30", named("09:30:00"): "09:30:00", named("11:00:00"): "12:00:00"}
    assert (
        "by +0.00 s (2026-05-22T07:00:12+02:00), -3600.00 s (2026" in station.only("deployments")["deploymentComments"]
    )


@pytest.mark.parametrize("why", ["never compared", "no such time", "outside"])
def test_what_cannot_be_corrected_is_said_to_have_issues(station: Station, why: str) -> None:
    if why != "never compared":
        station.compared("07:00:12", 1.0)
    name = {
        "never compared": named("09:30:00"),
        "no such time": "object_20260522-010060-000000_wildberry01_root.jpg",
        "outside": named("2025-01-01T09:30:00"),
    }[why]
    station.archive(pictures(name))
    station.closed()
    station.write()
    row = station.only("deployments")
    assert row["timestampIssues"] == "true"
    # One image from another year does not make a deployment of a year.
    assert row["deploymentStart"] == "2026-05-22T07:00:10+02:00"
    if why == "no such time":
        media = station.only("media")
        assert media["timestamp"] == row["deploymentStart"] and "no time that exists" in media["mediaComments"]
    judged(station)


def test_the_night_in_which_summer_ends_has_an_hour_more(data_dir: Path) -> None:
    station = Station(data_dir, "2026-10-24")
    station.record.opened = station.time("2026-10-24T20:00:00")
    station.record.cameras["object"].since = station.record.opened
    station.save()
    (station.directory / "events.jsonl").unlink()
    station.happened("2026-10-24T20:00:00", "object", "recording")
    station.compared("2026-10-24T20:00:01", 0.0)
    shown = ("2026-10-25T01:59:59", "2026-10-25T03:00:00")
    station.archive(pictures(*map(named, shown)))
    station.closed("2026-10-25T04:00:00")
    station.write()
    times = [row["timestamp"] for row in station.rows("media")]
    assert times == ["2026-10-25T01:59:59+02:00", "2026-10-25T03:00:00+01:00"]
    assert seconds(times[1]) - seconds(times[0]) == 2 * 3600 + 1
    row = station.only("deployments")
    assert (row["deploymentStart"][-6:], row["deploymentEnd"]) == ("+02:00", "2026-10-25T04:00:00+01:00")
