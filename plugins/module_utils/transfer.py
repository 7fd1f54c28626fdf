# SPDX-License-Identifier: GPL-3.0-or-later
"""Carrying batches over the air: what rsync is told, and whose turn it is."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from . import lock, names
from .errors import Error


def rsync_options(batches: Iterable[Mapping[str, Any]], bwlimit: str, timeout: int) -> list[str]:
    """Return the options that make rsync fetch exactly `batches`: manifests, and zips or images.

    Args:
        batches: as the module `image_batch` returns them.
        bwlimit: the most that it may take of the link, in rsync's notation; empty for all.
        timeout: seconds after which it ends by itself, rounded up to minutes.

    Raises:
        Error: if one has a name that could be more to rsync than a name.
    """
    # Goes on where it was without reading again, on both sides, what has arrived: a Zero would be silent for minutes.
    # That the whole is what it must be is proven afterwards, by SHA-256.
    # What arrives can be written to, whatever the camera says of it.
    options = ["--append", "--mkpath", "--chmod=D0755,F0644", "--prune-empty-dirs"]
    options.append(f"--stop-after={max(1, -(-int(timeout) // 60))}")
    if bwlimit:
        options.append(f"--bwlimit={bwlimit}")
    for batch in batches:
        path = f"/{names.batch_path(batch['experiment'], batch['batch'])}"
        options.append(f"--include=/{batch['experiment']}/")
        options.append(f"--include={path}.manifest")
        if batch["zipped"]:
            options.append(f"--include={path}.zip")
        else:
            options += [f"--include={path}/", f"--include={path}/*.jpg"]
    return [*options, "--exclude=*"]


@contextlib.contextmanager
def turn(
    directory: str,
    at_a_time: int,
    mine: Mapping[str, Any],
    fits: Callable[[list[dict[str, Any]]], None] = lambda others: None,
    ready: int = 0,
) -> Iterator[None]:
    """Let at most so many transfers run within the block, of all runs together; the others wait, without a limit.

    Args:
        directory: where locks lie; made if missing.
        at_a_time: how many.
        ready: how many more may be in the block, for that they wait within it for their turn on the air.
        mine: what is carried within the block, for the others to know.
        fits: raises `Error` if it does not fit beside what the others carry, which it is told; no other begins
            meanwhile.

    Raises:
        Error: as `fits` does, or if nobody could ever have a turn.
    """
    if at_a_time < 1:
        raise Error("take a turn on the air", f"wildberryeye_collection_parallel is {at_a_time}", "Set it to 1 or more")
    with contextlib.ExitStack() as held:
        # One looks for a place, the rest stand in line behind it; the kernel takes back what a killed run held.
        with lock.exclusive(directory, "transfers"):
            while (found := _place(directory, at_a_time + ready)) is None:
                time.sleep(0.05)
            place, others = found
            held.callback(os.close, place)
            fits(others)
            with open(place, "wb", closefd=False) as file:
                file.truncate(0)
                file.write(json.dumps(mine).encode())
        yield


def _place(directory: str, places: int) -> tuple[int, list[dict[str, Any]]] | None:
    """Return a place, held, and what is carried at others; None where none is free."""
    free, others = None, []
    for number in range(1, places + 1):
        place = os.open(os.path.join(directory, f"transfer-{number}.guard"), os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(place, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            with open(place, "rb") as file, contextlib.suppress(ValueError):
                found = json.load(file)
                others += [found] if isinstance(found, dict) and {"camera", "batches"} <= found.keys() else []
            continue
        if free is None:
            free = place
        else:
            os.close(place)
    return None if free is None else (free, others)
