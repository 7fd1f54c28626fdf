# SPDX-License-Identifier: GPL-3.0-or-later
"""What the heartbeat tells people who are not there, and what it tells them in time."""

from __future__ import annotations

import dataclasses
import datetime as dt
import itertools
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.wildberryeye.orchestrator.plugins.module_utils import concern, notices, record, watch
from ansible_collections.wildberryeye.orchestrator.plugins.module_utils.alert import Notice
from lab.emulated import wait_for
from unit.sinks import SECRET, Web
from unit.support import EXPERIMENT
from unit.watched_station import INTERVAL, ONE, Station, probes


@pytest.fixture
def station(tmp_path: Path) -> Iterator[Station]:
    with Station(tmp_path) as found:
        yield found


class People:
    """What is noticed for them, and what is asked for elsewhere."""

    def __init__(self, station: Station) -> None:
        self.station = station
        self.state = str(station.directory / "alerts")
        self.secrets = station.directory / "alerts.json"
        os.makedirs(notices.directory(self.state))

    def configure(self, ping: str = "", **changed: Any) -> None:
        self.secrets.write_text(json.dumps({"notify_urls": [], "ping_url": ping, "gather": 1}))
        self.station.configure(alerts=self.state, secrets=str(self.secrets), **changed)

    def noticed(self, topic: str) -> list[Notice]:
        found = [each.notice for each in notices.lying(self.state)]
        return [each for each in found if each is not None and each.topic == topic]


@pytest.fixture
def people(station: Station) -> People:
    return People(station)


def test_a_card_that_stores_nothing_is_noticed_once_and_that_it_is_back_once(station: Station, people: People) -> None:
    camera = station.camera()
    people.configure()
    station.watching()
    camera.faults(capture="no_file")
    (found,) = wait_for(lambda: [each for each in people.noticed("camera/object") if each.bad])
    assert found.text.startswith("cannot store its pictures, for ") and abs(found.at - time.time()) < 10
    count = len(probes(camera))
    wait_for(lambda: len(probes(camera)) > count + 2)
    assert sum(each.bad for each in people.noticed("camera/object")) == 1
    camera.faults()
    wait_for(lambda: not people.noticed("camera/object")[-1].bad)
    assert people.noticed("camera/object")[-1].text == "records again"


def test_a_camera_that_is_mended_within_minutes_is_noticed_by_nobody(station: Station, people: People) -> None:
    camera = station.camera()
    people.configure()
    station.watching()
    camera.end()
    wait_for(lambda: "down" in station.names())
    camera.start()
    wait_for(lambda: station.thinks()["state"] == watch.RECORDING)
    assert not any(each.bad for each in people.noticed("camera/object"))


def test_one_that_stays_away_is_noticed_after_ten_intervals_with_the_reason(station: Station, people: People) -> None:
    camera = station.camera()
    people.configure()
    station.ssh("#!/bin/sh\necho ssh: No route to host; exit 255\n")
    station.watching()
    camera.end()
    gone = time.time()
    (found,) = wait_for(lambda: [each for each in people.noticed("camera/object") if each.bad], 30)
    assert found.at - gone > 8 * INTERVAL and found.text.startswith("is out of reach, for ") and "route" in found.text


def test_a_data_disk_that_was_pulled_out_is_noticed(station: Station, people: People) -> None:
    station.camera()
    people.configure()
    station.watching()
    os.rename(station.layout.data_dir, f"{station.layout.data_dir} elsewhere")
    wait_for(lambda: any(each.bad for each in people.noticed("disk/data directory")))
    os.rename(f"{station.layout.data_dir} elsewhere", station.layout.data_dir)
    wait_for(lambda: not people.noticed("disk/data directory")[-1].bad)


def test_without_alerts_it_leaves_nothing_anywhere(station: Station, people: People) -> None:
    camera = station.camera()
    people.configure()
    os.rmdir(notices.directory(people.state))
    station.watching()
    camera.faults(capture="no_file")
    wait_for(lambda: "storage" in station.names())
    assert os.listdir(people.state) == []


def test_a_notice_that_cannot_be_left_ends_no_watch_and_is_said_once(
    station: Station, people: People, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    station.camera(start=False)
    station.decide()
    people.configure()
    beat = station.beat(alerts=people.state)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(notices, "put", full)
        for _ in range(3):
            beat._people.notice("camera/object", concern.Concern(True, "x"), 1.0)
    assert capsys.readouterr().out.count("No space left on device") == 1
    beat._people.notice("camera/object", concern.Concern(True, "x"), 2.0)
    assert len(people.noticed("camera/object")) == 1


def beat_of_cards(station: Station, people: People, free: int, an_hour: int, **changed: Any) -> Any:
    """A heartbeat that has seen two cards fill for two hours, 30 GB free at first; the experiment ends in 10 hours."""
    for name in ("object", "motion"):
        station.camera(name, start=False)
    station.decide()
    end = dt.datetime.now().astimezone() + dt.timedelta(hours=10)
    found = record.load(station.layout, EXPERIMENT)
    assert found is not None
    record.save(station.layout, dataclasses.replace(found, window_end=end.isoformat()))
    people.configure()
    beat = station.beat(alerts=people.state, **changed)
    now = time.monotonic()
    for each in beat.watched.values():
        for minute in range(0, 121, 10):
            each.card.see(now - 7200 + 60 * minute, free - an_hour * minute // 60)
    return beat


GB = 1_000_000_000


@pytest.mark.parametrize(
    ("an_hour", "interval", "bad"),
    [(GB, 0, [False]), (3 * GB, 0, [True]), (3 * GB, 60, [False]), (9 * GB, 240, [True])],
)
def test_a_card_that_will_be_full_before_it_is_emptied_is_noticed_in_time(
    station: Station, people: People, an_hour: int, interval: int, bad: list[bool]
) -> None:
    beat = beat_of_cards(station, people, 30 * GB, an_hour, collection_interval=interval)
    for _ in range(3):
        beat._people.think_of(beat.watched, time.monotonic())
    found = people.noticed("card/card of motion")
    assert [each.bad for each in found] == bad
    if bad == [True] and an_hour == 3 * GB:
        assert "24.0 GB free, 3.0 GB an hour. Run collect.yml" in found[0].text


@pytest.mark.parametrize(("free", "bad"), [(15, [True]), (29, []), (31, [False])])
def test_a_disk_that_cannot_take_what_will_come_is_noticed_in_time(
    station: Station, people: People, monkeypatch: pytest.MonkeyPatch, free: int, bad: list[bool]
) -> None:
    # Two cards, each with 2 GB on it now and 12 at the end.
    beat = beat_of_cards(station, people, 30 * GB, GB)

    class Space:
        f_bavail, f_frsize = free * GB, 1

    monkeypatch.setattr(os, "statvfs", lambda path: Space)
    beat._people.think_of(beat.watched, time.monotonic())
    found = people.noticed("space/disk of the orchestrator")
    assert [each.bad for each in found] == bad
    assert not found or not found[0].bad or "about 24.0 GB come, 15.0 GB are free" in found[0].text


def test_how_fast_a_card_fills_is_known_after_a_restart_and_not_in_another_experiment(
    station: Station, people: People
) -> None:
    beat = beat_of_cards(station, people, 30 * GB, GB)
    beat._remember()
    assert station.thinks("motion")["free"] == 28 * GB
    again = station.beat(alerts=people.state).watched["motion"].card
    assert again.free == 28 * GB and again.rate == pytest.approx(GB / 3600, rel=0.01)
    station.decide(record.HOME)
    station.decide(experiment="z")
    assert station.beat().watched["motion"].card.free is None


def test_the_room_that_a_login_tells_of_is_taken_in(station: Station, people: People) -> None:
    station.camera()
    station.ssh(f"{ONE}echo Free=12345678\n")
    people.configure()
    station.watching()
    wait_for(lambda: station.thinks().get("free") == 12345678)


def test_it_says_elsewhere_at_every_interval_that_it_is_alive_and_its_journal_tells_no_secret(
    station: Station, people: People
) -> None:
    station.camera()
    web = Web()
    try:
        people.configure(web.ping)
        station.watching()
        wait_for(lambda: len(web.asked) >= 5)
        apart = [later[0] - sooner[0] for sooner, later in itertools.pairwise(web.asked)]
        assert 0.5 * INTERVAL < sum(apart) / len(apart) < 3 * INTERVAL
        web.status = 500
        wait_for(lambda: "wildberryeye_ping_url: HTTP 500" in station.said())
        station.end()
        count = len(web.asked)
        time.sleep(2 * INTERVAL)
        assert len(web.asked) == count
    finally:
        web.close()
    assert SECRET not in station.said() + json.dumps(station.thinks()) + station.config.read_text()


def test_a_ping_that_hangs_delays_no_probe_and_no_end(station: Station, people: People) -> None:
    camera = station.camera()
    web = Web(hangs=True)
    try:
        people.configure(web.ping)
        station.watching()
        wait_for(lambda: web.asked)
        before = probes(camera)
        wait_for(lambda: len(probes(camera)) >= len(before) + 6)
        apart = [later - sooner for sooner, later in itertools.pairwise(probes(camera)[len(before) :])]
        assert max(apart) < 2.5 * INTERVAL, apart
        began = time.monotonic()
        assert station.end() == 0 and time.monotonic() - began < 3 and len(web.asked) == 1
    finally:
        web.close()


@pytest.mark.parametrize("content", [None, b"", b"{", b"[" * 100_000, b'{"ping_url": 7}'])
def test_settings_of_alerts_that_are_missing_or_torn_end_no_watch(
    station: Station, people: People, content: bytes | None
) -> None:
    station.camera(start=False)
    station.decide()
    people.configure()
    beat = station.beat(alerts=people.state, secrets=str(people.secrets))
    people.secrets.unlink()
    if content is not None:
        people.secrets.write_bytes(content)
    beat._people.think_of(beat.watched, time.monotonic())
    assert beat._people.ping_url() == ""
