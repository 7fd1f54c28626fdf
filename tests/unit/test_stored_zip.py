# SPDX-License-Identifier: GPL-3.0-or-later
"""A zip that a camera writes in little memory is one that everybody reads, however many and large its members are."""

from __future__ import annotations

import errno
import io
import os
import shutil
import subprocess
import time
import zipfile
from pathlib import Path

import pytest

from ansible_collections.wildberryeye.orchestrator.plugins.module_utils import batch, stored_zip
from ansible_collections.wildberryeye.orchestrator.plugins.module_utils.stored_zip import StoredZip
from unit.cards import make_batch, three
from unit.support import image, images, jpeg, read_archive

CHANGED = time.localtime(1.7e9)[:6]


def test_members_are_stored_as_they_are_and_are_plain_files() -> None:
    file = io.BytesIO()
    made = StoredZip(file)
    for name, pieces in (("a.jpg", [b"one", b"", b"two"]), ("b.jpg", [])):
        with made.member(name, CHANGED) as add:
            for piece in pieces:
                add(piece)
    made.close()
    with zipfile.ZipFile(file) as archive:
        assert {name: archive.read(name) for name in archive.namelist()} == {"a.jpg": b"onetwo", "b.jpg": b""}
        for info in archive.infolist():
            assert (info.compress_type, info.external_attr >> 16) == (zipfile.ZIP_STORED, 0o100644)
            assert info.date_time == (*CHANGED[:5], CHANGED[5] // 2 * 2)
            assert (info.extra, info.flag_bits) == (b"", 0)


def test_a_member_of_4_gb_is_refused_before_it_is_written() -> None:
    file = io.BytesIO()
    with pytest.raises(OSError, match="File too large") as caught, StoredZip(file).member("a.jpg", CHANGED) as add:
        add(_Huge(b"x"))
    assert caught.value.errno == errno.EFBIG and len(file.getvalue()) < 100


class _Huge(bytes):
    """What is 4 GB long and takes no memory."""

    def __len__(self) -> int:
        return 0xFFFFFFFF


@pytest.mark.parametrize("count", [0, 1, 0xFFFF - 1, 0xFFFF, 0xFFFF + 1])
def test_a_zip_of_more_than_65535_images_is_read_by_everybody(tmp_path: Path, count: int) -> None:
    with (tmp_path / "x.zip").open("w+b") as file:
        made = StoredZip(file)
        for number in range(count):
            with made.member(f"{number}.jpg", CHANGED) as add:
                add(b"x")
        made.close()
    with zipfile.ZipFile(tmp_path / "x.zip") as archive:
        assert archive.namelist() == [f"{number}.jpg" for number in range(count)]
        assert not count or archive.read(f"{count - 1}.jpg") == b"x"
    if shutil.which("unzip") and count:
        subprocess.run(["unzip", "-tqq", tmp_path / "x.zip"], check=True)


@pytest.mark.parametrize("start", [(4 << 30) - 100, (4 << 30) - 36, 4 << 30, 5 << 30])
def test_a_zip_beyond_4_gb_is_read_by_everybody(tmp_path: Path, start: int) -> None:
    with (tmp_path / "x.zip").open("w+b") as file:
        file.seek(start)  # a hole: it takes no room
        made = StoredZip(file)
        for number in range(3):
            with made.member(f"{number}.jpg", CHANGED) as add:
                add(b"x" * number)
        made.close()
    with zipfile.ZipFile(tmp_path / "x.zip") as archive:
        assert [archive.read(f"{number}.jpg") for number in range(3)] == [b"", b"x", b"xx"]
        assert archive.testzip() is None
    if shutil.which("unzip"):
        subprocess.run(["unzip", "-tqq", tmp_path / "x.zip"], check=True)


def test_something_of_4_gb_under_an_images_name_does_not_spoil_the_zip(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stored_zip, "_MAX_32", 1000)
    found = {**three(), image(4): jpeg(4, 2000)}
    card, of = make_batch(tmp_path / "card", found)
    assert batch.freeze(card, of, True)[1:4] == (4, 3800, False)


@pytest.mark.parametrize("when", [0.0, 4.5e9, 1.7e9])
def test_an_impossible_time_does_not_keep_an_image_out_of_the_zip(tmp_path: Path, when: float) -> None:
    card, of = make_batch(tmp_path / "card", images(1))
    os.utime(os.path.join(of.path, image(1)), (when, when))
    assert batch.freeze(card, of, True).zipped
    assert read_archive(Path(of.zip)) == images(1)
