# SPDX-License-Identifier: GPL-3.0-or-later
"""Figures as people read them: lengths of time, sizes, numbers of images. Standard library only.

page.js of the live page says lengths (as `about` does) and sizes in the same way.
"""

from __future__ import annotations

_LENGTHS = (("days", 86400), ("h", 3600), ("min", 60))
_SIZES = (("TB", 10**12), ("GB", 10**9))


def span(seconds: float) -> str:
    """Return a length of time that is to be read exactly: ``42 s``, ``3 min 5 s``, ``2 h 10 min``.

    What is left of the last unit is cut off, so that a part never reads like the whole; less than nothing is ``0 s``.
    """
    minutes, rest = divmod(max(0, round(seconds)), 60)
    if not minutes:
        return f"{rest} s"
    unit, smaller = "min", "s"
    if minutes >= 60:
        (minutes, rest), unit, smaller = divmod(minutes, 60), "h", "min"
    return f"{minutes} {unit} {rest} {smaller}" if rest else f"{minutes} {unit}"


def about(seconds: float) -> str:
    """Return a length of time, of whatever sign, that goes on or is known roughly: ``12 s``, ``24 h``, ``4 days``."""
    length = abs(seconds)
    for unit, seconds_in_it in _LENGTHS:
        if length >= 2 * seconds_in_it:
            return f"{length / seconds_in_it:.0f} {unit}"
    return f"{length:.0f} s"


def size(count: float) -> str:
    """Return bytes: ``80.1 MB``, ``25.3 GB``."""
    for unit, bytes_in_it in _SIZES:
        if count >= bytes_in_it:
            return f"{count / bytes_in_it:.1f} {unit}"
    return f"{count / 1e6:.1f} MB"


def images(count: int) -> str:
    """Return ``1 image`` or ``412 images``."""
    return f"{count} image{'' if count == 1 else 's'}"
