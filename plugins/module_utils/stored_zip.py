# SPDX-License-Identifier: GPL-3.0-or-later
"""Writing a zip of stored members in little memory. Runs on the camera: standard library only.

The format is that of PKWARE's APPNOTE.TXT, 4.3.7 (local header), 4.3.12 (central directory), 4.3.14 to 4.3.16 (ends,
zip64).
"""

from __future__ import annotations

import contextlib
import errno
import os
import struct
import zlib
from collections.abc import Callable, Iterator, Sequence
from typing import IO, NamedTuple

_LOCAL = struct.Struct("<4s5H3I2H")
_CENTRAL = struct.Struct("<4s6H3I5H2I")
_END = struct.Struct("<4s4H2IH")
_END_64 = struct.Struct("<4sQ2H2I4Q4sIQI")
_MAX_16, _MAX_32 = 0xFFFF, 0xFFFFFFFF


class Directory(NamedTuple):
    """The directory of a zip, as it lies in the file, but for its last member."""

    entries: bytes
    members: int
    name: bytes
    """Of the last member."""
    offset: int
    """Where the last member begins; after it comes nothing but the directory and the end."""


class StoredZip:
    """Writes a zip (zip64 where needed) whose members are stored as they are.

    The standard library keeps 1 KB of memory for each member, which a camera with 50,000 images does not
    have to spare; this keeps 120 bytes. Whoever reads the archive does so with the standard library.

    Args:
        file: what it is written to, from its present position on; seekable.
        entries: the directory of what lies before that position.
        members: how many that are.
    """

    def __init__(self, file: IO[bytes], entries: bytes = b"", members: int = 0) -> None:
        self._file = file
        self._directory = bytearray(entries)
        self._members = members

    @contextlib.contextmanager
    def member(self, name: str, changed: Sequence[int]) -> Iterator[Callable[[bytes], None]]:
        """Add a member.

        Args:
            name: in ASCII.
            changed: when: year, month, day, hour, minute, second.

        Yields:
            A function that adds to its content.

        Raises:
            OSError: EFBIG if it is of 4 GiB or more; no image is.
        """
        encoded = name.encode("ascii")
        start = self._file.tell()
        # Checksum and size are known, and filled in, when it has been read.
        self._file.write(bytes(_LOCAL.size) + encoded)
        checksum = size = 0

        def add(content: bytes) -> None:
            nonlocal checksum, size
            size += len(content)
            if size >= _MAX_32:
                raise OSError(errno.EFBIG, os.strerror(errno.EFBIG), name)
            checksum = zlib.crc32(content, checksum)
            self._file.write(content)

        yield add
        end = self._file.tell()
        far = start >= _MAX_32
        extra = struct.pack("<2HQ", 1, 8, start) if far else b""
        version = 45 if far else 20
        facts = (version, 0, 0, *_dos_time(changed), checksum, size, size, len(encoded))
        self._file.seek(start)
        self._file.write(_LOCAL.pack(b"PK\3\4", *facts, 0))
        self._file.seek(end)
        # Made by Unix (3): a regular file, rw-r--r--.
        self._directory += _CENTRAL.pack(
            b"PK\1\2", 3 << 8 | version, *facts, len(extra), 0, 0, 0, 0o100644 << 16, _MAX_32 if far else start
        )
        self._directory += encoded + extra
        self._members += 1

    def close(self) -> None:
        """Write the directory, which makes it a zip."""
        start, count, size = self._file.tell(), self._members, len(self._directory)
        self._file.write(self._directory)
        if start >= _MAX_32 or count >= _MAX_16 or size >= _MAX_32:
            end = _END_64.pack(
                *(b"PK\6\6", 44, 3 << 8 | 45, 45, 0, 0, count, count, size, start),
                *(b"PK\6\7", 0, start + size, 1),
            )
            self._file.write(end)
            start, count, size = min(start, _MAX_32), min(count, _MAX_16), min(size, _MAX_32)
        self._file.write(_END.pack(b"PK\5\6", 0, 0, count, count, size, start, 0))


def directory(file: IO[bytes]) -> Directory:
    """Read the directory of the zip in `file`, in little memory.

    Raises:
        ValueError, struct.error: if it is not laid out as `StoredZip` lays it out; OSError as well, if it is cut short.
    """
    end = file.seek(0, os.SEEK_END) - _END.size
    file.seek(end)
    signature, *_unused, count, size, start, comment = _END.unpack(file.read(_END.size))
    if signature != b"PK\5\6" or comment:
        raise ValueError("it does not end as a zip does")
    if _MAX_32 in (start, size) or count == _MAX_16:
        file.seek(end - _END_64.size)
        signature, *_unused, count_64, size_64, start_64 = _END_64.unpack(file.read(_END_64.size))[:-4]
        if signature == b"PK\6\6":
            end, count, size, start = end - _END_64.size, count_64, size_64, start_64
    if start + size != end:
        raise ValueError("there is something between its directory and its end")
    file.seek(start)
    entries = file.read(size)
    at = entries.rfind(b"PK\1\2")
    length, extra, *_unused, offset = _CENTRAL.unpack_from(entries, at)[-7:]
    rest = entries[at + _CENTRAL.size :]
    name = rest[:length]
    if offset == _MAX_32:
        (offset,) = struct.unpack_from("<Q", rest, length + 4)
    file.seek(offset)
    *_unused, stored, named, more = _LOCAL.unpack(file.read(_LOCAL.size))
    if offset + _LOCAL.size + named + more + stored != start or len(rest) != length + extra:
        raise ValueError("there is something between its last member and its directory")
    return Directory(entries[:at], count - 1, name, offset)


def _dos_time(changed: Sequence[int]) -> tuple[int, int]:
    """Return time and date as a zip holds them: to 2 s, from 1980 to 2107."""
    year, month, day, hour, minute, second = changed
    if not 1980 <= year <= 2107:
        return 0, 1 << 5 | 1
    return hour << 11 | minute << 5 | second // 2, (year - 1980) << 9 | month << 5 | day
