# SPDX-License-Identifier: GPL-3.0-or-later
"""What the heartbeat is told of each camera: one that it is not told of is not watched, whatever happens to it."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]
from ansible.errors import AnsibleFilterError

from ansible_collections.wildberryeye.orchestrator.plugins.filter import heartbeat
from ansible_collections.wildberryeye.orchestrator.plugins.filter.heartbeat import heartbeat_cameras, ssh_command
from unit.support import ROOT

DEFAULTS: dict[str, Any] = yaml.safe_load((ROOT / "roles" / "common" / "defaults" / "main.yml").read_text())
GROUPS = {"cameras": ["object", "motion"], "object_cameras": ["object"], "motion_cameras": ["motion"]}


def cameras(**hostvars: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return heartbeat_cameras(GROUPS, {"object": {}, "motion": {}, **hostvars}, DEFAULTS)


def options(words: list[str]) -> list[str]:
    return [after for word, after in zip(words, words[1:], strict=False) if word == "-o"]  # noqa: RUF007


def test_the_filter_has_the_name_that_the_role_uses() -> None:
    assert heartbeat.FilterModule().filters() == {"heartbeat_cameras": heartbeat_cameras}


def test_all_cameras_of_the_inventory_are_told_with_the_defaults_that_hold() -> None:
    found = cameras()
    assert {name: each["mode"] for name, each in found.items()} == {"object": "object", "motion": "motion"}
    assert {key: value for key, value in found["object"].items() if key != "ssh"} == {
        "mode": "object",
        "host": "object",
        "port": 5000,
        "service": "wildberryeye.service",
        "ready_timeout": 300,
        "collection_timeout": 10800,
    }


def test_whatever_a_run_was_limited_to_no_camera_is_left_out() -> None:
    # A limit takes hosts out of the play; groups and hostvars are those of the inventory.
    hostvars: dict[str, Any] = {"object": {"ansible_limit": "motion"}, "motion": {"ansible_play_hosts": ["motion"]}}
    assert cameras(**hostvars).keys() == {"object", "motion"}


def test_what_the_inventory_says_of_one_camera_holds_for_that_one() -> None:
    found = cameras(
        motion={
            "ansible_host": "192.168.4.12",
            "wildberryeye_api_port": "5001",
            "wildberryeye_service": "other.service",
            "wildberryeye_ready_timeout": "60",
            "wildberryeye_image_dir": "/mnt/stick",
        }
    )
    # As it comes it is on the same card as the home directory, whose name is not known here.
    assert found["motion"]["image_dir"] == "/mnt/stick" and "image_dir" not in found["object"]
    told = {key: found["motion"][key] for key in ("host", "port", "service", "ready_timeout")}
    assert told == {"host": "192.168.4.12", "port": 5001, "service": "other.service", "ready_timeout": 60}
    assert found["motion"]["ssh"][-1] == "192.168.4.12" and found["object"]["port"] == 5000


def test_an_inventory_without_cameras_is_no_error() -> None:
    assert heartbeat_cameras({}, {}, DEFAULTS) == {}


@pytest.mark.parametrize("groups", [{}, {"object_cameras": ["object"], "motion_cameras": ["object"]}])
def test_a_camera_without_a_mode_is_an_error_of_one_line(groups: dict[str, list[str]]) -> None:
    with pytest.raises(AnsibleFilterError, match="group"):
        heartbeat_cameras({"cameras": ["object"], **groups}, {"object": {}}, DEFAULTS)


FULL = {
    "ansible_host": "fe80::1",
    "ansible_port": 2222,
    "ansible_user": "eye",
    "ansible_ssh_private_key_file": "~/my keys/id",
    "ansible_ssh_executable": "/opt/my tools/ssh",
    "ansible_ssh_args": "-o ServerAliveInterval=15 -C",
    "ansible_ssh_common_args": "-o 'ProxyJump=me@gate way'",
    "ansible_ssh_extra_args": "-4",
}


def test_a_login_is_that_of_ansible_with_all_that_the_inventory_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/de cim")
    words = ssh_command("object", FULL)
    assert words[0] == "/opt/my tools/ssh" and words[-2:] == ["--", "fe80::1"]
    for option, value in (("-i", "/home/de cim/my keys/id"), ("-p", "2222"), ("-l", "eye")):
        assert words[words.index(option) + 1] == value
    assert "ProxyJump=me@gate way" in options(words) and {"-C", "-4"} <= set(words)


@pytest.mark.parametrize(
    "known",
    [
        {},
        FULL,
        {"ansible_ssh_common_args": "-o StrictHostKeyChecking=no -o BatchMode=no -o ControlMaster=auto"},
        {"ansible_ssh_args": "", "ansible_user": None, "ansible_port": None, "ansible_host": None},
    ],
    ids=lambda known: str(len(known)),
)
def test_a_login_never_asks_and_never_takes_another_machine_for_the_camera(known: dict[str, Any]) -> None:
    words = ssh_command("object", known)
    said = options(words)
    for name, value in (
        ("BatchMode", "yes"),
        ("StrictHostKeyChecking", "yes"),
        ("ControlMaster", "no"),
        ("ControlPath", "none"),
        ("ConnectTimeout", "10"),
    ):
        # ssh takes the first mention.
        assert next(each for each in said if each.startswith(f"{name}=")) == f"{name}={value}"
    assert words[-2] == "--" and words[-1] == (known.get("ansible_host") or "object") and "None" not in words


def test_ssh_itself_reads_the_command_as_it_is_meant(tmp_path: Path) -> None:
    key = tmp_path / "my keys" / "id"
    key.parent.mkdir()
    key.touch()
    hostile = {
        "ansible_host": "192.168.4.11",
        "ansible_port": 2222,
        "ansible_user": "eye",
        "ansible_ssh_private_key_file": str(key),
        "ansible_ssh_common_args": "-o StrictHostKeyChecking=no -o BatchMode=no",
    }
    words = ssh_command("object", hostile)
    done = subprocess.run([words[0], "-F", "none", "-G", *words[1:]], capture_output=True, text=True, check=True)
    said = dict(line.partition(" ")[::2] for line in reversed(done.stdout.splitlines()))
    assert {name: said[name] for name in ("hostname", "port", "user", "batchmode", "stricthostkeychecking")} == {
        "hostname": "192.168.4.11",
        "port": "2222",
        "user": "eye",
        "batchmode": "yes",
        "stricthostkeychecking": "true",
    }
    assert said["identityfile"] == str(key) and said["connecttimeout"] == "10"


def test_an_address_is_never_taken_for_an_option() -> None:
    assert ssh_command("object", {"ansible_host": "-oProxyCommand=x"})[-2:] == ["--", "-oProxyCommand=x"]
