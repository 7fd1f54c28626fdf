# SPDX-License-Identifier: GPL-3.0-or-later
"""A module killed at each of its points in turn, and run again."""

from __future__ import annotations

import os
import shutil
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from faults.case import Case
from faults.system_calls import Call, traced


class _Kill(NamedTuple):
    root: Path
    point: Call
    at: Call
    """The call at whose entry it dies: the point itself, or the next one."""

    def __str__(self) -> str:
        side = "before" if self.at is self.point else "after"
        return f"killed {side} {self.point.name} {self.point.ordinal} {self.point.paths}"


def kill_everywhere(case: Case, where: Path, both_sides: bool = False) -> int:
    """Kill the case's module at each of its points in turn, each time on a fresh state, and run it again.

    Args:
        case: the case.
        where: an empty directory for all that.
        both_sides: kill after each point as well, and around each write; otherwise before each point, which is
            after the one before.

    Returns:
        How many kills there were.

    Raises:
        AssertionError: if a kill missed its point, lost something, or could not be mended by another run.
    """
    recorded = where / "recorded"
    recorded.mkdir(parents=True)
    case.prepare(recorded)
    files = case.files(recorded)
    code, calls = traced(case, recorded)
    assert code == 0, f"{case.module} itself failed: see {recorded}.strace"
    case.held(recorded)
    points = [index for index, call in enumerate(calls) if call.changes(files, both_sides)]
    assert points, f"{case.module} has no point at which it could be killed"
    kills: list[_Kill] = []
    for index in points:
        for side in (0, 1) if both_sides else (0,):
            root = where / f"{len(kills):03}"
            root.mkdir()
            case.prepare(root)
            # How often it read until it had its arguments differs from run to run: reads are not counted on.
            following = next((call for call in calls[index + 1 :] if call.name != "read"), calls[index])
            kills.append(_Kill(root, calls[index], following if side else calls[index]))
    # Only killing takes time; what comes after it runs in copies of this process, which must have no threads then.
    with ThreadPoolExecutor(2) as pool:
        for _ in pool.map(lambda kill: _kill(case, kill, recorded), kills):
            pass
    for kill in kills:
        try:
            case.held(kill.root)
            outcome = case.again(kill.root)
            case.held(kill.root)
            case.done(kill.root, outcome)
        except Exception as error:
            raise AssertionError(f"{case.module} {kill} (see {kill.root}): {error}") from error
        shutil.rmtree(kill.root)
    return len(kills)


def _kill(case: Case, kill: _Kill, recorded: Path) -> None:
    code, calls = traced(case, kill.root, f"{kill.at.name}:signal=KILL:when={kill.at.ordinal}")
    assert code == -signal.SIGKILL, f"{case.module} was not {kill}: it ended with {code}"
    last = calls[-1]
    assert last.result is None and last.likeness(kill.root) == kill.at.likeness(recorded), f"not {kill}, but at {last}"
    if kill.at is kill.point:
        assert _done(last) is not True, f"{kill}, but it was done"
    else:
        point = next(call for call in reversed(calls[:-1]) if call.name != "read")
        assert (point.name, point.ordinal) == (kill.point.name, kill.point.ordinal)
        assert point.result is not None and _done(point) is not False, f"{kill}, but it was not done"


def _done(call: Call) -> bool | None:
    """Tell by the files whether a call was done; None where they do not say."""
    if call.name.startswith("rename"):
        return not os.path.lexists(call.paths[0])
    if call.name.startswith(("unlink", "rmdir")):
        return not os.path.lexists(call.paths[0])
    if call.name.startswith("mkdir"):
        return os.path.isdir(call.paths[0])
    if call.name.startswith("open") and "O_EXCL" in call.arguments:
        return os.path.lexists(call.paths[0])
    return None
