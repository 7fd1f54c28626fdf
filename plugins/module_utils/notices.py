# SPDX-License-Identifier: GPL-3.0-or-later
"""The directory through which whoever notices something tells the sender of alerts: one small file for each notice.

It is there where alerts are wanted, and nowhere else: setup makes it. When something lies in it, systemd starts the
sender.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import time
from typing import NamedTuple

from . import durable
from .alert import Notice

STATE = "~/.local/state/wildberryeye/alerts"
"""Where alerts are kept, below the home of the orchestrator's user."""
CONFIG = "~/.config/wildberryeye/alerts.json"
"""The URLs: readable by that user alone."""
MOST = 200
"""Notices that may lie there; an older one gives way."""

_SUFFIX = ".json"
_count = itertools.count()


class Found(NamedTuple):
    """A notice that lies there."""

    path: str
    notice: Notice | None
    """None if it cannot be understood."""


def directory(state: str) -> str:
    """Return where notices lie, below `state`."""
    return os.path.join(state, "notices")


def wanted(state: str) -> bool:
    """Tell whether anybody is to be told."""
    return os.path.isdir(directory(state))


def put(state: str, topic: str, bad: bool, text: str = "", run: str = "") -> bool:
    """Leave a notice; tell whether anybody is to be told at all.

    Args:
        state: see `STATE`, with ``~`` expanded.
        topic, bad, text, run: see `Notice`.

    Raises:
        OSError: if it cannot be written.
    """
    if not wanted(state):
        return False
    for name in _names(state)[: -MOST + 1 or None]:
        durable.remove(os.path.join(directory(state), name))
    # In order of time, and no two processes take the same name.
    name = f"{time.time_ns():020d}-{os.getpid()}-{next(_count)}{_SUFFIX}"
    temporary = os.path.join(state, f"{name}.tmp")
    try:
        with open(temporary, "xb", opener=lambda path, flags: os.open(path, flags, 0o600)) as file:
            file.write(json.dumps(Notice(time.time(), topic, bad, text, run)._asdict()).encode())
            file.flush()
            os.fsync(file.fileno())
        durable.publish(temporary, os.path.join(directory(state), name))
    except OSError:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
    return True


def lying(state: str) -> list[Found]:
    """Return the notices that lie there, the oldest first."""
    found = []
    for name in _names(state):
        path = os.path.join(directory(state), name)
        try:
            with open(path, "rb") as file:
                notice = Notice.read(json.load(file))
        except FileNotFoundError:
            continue
        except (ValueError, RecursionError):
            notice = None
        found.append(Found(path, notice))
    return found


def _names(state: str) -> list[str]:
    try:
        return sorted(os.listdir(directory(state)))
    except (FileNotFoundError, NotADirectoryError):
        return []
