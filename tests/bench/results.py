# SPDX-License-Identifier: GPL-3.0-or-later
"""What was measured: a row beside its floor and its limit, a scenario with where its rows come from, a file of all."""

from __future__ import annotations

import datetime as dt
import json
import os
import platform
import re
import subprocess
from dataclasses import asdict, dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
FILE = ROOT / "build" / "bench" / "results.jsonl"
HEAD = ("what", "figure", "floor", "bare", "to its floor", "limit", "")


@dataclass(frozen=True)
class Row:
    """One figure. At most one of `times`, `plus` and `most` is given: no limit is none."""

    what: str
    figure: float
    unit: str = "s"
    floor: float | None = None
    """What no software can go below, measured or reckoned in the same run."""
    bare: float | None = None
    """What the same bytes took, or would have taken, through one ssh and nothing else."""
    times: float | None = None
    """It may be so many times its floor."""
    plus: float | None = None
    """It may be its floor and so much more."""
    most: float | None = None
    """It may be so much."""

    @property
    def allowed(self) -> float | None:
        """What the figure may be, in its unit; None where nobody asks."""
        if self.floor is not None and self.times is not None:
            return self.floor * self.times
        if self.floor is not None and self.plus is not None:
            return self.floor + self.plus
        return self.most

    @property
    def met(self) -> bool:
        """Whether the limit, if there is one, was kept."""
        return self.allowed is None or self.figure <= self.allowed

    @property
    def ratio(self) -> float | None:
        """How many times its floor."""
        return self.figure / self.floor if self.floor else None

    def cells(self, judged: bool) -> tuple[str, ...]:
        """Return the row as people read it; `judged`: whether it counts what the limit says."""
        to_floor, limit = "", ""
        if self.ratio is not None and self.floor is not None:
            to_floor = f"+ {self.figure - self.floor:.1f} s" if self.plus is not None else f"{self.ratio:.2f} x"
        if self.times is not None:
            limit = f"{self.times:.2f} x"
        elif self.plus is not None:
            limit = f"+ {self.plus:g} s"
        elif self.most is not None:
            limit = self._measure(self.most, "g")
        verdict = "" if self.allowed is None or not judged else "met" if self.met else "MISSED"
        values = [self._measure(value) for value in (self.figure, self.floor, self.bare)]
        return (self.what, *values, to_floor, limit, verdict)

    def _measure(self, value: float | None, form: str = "") -> str:
        form = form or ("g" if not self.unit else ".2f" if self.unit.startswith("%") else ".1f")
        return "" if value is None else f"{value:{form}} {self.unit}".strip()


@dataclass(frozen=True)
class Result:
    """A scenario that was run."""

    scenario: str
    rows: list[Row]
    at: str
    """When it began, UTC."""
    seconds: float
    """How long all of it took."""
    quick: str
    """What was made smaller than it is meant to be; then nothing is judged. Else ""."""
    load: list[float]
    """The machine's load average when the run began: what else was going on."""
    commit: str
    machine: dict[str, str | int]

    @property
    def missed(self) -> list[Row]:
        """The rows whose limit was not kept."""
        return [] if self.quick else [row for row in self.rows if not row.met]

    def table(self) -> list[tuple[str, ...]]:
        """Return the rows as people read them."""
        return [row.cells(not self.quick) for row in self.rows]


def append(result: Result, path: Path = FILE) -> None:
    """Add a result to the file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(asdict(result)) + "\n")


def read(path: Path = FILE) -> list[Result]:
    """Return all results of the file, oldest first."""
    found = []
    for line in path.read_text(encoding="utf-8").splitlines():
        facts = json.loads(line)
        found.append(Result(**{**facts, "rows": [Row(**row) for row in facts["rows"]]}))
    return found


def now() -> str:
    """Return the time as a result has it."""
    return dt.datetime.now(dt.UTC).strftime("%Y-%m-%d %H:%M")


def commit() -> str:
    """Return what is checked out."""
    command = ["git", "-C", str(ROOT), "describe", "--always", "--dirty=+", "--exclude=*"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def machine() -> dict[str, str | int]:
    """Return what this machine is."""
    cpu = re.search(r"^(?:model name|Model)\s*: (.*)", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    memory = re.search(r"MemTotal: *(\d+)", Path("/proc/meminfo").read_text())
    return {
        "cpu": cpu[1] if cpu else platform.machine(),
        "cores": os.cpu_count() or 1,
        "memory_gb": round(int(memory[1]) / 1e6) if memory else 0,
        "kernel": platform.release(),
    }
