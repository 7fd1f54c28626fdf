# SPDX-License-Identifier: GPL-3.0-or-later
"""One emulated camera on a loopback port, for tests."""

from __future__ import annotations

import json
import os
import resource
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import requests

LAB = Path(__file__).parent
SETTINGS = {"port_delay": 0, "first_frame_delay": 0, "interval": 0.1, "hostname": "wildberry01"}


def wait_for(condition: Callable[[], Any], seconds: float = 10) -> Any:
    """The first true value of `condition`; fails after `seconds`."""
    end = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)
    return value


class Lab:
    """One emulated camera in a process of its own."""

    def __init__(self, directory: Path) -> None:
        self.images, self.state = directory / "images", directory / "state"
        self.state.mkdir()
        self.process: subprocess.Popen[bytes] | None = None
        self.errors = directory / "stderr"
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]

    def start(self, mode: str = "object", wait: bool = True, max_file: int | None = None, **settings: object) -> Lab:
        """Start the process; `max_file` bytes is where a file meets the end of the card."""
        (self.state / "settings.json").write_text(json.dumps({**SETTINGS, **settings}))
        command = [sys.executable, "-m", "emulator", mode, "--host", "127.0.0.1", "--port", str(self.port)]
        with self.errors.open("ab") as errors:
            self.process = subprocess.Popen(
                [*command, "--image-dir", str(self.images), "--state-dir", str(self.state)],
                env={**os.environ, "PYTHONPATH": str(LAB), "PYTHONDONTWRITEBYTECODE": "1"},
                stderr=errors,
            )
        if max_file is not None:
            resource.prlimit(self.process.pid, resource.RLIMIT_FSIZE, (max_file, max_file))
        if wait:
            wait_for(self.port_is_open)
        return self

    def end(self, how: signal.Signals = signal.SIGKILL) -> int:
        """End the process with a signal and return what it exited with."""
        assert self.process is not None
        self.process.send_signal(how)
        return self.process.wait(5)

    def port_is_open(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def faults(self, **switches: object) -> None:
        """Have these faults and no others."""
        new = self.state / "faults.new"
        new.write_text(json.dumps(switches))
        new.replace(self.state / "faults.json")

    def ask(self, method: str, path: str, **options: Any) -> requests.Response:
        options = {"timeout": 10, **options}
        return requests.request(method, f"http://127.0.0.1:{self.port}{path}", **options)

    def post(self, path: str, **options: Any) -> Any:
        answer = self.ask("POST", path, **options)
        assert answer.status_code == 200
        return answer.json()

    def capture(self) -> str:
        return str(self.post("/api/capture")["filename"])

    def lines(self, ledger: str) -> list[dict[str, Any]]:
        path = self.state / f"{ledger}.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def truth(self, event: str, kind: str | None = None) -> list[dict[str, Any]]:
        """The lines of written.jsonl that tell of `event`."""
        lines = [line for line in self.lines("written") if line["event"] == event]
        return [line for line in lines if kind is None or line["kind"] == kind]

    def detecting(self) -> list[tuple[bool, str]]:
        return [(line["detecting"], line["reason"]) for line in self.lines("detecting")]

    def stored(self, kind: str, number: int = 1) -> list[dict[str, Any]]:
        """Wait for this many complete pictures of `kind`."""
        wait_for(lambda: len(self.truth("end", kind)) >= number)
        return self.truth("end", kind)

    def quiet(self, seconds: float = 0.5) -> bool:
        """True if nothing is stored for this long: an absence can only be waited for by the clock."""
        before = len(self.lines("written"))
        time.sleep(seconds)
        return len(self.lines("written")) == before
