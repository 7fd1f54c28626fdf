# SPDX-License-Identifier: GPL-3.0-or-later
"""The module image_receipt, run as Ansible runs it."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.wildberryeye.orchestrator.plugins.module_utils.layout import Layout
from unit.support import (
    BATCH,
    BY_EITHER_METHOD,
    EXPERIMENT,
    Outcome,
    arrive,
    batch_name,
    images,
    jpeg,
    read_archive,
    run_module,
    tree,
    write_archive,
)

IMAGES = images(3)
FIRST, *REST = sorted(IMAGES)


def receipt(data_dir: Path, *batches: str, check: bool = False, real: bool = False, **given: Any) -> Outcome:
    named = [{"experiment": EXPERIMENT, "batch": batch, "bytes": 1800} for batch in batches or (BATCH,)]
    arguments = {"data_dir": str(data_dir), "camera": "object", "batches": named, **given}
    return run_module("image_receipt", arguments, check, real=real)


def parts(data_dir: Path) -> list[dict[str, bytes]]:
    directory = Path(Layout(str(data_dir)).parts(EXPERIMENT, "object"))
    return [read_archive(path) for path in sorted(directory.glob("*.zip"))]


@BY_EITHER_METHOD
def test_what_is_whole_is_licensed_and_a_second_call_changes_nothing(data_dir: Path, zipped: bool) -> None:
    arrive(data_dir, IMAGES, zipped=zipped)
    first = receipt(data_dir, real=True).ok()
    assert first["changed"] and (first["images"], first["bytes"], first["not_whole"]) == (3, 1800, [])
    assert first["receipts"][0]["unproven"] == [] and parts(data_dir) == [IMAGES]
    before = tree(data_dir)
    second = receipt(data_dir).ok()
    assert not second["changed"] and second["receipts"] == first["receipts"] and tree(data_dir) == before


def test_check_mode_writes_and_licenses_nothing(data_dir: Path) -> None:
    arrive(data_dir, IMAGES)
    before = tree(data_dir)
    assert receipt(data_dir, check=True).ok()["receipts"] == [] and tree(data_dir) == before


def test_the_good_rest_is_licensed_and_the_bad_one_named(data_dir: Path) -> None:
    arrived = arrive(data_dir, IMAGES)
    write_archive(arrived.with_name(f"{BATCH}.zip"), {**IMAGES, FIRST: jpeg("other")})
    done = receipt(data_dir)
    assert FIRST in done.failed() and "Kept on the card" in done.msg
    assert done.result["receipts"][0]["unproven"] == [FIRST] and done.result["images"] == 2
    assert parts(data_dir) == [{name: IMAGES[name] for name in REST}]


def test_one_bad_batch_keeps_no_other_from_its_receipt(data_dir: Path) -> None:
    good, torn, missing, late = (batch_name(number) for number in range(1, 5))
    arrive(data_dir, images(2), batch=good)
    arrive(data_dir, images(2, 10), batch=torn).with_name(f"{torn}.manifest").write_bytes(b"{}\n")
    arrive(data_dir, images(2, 20), batch=late)
    done = receipt(data_dir, good, torn, missing, late)
    line = done.failed()
    assert torn in line and missing in line and good not in line
    assert [each["batch"] for each in done.result["receipts"]] == [good, late]
    assert parts(data_dir) == [{**images(2), **images(2, 20)}]


@pytest.mark.parametrize(
    "named",
    [
        {"experiment": "../x", "batch": BATCH},
        {"experiment": "/etc", "batch": BATCH},
        {"experiment": EXPERIMENT, "batch": "../../x"},
        {"experiment": EXPERIMENT, "batch": f"{BATCH}/../x"},
        {},
    ],
)
def test_a_camera_cannot_choose_where_things_are_written(data_dir: Path, tmp_path: Path, named: dict[str, str]) -> None:
    arrive(data_dir, IMAGES)
    before = tree(tmp_path)
    done = receipt(data_dir, batches=[named])
    assert "which is none" in done.failed() and done.result["receipts"] == [] and tree(tmp_path) == before


def test_a_camera_whose_name_is_no_directory_is_refused(data_dir: Path) -> None:
    arrive(data_dir, IMAGES)
    assert "camera's name" in receipt(data_dir, camera="../object").failed()


def test_an_empty_batch_is_receipted(data_dir: Path) -> None:
    arrive(data_dir, {})
    assert receipt(data_dir).ok()["receipts"][0]["unproven"] == [] and parts(data_dir) == []


def test_half_written_images_are_named_and_no_failure(data_dir: Path) -> None:
    arrive(data_dir, {**IMAGES, FIRST: b"\xff\xd8 half"})
    done = receipt(data_dir).ok()
    assert done["not_whole"] == [FIRST] and "1 of them half-written" in done["msg"]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A data directory on a disk of 256 KB."""
    if os.geteuid() != 0 or not shutil.which("mount"):
        pytest.skip("mounting a small disk takes root")
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(disk)], check=True)
    yield disk / "data"
    subprocess.run(["umount", str(disk)], check=True)


def test_a_full_disk_licenses_nothing_and_says_how_much_is_needed(small_disk: Path) -> None:
    arrived = arrive(small_disk, {name: jpeg(name, 50_000) for name in IMAGES}, zipped=False)
    done = receipt(small_disk)
    line = done.failed()
    assert "No space left" in line and "MB" in line and "Free some space" in line
    assert done.result["receipts"] == [] and parts(small_disk) == []
    assert len(list(arrived.iterdir())) == 3
    assert not os.path.exists(Layout(str(small_disk)).receipt(EXPERIMENT, "object", BATCH))


def test_a_disk_with_no_room_for_the_receipt_licenses_nothing(small_disk: Path) -> None:
    arrive(small_disk, images(2))
    ballast = os.open(small_disk.parent / "ballast", os.O_WRONLY | os.O_CREAT)
    with contextlib.suppress(OSError):
        while True:
            os.write(ballast, bytes(4096))
    os.close(ballast)
    done = receipt(small_disk)
    assert "No space left" in done.failed() and done.result["receipts"] == []
    (small_disk.parent / "ballast").unlink()
    assert receipt(small_disk).ok()["images"] == 2
