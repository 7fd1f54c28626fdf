# SPDX-License-Identifier: GPL-3.0-or-later
"""The images of an experiment: each one once, whatever state its archives are in."""

from __future__ import annotations

import datetime as dt
import time
import zipfile
from collections.abc import Iterable
from pathlib import Path

import pytest

from ansible_collections.wildberryeye.orchestrator.plugins.module_utils.layout import Layout
from ansible_collections.wildberryeye.orchestrator.plugins.module_utils.orchestrator_time import CameraClock, Zone
from ansible_collections.wildberryeye.orchestrator.plugins.module_utils.pictures import Found, found
from unit.support import EXPERIMENT

OPENED = dt.datetime.fromisoformat("2026-05-22T07:00:00+02:00")


def pack(path: str, images: Iterable[tuple[str, bytes]]) -> None:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in images:
            archive.writestr(name, content)
        archive.writestr("manifest-sha256.txt", b"")


def look(layout: Layout) -> Found:
    return found(layout, EXPERIMENT, "object", CameraClock(Zone(OPENED), [], "object"))


def named(second: int, kind: str = "object") -> str:
    shown = dt.datetime(2026, 5, 22, 8) + dt.timedelta(seconds=second)
    return f"{kind}_{shown:%Y%m%d-%H%M%S-%f}_berry_root.jpg"


def test_archive_second_part_and_parts_are_read_each_image_once(layout: Layout) -> None:
    pack(layout.archive(EXPERIMENT, "object", 1), [(named(2), b"two"), (named(1), b"one")])
    pack(layout.archive(EXPERIMENT, "object", 2), [(named(3, "manual"), b"three")])
    pack(layout.together(EXPERIMENT, "object"), [(named(1), b"one"), (named(2), b"another"), (named(4), b"four")])
    result = look(layout)
    assert [each.name for each in result.pictures] == [named(1), named(2), named(2), named(3, "manual"), named(4)]
    assert [each.detection for each in result.pictures] == [True, True, True, False, True]
    assert sum(each.size for each in result.pictures) == len("onetwoanotherthreefour")
    assert [(each.name, each.images) for each in result.archives] == [
        (f"object_{EXPERIMENT}.zip", 2),
        (f"object_{EXPERIMENT}_part2.zip", 1),
        ("together.zip", 3),
    ]
    assert result.complaints == []


def test_a_name_with_a_time_that_does_not_exist_is_counted(layout: Layout) -> None:
    names = ["object_20260522-240060-000000_a_b.jpg", "object_20260231-010101-000000_a_b.jpg", named(5)]
    pack(layout.archive(EXPERIMENT, "object", 1), [(name, b"x") for name in names])
    assert [each.taken is None for each in look(layout).pictures] == [False, True, True]


def test_what_is_no_image_is_not_counted(layout: Layout) -> None:
    pack(layout.archive(EXPERIMENT, "object", 1), [("../../etc/passwd", b"x"), ("notes.txt", b"x"), (named(1), b"x")])
    assert [each.name for each in look(layout).pictures] == [named(1)]


def test_a_camera_without_archives_has_no_images(layout: Layout) -> None:
    assert look(layout) == ([], [], [])


@pytest.mark.parametrize("damage", [b"", b"PK", b"no zip at all" * 100])
def test_a_damaged_archive_costs_one_line_and_no_other_archive(layout: Layout, damage: bytes) -> None:
    pack(layout.archive(EXPERIMENT, "object", 1), [(named(1), b"x")])
    Path(layout.archive(EXPERIMENT, "object", 2)).write_bytes(damage)
    result = look(layout)
    assert [each.name for each in result.pictures] == [named(1)]
    (line,) = result.complaints
    assert f"object_{EXPERIMENT}_part2.zip" in line and "\n" not in line


def test_a_directory_in_the_place_of_an_archive_costs_one_line(layout: Layout) -> None:
    Path(layout.archive(EXPERIMENT, "object", 1)).mkdir(parents=True)
    assert len(look(layout).complaints) == 1


def test_an_archive_that_is_being_added_to_is_called_so(layout: Layout) -> None:
    together = layout.together(EXPERIMENT, "object")
    pack(together, [(named(1), b"x")])
    Path(together).write_bytes(Path(together).read_bytes()[:-10])
    Path(f"{together}.tail").write_bytes(b"")
    (line,) = look(layout).complaints
    assert "being added" in line


def test_fifty_thousand_images_take_seconds(layout: Layout) -> None:
    pack(layout.archive(EXPERIMENT, "object", 1), ((named(second), b"") for second in range(50_000)))
    began = time.process_time()
    assert len(look(layout).pictures) == 50_000
    assert time.process_time() - began < 15
