# SPDX-License-Identifier: GPL-3.0-or-later
"""The latest picture of each camera, asked of the camera itself: seldom, one camera at a time, and kept in memory.

A camera is weak, and shares the air with the others. So it is asked only while somebody looks, once in `PAUSE` seconds,
and sends a picture only if it has a new one (`If-None-Match`).
"""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import socket
import threading
import time
from collections.abc import Callable, Mapping
from email.utils import parsedate_to_datetime
from typing import NamedTuple

PAUSE = 60.0
"""Seconds between two questions to the same camera."""
LARGEST = 2 * 1024 * 1024
"""Bytes of a picture that is taken in; 640x480 takes 190 KB."""
ALTOGETHER = 16 * 1024 * 1024
"""Bytes that all pictures together may take."""
_CONNECTING = 5.0
_WHOLE = 15.0
"""Seconds that an answer may take."""
_OLDEST = 100 * 86400.0
"""Seconds: a picture that says it is older says nothing."""

Address = tuple[str, int]
"""Host, IPv6 without brackets, and port."""


class Picture(NamedTuple):
    """A camera's latest picture."""

    content: bytes
    """A JPEG."""
    version: str
    """Another one for other bytes."""
    taken: float | None
    """When, in seconds since 1970 by our clock, whatever the camera's shows; None where it does not say."""
    etag: str = ""
    """The camera's own name for these bytes; empty if it has none."""


def fetch(address: Address, known: Picture | None = None) -> Picture | None:
    """Return a camera's latest picture; `known` itself where that is still the latest, None where it has none.

    Raises:
        OSError, http.client.HTTPException, ValueError: if there is no answer, or none that is a picture.
    """
    host, port = address
    connection = http.client.HTTPConnection(host, port, timeout=_CONNECTING)
    connection.connect()
    # Whatever comes how slowly: it ends.
    end = threading.Timer(_WHOLE, _hang_up, [connection.sock])
    end.daemon = True
    end.start()
    try:
        connection.request(
            "GET", "/latest-image", headers={"If-None-Match": known.etag} if known and known.etag else {}
        )
        answer = connection.getresponse()
        if answer.status == 304:
            return known
        if answer.status in (204, 500):
            # None since its service was started; or the newest was deleted.
            return known if answer.status == 500 else None
        if answer.status != 200:
            raise ValueError(f"HTTP status {answer.status}")
        content = answer.read(LARGEST + 1)
        if len(content) > LARGEST or content[:3] != b"\xff\xd8\xff" or content[-2:] != b"\xff\xd9":
            raise ValueError("no picture")
        etag = answer.headers.get("ETag", "")
        return Picture(
            content, hashlib.sha256(content).hexdigest()[:16], _taken(answer), etag if len(etag) < 200 else ""
        )
    finally:
        end.cancel()
        connection.close()


class Pictures:
    """The latest pictures of all cameras.

    Args:
        clock: returns seconds, monotonic.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._found: dict[str, Picture] = {}
        self._asked: dict[str, float] = {}
        self._due: dict[str, Address] = {}
        self._working = False

    def get(self, camera: str) -> Picture | None:
        """Return what is known of a camera."""
        with self._lock:
            return self._found.get(camera)

    def ask(self, cameras: Mapping[str, Address]) -> None:
        """Have those of `cameras` asked, before long, that were not asked for a while; does not wait for it."""
        with self._lock:
            now = self._clock()
            self._due = {
                name: address
                for name, address in cameras.items()
                if name not in self._asked or now >= self._asked[name] + PAUSE
            }
            if self._due and not self._working:
                self._working = True
                threading.Thread(target=self._work, name="pictures", daemon=True).start()

    def _work(self) -> None:
        while True:
            with self._lock:
                if not self._due:
                    self._working = False
                    return
                name = next(iter(self._due))
                address, known = self._due.pop(name), self._found.get(name)
                self._asked[name] = self._clock()
            # Whatever a camera sends in place of one: the one before stays, and the next camera is asked.
            with contextlib.suppress(Exception):
                picture = fetch(address, known)
                if picture is not None:
                    self._keep(name, picture)

    def _keep(self, name: str, picture: Picture) -> None:
        with self._lock:
            self._found.pop(name, None)
            # The last in the dict is the one that was kept last.
            self._found[name] = picture
            while sum(len(each.content) for each in self._found.values()) > ALTOGETHER:
                del self._found[next(iter(self._found))]


def _hang_up(sock: socket.socket) -> None:
    with contextlib.suppress(OSError):
        sock.shutdown(socket.SHUT_RDWR)


def _taken(answer: http.client.HTTPResponse) -> float | None:
    """Return when the picture was stored: how old it is by the camera's own clock is right even if that is wrong."""
    try:
        # A file is answered with two dates; both are of the same clock.
        shown = parsedate_to_datetime((answer.headers.get_all("Date") or [""])[0])
        stored = parsedate_to_datetime(answer.headers.get("Last-Modified", ""))
        age = (shown - stored).total_seconds()
    except (TypeError, ValueError, OverflowError):
        return None
    return time.time() - age if 0 <= age < _OLDEST else None
