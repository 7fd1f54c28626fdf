# SPDX-License-Identifier: GPL-3.0-or-later
"""What the heartbeat tells of the cameras: in the journal, and in the events of their experiments."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from . import events, record, steady_time, watch
from .errors import from_os_error
from .layout import Layout
from .watched import Watched


class Telling:
    """What is told.

    Args:
        layout: the data directory.
        say: writes a line to the journal.
    """

    def __init__(self, layout: Layout, say: Callable[[str], None]) -> None:
        self._layout = layout
        self._say = say

    def happened(self, each: Watched, told: Iterable[watch.Event], now: float) -> None:
        """Tell what has happened to a camera."""
        name = each.camera.name
        for event in told:
            self._say(f"{name}: {event.name}: {event.text}" if event.text else f"{name}: {event.name}")
            details: dict[str, Any] = {"text": event.text, **event.details}
            if event.began is not None:
                began, ended = steady_time.written(event.began), steady_time.written(now)
                details.update({"from": began, "to": ended, "seconds": round(now - event.began)})
            if not self._layout.is_there():
                # Its directories would be made anew, and look like a station that records nothing.
                continue
            try:
                events.append(self._layout.events(each.experiment), event.name, name, **details)
            except OSError as error:
                # A full disk must not end the watch.
                self._say(str(from_os_error("write the events", error)))

    def watching(self, each: Watched, event: str, text: str, now: float) -> None:
        """Tell that a camera is watched from now on, or not any more, and until when it is known to have recorded.

        One that comes back has seen nothing of the meantime yet, and may never do: a stop can be faster.
        """
        known = {"last_good": steady_time.written(each.watch.last_good)}
        self.happened(each, [watch.Event(event, text, None, known)], now)

    def for_a_killed_one(self, records: Iterable[record.Record], memories: Mapping[str, Mapping[str, Any]]) -> None:
        """Tell until when an earlier heartbeat, which had no time to, saw cameras that are not to record any more.

        Args:
            records: what is open.
            memories: what it knew of each camera.
        """
        for name, memory in memories.items():
            for found in records:
                entry = found.cameras.get(name) if found.id == memory.get("experiment") else None
                if entry is not None and entry.state not in (record.EXPECTED, record.RECORDING):
                    said = {"text": "an earlier heartbeat was killed", "last_good": memory.get("last_good")}
                    try:
                        events.append(self._layout.events(found.id), "unwatched", name, **said)
                    except OSError as error:
                        self._say(str(from_os_error("write the events", error)))
