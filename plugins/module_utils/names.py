# SPDX-License-Identifier: GPL-3.0-or-later
"""The grammar of every name that comes from outside: images, cameras, experiments, batches.

A name from a camera is hostile until it matched one of these, and this is the one place where names are judged. None
can contain a slash, a space, a control character or one that a shell, a filter of rsync or a terminal understands, nor
begin with a dot or dash: so a name that matched is safe as one component of a path, as an argument and in a line.
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
_OURS = {
    UNCLAIMED,
    "localhost",  # where Ansible does what belongs to the orchestrator
    "orchestrator",  # its line in the table of setup
    "experiment.json",
    "events.jsonl",
}
"""What lies beside the cameras, in an experiment's directory or in a table."""

_IMAGE = re.compile(
    r"(?P<kind>object|motion|manual)_(?P<time>\d{8}-\d{6}-\d{6})_(?P<rest>[A-Za-z0-9][A-Za-z0-9._+-]{0,199})\.jpg",
    re.ASCII,
)
_DIRECTORY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}", re.ASCII)
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
    return _is_directory(name) and not name.endswith(".zip") and name not in _TAKEN


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
    if not _is_directory(name) or name.removesuffix(".tmp") in _OURS:
        raise Error(
            f"use {name!r} as a camera's name",
            "that name is ours" if _is_directory(name) else "not a name for a directory",
            "Rename it in the inventory: letters, digits, dots, dashes and underscores, at most 63",
        )
    return name


def batch_path(experiment: object, batch: object) -> str:
    """Return where a batch lies, below `.wildberryeye` on the card as below `.incoming/<camera>`.

    Raises:
        Error: if these are no names of an experiment and a batch.
    """
    if not (isinstance(experiment, str) and isinstance(batch, str) and is_experiment(experiment) and is_batch(batch)):
        raise Error("", f"the camera named a batch {experiment!r}/{batch!r}, which is none", "Look at that camera")
    return f"{experiment}/{batch}"


def _is_directory(name: str) -> bool:
    return _DIRECTORY.fullmatch(name) is not None and ".." not in name
