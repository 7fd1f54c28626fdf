# SPDX-License-Identifier: GPL-3.0-or-later
"""A module killed with 9 at any of its file operations (C1, C2, C21): nothing is lost, the next run completes."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from faults.case import Case
from faults.kills import kill_everywhere
from faults.on_card import CAMERA, MORE_ON_A_CAMERA
from faults.on_orchestrator import MORE_ON_THE_ORCHESTRATOR, ORCHESTRATOR, Carrying


def kill(name: str, case: Case, where: Path, both_sides: bool, least: int) -> None:
    begin = time.monotonic()
    kills = kill_everywhere(case, where, both_sides)
    print(f"kills: {name}: {kills} kills, {time.monotonic() - begin:.1f} s")
    assert kills >= least


@pytest.mark.parametrize("name", ORCHESTRATOR)
def test_c1_a_module_killed_before_any_of_its_file_operations_loses_nothing(name: str, tmp_path: Path) -> None:
    """kill -9 before each rename, unlink, mkdir, rmdir, fsync, open of each module -> run again: completes."""
    kill(name, ORCHESTRATOR[name], tmp_path, both_sides=False, least=15)


@pytest.mark.parametrize("name", CAMERA)
def test_c2_a_module_killed_before_any_of_its_file_operations_loses_nothing(name: str, tmp_path: Path) -> None:
    """kill -9 before each rename, unlink, mkdir, rmdir, fsync, open of each module -> run again: completes."""
    kill(name, CAMERA[name], tmp_path, both_sides=False, least=10)


@pytest.mark.ci
def test_c21_killed_anywhere_between_receipt_and_cleanup_nothing_is_archived_twice(tmp_path: Path) -> None:
    """kill -9 before each file operation of image_receipt, then the whole next run -> one archive, nothing twice."""
    kill("image_receipt, then all of the next run", Carrying(), tmp_path, both_sides=False, least=20)


@pytest.mark.slow
@pytest.mark.parametrize("name", [*ORCHESTRATOR, *MORE_ON_THE_ORCHESTRATOR])
def test_c1_a_module_killed_on_either_side_of_any_of_them_loses_nothing(name: str, tmp_path: Path) -> None:
    """kill -9 before and after each of them and each write, from more starting states -> run again: completes."""
    kill(name, {**ORCHESTRATOR, **MORE_ON_THE_ORCHESTRATOR}[name], tmp_path, both_sides=True, least=20)


@pytest.mark.slow
@pytest.mark.parametrize("name", [*CAMERA, *MORE_ON_A_CAMERA])
def test_c2_a_module_killed_on_either_side_of_any_of_them_loses_nothing(name: str, tmp_path: Path) -> None:
    """kill -9 before and after each of them and each write, from more starting states -> run again: completes."""
    kill(name, {**CAMERA, **MORE_ON_A_CAMERA}[name], tmp_path, both_sides=True, least=20)
