# SPDX-License-Identifier: GPL-3.0-or-later
"""When a camera recorded in an experiment, when it did not and why, and when nobody knows. Standard library only.

Three things tell: the events (the heartbeat notes a `gap` when it is over, and what is wrong while it lasts), the times
in which a heartbeat watched the camera, and the images themselves, which prove more than either.
"""

from __future__ import annotations

import bisect
import datetime as dt
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from .orchestrator_time import INTERVAL, moment
from .pictures import Picture
from .record import EXPECTED, RECORDING, CameraRecord

RECORDED = "recording"
NOT_RECORDED = "not recording"
UNKNOWN = "unknown"

_WRONG = {
    "down": "its service was down",
    "wedged": "it did not answer",
    "faulty": "it answered rubbish",
    "dead": "its detection had died",
    "storage": "it did not store its pictures",
    "unreachable": "it was out of reach",
    "expected": "no start had reached it",
}
"""What the heartbeat calls what is wrong, and in words."""
_NOTICED_AFTER = 2.0
"""Intervals after which something that is wrong has been called by its name: an interval until the first look that
fails, and half of one until the third."""
_WATCHED, _UNWATCHED = "watched", "unwatched"
_HEARTBEAT = {*_WRONG, "gap", "back", "blind", "degraded"}
"""Events that only a heartbeat writes, which ran then."""


class Span(NamedTuple):
    """A time in which one thing holds of a camera."""

    state: str
    """``recording``, ``not recording`` or ``unknown``."""
    begin: dt.datetime
    end: dt.datetime
    cause: str = ""
    """Why it did not record, or why nobody knows, as a person reads it; empty where it recorded."""

    @property
    def seconds(self) -> float:
        """How long it is."""
        return (self.end - self.begin).total_seconds()


class Coverage(NamedTuple):
    """One camera in one experiment."""

    spans: list[Span]
    """Without holes or overlaps, in order, from when the experiment was opened until the camera was stopped."""
    open: bool
    """Whether it is to record still, so that the last span goes on."""

    def seconds(self, state: str) -> float:
        """Return for how long it was in that state."""
        return sum(span.seconds for span in self.spans if span.state == state)


class _Told(NamedTuple):
    span: Span
    sure: bool
    """Whether it was seen that detection was off, rather than that something was wrong."""


def coverage(
    opened: dt.datetime,
    camera: str,
    entry: CameraRecord,
    happened: Sequence[Mapping[str, Any]],
    pictures: Iterable[Picture],
    now: dt.datetime,
    seen: dt.datetime | None = None,
    interval: float = INTERVAL,
) -> Coverage:
    """Return when `camera` recorded.

    Args:
        opened: when the experiment was opened.
        camera: its name.
        entry: what the record says of it.
        happened: all events of the experiment, in order.
        pictures: its images; those without a time do not count.
        now: the present time: where it is to record still, this is the end.
        seen: when a heartbeat last found it well (`heartbeat_file.last_good`), beyond what the events tell.
        interval: seconds between two looks of the heartbeat. Two images that are not farther apart prove that the
            camera recorded between them.
    """
    mine = [(at, event) for event in happened if (at := moment(event.get("at"))) and event.get("camera") == camera]
    shots = sorted(each.taken.at for each in pictures if each.detection and each.taken is not None)
    asked = _asked_for(camera, entry, happened)
    is_open = entry.state in (EXPECTED, RECORDING)
    # Out of reach when it was asked to stop, it may have gone on: its images tell, once they are home.
    after = [
        at
        for at in shots
        if asked and asked[-1][1] and asked[-1][1] < at <= max([at for at, _unused in mine], default=at)
    ]
    ends = [now] if is_open else [until for _unused, until in asked if until] or [_last(happened, camera) or opened]
    end = max([opened, *ends, *after[-1:]])
    spans = _Spans(opened, end)
    if not asked:
        spans.say(opened, end, NOT_RECORDED, _WRONG["expected"])
    else:
        spans.say(opened, end, NOT_RECORDED, "it was not started yet")
        for number, (begin, until) in enumerate(asked):
            if number:
                spans.say(asked[number - 1][1] or begin, begin, NOT_RECORDED, "it was stopped")
            spans.say(begin, until or end, RECORDED)
        begin, until = asked[-1][0], asked[-1][1] or end
        known, why = _watched_until(mine, begin, until, seen)
        if until - known > dt.timedelta(seconds=_NOTICED_AFTER * interval):
            spans.say(max(begin, known), until, UNKNOWN, why)
        for each in _told(mine, until, interval):
            spans.say(*each.span[1:3], each.span.state, each.span.cause)
            if each.sure:
                spans.sure.append(each.span)
        spans.say(until, end, UNKNOWN, "it was to stop, and could not be reached")
    spans.prove([at for at in shots if opened <= at <= end], interval)
    return Coverage(spans.merged(), is_open)


def coarse(spans: Sequence[Span], most: int) -> list[Span]:
    """Return what `spans` come to where `most` can be shown at most: for each piece of time, what held longest."""
    if len(spans) <= most:
        return list(spans)
    begin, length = spans[0].begin, (spans[-1].end - spans[0].begin) / most
    held: list[dict[tuple[str, str], dt.timedelta]] = [{} for _unused in range(most)]
    for span in spans:
        first = int((span.begin - begin) / length)
        last = min(most - 1, int((span.end - begin) / length))
        for piece in range(first, last + 1):
            part = min(span.end, begin + (piece + 1) * length) - max(span.begin, begin + piece * length)
            kind = (span.state, span.cause)
            held[piece][kind] = held[piece].get(kind, dt.timedelta()) + part
    found: list[Span] = []
    for piece, kinds in enumerate(held):
        state, cause = max(kinds, key=lambda kind: kinds[kind])
        end = spans[-1].end if piece == most - 1 else begin + (piece + 1) * length
        if found and (found[-1].state, found[-1].cause) == (state, cause):
            found[-1] = found[-1]._replace(end=end)
        else:
            found.append(Span(state, found[-1].end if found else begin, end, cause))
    return found


def _asked_for(
    camera: str, entry: CameraRecord, happened: Iterable[Mapping[str, Any]]
) -> list[tuple[dt.datetime, dt.datetime | None]]:
    """Return from when until when the camera was to record: more than once where a start resumed what had been closed.

    It begins when it first did; it ends when it was asked to stop, or given up.
    """
    begun = moment(entry.since)
    asked: list[tuple[dt.datetime, dt.datetime | None]] = [(begun, None)] if begun else []
    last = None
    for event in happened:
        at, kind = moment(event.get("at")), event.get("event")
        mine = event.get("camera") == camera
        if at is None:
            continue
        last = max(last or at, at)
        if kind == "recording" and mine and (not asked or asked[-1][1] is not None):
            asked.append((at, None))
        elif (
            asked
            and asked[-1][1] is None
            and ((kind == "closing" and _concerns(event, camera)) or (kind == "given up" and mine))
        ):
            asked[-1] = (asked[-1][0], max(at, asked[-1][0]))
    if asked and entry.state in (EXPECTED, RECORDING):
        # Another camera's experiment was closed.
        asked[-1] = (asked[-1][0], None)
    elif asked and asked[-1][1] is None:
        asked[-1] = (asked[-1][0], max(asked[-1][0], last or asked[-1][0]))
    return asked


def _last(happened: Iterable[Mapping[str, Any]], camera: str) -> dt.datetime | None:
    """Return when a camera that never recorded was asked to stop, or when anything happened last."""
    last = None
    for event in happened:
        at = moment(event.get("at"))
        if at is not None:
            if event.get("event") == "closing" and _concerns(event, camera):
                return at
            last = max(last or at, at)
    return last


def _concerns(event: Mapping[str, Any], camera: str) -> bool:
    named = event.get("cameras")
    return not isinstance(named, list) or camera in named


def _watched_until(
    mine: Iterable[tuple[dt.datetime, Mapping[str, Any]]],
    begun: dt.datetime,
    end: dt.datetime,
    seen: dt.datetime | None,
) -> tuple[dt.datetime, str]:
    """Return until when somebody saw what became of the camera, and why nobody did afterwards.

    While no heartbeat runs, the next one finds out whether the camera recorded on: so only the end of the last counts.
    One that has just begun, or ends without having looked, knows no more than the one before it.
    """
    known, heartbeat = begun, False
    for at, event in mine:
        kind = event.get("event")
        if kind in (_WATCHED, _UNWATCHED):
            seen_well = moment(event.get("last_good")) or (at if kind == _UNWATCHED else begun)
            known, heartbeat = max(known, min(at, seen_well)), True
        elif str(kind) in _HEARTBEAT or (kind == "clock" and event.get("by") == "heartbeat"):
            known, heartbeat = max(known, at), True
        elif kind == "clock" and event.get("by") in ("start", "restart"):
            known = max(known, at)
    if seen is not None:
        known, heartbeat = max(known, min(seen, end)), True
    return known, "the heartbeat did not run" if heartbeat else "no heartbeat watched it"


def _told(mine: Iterable[tuple[dt.datetime, Mapping[str, Any]]], end: dt.datetime, interval: float) -> Iterator[_Told]:
    """Yield what the heartbeat told; the later one counts where two overlap."""
    wrong: tuple[dt.datetime, str] | None = None
    pending: list[_Told] = []
    last = ""
    collecting = False
    slack = dt.timedelta(seconds=_NOTICED_AFTER * interval)
    for at, event in mine:
        kind, text = str(event.get("event")), str(event.get("text") or "")
        ends = (
            kind in ("recording", _WATCHED)
            or (kind == "clock" and event.get("by") in ("start", "restart"))
            # Its card has room again.
            or (kind == "receipt" and collecting and last == "storage")
        )
        if kind in _WRONG:
            if wrong is not None:
                pending.append(_episode(*wrong, at))
            else:
                yield from pending
                pending.clear()
            wrong, last = (at - slack if wrong is None else at, kind), kind
        elif kind in ("gap", "back"):
            begin, until = moment(event.get("from")) or at, moment(event.get("to")) or at
            cause = _WRONG.get(last) or _why(text)
            if kind == "gap" or last == "storage":
                yield _Told(Span(NOT_RECORDED, begin, until, cause), kind == "gap")
            elif last != "unreachable":
                yield _Told(Span(UNKNOWN, begin, until, cause), False)
            # It says better from when on, and how it ended.
            pending.clear()
            wrong, last = None, ""
        elif ends and wrong is not None:
            # A heartbeat that comes back tells anew what is wrong still.
            pending.append(_episode(*wrong, at))
            wrong = None
        collecting = kind == "collecting" or (collecting and kind not in ("receipt", "collect failed"))
    yield from pending
    if wrong is not None and wrong[0] < end:
        yield _episode(*wrong, end)


def _episode(begin: dt.datetime, kind: str, until: dt.datetime) -> _Told:
    # Out of reach is not out of order: it records on, as far as anybody knows.
    return _Told(Span(UNKNOWN if kind == "unreachable" else NOT_RECORDED, begin, until, _WRONG[kind]), False)


def _why(text: str) -> str:
    """Return the cause from the words of a gap: ``records again after 40 s: its service was restarted``."""
    return text.partition(": ")[2] or text or "it was not told why"


class _Spans:
    """What holds from `begin` to `end`; what is said later counts."""

    def __init__(self, begin: dt.datetime, end: dt.datetime) -> None:
        self._begin, self._end = begin, end
        self._spans: list[Span] = []
        self.sure: list[Span] = []
        """In which it certainly did not record for some time, however many images there are."""

    def say(self, begin: dt.datetime, end: dt.datetime, state: str, cause: str = "") -> None:
        begin, end = max(begin, self._begin), min(end, self._end)
        if begin >= end:
            return
        cut: list[Span] = []
        for span in self._spans:
            if span.end <= begin or span.begin >= end:
                cut.append(span)
                continue
            if span.begin < begin:
                cut.append(span._replace(end=begin))
            if span.end > end:
                cut.append(span._replace(begin=end))
        self._spans = sorted([*cut, Span(state, begin, end, cause)], key=lambda span: span.begin)

    def prove(self, shots: Sequence[dt.datetime], interval: float) -> None:
        """Take in images, in order: where two are not farther apart than `interval`, it recorded between them.

        Where it certainly did not, that was in the longest of the pauses, however short that one is.
        """
        near = dt.timedelta(seconds=interval)
        found: list[Span] = []
        for number, span in enumerate(self._spans):
            at = span.begin
            for begin, end in self._proven(number, shots, near) if span.state != RECORDED else ():
                if begin > at:
                    found.append(span._replace(begin=at, end=begin))
                found.append(Span(RECORDED, begin, end))
                at = end
            if at < span.end:
                found.append(span._replace(begin=at))
        self._spans = found

    def _proven(
        self, number: int, shots: Sequence[dt.datetime], near: dt.timedelta
    ) -> Iterator[tuple[dt.datetime, dt.datetime]]:
        """Yield the pauses between images, in one span, in which it recorded."""
        first, last = self._unknown_around(number)
        begin, end = self._spans[first].begin, self._spans[last].end
        within = shots[bisect.bisect_left(shots, begin) : bisect.bisect_right(shots, end)]
        if not within:
            return
        # Where it recorded right before and after, that counts as an image; so does the end, of what nobody knows: no
        # look would have been due between the last image and that.
        before = [begin] if self._recorded(first - 1) else []
        closed = last == len(self._spans) - 1 and self._spans[last].state == UNKNOWN
        after = [end] if closed or self._recorded(last + 1) else []
        pauses = list(itertools.pairwise([*before, *within, *after]))
        sure = before and after and any(each.begin < end and each.end > begin for each in self.sure)
        longest = max((until - since for since, until in pauses), default=near)
        span = self._spans[number]
        for since, until in pauses:
            if since < until <= since + near and not (sure and until - since == longest):
                since, until = max(since, span.begin), min(until, span.end)
                if since < until:
                    yield since, until

    def _unknown_around(self, number: int) -> tuple[int, int]:
        """Return the first and last of the neighbours that are unknown, for whatever cause; or just the span."""
        first = last = number
        if self._spans[number].state == UNKNOWN:
            while first and self._spans[first - 1].state == UNKNOWN:
                first -= 1
            while last < len(self._spans) - 1 and self._spans[last + 1].state == UNKNOWN:
                last += 1
        return first, last

    def _recorded(self, number: int) -> bool:
        return 0 <= number < len(self._spans) and self._spans[number].state == RECORDED

    def merged(self) -> list[Span]:
        """Return the spans, neighbours that say the same as one."""
        found: list[Span] = []
        for span in self._spans:
            if found and found[-1].state == span.state and found[-1].cause == span.cause:
                found[-1] = found[-1]._replace(end=span.end)
            else:
                found.append(span)
        return found
