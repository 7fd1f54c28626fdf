# SPDX-License-Identifier: GPL-3.0-or-later
"""Ansible's settings: without them a frozen camera is waited for, and an unread inventory looks like a day."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible.errors import AnsibleFilterError

from ansible_collections.wildberryeye.orchestrator.plugins.filter.settings import settings_names, unsaid_settings
from unit.support import ROOT


def test_a_station_without_an_ansible_cfg_of_its_own_gets_all_that_it_needs() -> None:
    found = unsaid_settings(None)
    assert found == unsaid_settings("") and found["ANSIBLE_FORKS"] == "50"
    assert found["ANSIBLE_INVENTORY_UNPARSED_FAILED"] == "True"
    assert "ServerAliveInterval=15" in found["ANSIBLE_SSH_ARGS"]
    names = ["stdout_callback", "forks", "timeout", "unparsed_is_failed", "pipelining", "ssh_args"]
    assert settings_names(found) == names


def test_the_checkouts_own_ansible_cfg_leaves_nothing_open() -> None:
    assert unsaid_settings(str(ROOT / "ansible.cfg")) == {}


def test_what_a_user_has_chosen_stays_wherever_ansible_lets_him_write_it(tmp_path: Path) -> None:
    chosen = tmp_path / "ansible.cfg"
    chosen.write_text("[defaults]\nforks = 3 ; few\n[connection]\npipelining = no\n[galaxy]\ntimeout = 9\n% = %(odd\n")
    assert unsaid_settings(str(chosen)).keys() == unsaid_settings(None).keys() - {"ANSIBLE_FORKS", "ANSIBLE_PIPELINING"}


@pytest.mark.parametrize("text", [b"forks = 3", b"[defaults]\nforks = \xff\n"])
def test_a_file_that_cannot_be_read_is_said_in_one_line(tmp_path: Path, text: bytes) -> None:
    broken = tmp_path / "ansible.cfg"
    broken.write_bytes(text)
    with pytest.raises(AnsibleFilterError, match=r"read Ansible's settings: [^\n]+$"):
        unsaid_settings(str(broken))
