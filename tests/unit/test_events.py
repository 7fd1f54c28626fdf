# SPDX-License-Identifier: GPL-3.0-or-later
"""The list of what happened keeps every whole line, whatever happens to the last one."""

from __future__ import annotations

import datetime as dt
import errno
import json
import multiprocessing
import os
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.wildberryeye.orchestrator.plugins.module_utils import events


def test_a_line_says_when_which_camera_what_and_details(tmp_path: Path) -> None:
    path = str(tmp_path / "new" / "events.jsonl")
    events.append(path, "opened")
    events.append(path, "receipt", "object", images=3, unproven=["ä"])
    first, second = events.read(path)
    assert (first["event"], first["camera"]) == ("opened", None)
    assert (second["camera"], second["images"], second["unproven"]) == ("object", 3, ["ä"])
    assert dt.datetime.fromisoformat(second["at"]).tzinfo is not None


def test_a_list_that_is_missing_is_empty(tmp_path: Path) -> None:
    assert events.read(str(tmp_path / "none")) == []


def test_a_line_torn_by_a_power_cut_costs_no_other(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    events.append(str(path), "one")
    events.append(str(path), "two")
    path.write_bytes(path.read_bytes()[:-9])
    events.append(str(path), "three")
    assert [line["event"] for line in events.read(str(path))] == ["one", "three"]


def test_lines_that_are_no_events_are_left_out(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_bytes(b'\xff\xfe\n[1]\n"x"\n' + b"[" * 100_000 + b'\n{"event": "good"}\n\x00\x00\n')
    assert events.read(str(path)) == [{"event": "good"}]


def test_an_odd_name_cannot_make_an_event_a_traceback_or_two_lines(tmp_path: Path) -> None:
    path = str(tmp_path / "events.jsonl")
    events.append(path, "failed", "object", text="caf\udcff\n{}")
    assert [line["text"] for line in events.read(path)] == ["caf?\n{}"]
    assert Path(path).read_bytes().count(b"\n") == 1


def _append_many(path: str, who: int) -> None:
    for number in range(50):
        events.append(path, "x" * 3000, str(who), number=number)


def test_eight_writers_at_once_lose_no_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = str(tmp_path / "events.jsonl")
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)
    fork = multiprocessing.get_context("fork")
    writers = [fork.Process(target=_append_many, args=(path, who)) for who in range(8)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert len([json.loads(line) for line in Path(path).read_bytes().splitlines()]) == 400


def test_a_full_disk_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        events.append(str(tmp_path / "events.jsonl"), "x")
