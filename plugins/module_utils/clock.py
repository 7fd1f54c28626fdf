# SPDX-License-Identifier: GPL-3.0-or-later
"""A camera's clock: how far it is ahead of the orchestrator's, and how it is set. Standard library only.

A camera has no clock that runs on while it is switched off, and names its images by the one that it has.
"""

from __future__ import annotations

import math
import os
import subprocess
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from . import figures
from .errors import Error, one_line

NOTICEABLE = 2.0
"""Seconds that a camera's clock must be wrong before anybody needs to know."""
SET_FROM = 30.0
"""Seconds that it must be wrong before it is set: a login takes a few of them on a busy camera."""
_DRIFT = 5e-4
"""Seconds per second by which two clocks run apart, at the very most: as fast as a kernel is made to slew one."""
_ENDING = 1.0
"""Seconds that a login takes to end after the camera has read its clock; a tenth where it is not busy."""

Run = Callable[[Sequence[str]], tuple[int, str, str]]
"""Runs a command, returns exit status, standard output, standard error."""


class Estimate(NamedTuple):
    """How far a clock is ahead, in seconds."""

    offset: float
    uncertainty: float
    """By how much that can be wrong."""


class Offset:
    """How far a camera's clock is ahead of ours: every answer narrows it down.

    What contradicts all before it counts alone: the clock was set meanwhile.

    Args:
        monotonic: returns seconds, of a clock that is never set.
    """

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        # One assignment, because another thread may read: at least, at most, when that was known.
        self._known = (-math.inf, math.inf, monotonic())

    def dated(self, shown: float, sent: float, received: float) -> None:
        """Take in an answer's date, whose fraction of a second is cut off, and our time before and after."""
        self._narrow(shown - received, shown + 1.0 - sent)

    def logged_in(self, shown: float, received: float) -> Estimate:
        """Take in what the clock showed at the end of a login, and our time after that; return what is known."""
        self._narrow(shown - received, shown - received + _ENDING)
        return self._said()

    @property
    def estimate(self) -> Estimate | None:
        """What is known; None if nothing is."""
        return None if math.isinf(self._known[0]) else self._said()

    def _said(self) -> Estimate:
        low, high, _unused = self._known
        return Estimate(round((low + high) / 2, 2), round((high - low) / 2, 2))

    def _narrow(self, low: float, high: float) -> None:
        known_low, known_high, then = self._known
        now = self._monotonic()
        apart = _DRIFT * (now - then)
        narrow = max(low, known_low - apart), min(high, known_high + apart)
        self._known = (*(narrow if narrow[0] <= narrow[1] else (low, high)), now)


def said(seconds: float) -> str:
    """Return how far a clock is ahead as people say it, e.g. ``2 min behind``."""
    return f"{figures.about(seconds)} {'ahead' if seconds > 0 else 'behind'}"


def now_there(sent: float) -> float:
    """Return the time by the orchestrator, which sent it to this process before it was started.

    What the sending itself took is not known, a second or so: the clock is that much behind afterwards.
    """
    with open("/proc/self/stat", encoding="ascii", errors="replace") as file:
        ticks = int(file.read().rpartition(")")[2].split()[19])
    with open("/proc/uptime", encoding="ascii") as file:
        uptime = float(file.read().split()[0])
    return sent + max(0.0, uptime - ticks / os.sysconf("SC_CLK_TCK"))


def correct(sent: float | None, instead: str = "") -> dict[str, Any]:
    """Set this camera's clock if it is far off; return what a module's result says of it.

    Nothing here may cost a recording: whatever goes wrong is a note.

    Args:
        sent: the orchestrator's time when this process was asked for, in seconds since 1970; None to leave the clock.
        instead: what to say where it is not to be set now.
    """
    try:
        if sent is None or abs(ahead := time.time() - now_there(sent)) < SET_FROM:
            return {}
        if instead:
            return {"clock_note": instead}
        return {"clock_stepped": round(set_by(-ahead), 3)}
    except (Error, OSError, ValueError, IndexError, OverflowError) as error:
        return {"clock_note": f"not set: {one_line(str(error), 200)}"}


def _run(command: Sequence[str]) -> tuple[int, str, str]:
    done = subprocess.run(
        command,
        check=False,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=5,
        env={**os.environ, "LC_ALL": "C"},
    )
    return done.returncode, done.stdout, done.stderr


def set_by(seconds: float, run: Run = _run, root: bool | None = None) -> float:
    """Set this machine's clock forward by `seconds`, unless it is kept right by others.

    Args:
        seconds: negative to set it back.
        run: runs a command.
        root: whether we are root.

    Returns:
        By how many seconds it was set.

    Raises:
        Error: if it was not.
    """
    root = os.geteuid() == 0 if root is None else root
    try:
        status, out, err = run(["timedatectl", "show", "--property", "NTP", "--property", "NTPSynchronized"])
        kept = dict(line.partition("=")[::2] for line in out.splitlines())
        if status or "NTPSynchronized" not in kept:
            raise Error("ask timedatectl whether it is kept right", err or f"it ended with status {status}")
        if kept["NTPSynchronized"] != "no":
            raise Error("", "it is kept right by a time server, so that ours may be wrong")
        before, since = time.time(), time.monotonic()
        to = f"@{before + seconds:.3f}"
        # timedatectl refuses where a time service is enabled, which is how a Raspberry Pi comes, with or without
        # a network; the kernel does not, and systemd-timesyncd leaves the clock alone until it hears of a server.
        # For anybody but root it is the only way, if polkit allows it.
        status, out, err = run(
            ["date", "--utc", f"--set={to}"] if root else ["timedatectl", "set-time", to, "--no-ask-password"]
        )
        if status:
            raise Error("", err or out or f"status {status}")
    except subprocess.TimeoutExpired as error:
        raise Error(f"run {error.cmd[0]}", "no end within 5 s") from None
    return time.time() - before - (time.monotonic() - since)
