# SPDX-License-Identifier: GPL-3.0-or-later
"""The heartbeat as a process: whatever befalls it or a camera, the other cameras record on and are watched."""

from __future__ import annotations

import dataclasses
import datetime as dt
import importlib.util
import itertools
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

from ansible_collections.wildberryeye.orchestrator.plugins.module_utils import (
    concern,
    events,
    lock,
    notices,
    record,
    watch,
)
from ansible_collections.wildberryeye.orchestrator.plugins.module_utils.alert import Notice
from ansible_collections.wildberryeye.orchestrator.plugins.module_utils.errors import Error
from ansible_collections.wildberryeye.orchestrator.plugins.module_utils.layout import Layout
from ansible_collections.wildberryeye.orchestrator.plugins.module_utils.record import CameraRecord, Record
from lab.emulated import Lab, wait_for
from unit.sinks import SECRET, Web
from unit.support import EXPERIMENT, ROOT, image

SCRIPT = ROOT / "roles" / "heartbeat" / "files" / "heartbeat.py"
OPENED = "2026-05-22T07:00:00+02:00"
INTERVAL = 0.4
ONE = """#!/bin/sh
printf 'ActiveState=%s\\nActiveEnterTimestampMonotonic=1000000\\nInvocationID=a\\nUptime=9000.0\\nNow=1\\n' active
"""


def loaded() -> Any:
    """The script as a module."""
    spec = importlib.util.spec_from_file_location("heartbeat_script", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


heartbeat = loaded()


class Station:
    """An orchestrator with a heartbeat, and emulated cameras on loopback."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.layout = Layout(str(directory / "the data"))
        self.cameras: dict[str, Lab] = {}
        self.process: subprocess.Popen[str] | None = None
        self.config = directory / "heartbeat.json"
        self.log = directory / "journal"
        # The script takes the remedy that lies beside it.
        self.script = directory / "scripts" / "heartbeat.py"
        self.script.parent.mkdir()
        self.script.symlink_to(SCRIPT)
        self.remedy("print('said before'); print('no such playbook'); sys.exit(1)")
        self.environment: dict[str, str] = {}
        self.ssh(ONE)

    def ssh(self, script: str) -> None:
        """Let a login on any camera do this."""
        path = self.directory / "ssh"
        new = path.with_suffix(".new")
        new.write_text(script)
        new.chmod(0o755)
        new.replace(path)

    def remedy(self, code: str) -> None:
        """Have this Python code in place of a playbook; what it was called with is noted, and when it ended."""
        tries = str(self.directory / "tries")
        self.script.with_name("remedy.py").write_text(
            f"import atexit, os, sys, time\n"
            f"def note(what):\n"
            f"    with open({tries!r}, 'a') as file: print(time.time(), what, *sys.argv[1:], sep='\\t', file=file)\n"
            f"note('began'); atexit.register(note, 'ended')\n{code}\n"
        )

    def tries(self) -> list[list[str]]:
        """When, whether it began or ended, playbook, configuration, camera."""
        path = self.directory / "tries"
        return [line.split("\t") for line in path.read_text().splitlines()] if path.exists() else []

    def camera(self, name: str = "object", start: bool = True) -> Lab:
        (self.directory / name).mkdir()
        self.cameras[name] = Lab(self.directory / name)
        return self.cameras[name].start() if start else self.cameras[name]

    def configure(self, **changed: Any) -> dict[str, Any]:
        """Write the configuration of the cameras that there are."""
        content = {
            "data_dir": self.layout.data_dir,
            "interval": INTERVAL,
            "timeout": 3,
            "failures": 3,
            "cameras": {
                name: {
                    "mode": "object",
                    "host": "127.0.0.1",
                    "port": camera.port,
                    "service": "wildberryeye.service",
                    "ready_timeout": 1,
                    "ssh": [str(self.directory / "ssh"), name],
                }
                for name, camera in self.cameras.items()
            },
            **changed,
        }
        self.config.write_text(json.dumps(content))
        return content

    def decide(self, state: str = record.RECORDING, experiment: str = EXPERIMENT, **states: str) -> None:
        """Have a record say what is to become of the cameras."""
        cameras = {name: CameraRecord("object", states.get(name, state), OPENED) for name in {**self.cameras, **states}}
        os.makedirs(self.layout.locks(), exist_ok=True)
        record.save(self.layout, Record(experiment, OPENED, "2026-05-23T01:00:00+02:00", None, cameras))

    def start(self) -> Station:
        """Start the heartbeat."""
        if not self.config.exists():
            self.configure()
        path = {"PYTHONPATH": str(ROOT / "collections"), "PYTHONDONTWRITEBYTECODE": "1"}
        with self.log.open("a") as log:
            self.process = subprocess.Popen(
                [sys.executable, str(self.script), str(self.config)],
                env={**os.environ, **path, **self.environment},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                text=True,
                cwd="/",
            )
        return self

    def watching(self) -> Station:
        """Start it, with a record that says that all cameras are to record, and wait until they do."""
        self.decide()
        for camera in self.cameras.values():
            camera.capture()
        self.start()
        for camera in self.cameras.values():
            # The second probe begins when what the first one found is known.
            wait_for(lambda camera=camera: len(probes(camera)) >= 2)  # type: ignore[misc]
        return self

    def ends(self, within: float = 5) -> int:
        """Wait for its end; return its exit status."""
        assert self.process is not None
        return self.process.wait(within)

    def end(self, how: signal.Signals = signal.SIGTERM) -> int:
        assert self.process is not None
        self.process.send_signal(how)
        return self.ends()

    def runs(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def told(self, name: str = "object") -> list[dict[str, Any]]:
        """What the events say of a camera."""
        found = [event for event in events.read(self.layout.events(EXPERIMENT)) if event["camera"] == name]
        return [event for event in found if event["event"] not in ("watched", "unwatched")]

    def names(self, name: str = "object") -> list[str]:
        return [event["event"] for event in self.told(name)]

    def thinks(self, name: str = "object") -> dict[str, Any]:
        """What it has written down of a camera."""
        try:
            return dict(json.loads(Path(self.layout.heartbeat()).read_text())["cameras"].get(name) or {})
        except FileNotFoundError:
            return {}

    def said(self) -> str:
        return self.log.read_text()

    def beat(self, **changed: Any) -> Any:
        """A heartbeat in this process, which has read the records."""
        self.configure(**changed)
        found = heartbeat.Heartbeat(heartbeat.Config.read(str(self.config)))
        found._read_records(time.monotonic())
        return found


def probes(camera: Lab) -> list[float]:
    """When probes of the camera began."""
    return [
        line["at"] - (line.get("took") or 0)
        for line in camera.lines("requests")
        if line["path"] == "/latest-image" and line["event"] == "answered"
    ]


@pytest.fixture
def station(tmp_path: Path) -> Iterator[Station]:
    found = Station(tmp_path)
    yield found
    for process in (found.process, *(camera.process for camera in found.cameras.values())):
        if process is not None and process.poll() is None:
            process.kill()
            process.wait()


# --- it watches ----------------------------------------------------------------------------------


def test_a_camera_that_was_killed_detects_again_and_the_gap_is_told(station: Station) -> None:
    camera = station.camera()
    station.watching()
    killed = time.time()
    camera.end()
    camera.start()
    wait_for(lambda: camera.detecting()[-1] == (True, "start"))
    # On a busy machine it takes its time to start, and may have counted as down meanwhile.
    away = camera.lines("detecting")[-1]["at"] - killed
    (gap,) = wait_for(lambda: [each for each in station.told() if each["event"] == "gap"])
    assert 0 <= gap["seconds"] < away + INTERVAL + 1 and gap["from"] <= gap["to"] and "records again" in gap["text"]
    ended = time.mktime(time.strptime(gap["to"][:19], "%Y-%m-%dT%H:%M:%S"))
    assert abs(ended - killed - away) < 2 * INTERVAL + 1
    assert camera.stored("object")


def test_a_camera_that_does_not_come_back_is_restarted_and_how_that_ended_is_told(station: Station) -> None:
    camera = station.camera()
    station.watching()
    camera.end()
    told = wait_for(lambda: station.told() if "restart failed" in station.names() else None)
    assert station.names()[:3] == ["down", "restarting", "restart failed"] and told[2]["text"] == "no such playbook"
    assert station.tries()[0][1:] == ["began", "restart", str(station.config), "object", EXPERIMENT]
    wait_for(lambda: station.thinks()["restarts"] == 1)
    assert station.runs()


def test_one_that_was_restarted_with_success_is_told_to_record_again(station: Station) -> None:
    camera = station.camera()
    station.remedy("print('recording; nothing to set aside')")
    station.watching()
    camera.end()
    wait_for(lambda: "gap" in station.names())
    assert station.names()[:3] == ["down", "restarting", "gap"]


def test_a_full_card_is_collected_and_not_restarted(station: Station) -> None:
    camera = station.camera()
    station.remedy("print('3 images are home')")
    station.watching()
    camera.faults(capture="no_file")
    wait_for(lambda: "collecting" in station.names())
    camera.faults()
    wait_for(lambda: station.thinks()["state"] == watch.RECORDING)
    assert {each[2] for each in station.tries()} == {"collect"}


def test_a_camera_that_was_never_begun_is_begun_by_a_restart_and_by_nothing_else(station: Station) -> None:
    camera = station.camera()
    station.decide(record.EXPECTED)
    station.start()
    wait_for(lambda: "restarting" in station.names())
    assert camera.lines("requests") == [] and station.names() == ["expected", "restarting"]


def test_its_pictures_do_not_gather_on_the_card(station: Station) -> None:
    camera = station.camera()
    station.configure(interval=0.3)
    station.watching()
    wait_for(lambda: len(camera.truth("end", "manual")) >= 7)
    assert station.end() == 0
    # One that was there before, its last one, and one of a probe that was under way.
    assert len([path for path in camera.images.iterdir() if path.name.startswith("manual_")]) <= 3


# --- it ends, and begins again -------------------------------------------------------------------


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
    assert dt.datetime.fromisoformat(watched(station)[1]["last_good"]).timestamp() <= killed
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
    wait_for(lambda: set(mine) <= {line["name"] for line in camera.truth("deleted")})


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


# --- records -------------------------------------------------------------------------------------


@pytest.mark.parametrize("torn", ["{", '{"format": 1}', "since"])
def test_a_record_that_is_torn_costs_no_other_experiment_its_watch(
    station: Station, torn: str, capsys: pytest.CaptureFixture[str]
) -> None:
    station.camera(start=False)
    station.decide()
    station.decide(experiment="2026-05-20")
    path = Path(station.layout.record("2026-05-20"))
    path.write_text(path.read_text().replace(f'"since": "{OPENED}"', '"since": "once"') if torn == "since" else torn)
    beat = station.beat()
    for _ in range(3):
        beat._read_records(time.monotonic())
    assert [each.experiment for each in beat.watched.values()] == [EXPERIMENT]
    said = capsys.readouterr().out
    assert said.count("it is torn or of another version") == 1


def test_a_camera_that_left_the_inventory_is_told_once_and_the_others_are_watched(
    station: Station, capsys: pytest.CaptureFixture[str]
) -> None:
    station.camera(start=False)
    station.decide(gone=record.RECORDING)
    beat = station.beat()
    for _ in range(3):
        beat._read_records(time.monotonic())
    assert list(beat.watched) == ["object"]
    assert capsys.readouterr().out.count("not in the inventory") == 1


def test_a_camera_of_two_open_experiments_is_watched_for_the_later_one(station: Station) -> None:
    station.camera(start=False)
    station.decide()
    late = Record("z", "2026-05-23T07:00:00+02:00", "2026-05-24T01:00:00+02:00")
    late.cameras["object"] = CameraRecord("object", record.EXPECTED)
    record.save(station.layout, late)
    beat = station.beat()
    assert beat.watched["object"].experiment == "z" and beat.watched["object"].entry.state == record.EXPECTED


def test_whether_a_camera_is_to_record_is_read_from_the_disk_at_that_moment(station: Station) -> None:
    station.camera(start=False)
    station.decide()
    beat = station.beat()
    assert beat._still_wanted("object", EXPERIMENT)
    assert not beat._still_wanted("other", EXPERIMENT) and not beat._still_wanted("object", "2026-05-21")
    for state in (record.CLOSING, record.EXPECTED, record.HOME):
        station.decide(state)
        assert not beat._still_wanted("object", EXPERIMENT)
    # What cannot be read does not end it.
    Path(station.layout.record(EXPERIMENT)).write_text("{")
    assert beat._still_wanted("object", EXPERIMENT)


# --- others at work, and many cameras ------------------------------------------------------------


def test_a_camera_that_another_run_is_at_is_neither_probed_nor_restarted(station: Station) -> None:
    camera, missing = station.camera("object"), station.camera("missing", start=False)
    other = subprocess.Popen(["sleep", "60"])
    try:
        for name in station.cameras:
            lock.take(station.layout.locks(), f"camera-{name}", lock.Owner.of(other.pid, "restart"), wait=0)
        station.decide()
        station.start()
        wait_for(lambda: station.log.exists() and "object: watched" in station.said())
        time.sleep(2 * INTERVAL)
        assert camera.lines("requests") == [] and station.told("missing") == [] and station.runs()
    finally:
        other.kill()
        other.wait()
    wait_for(lambda: camera.detecting()[-1][0])
    wait_for(lambda: "down" in station.names("missing"))
    assert missing.lines("requests") == []


def test_no_restart_comes_between_a_run_that_has_just_begun_and_its_camera(station: Station) -> None:
    station.camera(start=False)
    station.decide()
    beat = station.beat()
    lock.take(station.layout.locks(), "camera-object", lock.Owner.of(os.getpid(), "restart"), wait=0)
    beat._begin_remedy(beat.watched["object"], watch.RESTART, time.monotonic())
    assert beat._remedies == {} and station.names() == [] and beat.watched["object"].watch.remedy is None


def test_one_that_was_begun_meanwhile_is_probed_as_one_that_records(station: Station) -> None:
    station.camera(start=False)
    station.decide(record.EXPECTED)
    beat = station.beat()
    before = beat.watched["object"]
    station.decide()
    beat._read_records(time.monotonic())
    after = beat.watched["object"]
    assert (before.entry.state, after.entry.state) == (record.EXPECTED, record.RECORDING)
    assert after.watch is before.watch


def test_two_cameras_are_mended_at_a_time_and_the_others_are_probed_as_ever(station: Station) -> None:
    camera = station.camera("well")
    for number in range(3):
        station.camera(f"down{number}", start=False)
    interval = 1.2
    station.configure(interval=interval)
    station.remedy("time.sleep(1.5); sys.exit(1)")
    station.decide()
    station.start()
    wait_for(lambda: {each[4] for each in station.tries()} == {"down0", "down1", "down2"}, 20)
    at_once = highest = 0
    for _, what, *_ in sorted(station.tries()):
        at_once += 1 if what == "began" else -1
        highest = max(highest, at_once)
    assert highest == 2
    first = min(float(each[0]) for each in station.tries())
    began = wait_for(lambda: [found for found in [[at for at in probes(camera) if at > first]] if len(found) >= 3])[0]
    off = [abs((at - began[0] + interval / 2) % interval - interval / 2) for at in began]
    assert max(off) < 0.3 * interval, off


def test_collections_that_take_hours_keep_no_camera_from_being_probed_or_restarted(station: Station) -> None:
    full = [station.camera(f"full{number}") for number in range(2)]
    for camera in full:
        camera.faults(capture="no_file")
    station.camera("down", start=False)
    station.configure()
    station.remedy("time.sleep(60 if sys.argv[1] == 'collect' else 0); sys.exit(1)")
    station.decide()
    station.start()
    wait_for(lambda: sum(each[2] == "collect" for each in station.tries()) == 2)
    count = [len(probes(camera)) for camera in full]
    wait_for(lambda: any(each[2] == "restart" for each in station.tries()))
    wait_for(lambda: all(len(probes(camera)) > before + 2 for camera, before in zip(full, count, strict=True)))
    assert station.end() == 0


def test_cameras_are_probed_in_turn_and_not_all_at_once(station: Station) -> None:
    for name in ("a", "b", "c", "d"):
        station.camera(name, start=False)
    station.decide()
    beat = station.beat(interval=60)
    due = sorted(each.watch.next_probe for each in beat.watched.values())
    assert [round(later - due[0]) for later in due] == [0, 15, 30, 45]


def test_it_sleeps_while_a_remedy_is_under_way(station: Station) -> None:
    station.camera(start=False)
    station.remedy("time.sleep(60)")
    station.decide()
    station.start()
    wait_for(station.tries)
    assert station.process is not None
    status = Path(f"/proc/{station.process.pid}/status")

    def woken() -> int:
        (line,) = [line for line in status.read_text().splitlines() if line.startswith("voluntary_ctxt_switches")]
        return int(line.split()[1])

    # The moment of its next probe has to be past.
    time.sleep(2 * INTERVAL)
    before = woken()
    time.sleep(1)
    assert woken() - before < 40


@pytest.mark.parametrize(
    ("code", "helped", "text"),
    [
        ("print('recording')", True, None),
        ("print('a'); print('it is so'); print(); sys.exit(1)", False, "it is so"),
        ("sys.exit(3)", False, "it ended with status 3, and without a word"),
        ("os.kill(os.getpid(), 9)", False, "it ended with status -9, and without a word"),
        ("os.write(1, b'caf\\xe9\\n'); sys.exit(1)", False, "caf\N{REPLACEMENT CHARACTER}"),
    ],
)
def test_however_a_remedy_ends_it_ends(
    station: Station, monkeypatch: pytest.MonkeyPatch, code: str, helped: bool, text: str | None
) -> None:
    station.camera(start=False)
    station.decide()
    station.remedy(code)
    monkeypatch.setattr(heartbeat, "REMEDY", str(station.script.with_name("remedy.py")))
    beat = station.beat()
    (each,) = beat.watched.values()
    beat._begin_remedy(each, watch.RESTART, time.monotonic())
    beat._begin_remedy(each, watch.RESTART, time.monotonic())
    wait_for(lambda: beat._wait(time.monotonic()) or not beat._remedies)
    assert station.names() == ["restarting", "gap" if helped else "restart failed"]
    assert text is None or station.told()[-1]["text"] == text


def test_a_probe_that_meets_a_fault_of_ours_is_a_failure_and_is_followed_by_others(
    station: Station, monkeypatch: pytest.MonkeyPatch
) -> None:
    station.camera(start=False)
    station.decide()
    beat = station.beat()
    (each,) = beat.watched.values()

    def fail(*_: object) -> None:
        raise ZeroDivisionError("division by zero")

    monkeypatch.setattr(heartbeat.probe, "probe", fail)
    for _ in range(2):
        beat._begin_probe(each, time.monotonic())
        wait_for(lambda: beat._wait(time.monotonic()) or not beat._probing)
    assert each.watch.state == watch.DOUBTFUL and each.watch.text == "ZeroDivisionError: division by zero"


def test_a_disk_that_cannot_be_written_to_ends_no_watch(station: Station, capsys: pytest.CaptureFixture[str]) -> None:
    station.camera(start=False)
    station.decide()
    beat = station.beat()
    (each,) = beat.watched.values()
    Path(station.layout.events(EXPERIMENT)).unlink()
    Path(station.layout.events(EXPERIMENT)).mkdir()
    Path(f"{station.layout.heartbeat()}.tmp").mkdir()
    beat._telling.happened(each, [watch.Event("down", "x")], time.monotonic())
    beat._remember()
    lines = capsys.readouterr().out.splitlines()
    assert lines[-3] == "object: down: x" and lines[-2].startswith("write the events: ")
    assert lines[-1].startswith("write down what is known: ")


def test_what_it_thinks_is_there_for_status_and_names_the_process(station: Station) -> None:
    camera = station.camera()
    station.watching()
    assert wait_for(lambda: station.thinks().get("state")) and station.process is not None
    content = json.loads(Path(station.layout.heartbeat()).read_text())
    owner = lock.Owner.of(station.process.pid, "heartbeat")
    assert (content["format"], content["pid"], content["started"], content["boot"]) == (
        1,
        owner.pid,
        owner.started,
        owner.boot,
    )
    wait_for(lambda: station.thinks()["state"] == watch.RECORDING)
    assert station.thinks()["experiment"] == EXPERIMENT and abs(station.thinks()["clock_offset"]) < 2.5
    assert camera.port_is_open()


def test_a_clock_that_jumps_while_it_records_is_in_the_events(station: Station) -> None:
    camera = station.camera()
    station.watching()
    camera.faults(clock_offset=-3600)
    wait_for(lambda: station.told() != [])
    (event,) = station.told()
    assert (event["event"], event["by"]) == ("clock", "heartbeat") and abs(event["offset"] + 3600) < 1.5
    assert abs(event["before"]) < 1.5 and station.thinks()["state"] == watch.RECORDING


# --- people who are not there --------------------------------------------------------------------


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
