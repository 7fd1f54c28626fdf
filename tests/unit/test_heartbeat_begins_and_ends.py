# SPDX-License-Identifier: GPL-3.0-or-later
"""The heartbeat begins and ends when it should, with what it knows of its last life, and systemd hears of it."""

from __future__ import annotations

import datetime as dt
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.wildberryeye.orchestrator.plugins.module_utils import events, record, watch
from ansible_collections.wildberryeye.orchestrator.plugins.module_utils.errors import Error
from lab.emulated import wait_for
from unit.support import EXPERIMENT, image
from unit.watched_station import INTERVAL, OPENED, Station, heartbeat, probes


@pytest.fixture
def station(tmp_path: Path) -> Iterator[Station]:
    with Station(tmp_path) as found:
        yield found


@pytest.mark.parametrize("state", [None, record.CLOSING])
def test_with_nothing_to_record_it_ends_satisfied(station: Station, state: str | None) -> None:
    camera = station.camera()
    os.makedirs(station.layout.locks())
    if state:
        station.decide(state)
    station.start()
    assert station.ends() == 0 and "nothing to watch" in station.said()
    assert camera.lines("requests") == []


def test_a_disk_that_is_mounted_late_or_was_pulled_out_costs_no_watch(station: Station) -> None:
    camera = station.camera()
    station.start()
    wait_for(lambda: "is not there: plug the disk in" in station.said())
    station.decide()
    wait_for(lambda: camera.detecting()[-1][0])
    os.rename(station.layout.data_dir, f"{station.layout.data_dir} elsewhere")
    count = len(probes(camera))
    wait_for(lambda: len(probes(camera)) > count + 2)
    assert station.runs() and station.said().count("plug the disk in") == 2


def test_it_ends_when_the_experiment_does_and_starts_no_camera_after_that(station: Station) -> None:
    camera = station.camera()
    station.watching()
    station.decide(record.CLOSING)
    camera.post("/api/stop")
    assert station.ends() == 0
    time.sleep(0.2)
    assert not camera.detecting()[-1][0] and "object: unwatched" in station.said()


def test_a_camera_that_is_stopped_alone_is_let_go_and_the_other_is_watched_on(station: Station) -> None:
    station.camera("object"), station.camera("motion")
    station.watching()
    station.decide(object=record.CLOSING)
    wait_for(lambda: "object: unwatched" in station.said())
    time.sleep(0.3)
    counts = [len(probes(camera)) for camera in station.cameras.values()]
    wait_for(lambda: len(probes(station.cameras["motion"])) >= counts[1] + 2)
    assert len(probes(station.cameras["object"])) == counts[0] and station.runs()


def test_from_when_until_when_it_watched_is_told(station: Station) -> None:
    station.camera("object"), station.camera("motion")
    station.watching()
    station.decide(object=record.CLOSING)
    wait_for(lambda: "object: unwatched" in station.said())
    assert station.end() == 0
    told = [(line["event"], line["camera"]) for line in events.read(station.layout.events(EXPERIMENT))]
    watching = [each for each in told if each[0] in ("watched", "unwatched")]
    assert sorted(watching[:2]) == [("watched", "motion"), ("watched", "object")]
    assert watching[2:] == [("unwatched", "object"), ("unwatched", "motion")]


def test_one_that_comes_back_tells_until_when_the_camera_was_seen_to_record_and_not_that_it_did_since(
    station: Station,
) -> None:
    station.camera()
    station.watching()
    seen = station.thinks()["last_good"]
    station.end(signal.SIGKILL)
    killed = time.time()
    time.sleep(2)
    # Nothing can be found out about it any more.
    station.cameras["object"].end()
    station.start()
    wait_for(lambda: len(watched(station)) == 2)
    assert seen <= watched(station)[1]["last_good"]
    assert dt.datetime.fromisoformat(watched(station)[1]["last_good"]).timestamp() <= killed + 0.01  # of two clocks
    station.decide(record.CLOSING)
    assert station.ends() == 0
    assert watched(station, "unwatched")[0]["last_good"] == watched(station)[1]["last_good"]


def test_what_one_that_was_killed_had_seen_is_told_though_the_experiment_is_over_and_only_once(
    station: Station,
) -> None:
    station.camera()
    station.watching()
    station.end(signal.SIGKILL)
    last_good = station.thinks()["last_good"]
    station.decide(record.HOME)
    for _ in range(2):
        assert station.start().ends() == 0
        assert [each["last_good"] for each in watched(station, "unwatched")] == [last_good]


def test_the_end_of_one_experiment_and_the_begin_of_the_next_are_told_in_each(station: Station) -> None:
    station.camera(start=False)
    station.decide()
    beat = station.beat()
    station.decide(record.CLOSING)
    station.decide(experiment="2026-05-23")
    beat._read_records(time.monotonic())
    assert len(watched(station, "unwatched")) == 1
    assert [each["event"] for each in events.read(station.layout.events("2026-05-23"))] == ["watched"]


def watched(station: Station, event: str = "watched") -> list[dict[str, Any]]:
    return [each for each in events.read(station.layout.events(EXPERIMENT)) if each["event"] == event]


def test_it_ends_when_it_is_asked_to_though_a_probe_hangs(station: Station) -> None:
    camera = station.camera()
    station.configure(timeout=60)
    camera.faults(wedged=True)
    station.decide()
    station.start()
    wait_for(lambda: any(line["event"] == "begin" for line in camera.lines("requests")))
    began = time.monotonic()
    assert station.end() == 0 and time.monotonic() - began < 3
    assert station.said().endswith("ended, as asked\n") and "Traceback" not in station.said()


def test_it_ends_with_the_remedy_that_is_under_way(station: Station) -> None:
    station.camera(start=False)
    station.remedy("import signal; signal.signal(15, lambda *_: sys.exit(1)); note(os.getpid()); time.sleep(60)")
    station.decide()
    station.start()
    pid = int(wait_for(lambda: station.tries()[1:])[0][1])
    began = time.monotonic()
    assert station.end() == 0 and time.monotonic() - began < 3
    assert not Path(f"/proc/{pid}").exists() and station.tries()[-1][1] == "ended"


def test_a_remedy_that_will_not_end_is_killed_before_systemd_loses_its_patience(
    station: Station, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert heartbeat.ENDING < 10 - 2
    station.camera(start=False)
    beat = station.beat()
    monkeypatch.setattr(heartbeat, "ENDING", 0.3)
    code = "import signal, time; signal.signal(15, signal.SIG_IGN); print(flush=True); time.sleep(60)"
    for name in ("a", "b"):
        process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None and process.stdout.readline()
        beat._remedies[name] = heartbeat.Remedy(watch.RESTART, process)
    began = time.monotonic()
    beat._end_remedies()
    assert [each.process.wait(2) for each in beat._remedies.values()] == [-9, -9] and time.monotonic() - began < 2


def test_a_heartbeat_that_was_killed_deletes_its_picture_when_it_is_back_and_restarts_no_sooner(
    station: Station,
) -> None:
    camera = station.camera()
    station.watching()
    wait_for(lambda: station.thinks().get("pictures"))
    camera.end()
    wait_for(lambda: "restart failed" in station.names())
    # Two, where the camera died between taking the one and deleting the other.
    mine = wait_for(lambda: station.thinks()["restarts"] and station.thinks()["pictures"])
    station.end(signal.SIGKILL)
    station.start()
    # It backs off for ten seconds after the first.
    wait_for(lambda: station.names().count("down") == 2)
    time.sleep(1.5)
    assert station.names().count("restarting") == 1 and station.thinks()["restarts"] == 1
    camera.start()
    # Of one that it has deleted and not noted yet, a camera that is killed knows nothing; the card does.
    wait_for(lambda: not any((camera.images / name).exists() for name in mine))


def test_what_it_knew_of_another_experiment_counts_no_more(station: Station) -> None:
    station.camera(start=False)
    station.decide(experiment="2026-05-21")
    first = station.beat()
    for _ in range(5):
        first.watched["object"].watch.remedy_began(time.monotonic(), watch.RESTART)
        first.watched["object"].watch.remedy_ended(time.monotonic(), False, "")
    first._remember()
    assert station.beat().watched["object"].watch.degraded
    station.decide(record.HOME, experiment="2026-05-21")
    station.decide()
    assert not station.beat().watched["object"].watch.degraded


def test_the_next_experiment_inherits_the_picture_that_is_to_be_deleted(station: Station) -> None:
    station.camera(start=False)
    station.decide(experiment="2026-05-21")
    beat = station.beat()
    old = beat.watched["object"]
    old.watch.pictures = (image(1, "manual"),)
    station.decide(record.CLOSING, experiment="2026-05-21")
    station.decide()
    beat._read_records(time.monotonic())
    new = beat.watched["object"]
    assert new.experiment == EXPERIMENT and new.watch is not old.watch and new.watch.pictures == old.watch.pictures


MEMORY: dict[str, Any] = {"experiment": EXPERIMENT, "last_good": OPENED, "pictures": [], "degraded": False}
TRIED: dict[str, Any] = {name: {"at": [], "failed": 0} for name in (watch.RESTART, watch.COLLECT)}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"\0" * 512,
        b"\xff\xfe",
        b"[]",
        b"7",
        b"[" * 100_000,
        b'{"cameras": 7}',
        b'{"cameras": {"object": 7}}',
        b'{"cameras": {"object": {}}}',
        *(
            json.dumps({"cameras": {"object": {**MEMORY, "tried": TRIED, **odd}}}).encode()
            for odd in list[dict[str, Any]](
                (
                    {"last_good": 7},
                    {"last_good": "yesterday"},
                    {"last_good": "0001-01-01T00:00:00+14:00"},
                    {"last_good": "9999-12-31T23:59:59-14:00"},
                    {"last_good": "0001-01-01"},
                    {"tried": {}},
                    {"tried": {name: {"at": [], "failed": float("inf")} for name in TRIED}},
                    {"tried": {name: {"at": [], "failed": -7} for name in TRIED}},
                    {"tried": {name: {"at": ["2999-01-01T00:00:00+00:00"] * 9, "failed": 0} for name in TRIED}},
                    {"pictures": ["../../x"]},
                )
            )
        ),
    ],
    ids=lambda content: content[:40].decode(errors="replace") if len(content) < 99 else str(len(content)),
)
def test_a_torn_memory_is_no_reason_not_to_watch(station: Station, content: bytes) -> None:
    station.camera(start=False)
    station.decide()
    Path(station.layout.heartbeat()).write_bytes(content)
    beat = station.beat()
    (each,) = beat.watched.values()
    now = time.monotonic()
    assert each.watch.last_good <= now and each.watch.pictures == ()
    look = watch.Look(True)
    for _ in range(3):
        beat._telling.happened(
            each, each.watch.probed(now + 1, watch.Finding(now + 1, "refused", "x", look=look)), now + 1
        )
    each.watch.wanted(now + 1)
    beat._telling.happened(
        each, each.watch.probed(now + 2, watch.Finding(now + 2, watch.FINE, restarted=True)), now + 2
    )
    assert station.names() == ["down", "gap"]
    beat._remember()
    assert station.thinks()["state"] == watch.RECORDING


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "No such file or directory"),
        (b"", "torn"),
        (b'{"data_dir": "/x", ', "torn"),
        (b"[]", "torn"),
        (b"[" * 100_000, "torn"),
        (b"\xff", "torn"),
        *(
            (json.dumps(odd).encode(), "torn")
            for odd in list[dict[str, Any]](
                (
                    {"cameras": None},
                    {"cameras": {"object": {}}},
                    {"cameras": {"object": 7}},
                    {"interval": 0},
                    {"interval": "soon"},
                    {"interval": float("nan")},
                    {"timeout": -1},
                    {"failures": 0},
                )
            )
        ),
    ],
    ids=lambda part: str(part)[:30],
)
def test_a_configuration_that_is_none_ends_it_for_good_in_one_line(
    station: Station,
    content: bytes | None,
    words: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    good = station.configure()
    if content is None:
        station.config.unlink()
    else:
        odd = json.loads(content) if content.startswith(b'{"') and content.endswith(b"}") else None
        station.config.write_bytes(content if odd is None else json.dumps({**good, **odd}).encode())
    monkeypatch.setattr(sys, "argv", ["heartbeat.py", str(station.config)])
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    # The unit says that it is not to be started again after this status.
    assert heartbeat.main() == 2
    said = capsys.readouterr().out
    assert said.count("\n") == 1 and words in said and "Run start.yml" in said


def test_the_exit_status_is_that_of_the_process(station: Station) -> None:
    station.config.write_text("{")
    assert station.start().ends() == 2 and station.said().count("\n") == 1


# --- systemd -------------------------------------------------------------------------------------


class Manager:
    """What systemd hears."""

    def __init__(self, address: str) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(address)
        self.socket.settimeout(5)

    def hears(self) -> str:
        return self.socket.recv(4096).decode()


@pytest.mark.parametrize("abstract", [False, True])
def test_systemd_hears_at_once_that_it_is_ready_and_then_that_it_lives(
    station: Station, tmp_path: Path, abstract: bool
) -> None:
    camera = station.camera()
    camera.faults(wedged=True)
    station.ssh("#!/bin/sh\nexec sleep 60\n")
    name = str(tmp_path / "notify")
    manager = Manager(f"\0{name}" if abstract else name)
    station.environment["NOTIFY_SOCKET"] = f"@{name}" if abstract else name
    station.configure(timeout=30)
    station.decide()
    began = time.monotonic()
    station.start()
    assert manager.hears() == "READY=1" and time.monotonic() - began < 4
    lives: list[float] = []
    while len(lives) < 4:
        if manager.hears() == "WATCHDOG=1":
            lives.append(time.monotonic())
    assert lives[-1] - lives[0] < 5
    station.end()
    manager.socket.close()


def test_systemd_hears_that_it_is_ready_though_there_is_nothing_to_watch(station: Station, tmp_path: Path) -> None:
    manager = Manager(str(tmp_path / "notify"))
    station.environment["NOTIFY_SOCKET"] = str(tmp_path / "notify")
    os.makedirs(station.layout.locks())
    station.start()
    assert manager.hears() == "READY=1" and station.ends() == 0
    manager.socket.close()


def test_a_configuration_is_read_as_it_was_written(station: Station) -> None:
    station.camera(start=False)
    station.configure()
    config = heartbeat.Config.read(str(station.config))
    assert config.settings("object") == watch.Settings(INTERVAL, 3, 3, 1.0)
    assert config.camera("object").service == "wildberryeye.service"
    with pytest.raises(Error):
        heartbeat.Config.read(str(station.directory))
