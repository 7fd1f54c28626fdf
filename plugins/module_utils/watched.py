# SPDX-License-Identifier: GPL-3.0-or-later
"""A camera that is to record, with all that the heartbeat knows of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from . import watch
from .filling import Filling
from .probe import Camera
from .record import CameraRecord


class Watched(NamedTuple):
    """A camera that is to record."""

    camera: Camera
    watch: watch.Watch
    experiment: str
    entry: CameraRecord
    until: str
    """When the experiment ends."""
    card: Filling

    def memory(self, written: Callable[[float], Any]) -> dict[str, Any]:
        """Return what a heartbeat that is started again must know; `written` says how to write a time."""
        return {
            "experiment": self.experiment,
            "clock_offset": self.camera.client.clock_offset,
            "free": self.card.free,
            "card": self.card.memory(written),
            **self.watch.memory(written),
        }

    def remember(self, memory: Mapping[str, Any], read: Callable[[Any], float]) -> None:
        """Take over what `memory` of an earlier heartbeat says; `read` reads a time.

        Raises:
            KeyError, TypeError, ValueError, OverflowError: if it is not what `memory` returns.
        """
        self.watch.remember(memory, read)
        if "card" in memory:
            self.card.remember(memory["card"], read)
