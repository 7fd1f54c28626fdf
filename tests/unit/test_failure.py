# SPDX-License-Identifier: GPL-3.0-or-later
"""Whatever ssh, sudo, rsync and Ansible say, a person reads one line and knows what to do."""

from __future__ import annotations

import pytest

from ansible_collections.wildberryeye.orchestrator.plugins.module_utils import failure

SAID = [
    (
        'Data could not be sent to remote host "192.0.2.1". Make sure this host can be reached over ssh: '
        "ssh: connect to host 192.0.2.1 port 22: Connection timed out",
        "unreachable by SSH",
        "nothing is lost",
    ),
    ("ssh: connect to host 192.0.2.1 port 22: No route to host", "unreachable by SSH", "power and the Wi-Fi"),
    ("Timeout, server 192.0.2.1 not responding.", "unreachable by SSH", "run it again"),
    ("client_loop: send disconnect: Broken pipe\nrsync error: unexplained error (code 255)", "unreachable", "again"),
    ("rsync: connection unexpectedly closed (0 bytes received so far)", "unreachable by SSH", "again"),
    ("ssh: connect to host 192.0.2.1 port 22: Connection refused", "SSH connection refused", "ansible_port"),
    (
        "@@@@@@@\n@ WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED! @\nIT IS POSSIBLE THAT SOMEONE IS DOING "
        "SOMETHING NASTY!\nHost key verification failed.\nrsync: connection unexpectedly closed",
        "host key is not the one that is known",
        "ssh-keygen -R",
    ),
    ("No ED25519 host key is known for 192.0.2.1", "host key", "then setup.yml"),
    ("eye@192.0.2.1: Permission denied (publickey,password).", "SSH refused user or key", "ssh-copy-id"),
    ("no such identity: /home/decim/.ssh/x: No such file", "SSH key cannot be read", "private_key_file"),
    ('Load key "/x": error in libcrypto', "SSH key cannot be read", "private_key_file"),
    ("Missing sudo password", "sudo asks for a password", "without a password"),
    ("sudo: a password is required", "sudo asks for a password", "without a password"),
    ("eye is not in the sudoers file.", "sudo asks for a password", "without a password"),
    ("ssh: Could not resolve hostname nocamera: Name or service not known", "its name is not known", "ansible_host"),
    ("[sender] io timeout after 60 seconds\nrsync error: timeout in data send/receive (code 30)", "stalled", "goes on"),
    ("bash: line 1: rsync: command not found", "rsync is not installed", "apt install rsync"),
    ('rsync: write failed on "/x": No space left on device (28)', "no space left", "Free some space"),
    ("/bin/sh: 1: /usr/bin/python3: not found", "Python is not installed", "apt install python3"),
]


@pytest.mark.parametrize(("said", "happened", "advice"), SAID)
def test_each_known_failure_is_one_line_with_what_to_do(said: str, happened: str, advice: str) -> None:
    line = failure.explain(said)
    assert line.startswith(happened[:10]) or happened in line
    assert advice in line and "\n" not in line and len(line) < 420


def test_what_was_said_is_quoted_without_what_surrounds_it() -> None:
    line = failure.explain("noise before\nvia ssh: ssh: connect to host x port 22: No route to host\r\nnoise after")
    assert "No route to host" in line and "noise" not in line


def test_what_is_unknown_is_cut_to_one_line() -> None:
    line = failure.explain("something\nnew\x1b[31m " + "x" * 5000)
    assert line.startswith("something new?[31m") and len(line) <= 400
    assert "run it again with -v" in failure.explain("") and failure.explain(" \n ") == failure.explain("")


@pytest.mark.parametrize("key", ["reached", "receipts", "kind"])
def test_our_own_words_are_left_as_they_are(key: str) -> None:
    said = "http://192.0.2.1:5000/api/stop: connection refused. Its service is not running"
    assert failure.in_one_line({"msg": said, key: True}) == said
    assert failure.in_one_line({"msg": said}) != said


@pytest.mark.parametrize(
    ("result", "words"),
    [
        ({"msg": "short"}, "short"),
        ({"msg": "MODULE FAILURE: see stderr", "module_stderr": "cause"}, "cause\nMODULE FAILURE: see stderr"),
        ({"msg": "non-zero return code", "stderr": "cause"}, "cause\nnon-zero return code"),
        ({"msg": "told", "stderr": "chatter"}, "told"),
        ({"stderr": "cause"}, "cause"),
        ({}, ""),
        ({"msg": None, "stderr": None}, ""),
    ],
)
def test_the_words_that_tell_most_are_chosen(result: dict[str, str], words: str) -> None:
    assert failure.words(result).strip() == words
