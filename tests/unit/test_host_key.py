# SPDX-License-Identifier: GPL-3.0-or-later
"""Host keys: who answers at a camera's address is shown once and compared ever after; other people's lines stay."""

from __future__ import annotations

import functools
import subprocess
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from unit.support import Outcome, run_module, tree

OURS = "wildberryeye-orchestrator"
SCAN = """#!/bin/sh
# An ssh-keyscan that answers with the keys in a file; notes what it was asked.
here=$(dirname "$0")
echo "$@" >>"$here/asked"
for host; do :; done
echo "# $host:22 SSH-2.0-OpenSSH_9.2p1" >&2
[ -e "$here/complaint" ] && cat "$here/complaint" >&2
[ -e "$here/keys" ] && sed "s/^/$host /" "$here/keys"
exit 0
"""


@functools.cache
def make_key(kind: str, number: int) -> str:
    """The host key of that kind and number; making one takes a while."""
    with tempfile.TemporaryDirectory() as directory:
        subprocess.run(["ssh-keygen", "-q", "-t", kind, "-N", "", "-f", f"{directory}/{number}"], check=True)
        return " ".join(Path(directory, f"{number}.pub").read_text().split()[:2])


class Camera:
    """What a camera answers to ssh-keyscan, and the known_hosts file of whoever asks. ssh and ssh-keygen are real."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.tools = path / "tools"
        self.tools.mkdir()
        (self.tools / "ssh-keyscan").write_text(SCAN)
        (self.tools / "ssh-keyscan").chmod(0o755)
        self.known_hosts = path / "the home" / ".ssh" / "known_hosts"
        self.made = 0
        self.keys = [self.make("ed25519"), self.make("ecdsa"), self.make("rsa")]
        self.answer(*self.keys)

    def make(self, kind: str) -> str:
        """Another host key, as two words."""
        self.made += 1
        return make_key(kind, self.made)

    def fingerprint(self, key: str) -> str:
        """As ssh-keygen shows it."""
        done = subprocess.run(["ssh-keygen", "-lf", "-"], input=key, capture_output=True, text=True, check=True)
        return done.stdout.split()[1]

    def answer(self, *keys: str, complaint: str = "") -> None:
        (self.tools / "keys").write_text("".join(f"{key}\n" for key in keys))
        (self.tools / "complaint").write_text(complaint)

    def knows(self, *lines: str) -> None:
        self.known_hosts.parent.mkdir(parents=True, exist_ok=True)
        self.known_hosts.write_text("".join(f"{line}\n" for line in lines))

    @property
    def lines(self) -> list[str]:
        return self.known_hosts.read_text().splitlines()

    @property
    def asked(self) -> list[str]:
        path = self.tools / "asked"
        return path.read_text().splitlines() if path.exists() else []

    def run(self, check: bool = False, real: bool = False, more: str = "", **args: object) -> Outcome:
        file = f"-F none -o 'UserKnownHostsFile=\"{self.known_hosts}\"' -o GlobalKnownHostsFile=none"
        given = {"host": "10.0.0.1", "user": "eye", "ssh_arguments": f"{more} {file}", **args}
        return run_module("host_key", given, check, env={"PATH": f"{self.tools}:/usr/bin:/bin"}, real=real)


@pytest.fixture
def camera(tmp_path: Path) -> Camera:
    return Camera(tmp_path)


def test_an_unknown_key_is_pinned_and_shown_so_that_a_person_can_compare_it(camera: Camera) -> None:
    result = camera.run(real=True).ok()
    shown = camera.fingerprint(camera.keys[0])
    assert result["changed"] and result["fingerprint"] == shown and result["path"] == str(camera.known_hosts)
    there = "'ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub' on the camera"
    assert result["msg"] == f"pinned ED25519 {shown}: compare it with {there}"
    # What is not shown is not trusted.
    assert camera.lines == [f"10.0.0.1 {camera.keys[0]} {OURS}"]
    assert (camera.known_hosts.stat().st_mode & 0o777, camera.known_hosts.parent.stat().st_mode & 0o777) == (
        0o600,
        0o700,
    )
    assert result["diff"]["before"] == "" and result["diff"]["after"] == camera.known_hosts.read_text()
    assert camera.asked == ["-T 5 -p 22 -- 10.0.0.1"]


def test_a_known_key_is_shown_and_nothing_is_written(camera: Camera) -> None:
    camera.run().ok()
    before = tree(camera.known_hosts.parent)
    result = camera.run().ok()
    assert not result["changed"] and "diff" not in result
    assert result["msg"] == f"known: ED25519 {camera.fingerprint(camera.keys[0])}"
    assert tree(camera.known_hosts.parent) == before


@pytest.mark.parametrize("known", [0, 1, 2])
def test_what_a_person_or_ssh_has_pinned_is_good_whatever_its_type_and_however_hashed(
    camera: Camera, known: int
) -> None:
    camera.knows("10.0.0.9 " + camera.keys[0], f"10.0.0.1 {camera.keys[known]} someone")
    subprocess.run(["ssh-keygen", "-q", "-H", "-f", camera.known_hosts], check=True, capture_output=True)
    before = camera.lines
    assert "10.0.0.1" not in "".join(before)
    result = camera.run().ok()
    assert not result["changed"] and camera.fingerprint(camera.keys[known]) in result["msg"]
    assert camera.lines == before


@pytest.mark.parametrize("hashed", [False, True])
@pytest.mark.parametrize("ours", [False, True])
def test_a_changed_key_is_refused_in_one_line_and_nothing_is_written(camera: Camera, hashed: bool, ours: bool) -> None:
    old = camera.make("ed25519")
    camera.knows(f"10.0.0.1 {old}{f' {OURS}' * ours}")
    if hashed:
        subprocess.run(["ssh-keygen", "-q", "-H", "-f", camera.known_hosts], check=True, capture_output=True)
    before = camera.lines
    outcome = camera.run()
    assert outcome.failed() == (
        f"its host key has changed at 10.0.0.1: known is ED25519 {camera.fingerprint(old)},"
        f" what came is ED25519 {camera.fingerprint(camera.keys[0])}. Only if it was reinstalled,"
        f" run ssh-keygen -R '10.0.0.1' -f '{camera.known_hosts}', then setup.yml; if not, somebody else answers there"
    )
    assert outcome.result["reached"] is True and camera.lines == before


def test_a_camera_that_offers_only_a_key_of_another_type_is_refused_as_ssh_does(camera: Camera) -> None:
    camera.knows(f"10.0.0.1 {camera.keys[2]}")
    camera.answer(camera.keys[0])
    assert "known is RSA" in camera.run().failed() and len(camera.lines) == 1


def test_one_key_that_agrees_does_not_excuse_another_that_does_not(camera: Camera) -> None:
    camera.knows(f"10.0.0.1 {camera.keys[0]}", f"10.0.0.1 {camera.make('rsa')}")
    assert "known is RSA" in camera.run().failed()


def test_a_port_and_an_alias_are_pinned_as_ssh_looks_them_up(camera: Camera) -> None:
    camera.run(port=2222).ok()
    camera.run(more="-o HostKeyAlias=motion", port=2222).ok()
    camera.run(more="-p 2200").ok()
    names = [line.split()[0] for line in camera.lines]
    assert names == ["[10.0.0.1]:2222", "motion", "[10.0.0.1]:2200"]
    assert [line.split()[3] for line in camera.asked] == ["2222", "2222", "2200"]
    # The same camera at its other door is another host to ssh.
    assert not camera.run(port=2222).ok()["changed"] and camera.run().ok()["changed"]
    assert camera.run(port=2222, state="absent").ok()["changed"]
    assert [line.split()[0] for line in camera.lines] == ["motion", "[10.0.0.1]:2200", "10.0.0.1"]


def test_a_host_of_the_users_configuration_is_pinned_under_its_real_address(camera: Camera) -> None:
    config = camera.path / "config"
    config.write_text("Host north\n HostName 10.0.0.7\nMatch user eye\n Port 2022\n")
    arguments = f"-F '{config}' -o 'UserKnownHostsFile=\"{camera.known_hosts}\"'"
    camera.run(host="north", ssh_arguments=arguments).ok()
    assert camera.lines[0].startswith("[10.0.0.7]:2022 ssh-ed25519 ")


def test_in_check_mode_the_line_is_shown_and_nothing_is_made(camera: Camera) -> None:
    result = camera.run(check=True).ok()
    assert result["changed"] and result["msg"].startswith("would be pinned ED25519 ")
    assert result["diff"]["after"] == f"10.0.0.1 {camera.keys[0]} {OURS}\n"
    assert not camera.known_hosts.parent.exists()
    camera.run().ok()
    before = tree(camera.known_hosts.parent)
    removed = camera.run(check=True, state="absent").ok()
    assert removed["changed"] and removed["diff"]["before"] == result["diff"]["after"]
    assert removed["msg"].endswith("would be removed") and tree(camera.known_hosts.parent) == before


def test_forty_cameras_at_once_are_all_pinned_and_all_removed(camera: Camera) -> None:
    camera.knows("10.0.0.200 " + camera.keys[1])
    hosts = [f"10.0.0.{number}" for number in range(1, 41)]
    with ThreadPoolExecutor(16) as pool:
        for outcome in pool.map(lambda host: camera.run(host=host), hosts):
            assert outcome.ok()["changed"]
        assert sorted(camera.lines) == sorted(
            ["10.0.0.200 " + camera.keys[1], *(f"{host} {camera.keys[0]} {OURS}" for host in hosts)]
        )
        for outcome in pool.map(lambda host: camera.run(host=host, state="absent"), hosts):
            assert outcome.ok()["changed"]
    assert camera.lines == ["10.0.0.200 " + camera.keys[1]]


def test_absent_removes_our_line_and_leaves_what_others_wrote_as_it_is(camera: Camera) -> None:
    mine = [
        f"10.0.0.1 {camera.keys[1]} eye@north",
        "# a note",
        f"@revoked 10.0.0.1 {camera.make('rsa')}",
        "",
        "rubbish",
    ]
    camera.knows(*mine[:2], f"10.0.0.1 {camera.keys[0]} {OURS}", *mine[2:])
    camera.known_hosts.chmod(0o640)
    camera.answer()
    result = camera.run(state="absent").ok()
    assert result["changed"] and camera.asked == []
    assert camera.lines == mine and camera.known_hosts.stat().st_mode & 0o777 == 0o640
    assert not camera.run(state="absent").ok()["changed"] and camera.lines == mine


def test_a_file_in_which_nothing_else_stood_goes_with_our_lines(camera: Camera) -> None:
    camera.run().ok()
    assert camera.run(state="absent").ok()["changed"] and not camera.known_hosts.exists()
    assert not camera.run(state="absent").ok()["changed"]


def test_a_last_line_that_was_cut_short_does_not_swallow_the_key(camera: Camera) -> None:
    camera.knows()
    camera.known_hosts.write_text("10.0.0.3 " + camera.keys[1])
    camera.run().ok()
    assert camera.lines == ["10.0.0.3 " + camera.keys[1], f"10.0.0.1 {camera.keys[0]} {OURS}"]


def test_a_link_to_the_file_stays_a_link(camera: Camera) -> None:
    real = camera.path / "real"
    real.write_text("10.0.0.3 " + camera.keys[1] + "\n")
    camera.known_hosts.parent.mkdir(parents=True)
    camera.known_hosts.symlink_to(real)
    camera.run().ok()
    assert len(real.read_text().splitlines()) == 2
    camera.run(state="absent").ok()
    assert camera.known_hosts.is_symlink() and len(real.read_text().splitlines()) == 1


def test_what_the_whole_machine_knows_counts(camera: Camera) -> None:
    machine = camera.path / "ssh_known_hosts"
    machine.write_text(f"10.0.0.1 {camera.keys[0]}\n")
    arguments = f"-F none -o UserKnownHostsFile={camera.path}/none -o GlobalKnownHostsFile={machine}"
    assert not camera.run(ssh_arguments=arguments).ok()["changed"]
    machine.write_text(f"10.0.0.1 {camera.make('ed25519')}\n")
    assert f"-f '{machine}'" in camera.run(ssh_arguments=arguments).failed()


@pytest.mark.parametrize(
    ("host", "complaint", "words"),
    [
        ("127.0.0.1", "", "SSH connection refused (127.0.0.1 port 9: Connection refused). Check ansible_host"),
        (
            "nowhere.invalid",
            "getaddrinfo nowhere.invalid: Name or service not known\n" * 5,
            "its name is not known (getaddrinfo nowhere.invalid: Name or service not known). Check ansible_host",
        ),
    ],
)
def test_a_camera_that_cannot_be_reached_is_told_in_one_line(
    camera: Camera, host: str, complaint: str, words: str
) -> None:
    camera.answer(complaint=complaint)
    outcome = camera.run(host=host, port=9)
    assert outcome.failed().startswith(words) and outcome.result["reached"] is False
    assert not camera.known_hosts.parent.exists()


@pytest.mark.parametrize("answer", ["ssh-ed25519 !!!", "ssh-ed25519", "ssh-ed25519 AAAA\x00", "x y z", "@revoked AAAA"])
def test_what_is_no_key_is_never_written(camera: Camera, answer: str) -> None:
    camera.answer(answer)
    camera.run(host="127.0.0.1", port=9).failed()
    assert not camera.known_hosts.parent.exists()


def test_without_a_file_to_keep_keys_in_it_refuses(camera: Camera) -> None:
    for none in ("/dev/null", "none"):
        message = camera.run(ssh_arguments=f"-F none -o UserKnownHostsFile={none}").failed()
        assert "ssh is told to keep none" in message and "ansible_ssh_common_args" in message


@pytest.mark.parametrize("arguments", ["-o Nonsense=1", "-o 'Port"])
def test_arguments_that_ssh_does_not_understand_are_named(camera: Camera, arguments: str) -> None:
    message = camera.run(ssh_arguments=arguments).failed()
    assert message.startswith("ask ssh for its settings: ") and "Check ansible_ssh_common_args" in message


def test_a_camera_behind_another_machine_is_pinned_by_hand(camera: Camera) -> None:
    message = camera.run(more="-J gate").failed()
    assert "ProxyJump" in message and "ssh 10.0.0.1" in message and camera.asked == []
    camera.knows(f"10.0.0.1 {camera.keys[0]}")
    assert not camera.run(more="-J gate").ok()["changed"]


def test_a_host_that_looks_like_an_option_is_a_host(camera: Camera) -> None:
    camera.run(host="-oProxyCommand=touch pwned")
    assert not list(camera.path.rglob("pwned"))


def test_a_file_that_cannot_be_written_is_told(camera: Camera) -> None:
    camera.path.joinpath("the home").write_text("a file where a directory should be")
    assert camera.run().failed().startswith("keep the host key: ")
