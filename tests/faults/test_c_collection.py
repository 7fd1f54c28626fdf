# SPDX-License-Identifier: GPL-3.0-or-later
"""What befalls a collection (C4, C5): cards, disks and connections that freeze or fill up under it."""

from __future__ import annotations

import re
import time

import pytest

from e2e.station import DATA, Run, Station
from lab import wait_until

LEFT = "pgrep -a -u decim -x 'rsync|ssh' | grep -v '\\[mux\\]' || true"


def the_line(run: Run, camera: str, text: str) -> None:
    """A run said once, on one line, what happened to the camera, and said so again in its table."""
    assert re.search(text, run.row(camera)), run.row(camera)
    said = [line for line in run.text.splitlines() if "FAILED" in line]
    assert len(said) == 1 and f"{camera}: FAILED" in said[0], said


# -- C4: the remote end is frozen ------------------------------------------------------------------------


# Stops each rsync, or what carries it: those of its forefathers that are the sshd of one connection, not of all. Says
# what it stopped, and the lines of descent if it was nothing.
FREEZE_TRANSFER = """
import os, signal, subprocess, sys
what = sys.argv[1]
listening = int(os.popen("systemctl show --value --property MainPID ssh").read())
listed = subprocess.run(["ps", "-eo", "pid=,ppid=,comm="], stdout=subprocess.PIPE, text=True).stdout
lines = [line.split(None, 2) for line in listed.splitlines()]
processes = {int(pid): (comm, int(parent)) for pid, parent, comm in lines}
lines = []
for pid, (name, _) in processes.items():
    if name == "rsync":
        lines.append([pid])
        while processes[lines[-1][-1]][1] > 1:
            lines[-1].append(processes[lines[-1][-1]][1])
wanted = {pid for line in lines for pid in line if processes[pid][0].startswith(what) and pid != listening}
for pid in wanted:
    os.kill(pid, signal.SIGSTOP)
    print("stopped", pid, *processes[pid])
if not wanted:
    print([[(pid, processes[pid][0]) for pid in line] for line in lines])
"""


@pytest.mark.slow
@pytest.mark.parametrize("frozen", ["rsync", "sshd"])
def test_c4_a_transfer_whose_other_end_is_frozen_ends_by_itself(station: Station, frozen: str) -> None:
    """kill -STOP of rsync, of its sshd, in mid-transfer -> ends within 2 minutes with one line; the other is home."""
    camera = station.cameras["object"]
    station.begin_day()
    station.wait_for_images("object", more=40)
    camera.shape("2mbit")
    stopping = station.begin("stop")
    wait_until(lambda: bool(list(station.data.glob(".incoming/object/day/*.zip*"))), "the transfer has begun", 60)
    stopped = camera.exec("python3", "-c", FREEZE_TRANSFER, frozen).stdout
    assert "stopped" in stopped, f"nothing was frozen: {stopped}"
    began = time.monotonic()
    run = station.end(stopping, status=2, timeout=150)
    took = time.monotonic() - began
    print(f"ended {took:.1f} s after the other end was frozen")
    print(station.orchestrator.exec("ps", "-u", "decim", "-o", "pid,ppid,stat,etimes,args").stdout)
    assert took < 120
    # With its sshd, ssh itself can notice first.
    the_line(run, "object", "the transfer stalled .*Run it again|unreachable by SSH .*run it again")
    station.assert_all_home("motion")
    assert not station.archives("object")
    wait_until(
        lambda: not station.orchestrator.exec("sh", "-c", LEFT).stdout, "no rsync, no ssh is left of the run", 90, 1
    )
    camera.shape(None)
    if frozen == "sshd":
        camera.exec("pkill", "-CONT", "sshd")
    station.play("stop")
    station.assert_all_home()


# Stops the first module that holds a lock on the card: in the middle of its work.
FREEZE = """
import os, signal
while True:
    for line in open("/proc/locks"):
        pid = int(line.split()[4]) if " FLOCK " in line else 0
        if pid and open(f"/proc/{pid}/comm").read().startswith("python3"):
            os.kill(pid, signal.SIGSTOP)
            raise SystemExit
"""


@pytest.mark.slow
def test_c4_a_card_that_does_not_answer_any_more_holds_nobody_up_for_ever(station: Station) -> None:
    """kill -STOP of the module that reads the card -> given up after the collection's timeout; the other is home."""
    camera = station.cameras["object"]
    station.begin_day()
    station.wait_for_images("object", more=40)
    freezing = camera.popen("python3", "-c", FREEZE)
    began = time.monotonic()
    collecting = station.begin("collect", "-e", "wildberryeye_collection_timeout=15")
    assert freezing.wait(60) == 0
    run = station.end(collecting, status=2, timeout=120)
    print(f"ended after {time.monotonic() - began:.1f} s")
    the_line(
        run, "object", "make batches ready: no answer from the camera within 15 s.*reboot the camera: nothing is lost"
    )
    assert "collected" in run.row("motion") and "not" not in run.row("motion")
    assert not station.orchestrator.exec("sh", "-c", LEFT).stdout
    print(camera.exec("ps", "-eo", "pid,ppid,stat,args").stdout)
    camera.exec("pkill", "-CONT", "-x", "python3")
    station.play("stop")
    station.assert_all_home()


# -- C5: the orchestrator's disk is full -----------------------------------------------------------------


def small_disk(station: Station, size: str) -> None:
    """Keep the data on a disk of this size from now on."""
    station.orchestrator.exec("mkdir", "-p", DATA, user="decim")
    station.orchestrator.mount_small_disk(DATA, size)
    station.orchestrator.exec("chown", "decim:", DATA)


def resize(station: Station, size: str) -> None:
    station.orchestrator.exec("mount", "-o", f"remount,size={size}", DATA, privileged=True)


def fill(station: Station) -> None:
    """Leave not a byte on the disk of the data."""
    station.orchestrator.exec("sh", "-c", f"cat /dev/zero >{DATA}/.filler", check=False)


def take_off(station: Station) -> None:
    """Put what lies on the small disk where the tests look for it."""
    script = f"mkdir {DATA}.kept && cp -a {DATA}/. {DATA}.kept"
    station.orchestrator.exec("sh", "-c", script, user="decim")
    station.orchestrator.unmount(DATA)
    station.orchestrator.exec("sh", "-c", f"rm -rf {DATA} && mv {DATA}.kept {DATA}", user="decim")


@pytest.mark.slow
@pytest.mark.parametrize("method", ["zip", "files"])
def test_c5_a_disk_too_small_for_what_is_on_the_cards_is_found_out_before_anything_is_carried(
    station: Station, method: str
) -> None:
    """A disk with room for one camera's images, then for none -> one line with the bytes; that one is home."""
    try:
        small_disk(station, "66m")
        station.variables(wildberryeye_collection_method=method)
        station.cameras["motion"].settings(detect_limit=15)
        station.begin_day("object")
        station.wait_for_images("object", more=60)
        run = station.play("stop", status=2)
        lacking = r"carry its images to \S+/data: [\d.]+ MB needed there, .*; [\d.]+ MB free\. Free [\d.]+ MB or more"
        for name, camera in station.cameras.items():
            assert re.search(f"not home .*{lacking}", run.row(name)), run.row(name)
            assert station.on_card(name) == station.truth(camera), "nothing is deleted"
        there = station.orchestrator.exec(
            "find", DATA, "-name", "*.jpg", "-o", "-name", "*.zip", "-o", "-path", "*/receipts/*"
        )
        assert there.stdout == ""
        resize(station, "76m" if method == "files" else "72m")
        run = station.play("stop", status=2)
        the_line(run, "object", lacking)
        assert " home " in run.row("motion") and "not" not in run.row("motion")
        resize(station, "256m")
        station.play("stop")
    finally:
        take_off(station)
    station.assert_all_home()


@pytest.mark.slow
def test_c5_a_disk_that_fills_up_under_the_transfer_is_told(station: Station) -> None:
    """Somebody fills the disk while images arrive -> a clear line, nothing receipted; all home when there is room."""
    camera = station.cameras["object"]
    try:
        small_disk(station, "200m")
        station.begin_day()
        station.wait_for_images("object", more=60)
        camera.shape("8mbit")
        stopping = station.begin("stop", "--limit", "object")
        begun = f"find {DATA}/.incoming/object/day -name '*.zip*'"
        wait_until(
            lambda: bool(station.orchestrator.exec("sh", "-c", begun, check=False).stdout), "the transfer has begun", 60
        )
        fill(station)
        run = station.end(stopping, status=2, timeout=120)
        assert re.search("no space left on the device|No space left on device", run.text), run.text
        camera.shape(None)
        assert station.on_card("object") == station.truth(camera)
        station.orchestrator.exec("rm", f"{DATA}/.filler")
        station.play("stop")
    finally:
        camera.shape(None)
        take_off(station)
    station.assert_all_home()


def test_c5_a_start_on_a_full_disk_says_so_in_a_line(station: Station) -> None:
    """Not a byte is free at start -> a line that says so; with room the next start records."""
    try:
        small_disk(station, "1m")
        fill(station)
        run = station.play("start", status=2)
        said = {line.strip() for line in run.text.splitlines() if "FAILED" in line}
        assert len(said) == 1 and "No space left on device" in said.pop()
        station.orchestrator.exec("rm", f"{DATA}/.filler")
        station.begin_day()
    finally:
        take_off(station)
    station.play("stop")
    station.assert_all_home()
