# SPDX-License-Identifier: GPL-3.0-or-later
"""A filter that says which of Ansible's settings a station needs and does not have."""

from __future__ import annotations

import configparser
import pathlib
from collections.abc import Callable
from typing import Any

from ansible.errors import AnsibleFilterError

_OURS = pathlib.Path(__file__).parents[2] / "ansible.cfg"
_NEEDED = {
    "ANSIBLE_STDOUT_CALLBACK": ("defaults", "stdout_callback"),
    "ANSIBLE_FORKS": ("defaults", "forks"),
    "ANSIBLE_TIMEOUT": ("defaults", "timeout"),
    "ANSIBLE_INVENTORY_UNPARSED_FAILED": ("inventory", "unparsed_is_failed"),
    "ANSIBLE_PIPELINING": ("ssh_connection", "pipelining"),
    "ANSIBLE_SSH_ARGS": ("ssh_connection", "ssh_args"),
}
"""What the file calls by section and name, by what the environment calls it."""
_SECTIONS = ("defaults", "inventory", "connection", "ssh_connection")
"""Where Ansible looks for one or the other of these names."""


def unsaid_settings(config_file: str | None) -> dict[str, str]:
    """Return what a station needs and an ``ansible.cfg`` does not mention, as environment variables of Ansible.

    The values are those of the collection's own ``ansible.cfg``. What a user has chosen, whatever it is, stays.

    Args:
        config_file: the file that Ansible has read; None or empty where it has read none.

    Raises:
        AnsibleFilterError: the file cannot be read.
    """
    ours, theirs = _read(str(_OURS)), _read(config_file)
    return {
        variable: ours.get(section, name)
        for variable, (section, name) in _NEEDED.items()
        if not any(theirs.has_option(each, name) for each in _SECTIONS)
    }


def settings_names(variables: dict[str, str]) -> list[str]:
    """Return what an ``ansible.cfg`` calls the settings that `unsaid_settings` has returned."""
    return [_NEEDED[variable][1] for variable in variables]


def _read(path: str | None) -> configparser.ConfigParser:
    # As Ansible reads it.
    found = configparser.ConfigParser(inline_comment_prefixes=(";",), interpolation=None)
    try:
        if path:
            with open(path, encoding="utf-8") as file:
                found.read_file(file)
    except (OSError, ValueError, configparser.Error) as error:
        raise AnsibleFilterError(f"read Ansible's settings: {' '.join(str(error).split())}") from None
    return found


class FilterModule:
    """The filters by name."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"unsaid_settings": unsaid_settings, "settings_names": settings_names}
