# SPDX-License-Identifier: GPL-3.0-or-later
"""The dead man's ping: says to a service elsewhere that this is alive, so that silence is noticed there."""

from __future__ import annotations

import threading
from collections.abc import Callable

try:
    import requests
except ImportError:  # pragma: no cover
    # Whoever sends a ping is told; nothing else here needs it.
    requests = None  # type: ignore[assignment]

TIMEOUT = 10.0
"""Seconds for the connection, and for the answer."""


class Ping:
    """Sends pings from a thread of its own: nothing waits for one, and never two are under way.

    Args:
        say: says a line to people. The URL is a secret and is in no line.
    """

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._thread: threading.Thread | None = None
        self._wrong = ""

    def send(self, url: str) -> bool:
        """Ask for `url`, unless the ping before is still under way; tell whether it was sent off."""
        if not url or (self._thread is not None and self._thread.is_alive()):
            return False
        self._thread = threading.Thread(target=self._send, args=(url,), name="ping", daemon=True)
        self._thread.start()
        return True

    @staticmethod
    def ask(url: str) -> str:
        """Ask for `url`, and wait; return what is wrong in a few words, empty if nothing is."""
        if requests is None:
            return "the Python package requests is not installed"
        try:
            # Nothing of the answer matters but that there is one, and that it is no way to somewhere else.
            with requests.get(url, timeout=TIMEOUT, stream=True, allow_redirects=False) as answer:
                return "" if answer.status_code // 100 == 2 else f"HTTP {answer.status_code}"
        except requests.Timeout:
            return f"no answer within {TIMEOUT:.0f} s"
        except requests.exceptions.SSLError:
            return "its certificate is not trusted"
        except requests.ConnectionError:
            return "no connection"
        except (requests.RequestException, ValueError, OSError):
            return "it cannot be asked for"

    def _send(self, url: str) -> None:
        wrong = self.ask(url)
        # Once, however long it lasts.
        if wrong and not self._wrong:
            self._say(f"wildberryeye_ping_url: {wrong}. It is tried again each time; this is said once")
        elif self._wrong and not wrong:
            self._say("wildberryeye_ping_url: answers again")
        self._wrong = wrong
