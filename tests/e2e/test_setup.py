# SPDX-License-Identifier: GPL-3.0-or-later
"""What setup puts on the orchestrator and says of the cameras, and that remove takes it off again."""

from __future__ import annotations

import pytest

from e2e.setting_up import FLAG, KNOWN_HOSTS, LOGINCTL, MARKER, cat, changed, footprint, recap, run_sh
from e2e.station import Run, Station
from lab import Camera

UNIT = "wildberryeye.service"


def lines(run: Run, text: str) -> list[str]:
    return [line for line in run.text.splitlines() if text in line]


def fingerprint(camera: Camera) -> str:
    """What a person sees who compares at the camera."""
    return camera.exec("ssh-keygen", "-lf", "/etc/ssh/ssh_host_ed25519_key.pub").stdout.split()[1]


def test_setup_shows_the_keys_that_it_pins_and_does_nothing_the_second_time(fresh: Station) -> None:
    run = fresh.play("setup")
    for name, camera in fresh.cameras.items():
        assert lines(run, f"{name}: pinned ED25519 {fingerprint(camera)}: compare it with 'ssh-keygen -lf ")
        assert run.row(name).split() == [name, "ready"]
        assert lines(run, f"{name}: ssh, sudo, python3 3.1")
    assert "ready" in run.row("orchestrator") and "start at 07:00, stop at 01:00" in run.row("orchestrator")
    pinned = cat(fresh, KNOWN_HOSTS).splitlines()
    assert len(pinned) == 2 and all(line.endswith(" wildberryeye-orchestrator") for line in pinned)
    before = footprint(fresh)
    assert f"{KNOWN_HOSTS} 600" in before
    assert not changed(recap(fresh, "setup"))
    assert footprint(fresh) == before
    again = fresh.play("setup")
    assert lines(again, f"object: known: ED25519 {fingerprint(fresh.cameras['object'])}")


@pytest.mark.ci
def test_check_and_diff_show_every_line_that_would_come_and_touch_nothing(fresh: Station) -> None:
    fresh.variables(
        wildberryeye_collection_interval=30,
        wildberryeye_live_page=True,
        wildberryeye_notify_urls=["json://127.0.0.1:9"],
    )
    before = fresh.everything()
    told = recap(fresh, "setup", "--check", "--diff")
    assert changed(told) and fresh.everything() == before
    for camera in fresh.cameras.values():
        key = camera.exec("cat", "/etc/ssh/ssh_host_ed25519_key.pub").stdout.split()[1]
        assert lines(told, f"+{camera.address} ssh-ed25519 {key} wildberryeye-orchestrator")
    assert "it is looked at once its host key is pinned" in told.text
    assert written(told) == written(recap(fresh, "setup", "--diff"))
    show = ("sh", "-c", "cat ~/.config/systemd/user/wildberryeye_*.timer")
    timers = [line for line in fresh.orchestrator.exec(*show, user="decim").stdout.splitlines() if line]
    assert timers and all(lines(told, f"+{line}") for line in timers)
    before = fresh.everything()
    assert not changed(recap(fresh, "setup", "--check", "--diff"))
    told = recap(fresh, "remove", "--check", "--diff")
    assert changed(told) and lines(told, "-10.") and fresh.everything() == before
    assert written(told) == written(recap(fresh, "remove", "--diff"))


def written(run: Run) -> set[str]:
    """Return the lines that came or went, or would; a directory that several tasks want would come with each."""
    return {line for line in run.text.splitlines() if line[:1] in ("+", "-") and line[:3] not in ("+++", "---")}


@pytest.mark.ci
def test_remove_leaves_nothing_and_needs_no_camera(fresh: Station) -> None:
    run_sh(fresh, f"echo '# mine' >{KNOWN_HOSTS}; chown decim: {KNOWN_HOSTS}")
    before = footprint(fresh)
    fresh.play("setup")
    assert footprint(fresh) != before
    fresh.cameras["motion"].pause()
    try:
        run = fresh.play("remove")
    finally:
        fresh.cameras["motion"].unpause()
    assert run.row("motion").split() == ["motion", "removed"] and "experiments stay in" in run.row("orchestrator")
    assert footprint(fresh) == before
    assert not changed(recap(fresh, "remove"))


@pytest.mark.ci
def test_remove_refuses_while_an_experiment_is_recorded(fresh: Station) -> None:
    fresh.play("setup")
    fresh.play("start", "-e", "wildberryeye_experiment=day")
    before = footprint(fresh)
    run = fresh.play("remove", status=2)
    assert lines(run, "day is being recorded: end it with stop.yml first") and footprint(fresh) == before
    fresh.play("stop")


@pytest.mark.ci
def test_a_camera_whose_key_changed_is_refused_and_the_other_is_set_up(fresh: Station) -> None:
    fresh.play("setup")
    camera, before = fresh.cameras["motion"], footprint(fresh)
    key = "/etc/ssh/ssh_host_ed25519_key"
    was = fingerprint(camera)
    camera.exec(
        "sh", "-c", f"cd /etc/ssh && mkdir kept && mv {key} {key}.pub kept && ssh-keygen -qt ed25519 -N '' -f {key}"
    )
    try:
        camera.exec("systemctl", "restart", "ssh")
        run = fresh.play("setup", status=2)
        now = fingerprint(camera)
    finally:
        camera.exec("sh", "-c", "cd /etc/ssh && mv kept/* . && rmdir kept && systemctl restart ssh")
    said = f"its host key has changed at {camera.address}: known is ED25519 {was}, what came is ED25519 {now}"
    remedy = f"run ssh-keygen -R '{camera.address}' -f '{KNOWN_HOSTS}', then setup.yml"
    assert f"{said}. Only if it was reinstalled, {remedy}" in run.row("motion")
    assert run.row("object").split() == ["object", "ready"]
    assert footprint(fresh) == before


@pytest.mark.ci
def test_all_that_a_camera_lacks_is_named_with_its_remedy(fresh: Station) -> None:
    camera = fresh.cameras["motion"]
    breaking = f"""
        mkdir /root/kept && mv /usr/bin/rsync /etc/sudoers.d/wildberryeye /root/kept/ && mv /usr/bin/python3 /root/kept/
        systemctl disable -q {UNIT}; sed -i 's/emulator motion/emulator object/' /etc/systemd/system/{UNIT}
        systemctl daemon-reload
    """
    camera.exec("sh", "-c", breaking)
    try:
        run = fresh.play("setup", status=2)
    finally:
        mending = "cd /root/kept && mv rsync python3 /usr/bin/ && mv wildberryeye /etc/sudoers.d/ && rmdir /root/kept"
        camera.exec("sh", "-c", mending)
        camera.reset()
    table = run.text[run.text.rindex("camera  ") :]
    for words in (
        "sudo asks for a password or is not allowed (",
        "Let that user use sudo without a password on the camera",
        "/usr/bin/python3 does not run on the camera. Run 'sudo apt install python3' there",
        "rsync is not installed on the camera. Run 'sudo apt install rsync' there",
        "it runs the camera in object mode, the inventory says motion. Put the camera into the group object_cameras",
        f"does not come back after a power cut: it is disabled. Run 'sudo systemctl enable {UNIT}' on the camera",
    ):
        assert words in table
    assert run.row("object").split() == ["object", "ready"] and " ready " in run.row("orchestrator")
    assert fresh.play("setup").row("motion").split() == ["motion", "ready"]


@pytest.mark.ci
def test_a_dead_camera_is_named_and_the_rest_is_set_up(fresh: Station) -> None:
    fresh.cameras["motion"].exec("systemctl", "stop", "ssh")
    try:
        run = fresh.play("setup", status=2)
    finally:
        fresh.cameras["motion"].exec("systemctl", "start", "ssh")
    assert "not ready" in run.row("motion") and "SSH connection refused" in run.row("motion")
    assert run.row("object").split() == ["object", "ready"] and " ready " in run.row("orchestrator")


@pytest.mark.ci
def test_where_lingering_is_refused_units_are_installed_and_the_remedy_is_named(fresh: Station) -> None:
    run_sh(fresh, f"rm {FLAG}")
    run = fresh.play("setup", status=2)
    assert "run 'sudo loginctl enable-linger decim', then setup.yml again" in run.row("orchestrator")
    assert run.row("object").split() == ["object", "ready"]
    run_sh(fresh, "loginctl enable-linger decim")
    # What a person turned on stays on.
    fresh.play("remove")
    run_sh(fresh, f"test -e {FLAG}")


def lingers_at_will(station: Station, *verbs: str) -> None:
    """Let the orchestrator's user do this of loginctl, and have lingering off.

    The lab has no polkit, which lets the user of a Raspberry Pi do so for himself; and without lingering the user's
    systemd would end, which takes minutes in a container.
    """
    script = f"""
        echo 'decim ALL=(ALL) NOPASSWD: ALL' >/etc/sudoers.d/setup
        cat >{LOGINCTL}; chmod 755 {LOGINCTL}; rm {FLAG}
    """
    does = {"enable-linger": "touch", "disable-linger": "rm"}
    cases = [f'"--no-ask-password {verb} decim") exec sudo {does[verb]} {FLAG} ;;' for verb in verbs]
    stand_in = "\n".join(["#!/bin/sh", "case $* in", *cases, "esac", "exit 1", ""])
    station.orchestrator.exec("sh", "-c", script, input=stand_in)


@pytest.mark.ci
def test_where_lingering_cannot_be_turned_off_the_rest_is_removed_for_every_camera(fresh: Station) -> None:
    lingers_at_will(fresh, "enable-linger")
    fresh.play("setup")
    assert len(cat(fresh, KNOWN_HOSTS).splitlines()) == 2
    run = fresh.play("remove", status=2)
    assert "lingering is still on: run 'sudo loginctl disable-linger decim'" in run.row("orchestrator")
    run_sh(fresh, f"test ! -e {KNOWN_HOSTS}")


@pytest.mark.ci
def test_lingering_that_setup_turned_on_is_turned_off_by_remove(fresh: Station) -> None:
    lingers_at_will(fresh, "enable-linger", "disable-linger")
    before = footprint(fresh)
    checked = recap(fresh, "setup", "--check")
    assert changed(checked) and footprint(fresh) == before
    fresh.play("setup")
    run_sh(fresh, f"test -e {FLAG} -a -e {MARKER}")
    assert not changed(recap(fresh, "setup"))
    fresh.play("remove")
    assert footprint(fresh) == before
