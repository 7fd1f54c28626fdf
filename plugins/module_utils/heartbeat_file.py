# SPDX-License-Identifier: GPL-3.0-or-later
"""What the heartbeat wrote down, `.heartbeat.json`, for those who read it."""

from __future__ import annotations

import contextlib
import datetime as dt
import itertools
import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from . import lock, overview
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
    """What it thinks, as `overview.heartbeat` returns it."""
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
    beat = overview.heartbeat(content, alive)
    cards = {name: card for name in beat["cameras"] if (card := _card(content["cameras"][name])) is not None}
    return Said(beat, cards)


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
