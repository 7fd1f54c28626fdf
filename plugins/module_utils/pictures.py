# SPDX-License-Identifier: GPL-3.0-or-later
"""The images of one camera in one experiment, from its archives' directories. Standard library only.

Nothing is unpacked, hashed or changed.
"""

from __future__ import annotations

import os
from typing import NamedTuple

from . import archive, growing
from .errors import Error, from_os_error
from .layout import Layout
from .names import image_name
from .orchestrator_time import CameraClock, Taken

MANUAL = "manual"
"""The kind of a picture that somebody asked for, the heartbeat mostly: it says nothing of what visited."""


class Picture(NamedTuple):
    """One image."""

    name: str
    kind: str
    """``object``, ``motion`` or ``manual``."""
    size: int
    """Bytes."""
    archive: str
    """The path of the archive that holds it."""
    taken: Taken | None
    """When, on the orchestrator's time line, and by what offset; None where its name tells no time that exists."""

    @property
    def detection(self) -> bool:
        """Whether the camera took it because it had detected something."""
        return self.kind != MANUAL


class Found(NamedTuple):
    """What the archives of one camera hold."""

    pictures: list[Picture]
    """Each image once, those with a time first, in order of it; a name that stands for two images is there twice."""
    archives: list[archive.Archive]
    """What was read, in figures: public archives first, then parts."""
    complaints: list[str]
    """A line for each archive that could not be read."""


def found(layout: Layout, experiment: str, camera: str, clock: CameraClock) -> Found:
    """Return the images of `camera` in `experiment`; 50,000 take a second and 50 MB.

    What cannot be read costs a line, and none of the rest. A camera without any archive has no images.

    Args:
        layout: the data directory.
        experiment: which one.
        camera: whose.
        clock: its clock in that experiment.
    """
    pictures: list[Picture] = []
    archives = []
    complaints = []
    seen: set[tuple[str, int, int]] = set()
    for path in paths(layout, experiment, camera):
        images = size = 0
        try:
            for member in archive.members(path):
                images += 1
                size += member.size
                # What a part holds is in the public archive too, where a merge was cut off.
                if member in seen:
                    continue
                seen.add(member)
                named = image_name(member.name)
                if named is not None:
                    taken = clock.taken(named.taken) if named.taken else None
                    pictures.append(Picture(member.name, named.kind, member.size, path, taken))
        except Error as error:
            if os.path.exists(path):
                # One that was just merged into another is no loss.
                complaints.append(_being_added_to(path) if growing.cut_off(path) else str(error))
        except OSError as error:
            complaints.append(str(from_os_error(f"read {path}", error)))
        else:
            archives.append(archive.Archive(os.path.basename(path), images, size))
    pictures.sort(key=lambda each: (each.taken is None, each.taken.at.timestamp() if each.taken else 0.0, each.name))
    return Found(pictures, archives, complaints)


def paths(layout: Layout, experiment: str, camera: str) -> list[str]:
    """Return the paths of a camera's archives: those with a public name in their order, then its parts."""
    parts = layout.parts(experiment, camera)
    try:
        names = sorted(name for name in os.listdir(parts) if name.endswith(".zip"))
    except (FileNotFoundError, NotADirectoryError):
        names = []
    return [*layout.archives(experiment, camera), *(os.path.join(parts, name) for name in names)]


def _being_added_to(path: str) -> str:
    return str(
        Error(
            f"read {path}",
            "images are being added to it, or that was cut off",
            "Nothing is lost: the next collection mends it",
        )
    )
