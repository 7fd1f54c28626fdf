# SPDX-License-Identifier: GPL-3.0-or-later
"""A camera as the heartbeat's thoughts see it, whose clock runs from one moment that matters to the next."""

from __future__ import annotations

from typing import Any

from ansible_collections.wildberryeye.orchestrator.plugins.module_utils import clock, watch
from ansible_collections.wildberryeye.orchestrator.plugins.module_utils.watch import (
    COLLECT,
    EXPECTED,
    FINE,
    RESTART,
    Event,
    Finding,
    Look,
    Watch,
)

CLOCK = clock.Estimate(0.2, 0.3)
SETTINGS = watch.Settings(interval=60, timeout=15, failures=3, ready_timeout=300)
NOW = 1000.0
PHASE = 10.0

AWAY = Look(False, "No route to host")
STOPPED = Look(True, process="")
YOUNG = Look(True, active=True, age=20, process="b")
OLD = Look(True, active=True, age=5000, process="a")

REMEDIES = {
    watch.DOWN: RESTART,
    watch.WEDGED: RESTART,
    watch.FAULTY: RESTART,
    watch.DEAD: RESTART,
    EXPECTED: RESTART,
    watch.STORAGE: COLLECT,
}
"""What is tried for each state that something can be done for."""


class Camera:
    """A watch with a clock: each finding comes at the moment at which it is due."""

    def __init__(self, last_good: float = NOW, now: float = NOW, **changed: Any) -> None:
        self.watch = Watch(SETTINGS._replace(**changed), PHASE, now, last_good)
        self.now = now
        self.told: list[Event] = []
        self.last: tuple[str, Look | None] = (FINE, None)

    @property
    def state(self) -> str:
        return self.watch.state

    @property
    def names(self) -> list[str]:
        return [event.name for event in self.told]

    def probe(self, kind: str = FINE, look: Look | None = None, times: int = 1, took: float = 0, **said: Any) -> Camera:
        """Let so many probes in a row find this."""
        self.last = (kind, look)
        for _ in range(times):
            began = max(self.now, self.watch.next_probe)
            self.now = began + took
            self.told += self.watch.probed(self.now, Finding(began, kind, f"so {kind}", look=look, **said))
        return self

    def remedy(self, helped: bool = False, took: float = 30) -> float:
        """Let the remedy be tried as soon as it is wanted, probes finding what they found; return when it began."""
        step = 1.0
        while (wanted := self.watch.wanted(self.now)) is None:
            self.now += step
            if self.now >= self.watch.next_probe:
                kind, look = self.last
                self.told += self.watch.probed(self.now, Finding(self.now, kind, f"so {kind}", look=look))
            assert self.now < NOW + 1e6, "it is never tried"
        began = self.now
        self.told += self.watch.remedy_began(self.now, wanted)
        assert self.watch.wanted(self.now) is None
        self.now += took
        self.told += self.watch.remedy_ended(self.now, helped, "because")
        return began


def down() -> Camera:
    """One whose service is stopped, as is known."""
    camera = Camera().probe().probe("refused", STOPPED, 3)
    camera.told.clear()
    return camera
