# SPDX-License-Identifier: GPL-3.0-or-later
"""The record of an experiment, `experiment.json`: what it is, when, and how far each camera has come.

The experiment's state follows from its cameras' states; it is written beside them for those who read.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
import os
from typing import Any

from . import durable
from .errors import Error, from_os_error
from .layout import Layout

FORMAT = 1

EXPECTED = "expected"
RECORDING = "recording"
CLOSING = "closing"
HOME = "home"
GIVEN_UP = "given_up"
CLOSED = "closed"

_STATES = (EXPECTED, RECORDING, CLOSING, HOME, GIVEN_UP)


@dataclasses.dataclass
class CameraRecord:
    """One camera in one experiment.

    Args:
        mode: ``object`` or ``motion``.
        state: ``expected`` (not made to record yet), ``recording``, ``closing`` (not all of it is home),
            ``home``, ``given_up``.
        since: when it was first made to record, ISO 8601; None if never.
        archives: its public archives: name, images, bytes.
        clock_offset: seconds that its clock was ahead of the orchestrator's when that was last noted; None if never.
            The events `clock` tell how it came about.
    """

    mode: str
    state: str = EXPECTED
    since: str | None = None
    archives: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    clock_offset: float | None = None


@dataclasses.dataclass
class Record:
    """One experiment.

    Args:
        id: the name of its directory, usually the date on which it began.
        opened: when, ISO 8601 with offset; likewise the others.
        window_end: until when a start resumes it.
        closed: when the last camera was home; None before.
        cameras: by name.
    """

    id: str
    opened: str
    window_end: str
    closed: str | None = None
    cameras: dict[str, CameraRecord] = dataclasses.field(default_factory=dict)

    @property
    def state(self) -> str:
        """``recording``, ``closing`` or ``closed``."""
        states = {camera.state for camera in self.cameras.values()}
        if states & {EXPECTED, RECORDING}:
            return RECORDING
        return CLOSING if CLOSING in states else CLOSED


def load(layout: Layout, experiment: str) -> Record | None:
    """Return the record of `experiment`; None where there is none.

    Raises:
        Error: if it cannot be understood.
    """
    path = layout.record(experiment)
    try:
        with open(path, "rb") as file:
            content = json.load(file)
        if content.pop("format") != FORMAT or content["id"] != experiment:
            raise ValueError
        content.pop("state")
        cameras = {name: CameraRecord(**fields) for name, fields in content.pop("cameras").items()}
        record = Record(**content, cameras=cameras)
        if not all(dt.datetime.fromisoformat(at).tzinfo for at in (record.opened, record.window_end)):
            raise ValueError
        if not all(_sound(camera) for camera in cameras.values()):
            raise ValueError
        return record
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise from_os_error(f"read {path}", error) from None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise Error(
            f"read {path}",
            "it is torn or of another version",
            "Move it away: the images are safe, stop brings home what the cameras hold",
        ) from None


def load_all(layout: Layout) -> tuple[list[Record], list[str]]:
    """Return all records, the latest first, and a line for each that cannot be understood."""
    records, unreadable = [], []
    for name in layout.experiments():
        try:
            record = load(layout, name)
        except Error as error:
            unreadable.append(str(error))
            continue
        if record is not None:
            records.append(record)
    return sorted(records, key=_opened, reverse=True), unreadable


def save(layout: Layout, record: Record) -> None:
    """Write the record, replacing the one before in one step."""
    content = {"format": FORMAT, "id": record.id, "state": record.state, **dataclasses.asdict(record)}
    path = layout.record(record.id)
    durable.make_directories(os.path.dirname(path))
    with durable.replacing(path) as file:
        file.write(json.dumps(content, indent=2, ensure_ascii=False).encode() + b"\n")


def _sound(camera: CameraRecord) -> bool:
    """Tell whether what was read is what this version writes: an unknown state must not count as closed.

    Raises:
        ValueError, TypeError: if not, as well.
    """
    if camera.since is not None:
        dt.datetime.fromisoformat(camera.since)
    return (
        camera.state in _STATES
        and isinstance(camera.mode, str)
        and isinstance(camera.archives, list)
        and isinstance(camera.clock_offset, int | float | None)
        and all(isinstance(each, dict) and {"name", "images", "bytes"} <= each.keys() for each in camera.archives)
    )


def _opened(record: Record) -> dt.datetime:
    return dt.datetime.fromisoformat(record.opened)
