# SPDX-License-Identifier: GPL-3.0-or-later
"""The heartbeat as a process: whatever befalls it or a camera, the other cameras record on and are watched."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ansible_collections.wildberryeye.orchestrator.plugins.module_utils import lock, record, watch
from ansible_collections.wildberryeye.orchestrator.plugins.module_utils.record import CameraRecord, Record
from lab.emulated import wait_for
from unit.support import EXPERIMENT
from unit.watched_station import INTERVAL, OPENED, Station, heartbeat, probes


@pytest.fixture
def station(tmp_path: Path) -> Iterator[Station]:
    with Station(tmp_path) as found:
        yield found


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
