# SPDX-License-Identifier: GPL-3.0-or-later
"""From what ssh, sudo, rsync and Ansible say to one line with what to do."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from .errors import one_line


class _Known(NamedTuple):
    signs: str
    happened: str
    advice: str


_KNOWN = (
    _Known(
        r"stopping at requested limit",
        "the transfer took longer than wildberryeye_collection_timeout",
        "Run it again: it goes on where it was",
    ),
    _Known(
        r"timeout in data send/receive|timeout waiting for daemon",
        "the transfer stalled",
        "Run it again: it goes on where it was",
    ),
    _Known(
        r"REMOTE HOST IDENTIFICATION HAS CHANGED|Host key verification failed|No .* host key is known",
        "its host key is not the one that is known",
        "Only if it was reinstalled, run 'ssh-keygen -R ADDRESS', then setup.yml;"
        " if not, somebody else answers at its address",
    ),
    _Known(
        r"Permission denied \(|Too many authentication failures|Permission denied, please try again",
        "SSH refused user or key",
        "Check ansible_user and ansible_ssh_private_key_file, and that 'ssh-copy-id' was run",
    ),
    _Known(
        r"no such identity|Load key .*: (?:No such file|invalid format|error in libcrypto)",
        "the SSH key cannot be read",
        "Check ansible_ssh_private_key_file",
    ),
    _Known(
        r"sudo: a password is required|Missing sudo password|is not in the sudoers|"
        r"sudo: .*command not found|not allowed to execute",
        "sudo asks for a password or is not allowed",
        "Let that user use sudo without a password on the camera",
    ),
    _Known(
        r"Could not resolve hostname|Name or service not known",
        "its name is not known",
        "Check ansible_host in the inventory",
    ),
    _Known(
        r"Connection refused",
        "SSH connection refused",
        "Check ansible_host and ansible_port, and that SSH is enabled there",
    ),
    _Known(
        r"Connection timed out|Operation timed out|No route to host|Network is unreachable|"
        r"Timeout, server .* not responding|Connection closed|Connection reset|Broken pipe|"
        r"banner exchange|connection unexpectedly closed|UNREACHABLE",
        "unreachable by SSH",
        "Check its power and the Wi-Fi; run it again when the camera is back: nothing is lost",
    ),
    _Known(
        r"rsync: (?:command )?not found|rsync: No such file",
        "rsync is not installed on the camera",
        "Run 'sudo apt install rsync' there",
    ),
    _Known(
        r"No space left on device",
        "no space left on the device",
        "Free some space there and run it again: nothing is lost",
    ),
    _Known(
        r"/python3?: (?:not found|No such file)|interpreter .*(?:not found|was not found)|"
        r"python3?: command not found",
        "Python is not installed on the camera",
        "Run 'sudo apt install python3' there, or correct ansible_python_interpreter",
    ),
)


_PREAMBLE = re.compile(r"^.*(?:via ssh|can be reached over ssh): ")
"""What Ansible puts before the words of ssh."""


def explain(text: str) -> str:
    """Return what happened and what to do, in one line.

    Args:
        text: what was said, of any length and form.
    """
    for pattern, happened, advice in _KNOWN:
        match = re.search(pattern, text, re.IGNORECASE)
        if match:
            return f"{happened} ({_line_of(text, match.start())}). {advice}"
    return one_line(text) or "it failed without a word: run it again with -v"


def in_one_line(result: Mapping[str, Any]) -> str:
    """Return why a task failed and what to do, from its result, in one line."""
    said = words(result)
    # What comes from our own modules and actions says so already.
    return one_line(said) if {"reached", "receipts", "kind"} & result.keys() else explain(said)


def words(result: Mapping[str, Any]) -> str:
    """Return the words of a failed result that tell most."""
    said = str(result.get("msg") or "")
    more = str(result.get("module_stderr") or result.get("stderr") or "")
    if more and (not said or "MODULE FAILURE" in said or "No start of json char" in said or "non-zero" in said):
        return f"{more}\n{said}"
    return said or more


def _line_of(text: str, position: int) -> str:
    """Return the line of `text` around `position`, without what ssh puts before it."""
    start = text.rfind("\n", 0, position) + 1
    end = text.find("\n", position)
    return one_line(_PREAMBLE.sub("", text[start : end if end >= 0 else None]), 160)
