# SPDX-License-Identifier: GPL-3.0-or-later
"""What modules do on a camera's card, to be killed or to lose power: each a state, a run, and what must hold."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ansible_collections.wildberryeye.orchestrator.plugins.module_utils import batch, manifest
from ansible_collections.wildberryeye.orchestrator.plugins.module_utils.card import Batch, Card
from faults.case import BEFORE, FIRST, LOOSE, SECOND, Case
from unit.cards import Systemctl, assert_sound, images_below, make_batch, make_card, make_frozen, receipt_of
from unit.support import BATCH, EXPERIMENT, Outcome, batch_name, image, jpeg, run_module, sha256, write_archive


class OnCard(Case):
    """What holds for everything that a module does on a card."""

    found: Mapping[str, bytes] = {}
    """All images that were there."""
    licensed: frozenset[str] = frozenset()
    """Those of them that a receipt proves: the orchestrator has them."""

    def files(self, root: Path) -> Path:
        return root / "card"

    def held(self, root: Path) -> None:
        card = self.files(root)
        there = images_below(card)
        wanted = {(name, sha256(content)) for name, content in self.found.items()}
        assert there.keys() <= wanted, "an image is not what it was"
        lost = [name for name, digest in wanted if name not in self.licensed and (name, digest) not in there]
        assert not lost, f"lost: {lost}"
        assert (card / "notes.txt").read_bytes() == b"mine"
        self.sound(card)

    def sound(self, card: Path) -> None:
        """Whatever has a name is whole."""
        assert_sound(Card(str(card)))

    def once(self, root: Path, names: set[str]) -> None:
        """Just these images are on the card, each once, and nothing that is unfinished or of no use."""
        card = self.files(root)
        assert images_below(card) == {(name, sha256(self.found[name])): 1 for name in names}
        assert not [path for path in card.rglob("*") if path.name.endswith(".tmp")]
        empty = [path for path in card.rglob("*") if path.is_dir() and not any(path.iterdir())]
        assert not empty, empty

    def lay(self, root: Path, loose: Mapping[str, bytes] = {}, label: str = "") -> Path:
        """A card with something of somebody else's on it."""
        card = self.files(root)
        make_card(card, loose, label)
        (card / "notes.txt").write_bytes(b"mine")
        for number, name in enumerate(sorted(loose)):
            os.utime(card / name, (1779440000 + number, 1779440000 + number))
        return card


class Batching(OnCard):
    """A batch with a pending receipt, one that is not frozen yet, and loose images."""

    module = "image_batch"
    found: Mapping[str, bytes] = {**FIRST, **SECOND, **LOOSE}
    licensed = frozenset(FIRST)

    def __init__(self, method: str = "zip", leftovers: bool = False) -> None:
        self.method = method
        self.leftovers = leftovers

    def prepare(self, root: Path) -> None:
        path = self.lay(root)
        card, old = make_batch(path, FIRST, BEFORE)
        batch.freeze(card, old, zipped=True)
        (root / "receipts.json").write_text(json.dumps([receipt_of(old)._asdict()]))
        _, new = make_batch(path, SECOND)
        # The oldest of its experiment, whatever the next one's random name.
        new = Batch(EXPERIMENT, BATCH, str(Path(new.path).replace(Path(new.path).with_name(BATCH))))
        self.lay(root, LOOSE, label=EXPERIMENT)
        if self.leftovers:
            # Killed between the names of zip and manifest, and once more while it made both again.
            write_archive(Path(new.zip), SECOND)
            for unfinished in (f"{new.manifest}.tmp", f"{new.zip}.tmp"):
                Path(unfinished).write_bytes(b"PK\3\4 half")
            # Of this one the card has spoilt the manifest, and a zip was never made.
            spoilt = Batch(EXPERIMENT, batch_name(1), str(Path(new.path).with_name(batch_name(1))))
            Path(spoilt.path).mkdir()
            Path(spoilt.manifest).write_bytes(b"{")

    def sound(self, card: Path) -> None:
        spoilt = list(card.glob(f".wildberryeye/*/{batch_name(1)}.manifest"))
        # What the card has spoilt is not there for this look.
        for path in spoilt:
            path.rename(card / "spoilt")
        super().sound(card)
        for path in spoilt:
            (card / "spoilt").rename(path)

    def arguments(self, root: Path) -> dict[str, Any]:
        return {
            "image_dir": str(self.files(root)),
            "set_aside": "stable",
            "method": self.method,
            "data_dir": "/nowhere",
            "purpose": "collect",
            "receipts": json.loads((root / "receipts.json").read_text()),
        }

    def done(self, root: Path, outcome: Outcome) -> None:
        result = outcome.ok()
        assert result["images"] == len(SECOND) + len(LOOSE) - 1 and not result["unreadable"]
        self.once(root, {*SECOND, *LOOSE})
        card = Card(str(self.files(root)))
        assert card.loose().images == [max(LOOSE)]
        for found in card.batches():
            assert list(manifest.load(found.manifest, found.experiment, found.name).entries) == card.images_of(found)
            assert os.path.exists(found.zip) == (self.method == "zip")


class Cleaning(OnCard):
    """Two batches with receipts; of one an image is not proven, and one was changed afterwards."""

    module = "image_cleanup"
    found: Mapping[str, bytes] = {**FIRST, **SECOND, image(11): jpeg("changed")}
    licensed = frozenset({*FIRST, image(10)})

    def prepare(self, root: Path) -> None:
        card = self.lay(root)
        _, _, one = make_frozen(card, FIRST)
        _, other, _ = make_frozen(card, SECOND, zipped=False)
        (Path(other.path) / image(11)).write_bytes(jpeg("changed"))
        receipts = [one, receipt_of(other, unproven=[image(12)])]
        (root / "receipts.json").write_text(json.dumps([each._asdict() for each in receipts]))

    def arguments(self, root: Path) -> dict[str, Any]:
        return {"image_dir": str(self.files(root)), "receipts": json.loads((root / "receipts.json").read_text())}

    def done(self, root: Path, outcome: Outcome) -> None:
        assert outcome.ok()["left"] == 1
        self.once(root, {image(11), image(12)})
        (left,) = Card(str(self.files(root))).batches()
        assert not os.path.exists(left.manifest) and not os.path.exists(left.zip)


class Recording(OnCard):
    """Loose images of yesterday; one more appears while the service is being stopped."""

    module = "recording"

    def __init__(self, state: str, late: bool = True) -> None:
        self.state = state
        self.late = {image(30): jpeg(30)} if late else {}
        self.found = {**LOOSE, **self.late}

    def files(self, root: Path) -> Path:
        return root / "camera" / "images"

    def prepare(self, root: Path) -> None:
        # No systemd here: a script in its place. What is killed is the module, at its own calls.
        unit = Systemctl(root / "camera")
        unit.late(self.late)
        self.lay(root, LOOSE, label=BEFORE)

    def environment(self, root: Path) -> dict[str, str]:
        return {"PATH": f"{root / 'camera'}:{os.environ['PATH']}"}

    def arguments(self, root: Path) -> dict[str, Any]:
        return {
            "state": self.state,
            "experiment": EXPERIMENT if self.state == "recording" else "",
            "image_dir": str(self.files(root)),
            "mode": "object",
            "host": "127.0.0.1",
            "data_dir": "/nowhere",
            "purpose": "start",
        }

    def held(self, root: Path) -> None:
        # Not written yet: what stands in for the service has it still.
        late = root / "camera" / "late" / image(30)
        if late.exists():
            shutil.copy2(late, self.files(root) / image(30))
            super().held(root)
            (self.files(root) / image(30)).unlink()
        else:
            super().held(root)

    def done(self, root: Path, outcome: Outcome) -> None:
        outcome.ok()
        card = Card(str(self.files(root)))
        assert card.label() == (EXPERIMENT if self.state == "recording" else None)
        assert (root / "camera" / "state").read_text() == "active\n"
        assert not card.loose().images and {each.experiment for each in card.batches()} == {BEFORE}
        # What a killed one has left unfinished goes with the next collection.
        collecting = {"image_dir": card.image_dir, "data_dir": "/nowhere", "purpose": "stop"}
        run_module("image_batch", collecting).ok()
        self.once(root, set(self.found))


CAMERA: dict[str, Case] = {
    "image_batch": Batching(),
    "image_cleanup": Cleaning(),
    "recording": Recording("recording"),
    "recording, idle": Recording("idle"),
}


MORE_ON_A_CAMERA: dict[str, Case] = {
    "image_batch, files": Batching("files"),
    "image_batch, leftovers": Batching(leftovers=True),
}
