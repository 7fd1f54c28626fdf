# SPDX-License-Identifier: GPL-3.0-or-later
"""What the heartbeat writes down, `.heartbeat.json`: for status, report and live page, and for the next heartbeat."""

from __future__ import annotations

import contextlib
import datetime as dt
import itertools
import json
import math
import os
from collections.abc import Mapping
from typing import Any, NamedTuple

from . import events, lock
from .errors import one_line
from .filling import Filling
from .layout import Layout
from .orchestrator_time import moment

_CARRIED = 20_000_000
"""Bytes by which the free space grows where images were carried away; a log that was thrown away is smaller."""


class Card(NamedTuple):
    """A camera's card, as its last logins found it."""

    free: int
    """Bytes."""
    rate: float | None
    """Bytes a second that are used up; None if that is not known yet, or images were carried away meanwhile."""


class Said(NamedTuple):
    """What the heartbeat wrote."""

    beat: dict[str, Any]
    """What it thinks, see `beat`."""
    cards: dict[str, Card]
    """By camera, where it is alive and has looked."""


def read(layout: Layout) -> Said:
    """Return what the heartbeat wrote; what a dead one thought counts for nothing.

    Raises:
        OSError: if there is a file that cannot be read.
    """
    try:
        with open(layout.heartbeat(), "rb") as file:
            content = json.load(file)
        alive = lock.Owner(str(content["boot"]), int(content["pid"]), int(content["started"]), "heartbeat").alive()
    except (FileNotFoundError, NotADirectoryError, ValueError, KeyError, TypeError, RecursionError):
        content, alive = None, False
    found = beat(content, alive)
    cards = {name: card for name in found["cameras"] if (card := _card(content["cameras"][name])) is not None}
    return Said(found, cards)


def beat(content: Any, alive: bool) -> dict[str, Any]:
    """Return what the heartbeat thinks, from what it wrote.

    Args:
        content: what its file holds; anything but a dict where there is no such file.
        alive: whether the process that wrote it still runs. What a dead one thought counts for nothing.
    """
    said = content if isinstance(content, Mapping) else {}
    cameras = said.get("cameras")
    thought = cameras.items() if alive and isinstance(cameras, Mapping) else ()
    return {
        "running": alive,
        "pid": said["pid"] if alive and isinstance(said.get("pid"), int) else None,
        "written": _iso(said.get("written")),
        "cameras": {str(name): _thought(found) for name, found in thought if isinstance(found, Mapping)},
    }


def write(layout: Layout, cameras: Mapping[str, Mapping[str, Any]], ended: bool) -> None:
    """Write what this process thinks of `cameras`.

    Args:
        layout: the data directory.
        cameras: what `Watched.memory` returns of each.
        ended: whether it has said that it watches no more.

    Raises:
        OSError: if it cannot be written.
    """
    owner = lock.Owner.of(os.getpid(), "heartbeat")
    content = {
        "format": 1,
        "pid": owner.pid,
        "started": owner.started,
        "boot": owner.boot,
        "written": events.now(),
        "ended": ended,
        "cameras": cameras,
    }
    path = layout.heartbeat()
    # Not synced: it is written every minute for weeks, and a card wears.
    with open(f"{path}.tmp", "w", encoding="utf-8") as file:
        json.dump(content, file)
    os.replace(f"{path}.tmp", path)


def memories(layout: Layout) -> tuple[dict[str, Any], bool]:
    """Return what an earlier heartbeat knew of each camera, and whether it has said that it watches no more."""
    try:
        with open(layout.heartbeat(), encoding="utf-8") as file:
            content = json.load(file)
        found, ended = content["cameras"], content.get("ended") is not False
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return {}, True
    if not isinstance(found, dict):
        return {}, True
    return {name: each for name, each in found.items() if isinstance(each, dict)}, ended


def last_good(layout: Layout, experiment: str) -> dict[str, dt.datetime]:
    """Return when a heartbeat, that may have been killed since, last found each camera of an experiment well.

    Where there is no such file, or it tells of another experiment, nothing is known.
    """
    try:
        with open(layout.heartbeat(), "rb") as file:
            cameras = json.load(file)["cameras"]
        mine = {name: each for name, each in cameras.items() if each.get("experiment") == experiment}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return {}
    return {name: at for name, each in mine.items() if (at := moment(each.get("last_good"))) is not None}


def _card(found: Mapping[str, Any]) -> Card | None:
    free = found.get("free")
    if not isinstance(free, int) or free < 0:
        return None
    card = Filling()
    with contextlib.suppress(KeyError, TypeError, ValueError, OverflowError):
        card.remember(found["card"], lambda at: dt.datetime.fromisoformat(at).timestamp())
    carried = any(after > before + _CARRIED for (_unused, before), (_unused, after) in itertools.pairwise(card.seen))
    return Card(free, None if carried else card.rate)


def _thought(found: Mapping[str, Any]) -> dict[str, Any]:
    restarts, offset = found.get("restarts"), found.get("clock_offset")
    return {
        "state": one_line(str(found.get("state") or "unknown"), 20),
        "text": one_line(str(found.get("text") or "")),
        "since": _iso(found.get("since")),
        "last_good": _iso(found.get("last_good")),
        "clock_offset": offset if isinstance(offset, int | float) and math.isfinite(offset) else None,
        "degraded": found.get("degraded") is True,
        "restarts": restarts if isinstance(restarts, int) else 0,
    }


def _iso(value: Any) -> str | None:
    """Return a time that another process wrote, with an offset, None if it is none."""
    try:
        return dt.datetime.fromisoformat(value).astimezone().isoformat(timespec="seconds")
    except (TypeError, ValueError, OverflowError, OSError):
        return None
