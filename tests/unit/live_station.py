# SPDX-License-Identifier: GPL-3.0-or-later
"""A station with a live page: its files are made by hand, the page is served by the real script."""

from __future__ import annotations

import contextlib
import datetime as dt
import http.client
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import requests

from ansible_collections.wildberryeye.orchestrator.plugins.module_utils import durable, events, lock, record
from ansible_collections.wildberryeye.orchestrator.plugins.module_utils.layout import Layout
from ansible_collections.wildberryeye.orchestrator.plugins.module_utils.record import CameraRecord, Record
from unit.support import ROOT

SCRIPT = ROOT / "roles" / "live_page" / "files" / "live_page.py"

SECRET = "nobody is to see this"
TODAY = "2026-05-22"


def at(seconds: float = 0.0) -> str:
    """So many seconds from now, negative before, as records bear it."""
    return (dt.datetime.now().astimezone() + dt.timedelta(seconds=seconds)).isoformat(timespec="seconds")


class LiveStation:
    """An orchestrator as its files tell of it, and its live page.

    Args:
        directory: an empty one.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.data = directory / "the data"
        self.layout = Layout(str(self.data))
        self.config = directory / "heartbeat.json"
        self.process: subprocess.Popen[str] | None = None
        self.url = ""
        self.thoughts: dict[str, dict[str, Any]] = {}
        self.experiment = ""

    def knows(self, cameras: Mapping[str, tuple[str, int]], interval: float = 60) -> None:
        """Let a start have told the heartbeat of these cameras: name to mode and port on loopback."""
        durable.make_directories(self.layout.locks())
        known = {name: {"mode": mode, "host": "127.0.0.1", "port": port} for name, (mode, port) in cameras.items()}
        self.config.write_text(json.dumps({"cameras": known, "interval": interval}))

    def records(self, experiment: str, *cameras: str, opened: float = -3600, state: str = record.RECORDING) -> Record:
        """Let `cameras` be in that state in an experiment that was opened so many seconds from now."""
        found = Record(
            experiment,
            at(opened),
            at(opened + 18 * 3600),
            at(opened + 7200) if state == record.HOME else None,
            {
                name: CameraRecord("motion" if "motion" in name else "object", state, at(opened + 20), [], 0.1)
                for name in cameras
            },
        )
        record.save(self.layout, found)
        self.experiment = experiment if state == record.RECORDING else self.experiment
        return found

    def thinks(self, name: str, state: str = "recording", alive: bool = True, **more: Any) -> None:
        """Let the heartbeat, which is this process, think so of a camera."""
        self.thoughts[name] = {
            "experiment": self.experiment,
            "state": state,
            "text": "",
            "since": at(-3500),
            "last_good": at(-7),
            "clock_offset": 0.1,
            "degraded": False,
            "restarts": 0,
            **more,
        }
        owner = lock.Owner.of(os.getpid(), "heartbeat")
        content = {
            "format": 1,
            "pid": owner.pid,
            "started": owner.started,
            "boot": owner.boot if alive else "another",
            "written": at(),
            "cameras": self.thoughts,
        }
        new = Path(f"{self.layout.heartbeat()}.tmp")
        new.write_text(json.dumps(content))
        new.replace(self.layout.heartbeat())

    def report(self, experiment: str, content: bytes = b"<!doctype html><title>report</title>") -> Path:
        """Let an experiment have a report."""
        path = self.data / experiment / "report.html"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return path

    def serve(self, *options: str) -> str:
        """Start the page on a free port, and return its address."""
        command = [sys.executable, str(SCRIPT), "--data-dir", str(self.data), "--heartbeat", str(self.config)]
        self.process = subprocess.Popen(
            [*command, "--port", "0", *options],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT / "collections"), "PYTHONDONTWRITEBYTECODE": "1"},
        )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        match = re.fullmatch(r"serving (http://\S+/)\n", line)
        assert match, line
        self.url = match[1]
        return self.url

    def end(self) -> str:
        """End the page, if it is there; return what it had to say."""
        if self.process is None:
            return ""
        self.process.terminate()
        out, _ = self.process.communicate(timeout=10)
        self.process = None
        return out


def with_secrets(directory: Path, *cameras: str) -> LiveStation:
    """A station that records, with a report and things beside it that are nobody's business; not served yet."""
    found = LiveStation(directory)
    found.knows({name: (name, 9) for name in cameras})
    found.records(TODAY, *cameras)
    found.report(TODAY)
    for path in ("secret.txt", f"{TODAY}/secret.txt", f"{TODAY}/object/object_{TODAY}.zip", ".secret", "../secret.txt"):
        (found.data / path).parent.mkdir(parents=True, exist_ok=True)
        (found.data / path).write_text(SECRET)
    events.append(found.layout.events(TODAY), "opened", None, text=SECRET)
    return found


@contextlib.contextmanager
def served_with_secrets(directory: Path) -> Iterator[LiveStation]:
    """One that is served, with secrets in more places, for tests that change nothing that is shown."""
    found = with_secrets(directory, "object")
    (found.data / "report.html").write_text(SECRET)
    found.report("../outside", SECRET.encode())
    found.report(".hidden", SECRET.encode())
    found.thinks("object")
    found.serve()
    yield found
    assert "Traceback" not in found.end()


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
