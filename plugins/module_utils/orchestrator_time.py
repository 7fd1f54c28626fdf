# SPDX-License-Identifier: GPL-3.0-or-later
"""When an image was taken, on the orchestrator's time line. Standard library only.

An image's name bears the local time of its camera's clock; the events `clock` of the experiment say how far that clock
was ahead of the orchestrator's, and when that became known (docs/how-it-works.md, "The clocks").
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

INTERVAL = 60.0
"""Seconds between two looks of the heartbeat, where nobody says otherwise: `wildberryeye_heartbeat_interval`."""
_LATE = 1.25
"""Intervals after which a clock that jumped is known to have: a look that failed is repeated a quarter later."""
_NOTED_AFTER = 15.0
"""Seconds that pass, at most, between the first image of a camera that was just made to record and the note of its
clock; before that its service was stopped, so that there is none with the old clock."""
_ROUNDED = 1.0
"""Seconds by which the time of an event can be too early: it is cut off to the second."""


class Zone:
    """The orchestrator's local time, as it was where the experiment was recorded.

    Args:
        opened: when the experiment was opened, with its offset from UTC. Where this machine's own zone has another
            one at that moment, the experiment was recorded elsewhere, and its offset holds for all of it.
    """

    def __init__(self, opened: dt.datetime) -> None:
        self._fixed = None if opened.astimezone().utcoffset() == opened.utcoffset() else opened.tzinfo
        self._known: dict[int, dt.tzinfo | None] = {}

    def seconds(self, shown: dt.datetime) -> float | None:
        """Return the time that a clock on the wall shows as seconds since 1970; None if it is out of all bounds.

        In the hour that comes twice in autumn, it is the first one.
        """
        try:
            return shown.replace(tzinfo=self._fixed).timestamp()
        except (OverflowError, ValueError, OSError):
            return None

    def at(self, seconds: float) -> dt.datetime | None:
        """Return seconds since 1970 as local time with its offset from UTC; None if it is out of all bounds."""
        try:
            quarter = int(seconds // 900)
            if quarter not in self._known:
                # Zones change at a full quarter of an hour; looking it up takes longer than all the rest.
                self._known[quarter] = self._fixed or dt.datetime.fromtimestamp(seconds).astimezone().tzinfo
            return dt.datetime.fromtimestamp(seconds, self._known[quarter])
        except (OverflowError, ValueError, OSError):
            return None


class Taken(NamedTuple):
    """When an image was taken."""

    at: dt.datetime
    offset: float
    """Seconds that were taken off the time in its name."""
    doubtful: bool
    """Whether another offset that held in the experiment would put it elsewhere, more than an interval away; or clocks
    showed that time twice, in the night in which summer time ends."""


class _Era(NamedTuple):
    """While a clock was so far ahead; times in seconds since 1970, of the orchestrator."""

    offset: float
    begins: float
    known: float
    """When it was noted; the first images of it may have been taken before."""
    ends: float


class CameraClock:
    """How far one camera's clock was ahead, and when.

    Args:
        zone: the orchestrator's local time.
        happened: all events of the experiment, in order.
        camera: whose clock it is.
        offset: what the record says it was last, where no event tells.
        interval: seconds between two looks of the heartbeat.
    """

    def __init__(
        self,
        zone: Zone,
        happened: Iterable[Mapping[str, Any]],
        camera: str,
        offset: float | None = None,
        interval: float = INTERVAL,
    ) -> None:
        self._zone = zone
        self._interval = interval
        self.noted: list[tuple[dt.datetime, float]] = []
        """When it was noted how far ahead it was, and how far, in order."""
        self._eras: list[_Era] = []
        notes = [event for event in happened if event.get("event") == "clock" and event.get("camera") == camera]
        begins = -math.inf
        for note in notes:
            at, new, before = moment(note.get("at")), _number(note.get("offset")), _number(note.get("before"))
            if at is None or new is None:
                continue
            known = at.timestamp()
            self.noted.append((at, new))
            if self._eras or before is not None:
                old = self._eras.pop() if self._eras else _Era(before or 0.0, -math.inf, -math.inf, known)
                self._eras.append(old._replace(ends=known))
                # A start and a restart have just restarted its service; the others look at one that records.
                begins = known - (_NOTED_AFTER if note.get("by") in ("start", "restart") else _LATE * interval)
            self._eras.append(_Era(new, begins, known if begins > -math.inf else -math.inf, math.inf))
        if not self._eras:
            self._eras.append(_Era(offset or 0.0, -math.inf, -math.inf, math.inf))

    def taken(self, shown: dt.datetime) -> Taken | None:
        """Return when an image was taken whose name shows the local time `shown`; None if it is out of all bounds.

        Where the clock went back, a name can mean two times, and only the order of the images, which an archive does
        not keep, would tell which: the later one is taken where it is just before the jump became known, the earlier
        one otherwise.
        """
        named = self._zone.seconds(shown)
        if named is None:
            return None
        fits = [era for era in self._eras if era.begins <= named - era.offset <= era.ends + _ROUNDED]
        just_before = [era for era in fits if named - era.offset < era.known]
        if just_before:
            era = just_before[-1]
        elif fits:
            era = fits[0]
        else:
            era = min(self._eras, key=lambda each: _outside(named - each.offset, each))
        at = self._zone.at(named - era.offset)
        doubtful = any(abs(other.offset - era.offset) > self._interval for other in fits)
        doubtful = doubtful or self._zone.seconds(shown.replace(fold=1)) != named
        return Taken(at, era.offset, doubtful) if at else None


def moment(written: object) -> dt.datetime | None:
    """Return a time that a record or an event bears, with its offset from UTC; None if it is none."""
    try:
        at = dt.datetime.fromisoformat(written) if isinstance(written, str) else None
        # An offset that leads out of the calendar is met here, not by whoever compares.
        return at if at is not None and at.tzinfo and at.timestamp() is not None else None
    except (ValueError, OverflowError):
        return None


def _number(found: object) -> float | None:
    return float(found) if isinstance(found, int | float) and math.isfinite(found) else None


def _outside(at: float, era: _Era) -> float:
    return max(era.begins - at, at - era.ends, 0.0)
