# SPDX-License-Identifier: GPL-3.0-or-later
"""The module experiment, run as Ansible runs it, through days and nights."""

from __future__ import annotations

import fcntl
import json
import os
import re
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.wildberryeye.orchestrator.plugins.module_utils import events
from lab.emulated import wait_for
from unit.dated_station import BOTH, ONE, TWO, Station
from unit.support import EXPERIMENT, Outcome, public, run_module, tree, write_archive


@pytest.fixture
def station(data_dir: Path) -> Station:
    return Station(data_dir)


@pytest.mark.parametrize("real", [True, False], ids=["as Ansible runs it", "in a copy of this process"])
def test_a_whole_day_from_dawn_to_archive(station: Station, real: bool) -> None:
    station.real = real
    opened = station.ok("recording", "2026-05-22 07:00:00")
    assert (opened["id"], opened["resumed"], opened["changed"]) == (EXPERIMENT, False, True)
    assert opened["cameras"]["object"] == {
        "state": "expected",
        "recording_in": EXPERIMENT,
        "fallback": "unclaimed",
        "archives": [],
        "next_archive": station.layout.archive(EXPERIMENT, "object", 1),
    }
    station.note(EXPERIMENT, "object", "motion")
    again = station.ok("recording", "2026-05-23 00:30:00")
    assert (again["id"], again["resumed"], again["changed"]) == (EXPERIMENT, True, False)
    assert again["cameras"]["object"]["fallback"] == EXPERIMENT
    closing = station.ok("closing", "2026-05-23 01:00:00")
    assert (closing["id"], closing["experiment_state"]) == (EXPERIMENT, "closing")
    station.part("object", ONE)
    station.part("object", TWO, name="b")
    closed = station.ok("closed", "2026-05-23 01:30:00", id=EXPERIMENT, home={"object": "", "motion": ""})
    assert [Path(path).name for path in closed["made"]] == ["object_2026-05-22.zip"]
    assert closed["experiment_state"] == "closed" and closed["cameras"]["motion"]["archives"] == []
    assert public(station.data_dir) == [{**ONE, **TWO}]
    assert closed["cameras"]["object"]["next_archive"] == station.layout.archive(EXPERIMENT, "object", 2)
    assert os.listdir(station.layout.camera(EXPERIMENT, "motion")) == ["receipts"]
    found = station.record()
    assert (found["opened"], found["closed"]) == ("2026-05-22T07:00:00+02:00", "2026-05-23T01:30:00+02:00")
    assert station.happened() == [
        ("opened", None),
        ("recording", "object"),
        ("recording", "motion"),
        ("closing", None),
        ("home", "object"),
        ("home", "motion"),
        ("closed", None),
    ]
    before = tree(station.data_dir)
    assert station.ok("closed", id=EXPERIMENT, home={"object": "", "motion": ""})["changed"] is False
    assert station.ok("closing", id=EXPERIMENT)["changed"] is False
    assert station.ok("present")["id"] == ""
    assert tree(station.data_dir) == before


def test_the_next_morning_what_is_still_open_is_closed_first(station: Station) -> None:
    station.begin()
    assert station.begin("2026-05-23 07:00:00") == "2026-05-23"
    assert station.states() == {"object": "closing", "motion": "closing"}
    assert station.happened()[-1] == ("closing", None)
    station.part("object", ONE)
    station.ok("closed", "2026-05-23 07:10:00", id="2026-05-23", home={"object": "", "motion": ""})
    assert station.states() == {"object": "home", "motion": "home"} and station.record()["closed"]
    assert station.states("2026-05-23") == {"object": "recording", "motion": "recording"}
    assert public(station.data_dir) == [ONE]


def test_a_stop_and_a_start_on_one_day_are_two_experiments(station: Station) -> None:
    station.begin()
    station.ok("closing", "2026-05-22 12:00:00")
    assert station.begin("2026-05-22 13:00:00") == "2026-05-22_2"
    station.ok("closing", "2026-05-22 14:00:00")
    assert station.begin("2026-05-22 15:00:00") == "2026-05-22_3"


def test_an_id_that_a_person_chose_is_kept_and_numbered(station: Station) -> None:
    assert station.begin(id="meadow") == "meadow"
    assert station.ok("recording", "2026-06-22 07:00:00", id="meadow")["resumed"] is True
    station.ok("closing", id="meadow")
    assert station.begin("2026-06-22 08:00:00", id="meadow") == "meadow_2"


def test_a_start_in_the_hour_shown_twice_goes_on_with_the_night(station: Station) -> None:
    assert station.begin("2026-10-24 19:00:00", stop_time="04:00") == "2026-10-24"
    assert station.begin("2026-10-25 02:30:00", stop_time="04:00") == "2026-10-24"
    assert station.begin("2026-10-25 04:00:00", stop_time="04:00") == "2026-10-25"


def test_limited_to_one_camera_the_other_goes_on_recording(station: Station) -> None:
    station.begin()
    limited = {"object": "object"}
    closing = station.ok("closing", cameras=limited)
    assert list(closing["cameras"]) == ["object"]
    (told,) = [line for line in events.read(station.layout.events(EXPERIMENT)) if line["event"] == "closing"]
    assert told["cameras"] == ["object"], "or the other one would seem to have been stopped"
    station.part("object", ONE)
    untouched = station.part("motion", TWO)
    station.ok("closed", cameras=limited, id=EXPERIMENT, home={"object": ""})
    assert station.states() == {"object": "home", "motion": "recording"}
    assert station.record()["state"] == "recording" and untouched.exists()


def test_a_camera_that_is_not_home_keeps_the_experiment_open_and_comes_later(station: Station) -> None:
    station.begin()
    station.ok("closing")
    station.ok("closed", id=EXPERIMENT, home={"object": ""}, failures={"motion": "unreachable by SSH"})
    assert station.states() == {"object": "home", "motion": "closing"}
    assert ("failed", "motion") in station.happened()
    assert station.ok("present")["id"] == EXPERIMENT
    station.part("motion", TWO)
    station.ok("closed", id=EXPERIMENT, home={"motion": ""})
    assert station.record()["state"] == "closed" and public(station.data_dir, "motion") == [TWO]


def test_one_that_was_asked_to_stop_meanwhile_does_not_start_again_by_being_noted(station: Station) -> None:
    station.ok("recording")
    found = station.ok("present")["id"]
    station.ok("closing")
    before = tree(station.data_dir)
    station.note(found, "object")
    assert tree(station.data_dir) == before
    assert station.states(found) == {"object": "closing", "motion": "closing"}


def test_one_given_up_no_longer_holds_the_experiment_open_even_out_of_the_inventory(station: Station) -> None:
    station.begin()
    station.part("motion", TWO)
    station.ok("closing", cameras={"object": "object"}, give_up=["motion"])
    assert station.states() == {"object": "closing", "motion": "given_up"}
    station.ok("closed", cameras={"object": "object"}, id=EXPERIMENT, home={"object": ""}, give_up=["motion"])
    assert station.record()["state"] == "closed" and station.record()["closed"]
    assert public(station.data_dir, "motion") == [TWO]


def test_giving_up_a_camera_that_nobody_knows_is_a_slip_of_the_pen(station: Station) -> None:
    station.begin()
    assert "give up mtion" in station.run("closing", give_up=["mtion"]).failed()


def test_late_images_get_an_archive_of_their_own_and_the_record_knows_it(station: Station) -> None:
    station.begin()
    station.ok("closing")
    station.part("object", ONE)
    station.ok("closed", id=EXPERIMENT, home={"object": "", "motion": ""})
    station.part("object", TWO)
    station.ok("closed", id=EXPERIMENT, home={"object": ""})
    names = [each["name"] for each in station.record()["cameras"]["object"]["archives"]]
    assert names == ["object_2026-05-22.zip", "object_2026-05-22_part2.zip"]
    assert public(station.data_dir) == [ONE, TWO]


def test_killed_between_the_archive_and_the_record_it_is_noted_next_time(station: Station) -> None:
    station.begin()
    station.ok("closing")
    write_archive(Path(station.layout.archive(EXPERIMENT, "object", 1)), ONE)
    station.ok("closed", id=EXPERIMENT, home={"object": ""})
    assert station.record()["cameras"]["object"]["archives"][0]["images"] == 2


def test_what_nothing_claims_is_archived_as_unclaimed(station: Station) -> None:
    closing = station.ok("closing")
    assert (closing["id"], closing["cameras"]["object"]["fallback"]) == ("", "unclaimed")
    station.part("object", ONE, "unclaimed")
    station.ok("closed", home={"object": ""})
    assert public(station.data_dir, "object", "unclaimed") == [ONE]
    assert station.ok("closed", home={"object": ""})["changed"] is False


def test_a_camera_whose_card_still_bears_the_label_of_a_closing_experiment_is_not_home_in_it(station: Station) -> None:
    station.begin()
    station.ok("closing")
    part = station.part("object", ONE)
    station.part("motion", TWO)
    found = station.ok("closed", id=EXPERIMENT, home={"object": EXPERIMENT, "motion": "2026-05-23"})
    assert station.states() == {"object": "closing", "motion": "home"} and part.exists()
    assert [Path(path).name for path in found["made"]] == ["motion_2026-05-22.zip"]
    os.unlink(station.layout.record(EXPERIMENT))
    station.ok("closed", home={"object": EXPERIMENT})
    assert part.exists()  # nor where its record was lost
    station.ok("closed", home={"object": ""})
    assert public(station.data_dir) == [ONE]


def test_one_out_of_the_inventory_that_is_to_record_is_named_with_what_to_do(station: Station) -> None:
    station.begin()
    limited = {"object": "object"}
    message = station.ok("closing", cameras=limited, known=["object"])["msg"]
    assert message.startswith(f"experiment {EXPERIMENT} is closing, but motion is not home and no longer in the inv")
    assert "wildberryeye_give_up=motion" in message
    for known in ([], ["object", "motion"]):
        assert station.ok("closing", cameras=limited, known=known)["msg"] == f"experiment {EXPERIMENT} is closing"


def test_one_out_of_the_inventory_is_named_whichever_experiment_it_was_left_in(station: Station) -> None:
    station.begin()
    station.begin("2026-05-23 07:00:00", cameras={"object": "object"})
    found = station.ok("closing", cameras={"object": "object"}, known=["object"])
    assert found["id"] == "2026-05-23" and "but motion is not home" in found["msg"]


@pytest.mark.parametrize("before", ["closed", "closing"])
def test_stopping_a_past_experiment_while_its_camera_records_another_one_is_refused(
    station: Station, before: str
) -> None:
    station.begin()
    station.ok("closing")
    if before == "closed":
        station.ok("closed", id=EXPERIMENT, home={"object": "", "motion": ""})
    station.begin("2026-05-23 07:00:00", cameras={"motion": "motion"})
    told = tree(station.data_dir)
    line = station.run("closing", id=EXPERIMENT).failed()
    assert f"it is {before}, and motion records 2026-05-23. Leave wildberryeye_experiment out" in line
    assert tree(station.data_dir) == told
    assert station.ok("closing", id=EXPERIMENT, cameras={"object": "object"})["changed"] is False


def test_without_an_id_each_cameras_own_experiment_counts(station: Station) -> None:
    station.begin(cameras={"motion": "motion"}, stop_time="06:00")
    station.begin("2026-05-23 07:00:00", cameras={"object": "object"})
    found = station.ok("present")
    assert found["id"] == "2026-05-23"
    assert {name: (each["recording_in"], each["state"]) for name, each in found["cameras"].items()} == {
        "object": ("2026-05-23", "recording"),
        "motion": (EXPERIMENT, "recording"),
    }
    named = station.ok("present", id="2026-05-23")["cameras"]["motion"]
    assert (named["recording_in"], named["state"]) == ("", "none")
    stopped = station.ok("closing", cameras={"motion": "motion"})
    assert (stopped["id"], stopped["msg"]) == (EXPERIMENT, f"experiment {EXPERIMENT} is closing")
    assert stopped["cameras"]["motion"]["state"] == "closing" and stopped["cameras"]["motion"]["recording_in"] == ""
    assert station.ok("present")["cameras"]["motion"]["state"] == "closing"


def test_merging_waits_for_another_merge_of_that_camera_and_keeps_nobody_from_the_records(station: Station) -> None:
    station.begin()
    station.ok("closing")
    station.part("object", ONE)
    merging = f"{station.layout.locks()}/merge-object.guard"
    given = {"data_dir": str(station.data_dir), "state": "closed", "cameras": BOTH, "home": {"object": ""}}
    other: list[Outcome] = []
    # An interpreter of its own: a copy of this process would hold the lock itself.
    run = threading.Thread(target=lambda: other.append(run_module("experiment", given, real=True)))
    with open(merging, "ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        run.start()
        waiting = re.compile(rf"->.*:{os.stat(merging).st_ino} ")
        wait_for(lambda: waiting.search(Path("/proc/locks").read_text()))
        assert station.ok("noted", id=EXPERIMENT)["id"] == EXPERIMENT and public(station.data_dir) == []
    run.join()
    assert [Path(path).name for path in other[0].ok()["made"]] == ["object_2026-05-22.zip"]
    assert public(station.data_dir) == [ONE]


def test_one_given_up_by_a_collection_has_its_images_archived_at_once(station: Station) -> None:
    station.begin(cameras={"object": "object"})
    station.part("object", ONE)
    station.ok("closed", id=EXPERIMENT, cameras={"object": "object"}, give_up=["object"])
    assert public(station.data_dir) == [ONE] and station.record()["cameras"]["object"]["archives"][0]["images"] == 2
    assert station.happened()[2:] == [("given up", "object"), ("closed", None), ("home", "object")]


def test_each_experiment_is_named_once_when_something_of_it_has_come_home_also_without_an_image(
    station: Station,
) -> None:
    station.begin()
    station.ok("closing")
    assert station.ok("closed", id=EXPERIMENT, home={"object": ""})["settled"] == [EXPERIMENT]
    assert station.ok("closed", id=EXPERIMENT, home={"object": ""})["settled"] == []
    assert station.ok("closed", id=EXPERIMENT, give_up=["motion"])["settled"] == [EXPERIMENT]


def test_only_who_was_waited_for_is_given_up(station: Station) -> None:
    station.begin()
    station.ok("closing")
    station.ok("closed", id=EXPERIMENT, home={"object": ""})
    station.ok("closing", give_up=["object", "motion"])
    assert station.states() == {"object": "home", "motion": "given_up"}
    assert [camera for event, camera in station.happened() if event == "given up"] == ["motion"]


@pytest.mark.parametrize("harm", ["torn", "directory"])
def test_what_bears_a_public_name_and_is_no_archive_keeps_no_other_camera_from_home(
    station: Station, harm: str
) -> None:
    station.begin()
    station.ok("closing")
    station.part("motion", TWO)
    path = Path(station.layout.archive(EXPERIMENT, "object", 1))
    path.parent.mkdir(parents=True)
    if harm == "torn":
        path.write_bytes(b"torn")
    else:
        path.mkdir()
    done = station.ok("closed", id=EXPERIMENT, home={"object": "", "motion": ""})
    assert str(path) in done["not_archived"]["object"] and "motion" not in done["not_archived"]
    assert station.states() == {"object": "closing", "motion": "home"}


@pytest.mark.parametrize("harm", ["torn", "lost", "version", "hostile", "deep", "directory"])
def test_without_its_record_nothing_is_lost_and_the_next_day_begins(station: Station, harm: str) -> None:
    station.begin()
    part = station.part("object", ONE)
    path = Path(station.layout.record(EXPERIMENT))
    content = path.read_text()
    path.unlink()
    if harm == "torn":
        path.write_text(content[:50])
    elif harm == "version":
        path.write_text(content.replace('"format": 1', '"format": 99'))
    elif harm == "hostile":
        path.write_text(content.replace('"recording"', '["$(reboot)"]'))
    elif harm == "deep":
        path.write_text("[" * 100_000)
    elif harm == "directory":
        path.mkdir()
    stopped = station.ok("closing", "2026-05-22 12:00:00")
    assert stopped["id"] == "" and len(stopped["unreadable"]) == (harm != "lost")
    assert station.begin("2026-05-22 13:00:00") == "2026-05-22_2"
    station.ok("closed", "2026-05-22 14:00:00", home={"object": ""})
    assert not part.exists() and public(station.data_dir) == [ONE]


def test_a_damaged_archive_of_one_camera_keeps_the_other_one_from_nothing(station: Station) -> None:
    station.begin()
    station.ok("closing")
    station.part("object", ONE).write_bytes(b"PK torn")
    station.part("motion", TWO)
    done = station.ok("closed", id=EXPERIMENT, home={"object": "", "motion": ""})
    line = done["not_archived"]["object"]
    assert line in done["msg"] and "damaged" in line and f"{station.data_dir}/{EXPERIMENT}/object/parts/a.zip" in line
    assert station.states() == {"object": "closing", "motion": "home"}
    assert public(station.data_dir, "motion") == [TWO]


def test_an_archive_that_a_researcher_spoilt_last_month_does_not_stop_todays_work(station: Station) -> None:
    station.begin()
    station.ok("closing")
    station.part("object", ONE)
    station.ok("closed", id=EXPERIMENT, home={"object": "", "motion": ""})
    Path(station.layout.archive(EXPERIMENT, "object", 1)).write_bytes(b"spoilt")
    assert station.begin("2026-06-22 07:00:00") == "2026-06-22"
    assert station.ok("closed", id="2026-06-22", home={"object": "", "motion": ""})["changed"] is False


@pytest.mark.parametrize("state", ["recording", "noted", "closing", "closed", "present"])
def test_check_mode_writes_nothing_where_nothing_is(station: Station, state: str) -> None:
    found = station.run(state, check=True, home={"object": ""}).ok()
    assert not station.data_dir.exists() and found["changed"] is (state == "recording")


@pytest.mark.parametrize("state", ["recording", "closing", "closed"])
def test_check_mode_writes_nothing_in_mid_experiment(station: Station, state: str) -> None:
    station.ok("recording", "2026-05-22 07:00:00")
    station.part("object", ONE)
    before = tree(station.data_dir)
    given = {"home": {"object": ""}, "failures": {"motion": "x"}, "give_up": ["motion"]}
    if state in ("recording", "noted", "present"):
        del given["give_up"]
    found = station.run(state, "2026-05-23 09:00:00", check=True, **given).ok()
    assert tree(station.data_dir) == before and found["changed"] is (state != "present")


@pytest.mark.parametrize(
    ("wanted", "settled"),
    [
        # A collection in mid-experiment, and a start that resumes it: it goes on.
        (EXPERIMENT, []),
        # A start that would open the next one.
        ("2026-05-23", [EXPERIMENT]),
    ],
)
def test_check_mode_names_the_experiment_that_a_start_would_end_and_report_on(
    station: Station, wanted: str, settled: list[str]
) -> None:
    station.begin()
    # The card still says what it records.
    home = {"object": EXPERIMENT, "motion": EXPERIMENT}
    # As a start does, which hands on what each step answers.
    assert station.run("noted", check=True, id=wanted).ok()["id"] == wanted
    assert station.run("closed", check=True, id=wanted, home=home).ok()["settled"] == settled
    assert station.run("closed", check=True, id=wanted, home={}).ok()["settled"] == []
    station.ok("closing")
    assert station.run("closed", check=True, id=EXPERIMENT, home=home).ok()["settled"] == [EXPERIMENT]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"id": "../x"}, "experiment's id"),
        ({"id": "unclaimed"}, "experiment's id"),
        ({"id": "a b"}, "experiment's id"),
        ({"cameras": {"a/b": "object"}}, "camera's name"),
        ({"cameras": {"..": "object"}}, "camera's name"),
        ({"stop_time": "25:00"}, "not a time of day"),
        ({"stop_time": "noon"}, "not a time of day"),
        ({"stop_time": "1350"}, "in quotes"),
        ({"stop_time": "01:00+02:00"}, "not a time of day"),
    ],
)
def test_what_cannot_be_meant_is_refused_in_one_line(station: Station, given: dict[str, Any], words: str) -> None:
    assert words in station.run("recording", **given).failed()
    assert not station.layout.experiments()


def test_an_experiment_that_does_not_exist_is_named(station: Station) -> None:
    line = station.run("closing", id="2026-01-01").failed()
    assert "2026-01-01" in line and "wildberryeye_experiment" in line


def test_without_rsync_no_experiment_begins_whose_images_could_not_come_home(station: Station, tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    done = run_module(
        "experiment",
        {"data_dir": str(station.data_dir), "state": "recording", "cameras": BOTH},
        env={"PATH": str(tmp_path / "bin")},
    )
    assert "apt install rsync" in done.failed() and not station.layout.experiments()


def test_a_data_directory_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    done = run_module(
        "experiment", {"data_dir": str(tmp_path / "file" / "data"), "state": "recording", "cameras": BOTH}
    )
    assert str(tmp_path / "file") in done.failed()


def test_two_runs_at_once_open_one_experiment(station: Station) -> None:
    runs = []
    for _ in range(4):
        given = {"data_dir": str(station.data_dir), "state": "recording", "cameras": BOTH}
        runs.append(
            subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    "ansible_collections.wildberryeye.orchestrator.plugins.modules.experiment",
                ],
                stdin=-1,
                stdout=-1,
                env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2] / "collections")},
                text=True,
            )
        )
        process = runs[-1]
        assert process.stdin is not None
        process.stdin.write(json.dumps({"ANSIBLE_MODULE_ARGS": given}))
        process.stdin.close()
    results = []
    for process in runs:
        assert process.stdout is not None
        results.append(json.loads(process.stdout.read()))
        process.wait()
        process.stdout.close()
    assert len({result["id"] for result in results}) == 1 and [r["resumed"] for r in results].count(False) == 1


def test_the_same_failure_is_told_once_however_often_a_stop_is_retried(station: Station) -> None:
    station.begin()
    station.ok("closing")
    for _ in range(3):
        station.ok("closed", id=EXPERIMENT, failures={"motion": "unreachable by SSH"})
        # Each try looks at clock and card before it fails.
        for name in events.MEASURED:
            events.append(station.layout.events(EXPERIMENT), name, "motion", free=1, offset=0.1)
    station.ok("closed", id=EXPERIMENT, failures={"motion": "its host key is not the one that is known"})
    told = [line["text"] for line in events.read(station.layout.events(EXPERIMENT)) if line["event"] == "failed"]
    assert told == ["unreachable by SSH", "its host key is not the one that is known"]


@pytest.mark.parametrize("state", ["recording", "closing", "closed", "noted", "present"])
@pytest.mark.parametrize("variable", ["start_time", "stop_time"])
def test_a_time_without_quotes_is_told_by_the_name_of_its_variable(station: Station, state: str, variable: str) -> None:
    given: dict[str, Any] = {variable: 420}
    line = station.run(state, **given).failed()
    assert f"use '420' as wildberryeye_{variable}: not a time of day" in line and 'in quotes, as "07:00"' in line


def test_noting_that_a_camera_records_is_an_event_and_no_news_twice(station: Station) -> None:
    station.ok("recording", "2026-05-22 07:00:00")
    station.note(EXPERIMENT, "object")
    assert (
        station.states() == {"object": "recording", "motion": "expected"}
        and station.record()["cameras"]["object"]["since"]
    )
    before = tree(station.data_dir)
    station.note(EXPERIMENT, "object", "stranger")
    station.note("2026-01-01", "object")
    assert tree(station.data_dir) == before and station.happened() == [("opened", None), ("recording", "object")]
