# SPDX-License-Identifier: GPL-3.0-or-later
"""Locks that name their owner and are void when it is dead.

The owner is a process: boot id, process id and start time together, so that a killed owner, a reboot or
a process id used again all make the lock void. Locks keep runs out of each other's way; that no image is
lost rests on batches and receipts, never on them.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

from . import durable, processes
from .errors import Error

_ENDING = 30.0
"""Seconds that an owner has to end after it was asked to."""


class Owner(NamedTuple):
    """Who holds a lock."""

    boot: str
    pid: int
    started: int
    """When the process started, in clock ticks after boot."""
    purpose: str
    """``start``, ``stop``, ``restart`` or ``collect``."""

    @classmethod
    def of(cls, pid: int, purpose: str) -> Owner:
        """Return process `pid` as an owner."""
        return cls(_boot_id(), pid, processes.started(pid) or 0, purpose)

    def alive(self) -> bool:
        """Tell whether that very process still runs."""
        started = processes.started(self.pid)
        return self.boot == _boot_id() and started is not None and self.started == started

    def __str__(self) -> str:
        return f"a {self.purpose} that is running (process {self.pid})"


class Held(Error):
    """A lock that another run holds, and keeps."""


def owner(directory: str, name: str) -> Owner | None:
    """Return the living owner of the lock `name`, or None where it is free or void."""
    try:
        with open(os.path.join(directory, f"{name}.lock"), "rb") as file:
            found = Owner(**json.load(file))
    except (FileNotFoundError, ValueError, TypeError, RecursionError):
        return None
    return found if found.alive() else None


def take(
    directory: str,
    name: str,
    new: Owner,
    wait: float,
    end: Callable[[Owner], bool] = lambda owner: False,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Take the lock `name`.

    Args:
        directory: where locks lie; made if missing.
        name: the lock's name.
        new: the owner that takes it; one that holds it already keeps it.
        wait: seconds to wait for its owner.
        end: tells whether an owner that is in the way is to be ended first.
        sleep: waits so many seconds.

    Raises:
        Held: if the owner still holds it after `wait`.
    """
    deadline = time.monotonic() + wait
    ended: set[Owner] = set()
    while True:
        with _guarded(directory):
            held = owner(directory, name)
            if held is None or held[:3] == new[:3]:
                with durable.replacing(os.path.join(directory, f"{name}.lock")) as file:
                    file.write(json.dumps(new._asdict()).encode())
                return
        if held not in ended and end(held):
            ended.add(held)
            _end(held)
            deadline = max(deadline, time.monotonic() + _ENDING)
        if time.monotonic() >= deadline:
            raise Held(f"take the lock {name}", f"it is held by {held}", "Let it finish, or end it, and run again")
        sleep(0.2)


def release(directory: str, name: str, held: Owner) -> None:
    """Give the lock `name` back, if `held` holds it."""
    with _guarded(directory):
        if (found := owner(directory, name)) is not None and found[:3] == held[:3]:
            durable.remove(os.path.join(directory, f"{name}.lock"))


@contextlib.contextmanager
def exclusive(directory: str, name: str) -> Iterator[None]:
    """Keep other processes out of the block; they wait, without a limit."""
    durable.make_directories(directory)
    guard = os.path.join(directory, f"{name}.guard")
    with open(guard, "ab", opener=lambda path, flags: os.open(path, flags, 0o644)) as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _guarded(directory: str) -> contextlib.AbstractContextManager[None]:
    return exclusive(directory, "locks")


def _end(held: Owner) -> None:
    """Ask the owner to end; ansible-playbook passes the signal on to what it has started."""
    with contextlib.suppress(ProcessLookupError):
        descriptor = os.pidfd_open(held.pid)
        try:
            # The descriptor is of this process for good; only now is it sure that it is the right one.
            if held.alive():
                signal.pidfd_send_signal(descriptor, signal.SIGTERM)
        finally:
            os.close(descriptor)


def _boot_id() -> str:
    with open("/proc/sys/kernel/random/boot_id") as file:
        return file.read().strip()
