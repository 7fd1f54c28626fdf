# SPDX-License-Identifier: GPL-3.0-or-later
"""A filter that says what the heartbeat must know of each camera."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ansible.errors import AnsibleFilterError

from ansible_collections.wildberryeye.orchestrator.plugins.module_utils import inventory
from ansible_collections.wildberryeye.orchestrator.plugins.module_utils.errors import Error


def heartbeat_cameras(
    groups: Mapping[str, Iterable[str]], hostvars: Mapping[str, Mapping[str, Any]], defaults: Mapping[str, Any]
) -> dict[str, dict[str, Any]]:
    """Return what the heartbeat must know of each camera of the inventory, whatever this run was limited to.

    Args:
        groups: the inventory's groups.
        hostvars: the inventory's variables, by host.
        defaults: what holds where the inventory says nothing, from the role C(common) and from Ansible's configuration.
    """
    try:
        modes = inventory.modes(groups.get("cameras") or (), groups)
    except Error as error:
        raise AnsibleFilterError(str(error)) from None
    found = {}
    for name, mode in modes.items():
        known = hostvars[name]
        settings = {
            short: known.get(f"wildberryeye_{short}", defaults[f"wildberryeye_{short}"])
            for short in ("api_port", "service", "ready_timeout", "collection_timeout")
        }
        found[name] = {
            "mode": mode,
            "host": str(known.get("ansible_host") or name),
            "port": int(settings["api_port"]),
            "service": str(settings["service"]),
            "ready_timeout": int(settings["ready_timeout"]),
            "collection_timeout": int(settings["collection_timeout"]),
            "ssh": ssh_command(name, {**defaults, **known}),
        }
        if known.get("wildberryeye_image_dir"):
            found[name]["image_dir"] = str(known["wildberryeye_image_dir"])
    return found


def ssh_command(name: str, known: Mapping[str, Any]) -> list[str]:
    """Return the command that logs in to a camera as Ansible would, and never asks.

    Args:
        name: the camera's name in the inventory.
        known: its variables.
    """
    options = [
        "BatchMode=yes",
        "StrictHostKeyChecking=yes",
        "ConnectTimeout=10",
        "ControlMaster=no",
        "ControlPath=none",
    ]
    words = [str(known.get("ansible_ssh_executable") or "ssh")]
    # The first mention of an option counts in ssh, and these must hold.
    for option in options:
        words += ["-o", option]
    for variable in ("ansible_ssh_args", "ansible_ssh_common_args", "ansible_ssh_extra_args"):
        words += shlex.split(str(known.get(variable) or ""))
    if known.get("ansible_ssh_private_key_file"):
        words += ["-i", os.path.expanduser(str(known["ansible_ssh_private_key_file"]))]
    if known.get("ansible_port"):
        words += ["-p", str(known["ansible_port"])]
    if known.get("ansible_user"):
        words += ["-l", str(known["ansible_user"])]
    return [*words, "--", str(known.get("ansible_host") or name)]


class FilterModule:
    """The filters by name."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"heartbeat_cameras": heartbeat_cameras}
