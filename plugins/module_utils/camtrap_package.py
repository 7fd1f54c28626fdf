# SPDX-License-Identifier: GPL-3.0-or-later
"""A Camtrap DP of an experiment: what its archives, its events and the inventory say, as a data package for science.

<experiment>/datapackage.json, deployments.csv, media.csv, observations.csv

They lie at the top of the experiment because paths in a data package cannot lead upwards. Nothing of the images is
read but the archives' directories and lists. The package is there whole, or not at all: its description, which names
the tables by their SHA-256, is the first to go and the last to come.
"""

from __future__ import annotations

import contextlib
import csv
import datetime as dt
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import IO, Any, NamedTuple

from . import camtrap_rows, camtrap_site, durable, events, heartbeat_file, lock, manifest, pictures, record
from .camtrap_rows import Deployment, Recorded
from .camtrap_tables import STANDARD, TABLES, Writer
from .coverage import coverage
from .errors import Error
from .layout import Layout
from .orchestrator_time import INTERVAL, CameraClock, Zone, moment
from .record import CameraRecord, Record
from .visits import GAP, MINIMUM, cluster

DESCRIPTION = "datapackage.json"
_SOURCE = {"title": "wildberryeye.orchestrator", "path": "https://github.com/wildberryeye/orchestrator"}


class Wanted(NamedTuple):
    """What a package is made with."""

    sites: Mapping[str, Mapping[str, Any]]
    """What the inventory says of each camera's place; see `camtrap_site.settings`."""
    project: Mapping[str, Any]
    """What it says of the project; see `camtrap_site.project`."""
    interval: float = INTERVAL
    """Seconds between two looks of the heartbeat."""
    visit_gap: float = GAP
    """Seconds without an image that end a visit."""
    visit_minimum: int = MINIMUM
    """Images that a visit has at least."""


class Package(NamedTuple):
    """What became of an experiment's package; figures are rows."""

    path: str
    """Of its description; empty where there is nothing to describe yet."""
    deployments: int
    media: int
    observations: int
    changed: bool
    complaints: Sequence[str]
    """A line for each archive that could not be read: its images are missing from the package."""


class _Same(Exception):
    """What would be written is there already."""


class _Nothing(Exception):
    """There is nothing to describe."""


def there(layout: Layout, experiment: str) -> bool:
    """Tell whether the experiment has a package, or one that was cut off while it was replaced."""
    files = [DESCRIPTION, *map(_file, TABLES)]
    return any(os.path.lexists(os.path.join(layout.experiment(experiment), name)) for name in files)


def write(layout: Layout, experiment: str, wanted: Wanted, moved: bool = False, check: bool = False) -> Package:
    """Write the package of `experiment`, or leave it as it is where nothing has changed.

    Args:
        layout: the data directory.
        experiment: which one; it must have a record.
        wanted: what it is made with.
        moved: whether the cameras may stand elsewhere by now, because the experiment is one of the past: what its
            package says of their places stays then.
        check: whether to write nothing.

    Raises:
        Error: if a camera's place is not known, or an archive's list cannot be read; what was there stays.
        OSError: if there is no room or no right to write; likewise.
    """
    about = record.load(layout, experiment)
    if about is None:
        raise Error(f"describe experiment {experiment}", "it has no record")
    described = camtrap_site.project(wanted.project)
    directory = layout.experiment(experiment)
    path = os.path.join(directory, DESCRIPTION)
    complaints: list[str] = []
    with contextlib.ExitStack() as stack:
        if not check:
            stack.enter_context(lock.exclusive(layout.locks(), f"package-{experiment}"))
        try:
            # The description comes first, so that it is the last to get its name.
            with _opened(path, check) as file, _tables(directory, check) as tables:
                changed = True
                found = []
                for known in _cameras(layout, about, wanted, _placed(directory), moved):
                    complaints += known.complaints
                    found += _fill(tables, known, directory)
                if not found or (about.state == record.RECORDING and not tables["media"].rows):
                    raise _Nothing
                described.update(_covered(found), resources=[_resource(table) for table in tables.values()])
                content = {**_head(about), **described}
                if content == _without_date(path) and _hold(directory, tables):
                    raise _Same
                file.write(json.dumps(_dated(content), indent=2, ensure_ascii=False).encode() + b"\n")
                if not check:
                    for each in (file, *(table.file for table in tables.values())):
                        each.flush()
                        os.fsync(each.fileno())
                    durable.remove(path)
        except _Same:
            changed = False
        except _Nothing:
            return Package("", 0, 0, 0, False, complaints)
    deployments, media, observations = (table.rows for table in tables.values())
    return Package(path, deployments, media, observations, changed, complaints)


def _cameras(
    layout: Layout, about: Record, wanted: Wanted, placed: Mapping[str, Mapping[str, Any]], moved: bool
) -> Iterator[Recorded]:
    """Yield what is known of each camera, one at a time: forty have more images than fit into the memory."""
    happened = events.read(layout.events(about.id))
    seen = heartbeat_file.last_good(layout, about.id)
    for camera, entry in sorted(about.cameras.items()):
        known = _look(layout, about, camera, entry, happened, seen.get(camera), wanted)
        if known.took_part:
            inventory = wanted.sites.get(camera)
            if camera in placed and (moved or inventory is None):
                yield known._replace(site=placed[camera])
            else:
                yield known._replace(site=camtrap_site.site(camera, inventory or {}))


def _look(
    layout: Layout,
    about: Record,
    camera: str,
    entry: CameraRecord,
    happened: Sequence[Mapping[str, Any]],
    seen: dt.datetime | None,
    wanted: Wanted,
) -> Recorded:
    opened = moment(about.opened)
    if opened is None:
        raise ValueError(f"{about.id}: a record that was loaded has a time")
    clock = CameraClock(Zone(opened), happened, camera, entry.clock_offset, wanted.interval)
    found = pictures.found(layout, about.id, camera, clock)
    now = dt.datetime.now().astimezone()
    covered = coverage(opened, camera, entry, happened, found.pictures, now, seen, wanted.interval)
    return Recorded(
        experiment=about.id,
        camera=camera,
        mode=entry.mode,
        site={},
        opened=opened,
        spans=covered.spans,
        images=found.pictures,
        visits=cluster(camera, found.pictures, wanted.visit_gap, wanted.visit_minimum).visits,
        noted=clock.noted,
        compared=bool(clock.noted) or entry.clock_offset is not None,
        complaints=found.complaints,
        slack=wanted.interval,
    )


def _fill(tables: Mapping[str, Writer], known: Recorded, directory: str) -> list[Deployment]:
    """Write a camera's rows; return its deployment, if it has one."""
    found = camtrap_rows.deployment(known)
    if found is None:
        return []
    tables["deployments"].add(found.row)
    for table, row in camtrap_rows.rows(known, found, directory):
        tables[table].add(row)
    return [found]


# --- the description ------------------------------------------------------------------------------


def _head(about: Record) -> dict[str, Any]:
    return {
        "profile": f"{STANDARD}/camtrap-dp-profile.json",
        "name": f"wildberryeye-{about.id.lower()}",
        "title": f"WildBerryEye experiment {about.id}",
        "description": (
            "Images of WildBerryEye cameras, and when each camera recorded. They lie in zip archives: a filePath holds "
            "once the archive <directory>.zip was unpacked into <directory>. Nobody has classified them yet. Each "
            "image's SHA-256 stands in mediaComments, and in manifest-sha256.txt in its archive. Timestamps are local "
            "time with its offset from UTC, corrected by how far a camera's clock was off: see deploymentComments."
        ),
        "sources": [_SOURCE],
        "taxonomic": [],
    }


def _covered(found: Sequence[Deployment]) -> dict[str, Any]:
    places = sorted({(each.longitude, each.latitude) for each in found})
    return {
        "spatial": {"type": "MultiPoint", "coordinates": [list(place) for place in places]},
        "temporal": {
            "start": min(each.begin for each in found).date().isoformat(),
            "end": max(each.end for each in found).date().isoformat(),
        },
    }


def _resource(table: Writer) -> dict[str, Any]:
    return {
        "name": table.name,
        "path": _file(table.name),
        "profile": "tabular-data-resource",
        "format": "csv",
        "mediatype": "text/csv",
        "encoding": "utf-8",
        "schema": f"{STANDARD}/{table.name}-table-schema.json",
        "bytes": table.bytes,
        "hash": f"sha256:{table.sha256}",
    }


def _dated(content: Mapping[str, Any]) -> dict[str, Any]:
    return {**content, "created": events.now()}


# --- the files ------------------------------------------------------------------------------------


def _file(table: str) -> str:
    return f"{table}.csv"


@contextlib.contextmanager
def _tables(directory: str, check: bool) -> Iterator[dict[str, Writer]]:
    with contextlib.ExitStack() as stack:
        yield {
            name: Writer(name, stack.enter_context(_opened(os.path.join(directory, _file(name)), check)))
            for name in TABLES
        }


def _opened(path: str, check: bool) -> contextlib.AbstractContextManager[IO[bytes]]:
    return open(os.devnull, "wb") if check else durable.replacing(path)


def _without_date(path: str) -> dict[str, Any] | None:
    """Return the description that is there, less its date; None if it is none."""
    try:
        with open(path, "rb") as file:
            found = json.load(file)
    except (FileNotFoundError, ValueError, RecursionError):
        return None
    return {name: value for name, value in found.items() if name != "created"} if isinstance(found, dict) else None


def _hold(directory: str, tables: Mapping[str, Writer]) -> bool:
    """Tell whether the tables that are there are those that were written now."""
    try:
        return all(manifest.digest(os.path.join(directory, _file(name))) == tables[name].sha256 for name in tables)
    except FileNotFoundError:
        return False


def _placed(directory: str) -> dict[str, dict[str, Any]]:
    """Return what the package that is there says of the cameras' places, camera to column to value."""
    found = {}
    path = os.path.join(directory, _file("deployments"))
    with contextlib.suppress(FileNotFoundError, csv.Error), open(path, encoding="utf-8", errors="replace") as file:
        for row in csv.DictReader(file):
            site = camtrap_site.from_row(row)
            if site is not None:
                found[str(row.get("cameraID"))] = site
    return found
