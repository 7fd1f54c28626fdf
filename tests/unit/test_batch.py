# SPDX-License-Identifier: GPL-3.0-or-later
"""A frozen batch names each of its images truly, takes little memory, and is made whole or not at all."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

import pytest

from ansible_collections.wildberryeye.orchestrator.plugins.module_utils import batch, manifest
from ansible_collections.wildberryeye.orchestrator.plugins.module_utils.card import Card
from ansible_collections.wildberryeye.orchestrator.plugins.module_utils.errors import Error
from ansible_collections.wildberryeye.orchestrator.plugins.module_utils.stored_zip import StoredZip
from unit.cards import (
    OURS,
    assert_sound,
    counted,
    every_kill,
    images_below,
    make_batch,
    make_card,
    make_frozen,
    three,
    unreadable,
)
from unit.support import BY_EITHER_METHOD, ROOT, image, images, jpeg, read_archive, sha256, tree


@BY_EITHER_METHOD
def test_a_manifest_names_every_image_with_what_proves_it(tmp_path: Path, zipped: bool) -> None:
    card, of = make_batch(tmp_path / "card", three())
    frozen = batch.freeze(card, of, zipped)
    assert frozen == batch.Frozen(of, 3, 1800, zipped, [], made=True)
    found = manifest.load(of.manifest, of.experiment, of.name)
    for name, content in three().items():
        status = os.stat(os.path.join(of.path, name))
        assert found.entries[name] == manifest.Entry(
            name, 600, status.st_mtime_ns, status.st_ctime_ns, sha256(content), True
        )
    assert images_below(tmp_path / "card") == counted(three())
    assert os.path.exists(of.zip) == zipped


def test_the_zip_holds_the_images_and_the_list_and_unzip_believes_it(tmp_path: Path) -> None:
    _, of, _ = make_frozen(tmp_path / "card", three())
    assert read_archive(Path(of.zip)) == three()
    with zipfile.ZipFile(of.zip) as archive:
        assert archive.namelist() == [*sorted(three()), manifest.MEMBER]
        assert {info.compress_type for info in archive.infolist()} == {zipfile.ZIP_STORED}
        assert {info.external_attr >> 16 for info in archive.infolist()} == {0o100644}
        taken = time.localtime(os.stat(os.path.join(of.path, image(1))).st_mtime)
        year, month, day, hour, minute, second = taken[:6]
        assert archive.getinfo(image(1)).date_time == (year, month, day, hour, minute, second // 2 * 2)
    if shutil.which("unzip"):
        subprocess.run(["unzip", "-q", of.zip, "-d", tmp_path / "out"], check=True)
        subprocess.run(["sha256sum", "-c", "--quiet", "--strict", manifest.MEMBER], cwd=tmp_path / "out", check=True)


@BY_EITHER_METHOD
def test_a_frozen_batch_is_never_written_to_again(tmp_path: Path, zipped: bool) -> None:
    card, of, _ = make_frozen(tmp_path / "card", three(), zipped)
    before = tree(tmp_path)
    for wanted in (True, False):
        assert batch.freeze(card, of, wanted) == batch.Frozen(of, 3, 1800, zipped, [], made=False)
    assert tree(tmp_path) == before


def test_an_empty_batch_is_frozen_as_one(tmp_path: Path) -> None:
    card, of = make_batch(tmp_path / "card", images(1))
    os.unlink(os.path.join(of.path, image(1)))
    assert batch.freeze(card, of, True)[1:] == (0, 0, True, [], True)
    assert read_archive(Path(of.zip)) == {}


def test_weighing_counts_and_writes_nothing(tmp_path: Path) -> None:
    card, of = make_batch(tmp_path / "card", three())
    before = tree(tmp_path)
    assert batch.weigh(card, of) == (3, 1800)
    assert tree(tmp_path) == before


def test_half_written_images_are_collected_and_flagged(tmp_path: Path) -> None:
    found = {image(1): b"\xff\xd8half", image(2): b"", image(3): b"\xff", image(4): jpeg(4)}
    found[image(5)] = b"x" * ((1 << 20) - 1) + b"\xff\xd9"  # its end lies in two reads
    _, of, _ = make_frozen(tmp_path / "card", found)
    listed = manifest.load(of.manifest, of.experiment, of.name)
    assert [name for name, entry in listed.entries.items() if entry.whole] == [image(4), image(5)]
    assert read_archive(Path(of.zip)) == found


@BY_EITHER_METHOD
def test_no_image_is_lost_and_nothing_is_half_public_wherever_freezing_is_killed(tmp_path: Path, zipped: bool) -> None:
    def prepare(where: Path) -> Callable[[], object]:
        card, of = make_batch(where / "card", three())
        return lambda: batch.freeze(card, of, zipped)

    for where in every_kill(tmp_path, prepare):
        card = Card(str(where / "card"))
        assert images_below(where / "card") == counted(three())
        assert_sound(card)
        card.tidy()
        (of,) = card.batches()
        assert batch.freeze(card, of, zipped)[1:4] == (3, 1800, zipped)
        assert_sound(card)
        assert images_below(where / "card") == counted(three())
        assert sorted(os.listdir(os.path.dirname(of.path))) == sorted(
            [of.name, f"{of.name}.manifest", *([f"{of.name}.zip"] if zipped else [])]
        )


def test_a_zip_of_a_run_that_was_killed_is_not_offered_as_the_batchs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    card, of, _ = make_frozen(tmp_path / "card", three())
    os.unlink(of.manifest)
    (Path(of.path) / image(4)).write_bytes(jpeg(4))
    monkeypatch.setattr(Card, "free", lambda self: 0)
    assert batch.freeze(card, of, True).zipped is False
    assert not os.path.exists(of.zip)
    assert batch.freeze(card, of, True).zipped is False


def test_a_card_without_room_for_a_zip_sends_files_instead(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    card, of = make_batch(tmp_path / "card", three())
    needed = 1800 + (64 << 20)
    monkeypatch.setattr(Card, "free", lambda self: needed - 1)
    frozen = batch.freeze(card, of, True)
    assert (frozen.zipped, frozen.images, os.path.exists(of.zip)) == (False, 3, False)
    os.unlink(of.manifest)
    monkeypatch.setattr(Card, "free", lambda self: needed)
    assert batch.freeze(card, of, True).zipped is True


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_a_card_that_fills_up_under_the_zip_sends_files_instead(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: int
) -> None:
    card, of = make_batch(tmp_path / "card", three())

    def full(self: StoredZip) -> None:
        raise OSError(error, os.strerror(error))

    monkeypatch.setattr(StoredZip, "close", full)
    assert batch.freeze(card, of, True)[1:] == (3, 1800, False, [], True)
    assert sorted(os.listdir(os.path.dirname(of.path))) == [of.name, f"{of.name}.manifest"]


def test_another_error_under_the_zip_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    card, of = make_batch(tmp_path / "card", three())

    def denied(self: StoredZip) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(StoredZip, "close", denied)
    with pytest.raises(PermissionError):
        batch.freeze(card, of, True)
    assert os.listdir(os.path.dirname(of.path)) == [of.name]


class _Narrow(manifest.Writer):
    """A card that has room for the lines of two images."""

    def add(self, entry: manifest.Entry) -> None:
        if self.images == 2:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        super().add(entry)


def test_a_card_without_room_for_the_manifest_gives_up_its_images_piece_by_piece(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    card, of = make_batch(tmp_path / "card", images(9))
    monkeypatch.setattr(manifest, "Writer", _Narrow)
    frozen = batch.freeze(card, of, True)
    assert (frozen.images, frozen.zipped) == (2, False)
    assert images_below(tmp_path / "card") == counted(images(9))
    assert_sound(card)


def test_a_card_that_takes_nothing_at_all_says_so_and_keeps_everything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    card, of = make_batch(tmp_path / "card", three())

    def full(self: manifest.Writer) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(manifest.Writer, "close", full)
    with pytest.raises(OSError, match="No space left"):
        batch.freeze(card, of, True)
    assert images_below(tmp_path / "card") == counted(three())
    assert os.listdir(os.path.dirname(of.path)) == [of.name]


@pytest.fixture
def small_card(tmp_path: Path) -> Iterator[Path]:
    """A real file system of 2 MB."""
    path = tmp_path / "small"
    path.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", path], capture_output=True, check=False)
    if mounted.returncode:
        pytest.skip("needs the right to mount")
    yield path
    subprocess.run(["umount", path], check=True)


def test_a_card_that_is_really_full_falls_back_to_files(small_card: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = {image(number): jpeg(number, 300_000) for number in range(1, 5)}
    card, of = make_batch(small_card / "card", found)
    monkeypatch.setattr(Card, "free", lambda self: 1 << 40)
    assert batch.freeze(card, of, True)[1:4] == (4, 1_200_000, False)
    assert images_below(small_card / "card") == counted(found)
    assert sorted(os.listdir(os.path.dirname(of.path))) == [of.name, f"{of.name}.manifest"]


@BY_EITHER_METHOD
@pytest.mark.parametrize("error", [errno.EIO])
def test_an_image_that_the_card_does_not_give_back_is_kept_and_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, zipped: bool, error: int
) -> None:
    card, of = make_batch(tmp_path / "card", three())
    with unreadable(monkeypatch, image(2), error=error):
        frozen = batch.freeze(card, of, zipped)
    assert frozen[1:] == (2, 1200, False, [image(2)], True)
    listed = manifest.load(of.manifest, of.experiment, of.name)
    assert list(listed.entries) == [image(1), image(3)]
    assert images_below(tmp_path / "card") == counted(three())


def test_an_image_that_may_not_be_read_is_told_and_not_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    card, of = make_batch(tmp_path / "card", three())
    with unreadable(monkeypatch, image(2), error=errno.EACCES), pytest.raises(PermissionError):
        batch.freeze(card, of, False)
    assert os.listdir(os.path.dirname(of.path)) == [of.name]


@BY_EITHER_METHOD
def test_an_image_that_vanishes_under_the_hand_is_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, zipped: bool
) -> None:
    card, of = make_batch(tmp_path / "card", three())
    real = card.images_of(of)
    monkeypatch.setattr(Card, "images_of", lambda self, of: [*real, image(7)])
    assert batch.freeze(card, of, zipped)[1:] == (3, 1800, zipped, [], True)
    assert batch.weigh(card, of) == (4, 1800)


def test_a_link_that_takes_an_images_place_is_not_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    card, of = make_batch(tmp_path / "card", three())
    (tmp_path / "secret").write_bytes(b"secret")
    (Path(of.path) / image(7)).symlink_to(tmp_path / "secret")
    names = [*card.images_of(of), image(7)]
    monkeypatch.setattr(Card, "images_of", lambda self, of: names)
    with pytest.raises(OSError, match="symbolic links"):
        batch.freeze(card, of, True)
    assert images_below(tmp_path / "card") == counted(three())


@BY_EITHER_METHOD
def test_an_image_written_to_while_it_is_read_is_not_what_the_manifest_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, zipped: bool
) -> None:
    card, of = make_batch(tmp_path / "card", three())
    path = Path(of.path) / image(2)
    real = batch._chunks

    def growing(file: BinaryIO) -> Iterator[bytes]:
        yield from real(file)
        if os.path.samestat(os.fstat(file.fileno()), path.stat()):
            with path.open("ab") as writer:
                writer.write(b"more")

    monkeypatch.setattr(batch, "_chunks", growing)
    batch.freeze(card, of, zipped)
    entry = manifest.load(of.manifest, of.experiment, of.name).entries[image(2)]
    status = path.stat()
    assert (entry.size, entry.mtime_ns, entry.ctime_ns) != (status.st_size, status.st_mtime_ns, status.st_ctime_ns)


@pytest.mark.parametrize("spoilt", [b"", b"\0" * 512, b'{"format":"wildberryeye-batch-1"'])
def test_a_manifest_that_the_card_has_spoilt_does_not_keep_the_images_from_home(tmp_path: Path, spoilt: bytes) -> None:
    card, of, _ = make_frozen(tmp_path / "card", three())
    Path(of.manifest).write_bytes(spoilt)
    with pytest.raises(Error):
        batch.freeze(card, of, True)
    batch.mend(card)
    (mended,) = card.batches()
    assert mended.name != of.name
    assert batch.freeze(card, mended, True)[1:3] == (3, 1800)
    assert images_below(tmp_path / "card") == counted(three())
    assert not os.path.exists(of.zip)


def test_a_manifest_that_the_card_does_not_give_back_is_mended_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    card, of, _ = make_frozen(tmp_path / "card", three())

    def worn(*_: object) -> Iterator[manifest.Entry]:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(manifest, "entries", worn)
    batch.mend(card)
    assert [found.name for found in card.batches()] != [of.name]
    assert images_below(tmp_path / "card") == counted(three())


def test_mending_leaves_sound_batches_alone(tmp_path: Path) -> None:
    card, _, _ = make_frozen(tmp_path / "card", three())
    make_batch(tmp_path / "card", images(2, start=10))
    before = tree(tmp_path)
    batch.mend(card)
    assert tree(tmp_path) == before


def test_no_image_is_lost_wherever_mending_is_killed(tmp_path: Path) -> None:
    def prepare(where: Path) -> Callable[[], object]:
        card, of, _ = make_frozen(where / "card", three())
        Path(of.manifest).write_bytes(b"spoilt")
        return lambda: batch.mend(card)

    for where in every_kill(tmp_path, prepare):
        card = Card(str(where / "card"))
        assert images_below(where / "card") == counted(three())
        batch.mend(card)
        card.tidy()
        (of,) = card.batches()
        assert batch.freeze(card, of, True).images == 3
        assert_sound(card)


def test_a_run_that_was_given_up_and_goes_on_publishes_nothing_half_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    card, of = make_batch(tmp_path / "card", three())
    close = StoredZip.close

    def at_the_end(self: StoredZip) -> None:
        # The second run is half-way while the first one ends.
        monkeypatch.setattr(StoredZip, "close", close)
        card.tidy()
        for path in (of.zip, of.manifest):
            Path(f"{path}.tmp").write_bytes(b"half")
        close(self)

    monkeypatch.setattr(StoredZip, "close", at_the_end)
    with pytest.raises((FileExistsError, Error)):
        batch.freeze(card, of, True)
    assert_sound(card)
    assert not os.path.exists(of.zip) and not os.path.exists(of.manifest)
    assert batch.freeze(card, of, True)[1:] == (3, 1800, True, [], True)


_MEASURE = r"""
import re, sys
from ansible_collections.wildberryeye.orchestrator.plugins.module_utils import batch
from ansible_collections.wildberryeye.orchestrator.plugins.module_utils.card import Card
card = Card(sys.argv[1])
card.set_aside(card.loose().images, "2026-05-22")
frozen = batch.freeze(card, card.batches()[0], sys.argv[2] == "zip")
assert frozen.zipped == (sys.argv[2] == "zip")
# Not getrusage: a process inherits that peak from the one that started it.
print(frozen.images, int(re.search(r"VmHWM:\s+(\d+)", open("/proc/self/status").read())[1]) // 1024)
"""


def test_a_zero_does_not_run_out_of_memory_over_a_busy_day(tmp_path: Path) -> None:
    card = make_card(tmp_path / "card")
    for number in range(20_000):
        with open(os.path.join(card.image_dir, image(number)), "wb") as file:
            file.write(b"%d" % number)
    peaks = {}
    for method in ("files", "zip"):
        done = subprocess.run(
            [sys.executable, "-c", _MEASURE, card.image_dir, method],
            env={**os.environ, "PYTHONPATH": str(ROOT / "collections")},
            capture_output=True,
            text=True,
            check=True,
        )
        count, peaks[method] = map(int, done.stdout.split())
        assert count == 20_000
        for found in card.batches():
            os.unlink(found.manifest)
            for name in os.listdir(found.path):
                os.rename(os.path.join(found.path, name), os.path.join(card.image_dir, name))
            os.rmdir(found.path)
    # What it takes beyond Python itself is what grows with the images; 60 MB is for 70,000.
    assert max(peaks.values()) < 35, peaks
    shutil.rmtree(os.path.join(card.image_dir, OURS))
