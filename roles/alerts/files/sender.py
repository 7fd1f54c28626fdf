# SPDX-License-Identifier: GPL-3.0-or-later
"""Sends alerts: takes in the notices that lie there, decides what people are told, and tries until all have got it.

systemd starts it when there is a notice, and once at boot; it ends by itself when nothing is left to tell. So an alert
outlives whoever raised it, a night without a network, and a power cut.
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
import sys
import time
from collections.abc import Mapping
from typing import Any

from ansible_collections.wildberryeye.orchestrator.plugins.module_utils import alert, delivery, durable, notices

DELIVER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "deliver.py")
AGAIN = (60.0, 120.0, 300.0, 600.0, 900.0)
"""Seconds after a delivery that failed until the next: after the first, second, … in a row."""


class Sender:
    """All alerts of an orchestrator.

    Args:
        config: the path of the settings, see `alert.settings`.
        state: the directory where alerts are kept, see `notices.STATE`.
    """

    def __init__(self, config: str, state: str) -> None:
        self.config = config
        self.state = state
        self.desk = self._kept()
        self._written = self.desk.written()
        self._taken: set[str] = set()
        """Notices that were taken in, and could not be removed."""
        self._failed: dict[str, int] = {}
        self._next: dict[str, float] = {}
        self._said: dict[str, str] = {}

    def run(self) -> int:
        """Work until nothing is left to tell; return the exit status."""
        while True:
            settings = self._settings()
            # What happens at one moment is told in one message.
            time.sleep(settings["gather"])
            self.work(settings)
            if not self.desk.at_work and not notices.lying(self.state):
                return 0

    def work(self, settings: Mapping[str, Any]) -> None:
        """Take in what is new, and deliver what is due."""
        urls = settings["notify_urls"]
        found = notices.lying(self.state)
        new = [each.notice for each in found if each.notice is not None and each.path not in self._taken]
        self.desk.take(new, time.time(), map(alert.key, urls))
        # Before the notices go: whoever is killed in between takes them in once more, which changes nothing.
        self._keep()
        self._taken = {each.path for each in found if not self._removed(each.path)}
        for number, url in enumerate(urls):
            self._deliver(urls, number, alert.key(url))
        self._keep()

    def _deliver(self, urls: list[str], number: int, key: str) -> None:
        waiting = self.desk.waiting(key)
        if not waiting or time.monotonic() < self._next.get(key, 0.0):
            return
        title, body, bad = alert.message(waiting, socket.gethostname(), time.time())
        try:
            wrong = delivery.deliver(DELIVER, urls[number], title, body, bad)
        except delivery.NoApprise as error:
            wrong = error.came_back
        if not wrong:
            self.desk.delivered(key, waiting)
            self._failed.pop(key, None)
            self._next.pop(key, None)
            self._say(key, f"{delivery.name(urls, number)}: sent '{title}'", always=True)
            return
        self._failed[key] = self._failed.get(key, 0) + 1
        self._next[key] = time.monotonic() + AGAIN[min(self._failed[key], len(AGAIN)) - 1]
        self._say(key, f"{delivery.name(urls, number)}: {wrong}. It is tried again; this is said once")

    def _say(self, key: str, line: str, always: bool = False) -> None:
        if always or self._said.get(key) != line:
            print(line, flush=True)
        self._said[key] = line

    def _settings(self) -> Mapping[str, Any]:
        try:
            with open(self.config, "rb") as file:
                return alert.settings(json.load(file))
        except (OSError, ValueError, RecursionError):
            self._say("settings", f"{self.config} is missing, or torn: run setup.yml")
            return {"notify_urls": [], "ping_url": "", "gather": 60.0}

    def _path(self) -> str:
        return os.path.join(self.state, "desk.json")

    def _kept(self) -> alert.Desk:
        try:
            with open(self._path(), "rb") as file:
                return alert.Desk.read(file.read())
        except FileNotFoundError:
            pass
        except (OSError, ValueError):
            print(f"{self._path()} cannot be read: what was told before is not known any more", flush=True)
        return alert.Desk()

    def _keep(self) -> None:
        content = self.desk.written()
        if content == self._written:
            return
        try:
            with durable.replacing(self._path(), 0o600) as file:
                file.write(content)
            self._written = content
        except OSError as error:
            # A full disk is the very thing that people must hear of.
            self._say("keep", f"{self._path()}: {error.strerror}. Alerts are sent all the same")

    @staticmethod
    def _removed(path: str) -> bool:
        try:
            durable.remove(path)
        except OSError:
            return False
        return True


def main() -> int:
    """Run it: the arguments are the settings' path and the directory where alerts are kept."""
    config, state = sys.argv[1:]
    try:
        guard = os.open(state, os.O_RDONLY | os.O_DIRECTORY)
    except FileNotFoundError:
        # Nobody wants alerts.
        return 0
    try:
        fcntl.flock(guard, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        print("another one is sending them", flush=True)
        return 0
    return Sender(config, state).run()


if __name__ == "__main__":
    sys.exit(main())
