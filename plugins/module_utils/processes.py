# SPDX-License-Identifier: GPL-3.0-or-later
"""The processes of this machine, as Linux shows them (`proc_pid_stat(5)`)."""

from __future__ import annotations

import contextlib
import os

# Places in what follows a process's name.
_STATE, _PARENT, _STARTED = 0, 1, 19


def started(pid: int) -> int | None:
    """Return when a process was started, in ticks since the boot; None if there is no such process any more."""
    try:
        fields = _fields(pid)
    except (FileNotFoundError, ProcessLookupError):
        return None
    # A zombie has ended; its parent has not looked yet.
    return None if fields[_STATE] == "Z" else int(fields[_STARTED])


def children() -> list[int]:
    """Return the processes that this one has started."""
    found = []
    for name in filter(str.isdecimal, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            if int(_fields(int(name))[_PARENT]) == os.getpid():
                found.append(int(name))
    return found


def _fields(pid: int) -> list[str]:
    # The name, in brackets, may hold anything.
    with open(f"/proc/{pid}/stat", errors="replace") as file:
        return file.read().rpartition(")")[2].split()
