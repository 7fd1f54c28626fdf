# SPDX-License-Identifier: GPL-3.0-or-later
"""Recording goes on: each fault that befalls a camera in the field, and the heartbeat that mends it.

The tests bear the names of the rows in the list of faults, R1 to R19; R8 is in unit/test_watch.py, R19 in
test_schedule.py.
"""

from __future__ import annotations

import json
import time

import pytest

from e2e.station import Station
from e2e.watching import (
    HEARTBEAT,
    INTERVAL,
    assert_gaps_are_true,
    detects_after,
    heartbeat_pid,
    heartbeat_says,
    probes,
    processes,
    told,
)
from lab import wait_until


@pytest.fixture
def watched(station: Station) -> Station:
    """A station that records, and is watched closely."""
    station.orchestrator.write_inventory(HEARTBEAT)
    station.play("start")
    station.wait_for_images(more=2)
    wait_until(lambda: all(probes(camera) for camera in station.cameras.values()), "both are probed", 20)
    return station


def test_r1_a_killed_service_detects_again_within_one_interval(watched: Station) -> None:
    motion = watched.cameras["motion"]
    killed = time.time()
    motion.exec("systemctl", "kill", "-s", "KILL", motion.spec.unit)
    wait_until(lambda: processes(motion, killed) == 1, "systemd starts it again", 10)
    wait_until(detects_after(motion, killed), "motion detects again", INTERVAL + 4)
    wait_until(lambda: bool(told(watched, "motion", "gap")), "the gap is told", 5)
    watched.wait_for_images()
    assert_gaps_are_true(watched)
    assert not told(watched, "motion", "restarting")


@pytest.mark.slow
def test_r2_a_service_that_was_stopped_is_restarted(watched: Station) -> None:
    camera = watched.cameras["object"]
    stopped = time.time()
    camera.stop_service()
    wait_until(detects_after(camera, stopped), "it detects again", 30)
    wait_until(lambda: bool(told(watched, "object", "gap")), "the gap is told", 10)
    assert [event["event"] for event in told(watched, "object")][-3:] == ["down", "restarting", "gap"]
    watched.wait_for_images()
    assert_gaps_are_true(watched)


@pytest.mark.slow
def test_r2_a_crash_loop_that_has_ended_is_left_behind(watched: Station) -> None:
    camera = watched.cameras["object"]
    drop_in = f"/run/systemd/system/{camera.spec.unit}.d"
    crash = f"mkdir -p {drop_in} && printf '[Service]\\nExecStartPre=/bin/false\\n' > {drop_in}/crash.conf"
    camera.exec("sh", "-c", f"{crash} && systemctl daemon-reload && systemctl restart {camera.spec.unit}", check=False)
    wait_until(lambda: bool(told(watched, "object", "restart failed")), "a restart fails", 60)
    mended = time.time()
    camera.exec("sh", "-c", f"rm -r {drop_in} && systemctl daemon-reload")
    wait_until(detects_after(camera, mended), "it detects again", 60)


@pytest.mark.slow
def test_r3_a_frozen_service_is_restarted_and_r10_the_other_camera_is_probed_as_ever(watched: Station) -> None:
    camera, other = watched.cameras["object"], watched.cameras["motion"]
    frozen = time.time()
    camera.exec("systemctl", "kill", "-s", "STOP", camera.spec.unit)
    wait_until(detects_after(camera, frozen), "it detects again", 40)
    wait_until(lambda: bool(told(watched, "object", "gap")), "the gap is told", 10)
    assert [event["event"] for event in told(watched, "object")][-3:] == ["wedged", "restarting", "gap"]
    assert processes(camera, frozen) == 1
    began = [at for at in probes(other) if at > frozen]
    assert len(began) >= 3
    off = [abs((at - began[0] + INTERVAL / 2) % INTERVAL - INTERVAL / 2) for at in began]
    assert max(off) <= 0.1 * INTERVAL, off
    watched.wait_for_images()
    assert_gaps_are_true(watched)


@pytest.mark.slow
def test_r4_a_capture_that_hangs_is_wedged_and_few_are_left_hanging(watched: Station) -> None:
    camera = watched.cameras["motion"]
    camera.faults(capture="hang", cured_by_restart=True)
    hung = time.time()
    wait_until(lambda: bool(told(watched, "motion", "wedged")), "it counts as wedged", 30)
    wait_until(detects_after(camera, hung), "it detects again", 30)
    requests = [json.loads(line) for line in (camera.state_dir / "requests.jsonl").read_text().splitlines()]
    hanging = [
        line for line in requests if line["at"] > hung and line["event"] == "begin" and "capture" in line["path"]
    ]
    assert 3 <= len(hanging) <= 4


@pytest.mark.slow
def test_r5_a_camera_that_was_rebooted_detects_again_with_its_baseline(watched: Station) -> None:
    motion = watched.cameras["motion"]
    rebooted = time.time()
    motion.reboot()
    motion.wait_port()
    answered = time.time()
    wait_until(detects_after(motion, rebooted), "motion detects again", INTERVAL + 4)
    assert time.time() - answered <= INTERVAL + 4
    wait_until(lambda: bool(told(watched, "motion", "gap")), "the gap is told", 5)
    watched.wait_for_images()
    assert_gaps_are_true(watched)


@pytest.mark.ci
def test_r6_a_dead_detection_thread_is_noticed_within_three_intervals(watched: Station) -> None:
    camera = watched.cameras["object"]
    died = time.time()
    camera.faults(detection_dies=True, cured_by_restart=True)
    wait_until(lambda: bool(told(watched, "object", "dead")), "it is noticed", 3 * INTERVAL + 4)
    wait_until(detects_after(camera, died), "it detects again", 20)
    wait_until(lambda: bool(told(watched, "object", "gap")), "the gap is told", 10)
    watched.wait_for_images()
    # The camera's journal knows when it died.
    assert_gaps_are_true(watched, within=1)


@pytest.mark.slow
def test_r7_two_failures_are_neither_told_nor_acted_upon(watched: Station) -> None:
    camera = watched.cameras["object"]
    path = camera.state_dir / "requests.jsonl"
    before = len(told(watched, "object"))
    began = time.time()
    camera.faults(capture="error500")

    def failed() -> int:
        return sum('"status": 500' in line for line in path.read_text().splitlines())

    wait_until(lambda: failed() == 2, "two probes fail", 20)
    camera.faults()
    count = len(probes(camera))
    wait_until(lambda: len(probes(camera)) >= count + 3, "it is probed on", 20)
    assert failed() == 2
    assert len(told(watched, "object")) == before
    assert processes(camera, began) == 0


@pytest.mark.ci
@pytest.mark.parametrize("how", ["link", pytest.param("black hole", marks=pytest.mark.slow)])
def test_r9_a_camera_out_of_reach_is_not_restarted(watched: Station, how: str) -> None:
    camera = watched.cameras["motion"]
    began = time.time()
    if how == "link":
        camera.link_down()
    else:
        camera.blackhole(watched.orchestrator.address)
    wait_until(lambda: bool(told(watched, "motion", "unreachable")), "it counts as unreachable", 60)
    if how == "link":
        camera.link_up()
    else:
        camera.unblackhole(watched.orchestrator.address)
    wait_until(lambda: bool(told(watched, "motion", "back")), "it is back", 2 * INTERVAL + 10)
    assert camera.detecting_now()
    assert processes(camera, began) == 0
    assert not told(watched, "motion", "restarting")
    assert "recorded on" in told(watched, "motion", "back")[0]["text"]


@pytest.mark.slow
def test_r12_an_endless_answer_is_a_failure_like_others(watched: Station) -> None:
    camera = watched.cameras["object"]
    camera.faults(capture="huge", cured_by_restart=True)
    hurt = time.time()
    wait_until(lambda: bool(told(watched, "object", "faulty")), "it counts as faulty", 30)
    wait_until(detects_after(camera, hurt), "it detects again", 30)
    status = watched.orchestrator.exec("cat", f"/proc/{heartbeat_pid(watched)}/status").stdout
    (peak,) = [int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")]
    assert peak < 80_000  # kB


@pytest.mark.slow
def test_r13_a_full_card_is_collected_and_records_on(watched: Station) -> None:
    camera = watched.cameras["object"]
    began = time.time()
    camera.mount_small_disk(camera.image_dir, size="4m")
    wait_until(lambda: bool(told(watched, "object", "storage")), "it counts as full", 60)
    wait_until(lambda: "collecting" in [each["event"] for each in told(watched, "object")], "it is collected", 10)
    freed = time.time()

    def stored() -> int:
        return sum(line["event"] == "end" and float(str(line["at"])) > freed + 1 for line in camera.written())

    wait_until(lambda: stored() > 3, "it records on", 40)
    assert processes(camera, began) == 0
    on_small_disk = {str(line["name"]) for line in camera.written() if line["event"] == "end"}
    watched.play("stop")
    assert on_small_disk & watched.home("object").keys()


@pytest.mark.ci
@pytest.mark.parametrize(("signal", "within"), [("KILL", 15), pytest.param("STOP", 80, marks=pytest.mark.slow)])
def test_r14_a_heartbeat_that_is_killed_or_frozen_comes_back(watched: Station, signal: str, within: float) -> None:
    before = heartbeat_pid(watched)
    watched.orchestrator.exec("kill", f"-{signal}", str(before))
    wait_until(lambda: heartbeat_pid(watched) not in (0, before), "the heartbeat is back", within)
    motion = watched.cameras["motion"]
    killed = time.time()
    motion.exec("systemctl", "kill", "-s", "KILL", motion.spec.unit)
    wait_until(detects_after(motion, killed), "it does its work", 2 * INTERVAL + 8)
    # One picture of its own, whatever became of the one who took it.
    watched.play("stop")
    watched.assert_all_home()


@pytest.mark.slow
def test_r16_a_camera_that_was_dead_at_start_is_brought_in_when_it_appears(station: Station) -> None:
    station.orchestrator.write_inventory(HEARTBEAT)
    station.cameras["motion"].stop()
    run = station.play("start", status=2)
    assert "not recording" in run.row("motion") and "recording" in run.row("object")
    assert station.cameras["object"].detecting_now()
    station.cameras["motion"].start()
    appeared = time.time()
    wait_until(detects_after(station.cameras["motion"], appeared - 5), "it is brought in", 30)
    wait_until(lambda: bool(told(station, "motion", "gap")), "it is told", 10)
    station.wait_for_images()
    station.play("stop")
    station.assert_all_home()


@pytest.mark.slow
def test_r16_all_cameras_dead_at_start(station: Station) -> None:
    station.orchestrator.write_inventory(HEARTBEAT)
    for camera in station.cameras.values():
        camera.stop()
    station.play("start", status=2)
    for camera in station.cameras.values():
        camera.start()
    appeared = time.time()
    for camera in station.cameras.values():
        wait_until(detects_after(camera, appeared - 10), f"{camera.name} is brought in", 40)


@pytest.mark.ci
def test_r17_a_start_that_was_killed_is_brought_to_its_end(station: Station) -> None:
    station.orchestrator.write_inventory(HEARTBEAT)
    running = station.begin("start")
    wait_until(lambda: heartbeat_pid(station) != 0, "the heartbeat runs", 20)
    station.orchestrator.exec("pkill", "-9", "-u", "decim", "-f", "ansible-playbook|ssh")
    running.communicate()
    killed = time.time()
    for camera in station.cameras.values():
        wait_until(detects_after(camera, killed - 5), f"{camera.name} detects", 40)
    station.wait_for_images()
    station.play("stop")
    station.assert_all_home()


@pytest.mark.slow
def test_r18_a_sensor_that_takes_minutes_to_start_is_waited_for(station: Station) -> None:
    station.orchestrator.write_inventory({**HEARTBEAT, "wildberryeye_ready_timeout": 60})
    station.play("start")
    camera = station.cameras["object"]
    camera.faults(ready_delay=25)
    restarted = time.time()
    camera.restart_service()
    wait_until(lambda: heartbeat_says(station, "object").get("state") == "starting", "it counts as starting", 30)
    wait_until(detects_after(camera, restarted), "it detects", 60)
    assert processes(camera, restarted) == 1
    assert not told(station, "object", "restarting")


@pytest.mark.ci
def test_a_stop_ends_a_recovery_and_nothing_is_left_of_it(watched: Station) -> None:
    camera = watched.cameras["object"]
    camera.faults(ready_delay=15)
    frozen = time.time()
    camera.exec("systemctl", "kill", "-s", "STOP", camera.spec.unit)
    wait_until(lambda: bool(told(watched, "object", "restarting")), "it is restarted", 40)
    wait_until(lambda: processes(camera, frozen) == 1, "the restart is under way", 30)
    watched.play("stop")
    assert heartbeat_pid(watched) == 0
    left = watched.orchestrator.exec(
        "pgrep", "-u", "decim", "-fa", "heartbeat|remedy|ansible-playbook", check=False
    ).stdout
    assert left == ""
    watched.assert_all_home()
    assert not any(each.detecting_now() for each in watched.cameras.values())


@pytest.mark.ci
def test_a_camera_that_is_stopped_alone_stays_idle_while_the_other_is_watched(watched: Station) -> None:
    watched.play("stop", "--limit", "object")
    camera, other = watched.cameras["object"], watched.cameras["motion"]
    count = len(probes(other))
    wait_until(lambda: len(probes(other)) >= count + 3, "the other is probed on", 5 * INTERVAL)
    assert not camera.detecting_now() and other.detecting_now()
    watched.play("stop")
    watched.assert_all_home()


@pytest.mark.ci
def test_the_heartbeat_leaves_one_picture_of_its_own_at_most(watched: Station) -> None:
    camera = watched.cameras["object"]
    count = len(probes(camera))
    wait_until(lambda: len(probes(camera)) >= count + 4, "it is probed four times", 6 * INTERVAL)
    # One is that of the start, which has proven the camera ready; one may be that of a probe in this moment.
    taken = [str(line["name"]) for line in camera.written() if line["event"] == "end" and line["kind"] == "manual"]
    assert len(taken) >= 5
    kept = [name for name in camera.listing() if "manual_" in name]
    assert len(kept) <= 3


@pytest.mark.ci
def test_the_heartbeat_ends_when_nothing_is_recorded(watched: Station) -> None:
    watched.play("stop")
    assert heartbeat_pid(watched) == 0
