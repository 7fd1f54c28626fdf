# SPDX-License-Identifier: GPL-3.0-or-later
"""Killed or without power at any point (rows C1, C2, C19, C21): nothing is lost, and the next run completes."""

from __future__ import annotations

import io
import json
import os
import random
import shutil
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.wildberryeye.orchestrator.plugins.module_utils import batch, manifest, receiving, record
from ansible_collections.wildberryeye.orchestrator.plugins.module_utils.card import Batch, Card
from ansible_collections.wildberryeye.orchestrator.plugins.module_utils.layout import Layout
from ansible_collections.wildberryeye.orchestrator.plugins.module_utils.receipt import Receipt
from e2e.station import Station
from faults.crash_points import Case, cut_everywhere, kill_everywhere
from lab import Camera, wait_until
from unit.cards import Systemctl, assert_sound, images_below, make_batch, make_card, make_frozen, receipt_of
from unit.support import (
    BATCH,
    EXPERIMENT,
    ROOT,
    Outcome,
    arrive,
    as_mended,
    batch_name,
    cut_off,
    image,
    images,
    jpeg,
    public,
    read_archive,
    run_module,
    sha256,
    tree,
    write_archive,
    write_manifest,
)

BEFORE = "2026-05-21"
OPENED, WINDOW_END = "2026-05-22T07:00:00+02:00", "2026-05-23T01:00:00+02:00"
FIRST, SECOND, LOOSE = images(3), images(3, start=10), images(3, start=20)
BOTH = {**FIRST, **SECOND}


# --- the camera's side ----------------------------------------------------------------------------


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


# --- the orchestrator's side ----------------------------------------------------------------------


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


CAMERA: dict[str, Case] = {
    "image_batch": Batching(),
    "image_cleanup": Cleaning(),
    "recording": Recording("recording"),
    "recording, idle": Recording("idle"),
}
ORCHESTRATOR: dict[str, Case] = {"image_receipt": Receiving(), "experiment": Closing()}
MORE_ON_A_CAMERA: dict[str, Case] = {
    "image_batch, files": Batching("files"),
    "image_batch, leftovers": Batching(leftovers=True),
}
MORE_ON_THE_ORCHESTRATOR: dict[str, Case] = {
    "image_receipt, lost receipt": Receiving(lost_receipt=True),
    "image_receipt, growing": Receiving(growing=True),
    "experiment, one part": Closing(parts=1),
    "experiment, late": Closing(late=True),
    "experiment, growing": Closing(growing=True),
    "experiment, opening": Opening(),
}


def kill(name: str, case: Case, where: Path, both_sides: bool, least: int) -> None:
    begin = time.monotonic()
    kills = kill_everywhere(case, where, both_sides)
    print(f"crash points: {name}: {kills} kills, {time.monotonic() - begin:.1f} s")
    assert kills >= least


@pytest.mark.parametrize("name", ORCHESTRATOR)
def test_c1_a_module_killed_before_any_of_its_file_operations_loses_nothing(name: str, tmp_path: Path) -> None:
    """kill -9 before each rename, unlink, mkdir, rmdir, fsync, open of each module -> run again: completes."""
    kill(name, ORCHESTRATOR[name], tmp_path, both_sides=False, least=15)


@pytest.mark.parametrize("name", CAMERA)
def test_c2_a_module_killed_before_any_of_its_file_operations_loses_nothing(name: str, tmp_path: Path) -> None:
    """kill -9 before each rename, unlink, mkdir, rmdir, fsync, open of each module -> run again: completes."""
    kill(name, CAMERA[name], tmp_path, both_sides=False, least=10)


@pytest.mark.ci
def test_c21_killed_anywhere_between_receipt_and_cleanup_nothing_is_archived_twice(tmp_path: Path) -> None:
    """kill -9 before each file operation of image_receipt, then the whole next run -> one archive, nothing twice."""
    kill("image_receipt, then all of the next run", Carrying(), tmp_path, both_sides=False, least=20)


@pytest.mark.slow
@pytest.mark.parametrize("name", [*ORCHESTRATOR, *MORE_ON_THE_ORCHESTRATOR])
def test_c1_a_module_killed_on_either_side_of_any_of_them_loses_nothing(name: str, tmp_path: Path) -> None:
    """kill -9 before and after each of them and each write, from more starting states -> run again: completes."""
    kill(name, {**ORCHESTRATOR, **MORE_ON_THE_ORCHESTRATOR}[name], tmp_path, both_sides=True, least=20)


@pytest.mark.slow
@pytest.mark.parametrize("name", [*CAMERA, *MORE_ON_A_CAMERA])
def test_c2_a_module_killed_on_either_side_of_any_of_them_loses_nothing(name: str, tmp_path: Path) -> None:
    """kill -9 before and after each of them and each write, from more starting states -> run again: completes."""
    kill(name, {**CAMERA, **MORE_ON_A_CAMERA}[name], tmp_path, both_sides=True, least=20)


def unsynced(path: str) -> bool:
    """What rsync and ansible.builtin.file wrote, which sync nothing."""
    return path.split("/")[0] == ".incoming"


class Arriving(Receiving):
    """As above; after a power cut, what rsync had brought may be gone."""

    def held(self, root: Path) -> None:
        OnOrchestrator.held(self, root)


def again_on(case: Case) -> Callable[[Path], None]:
    """What comes after a power cut: rsync brings again what is missing, and the module is run again."""

    seen: list[dict[str, str]] = []

    def again(root: Path) -> None:
        # Whatever is left of what has arrived makes no difference: it comes again.
        left = {path: digest for path, digest in tree(case.files(root)).items() if not unsynced(path)}
        # Nor does what an archive holds where its journal says what it is to hold.
        for path in (path for path in left if f"{path}.tail" in left):
            left[path] = sha256(as_mended(case.files(root) / path))
        if left in seen:
            return
        seen.append(left)
        if isinstance(case, Arriving):
            shutil.rmtree(case.files(root) / ".incoming", ignore_errors=True)
            case.arrive(root)
        case.done(root, case.again(root))
        case.held(root)

    return again


CUT: dict[str, Case] = {
    "image_receipt": Arriving(),
    "image_receipt, lost receipt": Arriving(lost_receipt=True),
    "image_receipt, growing": Arriving(growing=True),
    "experiment": Closing(),
    "experiment, one part": Closing(parts=1),
    "experiment, late": Closing(late=True),
    "experiment, growing": Closing(growing=True),
    "experiment, opening": Opening(),
}
MANY_DISKS = ("image_receipt, lost receipt", "image_receipt, growing")
"""Cases that tell most of what `image_receipt` tells, with thousands of disks."""
CUT_ON_A_CAMERA: dict[str, Case] = {
    **{name: case for name, case in {**CAMERA, **MORE_ON_A_CAMERA}.items() if not isinstance(case, Recording)},
    "recording": Recording("recording", late=False),
    "recording, idle": Recording("idle", late=False),
}


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow) if name in MANY_DISKS else name for name in CUT]
)
def test_c19_what_is_receipted_survives_a_power_cut_whatever_was_not_synced(name: str, tmp_path: Path) -> None:
    """Power cut after each system call, all that was not synced lost -> archive whole, or no receipt."""
    cuts = cut_everywhere(CUT[name], tmp_path, unsynced)
    print(f"power cuts: {name}: after {cuts.calls} calls, {cuts.states} different disks")
    assert cuts.calls >= 10 and cuts.states > cuts.calls


@pytest.mark.slow
@pytest.mark.parametrize("name", CUT)
def test_c19_what_a_power_cut_leaves_is_completed_by_the_next_run(name: str, tmp_path: Path) -> None:
    """Power cut after each system call, run again on each disk that it can leave -> complete, nothing left over."""
    cut_everywhere(CUT[name], tmp_path, unsynced, again=again_on(CUT[name]))


NOT_SYNCED = {
    "no file": ("durable", "            os.fsync(descriptor)\n", ""),
    "no directory": ("durable", "        os.fsync(descriptor)\n    finally", "        pass\n    finally"),
    "a file after it has its name": (
        "durable",
        "            os.fsync(descriptor)\n",
        "            os.rename(temporary, path)\n            os.fsync(descriptor)\n"
        "            os.rename(path, temporary)\n",
    ),
    "what arrived": ("archive", "            os.fsync(file.fileno())\n", ""),
    "the old tail": (
        "growing",
        "with durable.replacing(_journal(path)) as file:",
        'with open(_journal(path), "wb") as file:',
    ),
    "the old tail until some of it is overwritten": (
        "growing",
        "    with durable.replacing(_journal(path)) as file:",
        '    with open(path, "r+b") as file:\n        file.seek(offset)\n        file.write(b"new")\n'
        "    with durable.replacing(_journal(path)) as file:",
    ),
    "that the old tail is void": ("growing", "    durable.sync_directory(os.path.dirname(path))\n", ""),
    "what was put back": ("growing", "        os.fsync(file.fileno())\n", ""),
}


@pytest.mark.parametrize(
    ("name", "mistake"),
    [
        *(("image_receipt", mistake) for mistake in list(NOT_SYNCED)[:-1]),
        ("image_receipt, growing", "what was put back"),
        *((name, mistake) for name in ("experiment", "experiment, opening") for mistake in list(NOT_SYNCED)[:3]),
    ],
)
def test_c19_a_sync_that_is_left_out_is_noticed(name: str, mistake: str, tmp_path: Path) -> None:
    """Power cut after each system call of a collection with one sync left out -> these tests find the loss."""
    collection = tmp_path / "collections" / "ansible_collections" / "wildberryeye" / "orchestrator"
    shutil.copytree(ROOT / "plugins", collection / "plugins", ignore=shutil.ignore_patterns("__pycache__"))
    module, right, wrong = NOT_SYNCED[mistake]
    path = collection / "plugins" / "module_utils" / f"{module}.py"
    assert path.read_text().count(right) == 1
    path.write_text(path.read_text().replace(right, wrong))
    with pytest.raises(AssertionError, match="the power is cut"):
        cut_everywhere(CUT[name], tmp_path / "cut", unsynced, collections=tmp_path / "collections")


@pytest.mark.parametrize("name", CUT_ON_A_CAMERA)
def test_c2_a_power_cut_on_the_camera_loses_no_image(name: str, tmp_path: Path) -> None:
    """Power cut after each system call of the module, all that was not synced lost -> each image is on the card."""
    cuts = cut_everywhere(CUT_ON_A_CAMERA[name], tmp_path)
    print(f"power cuts: {name}: after {cuts.calls} calls, {cuts.states} different disks")
    assert cuts.calls >= 10 and cuts.states > cuts.calls


# --- the whole station ----------------------------------------------------------------------------

MODULE = r"^(sudo .*)?(/bin/sh -c .*BECOME-SUCCESS.*|\S*python3)$|^(sudo )?rsync --server"
"""What Ansible runs on a camera: a module comes by standard input, so that its command line is bare."""


class Killer:
    """Kills stops at moments that are spread over the time that one takes.

    Args:
        station: the station, fresh.
        kills: how many there are to be.
    """

    def __init__(self, station: Station, kills: int) -> None:
        self.station = station
        self.day = 0
        seed = int(os.environ.get("WILDBERRYEYE_SEED") or random.SystemRandom().randrange(10**6))
        dice = random.Random(seed)
        self.record()
        begin = time.monotonic()
        station.play("stop")
        length = time.monotonic() - begin
        self.moments = [(number + dice.random()) / kills * length for number in range(kills)]
        dice.shuffle(self.moments)
        print(f"kills of stop: WILDBERRYEYE_SEED={seed}, an undisturbed one takes {length:.1f} s")

    def record(self) -> None:
        """Begin an experiment, unless one is not home yet."""
        states = [self.station.record(name)["state"] for name in self.station.experiments()]
        if set(states) <= {"closed"}:
            self.day += 1
            self.station.play("start", "-e", f"wildberryeye_experiment=day-{self.day}")
            self.station.wait_for_images()

    def run(self, kill: Callable[[], bool]) -> None:
        """Kill at each moment; a stop that has ended before is no kill, and the next begins."""
        hits = misses = 0
        while self.moments:
            self.record()
            running = self.station.begin("stop")
            moment = self.moments[-1]
            begin = time.monotonic()
            hit = False
            while running.poll() is None and not hit:
                if time.monotonic() - begin >= moment:
                    hit = kill()
                time.sleep(0.05)
            run = self.station.end(running, status=None, timeout=240)
            assert "Traceback" not in run.text, run.text
            wait_until(self.quiet, "the cameras finish what they were asked to do", 60, 0.2)
            self.station.assert_nothing_lost()
            hits, misses = hits + hit, misses + (not hit)
            assert misses < 30, "stops end before they can be killed"
            if hit:
                self.moments.pop()
                print(f"kills of stop: {moment:.1f} s after its begin")
            else:
                # A stop that goes on where another was killed is short: nearer to its begin, then.
                self.moments[-1] *= 0.7
        self.record()
        self.station.play("stop")
        self.station.assert_all_home()
        print(f"kills of stop: {hits} in {self.day} experiments; {misses} stops ended before their moment")

    def quiet(self) -> bool:
        """Whether no camera does anything for us."""
        return not any(
            camera.exec("pgrep", "-f", MODULE, check=False).stdout.strip() for camera in self.station.cameras.values()
        )


def kill_the_orchestrators(station: Station) -> Callable[[], bool]:
    def kill() -> bool:
        station.kill_playbooks()
        return True

    return kill


def kill_the_cameras(station: Station) -> Callable[[], bool]:
    def kill() -> bool:
        # On both; it counts if either was at work.
        return True in [_kill_on(camera) for camera in station.cameras.values()]

    return kill


def _kill_on(camera: Camera) -> bool:
    return camera.exec("pkill", "-9", "-f", MODULE, check=False).returncode == 0


@pytest.mark.slow
def test_c1_a_stop_that_is_killed_at_any_moment_is_completed_by_the_next(station: Station) -> None:
    """kill -9 of all that ansible-playbook is, at 20 random moments of stop -> nothing lost; run again: all home."""
    Killer(station, 20).run(kill_the_orchestrators(station))


@pytest.mark.slow
def test_c2_a_stop_whose_modules_are_killed_at_any_moment_is_completed_by_the_next(station: Station) -> None:
    """kill -9 of module and rsync on both cameras, at 20 random moments of stop -> run again: all home."""
    Killer(station, 20).run(kill_the_cameras(station))


@pytest.mark.slow
def test_c2_a_camera_whose_power_is_cut_in_mid_transfer_is_carried_home_when_it_is_back(station: Station) -> None:
    """The camera's power is cut while its images are carried -> named, the other home; run again: all home."""
    camera = station.cameras["object"]
    station.begin_day()
    station.wait_for_images("object", more=60)
    camera.shape("2mbit")
    stopping = station.begin("stop", "-e", "wildberryeye_collection_method=files")
    wait_until(lambda: len(list(station.data.glob(".incoming/object/day/*/*.jpg"))) > 3, "images arrive", 60)
    camera.kill()
    run = station.end(stopping, status=2, timeout=300)
    assert "not home" in run.row("object")
    station.assert_all_home("motion")
    camera.start()
    camera.shape(None)
    station.play("stop")
    station.assert_all_home()
