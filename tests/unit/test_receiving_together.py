# SPDX-License-Identifier: GPL-3.0-or-later
"""Batches that come one after the other lie in one archive, which loses none of them while it grows."""

from __future__ import annotations

import errno
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from ansible_collections.wildberryeye.orchestrator.plugins.module_utils import archive, closing, growing, receiving
from ansible_collections.wildberryeye.orchestrator.plugins.module_utils import parts as parts_module
from ansible_collections.wildberryeye.orchestrator.plugins.module_utils.errors import Error
from ansible_collections.wildberryeye.orchestrator.plugins.module_utils.layout import Layout
from ansible_collections.wildberryeye.orchestrator.plugins.module_utils.receiving import Received
from unit.arrivals import FIRST, IMAGES, REST, parts, receive
from unit.support import (
    BATCH,
    BY_EITHER_METHOD,
    EXPERIMENT,
    arrive,
    batch_name,
    cut_off,
    image,
    images,
    jpeg,
    public,
    read_archive,
    tree,
    write_archive,
)


def only_part(layout: Layout) -> Path:
    (part,) = Path(layout.parts(EXPERIMENT, "object")).iterdir()
    return part


@BY_EITHER_METHOD
def test_a_receipt_whose_archive_was_moved_away_licenses_nothing_and_the_batch_is_archived_again(
    layout: Layout, data_dir: Path, zipped: bool
) -> None:
    arrive(data_dir, IMAGES)
    first = receive(layout)
    assert receiving.pending(layout, "object") == [first.receipt]
    only_part(layout).unlink()
    assert receiving.pending(layout, "object") == []
    arrive(data_dir, IMAGES, zipped=zipped)
    assert receive(layout) == first and parts(layout) == [IMAGES]
    assert receiving.pending(layout, "object") == [first.receipt]


def test_what_a_receipt_proved_may_lie_in_public_archives_by_now(layout: Layout, data_dir: Path) -> None:
    arrived = arrive(data_dir, IMAGES, zipped=False)
    (arrived / FIRST).unlink()
    first = receive(layout)
    only_part(layout).unlink()
    second, *others = REST
    write_archive(Path(layout.archive(EXPERIMENT, "object", 1)), {name: IMAGES[name] for name in others})
    assert receiving.pending(layout, "object") == []
    part2 = Path(layout.archive(EXPERIMENT, "object", 2))
    write_archive(part2, {second: jpeg("another of that name")})
    assert receiving.pending(layout, "object") == []
    write_archive(part2, {second: IMAGES[second]})
    assert receiving.pending(layout, "object") == [first.receipt]
    before = tree(data_dir)
    assert receive(layout) == first._replace(fresh=False) and tree(data_dir) == before


@pytest.mark.parametrize("harm", ["torn", "directory", "dangling"])
def test_a_damaged_public_archive_holds_nothing_and_keeps_nothing_from_home(
    layout: Layout, data_dir: Path, harm: str
) -> None:
    arrive(data_dir, IMAGES)
    first = receive(layout)
    path = Path(layout.archive(EXPERIMENT, "object", 1))
    only_part(layout).unlink()
    if harm == "torn":
        path.write_bytes(b"PK torn")
    elif harm == "directory":
        path.mkdir()
    else:
        path.symlink_to(data_dir / "nowhere")
    assert receiving.pending(layout, "object") == []
    arrive(data_dir, IMAGES)
    assert receive(layout) == first and parts(layout) == [IMAGES]
    only_part(layout).unlink()
    write_archive(Path(layout.archive(EXPERIMENT, "object", 2)), IMAGES)
    assert receiving.pending(layout, "object") == [first.receipt]


@BY_EITHER_METHOD
def test_what_a_part_holds_is_not_lost_with_its_receipt(layout: Layout, data_dir: Path, zipped: bool) -> None:
    for missing in (FIRST, REST[0]):
        arrived = arrive(data_dir, IMAGES, zipped=zipped)
        if zipped:
            found = {name: content for name, content in IMAGES.items() if name != missing}
            write_archive(arrived.with_name(f"{BATCH}.zip"), found)
        else:
            (arrived / missing).unlink()
        received = receive(layout)
        os.unlink(layout.receipt(EXPERIMENT, "object", BATCH))
    assert received.receipt.unproven == [] and parts(layout) == [IMAGES]


def test_each_batch_is_taken_into_the_archive_of_those_before_it(layout: Layout, data_dir: Path) -> None:
    inodes = set()
    for number, zipped in enumerate((True, False, True, False)):
        arrive(data_dir, images(3, start=10 * number + 1), batch=batch_name(number), zipped=zipped)
        received = receiving.receive(layout, "object", EXPERIMENT, batch_name(number))
        assert (received.fresh, received.receipt.unproven) == (True, [])
        (together,) = parts(layout)
        assert len(together) == 3 * number + 3
        inodes.add(only_part(layout).stat().st_ino)
    assert len(inodes) == 1 and len(receiving.pending(layout, "object")) == 4
    before = tree(data_dir)
    for number in range(4):
        assert not receiving.receive(layout, "object", EXPERIMENT, batch_name(number)).fresh
    assert tree(data_dir) == before


def test_a_batch_that_comes_again_after_its_archive_took_in_others_overwrites_none_of_them(
    layout: Layout, data_dir: Path
) -> None:
    arrive(data_dir, IMAGES)
    receive(layout)
    arrive(data_dir, images(2, start=50), batch=batch_name(2))
    receiving.receive(layout, "object", EXPERIMENT, batch_name(2))
    for zipped in (True, False):
        os.unlink(layout.receipt(EXPERIMENT, "object", BATCH))
        arrive(data_dir, IMAGES, zipped=zipped)
        assert receive(layout).receipt.unproven == []
        assert parts(layout) == [{**IMAGES, **images(2, start=50)}]


def two(layout: Layout, data_dir: Path, second: dict[str, bytes]) -> Received:
    """Receive one batch, and then another."""
    arrive(data_dir, IMAGES)
    receive(layout)
    arrive(data_dir, second, batch=batch_name(2))
    return receiving.receive(layout, "object", EXPERIMENT, batch_name(2))


def test_a_batch_that_cannot_be_taken_in_is_receipted_all_the_same_and_taken_in_later(
    layout: Layout, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(growing, "_write", full)
        received = two(layout, data_dir, images(2, start=50))
        assert (received.fresh, received.receipt.unproven) == (True, [])
        assert sorted(parts(layout), key=len) == [images(2, start=50), IMAGES]
        # Nor does closing find room, to copy them.
        patch.setattr(archive, "write", full)
        with pytest.raises(OSError, match="No space left"):
            closing.merge(layout, EXPERIMENT, "object")
        assert sorted(parts(layout), key=len) == [images(2, start=50), IMAGES]
    assert len(receiving.pending(layout, "object")) == 2
    arrive(data_dir, images(1, start=60), batch=batch_name(3))
    receiving.receive(layout, "object", EXPERIMENT, batch_name(3))
    assert parts(layout) == [{**IMAGES, **images(2, start=50), **images(1, start=60)}]


def test_another_image_of_the_same_name_stays_beside_the_archive(layout: Layout, data_dir: Path) -> None:
    assert two(layout, data_dir, {FIRST: jpeg("other"), image(50): jpeg(50)}).receipt.unproven == []
    assert sorted(parts(layout), key=len) == [{FIRST: jpeg("other"), image(50): jpeg(50)}, IMAGES]
    assert len(receiving.pending(layout, "object")) == 2
    closing.merge(layout, EXPERIMENT, "object")
    assert public(data_dir) == [IMAGES, {FIRST: jpeg("other"), image(50): jpeg(50)}]


def test_an_image_that_the_archive_holds_intact_is_not_added_again(layout: Layout, data_dir: Path) -> None:
    assert two(layout, data_dir, {FIRST: IMAGES[FIRST], image(50): jpeg(50)}).receipt.unproven == []
    assert parts(layout) == [{**IMAGES, image(50): jpeg(50)}]


def test_a_copy_that_comes_where_the_archive_has_rotted_is_kept(layout: Layout, data_dir: Path) -> None:
    arrive(data_dir, IMAGES)
    receive(layout)
    path = only_part(layout)
    path.write_bytes(path.read_bytes().replace(IMAGES[FIRST], jpeg("rotted")))
    again = {FIRST: IMAGES[FIRST], image(50): jpeg(50)}
    arrive(data_dir, again, batch=batch_name(2))
    assert receiving.receive(layout, "object", EXPERIMENT, batch_name(2)).receipt.unproven == []
    assert again in [read_archive(found) for found in path.parent.glob(f"{batch_name(2)}*.zip")]


def test_an_archive_that_was_cut_off_while_it_grew_still_holds_what_is_receipted(
    layout: Layout, data_dir: Path
) -> None:
    two(layout, data_dir, images(2, start=50))
    whole = tree(data_dir)
    cut_off(Path(layout.together(EXPERIMENT, "object")))
    cut = tree(data_dir)
    # Without it, only the batch would be carried again.
    assert receiving.pending(layout, "object", dry_run=True) == [] and tree(data_dir) == cut
    assert len(receiving.pending(layout, "object")) == 2 and tree(data_dir) == whole
    cut_off(Path(layout.together(EXPERIMENT, "object")))
    assert not receive(layout).fresh and tree(data_dir) == whole


def test_nothing_is_received_beside_an_archive_that_cannot_be_mended(layout: Layout, data_dir: Path) -> None:
    two(layout, data_dir, images(2, start=50))
    cut_off(Path(layout.together(EXPERIMENT, "object")))
    journal = Path(f"{layout.together(EXPERIMENT, 'object')}.tail")
    journal.write_bytes(journal.read_bytes()[:-1])
    arrive(data_dir, images(1, start=60), batch=batch_name(3))
    before = tree(data_dir)
    assert receiving.pending(layout, "object") == []
    for look in (
        lambda: receiving.receive(layout, "object", EXPERIMENT, batch_name(3)),
        lambda: closing.merge(layout, EXPERIMENT, "object"),
    ):
        with pytest.raises(Error, match=r"together\.zip\.tail beside it is damaged"):
            look()
    assert tree(data_dir) == before


def test_nobody_mends_an_archive_that_grows_just_now(layout: Layout, data_dir: Path) -> None:
    two(layout, data_dir, images(2, start=50))
    cut_off(Path(layout.together(EXPERIMENT, "object")))
    before = tree(data_dir)
    with ThreadPoolExecutor(1) as pool:
        with parts_module.alone(layout, "object"):
            waiting = pool.submit(receiving.pending, layout, "object")
            with pytest.raises(TimeoutError):
                waiting.result(0.5)
            assert tree(data_dir) == before
        assert len(waiting.result(30)) == 2
