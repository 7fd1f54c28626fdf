# SPDX-License-Identifier: GPL-3.0-or-later
"""What a camera lets whom do: its user without root, and strangers on its port (rows S2 and S6)."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator

import pytest

from e2e.station import Station
from e2e.watching import HEARTBEAT, detects_after, told
from lab import Camera, wait_until

RULE = "/etc/polkit-1/rules.d/50-wildberryeye.rules"
FILTER = "/etc/wildberryeye_port.nft"
# A camera as it came, whatever of setup is left on it.
AS_IT_CAME = f"""
[ ! -e /root/sudoers ] || mv /root/sudoers /etc/sudoers.d/wildberryeye
systemctl disable -q --now wildberryeye_port.service 2>/dev/null
nft delete table inet wildberryeye_port 2>/dev/null
rm -f {FILTER} /etc/systemd/system/wildberryeye_port.service {RULE}
gpasswd --delete "$1" systemd-journal >/dev/null 2>&1; gpasswd --add "$1" adm >/dev/null
systemctl unmask -q polkit; systemctl daemon-reload; systemctl restart polkit
"""
# What setup may put on a camera, and whose the directories are that images lie in.
FOOTPRINT = f"""
sha256sum {RULE} {FILTER} /etc/systemd/system/wildberryeye_port.service 2>/dev/null
id "$1"; systemctl is-enabled wildberryeye_port.service 2>/dev/null; nft list ruleset
"""
OWNERS = 'stat -c "%U %a" "$1"; find "$1/.wildberryeye" -type d -exec stat -c "%U %a" {} + 2>/dev/null'

CALL = "import socket, sys; socket.create_connection((sys.argv[1], 5000), 5)"
RECAP = {"ANSIBLE_STDOUT_CALLBACK": "ansible.builtin.default"}


@pytest.fixture
def cameras(station: Station) -> Iterator[Station]:
    """The station; afterwards, its cameras as they came."""
    yield station
    for camera in station.cameras.values():
        camera.exec("sh", "-c", AS_IT_CAME, "sh", camera.spec.user)


def footprint(station: Station) -> list[str]:
    return [camera.exec("sh", "-c", FOOTPRINT, "sh", camera.spec.user).stdout for camera in station.cameras.values()]


def owners(camera: Camera) -> set[str]:
    """Who owns the image directory and what is below it, with the modes."""
    return set(camera.exec("sh", "-c", OWNERS, "sh", camera.image_dir, check=False).stdout.splitlines())


def changes(station: Station, *arguments: str) -> tuple[int, str]:
    """Run setup with the output of Ansible itself, which counts: changes, and what it said."""
    done = station.orchestrator.ansible(*station.command("setup", *arguments), env=RECAP)
    assert done.returncode == 0, done.stdout
    return sum(int(count) for count in re.findall(r"changed=(\d+)", done.stdout)), done.stdout


def may(camera: Camera, command: str, user: str = "") -> bool:
    """Whether the camera's user, or another, may do this there."""
    return camera.exec("su", "-s", "/bin/sh", user or camera.spec.user, "-c", command, check=False).returncode == 0


def sudo_log(camera: Camera) -> list[str]:
    """What sudo has written into the camera's journal."""
    return camera.exec("journalctl", "--quiet", "_COMM=sudo").stdout.splitlines()


def calls(caller: Camera, camera: Camera) -> bool:
    """Whether somebody on one camera reaches the port of another."""
    return caller.exec("python3", "-c", CALL, camera.address, check=False).returncode == 0


def take_sudo(camera: Camera) -> None:
    """Take it from the camera's user, who is in the group sudo but has no password."""
    camera.exec("mv", "/etc/sudoers.d/wildberryeye", "/root/sudoers")
    assert not may(camera, "sudo -n true")


def begun_as_root(station: Station) -> None:
    """An experiment that was begun with sudo: directories and a batch on the cards belong to root."""
    station.variables(**HEARTBEAT)
    station.begin_day()
    for camera in station.cameras.values():
        script = 'cd "$1" && mkdir .wildberryeye/day .wildberryeye/day/$2 && mv "$3" .wildberryeye/day/$2/'
        oldest = station.detected(camera)[0]
        camera.exec("sh", "-c", script, "sh", camera.image_dir, "20260522T070000Z-0123abcd", oldest)
        assert sudo_log(camera)


@pytest.mark.slow
def test_s6_once_set_up_a_day_goes_without_sudo(cameras: Station) -> None:
    """sudo taken from the cameras' users after setup -> start, heartbeat, stop: all home, not one line of sudo's."""
    station, motion = cameras, cameras.cameras["motion"]
    # This one's user could not read the journal, and so not see a detection that died.
    motion.exec("gpasswd", "--delete", motion.spec.user, "adm")
    begun_as_root(station)
    station.variables(**HEARTBEAT, wildberryeye_camera_sudo=False)

    before = footprint(station)
    count, said = changes(station, "--check", "--diff")
    assert count and '+    if (subject.user !== "eye") {' in said and footprint(station) == before
    assert owners(motion) == {"root 755"}
    station.play("setup")
    assert owners(motion) == {"station-2 755"}
    assert changes(station)[0] == 0
    for camera in station.cameras.values():
        take_sudo(camera)
    logged = [sudo_log(camera) for camera in station.cameras.values()]
    station.play("start")
    stopped = time.time()
    motion.stop_service()
    wait_until(detects_after(motion, stopped), "the heartbeat mends motion", 90)
    died = time.time()
    motion.faults(detection_dies=True, cured_by_restart=True)
    wait_until(lambda: bool(told(station, "motion", "dead")), "a detection that died is seen in the journal", 90)
    wait_until(detects_after(motion, died), "it is mended, too", 90)
    station.wait_for_images()
    run = station.play("status")
    assert "active" in run.row("motion") and "recording" in run.row("motion")
    station.play("collect")
    station.play("stop")
    station.assert_all_home()
    assert [sudo_log(camera) for camera in station.cameras.values()] == logged

    # Without sudo, setup can only look; and all is there.
    run = station.play("setup")
    assert run.row("object").split() == ["object", "ready"] and "ssh, no sudo, python3 3.1" in run.text


@pytest.mark.ci
def test_s6_the_user_gets_the_one_unit_and_nobody_else_does(cameras: Station) -> None:
    """The user asks for another unit, another user for this one -> refused; remove takes all of it back."""
    station, camera = cameras, cameras.cameras["object"]
    before = footprint(station)
    station.variables(wildberryeye_camera_sudo=False)
    station.play("setup")
    for verb in ("stop", "start", "restart", "reset-failed"):
        assert may(camera, f"systemctl {verb} wildberryeye.service")
        assert not may(camera, f"systemctl {verb} ssh.service")
        assert not may(camera, f"systemctl {verb} wildberryeye.service", "nobody")
    assert not may(camera, "systemctl kill wildberryeye.service")
    assert not may(camera, "systemctl disable wildberryeye.service")
    set_time = "pkcheck --action-id org.freedesktop.timedate1.set-time --process $$"
    assert may(camera, set_time) and not may(camera, set_time, "nobody")
    station.play("remove")
    assert not may(camera, "systemctl stop wildberryeye.service") and not may(camera, set_time)
    assert footprint(station) == before


@pytest.mark.slow
def test_s6_what_cannot_be_given_is_named_with_its_remedy(cameras: Station) -> None:
    """No polkit, no sudo, an image directory made anew by root -> a line each, with what to do."""
    station, camera, other = cameras, cameras.cameras["object"], cameras.cameras["motion"]
    station.variables(wildberryeye_camera_sudo=False)
    camera.exec("systemctl", "mask", "-q", "--now", "polkit")
    take_sudo(other)
    run = station.play("setup", status=2)
    assert "eye cannot be given wildberryeye.service: polkit is masked" in run.row("object")
    assert "station-2 may not start and stop wildberryeye.service without sudo (" in run.row("motion")
    assert "Let station-2 use sudo there while setup.yml is run once more" in run.row("motion")
    camera.exec("systemctl", "unmask", "-q", "polkit")
    other.exec("mv", "/root/sudoers", "/etc/sudoers.d/wildberryeye")
    station.play("setup")
    take_sudo(camera)
    camera.exec("chown", "root", camera.image_dir)
    run = station.play("setup", status=2)
    assert f"{camera.image_dir} does not belong to eye. Let eye use sudo there" in run.row("object")
    # A day that begins all the same is told what is wrong, too.
    camera.exec("rm", RULE)
    camera.exec("systemctl", "restart", "polkit")
    run = station.play("start", "-e", "wildberryeye_experiment=day", status=2)
    assert "Interactive authentication required" in run.row("object") and "Run setup.yml" in run.row("object")
    camera.exec("mv", "/root/sudoers", "/etc/sudoers.d/wildberryeye")
    station.variables()
    station.play("stop")
    station.assert_all_home()


def recorded_and_home(station: Station) -> None:
    station.begin_day()
    station.play("stop")
    station.assert_all_home()


@pytest.mark.slow
def test_s2_strangers_are_refused_where_the_orchestrator_is_not(cameras: Station) -> None:
    """A stranger on the network calls port 5000, before and after a reboot -> refused; the day is recorded and home."""
    station, camera, stranger = cameras, cameras.cameras["object"], cameras.cameras["motion"]
    assert calls(stranger, camera)
    station.variables(wildberryeye_limit_camera_port=True)
    before = footprint(station)
    count, said = changes(station, "--check", "--diff")
    assert count and f"+        ip saddr {station.orchestrator.address} accept" in said
    assert footprint(station) == before and calls(stranger, camera)
    station.play("setup")
    assert not calls(stranger, camera) and not calls(camera, stranger) and calls(camera, camera)
    assert changes(station)[0] == 0
    camera.reboot()
    camera.exec("sh", "-c", 'until python3 -c "$1" 127.0.0.1; do sleep 0.2; done', "sh", CALL)
    assert not calls(stranger, camera)
    recorded_and_home(station)
    station.play("remove")
    assert calls(stranger, camera) and footprint(station) == before


@pytest.mark.slow
def test_s2_a_limit_that_would_shut_out_the_orchestrator_is_taken_off_again(cameras: Station) -> None:
    """The camera sees another address by ssh (a jump host) than on its port -> open again, said, and not ready."""
    station, camera = cameras, cameras.cameras["object"]
    stranger = cameras.cameras["motion"]
    known = "-o UserKnownHostsFile=/home/decim/station/known_hosts"
    jump = f"ssh -i /home/decim/station/key {known} -W %h:%p station-2@{stranger.address}"
    station.variables(wildberryeye_limit_camera_port=True)
    given = f'{{"ansible_ssh_common_args": "{known} -o \'ProxyCommand={jump}\'"}}'
    before = footprint(station)
    run = station.play("setup", "--limit", "object", "-e", given, status=2)
    assert f"port 5000 stays open to everybody: limited to {stranger.address}, where the login" in run.row("object")
    assert calls(stranger, camera) and footprint(station) == before


@pytest.mark.slow
def test_s2_nothing_is_left_on_a_camera_that_could_not_be_reached(cameras: Station) -> None:
    """remove with a limited camera out of reach -> named, not removed; the next remove opens the port."""
    station, camera, stranger = cameras, cameras.cameras["object"], cameras.cameras["motion"]
    station.variables(wildberryeye_limit_camera_port=True)
    station.play("setup")
    # Nobody answers there.
    run = station.play("remove", "--limit", "object", "-e", "ansible_port=23", status=2)
    assert "not removed" in run.row("object") and "SSH connection refused" in run.row("object")
    assert not calls(stranger, camera)
    station.play("remove")
    assert calls(stranger, camera)
