# SPDX-License-Identifier: GPL-3.0-or-later
"""The manifest of a batch: what the camera says lies in it.

A text file of JSON lines, made and read as a stream, so that 50,000 images need no memory:

    {"format": "wildberryeye-batch-1", "experiment": "2026-05-22", "batch": "20260522T050001Z-3fa91c02"}
    ["object_20260522-….jpg", size, mtime_ns, ctime_ns, "sha256", whole]       one line an image
    {"images": 412, "bytes": 80112233}

`whole` is false for an image that does not end as a JPEG does (FF D9). Size and times are those of the
file when it was hashed: a file that still has them is the file that was hashed (ctime cannot be set).
A receipt names a manifest by the SHA-256 of the whole file.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from typing import IO, NamedTuple

from .errors import Error
from .names import is_batch, is_experiment, is_image

FORMAT = "wildberryeye-batch-1"
MEMBER = "manifest-sha256.txt"
"""The member of every archive that `sha256sum -c` reads."""

_LONGEST_LINE = 4096
_MOST_IMAGES = 2_000_000
_LARGEST = 1 << 62
"""Bytes of an image, and nanoseconds either side of 1970: no file system has more, and arithmetic has room for it."""


class Entry(NamedTuple):
    """One image of a batch; `size` in bytes, times in nanoseconds since 1970."""

    name: str
    size: int
    mtime_ns: int
    ctime_ns: int
    sha256: str
    whole: bool


class Manifest(NamedTuple):
    """A manifest that was read whole and found sound."""

    experiment: str
    batch: str
    entries: dict[str, Entry]
    sha256: str
    """Of the manifest file itself."""

    @property
    def size(self) -> int:
        """Bytes of all images together."""
        return sum(entry.size for entry in self.entries.values())


class Writer:
    """Writes a manifest into an open file, line by line."""

    def __init__(self, file: IO[bytes], experiment: str, batch: str) -> None:
        self._file = file
        self.images = 0
        self.bytes = 0
        self._line({"format": FORMAT, "experiment": experiment, "batch": batch})

    def add(self, entry: Entry) -> None:
        """Add one image."""
        self._line(list(entry))
        self.images += 1
        self.bytes += entry.size

    def close(self) -> None:
        """Write the last line, which says that nothing is missing."""
        self._line({"images": self.images, "bytes": self.bytes})

    def _line(self, content: object) -> None:
        self._file.write(json.dumps(content, separators=(",", ":")).encode() + b"\n")


def entries(file: IO[bytes], experiment: str, batch: str) -> Iterator[Entry]:
    """Yield the images of the manifest in `file`, each one checked: a manifest is hostile input.

    Args:
        file: the manifest, open at its beginning.
        experiment: what it must be a manifest of.
        batch: likewise.

    Raises:
        Error: if it is torn, of another batch, or names what is not an image.
    """
    header = _parse(file)
    if not isinstance(header, dict) or header.get("format") != FORMAT:
        raise _unsound(batch, "it is not a manifest of this version")
    if header.get("experiment") != experiment or header.get("batch") != batch:
        raise _unsound(batch, "it names another batch")
    images = size = 0
    last = ""
    while True:
        line = _parse(file)
        if isinstance(line, dict):
            if line != {"images": images, "bytes": size} or file.readline(1):
                raise _unsound(batch, "its totals do not agree")
            return
        entry = _entry(line, batch)
        if entry.name <= last:
            raise _unsound(batch, "its images are not in order or named twice")
        images += 1
        size += entry.size
        last = entry.name
        if images > _MOST_IMAGES:
            raise _unsound(batch, "it names too many images")
        yield entry


def load(path: str, experiment: str, batch: str) -> Manifest:
    """Read the manifest at `path` whole; see `entries` for what is raised."""
    with open(path, "rb") as file:
        found = {entry.name: entry for entry in entries(file, experiment, batch)}
    return Manifest(experiment, batch, found, digest(path))


def digest(path: str) -> str:
    """Return the SHA-256 of the file `path` in hex digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sums(found: Iterator[tuple[str, str]]) -> bytes:
    """Return the text that `sha256sum -c` reads, for pairs of name and SHA-256 in order."""
    return b"".join(f"{sha256}  {name}\n".encode() for name, sha256 in found)


def read_sums(text: bytes) -> dict[str, str]:
    """Return name to SHA-256 from the text of `sums`; lines that are not of that form are left out."""
    found = {}
    for line in text.decode("utf-8", "replace").splitlines():
        sha256, separator, name = line.partition("  ")
        if separator and is_image(name) and _is_sha256(sha256):
            found[name] = sha256
    return found


def _parse(file: IO[bytes]) -> object:
    line = file.readline(_LONGEST_LINE)
    if not line.endswith(b"\n"):
        raise _unsound("", "it is torn")
    try:
        parsed: object = json.loads(line)
    except (ValueError, RecursionError):
        raise _unsound("", "a line is not JSON") from None
    return parsed


def _entry(line: object, batch: str) -> Entry:
    if not isinstance(line, list) or len(line) != 6:
        raise _unsound(batch, "a line is not an image")
    name, size, mtime, ctime, sha256, whole = line
    if not isinstance(name, str) or not is_image(name):
        raise _unsound(batch, f"{name!r} is not an image's name")
    if (
        not all(isinstance(n, int) and not isinstance(n, bool) and abs(n) <= _LARGEST for n in (size, mtime, ctime))
        or size < 0
        or not _is_sha256(sha256)
    ):
        raise _unsound(batch, f"the line of {name} is malformed")
    return Entry(name, size, mtime, ctime, sha256, whole is True)


def _is_sha256(text: object) -> bool:
    return isinstance(text, str) and len(text) == 64 and set(text) <= set("0123456789abcdef")


def _unsound(batch: str, what: str) -> Error:
    of = f" of batch {batch}" if batch else ""
    return Error(f"read the manifest{of}", what, "Nothing of it was deleted; run the collection again")


def batches_below(directory: str) -> Iterator[tuple[str, str]]:
    """Yield experiment and batch of every manifest in ``<directory>/<experiment>/<batch>.manifest``, in order."""
    for experiment in _names(directory):
        if is_experiment(experiment):
            for name in _names(os.path.join(directory, experiment)):
                batch, dot, suffix = name.partition(".")
                if dot and suffix == "manifest" and is_batch(batch):
                    yield experiment, batch


def _names(directory: str) -> list[str]:
    try:
        return sorted(os.listdir(directory))
    except (FileNotFoundError, NotADirectoryError):
        return []
