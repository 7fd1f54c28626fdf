# SPDX-License-Identifier: GPL-3.0-or-later
"""A camera deletes exactly what a receipt proves and what has not changed since."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.wildberryeye.orchestrator.plugins.module_utils import batch, receipt
from ansible_collections.wildberryeye.orchestrator.plugins.module_utils.card import Card
from ansible_collections.wildberryeye.orchestrator.plugins.module_utils.errors import Error
from ansible_collections.wildberryeye.orchestrator.plugins.module_utils.receipt import Cleaned, Receipt
from unit.cards import (
    OURS,
    assert_sound,
    counted,
    every_kill,
    images_below,
    make_batch,
    make_card,
    make_frozen,
    receipt_of,
    steps_of,
    three,
)
from unit.support import BATCH, BY_EITHER_METHOD, EXPERIMENT, image, images, jpeg, tree


@BY_EITHER_METHOD
def test_after_a_proven_batch_nothing_of_ours_is_left_on_the_card(tmp_path: Path, zipped: bool) -> None:
    card, _, proof = make_frozen(tmp_path / "card", three(), zipped)
    assert receipt.apply(card, proof) == Cleaned(3, 1800, 0, 0)
    assert tree(tmp_path / "card") == {}


def test_a_receipt_applied_twice_deletes_nothing_more(tmp_path: Path) -> None:
    card, _, proof = make_frozen(tmp_path / "card", three())
    receipt.apply(card, proof)
    make_card(tmp_path / "card", three())
    assert receipt.apply(card, proof) == Cleaned(0, 0, 0, 0)
    assert images_below(tmp_path / "card") == counted(three())


def test_in_check_mode_a_receipt_deletes_nothing(tmp_path: Path) -> None:
    card, _, proof = make_frozen(tmp_path / "card", three())
    before = tree(tmp_path)
    assert receipt.apply(card, proof, dry_run=True) == Cleaned(3, 1800, 0, 0)
    assert tree(tmp_path) == before


def test_other_batches_loose_images_and_the_label_are_left_alone(tmp_path: Path) -> None:
    card, _, proof = make_frozen(tmp_path / "card", three())
    _, other = make_batch(tmp_path / "card", images(2, start=10))
    make_card(tmp_path / "card", images(2, start=20), label=EXPERIMENT)
    receipt.apply(card, proof)
    assert images_below(tmp_path / "card") == counted({**images(2, start=10), **images(2, start=20)})
    assert card.batches() == [other] and card.label() == EXPERIMENT


def test_an_image_that_is_not_proven_stays_and_goes_home_under_another_batchs_name(tmp_path: Path) -> None:
    card, of, proof = make_frozen(tmp_path / "card", three())
    cleaned = receipt.apply(card, proof._replace(unproven=[image(2)]))
    assert cleaned == Cleaned(2, 1200, 1, 0)
    assert images_below(tmp_path / "card") == counted({image(2): jpeg(2)})
    (left,) = card.batches()
    assert left.name != of.name and not os.path.exists(of.manifest) and not os.path.exists(of.zip)
    assert batch.freeze(card, left, True).images == 1
    assert receipt.apply(card, proof) == Cleaned(0, 0, 0, 0)
    assert receipt.apply(card, receipt_of(left)) == Cleaned(1, 600, 0, 0)
    assert tree(tmp_path / "card") == {}


def rewrite(path: Path) -> None:
    """Other bytes of the same size, and the modification time as it was."""
    status = path.stat()
    path.write_bytes(jpeg("changed"))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert (path.stat().st_size, path.stat().st_mtime_ns) == (status.st_size, status.st_mtime_ns)


def replace(path: Path) -> None:
    """Another file of the same size and modification time under the same name."""
    status = path.stat()
    new = path.with_suffix(".new")
    new.write_bytes(jpeg("changed"))
    os.utime(new, ns=(status.st_atime_ns, status.st_mtime_ns))
    new.rename(path)


def grow(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"more")


def truncate(path: Path) -> None:
    os.truncate(path, 10)


@pytest.mark.parametrize("change", [rewrite, replace, grow, truncate])
def test_an_image_changed_after_the_receipt_is_not_deleted(tmp_path: Path, change: Callable[[Path], None]) -> None:
    card, of, proof = make_frozen(tmp_path / "card", three())
    change(Path(of.path) / image(2))
    changed = (Path(of.path) / image(2)).read_bytes()
    assert receipt.apply(card, proof) == Cleaned(2, 1200, 1, 0)
    assert images_below(tmp_path / "card") == counted({image(2): changed})
    assert [batch.freeze(card, left, True).images for left in card.batches()] == [1]


def test_what_took_an_images_place_is_not_deleted_and_not_followed(tmp_path: Path) -> None:
    card, of, proof = make_frozen(tmp_path / "card", images(4))
    victim = tmp_path / "victim.jpg"
    for number in (1, 2, 3):
        os.rename(os.path.join(of.path, image(number)), tmp_path / f"{number}.jpg")
    os.rename(tmp_path / "1.jpg", victim)
    (Path(of.path) / image(1)).symlink_to(victim)
    (Path(of.path) / image(2)).mkdir()
    os.mkfifo(Path(of.path) / image(3))
    assert receipt.apply(card, proof) == Cleaned(1, 600, 3, 0)
    assert victim.read_bytes() == jpeg(1)
    # What somebody else has put there is none of our images: nothing waits to be carried, and it is left and told of.
    assert card.batches() == []
    assert [os.path.basename(path) for path in card.strange()] == [image(1), image(2), image(3)]


def test_images_that_vanished_are_counted_and_no_error(tmp_path: Path) -> None:
    card, of, proof = make_frozen(tmp_path / "card", three())
    os.unlink(os.path.join(of.path, image(2)))
    assert receipt.apply(card, proof) == Cleaned(2, 1200, 0, 1)
    assert tree(tmp_path / "card") == {}


def test_an_image_that_came_into_the_batch_unread_is_not_deleted(tmp_path: Path) -> None:
    card, of, proof = make_frozen(tmp_path / "card", three())
    (Path(of.path) / image(9)).write_bytes(jpeg(9))
    assert receipt.apply(card, proof).deleted == 3
    assert images_below(tmp_path / "card") == counted({image(9): jpeg(9)})


def test_a_receipt_of_another_manifest_deletes_nothing(tmp_path: Path) -> None:
    card, _, proof = make_frozen(tmp_path / "card", three())
    before = tree(tmp_path)
    with pytest.raises(Error, match="it proves another manifest") as caught:
        receipt.apply(card, proof._replace(manifest_sha256="0" * 64))
    assert tree(tmp_path) == before
    assert "\n" not in str(caught.value) and "run the collection again" in str(caught.value)


def test_a_manifest_changed_after_the_receipt_deletes_nothing(tmp_path: Path) -> None:
    card, of, proof = make_frozen(tmp_path / "card", three())
    with open(of.manifest, "ab") as file:
        file.write(b"\n")
    with pytest.raises(Error, match="another manifest"):
        receipt.apply(card, proof)
    assert images_below(tmp_path / "card") == counted(three())


def test_a_manifest_with_a_path_in_it_deletes_nothing_even_if_it_is_receipted(tmp_path: Path) -> None:
    card, of, _ = make_frozen(tmp_path / "card", three())
    (tmp_path / "card" / image(9)).write_bytes(jpeg(9))
    text = Path(of.manifest).read_bytes().replace(image(1).encode(), f"../../../{image(9)}".encode())
    Path(of.manifest).write_bytes(text)
    with pytest.raises(Error, match="is not an image's name"):
        receipt.apply(card, receipt_of(of))
    assert images_below(tmp_path / "card") == counted({**three(), image(9): jpeg(9)})


@BY_EITHER_METHOD
@pytest.mark.parametrize("unproven", [[], [image(2)]], ids=["all proven", "one not"])
def test_only_what_is_proven_goes_wherever_deleting_is_killed(
    tmp_path: Path, zipped: bool, unproven: list[str]
) -> None:
    proofs: dict[Path, Receipt] = {}

    def prepare(where: Path) -> Callable[[], object]:
        card, of, _ = make_frozen(where / "card", three(), zipped)
        proofs[where] = receipt_of(of, unproven)
        return lambda: receipt.apply(card, proofs[where])

    kept = counted({name: jpeg(2) for name in unproven})
    for where in every_kill(tmp_path, prepare):
        card = Card(str(where / "card"))
        left = images_below(where / "card")
        assert left <= counted(three()) and left >= kept
        assert_sound(card)
        receipt.apply(card, proofs[where])
        assert images_below(where / "card") == kept
        assert receipt.apply(card, proofs[where]) == Cleaned(0, 0, 0, 0)
        # What is left goes home as another batch, and then nothing of ours lies on the card.
        card.tidy()
        for of in card.batches():
            assert of.name != proofs[where].batch
            batch.freeze(card, of, zipped)
            receipt.apply(card, receipt_of(of))
        assert tree(where / "card") == {}


def test_a_power_cut_while_deleting_never_leaves_images_without_their_manifest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    card, of, proof = make_frozen(tmp_path / "card", three())
    steps = steps_of(monkeypatch, lambda: receipt.apply(card, proof._replace(unproven=[image(2)])))
    assert steps[:2] == [f"unlink {image(1)}", f"unlink {image(3)}"]
    assert steps[2] == f"sync {of.name}"
    renewed = steps.index(f"rename {of.name}")
    assert steps[renewed + 1 :][:2] == [f"sync {EXPERIMENT}", f"unlink {of.name}.manifest"]


GIVEN: dict[str, Any] = {"experiment": EXPERIMENT, "batch": BATCH, "manifest_sha256": "0" * 64, "unproven": []}


def test_a_receipt_that_travelled_is_the_one_that_was_sent() -> None:
    sent = Receipt(EXPERIMENT, BATCH, "0" * 64, [image(1)])
    assert Receipt.parse(sent._asdict()) == sent
    assert Receipt.parse({**sent._asdict(), "more": 1}) == sent


@pytest.mark.parametrize(
    "wrong",
    [
        {"experiment": "../x"},
        {"experiment": None},
        {"experiment": 2026},
        {"batch": "../x"},
        {"batch": None},
        {"batch": f"{BATCH}/.."},
        {"manifest_sha256": None},
        {"unproven": None},
        {"unproven": image(1)},
        {"unproven": ["../x"]},
        {"unproven": [None]},
        {"unproven": [[image(1)]]},
    ],
    ids=repr,
)
def test_what_is_no_receipt_licenses_nothing(wrong: dict[str, Any]) -> None:
    with pytest.raises(Error, match=r"^read a receipt: .* is none\. Nothing was deleted$") as caught:
        Receipt.parse({**GIVEN, **wrong})
    assert "\n" not in str(caught.value)


def test_an_empty_receipt_is_none() -> None:
    with pytest.raises(Error):
        Receipt.parse({})


def test_a_receipt_of_a_batch_that_is_gone_leaves_no_directory_of_ours_behind(tmp_path: Path) -> None:
    card = make_card(tmp_path / "card")
    (tmp_path / "card" / OURS / EXPERIMENT).mkdir(parents=True)
    assert receipt.apply(card, Receipt.parse(GIVEN), dry_run=True) == Cleaned(0, 0, 0, 0)
    assert (tmp_path / "card" / OURS / EXPERIMENT).exists()
    assert receipt.apply(card, Receipt.parse(GIVEN)) == Cleaned(0, 0, 0, 0)
    assert tree(tmp_path / "card") == {}


def test_a_link_under_the_batchs_name_is_not_followed(tmp_path: Path) -> None:
    card, of, proof = make_frozen(tmp_path / "card", three())
    os.rename(of.path, tmp_path / "elsewhere")
    os.symlink(tmp_path / "elsewhere", of.path)
    with pytest.raises(Error, match="a link"):
        receipt.apply(card, proof)
    assert images_below(tmp_path / "elsewhere") == counted(three())
