# SPDX-License-Identifier: GPL-3.0-or-later
"""The receipt: the only licence to delete an image.

It names a manifest by its SHA-256 and, of that manifest, the images that were *not* found intact in the
archive. So a receipt takes 200 bytes however many images it licenses, travels as an argument, and cannot
be mistaken for one of another batch.
"""

from __future__ import annotations

import os
import stat
from typing import Any, NamedTuple

from . import durable, manifest
from .card import Batch, Card
from .errors import Error
from .manifest import Entry
from .names import is_batch, is_experiment, is_image


class Receipt(NamedTuple):
    """What the orchestrator proved about one batch."""

    experiment: str
    batch: str
    manifest_sha256: str
    unproven: list[str]
    """Images of the manifest that the archive does not hold intact, and that must stay on the card."""

    @classmethod
    def parse(cls, given: dict[str, Any]) -> Receipt:
        """Return the receipt in `given`; raise `Error` if it is none."""
        receipt = cls(*(given.get(field) for field in cls._fields))  # type: ignore[arg-type]
        if not (
            all(isinstance(text, str) for text in receipt[:3])
            and is_experiment(receipt.experiment)
            and is_batch(receipt.batch)
            and isinstance(receipt.unproven, list)
            and all(isinstance(name, str) and is_image(name) for name in receipt.unproven)
        ):
            raise Error("read a receipt", f"{given!r} is none", "Nothing was deleted")
        return receipt


class Cleaned(NamedTuple):
    """What applying a receipt came to; all counts of images."""

    deleted: int
    bytes: int
    kept: int
    """Not proven, or changed since: they stay, and go home with the next collection."""
    vanished: int


def apply(card: Card, receipt: Receipt, dry_run: bool = False) -> Cleaned:
    """Delete from the card what `receipt` proves and what has not changed since it was hashed.

    Killed at any point and called again, it goes on where it was: the manifest is the last to go.

    Args:
        card: the card that the batch lies on.
        receipt: the receipt; where its batch is gone already nothing happens.
        dry_run: only count.

    Raises:
        Error: if the receipt is one of another manifest than the one that lies beside the batch.
    """
    batch = Batch(receipt.experiment, receipt.batch, os.path.join(card.root, receipt.experiment, receipt.batch))
    if os.path.islink(batch.path) or os.path.islink(os.path.dirname(batch.path)):
        raise Error(f"open {batch.path}", "it is a link", "Remove the link: nothing of ours makes one")
    try:
        if manifest.digest(batch.manifest) != receipt.manifest_sha256:
            raise Error(
                f"delete what the receipt of batch {receipt.batch} proves",
                "it proves another manifest",
                "Nothing was deleted; run the collection again",
            )
    except FileNotFoundError:
        if not dry_run:
            card.tidy()
        return Cleaned(0, 0, 0, 0)
    unproven = set(receipt.unproven)
    deleted = size = kept = vanished = 0
    with open(batch.manifest, "rb") as file:
        for entry in manifest.entries(file, batch.experiment, batch.name):
            path = os.path.join(batch.path, entry.name)
            try:
                if entry.name in unproven or not _unchanged(path, entry):
                    kept += 1
                    continue
                if not dry_run:
                    os.unlink(path)
            except FileNotFoundError:
                vanished += 1
                continue
            deleted += 1
            size += entry.size
    if not dry_run:
        _forget(card, batch)
    return Cleaned(deleted, size, kept, vanished)


def _forget(card: Card, batch: Batch) -> None:
    if os.path.isdir(batch.path):
        durable.sync_directory(batch.path)
    durable.remove(batch.zip)
    card.renew(batch)
    durable.remove(batch.manifest)
    card.tidy()


def _unchanged(path: str, entry: Entry) -> bool:
    status = os.lstat(path)
    found = (status.st_size, status.st_mtime_ns, status.st_ctime_ns)
    return stat.S_ISREG(status.st_mode) and found == (entry.size, entry.mtime_ns, entry.ctime_ns)
