# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether what waits on the cards fits is known before it is carried; what has arrived already needs no room again."""

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.wildberryeye.orchestrator.plugins.module_utils import room
from ansible_collections.wildberryeye.orchestrator.plugins.module_utils.errors import Error
from ansible_collections.wildberryeye.orchestrator.plugins.module_utils.layout import Layout
from unit.support import BATCH, BY_EITHER_METHOD, EXPERIMENT, arrive, images, write_archive

MB = 1_000_000
SPARE = 64 << 20


def batch(size: int, zipped: bool, count: int = 3) -> dict[str, object]:
    return {"experiment": EXPERIMENT, "batch": BATCH, "images": count, "bytes": size, "zipped": zipped}


def test_images_that_come_one_by_one_need_room_for_the_archive_as_well(tmp_path: Path) -> None:
    layout = Layout(str(tmp_path))
    one = room.wanted(layout, "object", [batch(MB, zipped=True)])
    assert MB < one < MB + 10_000
    assert room.wanted(layout, "object", [batch(MB, zipped=False)]) == 2 * one
    assert room.wanted(layout, "object", []) == 0


def test_batches_of_files_are_archived_one_after_the_other_and_a_zip_that_is_here_needs_nothing(tmp_path: Path) -> None:
    layout = Layout(str(tmp_path))
    assert room.wanted(layout, "object", [batch(MB, zipped=False)] * 5) < 6 * (MB + 10_000)
    arrive(tmp_path, images(2))
    assert room.wanted(layout, "object", [batch(sum(map(len, images(2).values())), zipped=True, count=50_000)]) == 0


def test_a_batch_that_is_added_to_an_archive_lies_there_twice_meanwhile(tmp_path: Path) -> None:
    layout = Layout(str(tmp_path))
    one = room.wanted(layout, "object", [batch(MB, zipped=True)])
    assert room.wanted(layout, "object", [batch(MB, zipped=True)] * 3) == 4 * one
    write_archive(Path(layout.together(EXPERIMENT, "object")), images(2))
    assert room.wanted(layout, "object", [batch(MB, zipped=True)]) == 2 * one
    assert room.wanted(layout, "object", [batch(MB, zipped=False)]) == 2 * one
    assert room.wanted(layout, "motion", [batch(MB, zipped=True)]) == one


@BY_EITHER_METHOD
def test_what_has_arrived_already_needs_no_room_again(tmp_path: Path, zipped: bool) -> None:
    layout = Layout(str(tmp_path))
    before = room.wanted(layout, "object", [batch(6000, zipped)])
    arrive(tmp_path, images(2), zipped=zipped)
    after = room.wanted(layout, "object", [batch(6000, zipped)])
    assert 1200 <= before - after < 3000


def test_images_that_do_not_fit_beside_those_of_the_others_are_not_carried() -> None:
    free = SPARE + 10 * MB
    room.check("/data", 10 * MB, free, 0)
    room.check("/data", 0, 0, MB)
    with pytest.raises(Error) as refused:
        room.check("/data", 8 * MB, free, 9 * MB)
    assert str(refused.value) == (
        "carry its images to /data: 75.1 MB needed there, 67.1 MB of it to spare, besides 9.0 MB for other cameras; "
        "77.1 MB free. "
        "Free 7.0 MB or more there and run it again: nothing is lost"
    )
    with pytest.raises(Error, match=r"to spare; 0\.0 MB free"):
        room.check("/data", 1, 0, 0)


def test_the_room_of_a_directory_that_is_not_there_yet_is_that_of_its_disk(tmp_path: Path) -> None:
    assert room.free(Layout(str(tmp_path / "not" / "yet"))) > 0
