# SPDX-License-Identifier: GPL-3.0-or-later
"""A day that nobody attends: all that setup installs, at work together."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from e2e.station import INVENTORY, Station
from e2e.timers import COLLECT, START, STOP, Timers
from e2e.watching import (
    HEARTBEAT,
    INTERVAL,
    assert_gaps_are_true,
    detects_after,
    heartbeat_pid,
    probes,
    processes,
    told,
)
from lab import CameraSpec, Lab, wait_until


@pytest.mark.slow
def test_r15_a_day_that_nobody_attends(station: Station) -> None:
    timers = Timers(station)
    timers.hours(-60, 60, wildberryeye_collection_interval=60, **HEARTBEAT)
    assert ", collected every 60 min: see " in station.play("setup").row("orchestrator")
    station_object, motion = station.cameras["object"], station.cameras["motion"]

    timers.fire(START)
    timers.ended(START)
    station.wait_for_images()
    wait_until(lambda: all(probes(camera) for camera in station.cameras.values()), "both are probed", 20)

    # A power blip on one camera while the other hangs.
    hurt = time.time()
    station_object.exec("systemctl", "kill", "-s", "STOP", station_object.spec.unit)
    motion.reboot()
    for camera in station.cameras.values():
        wait_until(detects_after(camera, hurt), f"{camera.name} detects again", 60)
    wait_until(lambda: all(told(station, name, "gap") for name in station.cameras), "the gaps are told", 20)
    station.wait_for_images()

    # R15: the orchestrator loses its power; nobody logs in afterwards.
    station.orchestrator.reboot()
    wait_until(lambda: heartbeat_pid(station) != 0, "the heartbeat is back", 30)
    assert f"{COLLECT}.timer" in timers.systemctl("list-timers", "--no-pager"), "images go on coming home by day"
    before = len(probes(motion))
    wait_until(lambda: len(probes(motion)) > before, "it probes", 3 * INTERVAL)
    motion.exec("systemctl", "kill", "-s", "KILL", motion.spec.unit)
    wait_until(lambda: len(told(station, "motion", "gap")) == 2, "it mends what happens now", 2 * INTERVAL + 10)
    station.wait_for_images()

    # Night.
    timers.hours(-60, -1, **HEARTBEAT)
    timers.fire(STOP)
    timers.ended(STOP)
    assert len(station.experiments()) == 1
    station.assert_all_home()
    assert station.record(station.experiments()[0])["state"] == "closed"
    assert_gaps_are_true(station)
    assert [len(told(station, name, "gap")) for name in ("object", "motion")] == [1, 2]
    assert heartbeat_pid(station) == 0

    # A reboot at night brings back no heartbeat, and begins nothing.
    station.orchestrator.reboot()
    ended = "ConditionResult=yes"
    shown = ["systemctl", "--user", "show", "wildberryeye_heartbeat.service", "-p", "ConditionResult", "-p", "Result"]
    wait_until(
        lambda: ended in station.orchestrator.exec(*shown, user="decim", check=False).stdout, "it has looked", 20
    )
    wait_until(lambda: heartbeat_pid(station) == 0, "and ended by itself", 20)
    assert "Result=success" in station.orchestrator.exec(*shown, user="decim").stdout
    assert len(station.experiments()) == 1


@pytest.mark.ci
def test_the_five_commands_of_daily_use_do_what_it_says(station: Station) -> None:
    timers = Timers(station)
    timers.hours(-60, 60)
    station.play("setup")
    verify = "systemd-analyze --user verify ~/.config/systemd/user/wildberryeye_*"
    verified = station.orchestrator.exec("sh", "-c", verify, user="decim")
    assert verified.stdout + verified.stderr == ""
    page = (Path(__file__).parents[2] / "docs" / "daily-use.md").read_text()
    block = page[page.index("## Five commands") :].split("```")[1]
    commands = [line.partition("#")[0].strip() for line in block.splitlines()[1:] if line]
    assert len(commands) == 5
    said = {}
    for command in commands:
        done = station.orchestrator.ansible("sh", "-c", command, env={"ANSIBLE_INVENTORY": INVENTORY, "PAGER": "cat"})
        assert done.returncode == 0, (command, done.stdout, done.stderr)
        said[command] = done.stdout
        if "orchestrator.start" in command:
            station.wait_for_images()
    timers_listed, status, journal, start, stop = said.values()
    assert f"{START}.timer" in timers_listed and f"{STOP}.timer" in timers_listed
    assert "no experiment" in status and "object" in status
    assert "WildBerryEye heartbeat" in journal
    assert "recording" in start and "home" in stop
    station.assert_all_home()


@pytest.mark.slow
def test_r11_a_slow_link_and_a_slow_camera_are_not_restarted(tmp_path: Path) -> None:
    slow = CameraSpec("motion", "motion", cpus=0.1, link="1mbit")
    with Lab([slow], orchestrator="bookworm", directory=tmp_path / "lab") as lab:
        station = Station(lab)
        station.fresh()
        camera = station.cameras["motion"]
        camera.settings(interval=2)
        station.orchestrator.write_inventory(
            {"wildberryeye_heartbeat_interval": 10, "wildberryeye_heartbeat_timeout": 15}
        )
        station.play("start")
        began = time.time()
        wait_until(lambda: sum(at > began for at in probes(camera)) >= 5, "it is probed five times", 90)
        assert processes(camera, began) == 0
        assert [event["event"] for event in told(station, "motion")] == ["recording"]
