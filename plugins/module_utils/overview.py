# SPDX-License-Identifier: GPL-3.0-or-later
"""How the station is: what was found on the cameras, what the records and the heartbeat say. No I/O.

The facts are what programs get, as JSON; the table says the same to people.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping
from typing import Any

from . import clock, figures
from .failure import in_one_line
from .record import CLOSED, EXPECTED, RECORDING, Record

FORMAT = 1

_HEADER = (
    *("camera", "reachable", "service", "recording", "last image", "on card", "free", "clock", "temp", "heartbeat"),
)


def open_experiments(records: Iterable[Record]) -> list[dict[str, Any]]:
    """Return what `facts` needs of those records that are not closed, in their order."""
    return [
        {
            "id": record.id,
            "state": record.state,
            "opened": record.opened,
            "window_end": record.window_end,
            "cameras": {
                name: {"state": camera.state, "since": camera.since} for name, camera in record.cameras.items()
            },
        }
        for record in records
        if record.state != CLOSED
    ]


def facts(
    results: Mapping[str, Mapping[str, Any]],
    modes: Mapping[str, str],
    station: Mapping[str, Any],
    now: dt.datetime,
) -> dict[str, Any]:
    """Return all that is known, as the filter `overview` documents it.

    Args:
        results: for each camera, what the module `camera_status` returned.
        modes: camera to mode.
        station: what the lookup `station` returned.
        now: the time, with its offset.
    """
    experiments, beat = station["experiments"], station["heartbeat"]
    return {
        "format": FORMAT,
        "now": now.isoformat(timespec="seconds"),
        "experiments": [
            {key: str(found[key]) for key in ("id", "state", "opened", "window_end")} for found in experiments
        ],
        "problems": [str(line) for line in station["problems"]],
        "heartbeat": {key: beat[key] for key in ("running", "pid", "written")},
        "cameras": {
            name: _camera(name, result, modes[name], experiments, beat["cameras"].get(name))
            for name, result in results.items()
        },
    }


def table(found: Mapping[str, Any]) -> str:
    """Return what `facts` returned as people read it: a line about the station, a row per camera, what to see to."""
    now = dt.datetime.fromisoformat(found["now"])
    rows = [_HEADER, *(_row(name, camera, now) for name, camera in found["cameras"].items())]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEADER))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    notes = [f"{name}: {note}" for name, camera in found["cameras"].items() for note in _notes(camera, now)]
    return "\n".join([_headline(found, now), *lines, *notes, *found["problems"]])


def _camera(
    name: str,
    result: Mapping[str, Any],
    mode: str,
    experiments: Iterable[Mapping[str, Any]],
    thought: Mapping[str, Any] | None,
) -> dict[str, Any]:
    wanted, entry = _wanted(name, experiments)
    reachable = bool(result.get("reachable"))
    service, card = result.get("service") or {}, result.get("card") or {}
    label = str(result.get("label") or "") or None
    state = str(service["state"]) if service else None
    problem = result.get("problem") or ("" if reachable else _failure(result))
    since = dt.datetime.fromisoformat(str(entry["since"])).isoformat() if wanted and entry.get("since") else None
    return {
        "mode": str(mode),
        "reachable": reachable,
        "problem": str(problem),
        "service": {
            "state": state,
            "since": _ago(result["looked"], service.get("age")),
            "restarts": service.get("restarts"),
        }
        if service
        else None,
        # What detects shows nowhere on the camera; that it was made to record, and its service runs, does.
        "recording": wanted is not None and label == wanted and state == "active" if reachable else None,
        "label": label,
        "wanted": wanted,
        "wanted_since": since,
        "last_image": {
            "name": str(card["last"]),
            "taken": card["last_taken"],
            "age": _whole(card["last_age"]),
        }
        if card.get("last")
        else None,
        "images": {
            "loose": card["images"],
            "bytes": card["bytes"],
            "batches": card["batches"],
            "set_aside": card["set_aside"],
            "foreign": card["foreign_count"],
        }
        if card
        else None,
        "free_bytes": card.get("free_bytes"),
        "free_inodes": card.get("free_inodes"),
        "clock_offset": round(result["clock"] - result["looked"], 1) + 0.0 if reachable else None,  # never -0.0
        "temperature": result.get("temperature"),
        "uptime": _whole(result.get("uptime")),
        "heartbeat": dict(thought) if thought else None,
    }


def _wanted(name: str, experiments: Iterable[Mapping[str, Any]]) -> tuple[str | None, Mapping[str, Any]]:
    """Return the experiment that the camera is to record, and what its record says of the camera."""
    for found in experiments:
        entry = found["cameras"].get(name)
        if entry is not None and entry["state"] in (EXPECTED, RECORDING):
            return str(found["id"]), entry
    return None, {}


def _failure(result: Mapping[str, Any]) -> str:
    if "timedout" in result:
        return "it lets us in, and does not answer. Its card may be failing: restart it, and replace the card"
    return in_one_line(result)


def _headline(found: Mapping[str, Any], now: dt.datetime) -> str:
    said = []
    for experiment in found["experiments"]:
        since = f" since {_short(experiment['opened'], now)}" if experiment["state"] == RECORDING else ""
        said.append(f"experiment {experiment['id']} is {experiment['state']}{since}")
    beat = found["heartbeat"]
    wrote = f", last heard of at {_short(beat['written'], now)}" if beat["running"] and beat["written"] else ""
    running = f"running{wrote}" if beat["running"] else "not running"
    return "; ".join([*(said or ["no experiment is open"]), f"heartbeat: {running}"])


def _row(name: str, camera: Mapping[str, Any], now: dt.datetime) -> tuple[str, ...]:
    service, thought, images = camera["service"], camera["heartbeat"], camera["images"]
    since = _short(service["since"], now) if service and service["since"] else ""
    aside = f" + {images['set_aside']} aside" if images and images["set_aside"] else ""
    offset, temperature = camera["clock_offset"], camera["temperature"]
    return (
        name,
        "yes" if camera["reachable"] else "no",
        f"{service['state']} {since}".rstrip() if service else "-",
        _recording(camera, now),
        _last(camera["last_image"], now),
        f"{images['loose']}{aside}" if images else "-",
        "-" if camera["free_bytes"] is None else figures.size(camera["free_bytes"]),
        "-" if offset is None else _offset(offset) or "ok",
        "-" if temperature is None else f"{temperature:.0f} °C",
        thought["state"] if thought else "-",
    )


def _recording(camera: Mapping[str, Any], now: dt.datetime) -> str:
    if not camera["recording"]:
        return "-" if camera["recording"] is None else "no"
    since = f", {_short(camera['wanted_since'], now)}" if camera["wanted_since"] else ""
    return f"{camera['wanted']}{since}"


def _last(image: Mapping[str, Any] | None, now: dt.datetime) -> str:
    if image is None:
        return "-"
    age = image["age"]
    # A clock that was set back since makes the image one of the future.
    said = [] if age is None or age < 0 else [figures.about(age)]
    if image["taken"]:
        # The time in the name, as it stands there: it is how people find the file.
        taken = dt.datetime.fromisoformat(image["taken"])
        said.append(f"{taken:%H:%M:%S}" if taken.date() == now.date() else f"{taken:%Y-%m-%d}")
    return ", ".join(said) or "-"


def _notes(camera: Mapping[str, Any], now: dt.datetime) -> Iterable[str]:
    """Yield what a person should look at, a line each."""
    service, images, thought = camera["service"] or {}, camera["images"] or {}, camera["heartbeat"]
    if camera["problem"]:
        yield camera["problem"]
    if camera["recording"] is False and camera["wanted"]:
        yield f"it is to record {camera['wanted']} and does not. Run start.yml"
    if camera["label"] and camera["label"] != camera["wanted"]:
        yield f"its card says that it records {camera['label']}, which it is not to. Run collect.yml"
    if service.get("restarts"):
        yield f"systemd has restarted its service {service['restarts']} times. Look at its journal"
    if images.get("foreign"):
        yield f"{images['foreign']} things that are no images lie in its image directory"
    if thought and thought["state"] != RECORDING:
        since = f", since {_short(thought['since'], now)}" if thought["since"] else ""
        yield f"heartbeat: {thought['text'] or thought['state']}{since}"


def _ago(looked: float, age: float | None) -> str | None:
    """Return when something began that was `age` seconds old at `looked`, by the orchestrator's clock."""
    if age is None:
        return None
    return dt.datetime.fromtimestamp(looked - age).astimezone().isoformat(timespec="seconds")


def _short(iso: str, now: dt.datetime) -> str:
    """Return a time as short as it is clear today, local."""
    at = dt.datetime.fromisoformat(iso).astimezone(now.tzinfo)
    if at.date() == now.date():
        return f"{at:%H:%M}"
    return f"{at:%m-%d}" if at.year == now.year else f"{at:%Y-%m-%d}"


def _offset(seconds: float) -> str:
    """Return how far a clock is ahead, empty if no further than can be told."""
    return f"{'+' if seconds > 0 else '-'}{figures.about(seconds)}" if abs(seconds) >= clock.NOTICEABLE else ""


def _whole(seconds: float | None) -> int | None:
    return None if seconds is None else round(seconds)
