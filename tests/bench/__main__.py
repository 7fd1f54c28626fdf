# SPDX-License-Identifier: GPL-3.0-or-later
"""Measure beside the floors that no software can go below, and beside what people do by hand.

All figures of a table come from one run, on one machine; compare ratios, not seconds of different machines.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from typing import Protocol

from lab import LabError
from lab.__main__ import table
from lab.command import run_command

from . import results
from .carry import HAND, Carry
from .fleet import Options, say
from .heartbeat import LEAST, Heartbeat
from .memory import Memory
from .results import Result, Row
from .tail import Tail


class Scenario(Protocol):
    """Something that is measured."""

    @property
    def name(self) -> str:
        """What it is called by."""

    @property
    def minutes(self) -> float:
        """About how long it takes."""

    @property
    def about(self) -> str:
        """What it does, in a line."""

    def run(self, options: Options) -> list[Row]:
        """Measure; return the table's rows."""


SCENARIOS: tuple[Scenario, ...] = (
    Carry("two-80", 3, 2, 80, methods=("zip", "files", HAND), times=1.35, start=True, start_plus=4),
    Carry("two-800", 9, 2, 800, times=1.12),
    Carry("shared-80", 4, 2, 80, shared=True, methods=("zip", "files", HAND), times=1.25),
    Carry("shared-800", 14, 2, 800, shared=True, times=1.08),
    Carry("ten-8", 4, 10, 8, shared=True, methods=("zip", HAND), start=True),
    Carry("forty-8", 7, 40, 8, shared=True, methods=("zip",), times=1.3, start=True, start_plus=30),
    Tail(),
    Memory(),
    Heartbeat(),
)
NOTES = (
    "floor of a start: the slowest camera's 'systemctl start' to first picture, all at once, and 2 s before a baseline",
    "floor of a stop: bytes over link speed; bare: what the same bytes take through one ssh and nothing else",
)


def main(arguments: list[str]) -> int:
    """Run the benchmark; return the exit status."""
    parser = argparse.ArgumentParser(prog="bench", description=str(__doc__).partition("\n")[0])
    parser.add_argument("scenarios", nargs="*", metavar="SCENARIO", help="default: all; 'list' says what there is")
    parser.add_argument("--scale", type=float, default=1.0, help="of what is carried; then nothing is judged")
    parser.add_argument("--cameras", type=int, help="in place of ten or forty; then nothing is judged")
    parser.add_argument(
        "--minutes", type=float, default=LEAST, help=f"that the heartbeat is watched, {LEAST:g} at least"
    )
    given = parser.parse_args(arguments)
    if given.scenarios == ["list"]:
        table([(each.name, f"about {each.minutes:g} min", each.about) for each in SCENARIOS])
        return 0
    names = [each.name for each in SCENARIOS]
    if unknown := sorted(set(given.scenarios) - set(names)):
        parser.error(f"no scenario {', '.join(unknown)}: there are {', '.join(names)}")
    if not 0 < given.scale <= 1:
        parser.error(f"--scale {given.scale:g}: more than 0, and 1 at most")
    if given.cameras is not None and given.cameras < 4:
        parser.error(f"--cameras {given.cameras}: a fleet has 4 at least")
    if given.minutes < LEAST:
        parser.error(f"--minutes {given.minutes:g}: it takes {LEAST:g} to tell anything")
    wanted = [each for each in SCENARIOS if each.name in (given.scenarios or names)]
    quick = [f"--scale {given.scale:g}"] if given.scale < 1 else []
    quick += [f"--cameras {given.cameras}"] if given.cameras is not None else []
    options = Options(given.scale, given.cameras, given.minutes)
    return run_command("bench", lambda: run(wanted, options, " ".join(quick)), removed="the cameras are removed")


def run(wanted: list[Scenario], options: Options, quick: str) -> int:
    """Run scenarios one after the other, show and keep what they find; return the exit status."""
    load = [round(value, 2) for value in os.getloadavg()]
    commit, machine = results.commit(), results.machine()
    if load[0] > 0.5:
        say(f"something else runs on this machine (load {load[0]:g}): figures will be worse than they are")
    failed, missed = [], []
    for number, scenario in enumerate(wanted, start=1):
        left = sum(each.minutes for each in wanted[number - 1 :])
        say(f"{scenario.name} ({number} of {len(wanted)}; about {left:g} min left): {scenario.about}")
        at, began = results.now(), time.monotonic()
        try:
            rows = scenario.run(options)
        except (LabError, AssertionError, OSError, subprocess.SubprocessError) as error:
            # The others are worth having.
            print(f"bench: {scenario.name}: {error}", file=sys.stderr)
            failed.append(scenario.name)
            continue
        took = time.monotonic() - began
        result = Result(scenario.name, rows, at, took, quick, load, commit, machine)
        results.append(result)
        show(result)
        missed += [f"{scenario.name}: {row.what}" for row in result.missed]
    print("\n".join(NOTES))
    print(f"kept in {results.FILE.relative_to(results.ROOT)}; `make bench-report` makes docs/speed.md of it")
    if missed:
        print("MISSED:\n  " + "\n  ".join(missed))
    if failed:
        print(f"could not be measured: {', '.join(failed)}")
    return 1 if missed or failed else 0


def show(result: Result) -> None:
    """Print a scenario's table."""
    say(f"{result.scenario}: {result.seconds / 60:.1f} min")
    print()
    table([results.HEAD, *result.table()])
    print(f"quick ({result.quick}): not judged\n" if result.quick else "")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
