# SPDX-License-Identifier: GPL-3.0-or-later
"""What a heartbeat has done, and what it was due to do: from its own events and from the emulators' lists."""

from __future__ import annotations

import datetime as dt
import itertools
import json
from collections.abc import Callable
from typing import Any

from e2e.station import Station
from lab import Camera

INTERVAL = 4.0
HEARTBEAT = {
    "wildberryeye_ready_timeout": 20,
    "wildberryeye_heartbeat_interval": int(INTERVAL),
    "wildberryeye_heartbeat_timeout": 2,
}
UNIT = "wildberryeye_heartbeat.service"


def told(station: Station, camera: str, name: str = "") -> list[dict[str, Any]]:
    """Return what events.jsonl says of a camera: all but what its clock and card show, or the events of that name."""
    found = []
    for path in sorted(station.data.glob("*/events.jsonl")):
        found += [json.loads(line) for line in path.read_text().splitlines()]
    return [
        event
        for event in found
        if event["camera"] == camera
        and event["event"] in ({name} if name else {event["event"]} - {"clock", "card", "watched", "unwatched"})
    ]


def probes(camera: Camera) -> list[float]:
    """Return when the heartbeat began to probe a camera, by the camera's own list of requests."""
    path = camera.state_dir / "requests.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    return [line["at"] - (line.get("took") or 0) for line in lines if line["path"] == "/latest-image"]


def processes(camera: Camera, since: float) -> int:
    """Return how often the camera's service was started since a moment."""
    return sum(line["reason"] == "process start" and float(str(line["at"])) > since for line in camera.detecting())


def detects_after(camera: Camera, moment: float) -> Callable[[], bool]:
    """Return a condition: the camera began to detect after `moment`, and still does."""

    def condition() -> bool:
        last = camera.detecting()[-1]
        return bool(last["detecting"]) and float(str(last["at"])) > moment

    return condition


def holes(camera: Camera, least: float) -> list[tuple[float, float]]:
    """Return when detection wrote no image for at least so many seconds, between its first and its last."""
    lines = [line for line in camera.written() if line["event"] == "end" and line["kind"] != "manual"]
    at = [float(str(line["at"])) for line in lines]
    return [(one, next_) for one, next_ in itertools.pairwise(at) if next_ - one >= least]


def assert_gaps_are_true(station: Station, within: float = INTERVAL) -> None:
    """Each time that a camera wrote no images is told as a gap, to within an interval, and nothing else is."""
    for name, camera in station.cameras.items():
        told_gaps = [
            (dt.datetime.fromisoformat(gap["from"]).timestamp(), dt.datetime.fromisoformat(gap["to"]).timestamp())
            for gap in told(station, name, "gap")
        ]
        # Times are told to the second; two cameras write five images in one.
        slack = within + 1
        for began, ended in holes(camera, 2.5):
            near = [gap for gap in told_gaps if abs(gap[0] - began) <= slack and abs(gap[1] - ended) <= slack]
            assert near, f"{name} wrote nothing from {began} to {ended}; told: {told_gaps}"
        for gap in told_gaps:
            some = holes(camera, 0.5)
            assert any(gap[0] - 1 <= began and ended <= gap[1] + 2 for began, ended in some), (name, gap, some)


def heartbeat_pid(station: Station) -> int:
    """Return its process; 0 while it does not run."""
    said = station.orchestrator.exec(
        "systemctl", "--user", "show", "-p", "MainPID", "--value", UNIT, user="decim", check=False
    )
    return int(said.stdout.strip() or 0)


def heartbeat_says(station: Station, camera: str) -> dict[str, Any]:
    """Return what the heartbeat thinks of a camera."""
    try:
        found: dict[str, Any] = json.loads((station.data / ".heartbeat.json").read_text())["cameras"]
    except FileNotFoundError:
        return {}
    return dict(found.get(camera, {}))
