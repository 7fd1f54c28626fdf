# SPDX-License-Identifier: GPL-3.0-or-later
"""Archives: zips of JPEGs, stored as they are, with the list that `sha256sum -c` reads.

Reading is hostile territory: only members whose name is an image's are ever opened, and nothing is ever
extracted.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import io
import os
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from typing import IO, NamedTuple

from . import durable, manifest
from .errors import Error
from .names import is_image

_CHUNK = 1 << 20
BROKEN = (
    zipfile.BadZipFile,
    NotImplementedError,  # a compression or version that zipfile does not know
    RuntimeError,
    EOFError,
    ValueError,
    KeyError,
    OverflowError,
    struct.error,
    zlib.error,
    FileNotFoundError,
)
"""What the zipfile module raises on an archive that is cut short, damaged or made to harm."""


class File(io.BufferedReader):
    """A file in which a place that cannot be is one more damage: zips say themselves where their members lie."""

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        try:
            return super().seek(offset, whence)
        except OSError as error:
            if error.errno == errno.EINVAL:
                raise zipfile.BadZipFile(f"offset {offset}") from None
            raise


class Source(NamedTuple):
    """Where an image comes from: a file, or a member of another archive."""

    name: str
    sha256: str
    """What it must be."""
    path: str
    member: bool


class Member(NamedTuple):
    """An image in an archive, as its directory tells."""

    name: str
    size: int
    """Bytes."""
    crc: int
    """CRC-32 of its content."""


class Listing(NamedTuple):
    """An archive's own list, which `sha256sum -c` reads."""

    images: int
    names: set[str]
    sha256: str
    """Of the list itself."""


class Archive(NamedTuple):
    """A public archive, in figures."""

    name: str
    images: int
    bytes: int
    """Of the images."""


def intact(path: str, wanted: dict[str, str], listed: dict[str, str] | None = None) -> tuple[set[str], bool]:
    """Read the archive at `path` back from the disk.

    Args:
        path: the archive.
        wanted: name to SHA-256 of the images that are read.
        listed: likewise, all that it should hold, where that is more.

    Returns:
        Those of `wanted` that it holds intact; and whether these are all, and it has the members that it should have,
        its list, and nothing else.
    """
    found: set[str] = set()
    listed = wanted if listed is None else listed
    try:
        with open(path, "rb") as file:
            # What was written a moment ago would otherwise be read from memory, and prove nothing; only what is
            # on the disk already is dropped from it.
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        with opened(path) as archive:
            for info in archive.infolist():
                if info.filename in wanted and _hash(archive, info) == wanted[info.filename]:
                    found.add(info.filename)
            expected = manifest.sums((name, listed[name]) for name in sorted(listed))
            whole = (
                found == wanted.keys()
                and sorted(archive.namelist()) == sorted([*listed, manifest.MEMBER])
                and all(_plain(info) for info in archive.infolist())
                and archive.getinfo(manifest.MEMBER).file_size == len(expected)
                and archive.read(manifest.MEMBER) == expected
            )
            return found, whole
    except BROKEN:
        return found, False


def write(path: str, sources: Iterable[Source]) -> dict[str, str]:
    """Write an archive of those `sources` that are what they must be.

    Args:
        path: the archive; it has this name only once it is complete and on the disk.
        sources: sorted by name, each name once.

    Returns:
        Name to SHA-256 of the images in it. An image that is missing or not what it must be is left out.
    """
    written: dict[str, str] = {}
    with durable.replacing(path) as file, zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for source, info, content in sound(sources):
            archive.writestr(info, content)
            written[source.name] = source.sha256
        archive.writestr(manifest.MEMBER, manifest.sums(iter(written.items())))
    return written


def sound(sources: Iterable[Source]) -> Iterator[tuple[Source, zipfile.ZipInfo, bytes]]:
    """Yield those of `sources` that are what they must be, and their content.

    It is checked before it is copied: what is once in a zip cannot be taken out again.
    """
    with contextlib.ExitStack() as stack:
        archives: dict[str, zipfile.ZipFile] = {}
        for source in sources:
            try:
                content, info = _read(source, archives, stack)
            except BROKEN:
                continue
            except OSError as error:
                # A link or a directory under an image's name is not an image.
                if error.errno not in (errno.ELOOP, errno.EISDIR):
                    raise
                continue
            if hashlib.sha256(content).hexdigest() == source.sha256:
                yield source, info, content


def contents(path: str) -> dict[str, str]:
    """Return name to SHA-256 of the images in the archive at `path`, from its own list.

    Raises:
        Error: if it is no archive of ours, or damaged.
    """
    try:
        text = _list(path)
    except BROKEN:
        raise _damaged(path) from None
    return manifest.read_sums(text)


def figures(path: str) -> Archive:
    """Return the archive at `path` in figures; raise `Error` if it is damaged."""
    sizes = [member.size for member in members(path)]
    return Archive(os.path.basename(path), len(sizes), sum(sizes))


def members(path: str) -> list[Member]:
    """Return the images in the archive at `path`, from its directory alone; raise `Error` if it is damaged."""
    try:
        with opened(path) as archive:
            return [
                Member(info.filename, info.file_size, info.CRC)
                for info in archive.infolist()
                if is_image(info.filename)
            ]
    except BROKEN:
        raise _damaged(path) from None


def listing(path: str) -> Listing:
    """Return the list of the archive at `path`; raise `Error` if it has none, or is damaged."""
    try:
        text = _list(path)
    except BROKEN:
        raise _damaged(path) from None
    found = manifest.read_sums(text)
    return Listing(len(found), set(found), hashlib.sha256(text).hexdigest())


def _list(path: str) -> bytes:
    with opened(path) as archive:
        return archive.read(manifest.MEMBER)


@contextlib.contextmanager
def opened(path: str) -> Iterator[zipfile.ZipFile]:
    """Open the archive at `path`; whatever is wrong with it, now or while it is read, is one of `BROKEN`."""
    with File(io.FileIO(path)) as file, zipfile.ZipFile(file) as archive:
        yield archive


def _damaged(path: str) -> Error:
    return Error(
        f"read {path}",
        "it is damaged, or no archive of ours",
        "Nothing was deleted: restore it from a copy, or move it away, and run stop.yml again",
    )


def _plain(info: zipfile.ZipInfo) -> bool:
    """Tell whether a member is a stored regular file without anything that unpackers read otherwise than we do."""
    kind = stat.S_IFMT(info.external_attr >> 16)
    # The one extra field that zipfile itself writes is that of large archives; others can rename a member.
    extra = info.extra[:2] in (b"", b"\x01\x00") and len(info.extra) <= 28
    return info.compress_type == zipfile.ZIP_STORED and kind in (0, stat.S_IFREG) and extra and not info.flag_bits & 1


def _read(
    source: Source, archives: dict[str, zipfile.ZipFile], stack: contextlib.ExitStack
) -> tuple[bytes, zipfile.ZipInfo]:
    if not source.member:
        with open(os.open(source.path, os.O_RDONLY | os.O_NOFOLLOW), "rb") as file:
            info = zipfile.ZipInfo.from_file(source.path, source.name, strict_timestamps=False)
            return file.read(), info
    if source.path not in archives:
        archives[source.path] = stack.enter_context(opened(source.path))
    archive = archives[source.path]
    info = archive.getinfo(source.name)
    copy = zipfile.ZipInfo(info.filename, info.date_time)
    copy.external_attr = 0o644 << 16
    return archive.read(info), copy


def _hash(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> str | None:
    if info.compress_type != zipfile.ZIP_STORED:
        return None
    sha256 = hashlib.sha256()
    try:
        with archive.open(info) as member:
            for chunk in _chunks(member):
                sha256.update(chunk)
    except BROKEN:
        return None
    return sha256.hexdigest()


def _chunks(file: IO[bytes]) -> Iterator[bytes]:
    while chunk := file.read(_CHUNK):
        yield chunk
