# SPDX-License-Identifier: GPL-3.0-or-later
"""Archives: what is called intact is intact, and what a camera sends harms nobody who unpacks it."""

from __future__ import annotations

import os
import struct
import subprocess
import zipfile
from pathlib import Path

import pytest

from ansible_collections.wildberryeye.orchestrator.plugins.module_utils import archive, manifest
from ansible_collections.wildberryeye.orchestrator.plugins.module_utils.archive import Source
from ansible_collections.wildberryeye.orchestrator.plugins.module_utils.errors import Error
from unit.support import image, images, jpeg, read_archive, sha256, sums, tree, write_archive, write_zip

IMAGES = images(4)
WANTED = {name: sha256(content) for name, content in IMAGES.items()}
FIRST, SECOND = sorted(IMAGES)[:2]


def members(found: dict[str, bytes] = IMAGES) -> list[tuple[str | zipfile.ZipInfo, bytes]]:
    return [*found.items(), (manifest.MEMBER, sums(found))]


@pytest.fixture
def path(tmp_path: Path) -> str:
    write_archive(tmp_path / "a.zip", IMAGES)
    return str(tmp_path / "a.zip")


def test_a_good_archive_holds_everything(path: str) -> None:
    assert archive.intact(path, WANTED) == (set(WANTED), True)


def test_every_byte_counts(path: str) -> None:
    good = Path(path).read_bytes()
    content = good.index(IMAGES[FIRST]) + 100
    for position in (content, 0, 30, len(good) - 5, len(good) - 200):
        flipped = bytearray(good)
        flipped[position] ^= 0x01
        Path(path).write_bytes(flipped)
        found, whole = archive.intact(path, WANTED)
        for name in found:
            assert IMAGES[name] in flipped
        if position == content:
            assert (found, whole) == (set(WANTED) - {FIRST}, False)


def test_an_archive_cut_short_at_any_length_is_never_whole(path: str) -> None:
    good = Path(path).read_bytes()
    for length in range(0, len(good), 37):
        Path(path).write_bytes(good[:length])
        assert archive.intact(path, WANTED) == (set(), False)


def test_a_missing_archive_holds_nothing(tmp_path: Path) -> None:
    assert archive.intact(str(tmp_path / "none.zip"), WANTED) == (set(), False)


def test_a_missing_image_is_missed(path: str) -> None:
    write_archive(Path(path), {name: content for name, content in IMAGES.items() if name != FIRST})
    assert archive.intact(path, WANTED) == (set(WANTED) - {FIRST}, False)


def test_an_image_that_is_another_one_is_not_it(path: str) -> None:
    write_archive(Path(path), {**IMAGES, FIRST: jpeg("another")})
    assert archive.intact(path, WANTED) == (set(WANTED) - {FIRST}, False)


def symlink(name: str = FIRST) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.create_system, info.external_attr = 3, 0o120777 << 16
    return info


def renamed(name: str = FIRST) -> zipfile.ZipInfo:
    """A member that Info-ZIP unpacks under another name: its Unicode Path field."""
    info = zipfile.ZipInfo(name)
    other = b"\x01" + struct.pack("<L", zipfile.crc32(name.encode())) + b"../evil.sh"  # type: ignore[attr-defined]
    info.extra = struct.pack("<HH", 0x7075, len(other)) + other
    return info


def deflated(name: str = FIRST) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.compress_type = zipfile.ZIP_DEFLATED
    return info


@pytest.mark.parametrize(
    "more",
    [
        [("evil.sh", b"x")],
        [("../evil.sh", b"x")],
        [("/tmp/evil.sh", b"x")],
        [("directory/", b"")],
        [(FIRST, IMAGES[FIRST])],
        [(image(99), jpeg(99))],
        [(manifest.MEMBER, b"another")],
    ],
    ids=["stranger", "up", "absolute", "directory", "twice", "image too many", "list twice"],
)
def test_what_does_not_belong_there_makes_it_not_whole(
    path: str, more: list[tuple[str | zipfile.ZipInfo, bytes]]
) -> None:
    write_zip(Path(path), [*members(), *more])
    assert archive.intact(path, WANTED) == (set(WANTED), False)


@pytest.mark.parametrize("info", [symlink(), renamed()], ids=["symlink", "unicode path"])
def test_a_member_that_unpacks_as_something_else_makes_it_not_whole(path: str, info: zipfile.ZipInfo) -> None:
    rest: list[tuple[str | zipfile.ZipInfo, bytes]] = [m for m in members() if m[0] != FIRST]
    write_zip(Path(path), [(info, IMAGES[FIRST]), *rest])
    assert not archive.intact(path, WANTED)[1]


def test_a_deflated_member_is_not_read_at_all(path: str) -> None:
    rest: list[tuple[str | zipfile.ZipInfo, bytes]] = [m for m in members() if m[0] != FIRST]
    write_zip(Path(path), [(deflated(), IMAGES[FIRST]), *rest])
    assert archive.intact(path, WANTED) == (set(WANTED) - {FIRST}, False)


def test_a_deflated_and_damaged_list_is_no_traceback(path: str) -> None:
    found: list[tuple[str | zipfile.ZipInfo, bytes]] = [*IMAGES.items(), (deflated(manifest.MEMBER), sums(IMAGES))]
    write_zip(Path(path), found)
    content = bytearray(Path(path).read_bytes())
    with zipfile.ZipFile(path) as opened:
        info = opened.getinfo(manifest.MEMBER)
    begin = info.header_offset + 30 + len(info.filename)
    content[begin : begin + info.compress_size] = b"\xff" * info.compress_size
    Path(path).write_bytes(content)
    assert archive.intact(path, WANTED) == (set(WANTED), False)


def test_a_list_that_says_something_else_makes_it_not_whole(path: str) -> None:
    write_zip(Path(path), [*IMAGES.items(), (manifest.MEMBER, sums(IMAGES).replace(b"a", b"b"))])
    assert archive.intact(path, WANTED) == (set(WANTED), False)
    write_zip(Path(path), list(IMAGES.items()))
    assert archive.intact(path, WANTED) == (set(WANTED), False)


def test_what_is_proven_is_on_the_disk_before_it_is_read(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    monkeypatch.setattr(os, "fsync", lambda descriptor: calls.append("fsync"))
    monkeypatch.setattr(os, "posix_fadvise", lambda *arguments: calls.append("drop"))
    archive.intact(path, WANTED)
    assert calls == ["fsync", "drop"]


def sources(directory: Path, found: dict[str, bytes] = IMAGES) -> list[Source]:
    directory.mkdir(exist_ok=True)
    for name, content in found.items():
        (directory / name).write_bytes(content)
    return [Source(name, sha256(found[name]), str(directory / name), member=False) for name in sorted(found)]


def test_unzip_and_sha256sum_prove_an_archive_without_any_tool_of_ours(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    assert archive.write(str(path), sources(tmp_path / "files")) == WANTED
    assert archive.intact(str(path), WANTED) == (set(WANTED), True)
    (tmp_path / "out").mkdir()
    subprocess.run(["python3", "-m", "zipfile", "-e", str(path), str(tmp_path / "out")], check=True)
    done = subprocess.run(
        ["sha256sum", "--strict", "-c", manifest.MEMBER], cwd=tmp_path / "out", capture_output=True, check=True
    )
    assert done.stdout.count(b": OK") == len(IMAGES)
    assert {item.compress_type for item in zipfile.ZipFile(path).infolist()} == {zipfile.ZIP_STORED}


def test_an_image_that_is_missing_changed_or_a_link_is_left_out_and_the_rest_written(tmp_path: Path) -> None:
    found = sources(tmp_path / "files")
    Path(found[0].path).unlink()
    Path(found[1].path).write_bytes(b"changed")
    (tmp_path / "same").write_bytes(IMAGES[found[2].name])
    Path(found[2].path).unlink()
    Path(found[2].path).symlink_to(tmp_path / "same")
    written = archive.write(str(tmp_path / "a.zip"), found)
    assert list(written) == [found[3].name]
    assert read_archive(tmp_path / "a.zip") == {found[3].name: IMAGES[found[3].name]}


def test_members_of_other_archives_are_copied_as_plain_files(tmp_path: Path, path: str) -> None:
    rest: list[tuple[str | zipfile.ZipInfo, bytes]] = [m for m in members() if m[0] not in (FIRST, SECOND)]
    write_zip(Path(path), [(symlink(FIRST), IMAGES[FIRST]), (renamed(SECOND), IMAGES[SECOND]), *rest])
    found = [Source(name, WANTED[name], path, member=True) for name in sorted(WANTED)]
    assert archive.write(str(tmp_path / "b.zip"), found) == WANTED
    assert archive.intact(str(tmp_path / "b.zip"), WANTED) == (set(WANTED), True)
    with zipfile.ZipFile(tmp_path / "b.zip") as opened:
        assert {(info.external_attr >> 16, info.extra) for info in opened.infolist()} <= {(0o644, b""), (0o600, b"")}


def test_members_of_a_broken_or_missing_archive_are_left_out(tmp_path: Path) -> None:
    (tmp_path / "x.zip").write_bytes(b"PK")
    found = [Source(FIRST, WANTED[FIRST], str(tmp_path / name), member=True) for name in ("x.zip", "none.zip")]
    assert archive.write(str(tmp_path / "b.zip"), found) == {}


def test_times_before_zip_was_invented_do_not_lose_the_image(tmp_path: Path) -> None:
    found = sources(tmp_path / "files")
    for each in found:
        os.utime(each.path, (0, 0))
    assert archive.write(str(tmp_path / "a.zip"), found) == WANTED


def test_writing_that_fails_leaves_the_archive_that_was_there(tmp_path: Path, path: str) -> None:
    before = tree(tmp_path)

    def broken() -> list[Source]:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        archive.write(path, (source for _ in range(1) for source in broken()))
    assert tree(tmp_path) == before


def test_contents_and_figures_are_those_of_the_archive(path: str) -> None:
    assert archive.contents(path) == WANTED
    assert archive.figures(path) == archive.Archive("a.zip", 4, sum(map(len, IMAGES.values())))


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"no zip at all"])
def test_a_damaged_archive_is_named_and_no_traceback(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.zip").write_bytes(content)
    for look in (archive.contents, archive.figures):
        with pytest.raises(Error, match=r"a\.zip: it is damaged"):
            look(str(tmp_path / "a.zip"))


def test_a_zip_of_somebody_else_is_named_and_no_traceback(tmp_path: Path) -> None:
    write_zip(tmp_path / "a.zip", [("holiday.jpg", b"x")])
    with pytest.raises(Error, match="no archive of ours"):
        archive.contents(str(tmp_path / "a.zip"))
    assert archive.figures(str(tmp_path / "a.zip")).images == 0
