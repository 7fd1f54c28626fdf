# SPDX-License-Identifier: GPL-3.0-or-later
"""The system calls that a module makes, and a run that is killed at one of them.

A module runs as Ansible runs it, `python3 -m …` with its arguments on standard input, and strace is attached to it
once it waits for them: so nothing is patched, and the calls are counted from there on, whatever the imports before
took. strace kills on entry to a call, before the call is done; "after" a call is therefore the entry to the very next
one that has to do with files, whichever: between two calls a process leaves nothing behind. (With `--seccomp-bpf`,
strace 6.1 does not deliver an injected signal at all; and a call is counted by its name.)
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import NamedTuple

from faults.case import Case
from unit.support import PACKAGE, ROOT

STRACE = "strace"
"""Debian's package of the same name."""
_TRACED = (
    *("open", "openat", "creat", "close", "read", "write", "pread64", "pwrite64", "readv", "writev", "lseek"),
    *(
        "truncate",
        "ftruncate",
        "fallocate",
        "rename",
        "renameat",
        "renameat2",
        "unlink",
        "unlinkat",
        "mkdir",
        "mkdirat",
    ),
    *("rmdir", "link", "linkat", "symlink", "symlinkat", "fsync", "fdatasync", "sync_file_range", "copy_file_range"),
    *("sendfile", "stat", "lstat", "fstat", "newfstatat", "getdents64", "flock", "fcntl", "ioctl", "readlink", "chmod"),
    *("fchmod", "utimensat", "exit_group"),
)


CHANGES = {
    *("rename", "renameat", "renameat2", "unlink", "unlinkat", "mkdir", "mkdirat", "rmdir", "fsync", "fdatasync"),
    *("truncate", "ftruncate", "link", "linkat", "symlink", "symlinkat", "chmod", "fchmod"),
}
_WRITES = {"write", "pwrite64", "writev"}
_LINE = re.compile(r"(\w+)\((.*)\) += (\?|-?\d+)(.*)")
_TOKEN = re.compile(r'(AT_FDCWD|\d+)<((?:\\x[0-9a-f]{2})*)>|"((?:\\x[0-9a-f]{2})*)"')
_RANDOM = re.compile(r"\d{8}T\d{6}Z-[0-9a-f]{8}(?:-[0-9a-f]{16})?|(?<=-)\d{6}(?=_)")
"""What differs between two runs that do the same: names of batches and parts, the order in which images are listed."""


class Call(NamedTuple):
    """One system call of a module."""

    name: str
    ordinal: int
    """Which one of its name, from 1."""
    descriptor: int
    """The first descriptor that it was given; -1 without one."""
    paths: tuple[str, ...]
    data: bytes
    """What it wrote."""
    arguments: str
    result: int | None
    """None if it never returned."""

    def likeness(self, root: Path) -> tuple[str, ...]:
        """What is the same in every run that does the same below another `root`."""
        return (self.name, *(_RANDOM.sub("…", path.replace(str(root), "")) for path in self.paths))

    def changes(self, root: Path, writes: bool) -> bool:
        """Whether it changes or syncs something below `root`."""
        opened = self.name in ("open", "openat", "creat") and re.search("O_WRONLY|O_RDWR|O_CREAT", self.arguments)
        kind = self.name in CHANGES or bool(opened) or (writes and self.name in _WRITES)
        # One that failed has changed nothing: before it is before the next.
        failed = self.result is not None and self.result < 0
        return kind and not failed and any(path.startswith(f"{root}/") or path == str(root) for path in self.paths)


def traced(
    case: Case, root: Path, inject: str = "", collections: Path = ROOT / "collections"
) -> tuple[int, list[Call]]:
    """Run the case's module under strace.

    Args:
        case: the case, prepared at `root`.
        root: where.
        inject: what strace injects, as it writes it.
        collections: where the module comes from.

    Returns:
        How it ended, and its calls since it got its arguments.
    """
    assert shutil.which(STRACE), "sudo apt install strace"
    given = json.dumps({"ANSIBLE_MODULE_ARGS": {**case.arguments(root), "_ansible_remote_tmp": "/tmp"}}).encode()
    environment = {"PYTHONPATH": str(collections), "PYTHONDONTWRITEBYTECODE": "1", **case.environment(root)}
    log = root.parent / f"{root.name}.strace"
    traces = ",".join(f"?{name}" for name in _TRACED)
    with contextlib.ExitStack() as stack:
        process = stack.enter_context(
            subprocess.Popen(
                [sys.executable, "-m", f"{PACKAGE}.modules.{case.module}"],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env={**os.environ, **environment},
                cwd="/",
            )
        )
        stack.callback(process.kill)
        _wait_for_its_arguments(process)
        command = [
            STRACE,
            "-p",
            str(process.pid),
            "-y",
            "-xx",
            "-s",
            "10000000",
            "-o",
            str(log),
            "-e",
            f"trace={traces}",
        ]
        tracer = stack.enter_context(
            subprocess.Popen([*command, *(["-e", f"inject={inject}"] if inject else [])], stderr=subprocess.PIPE)
        )
        stack.callback(tracer.kill)
        assert tracer.stderr is not None and process.stdin is not None
        said = tracer.stderr.readline()
        assert b"attached" in said, said
        process.stdin.write(given)
        process.stdin.close()
        tracer.wait(60)
        return process.wait(10), _parse(log)


def _wait_for_its_arguments(process: subprocess.Popen[bytes]) -> None:
    """Wait until the process does nothing but read its standard input."""
    before: list[str] = []
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        # Number of the call, then its arguments: the first is the descriptor.
        found = Path(f"/proc/{process.pid}/syscall").read_text().split()
        if len(found) > 2 and found[1] == "0x0" and found == before:
            return
        before = found
        time.sleep(0.01)
    raise AssertionError("the module does not ask for its arguments")


def _parse(log: Path) -> list[Call]:
    calls = []
    seen: Counter[str] = Counter()
    for line in log.read_text().splitlines():
        match = _LINE.fullmatch(line)
        if match is None:
            assert line.startswith(("+++", "---")) or "resumed>" in line, line
            continue
        name, arguments, result, _ = match.groups()
        seen[name] += 1
        paths: list[str] = []
        descriptor, directory, data = -1, "", b""
        for token in _TOKEN.finditer(arguments):
            number, of, text = token.groups()
            if number is not None:
                directory = _text(of).decode()
                if number != "AT_FDCWD" and descriptor < 0:
                    descriptor = int(number)
                if '"' not in arguments or name in (*_WRITES, "read", "pread64"):
                    paths.append(directory)
            elif name in (*_WRITES, "read", "pread64"):
                data = _text(text)
            else:
                paths.append(os.path.join(directory, _text(text).decode(errors="surrogateescape")))
        calls.append(
            Call(name, seen[name], descriptor, tuple(paths), data, arguments, None if result == "?" else int(result))
        )
    return calls


def _text(hexadecimal: str) -> bytes:
    return bytes.fromhex(hexadecimal.replace("\\x", ""))
