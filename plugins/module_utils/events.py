# SPDX-License-Identifier: GPL-3.0-or-later
"""The list of what happened in an experiment: one JSON object a line, whole lines only."""

from __future__ import annotations

import contextlib
import datetime as dt
import fcntl
import json
import os
import re
from typing import Any

from . import durable

MEASURED = ("clock", "card")
"""Events that note what was measured: nothing has happened to the camera by them."""

_AT = re.compile(rb'^\{"at": "([0-9T:.+-]{19,40})"', re.MULTILINE)


def append(path: str, event: str, camera: str | None = None, **details: Any) -> None:
    """Add one line to `path`: when (local time with its offset), which camera, what, details.

    A line that a power cut tore is ended first, so that it costs no other.
    """
    line = {"at": now(), "camera": camera, "event": event, **details}
    durable.make_directories(os.path.dirname(path))
    # Whatever the umask: others may read what happened, not write it.
    with open(path, "a+b", opener=lambda name, flags: os.open(name, flags, 0o644)) as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        size = file.seek(0, os.SEEK_END)
        torn = False
        if size:
            file.seek(-1, os.SEEK_END)
            torn = file.read(1) != b"\n"
        file.write((b"\n" if torn else b"") + json.dumps(line, ensure_ascii=False).encode(errors="replace") + b"\n")
        file.flush()
        os.fsync(file.fileno())


def read(path: str) -> list[dict[str, Any]]:
    """Return the events of `path` in order; torn lines are left out."""
    found = []
    try:
        with open(path, "rb") as file:
            for line in file:
                try:
                    event = json.loads(line)
                except (ValueError, RecursionError):
                    continue
                if isinstance(event, dict):
                    found.append(event)
    except FileNotFoundError:
        pass
    return found


def newest(path: str) -> dt.datetime | None:
    """Return the latest time that any event of `path` bears, which need not be the last one; None if there is none."""
    try:
        with open(path, "rb") as file:
            # Not parsed as a whole: there may be a year of them.
            found = set(_AT.findall(file.read()))
    except FileNotFoundError:
        return None
    times = []
    for at in found:
        with contextlib.suppress(ValueError):
            times.append(dt.datetime.fromisoformat(at.decode()))
    return max((at for at in times if at.tzinfo), default=None)


def now() -> str:
    """Return the local time with its offset from UTC, to the second, in ISO 8601."""
    return dt.datetime.now().astimezone().isoformat(timespec="seconds")
