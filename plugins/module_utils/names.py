# SPDX-License-Identifier: GPL-3.0-or-later
"""The grammar of every name that comes from outside: images, cameras, experiments, batches.

A name from a camera is hostile until it matched one of these. None of them can contain a slash, a
control character or a leading dot or dash, so a name that matched is safe as one component of a path.
"""

from __future__ import annotations

import datetime as dt
import re
from typing import NamedTuple

from .errors import Error

UNCLAIMED = "unclaimed"
"""Takes the place of an experiment for images that no experiment claims."""
LABEL = "recording"
"""The file on a card that stands beside the directories of experiments."""
_TAKEN = {LABEL, f"{LABEL}.tmp"}

_IMAGE = re.compile(
    r"(?P<kind>object|motion|manual)_(?P<time>\d{8}-\d{6}-\d{6})_(?P<rest>[A-Za-z0-9][A-Za-z0-9._+-]{0,199})\.jpg",
    re.ASCII,
)
_CAMERA = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}", re.ASCII)
_EXPERIMENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}", re.ASCII)
_BATCH = re.compile(r"\d{8}T\d{6}Z-[0-9a-f]{8}", re.ASCII)


class ImageName(NamedTuple):
    """What an image's name says: ``<kind>_<YYYYMMDD-HHMMSS-ffffff>_<hostname>_<user>[_<settings>].jpg``."""

    kind: str
    taken: dt.datetime | None
    """The camera's local time; None where the digits are not a time that exists."""


def image_name(name: str) -> ImageName | None:
    """Return what the image's name says, or None where it is not an image's name."""
    match = _IMAGE.fullmatch(name)
    if match is None:
        return None
    try:
        taken = dt.datetime.strptime(match["time"], "%Y%m%d-%H%M%S-%f")
    except ValueError:
        taken = None
    return ImageName(match["kind"], taken)


def is_image(name: str) -> bool:
    """Tell whether `name` is one that a camera gives to its images."""
    return _IMAGE.fullmatch(name) is not None


def is_batch(name: str) -> bool:
    """Tell whether `name` is the name of a batch: when it was set aside (UTC) and eight random hex digits."""
    return _BATCH.fullmatch(name) is not None


def is_experiment(name: str) -> bool:
    """Tell whether `name` can be a directory of experiments: an id, or ``unclaimed``."""
    return (
        _EXPERIMENT.fullmatch(name) is not None
        and ".." not in name
        and not name.endswith(".zip")
        and name not in _TAKEN
    )


def experiment_id(name: str) -> str:
    """Return `name`, an experiment's id that a person chose.

    Raises:
        Error: if it cannot be one.
    """
    if not is_experiment(name) or name == UNCLAIMED:
        raise Error(
            f"use {name!r} as an experiment's id",
            "not a name for a directory",
            "Use letters, digits, dots, dashes and underscores, at most 63, such as 2026-05-22",
        )
    return name


def camera_name(name: str) -> str:
    """Return `name`, a camera's name in the inventory.

    Raises:
        Error: if it cannot be one.
    """
    if _CAMERA.fullmatch(name) is None or ".." in name or name == UNCLAIMED:
        raise Error(
            f"use {name!r} as a camera's name",
            "not a name for a directory",
            "Rename it in the inventory: letters, digits, dots, dashes and underscores, at most 63",
        )
    return name
