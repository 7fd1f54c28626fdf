# SPDX-License-Identifier: GPL-3.0-or-later
"""All that is known of one experiment, gathered for those who show it. Standard library only; nothing is changed."""

from __future__ import annotations

import collections
import contextlib
import datetime as dt
import json
import math
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from . import archive, events, heartbeat_file, pictures, record, visits
from .coverage import NOT_RECORDED, UNKNOWN, Coverage, Span, coverage
from .errors import Error, from_os_error
from .layout import Layout
from .names import is_experiment
from .orchestrator_time import INTERVAL, CameraClock, Zone, moment
from .pictures import Picture
from .record import CameraRecord, Record
from .visits import GAP, MINIMUM, Visit

HAPPENED = (
    *("down", "wedged", "faulty", "dead", "storage", "unreachable", "expected", "blind", "degraded", "gap", "back"),
    *("restarting", "restart failed", "collecting", "collect failed", "failed", "given up"),
)
"""Events of a camera that a person wants to read."""


class Settings(NamedTuple):
    """What a user set."""

    gap: float = GAP
    """Seconds without an image that end a visit."""
    minimum: int = MINIMUM
    """Images that a visit has at least."""
    interval: float = INTERVAL
    """Seconds between two looks of the heartbeat."""


DEFAULTS = Settings()


class Receipts(NamedTuple):
    """What was proven of a camera's images when they came home."""

    number: int
    images: int
    """Read back from the orchestrator's disk and found to be what the camera had hashed."""
    unproven: int
    """That were not, and had to come again."""
    not_whole: int
    """Proven, and half-written on the card already."""
    last: dt.datetime | None
    """When the last one was written."""


class Listed(NamedTuple):
    """An archive and its own list of SHA-256 sums."""

    name: str
    images: int
    bytes: int
    sha256: str
    """Of the list, `manifest-sha256.txt`: whoever has the same list has the same images. Empty if it has none."""
    agrees: bool
    """Whether the list names exactly the images that are there."""


class Camera(NamedTuple):
    """One camera in the experiment."""

    name: str
    entry: CameraRecord
    pictures: list[Picture]
    coverage: Coverage
    visits: list[Visit]
    seen_by: list[frozenset[str]]
    """For each visit, which cameras saw it."""
    alone: int
    """Detections that came to no visit."""
    clock: list[tuple[dt.datetime, float]]
    """When its clock was looked at, and by how many seconds it was ahead."""
    room: tuple[dt.datetime, int] | None
    """When its card had least room, as far as was seen, and how many bytes."""
    warmest: tuple[dt.datetime, float] | None
    """When its processor was warmest, as far as was seen, and how many degrees Celsius."""
    receipts: Receipts
    archives: list[Listed]
    happened: list[Mapping[str, Any]]
    """What befell it, those of `HAPPENED`."""
    complaints: list[str]
    """A line for each thing that is wrong with its files."""

    @property
    def bytes(self) -> int:
        """Of all its images."""
        return sum(each.size for each in self.pictures)

    @property
    def detections(self) -> list[Picture]:
        """Images that it took because it had detected something, and whose time is known, in order."""
        return [each for each in self.pictures if each.detection and each.taken is not None]

    @property
    def timeless(self) -> int:
        """Images whose names tell no time that exists."""
        return sum(each.taken is None for each in self.pictures)

    @property
    def doubtful(self) -> int:
        """Images whose names can mean two times, because the clock went back, or summer time ended."""
        return sum(each.taken is not None and each.taken.doubtful for each in self.pictures)

    @property
    def outside(self) -> int:
        """Detections whose time is not within the experiment's, and not because it is noted to the second, or late."""
        spans, slack = self.coverage.spans, dt.timedelta(seconds=INTERVAL)
        if not spans:
            return 0
        begin, end = spans[0].begin - slack, spans[-1].end + slack
        return sum(each.taken is not None and not begin <= each.taken.at <= end for each in self.detections)

    @property
    def gaps(self) -> list[Span]:
        """When it did not record, or nobody knows."""
        return [span for span in self.coverage.spans if span.state in (NOT_RECORDED, UNKNOWN)]


class Experiment(NamedTuple):
    """One experiment."""

    record: Record
    zone: Zone
    opened: dt.datetime
    until: dt.datetime
    """When its last camera ended, or the present time."""
    cameras: list[Camera]
    settings: Settings
    disk_free: int | None
    """Bytes on the orchestrator's disk, now; None where the experiment is closed, and needs no more of it."""
    now: dt.datetime


def gather(
    layout: Layout, experiment: str, settings: Settings = DEFAULTS, now: dt.datetime | None = None
) -> Experiment:
    """Return all that is known of `experiment`.

    Args:
        layout: the data directory.
        experiment: which one.
        settings: what a user set.
        now: the present time.

    Raises:
        Error: if it has no record, or one that cannot be read. Whatever else is wrong is a line of its camera.
    """
    now = now or dt.datetime.now().astimezone()
    found = record.load(layout, experiment) if is_experiment(experiment) else None
    if found is None:
        raise Error(
            f"report on experiment {experiment}",
            f"{layout.data_dir} has no record of it",
            "Name one of the directories there that have an experiment.json",
        )
    opened = dt.datetime.fromisoformat(found.opened)
    try:
        happened = events.read(layout.events(experiment))
        wrong = []
    except OSError as error:
        happened, wrong = [], [str(from_os_error("read what happened", error))]
    seen = heartbeat_file.last_good(layout, experiment)
    zone = Zone(opened)
    cameras = [
        _camera(layout, found, name, zone, happened, settings, now, seen.get(name), wrong)
        for name in sorted(found.cameras, key=lambda name: (found.cameras[name].mode != "object", name))
    ]
    together = visits.seen_by({camera.name: camera.visits for camera in cameras})
    cameras = [camera._replace(seen_by=together[camera.name]) for camera in cameras]
    until = max([opened, *(camera.coverage.spans[-1].end for camera in cameras if camera.coverage.spans)])
    free = None
    with contextlib.suppress(OSError):
        if found.state != record.CLOSED:
            free = shutil.disk_usage(layout.data_dir).free
    return Experiment(found, zone, opened, until, cameras, settings, free, now)


def _camera(
    layout: Layout,
    found: Record,
    name: str,
    zone: Zone,
    happened: Sequence[Mapping[str, Any]],
    settings: Settings,
    now: dt.datetime,
    seen: dt.datetime | None,
    wrong: list[str],
) -> Camera:
    entry = found.cameras[name]
    clock = CameraClock(zone, happened, name, entry.clock_offset, settings.interval)
    complaints = list(wrong)
    archives: list[Listed] = []
    receipts = Receipts(0, 0, 0, 0, None)
    read = pictures.Found([], [], [])
    if is_experiment(name):
        read = pictures.found(layout, found.id, name, clock)
        complaints += read.complaints
        receipts = _receipts(layout, found.id, name)
        archives = _listed(layout, found.id, name, read, complaints)
        complaints += _missing(entry, read, receipts)
    else:
        complaints.append("its name is none for a directory: no file of it was read")
    opened = dt.datetime.fromisoformat(found.opened)
    covered = coverage(opened, name, entry, happened, read.pictures, now, seen, settings.interval)
    mine = visits.cluster(name, read.pictures, settings.gap, settings.minimum)
    told = [event for event in happened if event.get("camera") == name and str(event.get("event")) in HAPPENED]
    return Camera(
        name,
        entry,
        read.pictures,
        covered,
        mine.visits,
        [],
        mine.alone,
        clock.noted,
        min(_measured(happened, name, "free"), key=_value, default=None),
        max(_measured(happened, name, "temperature"), key=_value, default=None),
        receipts,
        archives,
        told,
        complaints,
    )


def _measured(happened: Sequence[Mapping[str, Any]], camera: str, what: str) -> Iterator[tuple[dt.datetime, Any]]:
    """Yield when something was measured on a camera's card or processor, and what it was."""
    for event in happened:
        value, at = event.get(what), moment(event.get("at"))
        known = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
        if event.get("event") == "card" and event.get("camera") == camera and known and at is not None:
            yield at, value


def _value(measured: tuple[dt.datetime, Any]) -> Any:
    return measured[1]


def _receipts(layout: Layout, experiment: str, camera: str) -> Receipts:
    directory = os.path.dirname(layout.receipt(experiment, camera, "x"))
    count = images = unproven = not_whole = 0
    last = None
    with contextlib.suppress(OSError):
        for name in sorted(os.listdir(directory)):
            try:
                with open(os.path.join(directory, name), "rb") as file:
                    content = json.load(file)
                facts = (
                    int(content["images"]),
                    len(content.get("unproven") or ()),
                    len(content.get("not_whole") or ()),
                )
                at = moment(content["at"])
            except (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
                continue
            count += 1
            images, unproven, not_whole = images + facts[0], unproven + facts[1], not_whole + facts[2]
            last = max(last, at) if last and at else last or at
    return Receipts(count, images, unproven, not_whole, last)


def _listed(layout: Layout, experiment: str, camera: str, read: pictures.Found, complaints: list[str]) -> list[Listed]:
    names: dict[str, set[str]] = collections.defaultdict(set)
    for picture in read.pictures:
        names[os.path.basename(picture.archive)].add(picture.name)
    paths = {os.path.basename(path): path for path in pictures.paths(layout, experiment, camera)}
    found = []
    for each in read.archives:
        try:
            listing = archive.listing(paths[each.name])
        except Error as error:
            complaints.append(str(error))
            continue
        except OSError as error:
            complaints.append(str(from_os_error(f"read {paths[each.name]}", error)))
            continue
        agrees = listing.images == each.images and names[each.name] <= listing.names
        if not agrees:
            complaints.append(f"{each.name}: its list names {listing.images} images, and {each.images} are in it")
        found.append(Listed(each.name, each.images, each.bytes, listing.sha256, agrees))
    return found


def _missing(entry: CameraRecord, read: pictures.Found, receipts: Receipts) -> list[str]:
    """Return what the record and the receipts know, and the archives do not hold."""
    there = {each.name: each for each in read.archives}
    lines = []
    for known in entry.archives:
        found = there.get(str(known["name"]))
        if found is None:
            lines.append(f"{known['name']} with {known['images']} images is not there, or cannot be read")
        elif (found.images, found.bytes) != (known["images"], known["bytes"]):
            lines.append(f"{found.name} holds {found.images} images, and held {known['images']} when it was made")
    # Once its archives are known, they say it better: what was touched on the card while it was carried came twice.
    if not lines and not entry.archives and len(read.pictures) < receipts.images and not read.complaints:
        lines.append(f"{receipts.images} images were proven to be home, and {len(read.pictures)} are in the archives")
    return lines
