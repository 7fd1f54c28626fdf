# SPDX-License-Identifier: GPL-3.0-or-later
"""A command that brings hosts up: however it is ended, it takes them down, and says so in one line."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from .podman import LabError


def run_command(name: str, work: Callable[[], int], removed: str = "") -> int:
    """Do a command's work; return its exit status.

    Args:
        name: the command's, with which its lines on standard error begin.
        work: returns the exit status of what was not broken off.
        removed: what an interrupted one has taken down, in words.

    Returns:
        What `work` returns; 1 where the lab or the system refused something; 130 after Ctrl-C, as a shell has it.
    """
    try:
        with terminating():
            return work()
    except (LabError, OSError) as error:
        print(f"{name}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"\n{name}: interrupted{'; ' if removed else ''}{removed}", file=sys.stderr)
        return 130


@contextmanager
def terminating() -> Iterator[None]:
    """Let SIGTERM end things as Ctrl-C does: through every `finally`, once."""

    def end(signum: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        raise SystemExit(128 + signum)

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
