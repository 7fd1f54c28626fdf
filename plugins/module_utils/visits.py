# SPDX-License-Identifier: GPL-3.0-or-later
"""From detections to visits: images of one camera that follow each other closely. Standard library only."""

from __future__ import annotations

import bisect
import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from .pictures import Picture

GAP = 30.0
"""Seconds without an image after which a visitor counts as gone. One that feeds is seen every second or so, and stays
on a flower for seconds to a minute; half a minute without it, and whoever is there next counts anew."""
MINIMUM = 2
"""Images that make a visit. One alone is, on a motion camera, more often a leaf in the wind."""
TOGETHER = 5.0
"""Seconds by which two cameras' visits may miss each other and still be the same one: their clocks are known to half a
second, and neither detects at once."""


class Visit(NamedTuple):
    """One visit, as one camera saw it."""

    camera: str
    begin: dt.datetime
    end: dt.datetime
    pictures: Sequence[Picture]
    """Its images, in order."""


class Visits(NamedTuple):
    """The visits of one camera."""

    visits: list[Visit]
    """In order."""
    alone: int
    """Detections that came to no visit, because too few were close to each other."""


def cluster(camera: str, pictures: Iterable[Picture], gap: float = GAP, minimum: int = MINIMUM) -> Visits:
    """Return the visits that `pictures` come to.

    Args:
        camera: whose they are.
        pictures: its images in order of their times; those that nobody detected, or without a time, do not count.
        gap: seconds without an image that end a visit.
        minimum: images that a visit has at least.
    """
    visits: list[Visit] = []
    alone = 0
    near: list[Picture] = []

    def end() -> None:
        nonlocal alone
        if len(near) >= max(1, minimum):
            visits.append(Visit(camera, _at(near[0]), _at(near[-1]), tuple(near)))
        else:
            alone += len(near)
        near.clear()

    for picture in pictures:
        if not picture.detection or picture.taken is None:
            continue
        if near and (_at(picture) - _at(near[-1])).total_seconds() > gap:
            end()
        near.append(picture)
    end()
    return Visits(visits, alone)


def seen_by(visits: Mapping[str, Sequence[Visit]], tolerance: float = TOGETHER) -> dict[str, list[frozenset[str]]]:
    """Return, for each camera's visits in their order, which cameras saw something at that time, itself included.

    Args:
        visits: the visits of each camera, in order.
        tolerance: seconds by which two may miss each other.
    """
    slack = dt.timedelta(seconds=tolerance)
    ends = {camera: [visit.end for visit in mine] for camera, mine in visits.items()}
    found: dict[str, list[frozenset[str]]] = {}
    for camera, mine in visits.items():
        found[camera] = []
        for visit in mine:
            others = {camera}
            for other, theirs in visits.items():
                # The first one that is not over by then; visits of one camera do not overlap.
                first = bisect.bisect_left(ends[other], visit.begin - slack)
                if first < len(theirs) and theirs[first].begin <= visit.end + slack:
                    others.add(other)
            found[camera].append(frozenset(others))
    return found


def _at(picture: Picture) -> dt.datetime:
    if picture.taken is None:
        raise ValueError(f"{picture.name} has no time")
    return picture.taken.at
