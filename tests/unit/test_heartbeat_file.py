# SPDX-License-Identifier: GPL-3.0-or-later
"""What others read of the heartbeat's file: what it cannot say is not made up."""

from __future__ import annotations

import datetime as dt
import json
import os
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.wildberryeye.orchestrator.plugins.module_utils import heartbeat_file, lock
from ansible_collections.wildberryeye.orchestrator.plugins.module_utils.heartbeat_file import Card
from ansible_collections.wildberryeye.orchestrator.plugins.module_utils.layout import Layout

NOON = "2026-05-22T12:00:00+02:00"
FULL = 10_000_000_000


def written(data_dir: Path, *cameras: dict[str, Any], **changed: Any) -> Layout:
    """What this process, as a heartbeat that lives, would have written of cameras a, b, …"""
    layout = Layout(str(data_dir))
    data_dir.mkdir(parents=True, exist_ok=True)
    owner = lock.Owner.of(os.getpid(), "heartbeat")
    content = {
        "boot": owner.boot,
        "pid": owner.pid,
        "started": owner.started,
        "cameras": dict(zip("ab", cameras, strict=False)),
    }
    Path(layout.heartbeat()).write_text(json.dumps({**content, **changed}))
    return layout


def seen(*looks: tuple[str, Any]) -> dict[str, Any]:
    return {"free": FULL, "card": {"most": FULL, "seen": [[f"2026-05-22T{at}+02:00", free] for at, free in looks]}}


@pytest.mark.parametrize(
    ("looks", "rate"),
    [
        ([("10:00:00", FULL), ("12:00:00", FULL - 7_200_000)], 1000.0),
        ([("10:00:00", FULL), ("12:00:00", FULL)], 0.0),
        ([("11:30:00", FULL), ("12:00:00", FULL - 7_200_000)], None),  # too short a time
        ([("10:00:00", FULL), ("11:00:00", 1), ("12:00:00", FULL - 9)], None),  # carried away meanwhile
        ([("12:00:00", FULL), ("10:00:00", FULL)], None),
        ([("10:00:00", "much"), ("12:00:00", FULL)], None),
        ([], None),
    ],
)
def test_how_fast_a_card_fills_is_said_where_that_is_known(tmp_path: Path, looks: Any, rate: float | None) -> None:
    assert heartbeat_file.read(written(tmp_path, seen(*looks))).cards == {"a": Card(FULL, rate)}


def test_what_a_dead_one_thought_counts_for_nothing_but_what_it_saw_stays_seen(tmp_path: Path) -> None:
    mine = {"experiment": "2026-05-22", "last_good": NOON, "free": FULL}
    layout = written(tmp_path, mine, {**mine, "experiment": "2026-05-21"}, boot="another")
    found = heartbeat_file.read(layout)
    assert not found.beat["running"] and found.beat["cameras"] == {} and found.cards == {}
    assert heartbeat_file.last_good(layout, "2026-05-22") == {"a": dt.datetime.fromisoformat(NOON)}


@pytest.mark.parametrize("content", ["", "{", "[]", "7", '{"cameras": 7}', '{"cameras": {"a": 7}}', "[" * 100_000])
def test_one_that_is_torn_says_nothing(tmp_path: Path, content: str) -> None:
    layout = written(tmp_path)
    Path(layout.heartbeat()).write_text(content)
    assert heartbeat_file.last_good(layout, "2026-05-22") == {} and heartbeat_file.read(layout).cards == {}


@pytest.mark.parametrize("last_good", [None, 7, "noon", "2026-05-22T12:00:00"])
def test_a_time_that_is_none_is_passed_over(tmp_path: Path, last_good: Any) -> None:
    mine = {"experiment": "2026-05-22", "last_good": last_good}
    assert heartbeat_file.last_good(written(tmp_path, mine), "2026-05-22") == {}
