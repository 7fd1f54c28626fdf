# SPDX-License-Identifier: GPL-3.0-or-later
"""A day of which the data package has much to say, and what its files must agree with."""

from __future__ import annotations

import datetime as dt
import hashlib
import re
import zipfile
from pathlib import Path

from ansible_collections.wildberryeye.orchestrator.plugins.module_utils.camtrap_tables import TIME
from unit import camtrap_standard
from unit.camtrap_station import Station, named, pictures

FILES = {"datapackage.json", "deployments.csv", "media.csv", "observations.csv"}
VISIT = ("09:30:00.25", "09:30:01.5", "09:30:03")


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
