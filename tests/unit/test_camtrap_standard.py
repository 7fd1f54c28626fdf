# SPDX-License-Identifier: GPL-3.0-or-later
"""The data package for science is what the standard wants: by frictionless, and by the standard's own files."""

from __future__ import annotations

import datetime as dt
import re
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.wildberryeye.orchestrator.plugins.module_utils.camtrap_tables import TABLES, Writer
from ansible_collections.wildberryeye.orchestrator.plugins.module_utils.errors import Error
from unit import camtrap_standard
from unit.camtrap_day import a_day, judged
from unit.camtrap_station import PROJECT

pytestmark = pytest.mark.usefixtures("in_berlin")


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
