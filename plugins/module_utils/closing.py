# SPDX-License-Identifier: GPL-3.0-or-later
"""From parts to the one archive that people open."""

from __future__ import annotations

import contextlib
import os

from . import archive, durable, parts
from .archive import Source
from .errors import Error
from .layout import Layout


def merge(layout: Layout, experiment: str, camera: str) -> list[str]:
    """Merge a camera's parts into a public archive that is not there yet.

    What a public archive holds already is dropped: a merge that was killed half-way, or a batch that came
    twice, archives nothing twice. A name that stands for two different images goes into an archive of its
    own. No public archive is ever written to.

    Args:
        layout: the data directory.
        experiment: an experiment that is not being recorded by this camera any more.
        camera: whose parts.

    Returns:
        Paths of the archives that were made.

    Raises:
        Error: if a part or the merged archive does not hold what it should; the parts stay.
        OSError: if there is no room or no right to write.
    """
    made = []
    with contextlib.suppress(Error, OSError):
        # What stands in the way is met, and told, below.
        parts.fold(layout, experiment, camera)
    while found := parts.found(layout, experiment, camera):
        public = layout.archives(experiment, camera)
        held = _held(public, [archive.contents(path) for path in found])
        images: dict[str, Source] = {}
        merged = []
        for path in found:
            new = {
                name: Source(name, sha256, path, member=True)
                for name, sha256 in archive.contents(path).items()
                if (name, sha256) not in held
            }
            if all(images.get(name, source).sha256 == source.sha256 for name, source in new.items()):
                images.update(new)
                merged.append(path)
        target = next_archive(layout, experiment, camera)
        if len(merged) == 1 and len(images) == len(archive.contents(merged[0])):
            durable.publish(merged[0], target)
            made.append(target)
        elif images:
            _write(target, images)
            made.append(target)
        for path in merged:
            durable.remove(path)
    _sweep(layout, experiment, camera)
    return made


def _held(public: list[str], contents: list[dict[str, str]]) -> set[tuple[str, str]]:
    """Return those images of `contents`, name and SHA-256, that a public archive holds: read, not believed."""
    wanted = {pair for part in contents for pair in part.items()}
    held: set[tuple[str, str]] = set()
    for path in public:
        try:
            listed = wanted & archive.contents(path).items()
        except Error:
            # Whatever it is, it stays as it is, and the images get an archive beside it.
            continue
        if listed:
            found, _unused = archive.intact(path, dict(listed))
            held |= {(name, sha256) for name, sha256 in listed if name in found}
    return held


def next_archive(layout: Layout, experiment: str, camera: str) -> str:
    """Return the path that the camera's next archive gets: the first behind those that are there that nothing bears."""
    number = len(layout.archives(experiment, camera)) + 1
    while os.path.lexists(target := layout.archive(experiment, camera, number)):
        number += 1
    return target


def _write(target: str, images: dict[str, Source]) -> None:
    # A hidden name until it has been read back: what is public is proven.
    hidden = os.path.join(os.path.dirname(target), f".{os.path.basename(target)}")
    wanted = {name: images[name].sha256 for name in sorted(images)}
    written = archive.write(hidden, (images[name] for name in sorted(images)))
    _unused, whole = archive.intact(hidden, wanted)
    if written != wanted or not whole:
        durable.remove(hidden)
        raise Error(
            f"merge the parts of {os.path.basename(target)}",
            f"{len(wanted) - len(written)} images of the parts are not what they were",
            "The orchestrator's disk may be failing; the parts are left as they are",
        )
    durable.publish(hidden, target)


def _sweep(layout: Layout, experiment: str, camera: str) -> None:
    """Remove what a run that was killed left unfinished."""
    directory = layout.parts(experiment, camera)
    with contextlib.suppress(FileNotFoundError):
        for name in os.listdir(directory):
            if name.endswith((".zip.tmp", ".zip.tail.tmp")):
                durable.remove(os.path.join(directory, name))
    with contextlib.suppress(OSError):
        os.rmdir(directory)
    directory = layout.camera(experiment, camera)
    with contextlib.suppress(FileNotFoundError):
        for name in os.listdir(directory):
            if name.startswith(f".{camera}_") and name.endswith((".zip", ".zip.tmp")):
                durable.remove(os.path.join(directory, name))
