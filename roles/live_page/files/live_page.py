# SPDX-License-Identifier: GPL-3.0-or-later
"""The station's live page: serves what is known of the cameras and the experiments' reports, read-only.

It answers a handful of paths and no other. The only files that it opens for somebody are the page's own and an
experiment's `report.html`; the only request that it makes is for a camera's latest picture, while somebody looks.
"""

from __future__ import annotations

import argparse
import datetime as dt
import errno
import functools
import hashlib
import ipaddress
import json
import os
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from typing import IO, Any, NamedTuple

from waitress.channel import HTTPChannel
from waitress.server import BaseWSGIServer, create_server

from ansible_collections.wildberryeye.orchestrator.plugins.module_utils import (
    events,
    experiment,
    heartbeat_file,
    latest_picture,
    live_facts,
    names,
    overview,
    record,
    watch,
)
from ansible_collections.wildberryeye.orchestrator.plugins.module_utils.errors import Error, from_os_error, one_line
from ansible_collections.wildberryeye.orchestrator.plugins.module_utils.layout import Layout

HERE = os.path.dirname(os.path.abspath(__file__))
REPORT = "report.html"
FRESH = 2.0
"""Seconds for which what was found is told again: however many look, the disk is asked this often."""
HISTORY = ("experiments", "happened", "time_line")
TIME_LINE = 60.0
"""Seconds between two time lines, at least."""
_SLOW = 20.0
"""Seconds that a client has for a whole request, and for taking a bit of the answer."""
_CLIENTS = 96
"""Connections at once."""
_PER_CLIENT = 12
"""Of one address; a browser opens six."""

# What a page may do: nothing but what is named. Our own has no script or style in its markup.
_OWN_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none';"
    " form-action 'none'; frame-ancestors 'none'"
)
# A report is one file, with script and style in it. It gets an origin of its own, and can ask for nothing.
_REPORT_POLICY = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:; font-src data:;"
    " base-uri 'none'; form-action 'none'; frame-ancestors 'none'; sandbox allow-scripts allow-popups"
)
_NO_POLICY = "default-src 'none'; frame-ancestors 'none'; sandbox"

_PICTURE = re.compile(r"/pictures/([A-Za-z0-9._-]{1,63})\.jpg", re.ASCII)
_EXPERIMENT = re.compile(rf"/experiments/([A-Za-z0-9._-]{{1,63}})/{re.escape(REPORT)}", re.ASCII)

_PIECE = 65536
"""Bytes of a file that are read at a time."""

StartResponse = Callable[[str, list[tuple[str, str]]], object]


class Answer(NamedTuple):
    """What a request is answered with."""

    status: str
    content: bytes | IO[bytes]
    size: int
    kind: str
    policy: str = _NO_POLICY
    etag: str = ""
    cache: str = "no-cache"


class Settings(NamedTuple):
    """What the unit says."""

    data_dir: str
    heartbeat: str
    """The file that start.yml writes for the heartbeat: which cameras there are."""
    schedule: live_facts.Schedule | None


class Found(NamedTuple):
    """What the page shows, as JSON."""

    state: bytes
    """What may be another every second, and the version of the rest."""
    history: bytes
    """What grows long and seldom changes: the air is shared with the cameras."""
    version: str
    """Of the history."""


class Known(NamedTuple):
    """What start.yml told the heartbeat."""

    modes: dict[str, str]
    addresses: dict[str, latest_picture.Address]
    interval: float


class Cache:
    """What was read from files, as long as they are the same."""

    def __init__(self) -> None:
        self._kept: dict[str, tuple[tuple[int, ...], Any]] = {}

    def read(self, path: str, reader: Callable[[], Any]) -> Any:
        """Return what `reader` makes of the file `path`, read again only if it has changed."""
        try:
            found = os.stat(path)
            sign: tuple[int, ...] = (found.st_mtime_ns, found.st_size, found.st_ino, found.st_dev)
        except OSError:
            sign = ()
        before = self._kept.get(path)
        if before is None or before[0] != sign or not sign:
            self._kept[path] = before = (sign, reader())
        return before[1]

    def only(self, paths: Iterable[str]) -> None:
        """Forget all but these."""
        wanted = set(paths)
        self._kept = {path: kept for path, kept in self._kept.items() if path in wanted}


class Station:
    """What is known, found anew every so often while somebody looks.

    Args:
        settings: what the unit says.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.layout = Layout(settings.data_dir)
        self.pictures = latest_picture.Pictures()
        self.time_line = TimeLine(settings)
        self._lock = threading.Lock()
        self._cache = Cache()
        self._found = Found(b"", b"", "")
        self._found_at = -FRESH

    def found(self) -> Found:
        """Return what the page shows."""
        with self._lock:
            if time.monotonic() >= self._found_at + FRESH:
                found = self._look()
                history = as_json({name: found.pop(name) for name in HISTORY})
                version = hashlib.sha256(history).hexdigest()[:16]
                self._found = Found(as_json({**found, "history": version}), history, version)
                self._found_at = time.monotonic()
            return self._found

    def _look(self) -> dict[str, Any]:
        known, complaint = self._cache.read(self.settings.heartbeat, lambda: read_known(self.settings.heartbeat))
        problems = [complaint] if complaint else []
        records: list[record.Record] = []
        reports: set[str] = set()
        there: list[str] = []
        try:
            there = self.layout.experiments()
            for name in there:
                found, complaint = self._cache.read(self.layout.record(name), functools.partial(self._record, name))
                problems += [complaint] if complaint else []
                if found is not None:
                    records.append(found)
                    if report := open_report(self.layout, name):
                        report.close()
                        reports.add(name)
            beat, cards = heartbeat_file.read(self.layout)
        except OSError as error:
            problems.append(str(from_os_error("read the experiments", error)))
            beat, cards = overview.heartbeat(None, False), {}
        records.sort(key=lambda found: dt.datetime.fromisoformat(found.opened), reverse=True)
        current = live_facts.current(records)
        latest = current or (records[0] if records else None)
        happened: list[dict[str, Any]] = []
        if latest is not None:
            path = self.layout.events(latest.id)
            happened = self._cache.read(path, lambda: live_facts.worth_seeing(self._events(path)))
        self._cache.only(
            [
                self.settings.heartbeat,
                *map(self.layout.record, there),
                *([self.layout.events(latest.id)] if latest else []),
            ]
        )
        self._ask_for_pictures(known, beat)
        shots = {name: self.pictures.get(name) for name in {*known.modes, *(current.cameras if current else ())}}
        seen = live_facts.Seen(
            socket.gethostname(),
            records,
            # Where that is on this machine is nobody's business.
            [line.replace(f"{self.layout.data_dir}/", "") for line in problems],
            beat,
            cards,
            known.interval,
            known.modes,
            # Every start leaves that directory.
            bool(known.modes) and not os.path.isdir(self.layout.locks()),
            disk(self.settings.data_dir),
            reports,
            happened,
            {
                name: live_facts.Shot(shot.version, shot.taken, len(shot.content))
                for name, shot in shots.items()
                if shot is not None
            },
            self.settings.schedule,
            self.time_line.of(latest.id if latest else "", known.interval),
        )
        return live_facts.facts(seen, dt.datetime.now().astimezone())

    def _record(self, name: str) -> tuple[record.Record | None, str]:
        try:
            return record.load(self.layout, name), ""
        except Error as error:
            return None, str(error)

    def _events(self, path: str) -> list[dict[str, Any]]:
        try:
            return events.read(path)
        except OSError:
            return []

    def _ask_for_pictures(self, known: Known, beat: Mapping[str, Any]) -> None:
        """Ask the cameras that have just answered the heartbeat; one in trouble is left in peace."""
        well = {name for name, thought in beat["cameras"].items() if thought["state"] == watch.RECORDING}
        self.pictures.ask({name: address for name, address in known.addresses.items() if name in well})


class TimeLine:
    """The time line of an experiment, made by a process of its own: reading an archive's list takes memory.

    Args:
        settings: what the unit says.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._made: tuple[str, dict[str, Any] | None] = ("", None)
        self._next = 0.0
        self._working = False

    def of(self, experiment_id: str, interval: float) -> dict[str, Any] | None:
        """Return the latest one of this experiment, None if there is none yet; does not wait for a new one.

        Args:
            experiment_id: which; empty for none.
            interval: seconds between two looks of the heartbeat.
        """
        with self._lock:
            made_of, made = self._made
            if experiment_id and not self._working and (made_of != experiment_id or time.monotonic() >= self._next):
                self._working = True
                threading.Thread(
                    target=self._make, args=[experiment_id, interval], name="time line", daemon=True
                ).start()
            return made if made_of == experiment_id else None

    def _make(self, experiment_id: str, interval: float) -> None:
        began = time.monotonic()
        command = [
            sys.executable,
            os.path.join(HERE, "time_line.py"),
            self._settings.data_dir,
            experiment_id,
            str(interval),
        ]
        made = None
        try:
            done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, timeout=120, check=True)
            made = json.loads(done.stdout)
        except subprocess.CalledProcessError:
            # It has said why.
            pass
        except (OSError, subprocess.SubprocessError, ValueError) as error:
            say(f"no time line: {one_line(str(error))}")
        finally:
            with self._lock:
                # Where it takes long it is made seldom.
                now = time.monotonic()
                self._next = now + max(TIME_LINE, 20 * (now - began))
                self._made = (experiment_id, made)
                self._working = False


class App:
    """The page as a WSGI application (PEP 3333).

    Args:
        station: what is known.
    """

    def __init__(self, station: Station) -> None:
        self._station = station
        self._own = own_files()

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        method = environ["REQUEST_METHOD"]
        if method not in ("GET", "HEAD"):
            answer = said("405 Method Not Allowed", "This page is only to be read.")
        else:
            answer = self._answer(environ["PATH_INFO"])
        headers = [
            ("Content-Type", answer.kind),
            ("Content-Security-Policy", answer.policy),
            ("X-Content-Type-Options", "nosniff"),
            ("Referrer-Policy", "no-referrer"),
            ("Cross-Origin-Resource-Policy", "same-origin"),
            ("Cross-Origin-Opener-Policy", "same-origin"),
            ("Cache-Control", answer.cache),
        ]
        if answer.status.startswith("405"):
            headers.append(("Allow", "GET, HEAD"))
        if answer.etag:
            headers.append(("ETag", answer.etag))
            if environ.get("HTTP_IF_NONE_MATCH") == answer.etag:
                close(answer)
                start_response("304 Not Modified", headers)
                return []
        headers.append(("Content-Length", str(answer.size)))
        start_response(answer.status, headers)
        if method == "HEAD":
            close(answer)
            return []
        if isinstance(answer.content, bytes):
            return [answer.content]
        # Sent from the file, however slowly it is taken: it is never in memory as a whole.
        wrapped: Iterable[bytes] = environ["wsgi.file_wrapper"](answer.content, _PIECE)
        return wrapped

    def _answer(self, path: str) -> Answer:
        own = self._own.get(path)
        if own is not None:
            return own
        if path == "/state.json":
            content = self._station.found().state
            return Answer("200 OK", content, len(content), "application/json", cache="no-store")
        if path == "/history.json":
            _unused, content, version = self._station.found()
            return Answer("200 OK", content, len(content), "application/json", etag=f'"{version}"')
        if match := _PICTURE.fullmatch(path):
            picture = self._station.pictures.get(match[1])
            if picture is not None:
                content, etag = picture.content, f'"{picture.version}"'
                return Answer("200 OK", content, len(content), "image/jpeg", etag=etag)
        elif (match := _EXPERIMENT.fullmatch(path)) and (report := open_report(self._station.layout, match[1])):
            found = os.fstat(report.fileno())
            etag = f'"{found.st_mtime_ns:x}-{found.st_size:x}"'
            return Answer("200 OK", report, found.st_size, "text/html; charset=utf-8", _REPORT_POLICY, etag)
        return said("404 Not Found", "There is nothing here. The station's page is at /")


class Channel(HTTPChannel):
    """A connection that cannot be held open by sending a request bit by bit, nor by opening many of them."""

    def __init__(self, server: Any, sock: Any, addr: Any, adj: Any, map: Any = None) -> None:
        mine = sum(channel.addr[:1] == addr[:1] for channel in server.active_channels.values())
        super().__init__(server, sock, addr, adj, map=map)
        self.will_close = mine >= _PER_CLIENT
        # So much of a file is read at a time: what the kernel would take is megabytes, for each client.
        self.sendbuf_len = min(self.sendbuf_len, _PIECE)

    def handle_read(self) -> None:
        """Read what has come; half a request is no activity."""
        before = self.last_activity
        super().handle_read()
        if self.request is not None:
            self.last_activity = before


def as_json(content: Any) -> bytes:
    """Return `content` as JSON."""
    return json.dumps(content, ensure_ascii=False).encode(errors="replace")


def said(status: str, text: str) -> Answer:
    """Return an answer in words."""
    content = f"{text}\n".encode()
    return Answer(status, content, len(content), "text/plain; charset=utf-8")


def close(answer: Answer) -> None:
    """Close what an answer would have been sent from."""
    if not isinstance(answer.content, bytes):
        answer.content.close()


def own_files() -> dict[str, Answer]:
    """Return the page's own files, by path."""
    kinds = {
        "html": "text/html; charset=utf-8",
        "css": "text/css; charset=utf-8",
        "js": "text/javascript; charset=utf-8",
        "svg": "image/svg+xml",
    }
    found = {}
    directory = os.path.join(HERE, "page")
    for name in sorted(os.listdir(directory)):
        kind = kinds.get(name.rpartition(".")[2])
        if kind:
            with open(os.path.join(directory, name), "rb") as file:
                content = file.read()
            etag = f'"{hashlib.sha256(content).hexdigest()[:16]}"'
            path = "/" if name == "index.html" else f"/{name}"
            found[path] = Answer("200 OK", content, len(content), kind, _OWN_POLICY, etag)
    return found


def open_report(layout: Layout, experiment_id: str) -> IO[bytes] | None:
    """Open an experiment's report, None if there is none: a file of its own directory, reached over no link."""
    if not names.is_experiment(experiment_id):
        return None
    try:
        directory = os.open(
            layout.experiment(experiment_id), os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
        )
        try:
            # Not waiting: a pipe of that name would never be opened.
            report = os.open(REPORT, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=directory)
        finally:
            os.close(directory)
    except OSError:
        return None
    if not stat.S_ISREG(os.fstat(report).st_mode):
        os.close(report)
        return None
    return os.fdopen(report, "rb")


def read_known(path: str) -> tuple[Known, str]:
    """Return what start.yml told the heartbeat, and why that cannot be read; nothing where there was no start yet."""
    nothing = Known({}, {}, 60.0)
    try:
        with open(path, "rb") as file:
            content = json.load(file)
        cameras = {str(name): dict(each) for name, each in dict(content["cameras"]).items()}
        return Known(
            {name: str(each["mode"]) for name, each in cameras.items()},
            {name: (str(each["host"]), int(each["port"])) for name, each in cameras.items()},
            float(content["interval"]),
        ), ""
    except FileNotFoundError:
        return nothing, ""
    except OSError as error:
        return nothing, str(from_os_error("read the cameras", error))
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return nothing, f"read {path}: it is torn or of another version. Run start.yml: it writes it"


def disk(path: str) -> live_facts.Disk | None:
    """Return how much room there is where `path` is, or is to be; None if nobody can tell."""
    while not os.path.isdir(path) and os.path.dirname(path) != path:
        path = os.path.dirname(path)
    try:
        found = shutil.disk_usage(path)
    except OSError:
        return None
    return live_facts.Disk(found.free, found.total)


def listening(address: str, port: int) -> socket.socket:
    """Return a socket that is bound.

    Raises:
        Error: if it cannot be.
    """
    tried = f"serve the live page on {address}, port {port}"
    try:
        family = socket.AF_INET6 if ipaddress.ip_address(address).version == 6 else socket.AF_INET
    except ValueError:
        raise Error(
            tried, "that is no address", "Correct wildberryeye_live_page_address: 127.0.0.1, or one of this machine's"
        ) from None
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((address, port))
    except (OSError, OverflowError) as error:
        sock.close()
        advice = {
            errno.EADDRNOTAVAIL: "This machine does not have that address, or not yet: correct"
            " wildberryeye_live_page_address, or wait for its network",
            errno.EADDRINUSE: "Something else has that port: choose another wildberryeye_live_page_port",
            errno.EACCES: "Choose a wildberryeye_live_page_port from 1024 on",
        }
        number = error.errno if isinstance(error, OSError) else 0
        text = (error.strerror if isinstance(error, OSError) else None) or str(error)
        raise Error(tried, text, advice.get(number or 0, "")) from None
    return sock


def schedule(start: str, stop: str) -> live_facts.Schedule | None:
    """Return when the timers begin and end an experiment.

    Raises:
        Error: if one of these is no time of day.
    """
    if not start or not stop:
        return None
    return live_facts.Schedule(
        experiment.time_of_day(start, "wildberryeye_start_time"), experiment.time_of_day(stop, "wildberryeye_stop_time")
    )


def server(app: App, sock: socket.socket, slow: float = _SLOW) -> BaseWSGIServer:
    """Return what serves `app` on `sock` once it is run.

    Args:
        app: the page.
        sock: bound.
        slow: seconds that a client has for a whole request, and for taking a bit of the answer.
    """
    made = create_server(
        app,
        sockets=[sock],
        threads=4,
        connection_limit=_CLIENTS,
        channel_timeout=slow,
        cleanup_interval=min(5.0, slow),
        asyncore_loop_timeout=min(5.0, slow),
        asyncore_use_poll=True,
        max_request_header_size=16384,
        max_request_body_size=1024,
        ident=None,
        log_socket_errors=False,
    )
    assert isinstance(made, BaseWSGIServer)
    made.channel_class = Channel
    return made


def say(line: str) -> None:
    """Write a line to the journal."""
    print(line, flush=True)


def notify(state: str) -> None:
    """Tell systemd, where there is one, how it stands: sd_notify(3)."""
    address = os.environ.get("NOTIFY_SOCKET")
    if address:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as out:
            out.sendto(state.encode(), f"\0{address[1:]}" if address.startswith("@") else address)


def end(*_unused: object) -> None:
    """End: a handler of signals."""
    raise SystemExit(0)


def main() -> int:
    """Serve the page until SIGTERM."""
    parser = argparse.ArgumentParser(description="Serve the station's live page.")
    parser.add_argument("--data-dir", required=True, help="where the experiments are")
    parser.add_argument("--heartbeat", required=True, help="the file that start.yml writes for the heartbeat")
    parser.add_argument("--address", default="127.0.0.1", help="IP address to listen on")
    parser.add_argument("--port", type=int, default=8080, help="TCP port to listen on")
    parser.add_argument("--start", default="", help="time of day at which the timer begins an experiment")
    parser.add_argument("--stop", default="", help="time of day at which the timer ends it")
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)
    try:
        settings = Settings(given.data_dir, given.heartbeat, schedule(given.start, given.stop))
        sock = listening(given.address, given.port)
    except Error as error:
        say(str(error))
        notify(f"STATUS={error}")
        return 1
    page = server(App(Station(settings)), sock)
    address, port = sock.getsockname()[:2]
    say(f"serving http://{f'[{address}]' if ':' in address else address}:{port}/")
    notify("READY=1")
    page.run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
