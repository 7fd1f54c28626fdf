# SPDX-License-Identifier: GPL-3.0-or-later
"""`make molecule`: every scenario, or those that are named, on one lab that is made fresh between them."""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from lab import LabError
from lab.command import run_command

from .hosts import SHARED, boot, renew

ROOT = Path(__file__).parents[2]
SCENARIOS = ROOT / "extensions" / "molecule"
WORK = ROOT / "build" / "molecule"


def main(argv: list[str] | None = None) -> int:
    """Run scenarios; return 1 if one fails."""
    parser = argparse.ArgumentParser(prog="scenarios", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="ROLE", help="default: all")
    names = parser.parse_args(argv).names
    there = sorted(path.parent.name for path in SCENARIOS.glob("*/molecule.yml"))
    unknown = sorted(set(names) - set(there))
    if unknown:
        print(f"molecule: no scenario {', '.join(unknown)}: there are {', '.join(there)}", file=sys.stderr)
        return 2

    def work() -> int:
        with alone():
            return 1 if run(names or there, shown=len(names) == 1) else 0

    return run_command("molecule", work, removed="the lab is removed")


@contextlib.contextmanager
def alone() -> Iterator[None]:
    """Keep a second run of this checkout out: both would have the same lab."""
    WORK.mkdir(parents=True, exist_ok=True)
    with (WORK / "lock").open("w", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise LabError("another `make molecule` runs in this checkout: wait for its end") from None
        yield


def run(names: list[str], shown: bool) -> list[str]:
    """Run scenarios one after the other; return those that failed.

    Args:
        names: the scenarios.
        shown: whether to show what they say at once; otherwise only of those that fail.
    """
    failed = []
    begin = time.monotonic()
    with contextlib.ExitStack() as up:
        lab = up.enter_context(boot(WORK / "lab"))
        row("the lab", time.monotonic() - begin, "is up")
        for name in names:
            started = time.monotonic()
            passed = molecule(name, lab.directory, shown)
            row(name, time.monotonic() - started, "passed" if passed else "FAILED")
            if passed:
                renew(lab)
                continue
            failed.append(name)
            # Whatever it has left in its way is in no other's.
            up.close()
            if name != names[-1]:
                lab = up.enter_context(boot(WORK / "lab"))
    outcome = f"{len(names) - len(failed)} of {len(names)} passed"
    row("all", time.monotonic() - begin, outcome + (f"; failed: {', '.join(failed)}" if failed else ""))
    return failed


def molecule(name: str, lab: Path, shown: bool) -> bool:
    """Run one scenario on a lab that is up; tell whether it passed."""
    binaries = Path(sys.executable).parent
    # Not below the home, by the checkout's last name alone; and nothing in it from a run that was broken off.
    ephemeral = WORK / f"{name}.tmp"
    shutil.rmtree(ephemeral, ignore_errors=True)
    env = {
        **os.environ,
        SHARED: str(lab),
        "PATH": f"{binaries}:{os.environ['PATH']}",
        "MOLECULE_EPHEMERAL_DIRECTORY": str(ephemeral),
    }
    log = WORK / f"{name}.log"
    with log.open("wb") as file:
        output = None if shown else file
        command = [str(binaries / "molecule"), "test", "--scenario-name", name]
        process = subprocess.Popen(command, cwd=ROOT, env=env, stdout=output, stderr=output)
        try:
            passed = process.wait() == 0
        except BaseException:
            process.send_signal(signal.SIGTERM)
            process.wait()
            raise
    if not passed and not shown:
        print(log.read_text(encoding="utf-8", errors="replace"), flush=True)
    return passed


def row(what: str, seconds: float, outcome: str) -> None:
    """Print a line of the table."""
    print(f"{what:<18}{seconds:6.1f} s  {outcome}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
