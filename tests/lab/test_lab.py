# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab itself: what other tests take for granted about its hosts."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab import Camera, CameraSpec, Lab, LabError, Orchestrator, sweep, wait_until
from lab.lab import labs
from lab.podman import podman

TESTS = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """Both modes, both releases, and an orchestrator."""
    cameras = [CameraSpec("wildberry01", "object"), CameraSpec("wildberry02", "motion", release="trixie")]
    with Lab(cameras, orchestrator="bookworm", directory=tmp_path_factory.mktemp("lab")) as up:
        yield up


@pytest.fixture
def camera(lab: Lab) -> Iterator[Camera]:
    """One camera, fresh again afterwards."""
    yield lab.cameras["wildberry01"]
    lab.cameras["wildberry01"].reset()


@pytest.fixture
def orchestrator(lab: Lab) -> Orchestrator:
    """The orchestrator."""
    assert lab.orchestrator is not None
    return lab.orchestrator


def reaches(orchestrator: Orchestrator, camera: Camera, command: str = "true") -> tuple[int, str]:
    """Run a command on a camera over ssh as decim would; return status and output."""
    options = ["-n", "-i", "station/key", "-o", "UserKnownHostsFile=station/known_hosts"]
    options += ["-o", "StrictHostKeyChecking=yes", "-o", "BatchMode=yes", "-o", "ConnectTimeout=2"]
    target = f"{camera.spec.user}@{camera.address}"
    done = orchestrator.exec("ssh", *options, target, command, user="decim", cwd="/home/decim", check=False, timeout=30)
    return done.returncode, done.stdout


def traces(name: str) -> str:
    """Return what podman knows of a lab."""
    containers = podman("ps", "--all", "--format", "{{.Names}}").stdout
    networks = podman("network", "ls", "--format", "{{.Name}}").stdout
    return "\n".join(line for line in (containers + networks).split() if f"-{name}-" in line)


def test_nothing_is_left_after_a_lab_or_after_one_that_failed_to_start(tmp_path: Path) -> None:
    with Lab([CameraSpec("one", "object")], directory=tmp_path / "a") as up:
        assert f"wildberryeye-lab-{up.name}-one" in traces(up.name)
    assert traces(up.name) == ""
    up.down()  # twice is once

    broken = Lab([CameraSpec("one", "object", memory="nonsense")], directory=tmp_path / "b")
    with pytest.raises(LabError, match=r"nonsense|memory"):
        broken.up()
    assert traces(broken.name) == ""


def test_names_and_modes_that_cannot_be_are_refused_before_anything_starts(tmp_path: Path) -> None:
    for cameras, message in (
        ([CameraSpec("one", "video")], "no mode 'video'"),
        ([CameraSpec("one", "object"), CameraSpec("one", "motion")], "different names"),
        ([CameraSpec("a/b", "object")], "cannot be a host's name"),
    ):
        with pytest.raises(LabError, match=message):
            Lab(cameras, directory=tmp_path)
    with pytest.raises(LabError, match="no Debian release 'potato'"):
        Lab([CameraSpec("one", "object", release="potato")], directory=tmp_path).up()


def test_a_command_s_output_status_and_time_limit_are_told(camera: Camera) -> None:
    assert camera.exec("hostname").stdout == "wildberry01\n"
    assert camera.exec("cat", input="né\udcff").stdout == "né\udcff"
    assert camera.exec("sh", "-c", "echo $X; id -un; pwd", user="eye", env={"X": "1"}, cwd="/tmp").stdout == (
        "1\neye\n/tmp\n"
    )
    assert camera.exec("false", check=False).returncode == 1
    with pytest.raises(LabError, match=r"wildberry01: ls /nowhere: .*No such file"):
        camera.exec("ls", "/nowhere")
    with pytest.raises(LabError, match="no end after 1 s"):
        camera.exec("sleep", "77", timeout=1)
    assert camera.exec("pgrep", "-f", "^sleep 77", check=False).stdout == ""


def test_a_camera_is_what_a_camera_is(lab: Lab, orchestrator: Orchestrator) -> None:
    for camera in lab.cameras.values():
        facts = (
            f"sudo -n id -un; cd {camera.image_dir}; stat -c %U .. .; systemctl is-enabled wildberryeye; "
            "which rsync; systemctl show -P User -P Restart wildberryeye; pgrep -af emulator"
        )
        status, said = reaches(orchestrator, camera, facts)
        assert status == 0
        root, parent, images, enabled, rsync, *rest = said.splitlines()
        assert (root, parent, images, enabled) == ("root", "eye", "root", "enabled")
        assert rsync == "/usr/bin/rsync"
        assert "always" in rest
        assert f"-m emulator {camera.spec.mode} " in rest[-1]


def test_a_rebooted_camera_keeps_its_address_and_its_images(camera: Camera, orchestrator: Orchestrator) -> None:
    camera.exec("touch", f"{camera.image_dir}/kept")
    boot = camera.exec("cat", "/proc/1/stat").stdout.split()[21]
    camera.reboot()
    assert camera.exec("cat", "/proc/1/stat").stdout.split()[21] != boot
    assert reaches(orchestrator, camera, "hostname -I") == (0, f"{camera.address} \n")
    assert camera.listing() == ["kept"]
    camera.wait_port()  # enabled at boot

    camera.kill()
    assert reaches(orchestrator, camera)[0] == 255
    camera.start()
    assert reaches(orchestrator, camera)[0] == 0


def test_every_way_to_lose_a_camera_is_undone(camera: Camera, orchestrator: Orchestrator) -> None:
    route = camera.exec("ip", "route", "show", "default").stdout
    for lose, find in (
        (camera.link_down, camera.link_up),
        (camera.disconnect, camera.connect),
        (camera.pause, camera.unpause),
        (
            lambda: camera.blackhole(orchestrator.address),
            lambda: camera.unblackhole(orchestrator.address),
        ),
    ):
        lose()
        assert reaches(orchestrator, camera)[0] != 0
        find()
        assert reaches(orchestrator, camera)[0] == 0
        assert camera.exec("ip", "route", "show", "default").stdout.split()[:3] == route.split()[:3]


def test_a_small_disk_is_full_at_once_and_gone_afterwards(camera: Camera) -> None:
    camera.exec("touch", f"{camera.image_dir}/below")
    camera.mount_small_disk(camera.image_dir, "1m")
    assert camera.listing() == []
    with pytest.raises(LabError, match="No space left"):
        camera.exec("dd", "if=/dev/zero", f"of={camera.image_dir}/big", "bs=1M", "count=2", "status=none")
    camera.unmount(camera.image_dir)
    camera.mount_small_disk(camera.image_dir, inodes=2)
    with pytest.raises(LabError, match="No space left"):
        camera.exec("touch", *(f"{camera.image_dir}/{name}" for name in "abc"))
    camera.unmount(camera.image_dir)
    assert camera.listing() == ["below"]


def test_a_slow_link_is_slow_also_after_a_reboot(camera: Camera, orchestrator: Orchestrator) -> None:
    def seconds() -> float:
        begin = time.monotonic()
        assert len(reaches(orchestrator, camera, "head -c 1000000 /dev/zero | tr '\\0' x")[1]) == 1_000_000
        return time.monotonic() - begin

    assert seconds() < 1
    camera.shape("4mbit")
    camera.reboot()
    assert 1.5 < seconds() < 6
    camera.shape(None)
    assert seconds() < 1
    orchestrator.share("4mbit")
    assert 1.5 < seconds() < 6
    orchestrator.share(None)


def test_listings_show_what_is_hidden_nested_or_oddly_named(camera: Camera) -> None:
    script = 'cd "$1" && mkdir -p .set/aside && touch .hidden "two\nlines" "$(printf "\\377")"'
    camera.exec("sh", "-c", script, "sh", camera.image_dir)
    assert camera.listing() == [".hidden", ".set/", ".set/aside/", "two\nlines", "\udcff"]


def test_reset_undoes_whatever_a_test_did_to_a_camera(camera: Camera, orchestrator: Orchestrator) -> None:
    camera.mount_small_disk(camera.image_dir)
    camera.exec("sh", "-c", 'mkdir "$1/.x"; touch "$1/y"', "sh", camera.image_dir)
    dropin = "/etc/systemd/system/wildberryeye.service.d"
    camera.exec("sh", "-c", f"mkdir {dropin}; printf '[Service]\\nRestartSec=99\\n' > {dropin}/x.conf")
    camera.exec("systemctl", "daemon-reload")
    camera.exec("systemctl", "disable", "--quiet", camera.spec.unit)
    camera.exec("systemctl", "kill", "--signal=STOP", camera.spec.unit)
    camera.settings(port_delay=30)
    camera.faults(nothing=True)
    camera.shape("1mbit")
    camera.blackhole(orchestrator.address)
    camera.link_down()
    camera.pause()

    camera.reset()

    assert camera.listing() == []
    assert json.loads((camera.state_dir / "settings.json").read_text())["port_delay"] == 0.5
    assert not (camera.state_dir / "faults.json").exists()
    assert camera.written() == [] and not camera.detecting_now()
    assert camera.exec("systemctl", "is-enabled", camera.spec.unit).stdout == "enabled\n"
    assert "RestartUSec=1s" in camera.exec("systemctl", "show", camera.spec.unit).stdout
    assert reaches(orchestrator, camera) == (0, "")


def test_the_inventory_works_with_strict_host_keys_on_this_machine(lab: Lab, tmp_path: Path) -> None:
    path = lab.write_inventory(tmp_path / "with space", extra={"wildberryeye_api_port": 5000})
    text = path.read_text()
    assert "wildberryeye_api_port: 5000" in text
    for camera in lab.cameras.values():
        assert f'ansible_host: "{camera.address}"' in text
        ssh = ["ssh", "-n", "-i", str(path.parent / "key"), "-o", "BatchMode=yes"]
        ssh += ["-o", f'UserKnownHostsFile="{path.parent}/known_hosts"', "-o", "StrictHostKeyChecking=yes"]
        done = subprocess.run([*ssh, f"eye@{camera.address}", "hostname"], capture_output=True, text=True)
        assert (done.returncode, done.stdout) == (0, f"{camera.name}\n"), done.stderr


def test_decim_reaches_cameras_and_has_a_systemd_of_his_own(lab: Lab, orchestrator: Orchestrator) -> None:
    assert orchestrator.exec("systemctl", "--user", "is-system-running", user="decim").stdout == "running\n"
    pinged = orchestrator.ansible("ansible", "-i", orchestrator.write_inventory(), "cameras", "-m", "ping")
    assert pinged.returncode == 0 and pinged.stdout.count("pong") == len(lab.cameras), pinged.stdout
    mark = f"/home/decim/wildberryeye/{time.time()}"
    orchestrator.exec("touch", mark, user="decim")
    assert (lab.home_data / Path(mark).name).exists()
    assert orchestrator.exec("touch", "/home/decim/wildberryeye-orchestrator/x", check=False).returncode != 0


def test_a_lab_whose_owner_was_killed_is_swept(tmp_path: Path) -> None:
    script = (
        "import sys, time; from pathlib import Path; from lab import *; "
        "lab = Lab([CameraSpec('one', 'object')], directory=Path(sys.argv[1])); lab.up(); "
        "print(lab.name, flush=True); time.sleep(600)"
    )
    environment = {**os.environ, "PYTHONPATH": str(TESTS)}
    with subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path)], env=environment, stdout=subprocess.PIPE, text=True
    ) as owner:
        assert owner.stdout is not None
        name = owner.stdout.readline().strip()
        assert sweep() == [] and name in labs(), "a lab in use must stay"
        owner.kill()
    assert name in labs()
    assert name in sweep()
    assert traces(name) == ""


@pytest.mark.ci
def test_a_lab_on_the_command_line_stays_until_down_but_not_when_terminated(tmp_path: Path) -> None:
    name = f"test-{os.getpid()}"
    environment = {**os.environ, "PYTHONPATH": str(TESTS)}

    def command(*arguments: str) -> list[str]:
        return [sys.executable, "-m", "lab", *arguments]

    up = command("up", "--name", name, "--camera", "one:motion", "--directory", str(tmp_path))
    try:
        done = subprocess.run(up, env=environment, capture_output=True, text=True)
        assert done.returncode == 0 and f"inventory: {tmp_path}/hosts.yml" in done.stdout, done.stderr
        assert sweep() == [] and name in labs()
        again = subprocess.run(up, env=environment, capture_output=True, text=True)
        assert again.returncode == 1 and "already up" in again.stderr
        shown = subprocess.run(command("status"), env=environment, capture_output=True, text=True)
        assert f"{name}  one" in shown.stdout
    finally:
        subprocess.run(command("down", "--name", name), env=environment, check=True)
    assert traces(name) == ""

    for number in (signal.SIGTERM, signal.SIGINT):
        # Who runs the tests in the background has SIGINT ignored, and so have the tests' children.
        listening = ["env", "--default-signal=INT", *up]
        with subprocess.Popen(listening, env=environment, stderr=subprocess.DEVNULL) as process:
            wait_until(lambda: name in labs(), "the lab to begin", 30)
            process.send_signal(number)
            assert process.wait(60) == 128 + number
        assert traces(name) == ""
