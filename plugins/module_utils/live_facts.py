# SPDX-License-Identifier: GPL-3.0-or-later
"""What the station's live page says, from what is known. No I/O.

The words are made here, so that the page only shows them, each as text: it need not know what a state means.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from . import clock, experiment, watch
from .errors import one_line
from .events import MEASURED
from .heartbeat_file import Card
from .record import CLOSED, CLOSING, EXPECTED, GIVEN_UP, HOME, RECORDING, CameraRecord, Record

FORMAT = 1

OK, WARN, BAD, IDLE = "ok", "warn", "bad", "idle"
_ORDER = (BAD, WARN, OK, IDLE)

_SILENT = 600.0
"""Seconds, beside two intervals, without a word from a living heartbeat after which something is wrong: it waits for a
camera that starts for as long as `wildberryeye_ready_timeout`."""
_LITTLE = 5_000_000_000
"""Bytes free on the station's disk below which people should know: a busy day of two cameras is 20 GB at the most."""
_LONG_AGO = 7200.0
"""Seconds after which a count of pictures says nothing of how it is now."""
_MOST_EVENTS = 8
_MOST_EXPERIMENTS = 400

_SAID = {
    watch.UNKNOWN: (WARN, "not looked at yet"),
    watch.RECORDING: (OK, "recording"),
    watch.DOUBTFUL: (WARN, "did not answer well, is looked at again"),
    watch.STARTING: (WARN, "starting"),
    watch.UNREACHABLE: (BAD, "out of reach"),
    watch.DOWN: (BAD, "its service is down"),
    watch.WEDGED: (BAD, "does not answer"),
    watch.FAULTY: (BAD, "answers rubbish"),
    watch.DEAD: (BAD, "its detection has died"),
    watch.STORAGE: (BAD, "its card is full or broken"),
    watch.EXPECTED: (BAD, "was never made to record"),
}
"""What each state of a watched camera means to people."""
_AT_REST = {CLOSING: "images are coming home", HOME: "images are home", GIVEN_UP: "given up"}
_LINK = {
    watch.RECORDING: (OK, "answered"),
    watch.UNREACHABLE: (BAD, "no answer"),
    watch.WEDGED: (WARN, "connects, then silence"),
    **dict.fromkeys((watch.DOWN, watch.FAULTY, watch.DEAD, watch.STORAGE, watch.STARTING), (OK, "can be logged in to")),
}
_SENTENCES = {"gap", "back"}
"""Events whose text says all."""
_QUIET = {*MEASURED, "watched", "unwatched"}
"""Events that nobody needs to see at a glance."""
_EVENTS = {
    "opened": (OK, "experiment begun"),
    "recording": (OK, "made to record"),
    "gap": (OK, "records again"),
    "back": (OK, "is back"),
    "blind": (WARN, "cannot be logged in to"),
    "restarting": (WARN, "is being restarted"),
    "restart failed": (BAD, "could not be restarted"),
    "collecting": (WARN, "is being collected"),
    "collect failed": (BAD, "could not be collected"),
    "degraded": (BAD, "restarts do not help for long"),
    "receipt": (OK, "images came home"),
    "closing": (OK, "is being ended"),
    "home": (OK, "all images are home"),
    "closed": (OK, "experiment ended"),
    "given up": (WARN, "given up"),
    "failed": (BAD, "failed"),
    **{state: said for state, said in _SAID.items() if said[0] == BAD},
}


class Schedule(NamedTuple):
    """When the timers begin and end an experiment, local time."""

    start: dt.time
    stop: dt.time


class Disk(NamedTuple):
    """The file system of the data directory, in bytes."""

    free: int
    total: int


class Shot(NamedTuple):
    """A camera's latest picture."""

    version: str
    taken: float | None
    """In seconds since 1970, by our clock."""
    size: int
    """Bytes."""


class Seen(NamedTuple):
    """What was found on the station."""

    station: str
    """The machine's name."""
    records: Sequence[Record]
    """All records, the latest first."""
    problems: Sequence[str]
    """Lines about what cannot be read."""
    beat: Mapping[str, Any]
    """What `heartbeat_file.beat` returned."""
    cards: Mapping[str, Card]
    """By camera, as the heartbeat found them."""
    interval: float
    """Seconds between two looks of the heartbeat at a camera."""
    modes: Mapping[str, str]
    """Cameras of the inventory, as the last start knew it: name to mode."""
    missing: bool
    """Whether the data directory is not there, though it was."""
    disk: Disk | None
    reports: Collection[str]
    """Ids of experiments that have a report."""
    happened: Sequence[Mapping[str, Any]]
    """What `worth_seeing` returned of the events of the current experiment, or the last."""
    shots: Mapping[str, Shot]
    """By camera."""
    schedule: Schedule | None
    time_line: Mapping[str, Any] | None
    """What time_line.py made of that experiment; None while there is none."""


def facts(seen: Seen, now: dt.datetime) -> dict[str, Any]:
    """Return what the page shows, as JSON can hold it: times in ISO 8601 with offset, sizes in bytes.

    Args:
        seen: what was found.
        now: the time, with its offset.
    """
    now_open = current(seen.records)
    watched = _watched(seen, now)
    cameras = [_camera(name, mode, seen, now_open, watched, now) for name, mode in _cameras(seen, now_open).items()]
    cameras.sort(key=lambda camera: _ORDER.index(camera["level"]))
    return {
        "format": FORMAT,
        "now": now.isoformat(timespec="seconds"),
        "station": seen.station,
        "verdict": _verdict(seen, now_open, watched, cameras, now),
        "experiment": _brief(now_open, seen.reports) if now_open else None,
        "heartbeat": {"running": bool(seen.beat["running"]), "written": seen.beat["written"], "problem": watched},
        "disk": _disk(seen.disk) if seen.disk else None,
        "cameras": cameras,
        "happened": list(seen.happened),
        "time_line": seen.time_line,
        "experiments": [_brief(record, seen.reports) for record in seen.records[:_MOST_EXPERIMENTS]],
        "problems": [one_line(line) for line in seen.problems],
    }


def current(records: Iterable[Record]) -> Record | None:
    """Return the experiment that goes on, or else one that is on its way home; `records` has the latest first."""
    found = [record for state in (RECORDING, CLOSING) for record in records if record.state == state]
    return found[0] if found else None


def worth_seeing(events: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the last events that people want to see, the latest first."""
    found = []
    for event in events:
        name = event.get("event")
        if not isinstance(name, str) or name in _QUIET:
            continue
        at, camera = event.get("at"), event.get("camera")
        level, said = _EVENTS.get(name, (IDLE, one_line(name, 40)))
        text = _told(event, name)
        found.append(
            {
                "at": at if isinstance(at, str) and _is_time(at) else None,
                "camera": camera if isinstance(camera, str) else None,
                "level": level,
                "said": text if text and name in _SENTENCES else said,
                "text": "" if name in _SENTENCES else text,
            }
        )
    return found[: -_MOST_EVENTS - 1 : -1]


def _watched(seen: Seen, now: dt.datetime) -> str:
    """Return why the heartbeat's word does not count; empty if it does."""
    if not seen.beat["running"]:
        return "the heartbeat is not running: nobody looks after the cameras"
    written = seen.beat["written"]
    if written and (now - dt.datetime.fromisoformat(written)).total_seconds() > 2 * seen.interval + _SILENT:
        return "the heartbeat runs, and has written nothing for long"
    return ""


def _cameras(seen: Seen, opened: Record | None) -> dict[str, str]:
    """Return the cameras to show, name to mode: those of the inventory first, in its order."""
    return {**seen.modes, **{name: camera.mode for name, camera in (opened.cameras if opened else {}).items()}}


def _camera(
    name: str, mode: str, seen: Seen, opened: Record | None, unwatched: str, now: dt.datetime
) -> dict[str, Any]:
    entry = opened.cameras.get(name) if opened else None
    wanted = entry is not None and entry.state in (EXPECTED, RECORDING)
    thought = seen.beat["cameras"].get(name) if wanted and not unwatched else None
    level, said = _state(entry, thought, unwatched)
    link = _LINK.get(thought["state"]) if thought else None
    shot = seen.shots.get(name)
    card = seen.cards.get(name) if thought else None
    offset = thought["clock_offset"] if thought else None
    return {
        "name": name,
        "mode": mode,
        "level": level,
        "state": said,
        "text": _text(thought),
        "since": thought["since"] if thought else entry.since if entry and wanted else None,
        "last_good": thought["last_good"] if thought else None,
        "link": {"level": link[0], "text": link[1]} if link else None,
        "clock": _clock(offset if offset is not None else entry.clock_offset if entry else None),
        "restarts": thought["restarts"] if thought else 0,
        "per_hour": _counted((seen.time_line or {}).get("cameras", {}).get(name), now) or _reckoned(card, shot),
        "card": _card(card, opened, now) if card and opened else None,
        "picture": _picture(shot) if shot else None,
    }


def _state(entry: CameraRecord | None, thought: Mapping[str, Any] | None, unwatched: str) -> tuple[str, str]:
    if entry is None:
        return IDLE, "at rest"
    if entry.state in _AT_REST:
        return IDLE, _AT_REST[entry.state]
    if unwatched:
        return BAD, "nobody looks after it"
    if thought is None:
        return _SAID[watch.UNKNOWN]
    level, said = _SAID.get(thought["state"], (WARN, thought["state"]))
    return (BAD if thought["degraded"] else level), said


def _text(thought: Mapping[str, Any] | None) -> str:
    if thought is None:
        return ""
    rarely = watch.degraded_text() if thought["degraded"] else ""
    return "; ".join(filter(None, (thought["text"], rarely)))


def _clock(offset: float | None) -> dict[str, Any] | None:
    if offset is None:
        return None
    wrong = abs(offset) >= clock.NOTICEABLE
    # It harms nothing: images are told apart without it, and its offset is noted.
    return {
        "offset": round(offset, 1) + 0.0,
        "level": WARN if wrong else OK,
        "text": clock.said(offset) if wrong else "right",
    }


def _counted(line: Mapping[str, Any] | None, now: dt.datetime) -> dict[str, Any] | None:
    """Return how many pictures a camera took in the hour before the last one that is home, unless that is long ago."""
    if line is None or line["per_hour"] is None or line["last"] < now.timestamp() - _LONG_AGO:
        return None
    return {"count": line["per_hour"], "until": _iso(line["last"])}


def _reckoned(card: Card | None, shot: Shot | None) -> dict[str, Any] | None:
    """Return about how many pictures the camera takes in an hour, by how fast its card fills."""
    if card is None or card.rate is None or shot is None:
        return None
    return {"count": round(card.rate * 3600 / shot.size), "until": None}


def _card(card: Card, opened: Record, now: dt.datetime) -> dict[str, Any]:
    """Return how much room is on a card, and when it will be full if that is before the experiment ends."""
    end = dt.datetime.fromisoformat(opened.window_end).timestamp()
    full = now.timestamp() + card.free / card.rate if card.rate else None
    soon = full is not None and full < end
    return {"free_bytes": card.free, "full": _iso(full) if soon and full else None, "level": WARN if soon else OK}


def _iso(seconds: float) -> str:
    return dt.datetime.fromtimestamp(seconds).astimezone().isoformat(timespec="seconds")


def _picture(shot: Shot) -> dict[str, Any]:
    return {"version": shot.version, "taken": _iso(shot.taken) if shot.taken is not None else None}


def _verdict(
    seen: Seen, opened: Record | None, unwatched: str, cameras: Sequence[Mapping[str, Any]], now: dt.datetime
) -> dict[str, Any]:
    """Return the one thing to know: its level, what it is, what else there is to it, and which cameras it is about."""

    def verdict(level: str, title: str, text: str = "", about: Sequence[str] = ()) -> dict[str, Any]:
        return {"level": level, "title": title, "text": text, "cameras": list(about)}

    if seen.missing:
        return verdict(BAD, "The disk with the experiments is not there", "Plug it in: images wait on the cameras.")
    if opened is None or opened.state != RECORDING:
        return verdict(*_resting(seen, opened, now))
    wanted = {name for name, entry in opened.cameras.items() if entry.state in (EXPECTED, RECORDING)}
    to_record = [camera for camera in cameras if camera["name"] in wanted]
    if unwatched:
        return verdict(BAD, "The cameras are not watched", f"{unwatched[0].upper()}{unwatched[1:]}. Run start.yml.")
    names = {level: [str(camera["name"]) for camera in to_record if camera["level"] == level] for level in _ORDER}
    if names[BAD]:
        fine = f"{_cameras_are(len(names[OK]), 'records', 'record')}." if names[OK] else ""
        if len(names[BAD]) > 1:
            title = f"{len(names[BAD])} of {len(to_record)} cameras do not record as they should"
            return verdict(BAD, title, fine, names[BAD])
        state = next(camera["state"] for camera in to_record if camera["level"] == BAD)
        return verdict(BAD, f"{names[BAD][0]}: {state}", fine, names[BAD])
    if names[WARN]:
        return verdict(WARN, "Being looked into", "It takes a minute or two until more is known.", names[WARN])
    if now > dt.datetime.fromisoformat(opened.window_end):
        return verdict(WARN, "Should have ended by now", "All cameras still record. Run stop.yml.")
    if seen.disk is not None and seen.disk.free < _LITTLE:
        return verdict(WARN, "The station's disk is nearly full", "All cameras record, but their images may not fit.")
    return verdict(OK, "All is well", f"{_cameras_are(len(names[OK]), 'records', 'record')}.")


def _resting(seen: Seen, opened: Record | None, now: dt.datetime) -> tuple[str, str, str]:
    begun = experiment.window_begin(now, *seen.schedule) if seen.schedule else None
    last = seen.records[0] if seen.records else None
    # A camera that has been away for days must not hide that there is no experiment today.
    if begun is not None and last is not None and dt.datetime.fromisoformat(last.opened) < begun:
        return BAD, "Nothing is being recorded", f"It should be, since {begun:%H:%M}. Run start.yml."
    if opened is not None:
        waiting = [name for name, camera in opened.cameras.items() if camera.state == CLOSING]
        return IDLE, "Images are coming home", f"Not home yet: {', '.join(waiting)}."
    if seen.schedule is None:
        return IDLE, "Nothing is being recorded", ""
    if begun is None:
        return IDLE, "At rest", f"The next experiment begins at {seen.schedule.start:%H:%M}."
    if last is None:
        return (
            IDLE,
            "No experiment yet",
            f"The timer begins one at {seen.schedule.start:%H:%M}; start.yml begins one now.",
        )
    return IDLE, "Ended for today", f"The next experiment begins at {seen.schedule.start:%H:%M}."


def _cameras_are(count: int, one: str, many: str) -> str:
    return f"{count} camera {one}" if count == 1 else f"{count} cameras {many}"


def _disk(disk: Disk) -> dict[str, Any]:
    return {"free_bytes": disk.free, "total_bytes": disk.total, "little": disk.free < _LITTLE}


def _brief(record: Record, reports: Collection[str]) -> dict[str, Any]:
    archives = [archive for camera in record.cameras.values() for archive in camera.archives]
    return {
        "id": record.id,
        "state": record.state,
        "opened": record.opened,
        "window_end": record.window_end,
        "closed": record.closed,
        "cameras": len(record.cameras),
        "given_up": sorted(name for name, camera in record.cameras.items() if camera.state == GIVEN_UP),
        "images": _sum(archives, "images") if record.state == CLOSED else None,
        "bytes": _sum(archives, "bytes") if record.state == CLOSED else None,
        "report": record.id in reports,
    }


def _sum(archives: Iterable[Mapping[str, Any]], field: str) -> int:
    return sum(archive[field] for archive in archives if isinstance(archive[field], int))


def _told(event: Mapping[str, Any], name: str) -> str:
    if name == "receipt" and isinstance(event.get("images"), int):
        return f"{event['images']:,} images".replace(",", "\u202f")  # a narrow space
    text = event.get("text")
    return one_line(text, 200) if isinstance(text, str) else ""


def _is_time(text: str) -> bool:
    try:
        return dt.datetime.fromisoformat(text).tzinfo is not None
    except ValueError:
        return False
