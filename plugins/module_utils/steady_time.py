# SPDX-License-Identifier: GPL-3.0-or-later
"""Times of the clock that never goes back, by which the heartbeat decides, and how they are written."""

from __future__ import annotations

import datetime as dt
import time

_APART = 0.01
"""Seconds by which both clocks may have run apart since a time was read: a time server slews one by 0.5 ms a second."""


def written(at: float) -> str:
    """Return `at`, in seconds of `time.monotonic`, as local time with its offset, in ISO 8601."""
    # A whole second, as it is read back, must not become the one before.
    return dt.datetime.fromtimestamp(at + _boot() + _APART).astimezone().isoformat(timespec="seconds")


def read(text: str) -> float:
    """Return a time that was written; one of before 1970 could not be written again.

    Raises:
        TypeError, ValueError, OverflowError: if it is none.
    """
    return max(0.0, dt.datetime.fromisoformat(text).timestamp()) - _boot()


def _boot() -> float:
    """Return by how many seconds the clock on the wall is ahead of the one that never goes back.

    It is not the same all day: after a power cut the first one is set by the network, by hours or days.
    """
    return time.time() - time.monotonic()
