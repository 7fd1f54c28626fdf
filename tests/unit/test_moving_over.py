# SPDX-License-Identifier: GPL-3.0-or-later
"""What the stand-alone scripts have left in a data directory stays as it is: `docs/moving-over.md`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from unit.support import public, run_module, tree, write_archive

DAY = "2026-05-22"
OLD = {"object_20260522-093015-123456_wildberry01_root_CONF55_IOU65.jpg": b"\xff\xd8taken by the scripts\xff\xd9"}
CAMERAS = {"object": "object", "motion": "motion"}


def left_by_scripts(data_dir: Path) -> dict[str, str]:
    """Put there what they write, at the path where an archive of ours would lie; return what there is."""
    for camera in CAMERAS:
        path = data_dir / DAY / camera / f"{camera}_{DAY}.zip"
        path.parent.mkdir(parents=True)
        write_archive(path, OLD)
    return tree(data_dir)


def experiment(data_dir: Path, state: str, **given: Any) -> dict[str, Any]:
    """Run the module on that day."""
    arguments = {"data_dir": str(data_dir), "cameras": CAMERAS, "state": state, **given}
    return run_module("experiment", arguments, when=f"{DAY} 07:00:00").ok()


def test_a_day_of_the_scripts_is_not_mixed_with_an_experiment_and_not_a_byte_of_it_changes(data_dir: Path) -> None:
    before = left_by_scripts(data_dir)
    opened = experiment(data_dir, "recording")
    assert opened["id"] == f"{DAY}_2"
    after = tree(data_dir)
    assert {path: content for path, content in after.items() if path in before} == before
    assert not any(path.startswith(f"{DAY}/") for path in after.keys() - before.keys())


def test_an_experiment_is_never_opened_in_the_directory_of_a_day_that_a_person_names(data_dir: Path) -> None:
    before = left_by_scripts(data_dir)
    assert experiment(data_dir, "recording", id=DAY)["id"] == f"{DAY}_2"
    assert tree(data_dir).items() >= before.items()


def test_nothing_of_a_day_of_the_scripts_counts_as_open(data_dir: Path) -> None:
    before = left_by_scripts(data_dir)
    experiment(data_dir, "closing")
    assert tree(data_dir).items() >= before.items() and public(data_dir, "object", DAY) == [OLD]
