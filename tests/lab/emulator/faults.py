# SPDX-License-Identifier: GPL-3.0-or-later
"""What is wrong with the camera just now: `faults.json`."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

CHOICES = {
    "capture": ("ok", "hang", "error500", "html", "truncated", "redirect", "huge", "no_file", "odd_name"),
    "stop": ("ok", "error500", "hang"),
    "start": ("ok", "error500"),
}


@dataclass(frozen=True)
class Faults:
    """The switches; the defaults are a healthy camera (with all of its quirks)."""

    capture: str = "ok"  # see CHOICES; a hanging one stores its picture when the fault is cleared
    stop: str = "ok"
    start: str = "ok"
    wedged: bool = False  # requests are accepted and not answered; detection goes on
    detection_dies: bool = False  # an exception ends the detection thread for the life of the process
    late_images: int = 0  # stored by the detection thread 1 s after a stop
    half_write: bool = False  # pictures end early, without FF D9
    slow_write: float = 0.0  # s that writing one picture takes
    clock_offset: float = 0.0  # s that the camera's clock is ahead
    ready_delay: float = 0.0  # s more until the first frame; read at process start
    cured_by_restart: bool = False  # a process that finds this file at its start ignores it until it changes


def parse(text: str) -> Faults:
    """The faults in a JSON `text`; raises ValueError for anything this camera cannot have."""
    try:
        faults = Faults(**json.loads(text))
    except TypeError as error:
        raise ValueError(f"unknown fault: {error}") from error
    for key, choices in CHOICES.items():
        if getattr(faults, key) not in choices:
            raise ValueError(f"{key} must be one of {', '.join(choices)}")
    return faults


def text(**switches: object) -> str:
    """The content of a `faults.json`, checked, for authors of tests; raises ValueError."""
    content = json.dumps(switches)
    parse(content)
    return content


class Switchboard:
    """The faults as the file has them at this moment."""

    def __init__(self, state_dir: Path) -> None:
        self._path = state_dir / "faults.json"
        self._lock = threading.Lock()
        self._faults = Faults()
        self._at_start = self._seen = self._stamp()
        self._load()

    def now(self) -> Faults:
        """The faults, re-read if the file is another; a torn or misspelt one leaves what was, with a word."""
        with self._lock:
            stamp = self._stamp()
            if stamp != self._seen:
                self._seen = stamp
                self._load()
            return self._faults

    def wait_while(self, held: Callable[[Faults], bool]) -> None:
        """Return when `held` is no longer true of the faults."""
        while held(self.now()):
            time.sleep(0.05)

    def _stamp(self) -> tuple[int, int, int] | None:
        try:
            status = self._path.stat()
        except FileNotFoundError:
            return None
        return status.st_mtime_ns, status.st_size, status.st_ino

    def _load(self) -> None:
        try:
            faults = parse(self._path.read_text())
        except FileNotFoundError:
            faults = Faults()
        except ValueError as error:
            print(f"emulator: {self._path} not taken: {error}", file=sys.stderr, flush=True)
            return
        ignored = faults.cured_by_restart and self._seen == self._at_start
        self._faults = Faults() if ignored else faults
