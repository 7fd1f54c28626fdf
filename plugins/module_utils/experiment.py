# SPDX-License-Identifier: GPL-3.0-or-later
"""Which experiment is which: opening, resuming and closing records. No I/O: records in, records changed.

The id of an experiment is the date on which it began, whenever it ends. One that runs from 07:00 to
01:00 is one experiment, and a start at half past midnight resumes it.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable
from typing import NamedTuple

from .errors import Error
from .names import UNCLAIMED
from .record import CLOSED, CLOSING, EXPECTED, GIVEN_UP, HOME, RECORDING, CameraRecord, Record

LONGEST_ID = 63
"""Characters that the grammar in `names` allows."""


class Opened(NamedTuple):
    """What opening came to."""

    record: Record
    resumed: bool
    changed: list[Record]
    """All records that must be saved, the opened one among them if it changed."""


def window_end(opened: dt.datetime, stop_time: dt.time) -> dt.datetime:
    """Return the first time after `opened` at which the clock on the wall shows `stop_time`."""
    today = opened.astimezone().date()
    days = (today, today + dt.timedelta(days=1))
    return next(shown for day in days for shown in _shown(day, stop_time) if shown > opened)


def window_begin(now: dt.datetime, start_time: dt.time, stop_time: dt.time) -> dt.datetime | None:
    """Return when the hours from `start_time` to `stop_time` began that it is within at `now`; None at night."""
    today = now.astimezone().date()
    days = (today - dt.timedelta(days=1), today)
    # A `start_time` that is shown twice, in autumn, begins no second time what goes on.
    begun = (shown for day in days for shown in _shown(day, start_time) if shown <= now)
    return next((shown for shown in begun if now < window_end(shown, stop_time)), None)


def time_of_day(text: str, variable: str) -> dt.time:
    """Return `text`, such as ``07:00``, as a time of day.

    Raises:
        Error: naming the `variable` that holds it, if it is none.
    """
    try:
        # Nothing more lenient: YAML makes 1350 of an unquoted 22:30, which is ten to two in ISO 8601.
        return dt.datetime.strptime(text, "%H:%M").time()
    except ValueError:
        minutes = int(text) if text.isdecimal() else 60
        meant = f"{minutes // 60:02}:{minutes % 60:02}" if minutes < 24 * 60 else "01:00"
        raise Error(f"use {text!r} as {variable}", "not a time of day", f'Write it in quotes, as "{meant}"') from None


def _shown(day: dt.date, time: dt.time) -> list[dt.datetime]:
    """Return when the clock on the wall shows `time` on `day`: twice in one night of autumn, late in one of spring."""
    # A naive time is local time to astimezone(), which knows when the clocks change.
    found = [dt.datetime.combine(day, time.replace(fold=fold)).astimezone() for fold in (0, 1)]
    return [each for each in found if each.time() == time] or [max(found)]


def open_or_resume(
    records: Iterable[Record],
    cameras: dict[str, str],
    now: dt.datetime,
    stop_time: dt.time,
    wanted: str | None,
    taken: Callable[[str], bool],
) -> Opened:
    """Resume the experiment that is being recorded, or open one and close what is open from before.

    Args:
        records: all records, the latest first.
        cameras: those that are to record: name to mode.
        now: the time, with its offset.
        stop_time: when recording ends, local time.
        wanted: the id that a person asked for; None for the date.
        taken: tells whether an id is in use already.
    """
    recording = [record for record in records if record.state == RECORDING]
    if wanted is None:
        fits = [record for record in recording if now < dt.datetime.fromisoformat(record.window_end)]
    else:
        fits = [record for record in recording if record.id == wanted]
    changed = []
    if fits:
        record = fits[0]
    else:
        record = Record(
            _free(wanted or now.astimezone().date().isoformat(), taken),
            now.isoformat(timespec="seconds"),
            window_end(now, stop_time).isoformat(timespec="seconds"),
        )
        changed.append(record)
    for name, mode in cameras.items():
        camera = record.cameras.get(name)
        if camera is None or camera.state not in (EXPECTED, RECORDING) or camera.mode != mode:
            since, archives = (camera.since, camera.archives) if camera else (None, [])
            state = RECORDING if camera and camera.state == RECORDING else EXPECTED
            record.cameras[name] = CameraRecord(mode, state, since, archives)
            record.closed = None
            changed.append(record)
    changed += close([other for other in recording if other is not record], cameras)
    return Opened(record, bool(fits), list({id(found): found for found in changed}.values()))


def close(records: Iterable[Record], cameras: Iterable[str]) -> list[Record]:
    """Mark `cameras` as closing wherever they are to record; return the records that changed."""
    return _move(records, cameras, (EXPECTED, RECORDING), CLOSING)


def left_behind(records: Iterable[Record], begun: dt.datetime, now: dt.datetime) -> list[Record]:
    """Return the records that a stop still means which is late, because the next window began at `begun`.

    What a start goes on with, because its own window has not ended, is no longer theirs.
    """
    return [
        record
        for record in records
        if dt.datetime.fromisoformat(record.opened) < begun and dt.datetime.fromisoformat(record.window_end) <= now
    ]


def give_up(records: Iterable[Record], cameras: Iterable[str]) -> list[Record]:
    """Wait no longer for `cameras`; return the records that changed."""
    return _move(records, cameras, (EXPECTED, RECORDING, CLOSING), GIVEN_UP)


def note_recording(record: Record, cameras: Iterable[str], at: str) -> bool:
    """Note that `cameras` have been made to record; tell whether that is news.

    A camera that was meanwhile asked to stop stays so.
    """
    news = False
    for name in cameras:
        camera = record.cameras.get(name)
        if camera is not None and camera.state == EXPECTED:
            camera.state = RECORDING
            camera.since = camera.since or at
            news = True
    return news


def note_home(record: Record, camera: str, archives: list[dict[str, object]], at: str) -> bool:
    """Note that nothing of `camera` is missing any more; tell whether that is news."""
    found = record.cameras.get(camera)
    if found is None or (found.state in (HOME, GIVEN_UP) and found.archives == archives):
        return False
    found.archives = archives
    if found.state == CLOSING:
        found.state = HOME
    if record.state == CLOSED and record.closed is None:
        record.closed = at
    return True


def last_of(records: Iterable[Record], camera: str) -> str:
    """Return the last experiment in which `camera` was recording, or ``unclaimed``; latest record first."""
    for record in records:
        if camera in record.cameras and record.cameras[camera].since is not None:
            return record.id
    return UNCLAIMED


def open_for(records: Iterable[Record], camera: str, states: Iterable[str]) -> Record | None:
    """Return the latest record in which `camera` is in one of `states`."""
    for record in records:
        if camera in record.cameras and record.cameras[camera].state in states:
            return record
    return None


def to_record(records: Iterable[Record]) -> set[str]:
    """Return the cameras that are to record, in whichever experiment."""
    cameras = (each for record in records for each in record.cameras.items())
    return {name for name, camera in cameras if camera.state in (EXPECTED, RECORDING)}


def _move(records: Iterable[Record], cameras: Iterable[str], before: tuple[str, ...], after: str) -> list[Record]:
    wanted = set(cameras)
    changed = []
    for record in records:
        moved = [c for name, c in record.cameras.items() if name in wanted and c.state in before]
        for camera in moved:
            camera.state = after
        if moved:
            changed.append(record)
    return changed


def _free(wanted: str, taken: Callable[[str], bool]) -> str:
    name, number = wanted, 1
    while taken(name):
        number += 1
        suffix = f"_{number}"
        # A longer name would be no experiment's any more, and its images nobody's.
        name = f"{wanted[: LONGEST_ID - len(suffix)]}{suffix}"
    return name
