# SPDX-License-Identifier: GPL-3.0-or-later
"""Where things lie: the paths that notebooks open, and that no camera may choose."""

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.wildberryeye.orchestrator.plugins.module_utils.layout import Layout


def test_notebooks_find_the_archive_where_it_always_was() -> None:
    layout = Layout("/data")
    assert layout.archive("2026-05-22", "object", 1) == "/data/2026-05-22/object/object_2026-05-22.zip"
    assert layout.archive("2026-05-22", "object", 2) == "/data/2026-05-22/object/object_2026-05-22_part2.zip"


def test_every_path_lies_below_the_data_directory() -> None:
    layout = Layout("/data")
    assert {
        "experiment": layout.experiment("e"),
        "record": layout.record("e"),
        "events": layout.events("e"),
        "camera": layout.camera("e", "c"),
        "receipt": layout.receipt("e", "c", "b"),
        "parts": layout.parts("e", "c"),
        "incoming": layout.incoming("c"),
        "locks": layout.locks(),
    } == {
        "experiment": "/data/e",
        "record": "/data/e/experiment.json",
        "events": "/data/e/events.jsonl",
        "camera": "/data/e/c",
        "receipt": "/data/e/c/receipts/b.json",
        "parts": "/data/e/c/parts",
        "incoming": "/data/.incoming/c",
        "locks": "/data/.locks",
    }


def test_home_is_expanded_and_a_relative_path_made_absolute(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", "/home/decim")
    monkeypatch.chdir(tmp_path)
    assert Layout("~/wild berries").data_dir == "/home/decim/wild berries"
    assert Layout("data/").data_dir == str(tmp_path / "data")


def test_archives_come_in_the_order_of_their_parts_and_nothing_else_counts(tmp_path: Path) -> None:
    layout = Layout(str(tmp_path))
    directory = tmp_path / "2026-05-22" / "object"
    directory.mkdir(parents=True)
    right = ["object_2026-05-22.zip", *(f"object_2026-05-22_part{n}.zip" for n in (2, 3, 10))]
    wrong = [
        ".object_2026-05-22.zip",
        "object_2026-05-22.zip.tmp",
        "object_2026-05-22_partx.zip",
        "object_2026-05-23.zip",
        "object_2026-05-22.zipx",
        "x_object_2026-05-22.zip",
    ]
    for name in right + wrong:
        (directory / name).touch()
    assert [Path(path).name for path in layout.archives("2026-05-22", "object")] == right


def test_an_archive_that_a_person_named_is_listed_under_the_name_that_it_has(tmp_path: Path) -> None:
    directory = tmp_path / "e" / "c"
    directory.mkdir(parents=True)
    for name in ("c_e_part1.zip", "c_e_part02.zip"):
        (directory / name).touch()
    assert all(Path(path).exists() for path in Layout(str(tmp_path)).archives("e", "c"))
    assert len(Layout(str(tmp_path)).archives("e", "c")) == 2


def test_a_dot_in_a_name_stands_for_itself(tmp_path: Path) -> None:
    (tmp_path / "a.b" / "c").mkdir(parents=True)
    (tmp_path / "a.b" / "c" / "c_axb.zip").touch()
    assert Layout(str(tmp_path)).archives("a.b", "c") == []


def test_a_missing_data_directory_holds_no_experiments(tmp_path: Path) -> None:
    layout = Layout(str(tmp_path / "none"))
    assert layout.experiments() == [] and layout.archives("e", "c") == []


def test_experiments_are_directories_and_hidden_ones_are_not_among_them(tmp_path: Path) -> None:
    for name in ("2026-05-22", "unclaimed", ".incoming", ".locks"):
        (tmp_path / name).mkdir()
    (tmp_path / "notes.txt").touch()
    assert Layout(str(tmp_path)).experiments() == ["2026-05-22", "unclaimed"]
