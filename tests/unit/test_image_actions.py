# SPDX-License-Identifier: GPL-3.0-or-later
"""What the actions that carry home do on the orchestrator: locks, receipts, notes; only the camera is a fake."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.wildberryeye.orchestrator.plugins.action import image_batch, image_cleanup
from ansible_collections.wildberryeye.orchestrator.plugins.module_utils import events, lock, receiving
from ansible_collections.wildberryeye.orchestrator.plugins.module_utils.layout import Layout
from ansible_collections.wildberryeye.orchestrator.plugins.module_utils.record import (
    CLOSING,
    HOME,
    RECORDING,
    CameraRecord,
    Record,
    save,
)
from unit.acting import FAILED, There, act, clocks
from unit.support import BATCH, EXPERIMENT, arrive, images, tree


def test_batches_are_made_under_the_runs_lock_with_the_receipts_that_are_pending(
    layout: Layout, data_dir: Path
) -> None:
    arrive(data_dir, images(3))
    receipt = receiving.receive(layout, "object", EXPERIMENT, BATCH).receipt
    arrive(data_dir, images(3), camera="motion")
    there = There({"changed": True, "batches": [], "msg": "x"})
    given: dict[str, Any] = {"image_dir": "/card", "data_dir": layout.data_dir, "purpose": "collect"}
    assert act(image_batch.ActionModule, there, **given)["reached"] is True
    assert there.asked[0]["receipts"] == [receipt._asdict()] and there.asked[0]["method"] == "zip"
    held = lock.owner(layout.locks(), "collection-object")
    assert held is not None and (held.pid, held.purpose) == (os.getpid(), "collect")


def test_in_check_mode_no_lock_is_taken_for_batches(layout: Layout, data_dir: Path) -> None:
    there = There({"changed": False, "msg": "x"})
    given: dict[str, Any] = {"image_dir": "/card", "data_dir": layout.data_dir, "purpose": "collect"}
    assert act(image_batch.ActionModule, there, check=True, **given)["reached"] and not data_dir.exists()


@pytest.mark.parametrize(("purpose", "ended"), [("collect", False), ("stop", True), ("start", True)])
def test_only_a_start_or_a_stop_ends_a_collection_in_its_way(
    layout: Layout, monkeypatch: pytest.MonkeyPatch, purpose: str, ended: bool
) -> None:
    asked: list[bool] = []

    def take(directory: str, name: str, new: Any, wait: float, end: Callable[[Any], bool]) -> None:
        asked.append(end(new))

    monkeypatch.setattr(lock, "take", take)
    there = There({"changed": False, "msg": "x"})
    act(image_batch.ActionModule, there, image_dir="/card", data_dir=layout.data_dir, purpose=purpose)
    assert asked == [ended]


def test_a_collection_that_another_run_is_at_is_not_disturbed(layout: Layout) -> None:
    lock.take(layout.locks(), "collection-object", lock.Owner.of(os.getppid(), "collect"), wait=0)
    given: dict[str, Any] = {"image_dir": "/card", "data_dir": layout.data_dir, "purpose": "collect"}
    result = act(image_batch.ActionModule, There(), **given)
    assert result["failed"] and result["reached"] is True and "a collect that is running" in result["msg"]


def test_a_timers_collection_leaves_alone_what_another_run_is_at_and_does_not_fail(
    layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock.take(layout.locks(), "collection-object", lock.Owner.of(os.getppid(), "stop"), wait=0)
    given: dict[str, Any] = {"image_dir": "/card", "data_dir": layout.data_dir}
    there = There()
    result = act(image_batch.ActionModule, there, scheduled="true", purpose="collect", **given)
    assert not result.get("failed") and "batches" not in result and there.asked == []
    assert result["left_alone"].startswith("it is held by a stop that is running (process ")
    # A start or a stop that a timer began has to have it.
    monkeypatch.setattr(lock, "_end", lambda held: None)
    monkeypatch.setattr(lock, "_ENDING", 0.0)
    for purpose in ("start", "stop"):
        assert act(image_batch.ActionModule, There(), scheduled="true", purpose=purpose, **given)["failed"]


@pytest.mark.parametrize("kind", [image_batch.ActionModule, image_cleanup.ActionModule])
def test_batches_and_cleanups_that_were_not_done_on_the_camera_are_out_of_reach(kind: Any, layout: Layout) -> None:
    given: dict[str, Any] = {"image_dir": "/card", "receipts": []}
    if kind is image_batch.ActionModule:
        given |= {"data_dir": layout.data_dir, "purpose": "stop"}
    for answer, words in (
        (FAILED, "stop wildberryeye.service: no. Look"),
        ({"failed": True, "msg": "MODULE FAILURE", "module_stderr": "sudo: a password is required"}, "sudo asks for"),
    ):
        result = act(kind, There(answer), **given)
        assert result["failed"] and result["reached"] is False and words in result["msg"]


def test_a_cleanup_hands_the_receipts_over_as_they_are(tmp_path: Path) -> None:
    there = There({"changed": True, "deleted": 3, "left": 0, "msg": "x"})
    given: dict[str, Any] = {"image_dir": "/card", "receipts": [{"batch": BATCH}]}
    before = tree(tmp_path)
    result = act(image_cleanup.ActionModule, there, **given)
    assert (result["reached"], result["left"], there.asked) == (True, 0, [given]) and tree(tmp_path) == before


def test_a_collection_notes_the_clock_of_a_camera_that_records(layout: Layout) -> None:
    given: dict[str, Any] = {"image_dir": "/card", "data_dir": layout.data_dir}
    answer = {"changed": False, "batches": [], "msg": "x"}
    cameras = {"object": CameraRecord("object", RECORDING)}
    save(layout, Record(EXPERIMENT, "2026-05-22T07:00:00+02:00", "2026-05-23T01:00:00+02:00", None, cameras))
    for purpose, check in (("collect", True), ("stop", False), ("collect", False)):
        there = There({**answer, "now": time.time() - 100})
        assert "now" not in act(image_batch.ActionModule, there, check, **given, purpose=purpose)
    (event,) = clocks(layout)
    assert event["by"] == "collect" and abs(event["offset"] + 100) < 5


def test_room_and_temperature_are_noted_while_the_experiment_is_open(
    layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: dict[str, Any] = {"image_dir": "/card", "data_dir": layout.data_dir, "purpose": "collect"}
    answer = {"changed": False, "batches": [], "msg": "x", "free": 5_000_000}
    cameras = {"object": CameraRecord("object", RECORDING)}
    kept = Record(EXPERIMENT, "2026-05-22T07:00:00+02:00", "2026-05-23T01:00:00+02:00", None, cameras)
    save(layout, kept)
    act(image_batch.ActionModule, There(answer), True, **given)
    act(image_batch.ActionModule, There({**answer, "temperature": 53.692}), **given)
    cameras["object"].state = CLOSING
    save(layout, kept)
    act(image_batch.ActionModule, There({**answer, "temperature": None}), **given)
    cameras["object"].state = HOME
    save(layout, kept)
    act(image_batch.ActionModule, There(answer), **given)
    found = [
        {key: event[key] for key in ("free", "temperature") if key in event}
        for event in events.read(layout.events(EXPERIMENT))
        if event["event"] == "card"
    ]
    assert found == [{"free": 5_000_000, "temperature": 53.7}, {"free": 5_000_000}]
    cameras["object"].state = RECORDING
    save(layout, kept)

    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(events, "append", full)
    result = act(image_batch.ActionModule, There(answer), **given)
    assert not result.get("failed") and "x; note how much room its card has: No space" in result["msg"]
