# SPDX-License-Identifier: GPL-3.0-or-later
"""A day by a user who has installed the collection like any other: nothing of it may need the checkout."""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from e2e.station import Run, Station
from e2e.timers import INSTALLED, REMOVE, START, STOP, Timers
from ecosystem import artefact
from lab import wait_until
from unit.support import ROOT

pytestmark = pytest.mark.ci

HOME = "/home/decim"
CHECKOUT = f"{HOME}/wildberryeye-orchestrator"
COLLECTION = f"{HOME}/.ansible/collections/{artefact.PLACE}"
MEADOW = f"{HOME}/meadow"
# Galaxy is not within reach: what the collection depends on is there already, as `--offline` wants it.
INSTALL = f"""
mkdir -p ~/.ansible/collections/ansible_collections
cp -r '{CHECKOUT}/collections/ansible_collections/ansible' ~/.ansible/collections/ansible_collections/
cd && ansible-galaxy collection install --offline ~/wildberryeye/*.tar.gz
"""


class Garden:
    """What the user has: a directory with an inventory, and the collection; the checkout is nowhere to be seen."""

    def __init__(self, station: Station, inventory: str) -> None:
        self.station = station
        self.host = station.orchestrator
        self.inventory = inventory
        """What is named to Ansible; empty where its configuration names it."""

    def play(self, name: str, *arguments: str, status: int = 0) -> Run:
        """Run a playbook by its name, in the user's directory."""
        named = ["-i", self.inventory] if self.inventory else []
        command = ["ansible-playbook", *named, f"{artefact.NAME}.{name}", *arguments]
        done = self.host.exec(*command, user="decim", cwd=MEADOW, check=False, timeout=300)
        text = done.stdout + done.stderr
        print(text)
        assert done.returncode == status, text
        # Without settings of ours Ansible prints results, braces and all.
        assert not [alarm for alarm in ("WARNING", "DEPRECATION", "Traceback", "MODULE FAILURE") if alarm in text], text
        return Run(done.returncode, text)

    def systemctl(self, *words: str) -> str:
        return self.host.exec("systemctl", "--user", *words, user="decim").stdout


@pytest.fixture(scope="module")
def tarball(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return artefact.build(tmp_path_factory.mktemp("artefact") / "built")


@pytest.fixture
def installed(station: Station, tarball: Path) -> Iterator[Station]:
    """A station whose user has installed the tarball; the checkout is hidden from him."""
    host = station.orchestrator
    shutil.copy(tarball, station.lab.home_data)
    host.exec("sh", "-c", INSTALL, user="decim")
    (station.lab.home_data / tarball.name).unlink()
    host.mount_small_disk(CHECKOUT)
    try:
        yield station
    finally:
        host.exec("sh", "-c", REMOVE, user="decim", check=False)
        host.unmount(CHECKOUT)
        host.exec("rm", "-rf", f"{HOME}/.ansible/collections", MEADOW)


def documented() -> str:
    """Return the commands by which the manual makes a directory of one's own; another one is called station here."""
    (found,) = re.findall(r"```console\n(mkdir ~/station .*?)```", (ROOT / "docs" / "station.md").read_text(), re.S)
    return str(found).replace("~/station", MEADOW)


@pytest.mark.parametrize("settings", ["none", "ours"])
def test_a_day_from_the_installed_collection_with_an_inventory_that_lies_elsewhere(
    installed: Station, settings: str
) -> None:
    station, host = installed, installed.orchestrator
    host.exec("bash", "-ec", documented(), user="decim")
    if settings == "none":
        host.exec("rm", f"{MEADOW}/ansible.cfg")
    hours = Timers(station)
    hours.hours(-60, 60, wildberryeye_heartbeat_interval=2)
    host.exec("sh", "-c", f"cd {MEADOW}/inventory && rm -r * && cp ~/station/inventory/hosts.yml .", user="decim")
    garden = Garden(station, "" if settings == "ours" else "inventory/hosts.yml")

    ready = garden.play("setup")
    lacking = "for runs by hand, take stdout_callback, forks, timeout, unparsed_is_failed, pipelining, ssh_args from "
    assert (f"{lacking}{COLLECTION}/ansible.cfg" in ready.text) == (settings == "none")
    units = host.exec("sh", "-c", f"cat {INSTALLED}/wildberryeye_*.service").stdout
    assert CHECKOUT not in units and f"{MEADOW}/inventory/hosts.yml" in units and COLLECTION in units

    # As at seven in the morning: nobody is there.
    garden.systemctl("start", f"{START}.service")
    assert all(camera.detecting_now() for camera in station.cameras.values())
    journal = host.exec("journalctl", f"_SYSTEMD_USER_UNIT={START}.service", "-o", "cat", "--no-pager").stdout
    assert re.search(r"^motion  recording", journal, re.M), journal
    station.wait_for_images()
    status = garden.play("status")
    assert "heartbeat: running" in status.text

    # The heartbeat has a playbook of the installed collection bring a camera back.
    motion, killed = station.cameras["motion"], time.time()
    motion.exec("systemctl", "stop", "wildberryeye.service")

    def again() -> bool:
        last = motion.detecting()[-1]
        return bool(last["detecting"]) and float(str(last["at"])) > killed

    wait_until(again, "motion detects again", 90)
    garden.play("start")
    station.wait_for_images()
    garden.play("collect")

    garden.play("stop")
    station.assert_all_home()
    assert list(station.data.glob("*/report.html"))
    garden.play("remove")
    assert host.exec("sh", "-c", f"ls {INSTALLED}", check=False).stdout == ""


def test_a_timer_fails_where_the_inventory_can_not_be_read_whatever_the_user_has_set(installed: Station) -> None:
    """A night in which nothing was carried home and nobody was told."""
    host = installed.orchestrator
    host.exec("sh", "-c", f"mkdir -p {MEADOW} && cp ~/station/inventory/hosts.yml {MEADOW}/", user="decim")
    garden = Garden(installed, "hosts.yml")
    garden.play("setup")
    host.exec("sh", "-c", f"echo '  - torn' >>{MEADOW}/hosts.yml", user="decim")
    done = host.exec("systemctl", "--user", "start", f"{STOP}.service", user="decim", check=False)
    assert done.returncode != 0
