# SPDX-License-Identifier: GPL-3.0-or-later
"""The data package written again: late images, no room, kills, rot, and fifty thousand images a camera."""

from __future__ import annotations

import csv
import datetime as dt
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from ansible_collections.wildberryeye.orchestrator.plugins.module_utils import closing
from ansible_collections.wildberryeye.orchestrator.plugins.module_utils.camtrap_tables import TABLES
from ansible_collections.wildberryeye.orchestrator.plugins.module_utils.errors import Error
from ansible_collections.wildberryeye.orchestrator.plugins.module_utils.record import CLOSING, RECORDING
from unit.camtrap_day import FILES, VISIT, a_day, counted, judged
from unit.camtrap_station import SITES, Station, jpeg, named, pictures
from unit.cards import every_kill
from unit.support import EXPERIMENT, ROOT, batch_name, tree, write_archive

pytestmark = pytest.mark.usefixtures("in_berlin")


@pytest.fixture
def station(data_dir: Path) -> Station:
    return Station(data_dir)


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
import sys, time
from pathlib import Path
from unit.camtrap_station import Station, SITES, PROJECT
from ansible_collections.wildberryeye.orchestrator.plugins.module_utils import camtrap_package
from ansible_collections.wildberryeye.orchestrator.plugins.module_utils.layout import Layout
from unit.support import most_memory
layout, wanted = Layout(sys.argv[1]), camtrap_package.Wanted(SITES, PROJECT)
begin = time.process_time()
written = camtrap_package.write(layout, sys.argv[2], wanted)
print(written.media, time.process_time() - begin, most_memory())
"""


@pytest.mark.ci
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
    assert took < 60 and memory < 300e6, (took, memory)
