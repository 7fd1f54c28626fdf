# SPDX-License-Identifier: GPL-3.0-or-later
"""The overview says what is true, and where nothing is known it says that."""

from __future__ import annotations

import copy
import datetime as dt
import json
import os
from pathlib import Path
from typing import Any

import pytest
from ansible.errors import AnsibleFilterError, AnsibleLookupError

from ansible_collections.wildberryeye.orchestrator.plugins.filter import overview as overview_filter
from ansible_collections.wildberryeye.orchestrator.plugins.lookup.station import LookupModule
from ansible_collections.wildberryeye.orchestrator.plugins.module_utils import heartbeat_file, lock, overview
from ansible_collections.wildberryeye.orchestrator.plugins.module_utils.layout import Layout
from ansible_collections.wildberryeye.orchestrator.plugins.module_utils.record import (
    CLOSING,
    EXPECTED,
    HOME,
    RECORDING,
    CameraRecord,
    Record,
    save,
)
from unit.support import EXPERIMENT, ROOT, tree

pytestmark = pytest.mark.usefixtures("in_berlin")

NOW = dt.datetime.fromisoformat("2026-05-22T09:30:20+02:00")
LOOKED = NOW.timestamp()
MODES = {"object": "object", "motion": "motion"}
CARD = {
    "images": 412,
    "bytes": 80_112_233,
    "last": "object_20260522-093008-123456_w_root.jpg",
    "last_taken": "2026-05-22T09:30:08+02:00",
    "last_age": 12.3,
    "batches": 1,
    "set_aside": 38,
    "foreign_count": 0,
    "free_bytes": 25_300_000_000,
    "free_inodes": 1000,
}
FOUND: dict[str, Any] = {
    "reachable": True,
    "problem": "",
    "looked": LOOKED,
    "clock": LOOKED + 0.4,
    "uptime": 9000.4,
    "temperature": 53.7,
    "service": {"state": "active", "age": 9020.0, "restarts": 0},
    "label": EXPERIMENT,
    "card": CARD,
}
DOWN = {"reachable": False, "problem": "unreachable by SSH. Check its power", "changed": False}
THOUGHT = {
    "state": "recording",
    "text": "records",
    "since": "2026-05-22T07:01:00+02:00",
    "last_good": "2026-05-22T09:30:00+02:00",
    "clock_offset": 0.2,
    "degraded": False,
    "restarts": 0,
}


def records(state: str = RECORDING) -> list[Record]:
    cameras = {name: CameraRecord(name, state, "2026-05-22T07:00:20+02:00") for name in MODES}
    return [Record(EXPERIMENT, "2026-05-22T07:00:00+02:00", "2026-05-23T01:00:00+02:00", None, cameras)]


def said(thought: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    cameras = {"object": thought} if thought else {}
    return {"pid": 7, "written": "2026-05-22T09:30:00+02:00", "cameras": cameras, **more}


def found(
    result: dict[str, Any], known: list[Record] | None = None, beat: dict[str, Any] | None = None
) -> dict[str, Any]:
    station = {
        "experiments": overview.open_experiments(records() if known is None else known),
        "heartbeat": heartbeat_file.beat(beat, beat is not None),
        "problems": [],
    }
    facts = overview.facts({"object": result}, MODES, station, NOW)
    assert json.loads(json.dumps(facts, allow_nan=False)) == facts
    return facts


def camera(*args: Any, **kwargs: Any) -> dict[str, Any]:
    return dict(found(*args, **kwargs)["cameras"]["object"])


def row(*args: Any, **kwargs: Any) -> list[str]:
    """The cells of the only row."""
    header, line = overview.table(found(*args, **kwargs)).splitlines()[1:3]
    starts = [header.index(title) for title in overview._HEADER]
    return [line[start:end].strip() for start, end in zip(starts, [*starts[1:], None], strict=True)]


def notes(*args: Any, **kwargs: Any) -> list[str]:
    return overview.table(found(*args, **kwargs)).splitlines()[3:]


def changed(**facts: Any) -> dict[str, Any]:
    return {**copy.deepcopy(FOUND), **facts}


def test_a_camera_that_is_well_is_one_row_and_nothing_to_see_to() -> None:
    assert row(FOUND, beat=said(THOUGHT)) == [
        *("object", "yes", "active 07:00", "2026-05-22, 07:00", "12 s, 09:30:08"),
        *("412 + 38 aside", "25.3 GB", "ok", "54 °C", "recording"),
    ]
    assert notes(FOUND, beat=said(THOUGHT)) == []


def test_programs_get_numbers_in_bytes_and_seconds_and_times_with_an_offset() -> None:
    assert camera(FOUND, beat=said(THOUGHT)) == {
        "mode": "object",
        "reachable": True,
        "problem": "",
        "service": {"state": "active", "since": "2026-05-22T07:00:00+02:00", "restarts": 0},
        "recording": True,
        "label": EXPERIMENT,
        "wanted": EXPERIMENT,
        "wanted_since": "2026-05-22T07:00:20+02:00",
        "last_image": {"name": CARD["last"], "taken": "2026-05-22T09:30:08+02:00", "age": 12},
        "images": {"loose": 412, "bytes": 80_112_233, "batches": 1, "set_aside": 38, "foreign": 0},
        "free_bytes": 25_300_000_000,
        "free_inodes": 1000,
        "clock_offset": 0.4,
        "temperature": 53.7,
        "uptime": 9000,
        "heartbeat": THOUGHT,
    }


def test_a_camera_that_does_not_answer_is_a_row_with_nothing_made_up() -> None:
    assert row(DOWN) == ["object", "no", *["-"] * 8]
    assert notes(DOWN) == ["object: unreachable by SSH. Check its power"]
    facts = camera(DOWN)
    assert facts.keys() == camera(FOUND).keys()
    known = {"mode": "object", "reachable": False, "problem": DOWN["problem"], "wanted": EXPERIMENT}
    assert {name: value for name, value in facts.items() if value is not None} == {
        **known,
        "wanted_since": "2026-05-22T07:00:20+02:00",
    }


def test_what_the_heartbeat_thinks_of_a_camera_that_does_not_answer_stands_in_its_row() -> None:
    thought = {**THOUGHT, "state": "wedged", "text": "accepts connections and does not answer"}
    assert row(DOWN, beat=said(thought))[-1] == "wedged"
    assert notes(DOWN, beat=said(thought))[-1] == (
        "object: heartbeat: accepts connections and does not answer, since 07:01"
    )


@pytest.mark.parametrize(
    ("result", "words"),
    [
        ({}, "without a word"),
        ({"failed": True, "msg": "x", "timedout": {}}, "lets us in, and does not answer"),
        ({"failed": True, "msg": "sudo: a password is required"}, "sudo asks for a password"),
    ],
)
def test_a_camera_of_which_there_is_no_result_says_why(result: dict[str, Any], words: str) -> None:
    assert words in notes(result)[0] and row(result)[1] == "no"


@pytest.mark.parametrize(
    ("facts", "state", "recording", "note"),
    [
        ({}, RECORDING, True, None),
        ({}, EXPECTED, True, None),
        ({"label": ""}, RECORDING, False, "is to record 2026-05-22 and does not. Run start.yml"),
        ({"label": "2026-05-21"}, RECORDING, False, "is to record 2026-05-22 and does not. Run start.yml"),
        ({"service": {"state": "failed", "age": 1, "restarts": 0}}, RECORDING, False, "and does not. Run start.yml"),
        ({"label": ""}, CLOSING, False, None),
        ({"label": ""}, HOME, False, None),
        ({}, CLOSING, False, "records 2026-05-22, which it is not to. Run collect.yml"),
    ],
)
def test_recording_is_what_is_wanted_and_on_the_card_and_running(
    facts: dict[str, Any], state: str, recording: bool, note: str | None
) -> None:
    result = changed(**facts)
    assert camera(result, records(state))["recording"] is recording
    assert row(result, records(state))[3] == ("2026-05-22, 07:00" if recording else "no")
    seen = notes(result, records(state))
    assert note in seen[0] if note else seen == []


@pytest.mark.parametrize(
    ("service", "cell"),
    [
        ({"state": "inactive", "age": 60.0, "restarts": 0}, "inactive 09:29"),
        ({"state": "failed", "age": 86400.0, "restarts": 0}, "failed 05-21"),
        ({"state": "active", "age": 400 * 86400.0, "restarts": None}, "active 2025-04-17"),
        ({"state": "missing", "age": None, "restarts": None}, "missing"),
    ],
)
def test_the_service_is_what_systemd_says_and_since_when(service: dict[str, Any], cell: str) -> None:
    assert row(changed(service=service))[2] == cell


@pytest.mark.parametrize(
    ("offset", "cell"),
    [
        (0.0, "ok"),
        (-1.9, "ok"),
        (2.0, "+2 s"),
        (3.4, "+3 s"),
        (-119, "-119 s"),
        (-7200, "-2 h"),
        (-1.78e9, "-20602 days"),
    ],
)
def test_a_clock_is_named_only_where_it_is_wrong_beyond_doubt(offset: float, cell: str) -> None:
    assert row(changed(clock=LOOKED + offset))[7] == cell
    assert str(camera(changed(clock=LOOKED - 0.01))["clock_offset"]) == "0.0"


@pytest.mark.parametrize(
    ("card", "cell"),
    [
        ({}, "12 s, 09:30:08"),
        ({"last": None, "last_taken": None, "last_age": None}, "-"),
        ({"last_age": -500.0}, "09:30:08"),
        ({"last_taken": None}, "12 s"),
        ({"last_taken": None, "last_age": -1.0}, "-"),
        ({"last_taken": "2026-05-18T09:30:08+02:00", "last_age": 4 * 86400.0}, "4 days, 2026-05-18"),
        ({"last_age": 7300.0}, "2 h, 09:30:08"),
        ({"last_age": 185.0}, "3 min, 09:30:08"),
    ],
)
def test_the_last_image_is_as_old_as_the_camera_says_and_found_by_the_time_in_its_name(
    card: dict[str, Any], cell: str
) -> None:
    assert row(changed(card={**CARD, **card}))[4] == cell


def test_a_card_that_cannot_be_read_hides_nothing_else() -> None:
    result = changed(card=None, label="", problem="look at the card: Input/output error. Replace it", temperature=None)
    assert row(result, [])[4:] == ["-", "-", "-", "ok", "-", "-"] and row(result)[2] == "active 07:00"
    assert notes(result, []) == ["object: look at the card: Input/output error. Replace it"]


def test_what_a_person_should_see_to_is_a_line_of_its_own() -> None:
    service = {"state": "active", "age": 1.0, "restarts": 3}
    result = changed(card={**CARD, "foreign_count": 2, "set_aside": 0, "free_bytes": 412_000_000}, service=service)
    assert notes(result) == [
        "object: systemd has restarted its service 3 times. Look at its journal",
        "object: 2 things that are no images lie in its image directory",
    ]
    assert row(result)[5:7] == ["412", "412.0 MB"]


@pytest.mark.parametrize(
    ("known", "beat", "line"),
    [
        (records(), None, "experiment 2026-05-22 is recording since 07:00; heartbeat: not running"),
        (
            records(),
            said(),
            "experiment 2026-05-22 is recording since 07:00; heartbeat: running, last heard of at 09:30",
        ),
        (records(CLOSING), {}, "experiment 2026-05-22 is closing; heartbeat: running"),
        (records(HOME), None, "no experiment is open; heartbeat: not running"),
    ],
)
def test_the_first_line_says_what_is_recorded_and_whether_anybody_watches(
    known: list[Record], beat: dict[str, Any] | None, line: str
) -> None:
    facts = found(FOUND, known, beat)
    assert overview.table(facts).splitlines()[0] == line
    assert facts["heartbeat"]["running"] is (beat is not None)
    assert [each["state"] for each in facts["experiments"]] == [each.state for each in known if each.state != "closed"]


@pytest.mark.parametrize(
    "content",
    [
        None,
        [],
        {"cameras": []},
        {"cameras": {"object": 3}, "pid": "x", "written": 3},
        {"cameras": {"object": {}}, "written": "yesterday"},
        {"cameras": {"object": {"state": "a\nb" * 99, "clock_offset": float("nan"), "restarts": "x", "since": "x"}}},
    ],
)
def test_whatever_the_heartbeats_file_holds_the_table_stands(content: Any) -> None:
    beat = heartbeat_file.beat(content, True)
    station = {"experiments": [], "heartbeat": beat, "problems": ["read x: torn"]}
    facts = overview.facts({"object": FOUND}, MODES, station, NOW)
    json.dumps(facts, allow_nan=False)
    assert overview.table(facts).splitlines()[-1] == "read x: torn"


def test_the_table_of_two_cameras_fits_into_120_columns() -> None:
    station = {
        "experiments": overview.open_experiments(records()),
        "heartbeat": heartbeat_file.beat(said({**THOUGHT, "state": "unreachable"}), True),
        "problems": [],
    }
    table = overview.table(overview.facts({"object": FOUND, "motion": DOWN}, MODES, station, NOW)).splitlines()
    assert max(map(len, table[:4])) <= 120 and [line.split()[0] for line in table[2:4]] == ["object", "motion"]


# -- what lies on the orchestrator -----------------------------------------------------------------------


def look_up(data_dir: Path) -> dict[str, Any]:
    (station,) = LookupModule().run([str(data_dir)])
    return dict(station)


def write(data_dir: Path, **changes: Any) -> None:
    """What a heartbeat that runs, this process, writes."""
    owner = lock.Owner.of(os.getpid(), "heartbeat")
    content = {"boot": owner.boot, "pid": owner.pid, "started": owner.started, **said(THOUGHT), **changes}
    Path(Layout(str(data_dir)).heartbeat()).write_text(json.dumps({**content, "pid": changes.get("pid", owner.pid)}))


def test_a_station_without_a_data_directory_is_empty_and_stays_without(data_dir: Path) -> None:
    station = look_up(data_dir)
    assert (station["experiments"], station["problems"], station["heartbeat"]["running"]) == ([], [], False)
    assert not data_dir.exists()


def test_open_records_are_read_closed_ones_left_out_and_torn_ones_named(data_dir: Path) -> None:
    layout = Layout(str(data_dir))
    save(layout, records()[0])
    save(layout, Record("old", "2026-05-01T07:00:00+02:00", "2026-05-02T01:00:00+02:00"))
    (data_dir / "torn").mkdir()
    (data_dir / "torn" / "experiment.json").write_text("{")
    before = tree(data_dir)
    station = look_up(data_dir)
    assert [found["id"] for found in station["experiments"]] == [EXPERIMENT]
    assert len(station["problems"]) == 1 and "torn" in station["problems"][0]
    assert tree(data_dir) == before


def test_a_heartbeat_that_runs_is_heard(data_dir: Path) -> None:
    data_dir.mkdir()
    write(data_dir)
    beat = look_up(data_dir)["heartbeat"]
    assert beat["running"] and beat["pid"] == os.getpid() and beat["cameras"] == {"object": THOUGHT}


@pytest.mark.parametrize("change", [{"boot": "another"}, {"started": 1}, {"pid": 2**22 + 1}, {"pid": None}])
def test_what_a_heartbeat_thought_that_is_dead_counts_for_nothing(data_dir: Path, change: dict[str, Any]) -> None:
    data_dir.mkdir()
    write(data_dir, **change)
    beat = look_up(data_dir)["heartbeat"]
    assert not beat["running"] and beat["cameras"] == {} and beat["pid"] is None


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "[" * 100_000])
def test_a_heartbeats_file_that_is_torn_is_none(data_dir: Path, text: str) -> None:
    data_dir.mkdir()
    Path(Layout(str(data_dir)).heartbeat()).write_text(text)
    assert look_up(data_dir)["heartbeat"]["running"] is False


def test_a_disk_that_does_not_answer_is_one_line(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(path: str) -> list[str]:
        raise OSError(5, "Input/output error", path)

    monkeypatch.setattr(os, "listdir", failing)
    with pytest.raises(AnsibleLookupError, match="read the records: Input/output error"):
        look_up(data_dir)


# -- the filter ------------------------------------------------------------------------------------------


def test_the_filter_says_the_same_to_people_and_to_programs(data_dir: Path) -> None:
    hostvars = {"object": {"wildberryeye_status_result": FOUND}, "motion": {}}
    groups = {"object_cameras": ["object"], "motion_cameras": ["motion"]}
    (run,) = overview_filter.FilterModule().filters().values()
    result = run(["object", "motion"], hostvars, groups, look_up(data_dir))
    assert "\n" not in result["json"]
    facts = json.loads(result["json"])
    assert list(facts["cameras"]) == ["object", "motion"] and overview.table(facts) == result["table"]
    with pytest.raises(AnsibleFilterError, match="neither group"):
        run(["object"], hostvars, {}, look_up(data_dir))


def test_every_key_of_the_json_is_documented(data_dir: Path) -> None:
    text = (ROOT / "plugins" / "filter" / "overview.yml").read_text()
    facts = found(FOUND, beat=said(THOUGHT))
    keys = [facts, facts["heartbeat"], *facts["experiments"], *facts["cameras"].values()]
    nested = [value for value in facts["cameras"]["object"].values() if isinstance(value, dict)]
    for key in {key for each in (*keys, *nested) for key in each}:
        assert f"C({key})" in text or f" {key}:\n" in text, key
