# SPDX-License-Identifier: GPL-3.0-or-later
"""What people see: one line per camera, no JSON, colours only where Ansible's Display puts them."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from unit.support import ROOT, run_playbook

PLAY = """
- name: Start the experiment
  hosts: all
  gather_facts: false
  tasks:
    - name: Look at the cameras
      ansible.builtin.command: "{{ 'false' if inventory_hostname == 'motion' else 'true' }}"
    - name: Fail with many words
      ansible.builtin.fail:
        msg: "{{ 'rsync error\\nssh: connect to host x port 22: No route to host\\nmore' }}"
      when: inventory_hostname == 'object'
      # So that the play goes on to the other kinds of lines; the roles never do this.
      ignore_errors: true
    - name: Say something
      ansible.builtin.debug:
        msg: all is well
    - name: Keep quiet
      ansible.builtin.set_fact:
        hidden: fact
    - name: Say how it ended
      ansible.builtin.assert:
        that: true
        success_msg: "camera  outcome\\nobject  home"
      run_once: true
"""


def play(tmp_path: Path, *options: str, text: str = PLAY, **env: str) -> tuple[int, str]:
    (tmp_path / "play.yml").write_text(text)
    inventory = "object ansible_connection=local\nmotion ansible_connection=local\n"
    (tmp_path / "hosts").write_text(inventory + "dead ansible_host=192.0.2.1 ansible_ssh_common_args=-Fnone\n")
    ours = {
        "ANSIBLE_COLLECTIONS_PATH": str(ROOT / "collections"),
        "ANSIBLE_STDOUT_CALLBACK": "wildberryeye.orchestrator.field",
        "ANSIBLE_PYTHON_INTERPRETER": sys.executable,
    }
    # How a warning is shown is for the tests to say.
    return run_playbook("-i", "hosts", "play.yml", *options, cwd=tmp_path, alarms="Traceback", **{**ours, **env})


def test_a_run_reads_like_what_it_does_with_one_line_per_failure(tmp_path: Path) -> None:
    code, said = play(tmp_path, "--limit", "object,motion")
    assert code == 2 and not re.search(r"[{}\[\]]|\x1b|TASK|PLAY|rc=|WARN|DEPREC", said), said
    lines = said.splitlines()
    assert lines[0] == "Start the experiment"
    assert len([line for line in lines if "FAILED" in line]) == 2
    assert any(re.search(r"^ +object: FAILED: unreachable by SSH \(.*No route to host\)\. Check", s) for s in lines)
    assert any(re.match(r"\d\d:\d\d:\d\d  Look at the cameras$", line) for line in lines)
    assert "            object: all is well" in lines and "hidden" not in said and "Keep quiet" not in said
    assert lines[-2:] == ["camera  outcome", "object  home"]


def test_check_mode_says_that_nothing_is_changed(tmp_path: Path) -> None:
    _, said = play(tmp_path, "--limit", "object", "--check", ANSIBLE_NOCOLOR="1")
    assert "check: nothing is changed" in said.splitlines()[0] and "\x1b[" not in said


def test_with_v_the_whole_result_is_printed_and_colours_come_where_ansible_wants_them(tmp_path: Path) -> None:
    _, said = play(tmp_path, "--limit", "motion", "-v", ANSIBLE_FORCE_COLOR="1")
    assert '"rc": 1' in said or "rc: 1" in said
    assert "\x1b[" in said


@pytest.mark.parametrize("limit", ["nobody", "dead"])
def test_a_camera_that_is_not_there_is_one_line(tmp_path: Path, limit: str) -> None:
    text = PLAY.replace("gather_facts: false", "gather_facts: false\n  connection: ssh")
    env = {"ANSIBLE_SSH_EXECUTABLE": str(tmp_path / "ssh")}
    (tmp_path / "ssh").write_text('#!/bin/sh\necho "ssh: connect to host x port 22: No route to host" >&2\nexit 255\n')
    (tmp_path / "ssh").chmod(0o755)
    code, said = play(tmp_path, "--limit", limit, text=text, **env)
    assert code != 0 and "{" not in said
    if limit == "dead":
        assert len([line for line in said.splitlines() if "FAILED: unreachable by SSH" in line]) == 1


def test_with_diff_what_would_be_written_is_shown(tmp_path: Path) -> None:
    text = """
- name: Set up
  hosts: object
  gather_facts: false
  tasks:
    - name: Install the timers
      ansible.builtin.copy:
        content: "OnCalendar={{ item }}\n"
        dest: "PLACE/{{ item }}.timer"
        mode: "0644"
      loop: [morning, night]
"""
    status, said = play(tmp_path, "--check", "--diff", text=text.replace("PLACE", str(tmp_path)))
    assert status == 0
    assert "+OnCalendar=morning" in said and "+OnCalendar=night" in said
    assert "All items completed" not in said
    assert not (tmp_path / "night.timer").exists()
