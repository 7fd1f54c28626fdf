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
import time
import zlib
from collections.abc import Callable, Iterator
from typing import IO

_LOCAL = struct.Struct("<4s5H3I2H")
_CENTRAL = struct.Struct("<4s6H3I5H2I")
_END = struct.Struct("<4s4H2IH")
_END_64 = struct.Struct("<4sQ2H2I4Q4sIQI")
_MAX_16, _MAX_32 = 0xFFFF, 0xFFFFFFFF


class StoredZip:
    """Writes a zip (zip64 where needed) whose members are stored as they are.

    The standard library keeps 1 KB of memory for each member, which a camera with 50,000 images does not
    have to spare; this keeps 120 bytes. Whoever reads the archive does so with the standard library.

    Args:
        file: what it is written to, from its present position on; seekable.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._directory = bytearray()
        self._members = 0

    @contextlib.contextmanager
    def member(self, name: str, mtime: float) -> Iterator[Callable[[bytes], None]]:
        """Add a member.

        Args:
            name: in ASCII.
            mtime: when it was changed, in seconds since 1970.

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
        facts = (version, 0, 0, *_dos_time(mtime), checksum, size, size, len(encoded))
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


def _dos_time(mtime: float) -> tuple[int, int]:
    """Return time and date as a zip holds them: to 2 s, from 1980 to 2107."""
    year, month, day, hour, minute, second = time.localtime(mtime)[:6]
    if not 1980 <= year <= 2107:
        return 0, 1 << 5 | 1
    return hour << 11 | minute << 5 | second // 2, (year - 1980) << 9 | month << 5 | day
