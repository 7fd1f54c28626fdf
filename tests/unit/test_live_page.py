# SPDX-License-Identifier: GPL-3.0-or-later
"""The live page as a process, over real HTTP: what it shows, what it never shows, and who can keep it from showing."""

from __future__ import annotations

import concurrent.futures
import contextlib
import http.client
import json
import os
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests

from ansible_collections.wildberryeye.orchestrator.plugins.module_utils import events, record
from lab.emulated import Lab, wait_for
from unit.live_station import SCRIPT, LiveStation, at
from unit.support import ROOT, load_script

SECRET = "nobody is to see this"
TODAY = "2026-05-22"


@pytest.fixture(autouse=True)
def findable(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is started finds the collection."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT / "collections"))


@pytest.fixture
def station(tmp_path: Path) -> Iterator[LiveStation]:
    """A station that records, with a report and things beside it that are nobody's business; not served yet."""
    found = LiveStation(tmp_path)
    found.knows({"object": ("object", 9), "motion": ("motion", 9)})
    found.records(TODAY, "object", "motion")
    found.report(TODAY)
    for path in ("secret.txt", f"{TODAY}/secret.txt", f"{TODAY}/object/object_{TODAY}.zip", ".secret"):
        (found.data / path).parent.mkdir(parents=True, exist_ok=True)
        (found.data / path).write_text(SECRET)
    events.append(found.layout.events(TODAY), "opened", None, text=SECRET)
    (tmp_path / "secret.txt").write_text(SECRET)
    yield found
    found.end()


live_page = load_script(SCRIPT)


def raw(url: str, path: str, method: str = "GET", body: bytes = b"") -> tuple[int, dict[str, str], bytes]:
    """Ask for exactly this path: no client mends it."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(str(parts.hostname), parts.port, timeout=10)
    try:
        connection.putrequest(method, path, skip_accept_encoding=True)
        if body:
            connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(body or None)
        answer = connection.getresponse()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
    finally:
        connection.close()


def state(url: str) -> dict[str, Any]:
    """All that the page is told."""
    found: dict[str, Any] = requests.get(f"{url}state.json", timeout=10).json()
    history: dict[str, Any] = requests.get(f"{url}history.json", timeout=10).json()
    assert not found.keys() & history.keys()
    return {**found, **history}


# -- what it shows ----------------------------------------------------------------------------------


def test_the_page_says_how_each_camera_is_and_where_the_reports_are(station: LiveStation) -> None:
    station.records("2026-05-21", "object", opened=-90000, state=record.HOME)
    station.thinks("object")
    station.thinks("motion", "unreachable", text="no connection within 10 s")
    found = state(station.serve())
    assert [camera["name"] for camera in found["cameras"]] == ["motion", "object"], "trouble comes first"
    assert [camera["level"] for camera in found["cameras"]] == ["bad", "ok"]
    assert found["verdict"]["title"] == "motion: out of reach" and found["verdict"]["cameras"] == ["motion"]
    assert [(each["id"], each["state"], each["report"]) for each in found["experiments"]] == [
        (TODAY, "recording", True),
        ("2026-05-21", "closed", False),
    ]
    assert found["disk"]["free_bytes"] > 0 and found["problems"] == []
    assert (
        raw(station.url, f"/experiments/{TODAY}/report.html")[2] == (station.data / TODAY / "report.html").read_bytes()
    )
    page = raw(station.url, "/")[2].decode()
    for path in re.findall(r'(?:href|src)="(/[^"]*)"', page):
        assert raw(station.url, path)[0] == 200, path


def test_a_change_on_the_station_is_seen_within_seconds(station: LiveStation) -> None:
    station.thinks("object")
    station.thinks("motion")
    url = station.serve()
    assert state(url)["verdict"]["level"] == "ok"
    station.thinks("motion", "down", text="connection refused")
    wait_for(lambda: state(url)["verdict"]["title"] == "motion: its service is down", 5)
    station.records(TODAY, "object", "motion", state=record.HOME)
    wait_for(lambda: state(url)["experiments"][0]["state"] == "closed", 5)


def test_a_heartbeat_that_died_is_not_believed(station: LiveStation) -> None:
    station.thinks("object")
    station.thinks("motion", alive=False)
    found = state(station.serve())
    assert found["verdict"]["level"] == "bad" and "not watched" in found["verdict"]["title"]


def test_what_is_torn_costs_a_line_and_nothing_else(station: LiveStation) -> None:
    station.thinks("object")
    station.thinks("motion")
    (station.data / "2026-05-20").mkdir()
    (station.data / "2026-05-20" / "experiment.json").write_text('{"format": 1, "id"')
    (station.data / TODAY / "events.jsonl").write_text('{"at": "2026-05-\n[]\n{"event": {}}\n')
    url = station.serve()
    found = state(url)
    assert found["verdict"]["level"] == "ok" and [each["id"] for each in found["experiments"]] == [TODAY]
    assert len(found["problems"]) == 1 and found["problems"][0].startswith(
        "read 2026-05-20/experiment.json: it is torn"
    )
    station.config.write_text('{"cameras": [')
    wait_for(lambda: any("heartbeat.json: it is torn" in line for line in state(url)["problems"]), 5)
    Path(station.layout.heartbeat()).write_text("[")
    wait_for(lambda: "not watched" in state(url)["verdict"]["title"], 5)


def test_before_the_first_start_there_is_nothing_and_that_is_no_error(tmp_path: Path) -> None:
    new = LiveStation(tmp_path)
    try:
        found = state(new.serve("--start", "00:00", "--stop", "23:59"))
        assert (found["cameras"], found["experiments"], found["problems"]) == ([], [], [])
        assert found["verdict"]["title"] in ("No experiment yet", "At rest")
    finally:
        assert "Traceback" not in new.end()


def test_a_disk_that_was_pulled_out_is_said(station: LiveStation) -> None:
    station.thinks("object")
    url = station.serve()
    station.data.rename(station.directory / "pulled out")
    wait_for(lambda: "disk with the experiments is not there" in state(url)["verdict"]["title"], 5)
    (station.directory / "pulled out").rename(station.data)
    wait_for(lambda: "disk" not in state(url)["verdict"]["title"], 5)


def test_a_hundred_days_are_not_sent_again_every_five_seconds(station: LiveStation) -> None:
    for number in range(100):
        station.records(f"day-{number:03}", "object", "motion", opened=-86400 * (number + 1), state=record.HOME)
    station.thinks("object")
    url = station.serve()
    assert len(state(url)["experiments"]) == 101
    first, again = (requests.get(f"{url}state.json", timeout=10) for _ in range(2))
    assert len(first.content) < 4000 and first.json()["history"] == again.json()["history"]


# -- what it never shows ----------------------------------------------------------------------------

OUTSIDE = [
    "/secret.txt",
    "/../secret.txt",
    "/%2e%2e/secret.txt",
    "/experiments/../secret.txt",
    f"/experiments/{TODAY}/../../secret.txt",
    f"/experiments/{TODAY}/%2e%2e/%2e%2e/secret.txt",
    f"/experiments/{TODAY}/..%2f..%2fsecret.txt",
    f"/experiments/{TODAY}/..%5c..%5csecret.txt",
    f"/experiments/{TODAY}/%252e%252e/secret.txt",
    f"/experiments/{TODAY}/secret.txt",
    f"/experiments/{TODAY}/report.html/../secret.txt",
    f"/experiments/{TODAY}/report.html%00.txt",
    f"/experiments/{TODAY}%00/report.html",
    f"/experiments/{TODAY}/",
    f"/experiments/{TODAY}",
    "/experiments/",
    "/experiments/../report.html",
    "/experiments/%2e%2e/report.html",
    "/experiments/./report.html",
    f"/experiments/{TODAY}/experiment.json",
    f"/experiments/{TODAY}/events.jsonl",
    f"/experiments/{TODAY}/object/object_{TODAY}.zip",
    f"/{TODAY}/report.html",
    "/.heartbeat.json",
    "/.secret",
    "/.locks/",
    "/pictures/",
    "/pictures/../secret.txt",
    "/pictures/..%2fsecret.txt.jpg",
    "/pictures/object.jpg/../../secret.txt",
    "/live_page.py",
    "/page/page.js",
    "/..%2flive_page.py",
    "//etc/passwd",
    "/%2fetc/passwd",
    "/%c3%a9",
    "/%ff%fe",
    "/%",
    "http://elsewhere/secret.txt",
    "*",
    "/" + "a" * 9000,
]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveStation]:
    """A station that is served, for tests that change nothing that is shown."""
    found = LiveStation(tmp_path_factory.mktemp("served"))
    found.knows({"object": ("object", 9)})
    found.records(TODAY, "object")
    found.report(TODAY)
    for path in ("secret.txt", f"{TODAY}/secret.txt", f"{TODAY}/object/object_{TODAY}.zip", ".secret", "../secret.txt"):
        (found.data / path).parent.mkdir(parents=True, exist_ok=True)
        (found.data / path).write_text(SECRET)
    (found.data / "report.html").write_text(SECRET)
    found.report("../outside", SECRET.encode())
    found.report(".hidden", SECRET.encode())
    found.thinks("object")
    found.serve()
    yield found
    assert "Traceback" not in found.end()


@pytest.mark.parametrize("path", OUTSIDE)
def test_no_path_leads_to_anything_but_the_page_and_the_reports(served: LiveStation, path: str) -> None:
    status, headers, content = raw(served.url, path)
    assert status in (400, 404, 414, 431), content
    assert SECRET.encode() not in content and b"root:" not in content and b"import " not in content
    assert headers["content-type"].startswith("text/plain")


@pytest.mark.parametrize("name", ["../outside", "..%2foutside", ".hidden", "..", ".", "%2ehidden", "unclaimed/..", ""])
def test_only_an_experiment_has_a_report(served: LiveStation, name: str) -> None:
    status, _, content = raw(served.url, f"/experiments/{name}/report.html")
    assert status == 404 and SECRET.encode() not in content


def test_no_link_leads_out_of_an_experiment_and_nothing_but_a_file_is_opened(station: LiveStation) -> None:
    outside = station.directory / "outside"
    outside.mkdir()
    (outside / "report.html").write_text(SECRET)
    (station.data / "linked-report").mkdir()
    (station.data / "linked-report" / "report.html").symlink_to(outside / "report.html")
    (station.data / "linked").symlink_to(outside)
    (station.data / "pipe").mkdir()
    os.mkfifo(station.data / "pipe" / "report.html")
    (station.data / "directory" / "report.html").mkdir(parents=True)
    station.serve()
    began = time.monotonic()
    for name in ("linked-report", "linked", "pipe", "directory"):
        status, _, content = raw(station.url, f"/experiments/{name}/report.html")
        assert status == 404 and SECRET.encode() not in content, name
    assert time.monotonic() - began < 5, "a pipe that nobody writes to holds up nobody"
    station.records("linked-report", "object", state=record.HOME)
    found = wait_for(lambda: [each for each in state(station.url)["experiments"] if each["id"] == "linked-report"], 5)
    assert found[0]["report"] is False, "nothing is promised that is not there"


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT", "PROPFIND", "get"])
@pytest.mark.parametrize("path", ["/", "/state.json", f"/experiments/{TODAY}/report.html"])
def test_nothing_can_be_done_but_read(served: LiveStation, method: str, path: str) -> None:
    before = sorted(served.data.rglob("*"))
    status, headers, content = raw(served.url, path, method)
    if method == "get":  # the server's own parser takes it for GET
        assert status in (200, 400)
    else:
        assert status == 405 and headers["allow"] == "GET, HEAD" and b"only to be read" in content
    assert sorted(served.data.rglob("*")) == before


@pytest.mark.parametrize("path", ["/", "/state.json", "/page.js", f"/experiments/{TODAY}/report.html", "/nothing"])
def test_head_says_what_get_would_without_its_content(served: LiveStation, path: str) -> None:
    status, headers, content = raw(served.url, path)
    same, alike, nothing = raw(served.url, path, "HEAD")
    # A state grows by a digit between two questions.
    unlike = {"date"} | ({"content-length"} if path == "/state.json" else set())
    assert (same, nothing) == (status, b"")
    assert {k: v for k, v in alike.items() if k not in unlike} == {k: v for k, v in headers.items() if k not in unlike}
    assert int(headers["content-length"]) == len(content)


@pytest.mark.parametrize(
    "path", ["/", "/state.json", "/page.js", "/page.css", f"/experiments/{TODAY}/report.html", "/x"]
)
def test_a_browser_is_told_to_trust_nothing_but_the_page_itself(served: LiveStation, path: str) -> None:
    _, headers, _ = raw(served.url, path)
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy and "frame-ancestors 'none'" in policy and "http" not in policy
    if path.endswith("report.html"):
        # Its script runs, in an origin of its own, from which it can ask for nothing.
        assert "sandbox allow-scripts" in policy and "allow-same-origin" not in policy and "connect-src" not in policy
    else:
        assert "unsafe" not in policy
    assert headers["x-content-type-options"] == "nosniff" and headers["referrer-policy"] == "no-referrer"
    assert "server" not in headers and "access-control-allow-origin" not in headers


def test_what_a_browser_has_already_is_not_sent_again(served: LiveStation) -> None:
    for path in ("", "page.js", "history.json", f"experiments/{TODAY}/report.html"):
        first = requests.get(served.url + path, timeout=10)
        again = requests.get(served.url + path, timeout=10, headers={"If-None-Match": first.headers["ETag"]})
        assert (first.status_code, again.status_code, again.content) == (200, 304, b"")


def test_the_page_asks_for_nothing_on_the_internet() -> None:
    for path in (SCRIPT.parent / "page").iterdir():
        found = re.findall(
            r"(?:https?:)?//[a-z][\w.-]+\.\w+", re.sub(r"http://www\.w3\.org/2000/svg", "", path.read_text())
        )
        assert not found, path


# -- who can keep it from showing -------------------------------------------------------------------


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


# -- how it begins and ends -------------------------------------------------------------------------


def run(station: LiveStation, *options: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, str(SCRIPT), "--data-dir", str(station.data), "--heartbeat", str(station.config), *options],
        capture_output=True,
        text=True,
        timeout=20,
        env={**os.environ, "PYTHONPATH": str(ROOT / "collections")},
    )
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--address", "192.0.2.7"], "Correct|This machine does not have that address, or not yet"),
        (["--address", "station.example"], "that is no address"),
        (["--port", "99999"], "port must be 0-65535"),
        (["--start", "450", "--stop", "01:00"], 'wildberryeye_start_time: not a time of day. .* "07:30"'),
    ],
)
def test_what_cannot_be_served_is_said_in_one_line(station: LiveStation, options: list[str], said: str) -> None:
    code, text = run(station, *options)
    assert code == 1 and len(text.splitlines()) == 1 and re.search(said, text), text


def test_a_port_that_is_taken_is_said_in_one_line(station: LiveStation) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        code, text = run(station, "--port", str(taken.getsockname()[1]))
    assert code == 1 and "choose another wildberryeye_live_page_port" in text and len(text.splitlines()) == 1


def test_systemd_is_told_when_it_can_be_opened_and_it_ends_when_asked(
    station: LiveStation, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.settimeout(10)
        systemd.bind(str(station.directory / "notify"))
        monkeypatch.setenv("NOTIFY_SOCKET", str(station.directory / "notify"))
        url = station.serve()
        assert systemd.recv(100) == b"READY=1" and raw(url, "/")[0] == 200
    assert station.process is not None
    station.process.terminate()
    assert station.process.wait(5) == 0


def test_it_can_be_served_over_ipv6(station: LiveStation) -> None:
    url = station.serve("--address", "::1")
    assert url.startswith("http://[::1]:") and raw(url, "/state.json")[0] == 200


# -- the cameras' pictures --------------------------------------------------------------------------


def asked(camera: Lab) -> list[tuple[str, str]]:
    """What was asked of a camera."""
    return [(line["method"], line["path"]) for line in camera.lines("requests")]


def test_a_camera_is_asked_for_its_picture_only_while_somebody_looks_and_it_records(
    tmp_path: Path, camera: Lab
) -> None:
    camera.start()
    name = camera.capture()
    station = LiveStation(tmp_path)
    station.knows({"object": ("object", camera.port)})
    station.records(TODAY, "object")
    station.thinks("object", "wedged")
    before = asked(camera)
    try:
        url = station.serve()
        for _ in range(5):
            assert state(url)["cameras"][0]["picture"] is None
        assert asked(camera) == before, "a camera in trouble is left in peace"
        assert raw(url, "/pictures/object.jpg")[0] == 404
        station.thinks("object")
        wait_for(lambda: state(url)["cameras"][0]["picture"], 10)
        status, headers, content = raw(url, "/pictures/object.jpg")
        assert status == 200 and content == (camera.images / name).read_bytes()
        assert headers["content-type"] == "image/jpeg" and headers["x-content-type-options"] == "nosniff"
        for _ in range(20):
            state(url)
            raw(url, "/pictures/object.jpg")
        new = asked(camera)[len(before) :]
        assert new == [("GET", "/latest-image")], "once a minute, whoever looks how often"
    finally:
        station.end()


# -- the time line ----------------------------------------------------------------------------------


def test_the_time_line_is_made_beside_and_costs_the_page_no_memory(station: LiveStation) -> None:
    station.thinks("object")
    station.thinks("motion")
    events.append(station.layout.events(TODAY), "recording", "object")
    url = station.serve()
    line = wait_for(lambda: state(url)["time_line"], 20)
    assert set(line["cameras"]) == {"object", "motion"}
    assert line["cameras"]["object"]["spans"][-1][2] == "recording"
    assert station.end().count("no time line") == 0


def test_what_a_heartbeat_saw_before_it_was_killed_is_still_known_afterwards(station: LiveStation) -> None:
    station.thinks("object", alive=False, last_good=at(-1800))
    events.append(station.layout.events(TODAY), "recording", "object")
    url = station.serve()
    line = wait_for(lambda: state(url)["time_line"], 20)
    recorded, lost = line["cameras"]["object"]["spans"][-2:]
    assert (recorded[2], lost[2]) == ("recording", "unknown") and abs(lost[0] - (time.time() - 1800)) < 60


def test_a_time_line_that_cannot_be_made_costs_nothing_else(station: LiveStation) -> None:
    station.thinks("object")
    (station.data / TODAY / "events.jsonl").unlink()
    (station.data / TODAY / "events.jsonl").mkdir()
    url = station.serve()
    assert state(url)["verdict"]["level"] == "warn"
    time.sleep(1)
    assert state(url)["time_line"] is None and json.dumps(state(url))
