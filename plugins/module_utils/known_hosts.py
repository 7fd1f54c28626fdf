# SPDX-License-Identifier: GPL-3.0-or-later
"""What ssh knows of a host's keys, and how that is extended and taken back. Runs on the orchestrator."""

from __future__ import annotations

import base64
import contextlib
import fcntl
import hashlib
import os
import re
import shlex
import socket
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from . import durable, failure
from .errors import Error

Run = Callable[[list[str]], tuple[int, str, str]]
"""Runs a command, returns exit status, standard output, standard error: `AnsibleModule.run_command`."""

COMMENT = "wildberryeye-orchestrator"
"""What a line of ours ends with, so that it can be found again."""

_SCAN_TIMEOUT = 20
"""Seconds that all of a scan may take; ssh-keyscan itself only bounds each silence."""
_PREFERRED = ("ssh-ed25519", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521", "ssh-rsa")


class Unreachable(Error):
    """No SSH server answered."""


class Key(NamedTuple):
    """A public host key, as known_hosts writes it."""

    type: str
    blob: str

    @property
    def algorithm(self) -> str:
        """``ED25519``, ``ECDSA`` or ``RSA``."""
        return self.type.removeprefix("ssh-").partition("-")[0].upper()

    @property
    def fingerprint(self) -> str:
        """As ``ssh-keygen -l`` shows it."""
        digest = hashlib.sha256(base64.b64decode(self.blob)).digest()
        return "SHA256:" + base64.b64encode(digest).decode().rstrip("=")

    def __str__(self) -> str:
        return f"{self.algorithm} {self.fingerprint}"


class Line(NamedTuple):
    """A line of a known_hosts file."""

    path: str
    number: int
    text: str

    @property
    def key(self) -> Key | None:
        """Its key; none where it says something else, such as ``@revoked``."""
        words = self.text.split()
        return _key(words[1:3]) if not self.text.startswith("@") else None

    @property
    def ours(self) -> bool:
        """Whether `Target.pin` wrote it."""
        return self.text.split()[3:] == [COMMENT]


class Target(NamedTuple):
    """A host as ssh sees it once its configuration has been applied.

    Args:
        host: name or address to connect to.
        port: TCP port.
        name: under which its keys are known.
        path: the known_hosts file that new keys are written to.
        others: further files in which ssh looks.
        proxied: whether ssh gets there by way of something else.
    """

    host: str
    port: int
    name: str
    path: str
    others: tuple[str, ...]
    proxied: bool

    def known(self, run: Run) -> list[Line]:
        """Return the lines about this host, hashed ones too, of all files in which ssh looks."""
        return [line for path in (self.path, *self.others) for line in _find(run, path, self.name)]

    def line(self, key: Key) -> str:
        """Return the line that pins `key`."""
        return f"{self.name} {key.type} {key.blob} {COMMENT}\n"

    def scan(self, run: Run) -> list[Key]:
        """Ask the host for its keys; the best one first.

        Raises:
            Unreachable: if no SSH server answers.
        """
        words = ["ssh-keyscan", "-T", "5", "-p", str(self.port), "--", self.host]
        _unused, out, err = run(["timeout", str(_SCAN_TIMEOUT), *words])
        keys = {key for line in out.splitlines() if (key := _key(line.split()[1:3]))}
        if not keys:
            said = next((line for line in err.splitlines() if not line.startswith("#")), "")
            raise Unreachable("", failure.explain(said or self._silence()))
        return sorted(keys, key=lambda key: (_PREFERRED.index(key.type), key.blob))

    def _silence(self) -> str:
        """Return why ssh-keyscan, which does not say it, got no answer."""
        where = f"{self.host} port {self.port}"
        try:
            socket.create_connection((self.host, self.port), timeout=5).close()
        except OSError as error:
            return f"{where}: {error.strerror or 'Connection timed out'}"
        return f"{where}: Connection timed out during banner exchange"

    def pin(self, key: Key) -> None:
        """Add `key` to the file, in one write: forty cameras are pinned at a time."""
        directory = os.path.dirname(self.path)
        durable.make_directories(directory, 0o700)
        with _alone(directory):
            descriptor = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
            try:
                size = os.fstat(descriptor).st_size
                torn = size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"
                os.write(descriptor, ("\n" * torn + self.line(key)).encode())
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
            durable.sync_directory(directory)

    def unpin(self, run: Run) -> None:
        """Take the lines that `pin` wrote out of the file again."""
        directory = os.path.dirname(self.path)
        with _alone(directory):
            # Others may have been taken out since it was looked at.
            ours = {line.number for line in _find(run, self.path, self.name) if line.ours}
            with open(self.path, "rb") as file:
                lines = list(file)
                mode = os.fstat(file.fileno()).st_mode & 0o777
            kept = [text for number, text in enumerate(lines, start=1) if number not in ours]
            if kept:
                with durable.replacing(self.path, mode) as new:
                    new.writelines(kept)
            elif ours:
                durable.remove(self.path)


def target(run: Run, host: str, port: int | None, user: str, arguments: str) -> Target:
    """Ask ssh what its configuration makes of a host.

    Args:
        run: runs a command.
        host: name or address, as in the inventory.
        port: TCP port; none for what ssh's configuration says.
        user: who logs in; empty for what ssh's configuration says.
        arguments: more arguments of ssh, quoted as in a shell.

    Raises:
        Error: if ssh does not understand them, or keeps no host keys.
    """
    tried = "ask ssh for its settings"
    advice = "Check ansible_ssh_common_args and ~/.ssh/config"
    try:
        words = shlex.split(arguments)
    except ValueError as error:
        raise Error(tried, f"{error} in {arguments}", advice) from None
    options = [*(["-o", f"Port={port}"] if port else []), *(["-o", f"User={user}"] if user else []), *words]
    status, out, err = run(["ssh", "-G", *options, "--", host])
    if status:
        raise Error(tried, err or f"ssh ended with status {status}", advice)
    found = dict(line.partition(" ")[::2] for line in out.splitlines())
    files = _paths(found.get("userknownhostsfile", ""))
    if not files or files[0] == "/dev/null":
        raise Error(
            "pin its host key",
            "ssh is told to keep none (UserKnownHostsFile)",
            f"Anybody could answer at its address. {advice}",
        )
    at = found["hostname"]
    name = found.get("hostkeyalias") or (at if found["port"] == "22" else f"[{at}]:{found['port']}")
    return Target(
        host=at,
        port=int(found["port"]),
        name=name,
        path=os.path.realpath(files[0]),
        others=(*files[1:], *_paths(found.get("globalknownhostsfile", ""))),
        proxied=any(found.get(word, "none") != "none" for word in ("proxyjump", "proxycommand")),
    )


def changed(known: Sequence[Key], came: Sequence[Key]) -> tuple[Key, Key] | None:
    """Return what is known and what came instead; none if ssh would accept what came."""
    for key in came:
        same_type = [each for each in known if each.type == key.type]
        if same_type and key not in same_type:
            return same_type[0], key
    # ssh asks for the types that it knows, and accepts no others in their place.
    return None if set(known) & set(came) else (known[0], came[0])


def _find(run: Run, path: str, name: str) -> Iterator[Line]:
    if not os.path.isfile(path):
        return
    status, out, err = run(["ssh-keygen", "-F", name, "-f", path])
    if status > 1:
        raise Error(f"look for {name} in {path}", err or f"ssh-keygen ended with status {status}", "Check that file")
    number = 0
    for text in out.splitlines():
        found = re.match(r"# Host .* found: line (\d+)", text)
        if found:
            number = int(found[1])
        elif number:
            yield Line(path, number, text)


def _key(words: Sequence[str]) -> Key | None:
    """Return the key that two words are, if they are one."""
    if len(words) != 2 or words[0] not in _PREFERRED:
        return None
    try:
        base64.b64decode(words[1], validate=True)
    except ValueError:
        return None
    return Key(*words)


def _paths(value: str) -> list[str]:
    """Return the files that ssh lists; it does not say where one that has a space in its name ends."""
    return [os.path.expanduser(path) for path in re.split(r" (?=[/~])", value) if path not in ("", "none")]


@contextlib.contextmanager
def _alone(directory: str) -> Iterator[None]:
    """Within the block, no other module of ours writes in `directory`."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
