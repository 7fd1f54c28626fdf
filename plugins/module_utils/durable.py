# SPDX-License-Identifier: GPL-3.0-or-later
"""Files that are either there, whole and on the disk, or not there."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator
from typing import IO


def sync_directory(path: str) -> None:
    """Make the names in the directory `path` survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def publish(temporary: str, path: str) -> None:
    """Give the finished and synced file `temporary` its name `path`, for good."""
    os.rename(temporary, path)
    sync_directory(os.path.dirname(path))


@contextlib.contextmanager
def replacing(path: str, mode: int = 0o644) -> Iterator[IO[bytes]]:
    """Open a file that takes the name `path` once the block ended well, and vanishes otherwise.

    Args:
        path: the name that the file gets.
        mode: its permissions.

    Yields:
        The file, open for writing (and reading back) in binary.

    Raises:
        OSError: if it cannot be written, or if another process has begun the same file since; `path` is
            then what it was before.
    """
    temporary = f"{path}.tmp"
    with contextlib.suppress(FileNotFoundError):
        os.unlink(temporary)
    descriptor = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode)
    with os.fdopen(descriptor, "w+b") as file:
        try:
            yield file
            file.flush()
            os.fsync(descriptor)
            if not _is(temporary, descriptor):
                # What bears the name now is another's, half-written: a run that was given up still went on.
                raise FileExistsError(errno.EEXIST, "another process writes the same file", path)
            publish(temporary, path)
        except BaseException:
            if _is(temporary, descriptor):
                os.unlink(temporary)
            raise


def _is(path: str, descriptor: int) -> bool:
    try:
        return os.path.samestat(os.lstat(path), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def make_directories(path: str, mode: int = 0o755) -> None:
    """Make the directory `path` and what is missing above it, each of them synced."""
    if os.path.isdir(path):
        return
    parent = os.path.dirname(path)
    if parent and parent != path:
        make_directories(parent, mode)
    with contextlib.suppress(FileExistsError):
        os.mkdir(path, mode)
        sync_directory(parent)


def content(path: str) -> bytes | None:
    """Return what the file `path` holds; None if it is not there."""
    try:
        with open(path, "rb") as file:
            return file.read()
    except FileNotFoundError:
        return None


def remove(path: str) -> bool:
    """Remove the file `path`; tell whether it was there."""
    try:
        os.unlink(path)
    except FileNotFoundError:
        return False
    return True
