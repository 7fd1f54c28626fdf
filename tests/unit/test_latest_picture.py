# SPDX-License-Identifier: GPL-3.0-or-later
"""A camera's latest picture: what is shown is one, is as old as it says, and costs the camera next to nothing."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from ansible_collections.wildberryeye.orchestrator.plugins.module_utils import latest_picture
from ansible_collections.wildberryeye.orchestrator.plugins.module_utils.latest_picture import Pictures, fetch
from lab.emulated import Lab, wait_for
from unit.support import jpeg

JPEG = b"\xff\xd8\xff\xe0" + jpeg("a picture")[3:]


class Liar:
    """A camera that answers whatever a test wants."""

    def __init__(self, answer: Callable[[socket.socket], None]) -> None:
        self.asked: list[bytes] = []
        self._answer = answer
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.address = ("127.0.0.1", int(self._socket.getsockname()[1]))
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._socket.accept()
            except OSError:
                return
            with client:
                self.asked.append(client.recv(65536))
                with contextlib.suppress(OSError):
                    self._answer(client)

    def close(self) -> None:
        self._socket.close()


def shown(pictures: Pictures, name: str, camera: Liar) -> None:
    """Wait until a camera's picture is there."""

    def there() -> bool:
        pictures.ask({name: camera.address})
        return pictures.get(name) is not None

    wait_for(there)


@pytest.fixture
def liar() -> Iterator[Callable[[Callable[[socket.socket], None] | bytes], Liar]]:
    """Makes cameras that lie."""
    made: list[Liar] = []

    def make(answer: Callable[[socket.socket], None] | bytes) -> Liar:
        made.append(Liar((lambda client: client.sendall(answer)) if isinstance(answer, bytes) else answer))
        return made[-1]

    yield make
    for each in made:
        each.close()


def ok(content: bytes, *headers: str) -> bytes:
    lines = ["HTTP/1.1 200 OK", f"Content-Length: {len(content)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + content


def test_the_latest_picture_of_a_camera_arrives_with_its_true_age(camera: Lab) -> None:
    camera.start()
    camera.faults(clock_offset=86_400 * 400)
    address = ("127.0.0.1", camera.port)
    assert fetch(address) is None, "no picture since the service was started"
    name = camera.capture()
    # By its own clock, which is a year ahead.
    stored = time.time() + 86_400 * 400 - 100
    os.utime(camera.images / name, (stored, stored))
    found = fetch(address)
    assert found is not None and found.content == (camera.images / name).read_bytes()
    assert found.taken is not None and abs(time.time() - 100 - found.taken) < 3


def test_a_picture_that_is_known_is_not_sent_again(camera: Lab) -> None:
    camera.start()
    camera.capture()
    address = ("127.0.0.1", camera.port)
    first = fetch(address)
    assert first is not None and first.etag and fetch(address, first) is first
    assert camera.lines("requests")[-1]["status"] == 304
    camera.capture()
    second = fetch(address, first)
    assert second is not None and second.version != first.version


def test_where_the_newest_was_deleted_the_one_before_is_still_the_latest(camera: Lab) -> None:
    camera.start()
    name = camera.capture()
    address = ("127.0.0.1", camera.port)
    first = fetch(address)
    (camera.images / name).unlink()
    assert fetch(address, first) is first


@pytest.mark.parametrize(
    "answer",
    [
        ok(b"<!doctype html><script>alert(1)</script>"),
        ok(b"\xff\xd8\xff" + b"half a picture"),
        ok(b""),
        ok(b"\xff\xd8\xff" + b"x" * latest_picture.LARGEST + b"\xff\xd9"),
        b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/other.jpg\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n\xff\xd8\xff",
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 5000 + b"\r\n",
        b"not HTTP at all\r\n\r\n",
        b"",
    ],
)
def test_what_is_no_picture_is_never_shown(liar: Callable[[bytes], Liar], answer: bytes) -> None:
    pictures = Pictures()
    camera = liar(answer)
    pictures.ask({"object": camera.address})
    wait_for(lambda: camera.asked)
    other = liar(ok(JPEG))
    shown(pictures, "motion", other)
    assert pictures.get("object") is None


@pytest.mark.parametrize(
    "headers",
    [
        (),
        ("Date: rubbish", "Last-Modified: rubbish"),
        ("Date: Fri, 22 May 2026 09:00:00 GMT", "Last-Modified: Fri, 22 May 2026 10:00:00 GMT"),
        ("Date: Fri, 22 May 2026 09:00:00 GMT", "Last-Modified: Thu, 01 Jan 1970 00:00:00 GMT"),
        ("Date: Fri, 22 May 2026 09:00:00 -0000", "Last-Modified: Fri, 22 May 2026 08:00:00 GMT"),
        ("Date: Fri, 99 May 99999 09:00:00 GMT", "Last-Modified: Fri, 22 May 2026 08:00:00 GMT"),
    ],
)
def test_an_age_that_cannot_be_is_none(liar: Callable[[bytes], Liar], headers: tuple[str, ...]) -> None:
    found = fetch(liar(ok(JPEG, *headers)).address)
    assert found is not None and found.taken is None


def test_a_camera_that_sends_bit_by_bit_is_given_up_and_the_next_one_is_asked(
    liar: Callable[[Callable[[socket.socket], None] | bytes], Liar], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(latest_picture, "_WHOLE", 0.5)

    def drip(client: socket.socket) -> None:
        client.sendall(b"HTTP/1.1 200 OK\r\n")
        while True:
            client.sendall(b"X: y\r\n")
            time.sleep(0.05)

    slow, well = liar(drip), liar(ok(JPEG))
    pictures = Pictures()
    pictures.ask({"slow": slow.address, "well": well.address})
    wait_for(lambda: pictures.get("well"), 5)
    assert pictures.get("slow") is None


def test_a_camera_is_asked_once_a_minute_and_one_camera_at_a_time(
    liar: Callable[[Callable[[socket.socket], None] | bytes], Liar],
) -> None:
    now = [0.0]
    at_once, most = 0, 0

    def answer(client: socket.socket) -> None:
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        time.sleep(0.02)
        at_once -= 1
        client.sendall(ok(JPEG))

    cameras = {str(number): liar(answer) for number in range(5)}
    pictures = Pictures(lambda: now[0])
    for _ in range(100):
        pictures.ask({name: each.address for name, each in cameras.items()})
        time.sleep(0.005)
    wait_for(lambda: all(pictures.get(name) for name in cameras))
    assert [len(each.asked) for each in cameras.values()] == [1] * 5 and most == 1
    now[0] = latest_picture.PAUSE
    pictures.ask({"0": cameras["0"].address})
    wait_for(lambda: len(cameras["0"].asked) == 2)


def test_pictures_together_take_no_more_memory_than_allowed(
    liar: Callable[[bytes], Liar], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(latest_picture, "ALTOGETHER", 3 * len(JPEG))
    camera = liar(ok(JPEG))
    pictures = Pictures()
    for number in range(6):
        shown(pictures, str(number), camera)
    assert [number for number in range(6) if pictures.get(str(number))] == [3, 4, 5]


def test_a_host_that_is_none_ends_nothing(liar: Callable[[bytes], Liar]) -> None:
    pictures = Pictures()
    camera = liar(ok(JPEG))
    pictures.ask({"odd": ("no such host\r\nX: y", 80), "huge": ("a" * 300, 80), "closed": ("127.0.0.1", 1)})
    shown(pictures, "well", camera)
    assert all(pictures.get(name) is None for name in ("odd", "huge", "closed"))
