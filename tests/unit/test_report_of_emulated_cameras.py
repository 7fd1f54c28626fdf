# SPDX-License-Identifier: GPL-3.0-or-later
"""A real heartbeat and an emulated camera, and what the report says: the camera's own record is the truth."""

from __future__ import annotations

import datetime as dt
import itertools
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ansible_collections.wildberryeye.orchestrator.plugins.module_utils import events, record
from ansible_collections.wildberryeye.orchestrator.plugins.module_utils.report_data import Camera, Settings, gather
from lab.emulated import Lab, wait_for
from unit.reported import pack
from unit.support import EXPERIMENT
from unit.watched_station import Station, probes

pytestmark = pytest.mark.ci

INTERVAL = 2.0
SLACK = INTERVAL + 1  # times are told to the second


@pytest.fixture
def station(tmp_path: Path) -> Iterator[Station]:
    with Station(tmp_path) as found:
        yield found


def begin(station: Station, **settings: object) -> Lab:
    """Open the experiment now, and have the camera watched as soon as it records."""
    camera = station.camera(start=False).start(**settings)  # type: ignore[arg-type]
    station.configure(interval=INTERVAL, timeout=1)
    station.decide()
    found = record.load(station.layout, EXPERIMENT)
    assert found is not None
    found.opened = found.cameras["object"].since = events.now()
    record.save(station.layout, found)
    events.append(station.layout.events(EXPERIMENT), "opened")
    camera.capture()
    station.start()
    wait_for(lambda: len(probes(camera)) >= 2, 60)
    return camera


def end(station: Station, camera: Lab) -> Camera:
    """Stop as a stop does, bring the images home, and return what the report says."""
    found = record.load(station.layout, EXPERIMENT)
    assert found is not None
    found.cameras["object"].state = record.HOME
    events.append(station.layout.events(EXPERIMENT), "closing", cameras=["object"])
    record.save(station.layout, found)
    if station.runs():
        station.end()
    camera.post("/api/stop")
    names = [each for each in os.listdir(camera.images) if each.endswith(".jpg")]
    pack(
        station.layout.archive(EXPERIMENT, "object", 1),
        [(name, (camera.images / name).read_bytes()) for name in names],
    )
    (shown,) = gather(station.layout, EXPERIMENT, Settings(interval=INTERVAL)).cameras
    return shown


def gaps(shown: Camera, state: str = "not recording") -> list[tuple[float, float]]:
    return [(span.begin.timestamp(), span.end.timestamp()) for span in shown.gaps if span.state == state]


def holes(camera: Lab, least: float) -> list[tuple[float, float]]:
    """When detection wrote nothing for at least so many seconds, by the camera's own record."""
    written = camera.lines("written")
    at = [line["at"] for line in written if line["event"] == "end" and line["kind"] != "manual"]
    return [(one, two) for one, two in itertools.pairwise(at) if two - one >= least]


def test_a_power_cut_and_a_wedge_are_gaps_to_within_an_interval_and_nothing_else_is(station: Station) -> None:
    camera = begin(station)
    time.sleep(2 * INTERVAL)
    camera.end()
    time.sleep(2 * INTERVAL)
    camera.start()
    wait_for(lambda: "gap" in station.names(), 30)
    time.sleep(2 * INTERVAL)
    assert camera.process is not None
    os.kill(camera.process.pid, signal.SIGSTOP)
    time.sleep(6 * INTERVAL)
    os.kill(camera.process.pid, signal.SIGCONT)
    # It was frozen, not restarted: only its images tell that it did not record.
    wait_for(lambda: "back" in station.names(), 30)
    time.sleep(3 * INTERVAL)
    shown = end(station, camera)
    true = holes(camera, 2 * INTERVAL)
    told = [each for each in gaps(shown) + gaps(shown, "unknown") if each[1] - each[0] > INTERVAL / 2]
    assert len(true) == 2 and len(told) == 2, (true, told, shown.coverage, station.told())
    for (one, two), (began, ended) in zip(true, sorted(told), strict=True):
        assert abs(one - began) <= SLACK and abs(two - ended) <= SLACK, (true, told, shown.coverage)


def test_what_was_recorded_after_the_heartbeat_was_killed_is_proven_by_images_alone(station: Station) -> None:
    camera = begin(station)
    time.sleep(INTERVAL)
    station.end(signal.SIGKILL)
    time.sleep(3 * INTERVAL)
    assert gaps(end(station, camera), "unknown") == []


def test_without_heartbeat_and_images_it_is_unknown(station: Station) -> None:
    camera = begin(station, detect_limit=1)
    wait_for(lambda: station.thinks().get("state") == "recording", 30)
    station.end(signal.SIGKILL)
    killed = time.time()
    camera.post("/api/stop")
    time.sleep(5 * INTERVAL)
    (unknown,) = gaps(end(station, camera), "unknown")
    assert abs(unknown[0] - killed) <= SLACK + INTERVAL and unknown[1] >= killed + 4 * INTERVAL
    assert dt.datetime.fromtimestamp(unknown[1]) <= dt.datetime.now()
