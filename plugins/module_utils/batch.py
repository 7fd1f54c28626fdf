# SPDX-License-Identifier: GPL-3.0-or-later
"""Freezing a batch: its manifest and, where there is room, its zip. Runs on the camera: standard library only.

Both are made in one read of the images. The zip is complete before the manifest gets its name, and a
batch with a manifest is never written to again.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import time
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

from . import durable, manifest
from .card import Batch, Card
from .errors import Error
from .manifest import Entry
from .stored_zip import StoredZip

_CHUNK = 1 << 20
_ROOM_TO_RECORD = 64 << 20
"""Bytes that a zip must leave free, so that the camera can go on recording."""
_FULL = (errno.ENOSPC, errno.EDQUOT)


class Frozen(NamedTuple):
    """A batch that is ready to be carried home."""

    batch: Batch
    images: int
    bytes: int
    """Of the images that the manifest names."""
    zipped: bool
    unreadable: list[str]
    """Images that the card does not give back; they stay in the batch."""
    made: bool
    """Whether this call made the manifest, or found it."""


def freeze(card: Card, batch: Batch, zipped: bool) -> Frozen:
    """Write the batch's manifest, and its zip if that is wanted and there is room.

    A card that is full to the brim may not even have room for the manifest. It then names as many images as
    it has room for; the others become a batch of their own when these have gone.

    Args:
        card: the card that it lies on.
        batch: the batch; one that has a manifest already is only looked at.
        zipped: whether a zip is wanted.

    Raises:
        OSError: if the manifest cannot be written.
    """
    if os.path.exists(batch.manifest):
        with open(batch.manifest, "rb") as file:
            sizes = [entry.size for entry in manifest.entries(file, batch.experiment, batch.name)]
        return Frozen(batch, len(sizes), sum(sizes), os.path.exists(batch.zip), [], made=False)
    # One without a manifest is of a run that was killed; it takes the room of the one that comes.
    durable.remove(batch.zip)
    images = card.images_of(batch)
    if zipped and card.free() >= _size(batch, images) + _ROOM_TO_RECORD:
        try:
            return _write(batch, images, zipped=True)
        except OSError as error:
            # No room after all, or an image that the card does not give back: it goes home as files.
            if error.errno not in (*_FULL, errno.EIO, errno.EFBIG):
                raise
    while True:
        try:
            return _write(batch, images, zipped=False)
        except OSError as error:
            if error.errno not in _FULL or len(images) < 2:
                raise
            images = images[: len(images) // 2]


def mend(card: Card) -> None:
    """Give each batch whose manifest the card has spoilt another name, and forget that manifest.

    No receipt could ever be applied to such a batch; under another name it goes home after all.
    """
    for batch in card.batches():
        if os.path.exists(batch.manifest) and _spoilt(batch):
            card.renew(batch)
            durable.remove(batch.zip)
            durable.remove(batch.manifest)


def weigh(card: Card, batch: Batch) -> tuple[int, int]:
    """Return how many images a batch holds, and their size in bytes."""
    images = card.images_of(batch)
    return len(images), _size(batch, images)


def _spoilt(batch: Batch) -> bool:
    try:
        with open(batch.manifest, "rb") as file:
            for _unused in manifest.entries(file, batch.experiment, batch.name):
                pass
    except Error:
        return True
    except OSError as error:
        if error.errno != errno.EIO:
            raise
        return True
    return False


def _write(batch: Batch, images: list[str], zipped: bool) -> Frozen:
    unreadable: list[str] = []
    with contextlib.ExitStack() as stack:
        file = stack.enter_context(durable.replacing(batch.manifest))
        writer = manifest.Writer(file, batch.experiment, batch.name)
        archive = None
        if zipped:
            # Entered after the manifest, so left before it: the zip has its name when the manifest gets its own.
            archive = StoredZip(stack.enter_context(durable.replacing(batch.zip)))
        for name in images:
            try:
                writer.add(_read(os.path.join(batch.path, name), name, archive))
            except FileNotFoundError:
                # Vanished meanwhile, whoever did it.
                continue
            except OSError as error:
                if error.errno != errno.EIO or archive is not None:
                    raise
                unreadable.append(name)
        writer.close()
        if archive is not None:
            file.flush()
            with archive.member(manifest.MEMBER, time.localtime()[:6]) as add:
                for line in _sums(batch):
                    add(line)
            archive.close()
    return Frozen(batch, writer.images, writer.bytes, zipped, unreadable, made=True)


def _sums(batch: Batch) -> Iterator[bytes]:
    with open(f"{batch.manifest}.tmp", "rb") as file:
        for entry in manifest.entries(file, batch.experiment, batch.name):
            yield manifest.sums(iter([(entry.name, entry.sha256)]))


def _read(path: str, name: str, archive: StoredZip | None) -> Entry:
    """Read one image, once: hash it, and store it in the zip."""
    with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW), "rb") as file:
        status = os.fstat(file.fileno())
        sha256 = hashlib.sha256()
        size = 0
        tail = b""
        with contextlib.ExitStack() as stack:
            add = None
            if archive is not None:
                add = stack.enter_context(archive.member(name, time.localtime(status.st_mtime)[:6]))
            for chunk in _chunks(file):
                sha256.update(chunk)
                size += len(chunk)
                tail = (tail + chunk[-2:])[-2:]
                if add is not None:
                    add(chunk)
    return Entry(name, size, status.st_mtime_ns, status.st_ctime_ns, sha256.hexdigest(), tail == b"\xff\xd9")


def _chunks(file: BinaryIO) -> Iterator[bytes]:
    while chunk := file.read(_CHUNK):
        yield chunk


def _size(batch: Batch, images: list[str]) -> int:
    size = 0
    for name in images:
        with contextlib.suppress(FileNotFoundError):
            size += os.lstat(os.path.join(batch.path, name)).st_size
    return size
