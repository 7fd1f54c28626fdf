# SPDX-License-Identifier: GPL-3.0-or-later
"""What of all that the heartbeat sees concerns people who are not there. No I/O, and no clock of its own."""

from __future__ import annotations

from typing import NamedTuple

from . import figures, watch

PATIENCE = 10
"""Intervals for which a camera may not record before anybody is told: most of it is mended within them."""
REMIND = 3600.0
"""Seconds after which trouble that goes on is noticed again; how often people hear of it is decided elsewhere."""

_WORDS = {
    watch.UNREACHABLE: "is out of reach",
    watch.EXPECTED: "has not begun to record",
    watch.STORAGE: "cannot store its pictures",
}


class Concern(NamedTuple):
    """How something is, as far as it concerns people."""

    bad: bool
    text: str


def of_camera(seen: watch.Watch, now: float) -> Concern | None:
    """Return how a camera is that is to record; None if that is not clear, or may be over soon."""
    if seen.state == watch.RECORDING:
        return Concern(False, "records again")
    if seen.state in (watch.UNKNOWN, watch.DOUBTFUL, watch.STARTING):
        return None
    lasts = now - seen.last_good
    if seen.state != watch.STORAGE and not seen.degraded and lasts < PATIENCE * seen.settings.interval:
        return None
    words = f"{_WORDS.get(seen.state, 'does not record')}, for {figures.span(lasts)}"
    words += f": {seen.text}" if seen.text else ""
    return Concern(True, words + ("; restarts do not help" if seen.degraded else ""))


class Edges:
    """Tells which concerns are news, so that each is passed on once, and once an hour while there is trouble."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[bool, float]] = {}

    def news(self, topic: str, concern: Concern | None, now: float) -> bool:
        """Tell whether `concern` about `topic` is to be passed on."""
        if concern is None:
            return False
        before = self._known.get(topic)
        if before is not None and before[0] == concern.bad and not (concern.bad and now - before[1] >= REMIND):
            return False
        self._known[topic] = (concern.bad, now)
        return True

    def forget(self, topic: str) -> None:
        """Have the next concern about `topic` passed on in any case."""
        self._known.pop(topic, None)
