# SPDX-License-Identifier: GPL-3.0-or-later
"""The camera's API: what the client calls detecting really produces images, and no answer harms it."""

from __future__ import annotations

import contextlib
import gzip
import os
import resource
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import urllib3

from ansible_collections.wildberryeye.orchestrator.plugins.module_utils import camera_client
from ansible_collections.wildberryeye.orchestrator.plugins.module_utils.camera_client import (
    CameraClient,
    CameraError,
)
from lab.emulated import Lab, wait_for
from unit.support import image


def client(camera: Lab) -> CameraClient:
    return CameraClient("127.0.0.1", camera.port)


def kind(call: Callable[[], object]) -> str:
    """The kind of error that `call` ends with; its text is one line that says what, what instead, and what to do."""
    with pytest.raises(CameraError) as caught:
        call()
    line = str(caught.value)
    assert "\n" not in line and caught.value.advice and "http://" in line and len(line) < 500
    return caught.value.kind


def asked(camera: Lab, path: str, event: str = "answered") -> int:
    return len([line for line in camera.lines("requests") if line["path"] == path and line["event"] == event])


def test_a_healthy_camera_takes_a_picture_that_exists(camera: Lab) -> None:
    api = client(camera.start())
    name = api.capture(5)
    assert api.stored(name, 5) and (camera.images / name).exists()
    assert not api.stored(name.replace("manual", "object"), 5)
    (camera.images / name).write_bytes(b"")
    assert not api.stored(name, 5)


def test_detecting_is_what_it_says_on_an_object_camera(camera: Lab) -> None:
    camera.start()
    name = client(camera).detect("object", 10)
    assert (camera.images / name).exists() and camera.stored("object")
    assert asked(camera, "/api/set-baseline") == 0
    client(camera).stop(5)
    assert camera.detecting()[-1] == (False, "stop")


def test_a_motion_camera_gets_its_baseline_two_seconds_after_the_start_and_then_records(camera: Lab) -> None:
    camera.start("motion")
    client(camera).detect("motion", 10)
    assert camera.stored("motion")
    at = {line["path"]: line["at"] for line in camera.lines("requests")}
    assert at["/api/set-baseline"] - at["/api/start"] >= 2.0


def test_a_baseline_is_not_taken_before_its_time() -> None:
    steps: list[str] = []
    api = CameraClient("camera", 1, sleep=lambda seconds: steps.append(f"wait {seconds}"))
    api.wait_ready = lambda timeout: "x"  # type: ignore[method-assign]
    api.start = lambda timeout: steps.append("start")  # type: ignore[method-assign]
    api.set_baseline = lambda timeout: steps.append("baseline")  # type: ignore[method-assign]
    assert api.detect("motion", 1) == "x" and steps == ["start", "wait 2.0", "baseline"]
    steps.clear()
    api.detect("object", 1)
    assert steps == ["start"]


def test_a_camera_whose_port_opens_late_is_waited_for(camera: Lab) -> None:
    camera.start(port_delay=1, wait=False)
    assert (camera.images / client(camera).wait_ready(15)).exists()


def test_a_camera_that_is_slow_to_its_first_frame_is_asked_once_and_not_again_and_again(camera: Lab) -> None:
    camera.start(first_frame_delay=2)
    client(camera).wait_ready(15)
    assert asked(camera, "/api/capture", "begin") == 1 and len(camera.truth("begin", "manual")) == 1


def test_a_hanging_capture_leaks_one_thread_in_the_camera_and_no_more(camera: Lab) -> None:
    camera.start()
    camera.faults(capture="hang")
    begun = time.monotonic()
    assert kind(lambda: client(camera).wait_ready(1.5)) == "timeout"
    assert time.monotonic() - begun < 4 and asked(camera, "/api/capture", "begin") == 1


def test_garbage_is_not_taken_for_a_picture(camera: Lab) -> None:
    camera.start()
    for fault in ("error500", "html", "truncated", "redirect", "huge", "odd_name"):
        camera.faults(capture=fault)
        assert kind(lambda: client(camera).capture(5)) == "answer"
    assert kind(lambda: client(camera).wait_ready(0.6)) == "answer"
    assert {line["path"] for line in camera.lines("requests")} == {"/api/capture"}


def test_a_camera_that_recovers_while_it_is_waited_for_is_ready(camera: Lab) -> None:
    camera.start()
    camera.faults(capture="error500")
    threading.Timer(0.6, camera.faults).start()
    assert (camera.images / client(camera).wait_ready(10)).exists()


def test_a_full_card_is_named_as_such_after_three_pictures_and_at_once(camera: Lab) -> None:
    camera.start()
    camera.faults(capture="no_file")
    begun = time.monotonic()
    assert kind(lambda: client(camera).wait_ready(60)) == "storage"
    assert time.monotonic() - begun < 5 and len(camera.truth("lost")) == 3


def test_a_wedged_camera_is_a_timeout_whatever_is_asked(camera: Lab) -> None:
    camera.start()
    camera.faults(wedged=True)
    api = client(camera)
    calls: list[Callable[[float], object]] = [api.capture, api.start, api.stop, api.set_baseline]
    for call in calls:
        assert kind(lambda call=call: call(0.3)) == "timeout"  # type: ignore[misc]


def test_a_stop_that_fails_is_an_error(camera: Lab) -> None:
    camera.start()
    camera.faults(stop="error500")
    assert kind(lambda: client(camera).stop(5)) == "answer"


def test_a_service_that_is_down_refuses(camera: Lab) -> None:
    assert kind(lambda: client(camera).capture(2)) == "refused"
    begun = time.monotonic()
    assert kind(lambda: client(camera).wait_ready(0.8)) == "refused" and time.monotonic() - begun < 3


def test_a_wrong_clock_is_told(camera: Lab) -> None:
    api = client(camera.start())
    assert api.clock_offset is None
    for offset in (0, 7200, -30 * 365 * 86400):
        camera.faults(clock_offset=offset)
        api.start(5)
        assert api.clock_offset is not None and abs(api.clock_offset - offset) < 2.5


def test_a_body_of_a_gigabyte_costs_neither_memory_nor_time(camera: Lab) -> None:
    camera.start()
    camera.faults(capture="huge")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    begun = time.monotonic()
    assert kind(lambda: client(camera).capture(20)) == "answer"
    assert time.monotonic() - begun < 5
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 30_000  # KB


@contextlib.contextmanager
def answering(*pieces: bytes, pause: float = 0) -> Iterator[CameraClient]:
    """A client of something that answers every request with `pieces`, `pause` seconds between them."""
    server = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = server.accept()
                with connection, contextlib.suppress(OSError):
                    connection.recv(65536)
                    for piece in pieces:
                        connection.sendall(piece)
                        time.sleep(pause)

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield CameraClient("127.0.0.1", server.getsockname()[1])
    finally:
        server.close()


def ok(body: bytes, *headers: bytes) -> bytes:
    lines = [b"HTTP/1.1 200 OK", b"Content-Length: %d" % len(body), b"Connection: close", *headers, b"", body]
    return b"\r\n".join(lines)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (ok(b"{}"), "answer"),
        (ok(b"[]"), "answer"),
        (ok(b"[" * 60_000), "answer"),
        (ok(b'{"filename": 7}'), "answer"),
        (ok(b'{"filename": "' + b"1" * 60_000 + b'"}'), "answer"),
        (ok(b'{"filename": "../object_20260522-093015-123456_a_b.jpg"}'), "answer"),
        (ok(b'{"filename": "object_20260522-093015-123456_a_b.jpg\\n"}'), "answer"),
        (ok(b"\xff\xfe\x00"), "answer"),
        (ok(b"not gzip", b"Content-Encoding: gzip"), "answer"),
        (ok(gzip.compress(bytes(50_000_000)), b"Content-Encoding: gzip"), "answer"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "answer"),
        (b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", "answer"),
        (b"", "refused"),
        (ok(b'{"filename": "')[:-5], "refused"),
    ],
)
def test_whatever_answers_ends_in_one_line(answer: bytes, expected: str) -> None:
    with answering(answer) as api:
        assert kind(lambda: api.capture(3)) == expected


@pytest.mark.parametrize("length", [b"", b"abc", b"-5", b"0", b"1" * 5000])
def test_an_odd_length_of_a_picture_is_no_traceback(length: bytes) -> None:
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: " + length + b"\r\nConnection: close\r\n\r\n"
    with answering(answer) as api, contextlib.suppress(CameraError):
        assert api.stored("x.jpg", 2) is (length == b"1" * 5000)


@pytest.mark.parametrize("header", [b"Content-Length: 60000", b"Connection: close"])
def test_a_body_that_drips_ends_in_time(header: bytes) -> None:
    head = b"HTTP/1.1 200 OK\r\n" + header + b"\r\n\r\n"
    with answering(head, *[b"x"] * 60, pause=0.2) as api:
        begun = time.monotonic()
        assert kind(lambda: api.capture(1)) == "timeout"
        assert time.monotonic() - begun < 3


def test_a_body_that_stops_is_a_timeout() -> None:
    with answering(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{", pause=5) as api:
        assert kind(lambda: api.capture(0.5)) == "timeout"


def test_a_network_without_the_camera_is_unreachable() -> None:
    with socket.socket() as full, contextlib.ExitStack() as stack:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        for _ in range(4):  # a full queue swallows further connections, as a black hole does
            one = stack.enter_context(socket.socket())
            one.setblocking(False)
            one.connect_ex(full.getsockname())
        time.sleep(0.1)
        assert kind(lambda: CameraClient("127.0.0.1", full.getsockname()[1]).capture(0.7)) == "unreachable"


@pytest.mark.parametrize("host", ["nocamera.invalid", "x" * 70 + ".invalid"])
def test_a_name_that_nobody_knows_is_unreachable(host: str) -> None:
    assert kind(lambda: CameraClient(host, 5000).capture(2)) == "unreachable"


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("[Errno 111] Connection refused", "refused"),
        ("[Errno 113] No route to host", "unreachable"),
        ("[Errno 101] Network is unreachable", "unreachable"),
        ("Failed to resolve 'x'", "unreachable"),
        ("[Errno -2] Name or service not known", "unreachable"),
        ("[Errno -3] Temporary failure in name resolution", "unreachable"),
        ("[Errno 110] Connection timed out", "unreachable"),
        ("Read timed out.", "timeout"),
        ("('Connection aborted.', ConnectionResetError(104))", "refused"),
    ],
)
def test_each_way_of_not_answering_has_its_kind(said: str, expected: str) -> None:
    assert CameraClient("x", 1)._broken("/", Exception(said)).kind == expected


def test_an_ipv6_address_needs_no_brackets(camera: Lab) -> None:
    assert CameraClient("fe80::1", 5000)._base == "http://[fe80::1]:5000"


def test_no_proxy_of_the_environment_is_asked(camera: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    client(camera.start()).start(5)


def test_an_answer_of_the_right_form_and_the_wrong_content_is_an_error() -> None:
    with answering(ok(b'{"running": false}')) as api:
        assert kind(lambda: api.start(2)) == "answer"
        api.stop(2)
    with answering(ok(b'{"running": 1, "baseline": "yes"}')) as api:
        assert kind(lambda: api.start(2)) == "answer" and kind(lambda: api.set_baseline(2)) == "answer"


def test_a_camera_that_is_killed_while_it_is_asked_is_an_error_of_one_line(camera: Lab) -> None:
    camera.start()
    camera.faults(capture="hang")
    threading.Timer(0.5, camera.end).start()
    assert kind(lambda: client(camera).capture(5)) == "refused"
    wait_for(lambda: not camera.port_is_open())


# --- what the heartbeat asks for ------------------------------------------------------------------


def test_a_picture_is_whole_when_its_end_is_there(camera: Lab) -> None:
    api = client(camera.start())
    name = api.capture(5)
    path = camera.images / name
    content = path.read_bytes()
    assert api.whole(name, 5)
    for cut in (content[:-1], content[: len(content) // 2], content + b"\0", b"\xd9", b""):
        path.write_bytes(cut)
        assert not api.whole(name, 5)
    path.unlink()
    assert not api.whole(name, 5)


def test_no_more_of_a_picture_is_fetched_than_its_end(camera: Lab) -> None:
    api = client(camera.start())
    (camera.images / image(1)).write_bytes(bytes(10_000_000) + b"\xff\xd9")
    before = time.monotonic()
    assert api.whole(image(1), 5) and time.monotonic() - before < 2


@pytest.mark.parametrize(
    "answer",
    [
        ok(b"\xff\xd9"),
        b"HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 302 Found\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 206 Partial Content\r\nContent-Length: 70000\r\n\r\n" + bytes(70_000),
    ],
    ids=["all of it", "500", "redirect", "more than asked for"],
)
def test_an_odd_answer_says_nothing_of_a_picture(answer: bytes) -> None:
    with answering(answer) as api:
        assert kind(lambda: api.whole("x.jpg", 2)) == "answer"


def test_a_service_is_untouched_until_its_first_picture(camera: Lab) -> None:
    api = client(camera.start())
    assert api.untouched(5)
    name = api.capture(5)
    assert not api.untouched(5)
    (camera.images / name).unlink()  # answered with an error then
    assert not api.untouched(5)
    camera.end()
    camera.start()
    assert api.untouched(5)


@pytest.mark.parametrize("status", [b"404 Not Found", b"302 Found", b"400 Bad"])
def test_an_odd_answer_is_no_sign_of_a_restart(status: bytes) -> None:
    with answering(b"HTTP/1.1 " + status + b"\r\nContent-Length: 0\r\n\r\n") as api:
        assert kind(lambda: api.untouched(2)) == "answer"


def test_pictures_are_deleted_by_their_exact_names_and_gone_ones_are_no_error(camera: Lab) -> None:
    api = client(camera.start())
    names = [api.capture(5) for _ in range(3)]
    api.delete([*names[:2], image(7)], 5)
    api.delete(names[:2], 5)
    assert [path.name for path in camera.images.iterdir()] == names[2:]
    assert {line["name"] for line in camera.truth("deleted")} == set(names[:2])


@pytest.mark.parametrize("name", ["../secret", "/etc/passwd", "", "x.jpg", f"{image(1)}\n", f"../{image(1)}", "."])
def test_a_name_that_is_none_is_not_even_sent_to_be_deleted(camera: Lab, name: str) -> None:
    camera.start()
    (camera.images.parent / "secret").touch()
    with pytest.raises(ValueError, match="jpg"):
        client(camera).delete([image(1), name], 5)
    assert camera.lines("requests") == [] and (camera.images.parent / "secret").exists()


def test_a_camera_that_is_switched_off_while_it_owes_an_answer_is_noticed_within_half_a_minute(
    camera: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = (
        (socket.SOL_SOCKET, socket.SO_KEEPALIVE),
        (socket.IPPROTO_TCP, socket.TCP_NODELAY),
        (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE),
        (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL),
        (socket.IPPROTO_TCP, socket.TCP_KEEPCNT),
    )
    found: list[list[int]] = []
    connect = urllib3.util.connection.create_connection

    def noted(*args: Any, **named: Any) -> socket.socket:
        opened = connect(*args, **named)
        found.append([opened.getsockopt(*option) for option in options])
        return opened

    monkeypatch.setattr(urllib3.util.connection, "create_connection", noted)
    client(camera.start()).start(5)
    ((alive, at_once, idle, pause, count),) = found
    assert alive and at_once and idle + pause * count <= 30


def test_every_kind_has_its_advice() -> None:
    assert set(camera_client._ADVICE) == {"refused", "unreachable", "timeout", "answer", "storage"}
    assert os.linesep not in "".join(camera_client._ADVICE.values())
