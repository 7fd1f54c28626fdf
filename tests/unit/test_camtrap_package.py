# SPDX-License-Identifier: GPL-3.0-or-later
"""The data package for science: it is what the standard wants, and says what the archives hold."""

from __future__ import annotations

import csv
import datetime as dt
import hashlib
import json
import os
import re
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from ansible_collections.wildberryeye.orchestrator.plugins.module_utils import closing
from ansible_collections.wildberryeye.orchestrator.plugins.module_utils.camtrap_tables import TABLES, TIME, Writer
from ansible_collections.wildberryeye.orchestrator.plugins.module_utils.errors import Error
from ansible_collections.wildberryeye.orchestrator.plugins.module_utils.record import CLOSING, RECORDING
from unit import camtrap_standard
from unit.camtrap_station import PROJECT, SITES, Station, jpeg, named, pictures
from unit.cards import every_kill
from unit.support import EXPERIMENT, ROOT, batch_name, tree, write_archive

pytestmark = pytest.mark.usefixtures("in_berlin")

FILES = {"datapackage.json", "deployments.csv", "media.csv", "observations.csv"}
VISIT = ("09:30:00.25", "09:30:01.5", "09:30:03")


@pytest.fixture
def station(data_dir: Path) -> Station:
    return Station(data_dir)


def a_day(data_dir: Path) -> Station:
    """Two cameras, visits, single images, pictures that were asked for, a gap, clocks that are wrong."""
    station = Station(data_dir, cameras=("motion", "object"))
    station.compared("07:00:12", -2.5)
    station.compared("07:00:12", 0.25, "motion")
    names = [named(at) for at in (*VISIT, "11:00:00", "12:00:00", "12:00:01")]
    station.archive(pictures(*names, named("07:00:01", "manual"), seed=1))
    station.archive(pictures(named("12:30:00"), seed=50), part=2)
    moved = [named(at, "motion", "_THRESH25_AREA500") for at in ("09:30:00", "09:30:02", "10:45:00")]
    station.archive(pictures(*moved, named("10:46:00", "manual"), seed=100), "motion")
    station.happened("10:20:00", "object", "gap", **{"from": "10:00:00", "to": "10:20:00", "text": "its power was cut"})
    station.closed()
    return station


def judged(station: Station) -> None:
    """The package is what frictionless and the standard take."""
    assert camtrap_standard.complaints(station.directory, camtrap_standard.ours) == []


def counted(station: Station) -> dict[str, str]:
    """What the archives hold, by nothing but zipfile and hashlib: file path once unpacked, to SHA-256."""
    found = {}
    for path in sorted(station.directory.glob("*/*.zip")):
        with zipfile.ZipFile(path) as archive:
            for name in archive.namelist():
                if name.endswith(".jpg"):
                    digest = hashlib.sha256(archive.read(name)).hexdigest()
                    found[f"{path.parent.name}/{path.stem}/{name}"] = digest
    return found


def said(row: dict[str, str]) -> str:
    """The SHA-256 that a row of media says."""
    (found,) = re.findall(r"sha256 ([0-9a-f]{64})", row["mediaComments"])
    return str(found)


def seconds(text: str) -> float:
    return dt.datetime.strptime(text, TIME).timestamp()


# --- the standard ---------------------------------------------------------------------------------


def test_frictionless_takes_the_package_by_our_own_tables(data_dir: Path) -> None:
    station = a_day(data_dir)
    station.write()
    judged(station)


def test_frictionless_takes_the_package_by_the_standards_own_tables(data_dir: Path) -> None:
    station = a_day(data_dir)
    station.write()
    assert camtrap_standard.complaints(station.directory, camtrap_standard.theirs) == []


def test_the_standards_profile_takes_the_description(data_dir: Path) -> None:
    station = a_day(data_dir)
    person = {"title": "A. B.", "role": "contact", "email": "a@b.example", "path": "https://orcid.org/0000-0001"}
    licences = {"data_license": "CC0-1.0", "media_license": "CC-BY-4.0"}
    for project in (PROJECT, {**PROJECT, **licences, "contributors": [person], "description": "All of it"}):
        station.wanted = station.wanted._replace(project=project)
        station.write()
        assert camtrap_standard.profile_complaints(station.description) == []
    assert station.description["contributors"] == [person]
    assert [each["scope"] for each in station.description["licenses"]] == ["data", "media"]


def test_the_profile_is_really_asked(data_dir: Path) -> None:
    station = a_day(data_dir)
    station.write()
    broken = station.description
    del broken["created"]
    broken["spatial"] = {"type": "MultiPoint"}
    broken["resources"][1]["schema"] = "https://example.org/media-table-schema.json"
    broken["contributors"][0]["role"] = "author"
    assert len(camtrap_standard.profile_complaints(broken)) == 4


@pytest.mark.parametrize("table", list(TABLES))
def test_our_columns_are_the_standards(table: str) -> None:
    ours, theirs = camtrap_standard.ours(table), camtrap_standard.theirs(table)
    assert [field["name"] for field in ours["fields"]] == [field["name"] for field in theirs["fields"]]
    assert (ours["primaryKey"], ours["foreignKeys"]) == (theirs["primaryKey"], theirs.get("foreignKeys", []))
    for mine, field in zip(ours["fields"], theirs["fields"], strict=True):
        limits = {name: value for name, value in field["constraints"].items() if value is not False}
        patterns = [constraints.pop("pattern", None) for constraints in (mine["constraints"], limits)]
        assert (mine["type"], mine.get("format"), mine["constraints"]) == (field["type"], field.get("format"), limits)
        assert (patterns[0] is None) == (patterns[1] is None), mine["name"]
        for path in (
            "a/b.jpg",
            "/a.jpg",
            "./a.jpg",
            "../a.jpg",
            "~a",
            "a/../b",
            "a..b",
            "image/jpeg",
            "text/plain",
            "https://a/b",
        ):
            if patterns[0] and patterns[1]:
                assert bool(re.fullmatch(patterns[0], path)) == bool(re.search(patterns[1], path)), path


@pytest.mark.parametrize(
    ("row", "wrong"),
    [
        ({"latitude": 90.5}, "latitude is 90.5: it must be at most 90"),
        ({"latitude": float("nan")}, "latitude is nan: it must be at least -90"),
        ({"deploymentStart": dt.datetime(2026, 5, 22)}, "it must have an offset from UTC"),
        ({"deploymentEnd": None}, "deploymentEnd is missing"),
        ({"coordinateUncertainty": 0}, "it must be at least 1"),
        ({"coordinateUncertainty": True}, "it must be of type integer"),
        ({"featureType": "flower"}, "use one of roadPaved"),
        ({"altitude": 1}, "it has no column altitude"),
    ],
)
def test_what_the_standard_does_not_allow_is_never_written(tmp_path: Path, row: dict[str, Any], wrong: str) -> None:
    now = dt.datetime.now().astimezone()
    good = {"deploymentID": "a", "latitude": 1.5, "longitude": 2, "deploymentStart": now, "deploymentEnd": now}
    with (tmp_path / "deployments.csv").open("wb") as file:
        writer = Writer("deployments", file)
        writer.add(good)
        with pytest.raises(Error, match=re.escape(wrong)):
            writer.add({**good, **row})
    assert len((tmp_path / "deployments.csv").read_text().splitlines()) == 2


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


# --- again ----------------------------------------------------------------------------------------


def test_what_has_not_changed_is_not_touched(data_dir: Path) -> None:
    station = a_day(data_dir)
    assert station.write().changed
    assert {path.name for path in station.directory.iterdir()} - FILES == {
        *("events.jsonl", "experiment.json", "motion", "object")
    }

    def files() -> dict[str, tuple[int, int]]:
        return {
            name: (status.st_ino, status.st_mtime_ns) for name in FILES if (status := (station.directory / name).stat())
        }

    before = files()
    assert not station.write().changed and files() == before
    (station.directory / "media.csv").write_text("edited by hand")
    assert station.write().changed and not station.write().changed
    judged(station)


def test_an_image_keeps_its_identifier_whenever_it_is_looked_at(station: Station) -> None:
    station.record.cameras["object"].state = RECORDING
    station.save()
    first = pictures(*map(named, VISIT))
    write_archive(Path(station.layout.together(EXPERIMENT, "object")), first)
    station.write()

    def ids() -> dict[str, tuple[str, ...]]:
        seen = {row["mediaID"]: (row["observationID"], row["eventID"]) for row in station.rows("observations")}
        return {row["fileName"]: (row["mediaID"], *seen[row["mediaID"]]) for row in station.rows("media")}

    before = ids()
    assert station.rows("media")[0]["filePath"] == f"object/parts/together/{named(VISIT[0])}"
    # More comes, and the parts become the archive.
    write_archive(
        Path(station.layout.parts(EXPERIMENT, "object")) / f"{batch_name(2)}-1.zip", pictures(named("12:00:00"), seed=9)
    )
    station.record.cameras["object"].state = CLOSING
    station.save()
    closing.merge(station.layout, EXPERIMENT, "object")
    station.closed()
    assert station.write().changed
    after = ids()
    assert {name: after[name] for name in before} == before and len(after) == len(before) + 1
    assert station.rows("media")[0]["filePath"] == f"object/object_{EXPERIMENT}/{named(VISIT[0])}"
    judged(station)


def test_images_that_come_late_are_added(data_dir: Path) -> None:
    station = a_day(data_dir)
    station.write()
    station.archive(pictures(named("12:59:00"), seed=200), part=3)
    assert station.write().media == 13
    assert {row["filePath"] for row in station.rows("media")} == counted(station).keys()
    judged(station)


def test_one_name_for_two_images_is_two_media(station: Station) -> None:
    station.archive({named("09:30:00"): jpeg(1)})
    station.archive({named("09:30:00"): jpeg(2)}, part=2)
    station.closed()
    station.write()
    assert len({row["mediaID"] for row in station.rows("media")}) == 2
    judged(station)


def test_two_images_with_the_same_bytes_are_two_media(station: Station) -> None:
    station.archive({named("09:30:00"): jpeg(1), named("09:31:00"): jpeg(1)})
    station.closed()
    station.write()
    assert len({row["mediaID"] for row in station.rows("media")}) == 2
    judged(station)


def test_a_package_of_the_past_keeps_the_places_that_it_has(data_dir: Path) -> None:
    station = a_day(data_dir)
    station.write()
    elsewhere = {name: {"latitude": -1, "longitude": 2} for name in SITES}
    station.wanted = station.wanted._replace(sites=elsewhere)
    assert not station.write(moved=True).changed
    assert {row["latitude"] for row in station.rows("deployments")} == {"52.52", "52.5201"}
    # A run that is about that experiment corrects them.
    assert station.write().changed
    assert {(row["latitude"], row["cameraHeight"]) for row in station.rows("deployments")} == {("-1.0", "")}


def test_a_camera_that_left_the_inventory_stays_where_it_was(data_dir: Path) -> None:
    station = a_day(data_dir)
    station.write()
    station.wanted = station.wanted._replace(sites={"object": SITES["object"]})
    assert not station.write().changed
    (station.directory / "deployments.csv").unlink()
    with pytest.raises(Error, match="describe where motion stands: wildberryeye_latitude and wildberryeye_longitude"):
        station.write()


def test_nothing_is_written_in_check_mode(data_dir: Path) -> None:
    station = a_day(data_dir)
    before = tree(data_dir)
    assert station.write(check=True).changed
    assert tree(data_dir) == before
    station.write()
    assert not station.write(check=True).changed


def test_an_experiment_of_which_nothing_is_home_yet_gets_no_package(station: Station) -> None:
    station.record.cameras["object"].state = RECORDING
    station.save()
    assert station.write().path == ""
    assert not FILES & {path.name for path in station.directory.iterdir()}


def test_while_it_goes_on_the_heartbeat_says_until_when_it_recorded(station: Station) -> None:
    station.record.cameras["object"].state = RECORDING
    station.save()
    write_archive(Path(station.layout.together(EXPERIMENT, "object")), pictures(named("09:30:00")))
    station.write()
    assert "Not known whether it recorded" in station.only("deployments")["deploymentComments"]
    now = dt.datetime.now().astimezone() + dt.timedelta(minutes=1)
    cameras = {"object": {"experiment": EXPERIMENT, "last_good": now.isoformat()}, "motion": {"experiment": "another"}}
    Path(station.layout.heartbeat()).write_text(json.dumps({"cameras": cameras}))
    station.write()
    assert "recorded" not in station.only("deployments")["deploymentComments"]


# --- when something goes wrong --------------------------------------------------------------------


def whole(station: Station) -> bool:
    """Whether there is a description, and it is one of the tables that are there."""
    if not (station.directory / "datapackage.json").exists():
        return False
    for each in station.description["resources"]:
        content = (station.directory / each["path"]).read_bytes()
        assert (each["bytes"], each["hash"]) == (len(content), f"sha256:{hashlib.sha256(content).hexdigest()}")
    return True


def test_killed_at_any_step_the_package_is_whole_or_not_there(tmp_path: Path) -> None:
    stations: dict[Path, Station] = {}

    def prepare(path: Path) -> Callable[[], object]:
        station = stations[path] = a_day(path / "data")
        station.write()
        station.archive(pictures(named("12:59:00"), seed=200), part=3)
        return station.write

    there = []
    for path in every_kill(tmp_path, prepare):
        station = stations[path]
        there.append(whole(station))
        assert station.write().changed or there[-1]
        assert whole(station) and not station.write().changed
        assert len(station.rows("media")) == 13
        assert not [name for name in os.listdir(station.directory) if name.endswith(".tmp")]
    assert True in there and False in there


def test_where_there_is_no_room_the_package_that_was_there_stays(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    station = a_day(data_dir)
    station.write()
    before = tree(station.directory)
    station.archive(pictures(named("12:59:00"), seed=200), part=3)

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space"):
            station.write()
    after = tree(station.directory)
    assert {name: after[name] for name in before} == before and whole(station)


def test_an_archive_that_cannot_be_read_is_named_and_the_rest_is_there(data_dir: Path) -> None:
    station = a_day(data_dir)
    (station.directory / "object" / f"object_{EXPERIMENT}_part2.zip").write_bytes(b"no zip")
    written = station.write()
    assert written.media == 11 and len(written.complaints) == 1 and "_part2.zip: it is damaged" in written.complaints[0]
    (row,) = [row for row in station.rows("deployments") if row["cameraID"] == "object"]
    assert "Images are missing here: " in row["deploymentComments"] and "_part2.zip" in row["deploymentComments"]


def test_hostile_words_are_text(station: Station) -> None:
    cause = "a, \"quoted\"\n=cmd|' /C calc'!A0\r\n<b>&amp;\x1b[31m"
    station.happened("10:20:00", "object", "gap", **{"from": "10:00:00", "to": "10:20:00", "text": f"gap: {cause}"})
    dotted = "object_20260522-093000-000000_a..b_root.jpg"
    station.archive(pictures(dotted))
    station.closed()
    station.write()
    comments = station.only("deployments")["deploymentComments"]
    assert "a, \"quoted\" =cmd|' /C calc'!A0 <b>&amp;?[31m" in comments
    media = station.only("media")
    assert media["fileName"] == dotted and media["filePath"].endswith(
        "/object_20260522-093000-000000_a%2E%2Eb_root.jpg"
    )
    judged(station)
    # No cell is a formula, but for what is a number.
    for table in TABLES:
        for row in station.rows(table):
            for name, cell in row.items():
                assert not cell.startswith(("=", "+", "-", "@", "\t", "\r")) or name in ("latitude", "longitude"), cell


# --- how long -------------------------------------------------------------------------------------

_MEASURED = """
import resource, sys, time
from pathlib import Path
from unit.camtrap_station import Station, SITES, PROJECT
from ansible_collections.wildberryeye.orchestrator.plugins.module_utils import camtrap_package
from ansible_collections.wildberryeye.orchestrator.plugins.module_utils.layout import Layout
layout, wanted = Layout(sys.argv[1]), camtrap_package.Wanted(SITES, PROJECT)
begin = time.process_time()
written = camtrap_package.write(layout, sys.argv[2], wanted)
print(written.media, time.process_time() - begin, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


@pytest.mark.slow
def test_fifty_thousand_images_a_camera_take_neither_memory_nor_the_night(data_dir: Path) -> None:
    station = Station(data_dir, cameras=("object", "motion"))
    begin = dt.datetime(2026, 5, 22, 7, 1)
    for camera in ("object", "motion"):
        shown = (begin + dt.timedelta(seconds=0.4 * number) for number in range(50_000))
        station.archive({named(at.isoformat(), camera): b"%d" % number for number, at in enumerate(shown)}, camera)
    station.closed()
    done = subprocess.run(
        [sys.executable, "-c", _MEASURED, str(data_dir), EXPERIMENT],
        env={**os.environ, "PYTHONPATH": f"{ROOT / 'collections'}:{ROOT / 'tests'}"},
        capture_output=True,
        text=True,
        check=True,
    )
    media, took, memory = map(float, done.stdout.split())
    with (station.directory / "media.csv").open(encoding="utf-8", newline="") as file:
        assert media == 100_000 == sum(1 for _ in csv.reader(file)) - 1
    assert took < 60 and memory < 300_000, (took, memory)
