# SPDX-License-Identifier: GPL-3.0-or-later
"""What is known of the station for its live page, found anew every so often while somebody looks."""

from __future__ import annotations

import datetime as dt
import functools
import hashlib
import json
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from . import events, heartbeat_file, latest_picture, live_facts, record, report_file, watch
from .errors import Error, from_os_error, one_line
from .layout import Layout

FRESH = 2.0
"""Seconds for which what was found is told again: however many look, the disk is asked this often."""
HISTORY = ("experiments", "happened", "time_line")
TIME_LINE = 60.0
"""Seconds between two time lines, at least."""


class Settings(NamedTuple):
    """What the unit says."""

    data_dir: str
    heartbeat: str
    """The file that start.yml writes for the heartbeat: which cameras there are."""
    schedule: live_facts.Schedule | None
    time_line: str
    """The path of time_line.py."""


class Found(NamedTuple):
    """What the page shows, as JSON."""

    state: bytes
    """What may be another every second, and the version of the rest."""
    history: bytes
    """What grows long and seldom changes: the air is shared with the cameras."""
    version: str
    """Of the history."""


class Known(NamedTuple):
    """What start.yml told the heartbeat."""

    modes: dict[str, str]
    addresses: dict[str, latest_picture.Address]
    interval: float


class Cache:
    """What was read from files, as long as they are the same."""

    def __init__(self) -> None:
        self._kept: dict[str, tuple[tuple[int, ...], Any]] = {}

    def read(self, path: str, reader: Callable[[], Any]) -> Any:
        """Return what `reader` makes of the file `path`, read again only if it has changed."""
        try:
            found = os.stat(path)
            sign: tuple[int, ...] = (found.st_mtime_ns, found.st_size, found.st_ino, found.st_dev)
        except OSError:
            sign = ()
        before = self._kept.get(path)
        if before is None or before[0] != sign or not sign:
            self._kept[path] = before = (sign, reader())
        return before[1]

    def only(self, paths: Iterable[str]) -> None:
        """Forget all but these."""
        wanted = set(paths)
        self._kept = {path: kept for path, kept in self._kept.items() if path in wanted}


class Station:
    """What is known, found anew every so often while somebody looks.

    Args:
        settings: what the unit says.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.layout = Layout(settings.data_dir)
        self.pictures = latest_picture.Pictures()
        self.time_line = TimeLine(settings)
        self._lock = threading.Lock()
        self._cache = Cache()
        self._found = Found(b"", b"", "")
        self._found_at = -FRESH

    def found(self) -> Found:
        """Return what the page shows."""
        with self._lock:
            if time.monotonic() >= self._found_at + FRESH:
                found = self._look()
                history = as_json({name: found.pop(name) for name in HISTORY})
                version = hashlib.sha256(history).hexdigest()[:16]
                self._found = Found(as_json({**found, "history": version}), history, version)
                self._found_at = time.monotonic()
            return self._found

    def _look(self) -> dict[str, Any]:
        known, complaint = self._cache.read(self.settings.heartbeat, lambda: read_known(self.settings.heartbeat))
        problems = [complaint] if complaint else []
        records: list[record.Record] = []
        reports: set[str] = set()
        there: list[str] = []
        try:
            there = self.layout.experiments()
            for name in there:
                found, complaint = self._cache.read(self.layout.record(name), functools.partial(self._record, name))
                problems += [complaint] if complaint else []
                if found is not None:
                    records.append(found)
                    if report := report_file.opened(self.layout, name):
                        report.close()
                        reports.add(name)
            beat, cards = heartbeat_file.read(self.layout)
        except OSError as error:
            problems.append(str(from_os_error("read the experiments", error)))
            beat, cards = heartbeat_file.beat(None, False), {}
        records.sort(key=lambda found: dt.datetime.fromisoformat(found.opened), reverse=True)
        current = live_facts.current(records)
        latest = current or (records[0] if records else None)
        happened: list[dict[str, Any]] = []
        if latest is not None:
            path = self.layout.events(latest.id)
            happened = self._cache.read(path, lambda: live_facts.worth_seeing(self._events(path)))
        self._cache.only(
            [
                self.settings.heartbeat,
                *map(self.layout.record, there),
                *([self.layout.events(latest.id)] if latest else []),
            ]
        )
        self._ask_for_pictures(known, beat)
        shots = {name: self.pictures.get(name) for name in {*known.modes, *(current.cameras if current else ())}}
        seen = live_facts.Seen(
            socket.gethostname(),
            records,
            # Where that is on this machine is nobody's business.
            [line.replace(f"{self.layout.data_dir}/", "") for line in problems],
            beat,
            cards,
            known.interval,
            known.modes,
            # Every start leaves that directory.
            bool(known.modes) and not os.path.isdir(self.layout.locks()),
            disk(self.settings.data_dir),
            reports,
            happened,
            {
                name: live_facts.Shot(shot.version, shot.taken, len(shot.content))
                for name, shot in shots.items()
                if shot is not None
            },
            self.settings.schedule,
            self.time_line.of(latest.id if latest else "", known.interval),
        )
        return live_facts.facts(seen, dt.datetime.now().astimezone())

    def _record(self, name: str) -> tuple[record.Record | None, str]:
        try:
            return record.load(self.layout, name), ""
        except Error as error:
            return None, str(error)

    def _events(self, path: str) -> list[dict[str, Any]]:
        try:
            return events.read(path)
        except OSError:
            return []

    def _ask_for_pictures(self, known: Known, beat: Mapping[str, Any]) -> None:
        """Ask the cameras that have just answered the heartbeat; one in trouble is left in peace."""
        well = {name for name, thought in beat["cameras"].items() if thought["state"] == watch.RECORDING}
        self.pictures.ask({name: address for name, address in known.addresses.items() if name in well})


class TimeLine:
    """The time line of an experiment, made by a process of its own: reading an archive's list takes memory.

    Args:
        settings: what the unit says.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._made: tuple[str, dict[str, Any] | None] = ("", None)
        self._next = 0.0
        self._working = False

    def of(self, experiment_id: str, interval: float) -> dict[str, Any] | None:
        """Return the latest one of this experiment, None if there is none yet; does not wait for a new one.

        Args:
            experiment_id: which; empty for none.
            interval: seconds between two looks of the heartbeat.
        """
        with self._lock:
            made_of, made = self._made
            if experiment_id and not self._working and (made_of != experiment_id or time.monotonic() >= self._next):
                self._working = True
                threading.Thread(
                    target=self._make, args=[experiment_id, interval], name="time line", daemon=True
                ).start()
            return made if made_of == experiment_id else None

    def _make(self, experiment_id: str, interval: float) -> None:
        began = time.monotonic()
        command = [
            sys.executable,
            self._settings.time_line,
            self._settings.data_dir,
            experiment_id,
            str(interval),
        ]
        made = None
        try:
            done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, timeout=120, check=True)
            made = json.loads(done.stdout)
        except subprocess.CalledProcessError:
            # It has said why.
            pass
        except (OSError, subprocess.SubprocessError, ValueError) as error:
            sys.stdout.write(f"no time line: {one_line(str(error))}\n")
            sys.stdout.flush()
        finally:
            with self._lock:
                # Where it takes long it is made seldom.
                now = time.monotonic()
                self._next = now + max(TIME_LINE, 20 * (now - began))
                self._made = (experiment_id, made)
                self._working = False


def as_json(content: Any) -> bytes:
    """Return `content` as JSON."""
    return json.dumps(content, ensure_ascii=False).encode(errors="replace")


def read_known(path: str) -> tuple[Known, str]:
    """Return what start.yml told the heartbeat, and why that cannot be read; nothing where there was no start yet."""
    nothing = Known({}, {}, 60.0)
    try:
        with open(path, "rb") as file:
            content = json.load(file)
        cameras = {str(name): dict(each) for name, each in dict(content["cameras"]).items()}
        return Known(
            {name: str(each["mode"]) for name, each in cameras.items()},
            {name: (str(each["host"]), int(each["port"])) for name, each in cameras.items()},
            float(content["interval"]),
        ), ""
    except FileNotFoundError:
        return nothing, ""
    except OSError as error:
        return nothing, str(from_os_error("read the cameras", error))
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return nothing, f"read {path}: it is torn or of another version. Run start.yml: it writes it"


def disk(path: str) -> live_facts.Disk | None:
    """Return how much room there is where `path` is, or is to be; None if nobody can tell."""
    while not os.path.isdir(path) and os.path.dirname(path) != path:
        path = os.path.dirname(path)
    try:
        found = shutil.disk_usage(path)
    except OSError:
        return None
    return live_facts.Disk(found.free, found.total)
