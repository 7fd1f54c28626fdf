# SPDX-License-Identifier: GPL-3.0-or-later
"""What goes wrong in the field: the error names camera and remedy, the others are served, nothing is lost."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from e2e.station import Station

# -- a camera that is not there --------------------------------------------------------------------------


def test_a_camera_that_is_dead_at_start_costs_the_other_nothing(station: Station) -> None:
    station.cameras["motion"].stop()
    run = station.play("start", status=2)
    assert "recording" in run.row("object") and "not" not in run.row("object")
    assert "not recording" in run.row("motion") and "unreachable by SSH" in run.row("motion")
    station.wait_for_images("object")
    station.cameras["motion"].start()
    station.play("start")
    station.wait_for_images()
    station.play("stop")
    station.assert_all_home()


@pytest.mark.ci
def test_a_camera_that_is_dead_at_stop_is_carried_home_when_it_is_back(station: Station) -> None:
    station.begin_day()
    station.cameras["motion"].stop()
    run = station.play("stop", status=2)
    assert "home" in run.row("object") and "not home" in run.row("motion")
    station.assert_all_home("object")
    assert station.record("day")["state"] == "closing"
    station.cameras["motion"].start()
    station.play("collect")
    station.assert_all_home()
    assert station.record("day")["state"] == "closed"


@pytest.mark.ci
def test_all_cameras_dead_at_start_and_at_stop_are_all_named_and_nothing_is_lost(station: Station) -> None:
    for camera in station.cameras.values():
        camera.pause()
    run = station.play("start", "-e", "wildberryeye_experiment=day", status=2)
    assert all("not recording" in run.row(name) for name in station.cameras)
    for camera in station.cameras.values():
        camera.unpause()
    station.begin_day()
    for camera in station.cameras.values():
        camera.pause()
    run = station.play("stop", status=2)
    assert all("not home" in run.row(name) for name in station.cameras)
    for camera in station.cameras.values():
        camera.unpause()
    station.play("stop")
    station.assert_all_home()


@pytest.mark.ci
def test_a_heartbeat_that_cannot_be_started_or_stopped_keeps_no_camera_from_recording_or_coming_home(
    station: Station,
) -> None:
    config = "/home/decim/.config/wildberryeye"
    station.orchestrator.exec("sh", "-c", f"rm -rf {config} && mkdir -p {config}/heartbeat.json", user="decim")
    try:
        run = station.play("start", status=2)
        assert all("recording" in run.row(name) and "not" not in run.row(name) for name in station.cameras)
        assert "heartbeat: " in run.text and f"{config}/heartbeat.json" in run.text
        station.wait_for_images()
    finally:
        station.orchestrator.exec("rm", "-rf", config)
    run = station.play("stop")
    assert all("home" in run.row(name) and "not" not in run.row(name) for name in station.cameras)
    station.assert_all_home()


@pytest.mark.ci
def test_a_camera_that_is_gone_for_good_can_be_given_up_and_is_welcome_if_it_turns_up(station: Station) -> None:
    station.begin_day()
    station.play("collect")
    station.cameras["motion"].stop()
    run = station.play("stop", "-e", "wildberryeye_give_up=motion", "--limit", "object")
    assert "home" in run.row("object")
    assert station.record("day")["state"] == "closed"
    assert station.record("day")["cameras"]["motion"]["state"] == "given_up"
    # What came home during the day is in an archive, as anybody's.
    assert list(station.archives("motion")) == ["motion_day.zip"]
    station.cameras["motion"].start()
    station.play("stop")
    station.assert_all_home()
    assert list(station.archives("motion")) == ["motion_day.zip", "motion_day_part2.zip"]


@pytest.mark.ci
def test_limit_stops_one_camera_and_lets_the_other_record(station: Station) -> None:
    station.begin_day()
    station.play("stop", "--limit", "object")
    station.assert_all_home("object")
    assert station.cameras["motion"].detecting_now() and not station.cameras["object"].detecting_now()
    assert station.record("day")["state"] == "recording"
    station.play("stop", "--limit", "motion")
    station.assert_all_home()
    assert station.record("day")["state"] == "closed"


# -- a camera that is not as it should be ----------------------------------------------------------------


def no_unit(station: Station) -> None:
    station.cameras["motion"].exec(
        "sh", "-c", "systemctl stop wildberryeye; rm /etc/systemd/system/wildberryeye.service"
    )
    station.cameras["motion"].exec("systemctl", "daemon-reload")


def wrong_mode(station: Station) -> None:
    unit = "/etc/systemd/system/wildberryeye.service"
    station.cameras["motion"].exec("sed", "-i", "s/emulator motion/emulator object/", unit)
    station.cameras["motion"].exec("systemctl", "daemon-reload")


def no_sudo(station: Station) -> None:
    station.cameras["motion"].exec("sh", "-c", "mkdir -p /root/sudoers && mv /etc/sudoers.d/* /root/sudoers/")


def wrong_address(station: Station) -> None:
    variables = "/home/decim/station/inventory/host_vars"
    script = f"mkdir -p {variables}; echo 'ansible_host: nowhere.invalid' >{variables}/motion.yml"
    station.orchestrator.exec("sh", "-c", script)


TROUBLE: dict[str, tuple[Callable[[Station], None], list[str], str]] = {
    "missing unit": (no_unit, [], r"wildberryeye\.service: systemd says not-found\. Install"),
    "wrong mode": (wrong_mode, [], r"runs the camera in object mode, the inventory says motion\. Put the camera into"),
    "no sudo": (no_sudo, [], r"sudo asks for a password .*Let that user use sudo"),
    "wrong user": (
        lambda station: None,
        ["-e", "ansible_user=nobody", "-e", "wildberryeye_image_dir=/x"],
        r"SSH refused user or key .*Check ansible_user",
    ),
    "wrong key": (
        lambda station: None,
        ["-e", "ansible_ssh_private_key_file=/home/decim/nothing"],
        r"(SSH refused user or key|the SSH key cannot be read) .*Check ansible_",
    ),
    "wrong SSH port": (lambda station: None, ["-e", "ansible_port=2222"], r"SSH connection refused .*ansible_port"),
    "wrong API port": (
        lambda station: None,
        ["-e", "wildberryeye_api_port=5999", "-e", "wildberryeye_ready_timeout=3"],
        r":5999/api/capture\): connection refused\. .*wildberryeye_api_port",
    ),
    "wrong address": (
        wrong_address,
        [],
        r"its name is not known .*Check ansible_host",
    ),
    "wrong image directory": (
        lambda station: None,
        ["-e", "wildberryeye_image_dir=/nowhere"],
        r"/nowhere: no such directory\. .*wildberryeye_image_dir",
    ),
}


@pytest.mark.ci
@pytest.mark.parametrize("trouble", TROUBLE)
def test_each_mistake_ends_in_one_line_with_camera_and_remedy(station: Station, trouble: str) -> None:
    arrange, arguments, expected = TROUBLE[trouble]
    arrange(station)
    # A connection that is still open would not ask for user and key again.
    station.orchestrator.exec("sh", "-c", "rm -rf /home/decim/.ansible/cp; pkill -u decim ssh || true")
    try:
        run = station.play("start", "--limit", "motion", *arguments, status=2)
        assert re.search(expected, run.row("motion")), run.row("motion")
        assert len([line for line in run.text.splitlines() if "FAILED" in line]) == 1
    finally:
        station.orchestrator.exec("rm", "-rf", "/home/decim/station/inventory/host_vars")
        if trouble == "no sudo":
            station.cameras["motion"].exec("sh", "-c", "mv /root/sudoers/* /etc/sudoers.d/")
    station.assert_nothing_lost()


# -- on the way home -------------------------------------------------------------------------------------


# -- two runs at once ------------------------------------------------------------------------------------


# -- promises about any run ------------------------------------------------------------------------------


@pytest.mark.ci
def test_the_data_directory_may_contain_spaces(station: Station) -> None:
    station.variables(wildberryeye_data_dir="~/wildberryeye/analysis/data/our field data (2026)")
    station.play("start")
    station.wait_for_images()
    station.play("stop", "--limit", "object")
    station.play("stop", "-e", "wildberryeye_collection_method=files")
    station.data = station.data / "our field data (2026)"
    station.assert_all_home()


@pytest.mark.ci
def test_a_transfer_that_takes_too_long_ends_by_itself_and_goes_on_next_time(station: Station) -> None:
    station.begin_day("object")
    station.wait_for_images("object", more=60)
    arguments = ["-e", "wildberryeye_collection_timeout=1", "-e", "wildberryeye_collection_bwlimit=100"]
    run = station.play("stop", "--limit", "object", *arguments, status=2)
    assert "took longer than wildberryeye_collection_timeout" in run.row("object")
    assert "rsync" not in station.orchestrator.exec("ps", "-u", "decim", "-o", "comm=").stdout
    station.play("stop")
    station.assert_all_home()


def test_a_data_directory_that_depends_on_where_one_stands_is_refused(station: Station) -> None:
    run = station.play("start", "-e", "wildberryeye_data_dir=data", status=2)
    assert "wildberryeye_data_dir is 'data': begin it with / or ~" in run.text
