# SPDX-License-Identifier: GPL-3.0-or-later
"""A stop that is broken off anywhere (C1, C2), on a whole station: nothing is lost, and the next one completes."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable

import pytest

from e2e.station import Station
from lab import Camera, wait_until

MODULE = r"^(sudo .*)?(/bin/sh -c .*BECOME-SUCCESS.*|\S*python3)$|^(sudo )?rsync --server"
"""What Ansible runs on a camera: a module comes by standard input, so that its command line is bare."""


class Killer:
    """Kills stops at moments that are spread over the time that one takes.

    Args:
        station: the station, fresh.
        kills: how many there are to be.
    """

    def __init__(self, station: Station, kills: int) -> None:
        self.station = station
        self.day = 0
        seed = int(os.environ.get("WILDBERRYEYE_SEED") or random.SystemRandom().randrange(10**6))
        dice = random.Random(seed)
        self.record()
        begin = time.monotonic()
        station.play("stop")
        length = time.monotonic() - begin
        self.moments = [(number + dice.random()) / kills * length for number in range(kills)]
        dice.shuffle(self.moments)
        print(f"kills of stop: WILDBERRYEYE_SEED={seed}, an undisturbed one takes {length:.1f} s")

    def record(self) -> None:
        """Begin an experiment, unless one is not home yet."""
        states = [self.station.record(name)["state"] for name in self.station.experiments()]
        if set(states) <= {"closed"}:
            self.day += 1
            self.station.play("start", "-e", f"wildberryeye_experiment=day-{self.day}")
            self.station.wait_for_images()

    def run(self, kill: Callable[[], bool]) -> None:
        """Kill at each moment; a stop that has ended before is no kill, and the next begins."""
        hits = misses = 0
        while self.moments:
            self.record()
            running = self.station.begin("stop")
            moment = self.moments[-1]
            begin = time.monotonic()
            hit = False
            while running.poll() is None and not hit:
                if time.monotonic() - begin >= moment:
                    hit = kill()
                time.sleep(0.05)
            run = self.station.end(running, status=None, timeout=240)
            assert "Traceback" not in run.text, run.text
            wait_until(self.quiet, "the cameras finish what they were asked to do", 60, 0.2)
            self.station.assert_nothing_lost()
            hits, misses = hits + hit, misses + (not hit)
            assert misses < 30, "stops end before they can be killed"
            if hit:
                self.moments.pop()
                print(f"kills of stop: {moment:.1f} s after its begin")
            else:
                # A stop that goes on where another was killed is short: nearer to its begin, then.
                self.moments[-1] *= 0.7
        self.record()
        self.station.play("stop")
        self.station.assert_all_home()
        print(f"kills of stop: {hits} in {self.day} experiments; {misses} stops ended before their moment")

    def quiet(self) -> bool:
        """Whether no camera does anything for us."""
        return not any(
            camera.exec("pgrep", "-f", MODULE, check=False).stdout.strip() for camera in self.station.cameras.values()
        )


def kill_the_orchestrators(station: Station) -> Callable[[], bool]:
    def kill() -> bool:
        station.kill_playbooks()
        return True

    return kill


def kill_the_cameras(station: Station) -> Callable[[], bool]:
    def kill() -> bool:
        # On both; it counts if either was at work.
        return True in [_kill_on(camera) for camera in station.cameras.values()]

    return kill


def _kill_on(camera: Camera) -> bool:
    return camera.exec("pkill", "-9", "-f", MODULE, check=False).returncode == 0


@pytest.mark.slow
def test_c1_a_stop_that_is_killed_at_any_moment_is_completed_by_the_next(station: Station) -> None:
    """kill -9 of all that ansible-playbook is, at 20 random moments of stop -> nothing lost; run again: all home."""
    Killer(station, 20).run(kill_the_orchestrators(station))


@pytest.mark.slow
def test_c2_a_stop_whose_modules_are_killed_at_any_moment_is_completed_by_the_next(station: Station) -> None:
    """kill -9 of module and rsync on both cameras, at 20 random moments of stop -> run again: all home."""
    Killer(station, 20).run(kill_the_cameras(station))


@pytest.mark.slow
def test_c2_a_camera_whose_power_is_cut_in_mid_transfer_is_carried_home_when_it_is_back(station: Station) -> None:
    """The camera's power is cut while its images are carried -> named, the other home; run again: all home."""
    camera = station.cameras["object"]
    station.begin_day()
    station.wait_for_images("object", more=60)
    stopping = station.stop_in_mid_transfer("object", "2mbit")
    camera.kill()
    run = station.end(stopping, status=2, timeout=300)
    assert "not home" in run.row("object")
    station.assert_all_home("motion")
    camera.start()
    camera.shape(None)
    station.play("stop")
    station.assert_all_home()
