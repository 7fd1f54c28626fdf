# SPDX-License-Identifier: GPL-3.0-or-later
"""What goes wrong in the field: the error names camera and remedy, the others are served, nothing is lost."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from e2e.station import INVENTORY, Station
from lab import wait_until

PYTHON_THAT_WAITS = """#!/bin/sh
# The N-th module that runs on this camera waits until it is killed.
echo x >>/run/modules
[ "$(wc -l </run/modules)" -eq "$(cat /run/wait-at)" ] && exec sleep 600
exec /usr/bin/python3 "$@"
"""


def recorded(station: Station, *names: str) -> None:
    """Record some images with all cameras."""
    station.play("start", "-e", "wildberryeye_experiment=day")
    station.wait_for_images(*names)


def extra(station: Station, **variables: object) -> None:
    """Set variables of all cameras, as a user does in the inventory."""
    station.orchestrator.write_inventory({"wildberryeye_ready_timeout": 20, **variables})


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


def test_a_camera_that_is_dead_at_stop_is_carried_home_when_it_is_back(station: Station) -> None:
    recorded(station)
    station.cameras["motion"].stop()
    run = station.play("stop", status=2)
    assert "home" in run.row("object") and "not home" in run.row("motion")
    station.assert_all_home("object")
    assert station.record("day")["state"] == "closing"
    station.cameras["motion"].start()
    station.play("collect")
    station.assert_all_home()
    assert station.record("day")["state"] == "closed"


def test_all_cameras_dead_at_start_and_at_stop_are_all_named_and_nothing_is_lost(station: Station) -> None:
    for camera in station.cameras.values():
        camera.pause()
    run = station.play("start", "-e", "wildberryeye_experiment=day", status=2)
    assert all("not recording" in run.row(name) for name in station.cameras)
    for camera in station.cameras.values():
        camera.unpause()
    recorded(station)
    for camera in station.cameras.values():
        camera.pause()
    run = station.play("stop", status=2)
    assert all("not home" in run.row(name) for name in station.cameras)
    for camera in station.cameras.values():
        camera.unpause()
    station.play("stop")
    station.assert_all_home()


def test_a_camera_that_is_gone_for_good_can_be_given_up_and_is_welcome_if_it_turns_up(station: Station) -> None:
    recorded(station)
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


def test_limit_stops_one_camera_and_lets_the_other_record(station: Station) -> None:
    recorded(station)
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


def test_a_changed_host_key_is_refused(station: Station) -> None:
    recorded(station)
    camera = station.cameras["motion"]
    known = "/home/decim/station/known_hosts"
    station.orchestrator.exec("sh", "-c", "rm -rf /home/decim/.ansible/cp; pkill -u decim ssh || true")
    before = station.orchestrator.exec("cat", known).stdout
    foreign = re.sub(rf"^({re.escape(camera.address)}\S* \S+ )\S+", lambda line: line[1] + "A" * 68, before, flags=re.M)
    station.orchestrator.exec("sh", "-c", f"cat >{known}", input=foreign)
    try:
        run = station.play("stop", status=2)
        assert "host key" in run.row("motion") and "ssh-keygen -R" in run.row("motion")
        station.assert_all_home("object")
    finally:
        station.orchestrator.exec("sh", "-c", f"cat >{known}", input=before)
    station.play("stop")
    station.assert_all_home()


ODD = {
    "a name with a space": ("my camera: {ansible_host: 10.213.0.9}", "'my camera' as a camera's name"),
    "a name that leads elsewhere": ("..%2f..: {}\n        a..b: {}", "'a..b' as a camera's name"),
    "two names for one machine": (
        "one: {ansible_host: 10.213.0.9}\n        two: {ansible_host: 10.213.0.9}",
        "same machine",
    ),
}


@pytest.mark.parametrize("oddity", ODD)
def test_an_odd_inventory_is_refused_before_anything_is_touched(station: Station, oddity: str) -> None:
    hosts, expected = ODD[oddity]
    text = f"---\ncameras:\n  children:\n    object_cameras:\n      hosts:\n        {hosts}\n"
    station.orchestrator.exec("sh", "-c", "cat >/home/decim/odd.yml", input=text)
    command = station.command("start")
    command[command.index(INVENTORY)] = "/home/decim/odd.yml"
    run = station.judge(station.orchestrator.ansible(*command), 2)
    assert expected in run.text
    assert not station.data.exists()


def test_a_camera_in_neither_group_is_named(station: Station) -> None:
    text = "---\ncameras:\n  hosts:\n    lonely: {ansible_host: 10.213.0.9}\n"
    station.orchestrator.exec("sh", "-c", "cat >/home/decim/odd.yml", input=text)
    command = station.command("start")
    command[command.index(INVENTORY)] = "/home/decim/odd.yml"
    run = station.judge(station.orchestrator.ansible(*command), 2)
    assert "look up lonely in the inventory: it is in neither group" in run.text


@pytest.mark.parametrize("wrong", ["../x", "a b", "-x", "unclaimed"])
def test_an_id_that_is_no_directorys_name_is_refused(station: Station, wrong: str) -> None:
    run = station.play("start", "-e", f'{{"wildberryeye_experiment": "{wrong}"}}', status=2)
    assert "as an experiment's id" in run.text
    assert not station.experiments()


# -- on the way home -------------------------------------------------------------------------------------


def test_a_card_too_full_for_its_zip_sends_the_images_one_by_one(station: Station) -> None:
    camera = station.cameras["object"]
    camera.stop_service()
    camera.mount_small_disk(camera.image_dir, size="24m")
    recorded(station)
    run = station.play("stop")
    assert "no room on its card for a zip, fetched as files" in run.row("object")
    assert "fetched as files" not in run.row("motion")
    station.assert_all_home()


@pytest.mark.parametrize("damage", ["a byte flipped", "cut short", "a member missing"])
def test_a_damaged_archive_licenses_only_what_is_intact_and_the_next_run_mends_it(
    station: Station, damage: str
) -> None:
    recorded(station)
    camera = station.cameras["object"]
    script = {
        "a byte flipped": (
            "import sys; f=open(sys.argv[1],'r+b'); f.seek(5000); b=f.read(1); f.seek(5000); f.write(bytes([b[0]^1]))"
        ),
        "cut short": "import sys, os; os.truncate(sys.argv[1], os.path.getsize(sys.argv[1]) * 2 // 3)",
        "a member missing": (
            "import sys, zipfile, os; old=zipfile.ZipFile(sys.argv[1]); new=zipfile.ZipFile(sys.argv[1]+'x','w');"
            "[new.writestr(i, old.read(i)) for i in old.infolist()[1:]]; new.close();"
            "os.replace(sys.argv[1]+'x', sys.argv[1])"
        ),
    }[damage]
    # The zip is made on the card, and damaged there before it is fetched.
    arguments = f"image_dir={camera.image_dir} set_aside=stable data_dir=~/wildberryeye/analysis/data purpose=collect"
    module = "wildberryeye.orchestrator.image_batch"
    station.orchestrator.ansible("ansible", "object", "-i", INVENTORY, "-b", "-m", module, "-a", arguments, check=True)
    found = camera.exec("sh", "-c", 'ls "$1"/.wildberryeye/*/*.zip', "sh", camera.image_dir).stdout.split()
    assert len(found) == 1
    camera.exec("python3", "-c", script, found[0])
    run = station.play("stop", status=2)
    station.assert_nothing_lost()
    assert "not home" in run.row("object") and "home" in run.row("motion")
    if damage != "cut short":
        assert "1 image of batch" in run.row("object")
        assert len(station.on_card("object")) == 1
    assert not station.archives("object")
    station.play("stop")
    station.assert_all_home()


def test_killed_between_receipt_and_cleanup_nothing_is_archived_twice(station: Station) -> None:
    camera = station.cameras["object"]
    camera.exec("sh", "-c", "cat >/usr/local/bin/python-that-waits", input=PYTHON_THAT_WAITS)
    # The third module that a stop runs on a camera is the cleanup.
    camera.exec("sh", "-c", "chmod +x /usr/local/bin/python-that-waits; echo 3 >/run/wait-at; rm -f /run/modules")
    recorded(station)
    command = ["stop", "--limit", "object"]
    extra(station, ansible_python_interpreter="/usr/local/bin/python-that-waits")
    running = station.begin(*command)
    wait_until(
        lambda: len(camera.exec("sh", "-c", "cat /run/modules 2>/dev/null || true").stdout.split()) == 3,
        "the stop comes to its cleanup",
        60,
    )
    assert len(list(station.data.glob("day/object/receipts/*.json"))) == 1
    station.kill_playbooks()
    station.end(running, status=None)
    camera.exec("pkill", "-f", "sleep 600", check=False)
    assert len(station.on_card("object")) == len(station.truth(camera))
    station.assert_nothing_lost()
    extra(station)
    station.play("stop")
    station.assert_all_home()
    assert len(list(station.data.glob("day/object/receipts/*.json"))) == 1


def test_a_half_written_image_comes_home_and_is_named(station: Station) -> None:
    recorded(station)
    station.cameras["object"].faults(half_write=True)
    station.wait_for_images("object")
    run = station.play("stop")
    assert re.search(r"of the images half-written, such as object_", run.row("object"))
    station.assert_all_home()


def test_what_is_no_image_is_left_alone_and_reported(station: Station) -> None:
    camera = station.cameras["object"]
    recorded(station)
    script = r"""
        cd "$1"; touch .DONE notes.txt "$(printf 'object_20260522-093015-123456_x\n_root.jpg')" -- '-rf' '$(reboot).jpg'
        mkdir object_20260522-093015-123456_dir_root.jpg; mkfifo motion_20260522-093015-123456_fifo_root.jpg
        ln -s /etc/passwd object_20260522-093015-123456_link_root.jpg; touch "$(printf 'object_\377.jpg')"
    """
    camera.exec("sh", "-c", script, "sh", camera.image_dir)
    before = [path for path in camera.listing() if not path.startswith((".wildberryeye", "object_202611", "manual"))]
    run = station.play("stop")
    assert "9 things that are no images left on its card" in run.row("object")
    assert camera.listing() == [path for path in before if re.search(r"20260522|DONE|notes|rf|reboot|\udcff", path)]
    assert station.home("object") == station.truth(camera)


def test_a_camera_whose_api_refuses_to_stop_is_stopped_all_the_same(station: Station) -> None:
    recorded(station)
    station.cameras["object"].faults(stop="error500")
    station.cameras["motion"].faults(wedged=True)
    station.play("stop")
    for camera in station.cameras.values():
        camera.faults()
    assert not any(camera.detecting_now() for camera in station.cameras.values())
    station.assert_all_home()


# -- two runs at once ------------------------------------------------------------------------------------


def test_a_second_collection_ends_at_once_and_a_start_takes_over(station: Station) -> None:
    camera = station.cameras["object"]
    recorded(station)
    station.wait_for_images("object", more=60)
    camera.shape("2mbit")
    stopping = station.begin("stop", "--limit", "object")
    wait_until(lambda: bool(list(station.data.glob(".incoming/object/day/*.zip"))), "the transfer has begun", 60)
    second = station.play("collect", "--limit", "object", status=2)
    assert re.search(r"held by a stop that is running \(process \d+\)", second.row("object"))
    starting = station.begin("start", "--limit", "object", "-e", "wildberryeye_experiment=dawn")
    wait_until(lambda: stopping.poll() is not None, "the start has ended the stop's transfer", 60)
    assert camera.detecting_now(), "recording must not wait for a transfer"
    station.end(stopping, status=None)
    camera.shape(None)
    station.end(starting)
    station.play("stop")
    station.assert_all_home()
    assert list(station.archives("object")) == ["object_dawn.zip", "object_day.zip"]


# -- promises about any run ------------------------------------------------------------------------------


@pytest.mark.parametrize("playbook", ["start", "stop", "restart", "collect"])
def test_check_touches_nothing_on_either_side(station: Station, playbook: str) -> None:
    recorded(station)
    for camera in station.cameras.values():
        camera.settings(detect_limit=0)
        camera.restart_service()
        camera.wait_port()
    before = station.footprint()
    processes = [len(camera.detecting()) for camera in station.cameras.values()]
    run = station.play(playbook, "--check")
    assert "would be" in run.row("object")
    assert station.footprint() == before
    assert [len(camera.detecting()) for camera in station.cameras.values()] == processes
    assert station.record("day")["state"] == "recording"


def test_the_data_directory_may_contain_spaces(station: Station) -> None:
    extra(station, wildberryeye_data_dir="~/wildberryeye/analysis/data/our field data (2026)")
    station.play("start")
    station.wait_for_images()
    station.play("stop", "--limit", "object")
    station.play("stop", "-e", "wildberryeye_collection_method=files")
    station.data = station.data / "our field data (2026)"
    station.assert_all_home()


def test_a_lost_or_torn_record_loses_no_image(station: Station) -> None:
    recorded(station)
    path = station.data / "day" / "experiment.json"
    path.write_bytes(path.read_bytes()[:100])
    run = station.play("stop")
    assert "experiment.json: it is torn or of another version. Move it away" in run.text
    station.assert_all_home()
    assert list(station.archives("object")) == ["object_day.zip"]


def test_a_link_that_is_cut_in_mid_transfer_resumes_and_costs_the_other_camera_nothing(station: Station) -> None:
    camera = station.cameras["object"]
    recorded(station)
    station.wait_for_images("object", more=60)
    camera.shape("4mbit")
    stopping = station.begin("stop", "-e", "wildberryeye_collection_method=files")
    wait_until(lambda: len(list(station.data.glob(".incoming/object/day/*/*.jpg"))) > 3, "images arrive", 60)
    camera.link_down()
    run = station.end(stopping, status=2, timeout=180)
    assert "not home" in run.row("object") and re.search(r"Run it again|run it again", run.row("object"))
    station.assert_all_home("motion")
    assert not station.archives("object")
    camera.link_up()
    camera.shape(None)
    arrived = list(station.data.glob(".incoming/object/day/*/*.jpg"))
    assert len(arrived) > 3, "what had arrived is not fetched again"
    station.play("stop")
    station.assert_all_home()


def test_a_transfer_that_takes_too_long_ends_by_itself_and_goes_on_next_time(station: Station) -> None:
    recorded(station, "object")
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
