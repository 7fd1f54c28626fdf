# SPDX-License-Identifier: GPL-3.0-or-later
"""`ansible-test` without containers, in copies below build/ that lie where it wants a collection to lie."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tarfile
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from pathlib import Path
from typing import IO, NamedTuple

import ansible_test  # type: ignore[import-untyped]

from ecosystem.artefact import PLACE, POSIX, ROOT, tool

WORK = ROOT / "build" / "ecosystem"
HOME = WORK / "home"
"""What `ansible-test` takes for the user's home: its virtual environments stay below build/."""
GET_PIP = """# In place of get-pip.py, which not every machine can download. Python has a pip to begin with.
import subprocess, sys
wanted = [word for word in sys.argv[1:] if word not in ("--no-setuptools", "--no-wheel")]
subprocess.run([sys.executable, "-m", "ensurepip"], check=True, stdout=subprocess.DEVNULL)
sys.exit(subprocess.run([sys.executable, "-m", "pip", "install", *wanted]).returncode)
"""


class Verdict(NamedTuple):
    """What one of the sanity tests came to."""

    name: str
    outcome: str
    """``passed``, ``FAILED`` or ``skipped``."""
    words: str
    """What is wrong, line by line, or why it was skipped."""


def sanity(tarball: Path, *options: str) -> tuple[int, list[Verdict]]:
    """Have `ansible-test sanity` judge what is in the tarball; return its exit status and what each test came to.

    What the tarball leaves out has linters of its own: `make lint`.
    """
    place, log = _emptied("sanity"), WORK / "sanity.log"
    with tarfile.open(tarball) as archive:
        archive.extractall(place, filter="data")
    junit = place / "tests" / "output" / "junit"
    with log.open("w") as output:
        # Mostly what pip says.
        status = _run(place, "sanity", "--junit", "--truncate", "0", *options, output=output)
    verdicts = sorted(verdict for path in junit.glob("*.xml") for verdict in _verdicts(path))
    if status and not any(verdict.outcome == "FAILED" for verdict in verdicts):
        print(*log.read_text().splitlines()[-20:], sep="\n")
    return status, verdicts


def units(*patterns: str) -> int:
    """Run `ansible-test units` in a copy of the checkout as it is now; return its exit status.

    Args:
        patterns: names of files in tests/unit, as `test_m*`; none for all.
    """
    place = _emptied("units")
    listing = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    listed = subprocess.run(listing, cwd=ROOT, check=True, stdout=subprocess.PIPE).stdout
    for name in filter(None, listed.decode().split("\0")):
        if os.path.lexists(ROOT / name):
            (place / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, place / name, follow_symlinks=False)
    # What the checkout's setup has put beside it.
    shutil.copytree(ROOT / "collections" / POSIX, place / "collections" / POSIX)
    found = [str(path.relative_to(place)) for each in patterns for path in place.glob(f"tests/unit/{each}.py")]
    if patterns and not found:
        raise FileNotFoundError(f"no file in tests/unit is called {' or '.join(patterns)}")
    return _run(place, "units", "--num-workers", "2", *found)


def _emptied(name: str) -> Path:
    """Return an empty directory for a collection, with what it depends on beside it."""
    shutil.rmtree(WORK / name, ignore_errors=True)
    place = WORK / name / PLACE
    place.mkdir(parents=True)
    shutil.copytree(ROOT / "collections" / POSIX, WORK / name / POSIX)
    return place


def _run(place: Path, command: str, *options: str, output: IO[str] | None = None) -> int:
    # It asks git what there is; the checkout's own would say that below build/ there is nothing.
    subprocess.run(["git", "init", "--quiet"], cwd=place, check=True)
    _make_home()
    env = {**os.environ, "HOME": str(HOME), "PATH": f"{Path(tool('python')).parent}:{os.environ['PATH']}"}
    # Other Pythons on this machine, if there are any, are none of ours.
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    whole = [tool("ansible-test"), command, "--local", "--python", python, "--color", "no", *options]
    return subprocess.run(whole, cwd=place, env=env, stdout=output, stderr=output).returncode


def _make_home() -> None:
    """Give `ansible-test` a pip to begin with, and the user's settings of pip and what pip has downloaded before."""
    requirements = Path(ansible_test.__path__[0], "_internal", "python_requirements.py").read_text()
    (version,) = re.findall(r"pip='([0-9.]+)'", requirements)
    get_pip = HOME / ".ansible" / "test" / "cache" / f"get_pip_{version.replace('.', '_')}.py"
    get_pip.parent.mkdir(parents=True, exist_ok=True)
    get_pip.write_text(GET_PIP)
    for name in (".config/pip", ".cache/pip"):
        (HOME / name).parent.mkdir(parents=True, exist_ok=True)
        if not (HOME / name).is_symlink():
            (HOME / name).symlink_to(Path.home() / name)


def _verdicts(path: Path) -> Iterator[Verdict]:
    for case in ElementTree.parse(path).iter("testcase"):
        name, skipped, failure = case.get("name", ""), case.find("skipped"), case.find("failure")
        if failure is not None:
            yield Verdict(name, "FAILED", (failure.text or failure.get("message") or "").strip())
        elif skipped is not None:
            yield Verdict(name, "skipped", (skipped.text or skipped.get("message") or "").strip())
        else:
            yield Verdict(name, "passed", "")
