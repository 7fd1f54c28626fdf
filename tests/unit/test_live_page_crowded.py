# SPDX-License-Identifier: GPL-3.0-or-later
"""Who can keep the live page from showing: nobody who is slow, many, rude or curious."""

from __future__ import annotations

import concurrent.futures
import contextlib
import http.client
import os
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import requests

from unit.live_station import SCRIPT, TODAY, LiveStation, raw, served_with_secrets, state, with_secrets
from unit.support import load_script

pytestmark = pytest.mark.usefixtures("findable")


@pytest.fixture
def station(tmp_path: Path) -> Iterator[LiveStation]:
    found = with_secrets(tmp_path, "object", "motion")
    yield found
    found.end()


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveStation]:
    with served_with_secrets(tmp_path_factory.mktemp("served")) as found:
        yield found


live_page = load_script(SCRIPT)


@contextlib.contextmanager
def in_process(station: LiveStation, slow: float) -> Iterator[tuple[str, int]]:
    """Serve the page in this process, with so many seconds of patience; yields address and port."""
    sock = live_page.listening("127.0.0.1", 0)
    settings = live_page.Settings(str(station.data), str(station.config), None, live_page.TIME_LINE)
    app = live_page.App(live_page.Station(settings), live_page.OWN)
    server = live_page.server(app, sock, slow)
    threading.Thread(target=server.run, daemon=True).start()
    yield sock.getsockname()[:2]
    server.task_dispatcher.shutdown()


def test_who_sends_a_request_bit_by_bit_is_cut_off(station: LiveStation) -> None:
    with in_process(station, 1) as address, socket.create_connection(address) as slow:
        slow.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n")
        began = time.monotonic()
        slow.settimeout(0.2)
        while True:
            assert time.monotonic() - began < 8, "half a request holds its connection for ever"
            try:
                slow.sendall(b"X: y\r\n")
                if slow.recv(1) == b"":
                    break
            except TimeoutError:
                continue
            except OSError:
                break


def test_who_opens_a_hundred_connections_keeps_nobody_else_out(station: LiveStation) -> None:
    with in_process(station, 60) as address, contextlib.ExitStack() as greedy:
        for _ in range(150):
            sock = socket.create_connection(address, source_address=("127.0.0.2", 0), timeout=5)
            greedy.enter_context(sock)
            with contextlib.suppress(OSError):
                sock.sendall(b"GET / HTTP/1.1\r\n")
        assert requests.get(f"http://{address[0]}:{address[1]}/state.json", timeout=5).status_code == 200


def test_many_who_look_at_once_are_all_answered(served: LiveStation) -> None:
    def ask(number: int) -> int:
        # Phones have addresses of their own.
        parts = urlsplit(served.url)
        source = (f"127.0.1.{number % 40 + 1}", 0)
        connection = http.client.HTTPConnection(str(parts.hostname), parts.port, timeout=20, source_address=source)
        try:
            connection.request("GET", "/state.json")
            return connection.getresponse().status
        finally:
            connection.close()

    with concurrent.futures.ThreadPoolExecutor(40) as pool:
        assert set(pool.map(ask, range(400))) == {200}


@pytest.mark.parametrize(
    ("request_", "statuses"),
    [
        (b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 100_000 + b"\r\n\r\n", {400, 431}),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 999999999\r\n\r\n" + b"a" * 5000, {405, 413}),
        (b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nFFFFFFF\r\n" + b"a" * 90_000, {405, 413}),
        (b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n", {400}),
        (b"GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n", {200, 400}),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", {400}),
        (b"GET\r\n\r\n", {400}),
        (b"G" * 70_000 + b"\r\n\r\n", {400, 431}),
    ],
)
def test_rubbish_is_refused_and_the_next_one_is_answered(
    served: LiveStation, request_: bytes, statuses: set[int]
) -> None:
    parts = urlsplit(served.url)
    with socket.create_connection((str(parts.hostname), parts.port), timeout=10) as sock:
        sock.sendall(request_)
        answer = sock.recv(4096)
    assert int(answer.split()[1]) in statuses, answer
    assert b"Traceback" not in answer
    assert raw(served.url, "/state.json")[0] == 200


def memory(pid: int) -> float:
    """Megabytes of a process."""
    text = Path(f"/proc/{pid}/status").read_text()
    return int(text.split("VmHWM:")[1].split()[0]) / 1024


def test_large_reports_that_are_taken_slowly_cost_no_memory(station: LiveStation) -> None:
    station.report(TODAY, b"<!doctype html>" + b"x" * 15_000_000)
    parts = urlsplit(station.serve())
    assert station.process is not None
    slow = []
    for number in range(30):
        sock = socket.create_connection(
            (str(parts.hostname), parts.port), timeout=5, source_address=(f"127.0.2.{number + 1}", 0)
        )
        sock.sendall(f"GET /experiments/{TODAY}/report.html HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        assert sock.recv(100).startswith(b"HTTP/1.1 200")
        slow.append(sock)
    assert raw(station.url, "/state.json")[0] == 200
    assert len(raw(station.url, f"/experiments/{TODAY}/report.html")[2]) == 15_000_015
    assert memory(station.process.pid) < 60
    for sock in slow:
        sock.close()


def test_it_costs_next_to_nothing_while_nobody_looks(station: LiveStation) -> None:
    station.thinks("object")
    state(station.serve())
    assert station.process is not None

    def used() -> float:
        fields = Path(f"/proc/{station.process.pid}/stat").read_text().rpartition(")")[2].split()  # type: ignore[union-attr]
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    before = used()
    time.sleep(3)  # an absence can only be waited for by the clock
    assert used() - before <= 0.05 and memory(station.process.pid) < 60
