# SPDX-License-Identifier: GPL-3.0-or-later
"""What the heartbeat has people know who are not there: notices for the sender of alerts, and the dead man's ping."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping

from . import alert, concern, figures, filling, notices, steady_time
from .heartbeat_config import Config
from .layout import Layout
from .ping import Ping
from .watched import Watched


class People:
    """Those who are not there.

    Args:
        config: what the heartbeat was told.
        say: writes a line to the journal.
    """

    def __init__(self, config: Config, say: Callable[[str], None]) -> None:
        self._config = config
        self._layout = Layout(config.data_dir)
        self._say = say
        self._edges = concern.Edges()
        self._unwritten = ""
        """What kept a notice from being left, as long as it does."""
        self._ping = Ping(say)
        self._pinged_at = -config.interval

    def think_of(self, watched: Mapping[str, Watched], now: float) -> None:
        """Leave a notice of what has become news, and say elsewhere that all this is alive."""
        if watched and now >= self._pinged_at + self._config.interval:
            self._pinged_at = now
            self._ping.send(self.ping_url())
        if not self._config.alerts or not notices.wanted(self._config.alerts):
            return
        there = self._layout.is_there()
        lost = f"the data directory {self._layout.data_dir} is not there. Plug the disk in"
        self.notice("disk/data directory", concern.Concern(not there, "is there again" if there else lost), now)
        for name, each in watched.items():
            self.notice(f"camera/{name}", concern.of_camera(each.watch, now), now)
            self.notice(f"card/card of {name}", self._of_card(each, now), now)
        if there:
            self.notice("space/disk of the orchestrator", self._of_disk(watched, now), now)

    def _of_card(self, each: Watched, now: float) -> concern.Concern | None:
        too_small = each.card.too_small(now, self._emptied(each, now))
        full = each.card.full_at()
        if too_small and full is not None and each.card.free is not None and each.card.rate is not None:
            return concern.Concern(
                True,
                f"will be full at about {steady_time.written(full)[11:16]}, before it is emptied: "
                f"{figures.size(each.card.free)} free, {figures.size(each.card.rate * filling.HOUR)} an hour. "
                "Run collect.yml before that",
            )
        return None if too_small is None else concern.Concern(False, "lasts until it is emptied")

    def _of_disk(self, watched: Mapping[str, Watched], now: float) -> concern.Concern | None:
        cards = [(each.card, self._emptied(each, now)) for each in watched.values() if each.card.rate is not None]
        if not cards:
            return None
        try:
            space = os.statvfs(self._layout.data_dir)
        except OSError:
            return None
        free = space.f_bavail * space.f_frsize
        coming = filling.expected(cards, now)
        if coming > free:
            return concern.Concern(
                True,
                f"will be full before all is home: about {figures.size(coming)} come, {figures.size(free)} are free."
                f" Make room below {self._layout.data_dir}",
            )
        return concern.Concern(False, "has room for what comes") if filling.RELIEF * coming <= free else None

    def _emptied(self, each: Watched, now: float) -> float:
        """Return when the camera's card will be empty again: with the stop, or with the second collection from now."""
        until = steady_time.read(each.until)
        return min(until, now + 2 * self._config.collection) if self._config.collection else until

    def notice(self, topic: str, found: concern.Concern | None, now: float) -> None:
        """Leave a notice of how `topic` is, if that is news."""
        if found is None or not self._edges.news(topic, found, now):
            return
        try:
            notices.put(self._config.alerts, topic, found.bad, found.text)
            self._unwritten = ""
        except OSError as error:
            # It must not end the watch; it is tried again, and said once.
            self._edges.forget(topic)
            wrong = f"{self._config.alerts}: no notice can be left for the alerts: {error.strerror}"
            if wrong != self._unwritten:
                self._say(wrong)
            self._unwritten = wrong

    def ping_url(self) -> str:
        """Return what is asked for at every interval; empty for nothing."""
        if not self._config.secrets:
            return ""
        try:
            with open(self._config.secrets, "rb") as file:
                return str(alert.settings(json.load(file))["ping_url"])
        except (OSError, ValueError, RecursionError):
            # Where nobody wants one, there is no such file.
            return ""
