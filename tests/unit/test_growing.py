# SPDX-License-Identifier: GPL-3.0-or-later
"""An archive that takes in more where it lies: whatever happens meanwhile, it holds what it held, or all of it."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import shutil
import subprocess
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.wildberryeye.orchestrator.plugins.module_utils import (
    archive,
    durable,
    growing,
    manifest,
    stored_zip,
)
from ansible_collections.wildberryeye.orchestrator.plugins.module_utils.errors import Error
from unit.support import (
    as_mended,
    cut_off,
    image,
    images,
    jpeg,
    read_archive,
    sha256,
    sums,
    tree,
    write_archive,
    write_zip,
)

OLD, NEW = images(3), images(2, start=10)
CHANGED = (2026, 5, 22, 9, 30, 15)


def sources(path: Path, found: dict[str, bytes] = NEW) -> list[archive.Source]:
    return [archive.Source(name, sha256(found[name]), str(path), member=True) for name in sorted(found)]


def grow(path: Path, more: list[archive.Source]) -> None:
    growing.grow(str(path), archive.contents(str(path)), more)


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """An archive, and beside it another one that it can take in."""
    write_archive(tmp_path / "old.zip", OLD)
    write_archive(tmp_path / "new.zip", NEW)
    return tmp_path / "old.zip"


def check(path: Path) -> None:
    """Unpack it as researchers do, and see that nobody complains."""
    done = subprocess.run(["unzip", "-tq", path], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "") and "warning" not in done.stdout, done
    unpacked = path.with_name("unpacked")
    subprocess.run(["unzip", "-q", path, "-d", unpacked], check=True)
    subprocess.run(["sha256sum", "--check", "--quiet", "--strict", manifest.MEMBER], cwd=unpacked, check=True)
    shutil.rmtree(unpacked)


def test_an_archive_that_has_grown_is_one_that_everybody_reads(old: Path) -> None:
    inode, before = old.stat().st_ino, old.read_bytes()
    grow(old, sources(old.with_name("new.zip")))
    assert read_archive(old) == {**OLD, **NEW} and old.stat().st_ino == inode
    assert old.read_bytes().startswith(before[: before.index(manifest.MEMBER.encode()) - 30])
    assert sorted(os.listdir(old.parent)) == ["new.zip", "old.zip"]
    check(old)


def test_it_grows_again_and_again_and_keeps_the_times_of_its_images(old: Path) -> None:
    infos: list[tuple[str | zipfile.ZipInfo, bytes]] = [
        (zipfile.ZipInfo(name, (2026, 3, 29, 2, 30, 2)), content) for name, content in NEW.items()
    ]
    write_zip(old.with_name("new.zip"), [*infos, (manifest.MEMBER, sums(NEW))])
    grow(old, sources(old.with_name("new.zip")))
    for number in range(20, 25):
        write_archive(old.with_name("new.zip"), images(1, start=number))
        grow(old, sources(old.with_name("new.zip"), images(1, start=number)))
    assert read_archive(old) == {**OLD, **NEW, **images(5, start=20)}
    with zipfile.ZipFile(old) as grown:
        assert {grown.getinfo(name).date_time for name in NEW} == {(2026, 3, 29, 2, 30, 2)}
    check(old)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(st.binary(max_size=300), max_size=4), max_size=5), st.booleans())
def test_whatever_is_added_in_whatever_portions_it_holds_all_of_it(portions: list[list[bytes]], ours: bool) -> None:
    with contextlib.ExitStack() as stack:
        directory = Path(stack.enter_context(_directory()))
        path, held = directory / "old.zip", dict(OLD)
        (_write_as_camera if ours else write_archive)(path, OLD)
        for portion in portions:
            more = {image(100 + len(held) + number): content for number, content in enumerate(portion)}
            write_archive(directory / "new.zip", more)
            grow(path, sources(directory / "new.zip", more))
            held |= more
            assert read_archive(path) == held and not growing.cut_off(str(path))


@contextlib.contextmanager
def _directory() -> Iterator[str]:
    import tempfile

    with tempfile.TemporaryDirectory() as directory:
        yield directory


def _write_as_camera(path: Path, found: dict[str, bytes]) -> None:
    with path.open("w+b") as file:
        _members(stored_zip.StoredZip(file), found)


def _members(made: stored_zip.StoredZip, found: dict[str, bytes]) -> None:
    for name, content in [*found.items(), (manifest.MEMBER, sums(found))]:
        with made.member(name, CHANGED) as add:
            add(content)
    made.close()


@pytest.mark.parametrize("count", [65_533, 65_534, 65_535])
def test_it_grows_beyond_65535_images(tmp_path: Path, count: int) -> None:
    path, found = tmp_path / "old.zip", {image(number): b"x" for number in range(count)}
    _write_as_camera(path, found)
    for number in range(count, count + 2):
        write_archive(tmp_path / "new.zip", {image(number): b"y"})
        grow(path, sources(tmp_path / "new.zip", {image(number): b"y"}))
    with zipfile.ZipFile(path) as grown:
        assert len(grown.namelist()) == count + 3 and grown.read(image(count + 1)) == b"y"
    assert len(archive.contents(str(path))) == count + 2
    subprocess.run(["unzip", "-tqq", path], check=True)


@pytest.mark.parametrize("start", [(4 << 30) - 3000, (4 << 30) - 1000, (4 << 30) - 36, 4 << 30, 5 << 30])
def test_it_grows_beyond_4_gb(tmp_path: Path, start: int) -> None:
    path = tmp_path / "old.zip"
    with path.open("w+b") as file:
        file.seek(start)  # a hole: it takes no room
        _members(stored_zip.StoredZip(file), OLD)
    for number in (10, 11):
        write_archive(tmp_path / "new.zip", images(1, start=number))
        grow(path, sources(tmp_path / "new.zip", images(1, start=number)))
    assert read_archive(path) == {**OLD, **NEW}
    subprocess.run(["unzip", "-tqq", path], check=True)


@pytest.mark.parametrize("wrong", ["bytes", "missing", "torn"])
def test_what_is_added_is_read_before_it_is_and_one_that_is_not_what_it_was_keeps_all_out(
    old: Path, wrong: str
) -> None:
    new = old.with_name("new.zip")
    if wrong == "bytes":
        new.write_bytes(new.read_bytes().replace(NEW[image(11)], jpeg("rotted")))
    elif wrong == "missing":
        write_archive(new, images(1, start=10))
    else:
        new.write_bytes(new.read_bytes()[:-30])
    before = tree(old.parent)
    with pytest.raises(Error, match="disk may be failing"):
        grow(old, sources(new))
    assert tree(old.parent) == before


def _lie(path: str, wanted: dict[str, str], listed: dict[str, str] | None = None) -> tuple[set[str], bool]:
    return set(), False


def test_what_does_not_read_back_is_not_taken_in(old: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = tree(old.parent)
    monkeypatch.setattr(archive, "intact", _lie)
    with pytest.raises(Error, match="left as it was"):
        grow(old, sources(old.with_name("new.zip")))
    assert tree(old.parent) == before


@pytest.mark.parametrize("spoilt", ["a new image", "the list", "the directory of an old image"])
def test_what_the_disk_has_changed_is_noticed(old: Path, monkeypatch: pytest.MonkeyPatch, spoilt: str) -> None:
    before, real = tree(old.parent), archive.intact

    def after_a_bad_write(path: str, wanted: dict[str, str], listed: dict[str, str] | None = None) -> Any:
        content = bytearray(Path(path).read_bytes())
        if spoilt == "a new image":
            at = content.index(NEW[image(11)]) + 50
        elif spoilt == "the list":
            at = content.rindex(sha256(OLD[image(2)]).encode())
        else:
            at = content.rindex(image(2).encode()) - 46 + 16  # its CRC
        content[at] ^= 1
        Path(path).write_bytes(content)
        return real(path, wanted, listed)

    monkeypatch.setattr(archive, "intact", after_a_bad_write)
    with pytest.raises(Error, match="left as it was"):
        grow(old, sources(old.with_name("new.zip")))
    assert tree(old.parent) == before


def _comment(path: Path) -> None:
    with zipfile.ZipFile(path, "a") as found:
        found.comment = b"of somebody"


def _list_first(path: Path) -> None:
    write_zip(path, [(manifest.MEMBER, sums(OLD)), *OLD.items()])


def _gap(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(b"before it" + content)


def _one_more(path: Path) -> None:
    write_zip(path, [*OLD.items(), ("notes.txt", b"x"), (manifest.MEMBER, sums(OLD))])


@pytest.mark.parametrize("strange", [_comment, _list_first, _gap, _one_more])
def test_an_archive_that_is_not_laid_out_as_ours_is_not_written_to(old: Path, strange: Callable[[Path], None]) -> None:
    strange(old)
    before = tree(old.parent)
    with pytest.raises(Error, match="not laid out as an archive of ours"):
        grow(old, sources(old.with_name("new.zip")))
    assert tree(old.parent) == before


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_a_directory_that_was_made_to_harm_is_refused_in_little_memory(data: st.DataObject) -> None:
    file = io.BytesIO()
    _members(stored_zip.StoredZip(file), {image(1): jpeg(1)})
    content = bytearray(file.getvalue())
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(len(content) - 300, len(content) - 1))
        content[at : at + 4] = data.draw(
            st.sampled_from([b"\xff\xff\xff\xff", b"\0\0\0\0", b"PK\1\2", b"\xfe\xff\xff\x7f"])
        )
    content = content[: data.draw(st.sampled_from([len(content), len(content) - 1, 21, 0]))]
    with _directory() as directory:
        path = Path(directory) / "x.zip"
        path.write_bytes(content)
        with contextlib.suppress(Error):
            growing.grow(str(path), {image(1): sha256(jpeg(1))}, [])
            # What was damaged before stays so: the old images are not read again.
            assert archive.contents(str(path)) == {image(1): sha256(jpeg(1))}
            return
        assert path.read_bytes() == content


class Killed(BaseException):
    """What `kill -9` is to the process."""


@contextlib.contextmanager
def dying(monkeypatch: pytest.MonkeyPatch, number: int) -> Iterator[list[str]]:
    """Die at step `number` of those that change the disk, each write half-done; the list names the steps."""
    steps: list[str] = []

    def at(name: str, real: Callable[..., Any], half: Callable[..., Any] | None = None) -> Callable[..., Any]:
        def call(*given: Any, **named: Any) -> Any:
            steps.append(name)
            if len(steps) > number:
                raise Killed  # the dead do not clean up
            if len(steps) == number:
                if half:
                    half(*given)
                raise Killed
            return real(*given, **named)

        return call

    def opened(path: Any, mode: str = "r", *more: Any, **named: Any) -> IO[Any]:
        if mode != "r+b":
            return open(path, mode, *more, **named)
        file = open(path, mode, buffering=0)  # noqa: SIM115
        write = file.write
        return _Steps(
            file, at("write", write, lambda data: write(data[: len(data) // 2])), at("truncate", file.truncate)
        )  # type: ignore[return-value]

    with monkeypatch.context() as patch:
        for name in ("rename", "unlink", "fsync"):
            patch.setattr(os, name, at(name, getattr(os, name)))
        patch.setattr(growing, "open", opened, raising=False)
        yield steps


class _Steps:
    """A file whose writes and truncations are steps."""

    def __init__(self, file: Any, write: Callable[..., Any], truncate: Callable[..., Any]) -> None:
        self.file, self.write, self.truncate = file, write, truncate

    def __enter__(self) -> _Steps:
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.file, name)


def test_killed_at_any_step_and_in_the_middle_of_any_write_it_becomes_what_it_was_or_has_grown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(1, 200):
        directory = tmp_path / str(number)
        path = directory / "old.zip"
        write_archive(path, OLD)
        write_archive(directory / "new.zip", NEW)
        with dying(monkeypatch, number) as steps, contextlib.suppress(Killed):
            grow(path, sources(directory / "new.zip"))
        left = read_archive(io.BytesIO(as_mended(path)))
        growing.mend(str(path))
        assert read_archive(path) == left and left in (OLD, {**OLD, **NEW})
        if left == OLD:
            grow(path, sources(directory / "new.zip"))
        assert read_archive(path) == {**OLD, **NEW} and sorted(os.listdir(directory)) == ["new.zip", "old.zip"]
        if len(steps) < number:
            assert {"rename", "fsync", "unlink", "write", "truncate"} <= set(steps) and number > 15
            return
    raise AssertionError("it never came to its end")


def test_killed_at_any_step_of_mending_it_is_mended_by_the_next(old: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(1, 50):
        write_archive(old, OLD)
        cut_off(old)
        with dying(monkeypatch, number) as steps, contextlib.suppress(Killed):
            growing.mend(str(old))
        growing.mend(str(old))
        assert read_archive(old) == OLD and sorted(os.listdir(old.parent)) == ["new.zip", "old.zip"]
        if len(steps) < number:
            assert number > 4
            return
    raise AssertionError("it never came to its end")


@pytest.mark.parametrize(
    "harm", [lambda content: content[:-1], lambda content: content[:20], lambda content: b"x" + content]
)
def test_a_damaged_journal_is_named_and_nothing_is_changed(old: Path, harm: Callable[[bytes], bytes]) -> None:
    cut_off(old)
    journal = old.with_name("old.zip.tail")
    journal.write_bytes(harm(journal.read_bytes()))
    before = tree(old.parent)
    with pytest.raises(Error, match=r"old\.zip\.tail beside it is damaged.*nothing was deleted"):
        growing.mend(str(old))
    assert tree(old.parent) == before


def test_where_the_archive_was_moved_away_its_journal_is_kept(old: Path) -> None:
    cut_off(old)
    old.unlink()
    before = tree(old.parent)
    with pytest.raises(Error, match="it is gone"):
        growing.mend(str(old))
    assert tree(old.parent) == before


@pytest.mark.parametrize("number", range(1, 8))
def test_where_the_disk_is_full_it_is_what_it_was(old: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    before = tree(old.parent)
    real = stored_zip.StoredZip.__init__

    def full(self: stored_zip.StoredZip, file: IO[bytes], *more: Any) -> None:
        real(self, _Full(file, number), *more)  # type: ignore[arg-type]

    monkeypatch.setattr(stored_zip.StoredZip, "__init__", full)
    with pytest.raises(OSError, match="No space left"):
        grow(old, sources(old.with_name("new.zip")))
    assert tree(old.parent) == before


class _Full:
    """A file for which there is no room any more from its write number `last` on."""

    def __init__(self, file: IO[bytes], last: int) -> None:
        self.file, self.left = file, last

    def write(self, content: bytes) -> int:
        self.left -= 1
        if not self.left:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return self.file.write(content)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.file, name)


def test_nothing_is_overwritten_where_there_is_no_room_for_the_journal(
    old: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = tree(old.parent)

    def full(temporary: str, path: str) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path)

    monkeypatch.setattr(durable, "publish", full)
    with pytest.raises(OSError, match="No space left"):
        grow(old, sources(old.with_name("new.zip")))
    assert tree(old.parent) == before


def test_no_journal_is_left_beside_an_archive_that_may_not_be_written_to(
    old: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = os.open

    def refusing(path: str, flags: int, *more: int) -> int:
        # Root may write to everything.
        if flags & os.O_RDWR and str(path) == str(old):
            raise PermissionError(errno.EACCES, "Permission denied", path)
        return opened(path, flags, *more)

    monkeypatch.setattr(os, "open", refusing)
    with pytest.raises(PermissionError):
        grow(old, sources(old.with_name("new.zip")))
    assert sorted(path.name for path in old.parent.iterdir()) == ["new.zip", "old.zip"]
