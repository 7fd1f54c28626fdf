# SPDX-License-Identifier: GPL-3.0-or-later
"""One whole step brings a camera's images home; whatever fails on the way, what is known already is told and kept."""

from __future__ import annotations

import multiprocessing
import os
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.wildberryeye.orchestrator.plugins.action import image_collection
from ansible_collections.wildberryeye.orchestrator.plugins.module_utils import (
    archive,
    outcome,
    receiving,
    room,
    transfer,
)
from ansible_collections.wildberryeye.orchestrator.plugins.module_utils.errors import Error
from ansible_collections.wildberryeye.orchestrator.plugins.module_utils.layout import Layout
from unit.acting import action_for
from unit.support import BATCH, EXPERIMENT, arrive, images

WAITING: dict[str, Any] = {
    "reached": True,
    "msg": "3 images to carry home, 0.0 MB",
    "batches": [{"experiment": EXPERIMENT, "batch": BATCH, "images": 3, "bytes": 3000, "zipped": True}],
    "ansible_facts": {"discovered_interpreter_python": "/usr/bin/python3"},
}
CLEAN = {"reached": True, "changed": True, "deleted": 3, "left": 0, "msg": "3 images deleted from the card"}
STALLED = {"failed": True, "msg": "rsync error: timeout in data send/receive", "rc": 30}


class Steps:
    """The steps that other actions take: notes what they are asked for, and answers by name."""

    def __init__(self, data_dir: Path, **answers: dict[str, Any]) -> None:
        self.data_dir = data_dir
        self.answers = {"image_batch": WAITING, "synchronize": {"changed": True}, "image_cleanup": CLEAN, **answers}
        self.asked: dict[str, dict[str, Any]] = {}
        self.facts: dict[str, Any] = {}

    def __call__(self, name: str, arguments: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        step = name.rpartition(".")[2]
        self.asked[step] = arguments
        self.facts[step] = task_vars.get("ansible_facts")
        if step == "synchronize":
            held = (self.data_dir / ".locks" / "transfer-1.guard").read_text()
            assert "object" in held, "it is carried in its turn"
            if not self.answers[step].get("failed"):
                arrive(self.data_dir, images(3))
        return dict(self.answers[step])


def bring_home(
    steps: Steps, monkeypatch: pytest.MonkeyPatch, check: bool = False, **given: Any
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Run the action; return its result, and what the table at the end makes of it."""
    wanted = {"image_dir": "/card", "data_dir": str(steps.data_dir), "purpose": "collect", **given}
    action = action_for(image_collection.ActionModule, check, **wanted)
    monkeypatch.setattr(action, "_step", steps)
    result = dict(action.run(None, {"inventory_hostname": "object"}))
    assert result["reached"] and "\n" not in result["msg"]
    return result, outcome.results({"wildberryeye_collection_result": result})


def test_what_is_ready_is_fetched_proven_and_deleted(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    steps = Steps(data_dir)
    result, told = bring_home(steps, monkeypatch, bwlimit="500k", method="files")
    assert list(steps.asked) == ["image_batch", "synchronize", "image_cleanup"]
    assert not result["failed"] and result["changed"] and outcome.home(told)
    assert result["msg"].startswith("3 images proven") and "deleted from the card" in result["msg"]
    assert (
        steps.asked["image_batch"]["method"] == "files" and "--bwlimit=500k" in steps.asked["synchronize"]["rsync_opts"]
    )
    (receipt,) = steps.asked["image_cleanup"]["receipts"]
    assert (receipt["batch"], receipt["unproven"]) == (BATCH, [])
    # What was found out about the camera's Python once is known in the end, and to the run.
    assert steps.facts["image_cleanup"] == result["ansible_facts"] == WAITING["ansible_facts"]
    assert not (data_dir / ".incoming").exists()


@pytest.mark.parametrize(
    ("answers", "asked", "words"),
    [
        ({"image_batch": {"reached": False, "failed": True, "msg": "no such directory. Look"}}, 1, "no such directory"),
        ({"synchronize": STALLED}, 2, "the transfer stalled"),
        ({"image_cleanup": {"reached": False, "failed": True, "msg": "unreachable by SSH"}}, 3, "unreachable by SSH"),
    ],
)
def test_a_step_that_fails_ends_it_in_one_line_and_the_camera_is_not_home(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch, answers: Any, asked: int, words: str
) -> None:
    steps = Steps(data_dir, **answers)
    result, told = bring_home(steps, monkeypatch)
    assert result["failed"] and words in result["msg"] and len(steps.asked) == asked
    assert not outcome.home(told) and words in outcome.failure(told)


def test_what_is_proven_is_deleted_though_other_images_are_not(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = "20260522T050000Z-00000009"
    batches = [*WAITING["batches"], {**WAITING["batches"][0], "batch": other}]
    steps = Steps(data_dir, image_batch={**WAITING, "batches": batches}, image_cleanup={**CLEAN, "left": 1})
    result, told = bring_home(steps, monkeypatch)
    assert result["failed"] and other in result["msg"]
    assert [receipt["batch"] for receipt in steps.asked["image_cleanup"]["receipts"]] == [BATCH]
    assert told["receipt"]["images"] == 3 and not outcome.home(told)


def test_nothing_to_carry_is_home_without_a_transfer(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    steps = Steps(data_dir, image_batch={"reached": True, "changed": False, "batches": [], "msg": "nothing"})
    result, told = bring_home(steps, monkeypatch)
    assert list(steps.asked) == ["image_batch"] and result["msg"] == "nothing" and not result["changed"]
    assert outcome.home(told) and outcome.carried(told) and not data_dir.exists()


def test_what_has_arrived_of_a_camera_that_another_run_carries_home_is_that_ones(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arrive(data_dir, images(3))
    held = {"reached": True, "changed": False, "left_alone": "it is held by a stop", "msg": "left alone: x"}
    steps = Steps(data_dir, image_batch=held)
    result, told = bring_home(steps, monkeypatch)
    assert not result["failed"] and list(steps.asked) == ["image_batch"] and not outcome.home(told)
    assert (data_dir / ".incoming").exists()


def test_what_a_killed_run_left_behind_of_batches_that_are_gone_goes(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arrive(data_dir, images(3))
    steps = Steps(data_dir, image_batch={"reached": True, "changed": False, "batches": [], "msg": "nothing"})
    bring_home(steps, monkeypatch, check=True)
    assert (data_dir / ".incoming").exists()
    layout = Layout(str(data_dir))
    receiving.receive(layout, "object", EXPERIMENT, BATCH)
    monkeypatch.setattr(image_collection, "receive_all", None)
    bring_home(steps, monkeypatch)
    assert not (data_dir / ".incoming").exists()


def test_what_has_arrived_whole_is_proven_though_its_card_was_replaced_by_an_empty_one(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arrive(data_dir, images(3))
    steps = Steps(data_dir, image_batch={"reached": True, "changed": False, "batches": [], "msg": "nothing"})
    result, told = bring_home(steps, monkeypatch)
    assert not result["failed"] and "3 images proven" in result["msg"] and outcome.home(told)
    assert archive.contents(Layout(str(data_dir)).together(EXPERIMENT, "object")).keys() == images(3).keys()
    assert not (data_dir / ".incoming").exists()


class Dead:
    """The process of a run that was killed."""

    pid = 1

    @staticmethod
    def is_alive() -> bool:
        return False


@pytest.mark.parametrize("arrived", [True, False])
def test_what_has_outlived_its_run_touches_nothing_any_more(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch, arrived: bool
) -> None:
    steps = Steps(data_dir, **({} if arrived else {"image_batch": {"reached": True, "batches": [], "msg": ""}}))
    if not arrived:
        arrive(data_dir, images(3))
    monkeypatch.setattr(multiprocessing, "parent_process", Dead)
    result, told = bring_home(steps, monkeypatch)
    assert result["failed"] and "the run was killed. Run it again" in result["msg"] and not outcome.home(told)
    assert "image_cleanup" not in steps.asked and (data_dir / ".incoming").exists()
    action = action_for(image_collection.ActionModule)
    with pytest.raises(Error, match="the run was killed"):
        action._step("ansible.posix.synchronize", {}, {})


def test_what_does_not_fit_beside_what_another_camera_brings_is_not_fetched(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = Steps(data_dir)
    os.makedirs(data_dir)
    theirs = {**WAITING["batches"][0], "bytes": 10_000_000}
    monkeypatch.setattr(room, "free", lambda layout: (64 << 20) + 10_000_000)
    others = {"camera": "motion", "batches": [theirs]}
    with transfer.turn(Layout(str(data_dir)).locks(), 2, others):
        result, told = bring_home(steps, monkeypatch)
    assert result["failed"] and "besides 10.0 MB for other cameras" in result["msg"]
    assert list(steps.asked) == ["image_batch"] and not outcome.home(told) and outcome.carried(told)
    result, told = bring_home(steps, monkeypatch)
    assert not result["failed"] and outcome.home(told)
