# SPDX-License-Identifier: GPL-3.0-or-later
"""How fast a disk fills, and whether it will be full before a certain moment. No I/O, and no clock of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

HOUR = 3600.0
LOOK_BACK = 3 * HOUR
"""Seconds over which the rate is taken: what carrying images home frees counts as well."""
AT_LEAST = HOUR
"""Seconds that must have been seen before anything is foretold."""
APART = 600.0
"""Seconds between two looks that are kept."""
RELIEF = 1.25
"""A disk that was too small is large enough again once it lasts for so many times as long as it must."""


class Filling:
    """The free space of one disk. Times are in seconds of one clock that never goes back."""

    def __init__(self) -> None:
        self.seen: list[tuple[float, int]] = []
        """When, and how many bytes were free."""
        self.most = 0
        """The most that was ever free."""

    def see(self, now: float, free: int) -> None:
        """Note that `free` bytes are free."""
        self.most = max(self.most, free)
        if len(self.seen) > 1 and self.seen[-1][0] - self.seen[-2][0] < APART:
            self.seen.pop()
        self.seen = [look for look in self.seen if look[0] > now - LOOK_BACK] + [(now, free)]

    @property
    def free(self) -> int | None:
        """How many bytes were free last; None if that is not known."""
        return self.seen[-1][1] if self.seen else None

    @property
    def rate(self) -> float | None:
        """How many bytes a second are used up, never less than 0; None if that is not known yet."""
        if not self.seen or self.seen[-1][0] - self.seen[0][0] < AT_LEAST:
            return None
        (first, before), (last, after) = self.seen[0], self.seen[-1]
        return max(0.0, (before - after) / (last - first))

    @property
    def used(self) -> int:
        """How many bytes have been used up since the most was free: what waits to be carried away."""
        return self.most - self.seen[-1][1] if self.seen else 0

    def full_at(self) -> float | None:
        """Return when it will be full; None if that is not known, or never."""
        rate = self.rate
        return self.seen[-1][0] + self.seen[-1][1] / rate if rate else None

    def too_small(self, now: float, until: float) -> bool | None:
        """Tell whether it will be full before `until`; None if that is not known, or not clear."""
        if self.rate is None:
            return None
        full = self.full_at()
        if full is None or full >= now + RELIEF * (until - now):
            return False
        return True if full < until else None

    def memory(self, written: Callable[[float], Any]) -> dict[str, Any]:
        """Return what must be known after a restart; `written` says how to write a time."""
        return {"most": self.most, "seen": [[written(at), free] for at, free in self.seen]}

    def remember(self, memory: Mapping[str, Any], read: Callable[[Any], float]) -> None:
        """Take over what `memory` has returned; `read` reads a time.

        Raises:
            KeyError, TypeError, ValueError: if it is something else; nothing is taken over then.
        """
        seen = [(read(at), free) for at, free in memory["seen"]]
        counts = [memory["most"], *(free for _unused, free in seen)]
        whole = all(isinstance(count, int) and not isinstance(count, bool) and count >= 0 for count in counts)
        if seen != sorted(seen) or not whole:
            raise ValueError(memory)
        self.most, self.seen = memory["most"], seen


def expected(cards: Iterable[tuple[Filling, float]], now: float) -> int:
    """Return how many bytes will have been carried away from cards by the time that each is emptied.

    Args:
        cards: each with the moment at which it is emptied.
        now: the time.
    """
    return sum(card.used + int((card.rate or 0.0) * max(0.0, until - now)) for card, until in cards)
