# SPDX-License-Identifier: GPL-3.0-or-later
"""Room on the orchestrator's disk: whether what waits on the cards fits, before any of it is carried."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Mapping
from typing import Any

from . import figures
from .errors import Error
from .layout import Layout

_TO_SPARE = 64 << 20
"""Bytes that stay free: without the room for a record of 2 KB nothing could be started tomorrow."""
_BESIDES = 1024
"""Bytes that an image takes besides its own: in zip, list and manifest, and of its last block on the disk."""


def free(layout: Layout) -> int:
    """Return the free bytes of the disk that the data directory lies on, or will lie on."""
    path = layout.data_dir
    while not os.path.exists(path):
        path = os.path.dirname(path)
    space = os.statvfs(path)
    return space.f_bavail * space.f_frsize


def wanted(layout: Layout, camera: str, batches: Iterable[Mapping[str, Any]]) -> int:
    """Return how many more bytes carrying `batches` takes.

    Args:
        layout: the data directory.
        camera: whose batches.
        batches: as the module `image_batch` returns them. A zip becomes the part. What comes as files lies there twice
            while the part is made, as files and in it; and so does a part that another one takes in: one batch after
            the other.
    """
    total = largest = 0
    before = {name for name in layout.experiments() if os.path.exists(layout.parts(name, camera))}
    for batch in batches:
        size = int(batch["bytes"]) + int(batch["images"]) * _BESIDES
        if not batch["zipped"] or batch["experiment"] in before:
            largest = max(largest, size)
        before.add(batch["experiment"])
        path = os.path.join(layout.incoming(camera), str(batch["experiment"]), str(batch["batch"]))
        if batch["zipped"]:
            arrived = _size(f"{path}.zip")
            # It is larger than its images: once it is whole, it only changes its name.
            total += 0 if arrived > int(batch["bytes"]) else size - arrived
        else:
            total += size - min(_below(path), size)
    return total + largest


def check(data_dir: str, needed: int, room: int, others: int) -> None:
    """Raise `Error` if what a camera's images take does not fit.

    Args:
        data_dir: the data directory, to name it.
        needed: the bytes that they take.
        room: the bytes that are free.
        others: the bytes that are yet to come from other cameras, at most.
    """
    left = room - _TO_SPARE - others
    if not needed or needed <= left:
        return
    besides = f", besides {figures.size(others)} for other cameras" if others else ""
    raise Error(
        f"carry its images to {data_dir}",
        f"{figures.size(needed + _TO_SPARE)} needed there, {figures.size(_TO_SPARE)} of it to spare{besides}; "
        f"{figures.size(room)} free",
        f"Free {figures.size(needed - left)} or more there and run it again: nothing is lost",
    )


def _below(directory: str) -> int:
    total = 0
    with contextlib.suppress(FileNotFoundError, NotADirectoryError), os.scandir(directory) as listing:
        for item in listing:
            with contextlib.suppress(FileNotFoundError):
                total += item.stat(follow_symlinks=False).st_size
    return total


def _size(path: str) -> int:
    try:
        return os.lstat(path).st_size
    except FileNotFoundError:
        return 0
