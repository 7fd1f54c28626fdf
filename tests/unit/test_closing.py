# SPDX-License-Identifier: GPL-3.0-or-later
"""Merging parts into the one archive that people open: nothing lost, nothing twice, nothing overwritten."""

from __future__ import annotations

import contextlib
import os
import zipfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from ansible_collections.wildberryeye.orchestrator.plugins.module_utils import closing, manifest
from ansible_collections.wildberryeye.orchestrator.plugins.module_utils.errors import Error
from ansible_collections.wildberryeye.orchestrator.plugins.module_utils.layout import Layout
from unit.support import (
    EXPERIMENT,
    cut_off,
    image,
    images,
    jpeg,
    public,
    read_archive,
    sums,
    tree,
    write_archive,
    write_zip,
)

ONE, TWO, THREE = images(3), images(3, start=10), images(2, start=20)
PUBLIC = "object_2026-05-22.zip"


class Place:
    """The directory of one camera in one experiment."""

    def __init__(self, data_dir: Path, experiment: str = EXPERIMENT) -> None:
        self.data_dir, self.experiment = data_dir, experiment
        self.layout = Layout(str(data_dir))
        self.path = Path(self.layout.camera(experiment, "object"))

    def part(self, name: str, found: dict[str, bytes]) -> None:
        write_archive(self.path / "parts" / f"{name}.zip", found)

    def publish(self, found: dict[str, bytes], name: str = PUBLIC) -> bytes:
        write_archive(self.path / name, found)
        return (self.path / name).read_bytes()

    def merge(self) -> list[str]:
        return [Path(path).name for path in closing.merge(self.layout, self.experiment, "object")]

    def public(self) -> list[dict[str, bytes]]:
        return public(self.data_dir, "object", self.experiment)

    def names(self) -> list[str]:
        return sorted(os.listdir(self.path)) if self.path.exists() else []


@pytest.fixture
def place(data_dir: Path) -> Place:
    return Place(data_dir)


def test_one_part_is_renamed_without_being_copied(place: Place) -> None:
    place.part("a", ONE)
    inode = (place.path / "parts" / "a.zip").stat().st_ino
    assert place.merge() == [PUBLIC]
    assert place.public() == [ONE] and (place.path / PUBLIC).stat().st_ino == inode
    assert place.names() == [PUBLIC]


def test_many_parts_become_one_archive(place: Place) -> None:
    for name, found in (("a", ONE), ("b", TWO), ("c", THREE)):
        place.part(name, found)
    assert place.merge() == [PUBLIC]
    assert place.public() == [{**ONE, **TWO, **THREE}] and place.names() == [PUBLIC]


def test_nothing_to_merge_makes_nothing(place: Place) -> None:
    assert place.merge() == [] and not place.data_dir.exists()


def test_merging_again_changes_nothing(place: Place) -> None:
    place.part("a", ONE)
    place.part("b", TWO)
    place.merge()
    before = tree(place.data_dir)
    assert place.merge() == [] and tree(place.data_dir) == before


def test_what_comes_after_closing_gets_an_archive_of_its_own(place: Place) -> None:
    before = place.publish(ONE)
    place.part("b", TWO)
    assert place.merge() == ["object_2026-05-22_part2.zip"]
    place.part("c", THREE)
    assert place.merge() == ["object_2026-05-22_part3.zip"]
    assert place.public() == [ONE, TWO, THREE] and (place.path / PUBLIC).read_bytes() == before


@pytest.mark.parametrize("parts", [[TWO], [TWO, THREE]], ids=["renamed", "merged"])
def test_where_a_person_moved_one_archive_away_the_next_ones_are_not_overwritten(
    place: Place, parts: list[dict[str, bytes]]
) -> None:
    place.publish(ONE)
    before = place.publish(images(1, start=40), "object_2026-05-22_part3.zip")
    for name, found in zip("ab", parts, strict=False):
        place.part(name, found)
    assert place.merge() == ["object_2026-05-22_part4.zip"]
    assert (place.path / "object_2026-05-22_part3.zip").read_bytes() == before


@pytest.mark.parametrize("more", [{}, TWO], ids=["nothing else", "with others"])
def test_the_same_image_twice_is_archived_once(place: Place, more: dict[str, bytes]) -> None:
    place.part("a", ONE)
    place.part("b", {**ONE, **more})
    place.merge()
    assert place.public() == [{**ONE, **more}] and place.names() == [PUBLIC]


def test_what_is_public_already_is_not_archived_again(place: Place) -> None:
    before = place.publish(ONE)
    place.part("a", ONE)
    assert place.merge() == []
    assert place.names() == [PUBLIC] and (place.path / PUBLIC).read_bytes() == before
    place.part("b", {**ONE, **TWO})
    assert place.merge() == ["object_2026-05-22_part2.zip"] and place.public() == [ONE, TWO]


def test_one_name_for_two_different_images_keeps_both(place: Place) -> None:
    name = image(1)
    place.part("a", {**TWO, name: jpeg("a")})
    place.part("b", {**THREE, name: jpeg("b")})
    place.part("c", {name: jpeg("c")})
    assert place.merge() == [PUBLIC, "object_2026-05-22_part2.zip", "object_2026-05-22_part3.zip"]
    assert [found[name] for found in place.public()] == [jpeg("a"), jpeg("b"), jpeg("c")]
    assert place.names() == sorted([PUBLIC, "object_2026-05-22_part2.zip", "object_2026-05-22_part3.zip"])


def test_another_image_under_a_public_name_keeps_both(place: Place) -> None:
    place.publish({image(1): jpeg("old")})
    place.part("a", {image(1): jpeg("new")})
    place.merge()
    assert place.public() == [{image(1): jpeg("old")}, {image(1): jpeg("new")}]


def test_a_public_archive_is_read_before_a_copy_of_its_image_is_dropped(place: Place) -> None:
    content = bytearray(place.publish(ONE))
    content[content.index(ONE[image(2)]) + 20] ^= 1
    (place.path / PUBLIC).write_bytes(content)
    place.part("a", ONE)
    place.merge()
    kept = Path(place.layout.archive(EXPERIMENT, "object", 2))
    assert jpeg(2) in kept.read_bytes()
    assert (place.path / PUBLIC).read_bytes() == content


@pytest.mark.parametrize("what", [b"", b"a note of somebody", b"PK\x03\x04 torn"])
def test_what_bears_a_public_name_and_is_no_archive_of_ours_stays_as_it_is(place: Place, what: bytes) -> None:
    place.path.mkdir(parents=True)
    (place.path / PUBLIC).write_bytes(what)
    place.part("a", ONE)
    assert place.merge() == ["object_2026-05-22_part2.zip"]
    assert (place.path / PUBLIC).read_bytes() == what


def test_a_link_under_the_public_name_is_not_followed(place: Place, tmp_path: Path) -> None:
    place.path.mkdir(parents=True)
    (place.path / PUBLIC).symlink_to(tmp_path / "elsewhere")
    place.part("a", ONE)
    place.merge()
    assert not (tmp_path / "elsewhere").exists() and (place.path / PUBLIC).is_symlink()
    assert any(jpeg(1) in path.read_bytes() for path in place.path.rglob("*.zip") if path.is_file())


@pytest.mark.parametrize("others", [False, True], ids=["alone", "with a good one"])
def test_a_damaged_part_is_named_and_kept(place: Place, others: bool) -> None:
    place.part("a", ONE)
    content = bytearray((place.path / "parts" / "a.zip").read_bytes())
    (place.path / "parts" / "a.zip").write_bytes(content[:-10])
    if others:
        place.part("b", TWO)
    with pytest.raises(Error, match=r"a\.zip"):
        place.merge()
    assert (place.path / "parts" / "a.zip").exists() and place.names() == ["parts"]


def test_parts_whose_bytes_have_rotted_are_kept_and_nothing_is_published(place: Place) -> None:
    place.part("a", ONE)
    place.part("b", TWO)
    path = place.path / "parts" / "b.zip"
    content = bytearray(path.read_bytes())
    content[content.index(TWO[image(11)]) + 20] ^= 1
    path.write_bytes(content)
    before = tree(place.path)
    with pytest.raises(Error, match="parts are left as they are"):
        place.merge()
    # Only the first of them has its later name.
    assert sorted(tree(place.path).values()) == sorted(before.values())


def test_parts_are_added_to_the_first_of_them_which_is_neither_read_nor_copied(place: Place) -> None:
    place.part("a", ONE)
    place.part("b", TWO)
    place.part("c", THREE)
    inode = (place.path / "parts" / "a.zip").stat().st_ino
    assert place.merge() == [PUBLIC] and place.public() == [{**ONE, **TWO, **THREE}]
    assert (place.path / PUBLIC).stat().st_ino == inode


def test_the_archive_of_most_images_comes_first_whatever_a_part_beside_it_is_called(place: Place) -> None:
    place.part("together", ONE)
    place.part("20000101T000000Z-00000000", {image(1): jpeg("other")})
    assert place.merge() == [PUBLIC, "object_2026-05-22_part2.zip"]
    assert place.public() == [ONE, {image(1): jpeg("other")}]


def test_a_part_that_was_cut_off_while_it_grew_is_published_whole(place: Place) -> None:
    place.part("together", ONE)
    place.part("b", TWO)
    cut_off(place.path / "parts" / "together.zip")
    assert place.merge() == [PUBLIC]
    assert place.public() == [{**ONE, **TWO}] and place.names() == [PUBLIC]


def test_a_part_that_no_other_can_be_added_to_is_merged_as_a_copy(place: Place) -> None:
    members: list[tuple[str | zipfile.ZipInfo, bytes]] = [(manifest.MEMBER, sums(ONE)), *ONE.items()]
    write_zip(place.path / "parts" / "a.zip", members)
    place.part("b", TWO)
    assert place.merge() == [PUBLIC]
    assert place.public() == [{**ONE, **TWO}] and place.names() == [PUBLIC]


def test_what_no_experiment_claims_gets_archives_too(data_dir: Path) -> None:
    place = Place(data_dir, "unclaimed")
    for found in (ONE, TWO):
        place.part("a", found)
        place.merge()
    assert place.public() == [ONE, TWO]
    assert place.names() == ["object_unclaimed.zip", "object_unclaimed_part2.zip"]


def test_leftovers_of_a_killed_run_are_swept_and_nothing_else(place: Place) -> None:
    place.part("a", ONE)
    leftovers = [".object_2026-05-22.zip", ".object_2026-05-22.zip.tmp", "parts/b.zip.tmp", "parts/a.zip.tail.tmp"]
    for name in leftovers:
        (place.path / name).write_bytes(b"half")
    (place.path / "notes.txt").write_text("of the researcher")
    (place.path / ".hidden").write_text("of the researcher")
    place.merge()
    assert place.names() == sorted([PUBLIC, "notes.txt", ".hidden"])


def test_the_other_camera_is_not_touched(place: Place) -> None:
    write_archive(Path(place.layout.parts(EXPERIMENT, "motion")) / "a.zip", ONE)
    before = tree(place.data_dir)
    place.merge()
    assert tree(place.data_dir) == before


class Killed(BaseException):
    """What `kill -9` is to the process."""


CASES: dict[str, tuple[dict[str, bytes], list[dict[str, bytes]]]] = {
    "one part": ({}, [ONE]),
    "three parts": ({}, [ONE, TWO, THREE]),
    "part2": (ONE, [{**ONE, **TWO}]),
    "clash": ({}, [ONE, {**TWO, image(1): jpeg("b")}]),
}
"""What is public already, and the parts."""


@pytest.mark.parametrize("after", [False, True], ids=["before the call", "after the call"])
@pytest.mark.parametrize("case", CASES)
def test_killed_at_any_step_it_completes_when_run_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: str, after: bool
) -> None:
    for number in range(1, 200):
        place = Place(tmp_path / str(number))
        already, parts = CASES[case]
        if already:
            place.publish(already)
        for name, found in zip("abc", parts, strict=False):
            place.part(name, found)
        expected = Counter(
            pair
            for pair in {
                (name, content) for path in place.path.rglob("*.zip") for name, content in read_archive(path).items()
            }
        )
        before = {path.name: path.read_bytes() for path in place.path.glob("object_*.zip")}
        calls = 0

        def dying(real: Callable[..., object], number: int = number) -> Callable[..., object]:
            def call(*given: object, **named: object) -> object:
                nonlocal calls
                calls += 1
                if calls == number and not after:
                    raise Killed
                if calls > number:
                    raise Killed  # the dead do not clean up
                result = real(*given, **named)
                if calls == number:
                    raise Killed
                return result

            return call

        with monkeypatch.context() as patch:
            for name in ("rename", "unlink", "fsync", "rmdir", "mkdir"):
                patch.setattr(os, name, dying(getattr(os, name)))
            with contextlib.suppress(Killed):
                place.merge()
        for name, content in before.items():
            assert (place.path / name).read_bytes() == content
        place.public()  # whatever has a public name is whole at every moment
        place.merge()
        assert Counter(pair for found in place.public() for pair in found.items()) == expected
        assert all(name.startswith("object_") and name.endswith(".zip") for name in place.names())
        for name, content in before.items():
            assert (place.path / name).read_bytes() == content
        if calls < number:
            assert number > 3
            return
    raise AssertionError("it never came to its end")
