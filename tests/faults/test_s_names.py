# SPDX-License-Identifier: GPL-3.0-or-later
"""Who is not let in by keys, names and inventories (rows S)."""

from __future__ import annotations

import re

import pytest

from e2e.station import INVENTORY, Station

ODD = {
    "a name with a space": ("my camera: {ansible_host: 10.213.0.9}", "'my camera' as a camera's name"),
    "a name that leads elsewhere": ("..%2f..: {}\n        a..b: {}", "'a..b' as a camera's name"),
    "two names for one machine": (
        "one: {ansible_host: 10.213.0.9}\n        two: {ansible_host: 10.213.0.9}",
        "same machine",
    ),
}


@pytest.mark.ci
def test_s1_a_changed_host_key_is_refused(station: Station) -> None:
    """Another key than the pinned one -> refused, with the line that pins anew; the other camera is home."""
    station.begin_day()
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


@pytest.mark.parametrize("oddity", ODD)
def test_s7_an_odd_inventory_is_refused_before_anything_is_touched(station: Station, oddity: str) -> None:
    """Names with spaces or .., one machine twice -> refused before anything is touched."""
    hosts, expected = ODD[oddity]
    text = f"---\ncameras:\n  children:\n    object_cameras:\n      hosts:\n        {hosts}\n"
    station.orchestrator.exec("sh", "-c", "cat >/home/decim/odd.yml", input=text)
    command = station.command("start")
    command[command.index(INVENTORY)] = "/home/decim/odd.yml"
    run = station.judge(station.orchestrator.ansible(*command), 2)
    assert expected in run.text
    assert not station.data.exists()


def test_s7_a_camera_in_neither_group_is_named(station: Station) -> None:
    """A camera in neither group -> named."""
    text = "---\ncameras:\n  hosts:\n    lonely: {ansible_host: 10.213.0.9}\n"
    station.orchestrator.exec("sh", "-c", "cat >/home/decim/odd.yml", input=text)
    command = station.command("start")
    command[command.index(INVENTORY)] = "/home/decim/odd.yml"
    run = station.judge(station.orchestrator.ansible(*command), 2)
    assert "look up lonely in the inventory: it is in neither group" in run.text


@pytest.mark.parametrize("wrong", ["../x", "a b", "-x", "unclaimed"])
def test_s7_an_id_that_is_no_directorys_name_is_refused(station: Station, wrong: str) -> None:
    """../x, a space, a dash as experiment -> refused, no experiment begun."""
    run = station.play("start", "-e", f'{{"wildberryeye_experiment": "{wrong}"}}', status=2)
    assert "as an experiment's id" in run.text
    assert not station.experiments()
