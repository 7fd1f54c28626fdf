# SPDX-License-Identifier: GPL-3.0-or-later
"""From what arrived to a receipt: the archive is made or taken over, read back from the disk, and receipted."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
from collections.abc import Iterator
from typing import Any, NamedTuple

from . import archive, durable, events, growing, manifest, parts
from .errors import Error
from .layout import Layout
from .manifest import Manifest
from .receipt import Receipt


class Received(NamedTuple):
    """What became of one batch."""

    receipt: Receipt
    images: int
    """Proven to be in the archive."""
    bytes: int
    flagged: list[str]
    """Proven, and not whole: they do not end as a JPEG does."""
    fresh: bool
    """Whether the receipt was written now, or was there already."""


def pending(layout: Layout, camera: str, dry_run: bool = False) -> list[Receipt]:
    """Return the receipts of batches that may still lie on the camera: their leftovers have not been removed.

    Args:
        layout: the data directory.
        camera: whose batches.
        dry_run: change nothing; an archive that was cut off while it grew holds nothing, then.
    """
    found = []
    for experiment, batch in manifest.batches_below(layout.incoming(camera)):
        known = _written(layout, experiment, camera, batch)
        if known is None:
            continue
        together = layout.together(experiment, camera)
        if growing.cut_off(together) and not dry_run:
            # Where it cannot be mended, the batch comes again, and receiving it says why.
            with contextlib.suppress(Error, OSError), parts.alone(layout, camera):
                growing.mend(together)
        with contextlib.suppress(Error):
            listed = manifest.load(
                f"{os.path.join(layout.incoming(camera), experiment, batch)}.manifest", experiment, batch
            )
            if known.manifest_sha256 == listed.sha256 and _held(layout, camera, known, listed):
                found.append(known)
    return found


def receive(layout: Layout, camera: str, experiment: str, batch: str) -> Received:
    """Prove what arrived of one batch, and write its receipt.

    Args:
        layout: the data directory.
        camera: whose batch it is.
        experiment: what it belongs to.
        batch: its name; ``<incoming>/<experiment>/<batch>.manifest`` has arrived, and beside it the zip
            or the images.

    Raises:
        Error: if the manifest is unsound, or an archive that was cut off while it grew cannot be mended.
        OSError: if the archive or the receipt cannot be written; nothing is licensed then.
    """
    arrived = os.path.join(layout.incoming(camera), experiment, batch)
    try:
        listed = manifest.load(f"{arrived}.manifest", experiment, batch)
    except Error:
        # What has arrived is not asked for again: it has to go, so that it comes anew.
        durable.remove(f"{arrived}.manifest")
        raise
    with parts.alone(layout, camera):
        growing.mend(layout.together(experiment, camera))
        known = _written(layout, experiment, camera, batch)
        if known is not None and known.manifest_sha256 == listed.sha256 and _held(layout, camera, known, listed):
            received = _received(known, listed, fresh=False)
        else:
            received = _prove(layout, camera, listed, arrived)
        # Only so that closing has less to do: where there is no room for it, or a part is damaged, closing says so.
        with contextlib.suppress(Error, OSError):
            parts.fold(layout, experiment, camera)
    return received


def unproven(layout: Layout, camera: str) -> list[dict[str, str]]:
    """Return the batches of which images have arrived that nobody has proven, as `image_batch` names them."""
    found = []
    for experiment, batch in manifest.batches_below(layout.incoming(camera)):
        arrived = os.path.join(layout.incoming(camera), experiment, batch)
        if os.path.exists(f"{arrived}.zip") or os.path.isdir(arrived):
            found.append({"experiment": experiment, "batch": batch})
    return found


def forget_incoming(layout: Layout, camera: str) -> None:
    """Remove what is left of a camera's batches that are home and gone from its card."""
    shutil.rmtree(layout.incoming(camera), ignore_errors=True)
    with contextlib.suppress(OSError):
        os.rmdir(os.path.dirname(layout.incoming(camera)))


def write_empty(layout: Layout, experiment: str, camera: str) -> None:
    """Write the receipt of a camera that had nothing: an empty day is not a missing day."""
    path = layout.receipt(experiment, camera, "empty")
    if not _json_names(os.path.dirname(path)):
        durable.make_directories(os.path.dirname(path))
        _dump(path, {"experiment": experiment, "camera": camera, "images": 0, "bytes": 0, "at": events.now()})


def _part(layout: Layout, camera: str, listed: Manifest) -> str:
    return os.path.join(layout.parts(listed.experiment, camera), f"{listed.batch}-{listed.sha256[:16]}.zip")


def _held(layout: Layout, camera: str, receipt: Receipt, listed: Manifest) -> bool:
    """Tell whether what a receipt proved is still there: somebody may have moved the archive away."""
    if os.path.exists(_part(layout, camera, listed)):
        return True
    unproven = set(receipt.unproven)
    proven = {(name, entry.sha256) for name, entry in listed.entries.items() if name not in unproven}
    together = layout.together(listed.experiment, camera)
    for path in (together, *layout.archives(listed.experiment, camera)):
        # One that is damaged or cannot be read holds nothing.
        with contextlib.suppress(Error, OSError):
            proven -= archive.contents(path).items()
    return not proven


def _prove(layout: Layout, camera: str, listed: Manifest, arrived: str) -> Received:
    # Named after the manifest as well: what another one of the same name has proven is not overwritten.
    part = _part(layout, camera, listed)
    durable.make_directories(os.path.dirname(part))
    wanted = {entry.name: entry.sha256 for entry in listed.entries.values()}
    # What is in an archive stays there: its receipt may be lost, and the image gone from the card.
    kept, _unused = archive.intact(layout.together(listed.experiment, camera), wanted)
    proven = kept | _archive({name: sha256 for name, sha256 in wanted.items() if name not in kept}, arrived, part)
    receipt = Receipt(listed.experiment, listed.batch, listed.sha256, sorted(wanted.keys() - proven))
    received = _received(receipt, listed, fresh=True)
    if proven or not wanted:
        _write(layout, camera, received)
        events.append(
            layout.events(listed.experiment),
            "receipt",
            camera,
            batch=listed.batch,
            images=received.images,
            bytes=received.bytes,
            unproven=receipt.unproven,
            not_whole=received.flagged,
        )
    # What is proven lies in the archive; what is not has to come again, from the card.
    durable.remove(f"{arrived}.zip")
    shutil.rmtree(arrived, ignore_errors=True)
    return received


def _archive(wanted: dict[str, str], arrived: str, part: str) -> set[str]:
    """Make the part archive of a batch; return the images that it holds intact."""
    if not wanted:
        return set()
    already, whole = archive.intact(part, wanted)
    if whole:
        # Killed between archive and receipt: it is here, and only has to be receipted.
        return already
    found, whole = archive.intact(f"{arrived}.zip", wanted)
    if whole and _let_go(f"{arrived}.zip"):
        durable.publish(f"{arrived}.zip", part)
        return found
    zipped = os.path.exists(f"{arrived}.zip")
    sources = [
        # What the part holds stays in it: its receipt may be lost, and the image gone from the card.
        archive.Source(name, wanted[name], part, member=True)
        if name in already
        else archive.Source(
            name, wanted[name], f"{arrived}.zip" if zipped else os.path.join(arrived, name), member=zipped
        )
        for name in sorted(found | already if zipped else wanted)
    ]
    written = archive.write(part, sources) if sources else {}
    if not written:
        durable.remove(part)
        return set()
    proven, whole = archive.intact(part, written)
    if not whole:
        durable.remove(part)
        raise Error(
            f"read {part} back",
            f"{len(written) - len(proven)} of its images are not what was written",
            "The orchestrator's disk may be failing; nothing was deleted on the camera",
        )
    return proven


def _let_go(path: str) -> bool:
    """Tell whether nobody has the file open for writing, where the file system can tell.

    A transfer that has outlived its run would go on writing in the archive that the file becomes.
    """
    with open(path, "rb") as file:
        try:
            # The kernel gives this lease on a file that nobody writes to; it is all that is wanted of it.
            fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_RDLCK)
        except OSError:
            return False
        fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    return True


def _received(receipt: Receipt, listed: Manifest, fresh: bool) -> Received:
    unproven = set(receipt.unproven)
    proven = [entry for name, entry in listed.entries.items() if name not in unproven]
    return Received(
        receipt,
        len(proven),
        sum(entry.size for entry in proven),
        [entry.name for entry in proven if not entry.whole],
        fresh,
    )


def _write(layout: Layout, camera: str, received: Received) -> None:
    receipt = received.receipt
    path = layout.receipt(receipt.experiment, camera, receipt.batch)
    durable.make_directories(os.path.dirname(path))
    _dump(
        path,
        {
            **receipt._asdict(),
            "camera": camera,
            "images": received.images,
            "bytes": received.bytes,
            "not_whole": received.flagged,
            "at": events.now(),
        },
    )


def _written(layout: Layout, experiment: str, camera: str, batch: str) -> Receipt | None:
    content = _json(layout.receipt(experiment, camera, batch))
    try:
        receipt = Receipt.parse(content)
    except Error:
        return None
    return receipt if (receipt.experiment, receipt.batch) == (experiment, batch) else None


def _dump(path: str, content: dict[str, Any]) -> None:
    with durable.replacing(path) as file:
        file.write(json.dumps(content, indent=2, ensure_ascii=False).encode() + b"\n")


def _json(path: str) -> dict[str, Any]:
    try:
        with open(path, "rb") as file:
            content = json.load(file)
    except (FileNotFoundError, NotADirectoryError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def _json_names(directory: str) -> list[str]:
    def names() -> Iterator[str]:
        with contextlib.suppress(FileNotFoundError), os.scandir(directory) as listing:
            yield from (item.name for item in listing if item.name.endswith(".json"))

    return sorted(names())
