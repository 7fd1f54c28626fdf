# SPDX-License-Identifier: GPL-3.0-or-later
"""The collection as users get it: built into a tarball, and installed from that, with no checkout around."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
NAME = "wildberryeye.orchestrator"
PLACE = Path("ansible_collections", *NAME.split("."))
POSIX = Path("ansible_collections", "ansible", "posix")


def tool(name: str) -> str:
    """Return the path of a program of this Python's environment."""
    return str(Path(sys.executable).with_name(name))


def build(directory: Path, source: Path = ROOT) -> Path:
    """Build the collection in `source` into `directory`, as for a release; return the tarball.

    Raises:
        RuntimeError: with what `ansible-galaxy` said, if that fails.
    """
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    _galaxy("build", "--output-path", str(directory), str(source), cwd=directory)
    (tarball,) = directory.glob("*.tar.gz")
    return tarball


def install(tarball: Path, path: Path) -> Path:
    """Install a tarball into `path`, as a user does; return the collection's directory.

    What it depends on is taken from the checkout: Galaxy is not everywhere within reach.

    Raises:
        RuntimeError: with what `ansible-galaxy` said, if that fails.
    """
    path.mkdir(parents=True, exist_ok=True)
    shutil.copytree(ROOT / "collections" / POSIX, path / POSIX, dirs_exist_ok=True)
    _galaxy("install", "--offline", "--collections-path", str(path), str(tarball), cwd=path)
    return path / PLACE


def environment(path: Path) -> dict[str, str]:
    """Return the environment of a user whose collections are installed in `path`, who has no others and set nothing."""
    own = {name: value for name, value in os.environ.items() if not name.startswith(("ANSIBLE_", "PYTHON"))}
    return {**own, "ANSIBLE_COLLECTIONS_PATH": str(path)}


def _galaxy(*words: str, cwd: Path) -> None:
    command = [tool("ansible-galaxy"), "collection", *words]
    done = subprocess.run(command, cwd=cwd, env=environment(cwd), capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stdout}{done.stderr}")
