# SPDX-License-Identifier: GPL-3.0-or-later
"""The data package from the inventory on: what is not said there is asked for in time, and holds up nothing."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.wildberryeye.orchestrator.plugins.module_utils import camtrap_site
from ansible_collections.wildberryeye.orchestrator.plugins.module_utils.camtrap_site import problems, project, site
from ansible_collections.wildberryeye.orchestrator.plugins.module_utils.errors import Error
from ansible_collections.wildberryeye.orchestrator.plugins.module_utils.report_data import Settings, gather
from unit import camtrap_standard
from unit.camtrap_station import PROJECT, SITES, Station, named, pictures
from unit.support import EXPERIMENT, ROOT, run_module, run_playbook, tree

INVENTORY = """
cameras:
  children:
    object_cameras:
      hosts:
        object: {ansible_host: 192.0.2.11, wildberryeye_latitude: 52.52, wildberryeye_longitude: 13.405}
    motion_cameras:
      hosts:
        motion: {ansible_host: 192.0.2.12, wildberryeye_longitude: "{{ 10 + 3 }}.5", MORE}
"""
PLAY = """
- hosts: cameras
  gather_facts: false
  tasks:
    - ansible.builtin.import_role:
        name: wildberryeye.orchestrator.camtrap_dp
        tasks_from: written
    - ansible.builtin.import_role:
        name: wildberryeye.orchestrator.outcome
      vars:
        outcome_of: collect
"""
OF_TODAY = ("-e", f'{{"wildberryeye_experiment_record": {{"id": "{EXPERIMENT}"}}}}')
"""What the role experiment leaves behind."""


def play(station: Station, playbook: str, more: str, *options: str) -> tuple[int, list[str]]:
    """Run a playbook with two cameras that nobody can reach; status, and the lines that a person reads."""
    at = station.layout.data_dir
    inventory = Path(at).with_name("hosts.yml")
    inventory.write_text(INVENTORY.replace("MORE", more))
    ours = ["-e", f"wildberryeye_data_dir='{at}'", "-e", "wildberryeye_camtrap_dp=true"]
    status, text = run_playbook("-i", inventory, playbook, *ours, *options, ANSIBLE_NOCOLOR="1")
    return status, text.splitlines()


@pytest.fixture
def station(data_dir: Path) -> Station:
    """An experiment that both cameras took part in."""
    station = Station(data_dir, cameras=("motion", "object"))
    station.compared("07:00:12", 0.0)
    station.archive(pictures(named("09:30:00"), named("09:30:01")))
    station.closed()
    return station


# --- before anything is touched -------------------------------------------------------------------


def test_a_start_without_a_position_says_which_camera_and_what_to_set_and_touches_nothing(station: Station) -> None:
    before = tree(station.directory.parent)
    status, lines = play(station, "playbooks/start.yml", "")
    assert status == 2 and lines[-1] == (
        "describe where motion stands: wildberryeye_latitude is not set (degrees, WGS84). Set it for motion in the "
        "inventory, or wildberryeye_camtrap_dp to false"
    )
    assert tree(station.directory.parent) == before


def test_what_is_not_wanted_is_not_asked_for(station: Station) -> None:
    # It gets as far as the cameras, which are not there.
    status, lines = play(
        station,
        "playbooks/start.yml",
        "",
        "-e",
        "wildberryeye_camtrap_dp=false",
        "--check",
        "-e",
        "ansible_timeout=1",
        "-e",
        "ansible_ssh_common_args='-o ConnectTimeout=1'",
    )
    assert status == 2 and any(line.startswith("camera  outcome") for line in lines)
    assert "latitude" not in "".join(lines)


@pytest.mark.parametrize(
    ("given", "wrong"),
    [
        ({"latitude": ""}, "wildberryeye_latitude and wildberryeye_longitude are not set"),
        ({"latitude": "52,5", "longitude": 1}, "wildberryeye_latitude is '52,5': write a number, such as 52.5"),
        ({"latitude": 91, "longitude": 1}, "wildberryeye_latitude is '91': it must be at most 90"),
        ({"latitude": "nan", "longitude": True}, "write a number.*wildberryeye_longitude is 'True': write a number"),
        ({"camera_height": -1}, "wildberryeye_camera_height is '-1': it must be at least 0"),
        ({"camera_tilt": 0.5}, "wildberryeye_camera_tilt is '0.5': write a whole number"),
        ({"coordinate_uncertainty": 0}, "it must be at least 1"),
        ({"habitat": "=HYPERLINK(1)"}, "a spreadsheet takes this for a formula"),
        ({"setup_by": "A\nB"}, "write a text of one line"),
        ({"location_id": ["a"]}, "write a text of one line"),
    ],
)
def test_a_wrong_place_is_one_line_that_names_the_camera_and_the_variable(given: dict[str, Any], wrong: str) -> None:
    good = {} if "latitude" in given else SITES["object"]
    with pytest.raises(Error, match=wrong) as raised:
        site("object", {**good, **given})
    assert str(raised.value).startswith("describe where object stands: ") and "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("given", "wrong"),
    [
        ({"sampling_design": "random"}, "use one of simpleRandom"),
        ({"title": " "}, "the standard wants a title"),
        ({"data_license": "CC0-1.0"}, "wildberryeye_media_license: it is '': the standard wants both"),
        ({"data_license": "CC0-1.0", "media_license": "my own"}, "short name, such as CC-BY-4.0"),
        ({"contributors": "A. B."}, "write a list"),
        ({"contributors": [{"role": "contact"}]}, "each has a title"),
        ({"contributors": [{"title": "A", "role": "author"}]}, "a role is one of contact"),
        ({"contributors": [{"title": "A", "path": "/etc"}]}, "an address that begins with https://"),
        ({"contributors": [{"title": "A", "orcid": "1"}]}, "each has a title"),
    ],
)
def test_a_wrong_project_is_one_line_that_names_the_variable(given: dict[str, Any], wrong: str) -> None:
    with pytest.raises(Error, match=wrong) as raised:
        project({**PROJECT, **given})
    assert str(raised.value).startswith("use wildberryeye_") and "\n" not in str(raised.value)


def test_all_cameras_are_looked_at_before_anybody_has_to_correct_something() -> None:
    hostvars = {name: {"wildberryeye_latitude": 1} for name in ("a", "b")}
    assert len(problems(["a", "b"], hostvars, {**PROJECT, "title": ""})) == 3


def test_the_defaults_of_the_project_are_what_the_standard_takes(station: Station) -> None:
    defaults = (ROOT / "roles" / "common" / "defaults" / "main.yml").read_text()
    assert (
        "wildberryeye_sampling_design: targeted" in defaults and "wildberryeye_project_title: WildBerryEye" in defaults
    )
    assert project({"title": "WildBerryEye", "sampling_design": "targeted"})["contributors"] == [camtrap_site.NOBODY]


# --- when it is written ---------------------------------------------------------------------------


def test_the_inventorys_words_arrive_in_the_package(station: Station, tmp_path: Path) -> None:
    (tmp_path / "play.yml").write_text(PLAY)
    more = "wildberryeye_latitude: -1.25, wildberryeye_location_name: 'Wiese, \"Süd\"'"
    title = ["-e", "wildberryeye_project_title=Poppies"]
    status, lines = play(station, str(tmp_path / "play.yml"), more, *OF_TODAY, *title)
    assert status == 0, lines
    assert any(f"data package of {EXPERIMENT} with 2 images written" in line for line in lines)
    motion, found = station.rows("deployments")
    assert (motion["latitude"], motion["longitude"], motion["locationName"]) == ("-1.25", "13.5", 'Wiese, "Süd"')
    assert found["latitude"] == "52.52" and station.description["project"]["title"] == "Poppies"
    assert camtrap_standard.complaints(station.directory, camtrap_standard.ours) == []


def test_what_counts_as_a_visit_is_the_same_in_package_and_report(station: Station, tmp_path: Path) -> None:
    (tmp_path / "play.yml").write_text(PLAY)
    visits = ["-e", "wildberryeye_visit_gap=0.5", "-e", "wildberryeye_visit_minimum=1"]
    status, lines = play(station, str(tmp_path / "play.yml"), "wildberryeye_latitude: 1", *OF_TODAY, *visits)
    assert status == 0, lines
    (shown,) = [each for each in gather(station.layout, EXPERIMENT, Settings(0.5, 1)).cameras if each.name == "object"]
    levels = [row["observationLevel"] for row in station.rows("observations")]
    assert levels.count("event") == len(shown.visits) == 2


@pytest.mark.parametrize("scheduled", [False, True])
def test_a_package_that_cannot_be_written_costs_a_line_at_the_end(
    station: Station, tmp_path: Path, scheduled: bool
) -> None:
    (tmp_path / "play.yml").write_text(PLAY)
    timer = ["-e", f"wildberryeye_scheduled={scheduled}"]
    status, lines = play(station, str(tmp_path / "play.yml"), "", *OF_TODAY, *timer)
    # All is home: what a timer began is not begun again for it.
    assert status == (0 if scheduled else 2), lines
    assert any(line.startswith("object  collected") for line in lines), lines
    assert lines[-1].startswith(
        "data package: write the data package: describe where motion stands: wildberryeye_latitude"
    )
    assert not (station.directory / "datapackage.json").exists()


def test_a_package_of_the_past_is_corrected_by_its_own_playbook(station: Station) -> None:
    playbook, of = "playbooks/camtrap_dp.yml", ("-e", f"wildberryeye_experiment={EXPERIMENT}")
    status, lines = play(station, playbook, "wildberryeye_latitude: 1", *of)
    assert status == 0 and lines[-1].endswith(f"data package of {EXPERIMENT} with 2 images written")
    play(station, playbook, "wildberryeye_latitude: 2", *of)
    assert station.rows("deployments")[0]["latitude"] == "2.0"
    status, lines = play(station, playbook, "wildberryeye_latitude: 2")
    assert status == 2 and "no data package to write: no experiment is meant" in lines[-1]


def given(station: Station, **more: Any) -> dict[str, Any]:
    return {
        "data_dir": station.layout.data_dir,
        "experiments": [EXPERIMENT],
        "cameras": SITES,
        "project": PROJECT,
        **more,
    }


@pytest.mark.parametrize("real", [True, False], ids=["as Ansible runs it", "in a copy of this process"])
def test_the_module_writes_it_once(station: Station, real: bool) -> None:
    checked = run_module("camtrap_dp", given(station), check=True, real=real).ok()
    assert checked["changed"] and checked["msg"] == f"data package of {EXPERIMENT} with 2 images would be written"
    assert not (station.directory / "media.csv").exists()
    found = run_module("camtrap_dp", given(station), real=real).ok()
    path = str(station.directory / "datapackage.json")
    assert found["packages"] == [
        {"experiment": EXPERIMENT, "path": path, "deployments": 2, "media": 2, "observations": 3, "changed": True}
    ]
    assert not run_module("camtrap_dp", given(station), real=real).ok()["changed"]


def test_an_experiment_of_the_past_gets_no_package_it_never_had_and_keeps_its_places(station: Station) -> None:
    late = given(station, experiments=[], late=[EXPERIMENT, "unclaimed"])
    found = run_module("camtrap_dp", late).ok()
    assert (
        found["packages"] == [] and f"run camtrap_dp.yml with -e wildberryeye_experiment={EXPERIMENT}" in found["msg"]
    )
    run_module("camtrap_dp", given(station)).ok()
    station.archive(pictures(named("10:00:00"), seed=7), part=2)
    moved = {name: {"latitude": 0, "longitude": 0} for name in SITES}
    found = run_module("camtrap_dp", {**late, "cameras": moved}).ok()
    assert found["changed"] and found["packages"][0]["media"] == 3
    assert {row["latitude"] for row in station.rows("deployments")} == {"52.52", "52.5201"}


def test_what_is_wrong_with_one_package_holds_up_no_other(station: Station) -> None:
    other = Station(Path(station.layout.data_dir), "2026-05-23")
    other.archive(pictures(named("09:30:00")))
    other.closed()
    only = given(station, experiments=[EXPERIMENT, "2026-05-23"], cameras={"object": SITES["object"]})
    said = run_module("camtrap_dp", only).failed()
    assert "describe where motion stands" in said
    with (other.directory / "media.csv").open(newline="") as file:
        assert len(list(csv.DictReader(file))) == 1
