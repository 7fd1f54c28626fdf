# SPDX-License-Identifier: GPL-3.0-or-later
"""The archives of batches that came before the experiment closed: one takes in all others as soon as they are there."""

from __future__ import annotations

import contextlib
import os

from . import archive, durable, growing, lock
from .archive import Source
from .layout import Layout


def alone(layout: Layout, camera: str) -> contextlib.AbstractContextManager[None]:
    """Keep other processes out of the camera's parts: an archive is not whole while it grows."""
    return lock.exclusive(layout.locks(), f"merge-{camera}")


def found(layout: Layout, experiment: str, camera: str) -> list[str]:
    """Return the paths of a camera's parts, each as it should be; the one that takes in the others comes first.

    Raises:
        Error, OSError: if that one was cut off while it grew, and cannot be mended.
    """
    together = layout.together(experiment, camera)
    growing.mend(together)
    directory = layout.parts(experiment, camera)
    try:
        names = sorted(os.listdir(directory))
    except FileNotFoundError:
        return []
    paths = [os.path.join(directory, name) for name in names if name.endswith(".zip")]
    return sorted(paths, key=lambda path: path != together)


def fold(layout: Layout, experiment: str, camera: str) -> None:
    """Make a camera's parts one.

    A part with a name that stands for another image there stays beside it, and so does what is damaged: closing meets
    both again.

    Args:
        layout: the data directory.
        experiment: what the parts belong to.
        camera: whose; nobody else may be at work on them.

    Raises:
        Error: if a part does not hold what it should; it stays, as do those after it.
        OSError: if there is no room or no right to write; likewise.
    """
    together = layout.together(experiment, camera)
    held: dict[str, str] = {}
    for path in found(layout, experiment, camera):
        images = archive.contents(path)
        twice = dict(held.items() & images.items())
        if path != together and not os.path.lexists(together):
            durable.publish(path, together)
        elif path != together:
            if held.keys() & images.keys() != twice.keys():
                continue
            # The copy that has just come is dropped only if the other one is read, not believed.
            if twice and archive.intact(together, twice)[0] != twice.keys():
                continue
            if new := [Source(name, images[name], path, member=True) for name in sorted(images.keys() - held.keys())]:
                growing.grow(together, held, new)
            durable.remove(path)
        held |= images
