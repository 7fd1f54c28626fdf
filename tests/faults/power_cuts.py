# SPDX-License-Identifier: GPL-3.0-or-later
"""The power cut after each system call of a module, and all that the disk can then hold."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from faults.case import Case
from faults.disk import Disk
from faults.system_calls import traced
from unit.support import ROOT


class Cuts(NamedTuple):
    """What was tried."""

    calls: int
    """After each of which the power was cut."""
    states: int
    """Different states of the disk that this could leave."""


def cut_everywhere(
    case: Case,
    where: Path,
    unsafe: Callable[[str], bool] = lambda path: False,
    collections: Path = ROOT / "collections",
    again: Callable[[Path], None] | None = None,
) -> Cuts:
    """Cut the power after each call of the case's module, and check what the disk can have kept.

    Args:
        case: the case.
        where: an empty directory for all that.
        unsafe: the paths that nobody had synced before the module began.
        collections: where the module comes from.
        again: runs what comes after a power cut on such a disk, and checks that it completes.

    Raises:
        AssertionError: if something is lost; or if what the module has reported as done is not there after it.
    """
    root = where / "recorded"
    root.mkdir(parents=True)
    case.prepare(root)
    files = case.files(root)
    disk = Disk.of(files, unsafe)
    code, calls = traced(case, root, collections=collections)
    assert code == 0, f"{case.module} itself failed: see {root}.strace"
    seen: set[int] = set()
    cuts = 0
    for call in [*calls, None]:
        if call is not None:
            disk.replay(call)
            if not call.changes(files, writes=True):
                continue
        else:
            disk.assert_true()
        cuts += 1
        for number, found in enumerate(disk.survivors()):
            # What the module has said when it ended must be true of every one of these disks.
            state = hash((call is None, frozenset(found.items())))
            if state in seen:
                continue
            seen.add(state)
            survived = where / f"{cuts:03}-{number}"
            lay_out(case, root, survived, found)
            at = f"after {call.name} {call.paths}" if call else "after the module has ended"
            try:
                case.held(survived)
                if call is None:
                    case.reported(survived)
                if again is not None:
                    again(survived)
            except Exception as error:
                raise AssertionError(f"{case.module}: the power is cut {at} (see {survived}): {error}") from error
            shutil.rmtree(survived)
    return Cuts(cuts, len(seen))


def lay_out(case: Case, recorded: Path, survived: Path, found: Mapping[str, bytes | None]) -> None:
    """Lay out what survived as it lay before, and beside it what the case has put there."""
    files = case.files(recorded).relative_to(recorded)
    for path in _beside(recorded, recorded / files):
        target = survived / path.relative_to(recorded)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, target)
    top = survived / files
    top.mkdir(parents=True)
    for name, content in found.items():
        if content is None:
            (top / name).mkdir()
        else:
            (top / name).write_bytes(content)


def _beside(root: Path, files: Path) -> Iterable[Path]:
    return [path for path in root.rglob("*") if path.is_file() and files not in path.parents]
