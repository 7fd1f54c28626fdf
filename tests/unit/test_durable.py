# SPDX-License-Identifier: GPL-3.0-or-later
"""A file with a public name is whole, whenever its writer was killed."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from ansible_collections.wildberryeye.orchestrator.plugins.module_utils import durable
from unit.cards import every_kill


def test_a_file_is_there_whole_or_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"old")
    with durable.replacing(str(path)) as file:
        file.write(b"new")
        assert path.read_bytes() == b"old"
    assert path.read_bytes() == b"new"
    assert os.listdir(tmp_path) == ["x"]


def test_a_writer_that_fails_leaves_what_was_there_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"old")
    with pytest.raises(KeyboardInterrupt), durable.replacing(str(path)) as file:
        file.write(b"half")
        raise KeyboardInterrupt
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["x"]


def test_a_writer_killed_at_any_step_leaves_the_old_file_or_the_new_one(tmp_path: Path) -> None:
    def prepare(where: Path) -> Callable[[], object]:
        (where / "x").write_bytes(b"old")

        def work() -> None:
            with durable.replacing(str(where / "x")) as file:
                file.write(b"new" * 10_000)

        return work

    for where in every_kill(tmp_path, prepare):
        assert (where / "x").read_bytes() in (b"old", b"new" * 10_000)
        prepare(where)()
        assert (where / "x").read_bytes() == b"new" * 10_000
        assert os.listdir(where) == ["x"]


def test_content_is_on_the_disk_before_it_has_its_name_and_the_name_thereafter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[str] = []
    fsync, rename = os.fsync, os.rename

    def synced(descriptor: int) -> None:
        steps.append("sync " + os.path.basename(os.readlink(f"/proc/self/fd/{descriptor}")))
        fsync(descriptor)

    def renamed(source: str, target: str) -> None:
        steps.append("rename")
        rename(source, target)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "rename", renamed)
    with durable.replacing(str(tmp_path / "x")) as file:
        file.write(b"new")
    assert steps == ["sync x.tmp", "rename", f"sync {tmp_path.name}"]


def test_a_planted_link_is_not_written_through(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    (tmp_path / "x.tmp").symlink_to(victim)
    with durable.replacing(str(tmp_path / "x")) as file:
        file.write(b"new")
    assert victim.read_bytes() == b"precious"
    assert not (tmp_path / "x").is_symlink()


def test_a_run_that_was_given_up_and_goes_on_does_not_publish_its_successors_half_written_file(tmp_path: Path) -> None:
    path = tmp_path / "x"
    given_up = durable.replacing(str(path))
    first = given_up.__enter__()
    first.write(b"complete")
    with durable.replacing(str(path)) as successor:
        successor.write(b"half")
        successor.flush()
        with pytest.raises(FileExistsError, match="another process"):
            given_up.__exit__(None, None, None)
        assert not path.exists(), "the given up run has published what its successor was still writing"
        successor.write(b" and half")
    assert path.read_bytes() == b"half and half"
    assert os.listdir(tmp_path) == ["x"]


def test_directories_are_made_with_all_that_is_missing_above_them(tmp_path: Path) -> None:
    durable.make_directories(str(tmp_path / "a" / "b" / "c"))
    durable.make_directories(str(tmp_path / "a" / "b" / "c"))
    assert (tmp_path / "a" / "b" / "c").is_dir()


def test_directories_half_made_when_killed_are_completed(tmp_path: Path) -> None:
    def prepare(where: Path) -> Callable[[], object]:
        return lambda: durable.make_directories(str(where / "a" / "b"))

    for where in every_kill(tmp_path, prepare):
        prepare(where)()
        assert (where / "a" / "b").is_dir()


def test_removing_says_whether_it_was_there(tmp_path: Path) -> None:
    (tmp_path / "x").touch()
    assert durable.remove(str(tmp_path / "x"))
    assert not durable.remove(str(tmp_path / "x"))


def test_publishing_gives_a_finished_file_its_name(tmp_path: Path) -> None:
    (tmp_path / "x.tmp").write_bytes(b"done")
    durable.publish(str(tmp_path / "x.tmp"), str(tmp_path / "x"))
    assert (tmp_path / "x").read_bytes() == b"done"
    durable.sync_directory(str(tmp_path))
    with pytest.raises(NotADirectoryError):
        durable.sync_directory(str(tmp_path / "x"))
