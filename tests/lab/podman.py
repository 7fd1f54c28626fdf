# SPDX-License-Identifier: GPL-3.0-or-later
"""Run podman, and the few other programs that need root, with errors of one clear line."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

CONTAINERS_CONF = Path(__file__).resolve().with_name("containers.conf")
PACKAGES = "podman runc iptables netavark aardvark-dns mmdebstrap iproute2 openssh-client"


class LabError(Exception):
    """Something that the lab could not do; the message says what and why in one line."""


def as_root(argv: Sequence[str]) -> list[str]:
    """Return the command line that runs `argv` as root with our podman configuration."""
    sudo = [] if os.geteuid() == 0 else ["sudo", "-n"]
    return [*sudo, "env", f"CONTAINERS_CONF={CONTAINERS_CONF}", *argv]


def run(
    argv: Sequence[str],
    *,
    input: str | None = None,
    check: bool = True,
    timeout: float = 120,
    env: Mapping[str, str] | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run a program and return what it said; raise LabError when it is missing, hangs (`timeout` in
    seconds) or, with `check`, fails.

    It gets a session of its own: Ctrl-C at the terminal is for us, and podman interrupted half way leaves
    containers that only it knows. Output is kept byte for byte (names on a card need not be UTF-8).
    """
    try:
        done = subprocess.run(
            argv,
            input=input,
            stdin=subprocess.DEVNULL if input is None else None,
            capture_output=True,
            encoding="utf-8",
            errors="surrogateescape",
            timeout=timeout,
            env=env,
            start_new_session=True,
            check=False,
        )
    except FileNotFoundError as error:
        raise LabError(f"{error.filename} is missing: apt-get install {PACKAGES}") from None
    except subprocess.TimeoutExpired:
        raise LabError(f"{brief(argv)}: no end after {timeout:g} s") from None
    if check and done.returncode != 0:
        raise LabError(f"{brief(argv)}: {reason(done)}")
    return done


def root(*argv: str, check: bool = True, timeout: float = 120) -> subprocess.CompletedProcess[str]:
    """Run a program as root on the machine that the lab is on."""
    return run(as_root(argv), check=check, timeout=timeout)


def podman(
    *argv: str, input: str | None = None, check: bool = True, timeout: float = 120
) -> subprocess.CompletedProcess[str]:
    """Run `podman ARGV`."""
    return run(as_root(["podman", *argv]), input=input, check=check, timeout=timeout)


def reason(done: subprocess.CompletedProcess[str]) -> str:
    """Return the line that says why a program failed: the last that it wrote, else its exit status."""
    lines = [line.strip() for line in (done.stderr + "\n" + done.stdout).splitlines() if line.strip()]
    errors = [line.strip() for line in done.stderr.splitlines() if line.strip()]
    if "is not installed" not in done.stderr and "env: " in done.stderr and "No such file" in done.stderr:
        return f"{errors[-1]}: apt-get install {PACKAGES}"
    last = (errors or lines or [f"exit status {done.returncode}"])[-1]
    return last.removeprefix("Error: ")[:500]


def brief(argv: Sequence[str]) -> str:
    """Return a command line short enough for a message, without what `as_root` put before it."""
    words = list(argv)
    while words and (words[0] in ("sudo", "-n", "env") or words[0].startswith("CONTAINERS_CONF=")):
        words.pop(0)
    line = " ".join(word if len(word) <= 60 else word[:57] + "..." for word in words)
    line = " ".join(line.split())
    return line if len(line) <= 120 else line[:117] + "..."
