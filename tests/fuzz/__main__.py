# SPDX-License-Identifier: GPL-3.0-or-later
"""Fuzzes: `PYTHONPATH=collections:tests python -m fuzz [--seconds 60] [TARGET …]`. Fails if an input does harm."""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

NAMES = ("manifest", "receipt", "archive", "answer", "api", "host_keys")


@contextlib.contextmanager
def _corpus(target: str) -> Iterator[Path]:
    from fuzz import targets

    with tempfile.TemporaryDirectory(prefix="wildberryeye-fuzz-") as directory:
        for number, seed in enumerate(targets.seeds(target)):
            (Path(directory) / f"seed{number}").write_bytes(seed)
        yield Path(directory)


def fuzz(target: str, seconds: int) -> tuple[int, str]:
    """Fuzz one target in a process of its own; return its exit status and its output. libFuzzer ends its process."""
    with _corpus(target) as corpus:
        command = [sys.executable, "-m", "fuzz", "--child", str(corpus), "--seconds", str(seconds), target]
        # It finds what this process finds, however that was started.
        env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=seconds + 300, env=env)
    return done.returncode, done.stdout.decode(errors="replace")


def runs(output: str) -> int:
    """Return how many inputs were tried, as libFuzzer says it."""
    found = re.search(r"stat::number_of_executed_units:\s+(\d+)", output)
    return int(found[1]) if found else 0


def _child(target: str, seconds: int, corpus: str) -> None:
    import atheris  # type: ignore[import-untyped, import-not-found, unused-ignore]

    with atheris.instrument_imports(include=["ansible_collections.wildberryeye", "fuzz.targets"]):
        from fuzz import targets
    options = [
        f"-max_total_time={seconds}",
        "-max_len=8192",
        "-timeout=20",
        "-rss_limit_mb=1024",
        "-print_final_stats=1",
        f"-artifact_prefix={corpus}/",
    ]
    atheris.Setup([sys.argv[0], *options, corpus], targets.TARGETS[target])
    atheris.Fuzz()


def main() -> int:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(prog="python -m fuzz", description=__doc__)
    parser.add_argument("targets", nargs="*", choices=[*NAMES, []], default=NAMES, metavar="TARGET")
    parser.add_argument("--seconds", type=int, default=60, help="for each target")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        _child(given.targets[0], given.seconds, given.child)
    failed = 0
    for target in given.targets or NAMES:
        status, output = fuzz(target, given.seconds)
        print(f"{target}: {runs(output)} inputs in {given.seconds} s: {'FAILED' if status else 'ok'}", flush=True)
        if status:
            print(output[-3000:])
            failed = 1
    return failed


if __name__ == "__main__":
    sys.exit(main())
