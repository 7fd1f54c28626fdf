# SPDX-License-Identifier: GPL-3.0-or-later
"""What setup leaves on the orchestrator, and what Ansible itself says that it changed."""

from __future__ import annotations

import re

from e2e.station import Run, Station

KNOWN_HOSTS = "/home/decim/station/known_hosts"
FLAG = "/var/lib/systemd/linger/decim"
MARKER = "/home/decim/.config/wildberryeye/lingering-enabled-by-setup"
LOGINCTL = "/opt/wildberryeye/bin/loginctl"
# What setup may write, with its mode and content.
FOOTPRINT = """
find /home/decim/.config /home/decim/.ssh /home/decim/station/known_hosts /var/lib/systemd/linger \
    \\( -type f -printf '%p %m ' -exec sha256sum {} \\; \\) -o \\( -type l -printf '%p %l\\n' \\) 2>/dev/null | sort
"""


def cat(station: Station, path: str) -> str:
    """Return what a file on the orchestrator holds."""
    return station.orchestrator.exec("cat", path).stdout


def footprint(station: Station) -> str:
    """Return all that setup may write, with modes and sums."""
    return station.orchestrator.exec("sh", "-c", FOOTPRINT).stdout


def run_sh(station: Station, script: str) -> None:
    """Run a shell's words on the orchestrator, as root."""
    station.orchestrator.exec("sh", "-c", script)


def changed(run: Run) -> bool:
    """Whether a recap in Ansible's own words, asked for with `recap`, tells of a change."""
    counts = re.findall(r"changed=(\d+)", run.text)
    assert counts, run.text
    return any(count != "0" for count in counts)


RECAP = {"ANSIBLE_STDOUT_CALLBACK": "ansible.builtin.default"}


def recap(station: Station, name: str, *arguments: str) -> Run:
    """Run a playbook with the output of Ansible itself, which counts."""
    done = station.orchestrator.ansible(*station.command(name, *arguments), env=RECAP)
    assert done.returncode == 0, done.stdout
    return Run(0, done.stdout)
