# SPDX-License-Identifier: GPL-3.0-or-later
"""The camera's HTTP API, as a client that trusts no answer.

Each request has a time limit, follows no redirect and reads a bounded body. An answer that is not what
the API promises is an error like silence is; `CameraError.kind` tells them apart.
"""

from __future__ import annotations

import contextlib
import json
import socket
import time
from collections.abc import Callable, Sequence
from email.utils import parsedate_to_datetime
from typing import Any

from . import clock as clocks
from .errors import Error
from .names import is_image

try:
    import requests
except ImportError:  # pragma: no cover
    # The module says so in its own words; nothing here is called then.
    requests = None  # type: ignore[assignment]

_LARGEST_ANSWER = 64 * 1024
_PAUSE = 0.25
BASELINE_AFTER = 2.0
"""Seconds that the motion detection must have run before a baseline is worth taking."""
_LOST_PICTURES = 3
"""Pictures named but not stored after which the card is to blame."""


class CameraError(Error):
    """A request that failed.

    Args:
        kind: ``refused`` (nothing listens), ``unreachable`` (no connection), ``timeout`` (connected,
            no answer), ``answer`` (not what the API promises), ``storage`` (a picture was taken and not stored).
    """

    def __init__(self, kind: str, tried: str, came_back: str, advice: str = "") -> None:
        self.kind = kind
        super().__init__(tried, came_back, advice)


_ADVICE = {
    "refused": "Its service does not answer: look at 'systemctl status wildberryeye' there, and check"
    " wildberryeye_api_port",
    "unreachable": "Check its power and the Wi-Fi, and ansible_host in the inventory",
    "timeout": "It is wedged or still starting: restart it with playbooks/restart.yml",
    "answer": "Check wildberryeye_api_port, and that this is a WildBerryEye camera",
    "storage": "Its card is full, read-only or broken: run playbooks/collect.yml, or replace the card",
}


class CameraClient:
    """One camera's API.

    Args:
        host: address or name, IPv6 without brackets.
        port: TCP port.
        clock: returns seconds, monotonic.
        sleep: waits so many seconds.
    """

    def __init__(
        self,
        host: str,
        port: int,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._base = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
        self._clock = clock
        self._sleep = sleep
        self._session = _session()
        self.offset = clocks.Offset()
        """How far the camera's clock is ahead of ours, as far as its answers have told."""

    @property
    def clock_offset(self) -> float | None:
        """Seconds that the camera's clock is ahead of ours, to half a second or better; None while it has not told."""
        estimate = self.offset.estimate
        return estimate.offset if estimate else None

    def capture(self, timeout: float) -> str:
        """Take a picture; return its name, which says nothing yet about its being stored."""
        name = self._post("/api/capture", timeout).get("filename")
        if not isinstance(name, str) or not is_image(name):
            raise self._error("answer", "/api/capture", f"it named {str(name)[:80]!r}, which is no image")
        return name

    def start(self, timeout: float) -> None:
        """Start detection."""
        self._expect("/api/start", "running", True, timeout)

    def stop(self, timeout: float) -> None:
        """Stop detection."""
        self._expect("/api/stop", "running", False, timeout)

    def set_baseline(self, timeout: float) -> None:
        """Set the reference that a motion camera compares with."""
        self._expect("/api/set-baseline", "baseline", True, timeout)

    def stored(self, name: str, timeout: float) -> bool:
        """Tell whether the picture `name` exists and is not empty."""
        path = f"/frontend/images/{name}"
        status, headers, _unused = self._request("HEAD", path, timeout)
        if status == 404:
            return False
        if status != 200:
            raise self._error("answer", path, f"HTTP status {status}")
        length = headers.get("Content-Length") or ""
        return length.isdecimal() and length.strip("0") != ""

    def whole(self, name: str, timeout: float) -> bool:
        """Tell whether the picture `name` is stored to its end: it exists and ends as a JPEG does."""
        path = f"/frontend/images/{name}"
        status, _unused, body = self._request("GET", path, timeout, {"Range": "bytes=-2"})
        # Of a file without content there are no last bytes: it is answered as it is.
        if status in (404, 416) or (status == 200 and not body):
            return False
        if status != 206:
            raise self._error("answer", path, f"HTTP status {status}")
        return body == b"\xff\xd9"

    def untouched(self, timeout: float) -> bool:
        """Tell whether no picture was taken since the service started: the one sign of a restart that HTTP gives."""
        path = "/latest-image"
        status = self._request("HEAD", path, timeout)[0]
        # 500: the newest picture was deleted, so there was one.
        if status not in (200, 204, 500):
            raise self._error("answer", path, f"HTTP status {status}")
        return status == 204

    def delete(self, names: Sequence[str], timeout: float) -> None:
        """Delete pictures, none of which may be the newest; one that is gone already is no error.

        Raises:
            ValueError: if one is not an image's name: the camera would delete any path.
        """
        if not all(is_image(name) for name in names):
            raise ValueError(names)
        self._post("/api/delete-images", timeout, {"filenames": list(names)})

    def wait_ready(self, timeout: float) -> str:
        """Wait until the camera takes a picture and stores it.

        One capture at a time, each with all the time that is left: a capture that is given up leaks a
        thread in the camera, which may store its picture much later.

        Args:
            timeout: seconds.

        Returns:
            The picture's name.

        Raises:
            CameraError: the last one, if no picture was stored in time.
        """
        deadline = self._clock() + timeout
        lost = 0
        while True:
            try:
                name = self.capture(max(1.0, deadline - self._clock()))
                if self.stored(name, max(1.0, min(15.0, deadline - self._clock()))):
                    return name
                lost += 1
                error = self._error("storage", "/api/capture", f"it named {name}, and no such file exists")
                if lost == _LOST_PICTURES:
                    raise error
            except CameraError as caught:
                if caught.kind == "storage" or self._clock() + _PAUSE >= deadline:
                    raise _after(caught, timeout) from None
            self._sleep(_PAUSE)

    def detect(self, mode: str, timeout: float) -> str:
        """Make the camera detect: wait until it is ready, start detection, set a motion camera's baseline.

        Args:
            mode: ``object`` or ``motion``.
            timeout: seconds until it must be ready.

        Returns:
            The name of the picture that proved it ready.
        """
        picture = self.wait_ready(timeout)
        self.start(15.0)
        if mode == "motion":
            self._sleep(BASELINE_AFTER)
            self.set_baseline(15.0)
        return picture

    def _expect(self, path: str, field: str, value: bool, timeout: float) -> None:
        answer = self._post(path, timeout)
        if answer.get(field) is not value:
            raise self._error("answer", path, f"it answered {json.dumps(answer)[:80]}")

    def _post(self, path: str, timeout: float, content: object = None) -> dict[str, Any]:
        sent = time.time()
        status, headers, body = self._request("POST", path, timeout, content=content)
        if status != 200:
            raise self._error("answer", path, f"HTTP status {status}")
        # Answers with a file bear two dates; these bear one.
        with contextlib.suppress(TypeError, ValueError, OverflowError):
            self.offset.dated(parsedate_to_datetime(headers.get("Date") or "").timestamp(), sent, time.time())
        try:
            answer = json.loads(body)
        except (ValueError, RecursionError):
            answer = None
        if not isinstance(answer, dict):
            raise self._error("answer", path, f"not JSON: {body[:60]!r}")
        return answer

    def _request(
        self, method: str, path: str, timeout: float, headers: dict[str, str] | None = None, content: object = None
    ) -> tuple[int, dict[str, str], bytes]:
        deadline = self._clock() + timeout
        try:
            with self._session.request(
                method,
                self._base + path,
                headers=headers,
                json=content,
                timeout=(min(10.0, timeout), timeout),
                stream=True,
                allow_redirects=False,
            ) as response:
                body = bytearray()
                # Byte by byte, from a buffer: more at a time would wait for them, however slowly they come.
                for chunk in response.iter_content(1):
                    body += chunk
                    if len(body) > _LARGEST_ANSWER:
                        raise self._error("answer", path, f"more than {_LARGEST_ANSWER // 1024} KB")
                    if self._clock() > deadline:
                        raise self._error("timeout", path, f"no end of the answer within {timeout:.0f} s")
                return response.status_code, dict(response.headers), bytes(body)
        except requests.exceptions.ConnectTimeout:
            raise self._error("unreachable", path, "no connection within 10 s") from None
        except requests.exceptions.ReadTimeout:
            raise self._error("timeout", path, f"no answer within {timeout:.0f} s") from None
        except (requests.exceptions.RequestException, ValueError) as error:
            raise self._broken(path, error) from None

    def _broken(self, path: str, error: Exception) -> CameraError:
        text = str(error)
        for sign, kind, said in (
            ("Connection refused", "refused", "connection refused"),
            ("No route to host", "unreachable", "no route to host"),
            ("Network is unreachable", "unreachable", "network is unreachable"),
            ("Connection timed out", "unreachable", "the connection was lost"),
            ("resol", "unreachable", "its name is not known"),
            ("Name or service not known", "unreachable", "its name is not known"),
            ("Failed to parse", "unreachable", "its name cannot be one"),
            ("Read timed out", "timeout", "the answer stopped"),
            ("BadStatusLine", "answer", "it does not speak HTTP"),
            ("decode", "answer", "it cannot be decoded"),
        ):
            if sign in text:
                return self._error(kind, path, said)
        # A service that is stopped in mid-answer resets its connections.
        return self._error("refused", path, "the connection was closed without an answer")

    def _error(self, kind: str, path: str, came_back: str) -> CameraError:
        return CameraError(kind, f"{self._base}{path}", came_back, _ADVICE[kind])


def _session() -> requests.Session:
    """Return a session that notices within half a minute when a camera that owes it an answer is switched off."""
    keepalive = [
        (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),
        (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
        (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 15),
        (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 5),
        (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3),
    ]

    class Adapter(requests.adapters.HTTPAdapter):
        def init_poolmanager(self, *args: Any, **options: Any) -> None:
            super().init_poolmanager(*args, socket_options=keepalive, **options)

    session = requests.Session()
    session.mount("http://", Adapter())
    # The camera is next door: no proxy of the environment is asked.
    session.trust_env = False
    return session


def _after(error: CameraError, timeout: float) -> CameraError:
    if error.kind == "storage":
        return error
    return CameraError(error.kind, f"wait {timeout:.0f} s for a picture ({error.tried})", error.came_back, error.advice)
