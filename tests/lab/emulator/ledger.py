# SPDX-License-Identifier: GPL-3.0-or-later
"""The truth, for tests to compare with: what was written, when it detected, what was asked."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path


class Ledger:
    """Appends JSON lines to the files of the state directory."""

    def __init__(self, state_dir: Path) -> None:
        state_dir.mkdir(parents=True, exist_ok=True)
        self._dir = state_dir

    def written(self, event: str, **facts: object) -> None:
        """A picture's begin, end, lost or deleted."""
        self._append("written.jsonl", {"event": event, **facts})

    def detecting(self, detecting: bool, reason: str) -> None:
        """The camera began or ceased to produce images, and why."""
        self._append("detecting.jsonl", {"detecting": detecting, "reason": reason})

    def request(self, event: str, **facts: object) -> None:
        """A request was answered, or begins to wait."""
        self._append("requests.jsonl", {"event": event, **facts})

    def _append(self, name: str, facts: dict[str, object]) -> None:
        """One write per line: lines of several threads never mix, and a kill leaves none half-written."""
        line = json.dumps({"at": time.time(), **facts}).encode() + b"\n"
        descriptor = os.open(self._dir / name, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            if os.write(descriptor, line) != len(line):
                raise OSError(f"short write to {name}: the state directory is full")
        finally:
            os.close(descriptor)
