# SPDX-License-Identifier: GPL-3.0-or-later
"""What modules do in the data directory, to be killed or to lose power: each a state, a run, and what must hold."""

from __future__ import annotations

import io
import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ansible_collections.wildberryeye.orchestrator.plugins.module_utils import batch, manifest, receiving, record
from ansible_collections.wildberryeye.orchestrator.plugins.module_utils.card import Batch, Card
from ansible_collections.wildberryeye.orchestrator.plugins.module_utils.layout import Layout
from ansible_collections.wildberryeye.orchestrator.plugins.module_utils.receipt import Receipt
from faults.case import BEFORE, BOTH, FIRST, LOOSE, OPENED, SECOND, WINDOW_END, Case
from unit.cards import images_below, make_batch
from unit.support import (
    BATCH,
    EXPERIMENT,
    Outcome,
    arrive,
    as_mended,
    batch_name,
    cut_off,
    image,
    public,
    read_archive,
    run_module,
    sha256,
    write_archive,
    write_manifest,
)


class OnOrchestrator(Case):
    """What holds for everything that a module does in the data directory."""

    batches: Mapping[str, Mapping[str, bytes]] = {}
    """The images of each batch that ever came."""
    kept: Mapping[str, bytes] = {}
    """Those that lay in an archive before; no card holds them any more."""

    def files(self, root: Path) -> Path:
        return root / "data"

    def layout(self, root: Path) -> Layout:
        return Layout(str(self.files(root)))

    def receipts(self, root: Path) -> list[Receipt]:
        """All that are there; each must be whole."""
        found = []
        for path in sorted(self.files(root).glob("*/object/receipts/*.json")):
            if path.name != "empty.json":
                found.append(Receipt.parse(json.loads(path.read_bytes())))
        return found

    def archived(self, root: Path) -> dict[str, bytes]:
        """The images in all archives that have a name; each must be whole, or be made so by its journal."""
        found: dict[str, bytes] = {}
        for pattern in ("*/object/*.zip", "*/object/parts/*.zip"):
            for path in self.files(root).glob(pattern):
                if not path.name.startswith("."):
                    found.update(read_archive(io.BytesIO(as_mended(path))))
        return found

    def held(self, root: Path) -> None:
        archived = self.archived(root)
        must = dict(self.kept)
        for receipt in self.receipts(root):
            proven = self.batches[receipt.batch]
            must |= {name: content for name, content in proven.items() if name not in receipt.unproven}
        lost = [name for name, content in must.items() if archived.get(name) != content]
        assert not lost, f"receipted, or only archived, and lost: {lost}"
        assert not list(self.files(root).glob("*/*/*.jpg"))
        for path in self.files(root).glob("*/experiment.json"):
            assert record.load(self.layout(root), path.parent.name) is not None

    def swept(self, root: Path) -> None:
        """Nothing is left unfinished."""
        left = [path for path in self.files(root).rglob("*") if path.name.endswith(".tmp")]
        left += [*self.files(root).glob("*/object/.*"), *self.files(root).rglob("*.tail")]
        assert not left, left


class Receiving(OnOrchestrator):
    """Two batches have arrived, one as a zip, one as files; the archive of the first takes in that of the second."""

    module = "image_receipt"
    batches: Mapping[str, Mapping[str, bytes]] = {BATCH: FIRST, batch_name(2): SECOND}

    def __init__(self, lost_receipt: bool = False, growing: bool = False) -> None:
        # A part whose receipt was lost holds an image that is on no card any more, and did not come again.
        self.again_here = {image(10): SECOND[image(10)]} if lost_receipt else {}
        # The archive of what came earlier was cut off while it grew.
        self.earlier = LOOSE if growing else {}
        self.kept = {**self.again_here, **self.earlier}

    def prepare(self, root: Path) -> None:
        data = self.files(root)
        (data / EXPERIMENT).mkdir(parents=True)
        self.arrive(root)
        if self.earlier:
            together = Path(self.layout(root).together(EXPERIMENT, "object"))
            write_archive(together, self.earlier)
            cut_off(together)
        if self.again_here:
            listed = manifest.load(
                f"{Layout(str(data)).incoming('object')}/{EXPERIMENT}/{batch_name(2)}.manifest",
                EXPERIMENT,
                batch_name(2),
            )
            part = Path(self.layout(root).parts(EXPERIMENT, "object")) / f"{batch_name(2)}-{listed.sha256[:16]}.zip"
            write_archive(part, self.again_here)

    def arrive(self, root: Path) -> None:
        """What rsync brings."""
        arrive(self.files(root), FIRST)
        coming = {name: content for name, content in SECOND.items() if name not in self.again_here}
        arrived = arrive(self.files(root), coming, batch=batch_name(2), zipped=False)
        write_manifest(arrived.with_name(f"{batch_name(2)}.manifest"), EXPERIMENT, batch_name(2), SECOND)

    def arguments(self, root: Path) -> dict[str, Any]:
        batches = [{"experiment": EXPERIMENT, "batch": name, "bytes": 1800} for name in self.batches]
        return {"data_dir": str(self.files(root)), "camera": "object", "batches": batches}

    def held(self, root: Path) -> None:
        super().held(root)
        if any(self.files(root).glob(".incoming/object/*/*.manifest")) and not (root / "cut").exists():
            # Nothing that arrived goes before it is receipted: it would have to be carried again.
            arrived = {path.name for path in self.files(root).glob(".incoming/object/*/*/*.jpg")}
            for path in self.files(root).glob(".incoming/object/*/*.zip"):
                arrived |= read_archive(path).keys()
            assert {*self.earlier, *FIRST, *SECOND} == arrived | self.archived(root).keys()

    def reported(self, root: Path) -> None:
        found = {receipt.batch: receipt.unproven for receipt in self.receipts(root)}
        assert found == {name: [] for name in self.batches}, "a camera deletes what is reported as receipted"

    def done(self, root: Path, outcome: Outcome) -> None:
        result = outcome.ok()
        assert (result["images"], len(result["receipts"])) == (6, 2)
        self.reported(root)
        self.swept(root)
        (part,) = self.files(root).glob("*/object/parts/*.zip")
        assert read_archive(part) == {**self.earlier, **BOTH}, "an image was archived twice, or not at all"
        # What arrived of a receipted batch is of no use any more, and goes when its camera is done.
        receiving.forget_incoming(self.layout(root), "object")
        assert not (self.files(root) / ".incoming").exists()


class Closing(OnOrchestrator):
    """A camera is home with its parts; they become its archive, and the experiment is closed."""

    module = "experiment"
    batches: Mapping[str, Mapping[str, bytes]] = {BATCH: FIRST, batch_name(2): SECOND}

    def __init__(self, parts: int = 2, late: bool = False, growing: bool = False) -> None:
        # With `late`, an archive is there already, and one more batch has come; with `growing`, the first part was
        # cut off while it took in the second.
        self.growing = growing
        self.batches = dict(list(type(self).batches.items())[:parts])
        self.late = LOOSE if late else {}
        self.kept = {name: content for found in (*self.batches.values(), self.late) for name, content in found.items()}

    def prepare(self, root: Path) -> None:
        layout = self.layout(root)
        together = Path(layout.together(EXPERIMENT, "object"))
        camera = record.CameraRecord("object", record.CLOSING, OPENED)
        record.save(layout, record.Record(EXPERIMENT, OPENED, WINDOW_END, cameras={"object": camera}))
        for name, found in self.batches.items():
            arrive(self.files(root), found, batch=name)
            receiving.receive(layout, "object", EXPERIMENT, name)
            together.rename(root / f"{name}.zip")
        for name in self.batches:
            # As they lie there where receiving is killed before the parts become one.
            first = self.growing and name == BATCH
            (root / f"{name}.zip").rename(together if first else together.with_name(f"{name}.zip"))
        if self.growing:
            cut_off(together)
        if self.late:
            write_archive(Path(layout.archive(EXPERIMENT, "object", 1)), self.late)

    def arguments(self, root: Path) -> dict[str, Any]:
        return {
            "data_dir": str(self.files(root)),
            "state": "closed",
            "cameras": {"object": "object"},
            "id": EXPERIMENT,
            "home": {"object": ""},
        }

    def reported(self, root: Path) -> None:
        found = record.load(self.layout(root), EXPERIMENT)
        assert found is not None and found.state == record.CLOSED
        listed = [each["name"] for each in found.cameras["object"].archives]
        there = self.layout(root).archives(EXPERIMENT, "object")
        assert listed == [os.path.basename(path) for path in there], "the record names what is not there"

    def done(self, root: Path, outcome: Outcome) -> None:
        outcome.ok()
        self.reported(root)
        self.swept(root)
        found = public(self.files(root))
        assert sum(len(each) for each in found) == len(self.kept), "an image was archived twice, or not at all"
        assert len(found) == (2 if self.late else 1)
        assert not list(self.files(root).glob("*/object/parts"))


class Opening(OnOrchestrator):
    """Yesterday's experiment is still open; one begins."""

    module = "experiment"

    def prepare(self, root: Path) -> None:
        camera = record.CameraRecord("object", record.RECORDING, OPENED)
        record.save(self.layout(root), record.Record(BEFORE, OPENED, WINDOW_END, cameras={"object": camera}))

    def arguments(self, root: Path) -> dict[str, Any]:
        cameras = {"object": "object"}
        return {"data_dir": str(self.files(root)), "state": "recording", "cameras": cameras, "id": "new"}

    def reported(self, root: Path) -> None:
        records, unreadable = record.load_all(self.layout(root))
        assert {each.id: each.state for each in records} == {"new": record.RECORDING, BEFORE: record.CLOSING}
        assert not unreadable

    def done(self, root: Path, outcome: Outcome) -> None:
        assert outcome.ok()["id"] == "new", "a directory without a record is nobody's"
        self.swept(root)
        assert sorted(record.load_all(self.layout(root))[0][0].cameras) == ["object"]
        before = record.load(self.layout(root), BEFORE)
        assert before is not None and before.state == record.CLOSING


class Carrying(OnOrchestrator):
    """Two batches lie on a card and have arrived; what comes after the receipts is the whole way to the archive."""

    module = "image_receipt"

    def prepare(self, root: Path) -> None:
        record.save(self.layout(root), self.closing())
        (root / "card").mkdir()
        for number, found in enumerate((FIRST, SECOND)):
            card, new = make_batch(root / "card", found)
            named = Path(new.path).replace(Path(new.path).with_name(batch_name(number)))
            batch.freeze(card, Batch(EXPERIMENT, batch_name(number), str(named)), zipped=number == 0)
        self.fetch(root)

    @staticmethod
    def closing() -> record.Record:
        camera = record.CameraRecord("object", record.CLOSING, OPENED)
        return record.Record(EXPERIMENT, OPENED, WINDOW_END, cameras={"object": camera})

    def fetch(self, root: Path) -> None:
        """What rsync does."""
        source, target = root / "card" / ".wildberryeye", Path(self.layout(root).incoming("object"))
        shutil.copytree(source, target, dirs_exist_ok=True)

    def on_card(self, root: Path) -> list[dict[str, str]]:
        batches = Card(str(root / "card")).batches()
        return [{"experiment": each.experiment, "batch": each.name} for each in batches]

    def arguments(self, root: Path) -> dict[str, Any]:
        return {"data_dir": str(self.files(root)), "camera": "object", "batches": self.on_card(root)}

    def held(self, root: Path) -> None:
        archived = self.archived(root)
        for receipt in self.receipts(root):
            path = root / "card" / ".wildberryeye" / EXPERIMENT / f"{receipt.batch}.manifest"
            if path.exists():
                proven = manifest.load(str(path), EXPERIMENT, receipt.batch).entries
                assert all(sha256(archived[name]) == entry.sha256 for name, entry in proven.items())
        left = images_below(root / "card")
        assert all(archived.get(name) == content or (name, sha256(content)) in left for name, content in BOTH.items())

    def again(self, root: Path) -> Outcome:
        """The whole next run: batches, fetch, receipts, cleanup, closing."""
        receipts = [receipt._asdict() for receipt in receiving.pending(self.layout(root), "object")]
        image_dir = {"image_dir": str(root / "card")}
        run_module("image_batch", {**image_dir, "data_dir": "/", "purpose": "stop", "receipts": receipts}).ok()
        if self.on_card(root):
            self.fetch(root)
        received = run_module("image_receipt", self.arguments(root)).ok()
        run_module("image_cleanup", {**image_dir, "receipts": received["receipts"]}).ok()
        return run_module("experiment", Closing().arguments(root))

    def done(self, root: Path, outcome: Outcome) -> None:
        outcome.ok()
        assert not list((root / "card").iterdir())
        assert public(self.files(root)) == [BOTH], "an image was archived twice, or not at all"
        self.swept(root)


ORCHESTRATOR: dict[str, Case] = {"image_receipt": Receiving(), "experiment": Closing()}


MORE_ON_THE_ORCHESTRATOR: dict[str, Case] = {
    "image_receipt, lost receipt": Receiving(lost_receipt=True),
    "image_receipt, growing": Receiving(growing=True),
    "experiment, one part": Closing(parts=1),
    "experiment, late": Closing(late=True),
    "experiment, growing": Closing(growing=True),
    "experiment, opening": Opening(),
}
