# SPDX-License-Identifier: GPL-3.0-or-later
"""The table that a person reads last says what is true: nobody goes to bed on a false 'home'."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.wildberryeye.orchestrator.plugins.module_utils import outcome
from ansible_collections.wildberryeye.orchestrator.plugins.module_utils.outcome import Outcome

DOWN = {"failed": True, "reached": False, "msg": "unreachable by SSH"}
IDLE = {"reached": True, "waiting": 1, "set_aside": 3, "bytes": 10}
BATCH = {"batches": [{"batch": "x"}], "images": 3, "bytes": 10}
RECEIPT = {"images": 3, "bytes": 2_000_000}
RECORD: dict[str, Any] = {"id": "e", "data_dir": "/d", "cameras": {"object": {"state": "home", "archives": []}}}


def steps(failure: str = "", **results: Any) -> dict[str, Any]:
    collection: dict[str, Any] = {name: result for name, result in results.items() if name != "recording"}
    if failure:
        collection |= {"failed": True, "msg": failure, "reached": True}
    found = {"wildberryeye_recording_result": results.get("recording"), "wildberryeye_collection_result": collection}
    return outcome.results(found)


def said(asked: str, found: dict[str, Any], record: Any = RECORD, check: bool = False) -> Outcome:
    return outcome.outcome("object", found, asked, record, check)


HOME = steps(recording=IDLE, batch=BATCH, receipt=RECEIPT, cleanup={"left": 0})


def test_a_step_that_did_not_run_is_empty() -> None:
    found = outcome.results({})
    assert found == {"recording": {}, "batch": {}, "receipt": {}, "cleanup": {}, "failure": "", "left_alone": ""}
    assert (
        outcome.results({f"wildberryeye_{step}_result": {"skipped": True} for step in ("recording", "collection")})
        == found
    )
    assert not outcome.recorded(found) and not outcome.home(found) and outcome.failure(found) == ""


@pytest.mark.parametrize(
    ("found", "home"),
    [
        (HOME, True),
        (steps(recording=IDLE, batch={"batches": []}), True),
        (steps(recording={**IDLE, "waiting": 0}), True),
        (steps(recording=IDLE), False),
        (steps(recording=DOWN), False),
        (steps(recording=IDLE, batch=BATCH), False),
        (steps(recording=IDLE, batch=BATCH, receipt=RECEIPT, cleanup={"left": 1}), False),
        (steps("no", recording=IDLE, batch=BATCH, receipt=RECEIPT, cleanup={"failed": True}), False),
        (steps("the transfer stalled", recording=IDLE, batch=BATCH, cleanup={"left": 0}), False),
        (steps(recording={**IDLE, "waiting": None}), False),
        (steps(recording={**IDLE, "waiting": 0}, batch={"left_alone": "held by a stop"}), False),
    ],
)
def test_home_is_only_what_left_the_card_with_a_receipt(found: dict[str, Any], home: bool) -> None:
    assert outcome.home(found) is home


def test_what_went_wrong_is_said_once_and_in_one_line() -> None:
    assert outcome.failure(steps("stalled", recording=DOWN)) == "unreachable by SSH; stalled"
    assert outcome.failure(steps("unreachable by SSH", recording=DOWN)) == "unreachable by SSH"
    assert "x.jpg. Copy the card" in outcome.failure(steps(batch={"unreadable": ["x.jpg"]}))
    assert "run collect.yml again" in outcome.failure(steps(cleanup={"left": 2}))
    assert outcome.failure(HOME) == ""


@pytest.mark.parametrize(
    ("asked", "found", "words", "failed"),
    [
        ("start", steps(recording={"reached": True}), "recording", False),
        ("start", steps(recording=DOWN), "not recording", True),
        ("start", steps("stalled", recording={"reached": True}), "recording, not collected", True),
        ("start", steps(), "not recording", True),
        ("restart", steps(recording=DOWN), "not recording", True),
        ("collect", HOME, "collected", False),
        ("collect", steps("stalled", batch=BATCH), "not collected", True),
        ("collect", steps(batch={"left_alone": "held by a stop"}), "left alone", False),
        ("stop", HOME, "home", False),
        ("stop", steps(recording=DOWN), "not home", True),
        ("stop", steps(recording=IDLE, batch=BATCH), "not home", True),
    ],
)
def test_a_camera_that_ended_in_another_state_than_asked_for_fails_the_run(
    asked: str, found: dict[str, Any], words: str, failed: bool
) -> None:
    row = said(asked, found)
    assert (row.words, row.failed) == (words, failed) and (bool(row.next) or not failed)


def test_a_camera_that_does_not_record_is_left_alone_by_a_timers_collection_and_is_not_taken_for_home() -> None:
    found = outcome.results({"inventory_hostname": "object", "wildberryeye_left_alone_result": ["object"]})
    assert said("collect", found)[1:] == ("left alone", 0, 0, "it is not being recorded with", False)
    assert not outcome.home(found) and not outcome.carried(found)


def test_home_names_the_archives_and_counts_what_is_in_them() -> None:
    archives = [{"name": "a.zip", "images": 7, "bytes": 9}, {"name": "b.zip", "images": 1, "bytes": 1}]
    record = {**RECORD, "cameras": {"object": {"state": "home", "archives": archives}}}
    assert said("stop", HOME, record) == Outcome("object", "home", 8, 10, "/d/e/object/a.zip, /d/e/object/b.zip", False)


def test_one_given_up_fails_no_run_and_with_nothing_open_it_is_idle() -> None:
    given_up = {**RECORD, "cameras": {"object": {"state": "given_up"}}}
    assert (said("stop", steps(recording=DOWN), given_up).words) == "given up"
    assert said("stop", HOME, {"id": "", "cameras": {}}).words == "idle"


def test_one_that_the_record_still_waits_for_is_not_home() -> None:
    closing = {**RECORD, "cameras": {"object": {"state": "closing", "archives": []}}}
    assert said("stop", HOME, closing)[1:2] + said("stop", HOME, closing)[4:] == (
        "not home",
        "run stop.yml again",
        True,
    )


def test_check_mode_says_what_would_be() -> None:
    assert said("stop", steps(recording=IDLE, batch={"images": 2, "bytes": 5}), check=True)[1:4] == (
        "would be home",
        5,
        15,
    )
    found = {**RECORD, "cameras": {"object": {**RECORD["cameras"]["object"], "next_archive": "/data/x/object_x.zip"}}}
    assert said("stop", steps(recording=IDLE, batch={"images": 2}), found, check=True).next == "/data/x/object_x.zip"
    assert said("stop", steps(recording={**IDLE, "set_aside": 0}, batch={}), found, check=True).next == ""
    assert said("start", steps(), check=True).words == "would be recording"
    assert said("collect", steps(), check=True).words == "would be collected"
    assert said("start", steps(recording=DOWN), check=True)[1:] == ("check failed", 0, 0, "unreachable by SSH", True)


def test_what_a_person_should_look_at_is_noted() -> None:
    found = steps(
        recording={"reached": True, "clock_offset": -120.2, "foreign": ["a"], "foreign_count": 1},
        batch={"fell_back": True, "foreign": ["b", "c"], "foreign_count": 2},
        receipt={"not_whole": ["x.jpg"]},
    )
    note = said("start", found).next
    for words in ("1 of the images half-written, such as x.jpg", "no room", "2 things", "such as b", "2 min behind"):
        assert words in note
    assert "3 s ahead" in said("start", steps(recording={"clock_offset": 3.1})).next
    assert said("start", steps(recording={"clock_offset": 1.9})).next == ""


def test_a_clock_that_was_set_is_noted_and_one_that_was_not_says_why() -> None:
    def row(**recording: object) -> str:
        return said("start", steps(recording=recording)).next

    assert row(clock_offset=0.3, clock_stepped=-86400.0) == "its clock was 24 h ahead and has been set"
    assert "has been set; its clock is 3 s behind" in row(clock_offset=-2.9, clock_stepped=500.0)
    assert row(clock_offset=-500.0, clock_note="not set: no") == "its clock is 8 min behind, not set: no"


def test_the_table_stands_in_columns_without_trailing_blanks() -> None:
    rows = [Outcome("object", "home", 12345, 2_000_000, "x", False), Outcome("m", "not home", 0, 0, "", True)]
    assert outcome.table(rows).splitlines() == [
        "camera  outcome   images   bytes  next",
        "object  home       12345  2.0 MB  x",
        "m       not home       0  0.0 MB",
    ]


def test_an_archive_that_could_not_be_made_fails_the_run_for_its_camera_alone() -> None:
    record = {"id": "x", "data_dir": "/d", "not_archived": {"object": "merge the parts: damaged. Replace the disk"}}
    steps = outcome.results({"wildberryeye_recording_result": {"reached": True, "waiting": 0}})
    found = outcome.outcome("object", steps, "stop", record, False)
    assert (found.words, found.failed) == ("not home", True) and "Replace the disk" in found.next
    record["cameras"] = {"motion": {"state": "home", "archives": []}}
    assert not outcome.outcome("motion", steps, "stop", record, False).failed


@pytest.mark.parametrize("state", ["expected", "recording"])
def test_one_that_a_late_stop_leaves_recording_fails_only_where_yesterday_is_not_home(state: str) -> None:
    record = {**RECORD, "cameras": {"object": {"state": state, "archives": []}}}
    none_left, left = steps(batch={"batches": []}), steps(batch=BATCH, cleanup={"left": 1})
    assert (said("stop", none_left, record).words, said("stop", none_left, record).failed) == ("recording", False)
    row = said("stop", left, record)
    assert (row.words, row.failed) == ("recording, not collected", True) and "collect.yml" in row.next
    assert said("stop", steps(), record).failed and said("stop", steps("unreachable by SSH"), record).failed
