# SPDX-License-Identifier: GPL-3.0-or-later
"""An archive that takes in more images where it lies: what that costs is theirs, not the archive's.

The new images are written over the archive's tail, which is its list, its directory and its end; then come a new list,
directory and end. The old images are never written to. Before anything is overwritten the old tail lies, synced, in a
journal beside the archive, and it goes only when the new one has been read back from the disk. So wherever this is cut
off, the journal makes the archive what it was:

    <archive>.tail      SHA-256 of all that follows; where the tail begins, 8 bytes; the tail
"""

from __future__ import annotations

import hashlib
import io
import os
import struct
import time

from . import archive, durable, manifest, stored_zip
from .archive import Source
from .errors import Error

_PLACE = struct.Struct("<Q")


def grow(path: str, held: dict[str, str], sources: list[Source]) -> None:
    """Add images to the archive at `path`.

    Args:
        path: the archive; nobody else may be at work on it.
        held: name to SHA-256 of the images in it.
        sources: what is added: sorted by name, none of them in it.

    Raises:
        Error: if a source is not what it must be, the archive is not laid out as ours are, or does not read back as
            what was written. It is what it was before, then, as it is after the next one.
        OSError: if there is no room, or no right to write. Where not even the old tail could be put back, `mend` does.
    """
    old = _directory(path)
    if old.name != manifest.MEMBER.encode() or old.members != len(held):
        raise _strange(path)
    new = {source.name: source.sha256 for source in sources}
    listed = {**held, **new}
    # No journal for what cannot be written to.
    os.close(os.open(path, os.O_RDWR))
    try:
        _set_aside(path, old.offset)
        _write(path, old, sources, listed)
        # Synced, and read back. The old images were when they came; only the directory's word for them is new.
        if not archive.intact(path, new, listed)[1] or not _directory(path).entries.startswith(old.entries):
            raise Error(
                f"add {len(new)} images to {path}",
                "it does not hold what it should then",
                "The orchestrator's disk may be failing; it is left as it was, and so are they",
            )
    except Exception:
        mend(path)
        raise
    _forget(path)


def mend(path: str) -> None:
    """Make the archive at `path` what it was before it was to grow, if that was cut off.

    Raises:
        Error: if the journal is damaged, or all that is left; nothing is changed then.
    """
    try:
        with open(_journal(path), "rb") as file:
            digest, tail = file.read(32), file.read()
    except FileNotFoundError:
        return
    tried = f"make {path} what it was before it was to grow"
    if hashlib.sha256(tail).digest() != digest:
        advice = "The orchestrator's disk may be failing; nothing was deleted: copy both files, and replace it"
        raise Error(tried, f"{os.path.basename(_journal(path))} beside it is damaged", advice)
    if not os.path.exists(path):
        advice = "Bring it back from where it was moved to, or move that file to where it is"
        raise Error(tried, f"it is gone, and {os.path.basename(_journal(path))} beside it is not", advice)
    with open(path, "r+b") as file:
        file.seek(*_PLACE.unpack_from(tail))
        file.write(tail[_PLACE.size :])
        file.truncate()
        file.flush()
        os.fsync(file.fileno())
    _forget(path)


def cut_off(path: str) -> bool:
    """Tell whether the archive at `path` was to grow, and is not what it should be until it is mended."""
    return os.path.exists(_journal(path))


def _set_aside(path: str, offset: int) -> None:
    with open(path, "rb") as file:
        file.seek(offset)
        tail = _PLACE.pack(offset) + file.read()
    with durable.replacing(_journal(path)) as file:
        file.write(hashlib.sha256(tail).digest())
        file.write(tail)


def _write(path: str, old: stored_zip.Directory, sources: list[Source], listed: dict[str, str]) -> None:
    with open(path, "r+b") as file:
        file.seek(old.offset)
        zipped = stored_zip.StoredZip(file, old.entries, old.members)
        for source, info, content in archive.sound(sources):
            with zipped.member(source.name, info.date_time) as add:
                add(content)
        with zipped.member(manifest.MEMBER, time.localtime()[:6]) as add:
            add(manifest.sums((name, listed[name]) for name in sorted(listed)))
        zipped.close()
        file.truncate()


def _directory(path: str) -> stored_zip.Directory:
    try:
        with archive.File(io.FileIO(path)) as file:
            return stored_zip.directory(file)
    except archive.BROKEN:
        raise _strange(path) from None


def _strange(path: str) -> Error:
    return Error(f"add images to {path}", "it is not laid out as an archive of ours", "It is left as it is")


def _forget(path: str) -> None:
    # Synced, or a power cut could bring it back after the parts that were taken in are gone.
    os.unlink(_journal(path))
    durable.sync_directory(os.path.dirname(path))


def _journal(path: str) -> str:
    return f"{path}.tail"
