# SPDX-License-Identifier: GPL-3.0-or-later
"""`make sanity`: the collection, built, before the tools of the ecosystem; `make sanity SANITY="docs units"`: some."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from ecosystem import ansible_test, artefact
from ecosystem.ansible_test import WORK


def sanity(tarball: Path) -> bool:
    """Run `ansible-test sanity` on what was built, and say of each of its tests what became of it."""
    status, verdicts = ansible_test.sanity(tarball)
    for verdict in verdicts:
        print(f"  {verdict.outcome:8} {verdict.name}{': ' if verdict.words else ''}{verdict.words}")
    counts = [f"{sum(each.outcome == word for each in verdicts)} {word}" for word in ("passed", "FAILED", "skipped")]
    print(f"ansible-test sanity: {', '.join(counts)}")
    return status == 0 and bool(verdicts)


def units(tarball: Path) -> bool:
    """Run the unit tests as `ansible-test` does; with UNITS those whose files are called so."""
    return ansible_test.units(*os.environ.get("UNITS", "").split()) == 0


def docs(tarball: Path) -> bool:
    """Lint what modules, plugins and roles say of themselves, in the installed collection."""
    place = artefact.install(tarball, WORK / "installed")
    return _run("antsibull-docs", "lint-collection-docs", "--plugin-docs", str(place), collections=WORK / "installed")


def changelog(tarball: Path) -> bool:
    """Lint the fragments of the changelog."""
    return _run("antsibull-changelog", "lint", collections=WORK)


def importer(tarball: Path) -> bool:
    """Do what Galaxy does to what is uploaded; what it warns of is a failure here.

    Without flake8, as by default: ruff and pep8, one of the sanity tests, look for the same.
    """
    command = [artefact.tool("python"), "-m", "galaxy_importer.main", str(tarball)]
    done = subprocess.run(
        command, cwd=WORK, env=_environment(WORK), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    print(done.stdout, end="")
    said = [line for line in done.stdout.splitlines() if line.startswith(("WARNING: ", "ERROR: "))]
    # It warns of every file that says what a sanity test is to overlook; the reasons stand there.
    return done.returncode == 0 and all("ignore-2." in line for line in said)


PARTS: dict[str, Callable[[Path], bool]] = {
    "sanity": sanity,
    "units": units,
    "docs": docs,
    "changelog": changelog,
    "importer": importer,
}


def _environment(collections: Path) -> dict[str, str]:
    env = artefact.environment(collections)
    return {**env, "PATH": f"{Path(artefact.tool('python')).parent}:{os.environ['PATH']}"}


def _run(name: str, *words: str, collections: Path) -> bool:
    command = [artefact.tool(name), *words]
    return subprocess.run(command, cwd=artefact.ROOT, env=_environment(collections)).returncode == 0


def main(names: list[str]) -> int:
    """Run the parts that are named, or all; print what each came to and its seconds; return the exit status."""
    tarball = artefact.build(WORK / "artefact")
    print(f"built {tarball.relative_to(artefact.ROOT)}, {tarball.stat().st_size / 1e6:.1f} MB")
    lines, good = [], True
    for name in names or list(PARTS):
        print(f"== {name}", flush=True)
        begin = time.monotonic()
        passed = PARTS[name](tarball)
        good = good and passed
        lines.append(f"{name:10} {'passed' if passed else 'FAILED'} {time.monotonic() - begin:6.0f} s")
    print("\n".join(["== what the ecosystem says", *lines]))
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
