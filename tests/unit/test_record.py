# SPDX-License-Identifier: GPL-3.0-or-later
"""The record is read back as it was written, or called unreadable: never believed half."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.wildberryeye.orchestrator.plugins.module_utils import record
from ansible_collections.wildberryeye.orchestrator.plugins.module_utils.errors import Error
from ansible_collections.wildberryeye.orchestrator.plugins.module_utils.layout import Layout
from ansible_collections.wildberryeye.orchestrator.plugins.module_utils.record import CameraRecord, Record

ARCHIVE = {"name": "object_2026-05-22.zip", "images": 3, "bytes": 100}


def sample(day: str = "2026-05-22", **states: str) -> Record:
    cameras = {name: CameraRecord(name, state) for name, state in (states or {"object": "recording"}).items()}
    return Record(day, f"{day}T07:00:00+02:00", f"{day}T23:00:00+02:00", None, cameras)


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout(str(tmp_path))


def spoil(layout: Layout, change: dict[str, Any], camera: dict[str, Any] | None = None) -> None:
    record.save(layout, sample())
    path = Path(layout.record("2026-05-22"))
    content = json.loads(path.read_text())
    content.update(change)
    content["cameras"]["object"].update(camera or {}) if camera else None
    path.write_text(json.dumps(content))


def test_what_is_saved_is_read_back(layout: Layout) -> None:
    saved = sample()
    saved.cameras["motion"] = CameraRecord("motion", "home", "2026-05-22T07:01:00+02:00", [dict(ARCHIVE)])
    record.save(layout, saved)
    assert record.load(layout, "2026-05-22") == saved
    assert json.loads(Path(layout.record("2026-05-22")).read_text())["state"] == "recording"


@pytest.mark.parametrize(
    ("states", "state"),
    [
        (["expected", "home"], "recording"),
        (["recording", "closing"], "recording"),
        (["closing", "home"], "closing"),
        (["home", "given_up"], "closed"),
        ([], "closed"),
    ],
)
def test_an_experiment_is_open_as_long_as_one_camera_is_out(states: list[str], state: str) -> None:
    found = Record("x", "", "", cameras={str(n): CameraRecord("object", each) for n, each in enumerate(states)})
    assert found.state == state


def test_a_lost_record_is_none(layout: Layout) -> None:
    assert record.load(layout, "2026-05-22") is None
    Path(layout.experiment("2026-05-22")).mkdir(parents=True)
    assert record.load(layout, "2026-05-22") is None


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "7", '"x"', "{}", "[" * 100_000, "\x00" * 500])
def test_a_torn_record_is_named_and_not_believed(layout: Layout, text: str) -> None:
    record.save(layout, sample())
    Path(layout.record("2026-05-22")).write_text(text)
    with pytest.raises(Error) as caught:
        record.load(layout, "2026-05-22")
    assert "experiment.json" in str(caught.value) and "Move it away" in str(caught.value)


def test_a_record_cut_short_at_any_byte_is_not_believed(layout: Layout) -> None:
    record.save(layout, sample())
    path = Path(layout.record("2026-05-22"))
    whole = path.read_bytes()
    for length in range(len(whole) - 2):
        path.write_bytes(whole[:length])
        with pytest.raises(Error):
            record.load(layout, "2026-05-22")


@pytest.mark.parametrize(
    "change",
    [
        {"format": 2},
        {"format": None},
        {"id": "2026-05-23"},
        {"id": "../2026-05-22"},
        {"opened": "yesterday"},
        {"opened": "2026-05-22T07:00:00"},
        {"opened": 7},
        {"window_end": None},
        {"cameras": []},
        {"cameras": {"object": []}},
        {"cameras": {"object": {"mode": "object", "unknown": 1}}},
        {"unknown": 1},
    ],
)
def test_a_record_of_another_version_is_not_believed(layout: Layout, change: dict[str, Any]) -> None:
    spoil(layout, change)
    with pytest.raises(Error):
        record.load(layout, "2026-05-22")


@pytest.mark.parametrize(
    "camera",
    [
        {"state": "paused"},
        {"state": ["recording"]},
        {"state": None},
        {"mode": 5},
        {"since": 5},
        {"archives": None},
        {"archives": ["x"]},
        {"archives": [{"name": "x"}]},
    ],
)
def test_a_camera_in_a_state_unknown_here_does_not_count_as_home(layout: Layout, camera: dict[str, Any]) -> None:
    spoil(layout, {}, camera)
    with pytest.raises(Error):
        record.load(layout, "2026-05-22")


def test_one_unreadable_record_does_not_hide_the_others(layout: Layout) -> None:
    for day in ("2026-05-20", "2026-05-21", "2026-05-22", "2026-05-23"):
        record.save(layout, sample(day))
    Path(layout.record("2026-05-21")).write_text("{")
    Path(layout.record("2026-05-23")).unlink()
    Path(layout.record("2026-05-23")).mkdir()
    found, unreadable = record.load_all(layout)
    assert [each.id for each in found] == ["2026-05-22", "2026-05-20"]
    assert len(unreadable) == 2 and "2026-05-21" in unreadable[0] and "2026-05-23" in unreadable[1]


def test_the_latest_is_first_whatever_its_name_and_its_zone(layout: Layout) -> None:
    for name, opened in (
        ("z", "2026-05-22T07:00:00+02:00"),
        ("a", "2026-05-22T06:00:00+00:00"),
        ("m", "2026-05-22T07:30:00+02:00"),
    ):
        record.save(layout, Record(name, opened, opened))
    assert [each.id for each in record.load_all(layout)[0]] == ["a", "m", "z"]


def test_saving_replaces_in_one_step_and_leaves_nothing_beside(layout: Layout) -> None:
    record.save(layout, sample())
    Path(layout.record("2026-05-22") + ".tmp").write_text("left by a killed run")
    record.save(layout, sample(object="closing"))
    assert sorted(path.name for path in Path(layout.experiment("2026-05-22")).iterdir()) == ["experiment.json"]
