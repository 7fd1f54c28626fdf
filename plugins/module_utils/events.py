# SPDX-License-Identifier: GPL-3.0-or-later
"""The list of what happened in an experiment: one JSON object a line, whole lines only."""

from __future__ import annotations

import datetime as dt
import fcntl
import json
import os
from typing import Any

from . import durable


def append(path: str, event: str, camera: str | None = None, **details: Any) -> None:
    """Add one line to `path`: when (local time with its offset), which camera, what, details.

    A line that a power cut tore is ended first, so that it costs no other.
    """
    line = {"at": now(), "camera": camera, "event": event, **details}
    durable.make_directories(os.path.dirname(path))
    with open(path, "a+b") as file:
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


def now() -> str:
    """Return the local time with its offset from UTC, to the second, in ISO 8601."""
    return dt.datetime.now().astimezone().isoformat(timespec="seconds")
