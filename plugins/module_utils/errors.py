# SPDX-License-Identifier: GPL-3.0-or-later
"""What goes wrong, in one line that a person in the field can act on."""

from __future__ import annotations


class Error(Exception):
    """A failure that is told to a person.

    Args:
        tried: what was tried, e.g. ``stop wildberryeye.service``.
        came_back: what came back instead, e.g. ``Unit not found``.
        advice: what to do about it, a sentence; may be empty.
    """

    def __init__(self, tried: str, came_back: str, advice: str = "") -> None:
        self.tried = one_line(tried)
        self.came_back = one_line(came_back)
        self.advice = one_line(advice)
        super().__init__(self.tried, self.came_back, self.advice)

    def __str__(self) -> str:
        text = f"{self.tried}: {self.came_back}" if self.tried else self.came_back
        return f"{text}. {self.advice}" if self.advice else text


def one_line(text: str, limit: int = 400) -> str:
    """Return `text` on one line, without control characters, of at most `limit` characters, no full stop."""
    words = " ".join(text.split())
    clean = "".join(c if c.isprintable() else "?" for c in words).rstrip(" .")
    return clean if len(clean) <= limit else clean[: limit - 1] + "…"


def from_os_error(tried: str, error: OSError) -> Error:
    """Return `error` as a line: which file, what the system said, what usually mends it."""
    import errno

    advice = {
        errno.ENOSPC: "Free some space there and run it again: nothing is lost",
        errno.EDQUOT: "Free some space there and run it again: nothing is lost",
        errno.EACCES: "Check owner and mode of that path",
        errno.EPERM: "Check owner and mode of that path",
        errno.EROFS: "The file system is read-only: the card or disk may be failing",
        errno.EIO: "The card or disk may be failing: copy what is on it and replace it",
    }.get(error.errno or 0, "")
    where = f" ({error.filename})" if error.filename else ""
    return Error(tried, f"{error.strerror or error}{where}", advice)
