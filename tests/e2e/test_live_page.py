# SPDX-License-Identifier: GPL-3.0-or-later
"""The live page of a real station: setup turns it on, a phone on the network sees what is so, remove takes it off."""

from __future__ import annotations

from typing import Any

import pytest
import requests

from e2e.setting_up import changed, footprint, recap
from e2e.station import Station, today
from lab import wait_until

INTERVAL = 4
PORT = 8088
PAGE = {
    "wildberryeye_live_page": True,
    "wildberryeye_live_page_address": "0.0.0.0",
    "wildberryeye_live_page_port": PORT,
    "wildberryeye_ready_timeout": 20,
    "wildberryeye_heartbeat_interval": INTERVAL,
    "wildberryeye_heartbeat_timeout": 2,
}
UNIT = "wildberryeye_live_page.service"

pytestmark = pytest.mark.ci


def ask(station: Station, path: str = "state.json") -> requests.Response:
    """Ask as a phone on the station's network does."""
    return requests.get(f"http://{station.orchestrator.address}:{PORT}/{path}", timeout=10)


def state(station: Station) -> dict[str, Any]:
    """All that the page is told."""
    return {**ask(station).json(), **ask(station, "history.json").json()}


def shown(station: Station, name: str) -> dict[str, Any]:
    return next(camera for camera in state(station)["cameras"] if camera["name"] == name)


def well(station: Station) -> bool:
    return bool(state(station)["verdict"]["title"] == "All is well")


def served(station: Station) -> bool:
    """Whether a phone is answered."""
    try:
        requests.get(f"http://{station.orchestrator.address}:{PORT}/", timeout=2)
    except requests.RequestException:
        return False
    return True


def systemctl(station: Station, *words: str) -> str:
    return station.orchestrator.exec("systemctl", "--user", *words, user="decim", check=False).stdout.strip()


@pytest.fixture
def watched(fresh: Station) -> Station:
    """A station with its page on, that records and is watched closely."""
    fresh.orchestrator.write_inventory(PAGE)
    run = fresh.play("setup")
    assert f"live page at 0.0.0.0, port {PORT}" in run.row("orchestrator")
    fresh.play("start")
    return fresh


def test_a_camera_that_fails_is_said_within_an_interval_and_so_is_its_return(watched: Station) -> None:
    wait_until(lambda: well(watched), "all is well", 30)
    wait_until(lambda: bool(shown(watched, "motion")["picture"]), "its picture is there", 20)
    picture = ask(watched, "pictures/motion.jpg").content
    assert picture.startswith(b"\xff\xd8\xff") and picture.endswith(b"\xff\xd9")
    wait_until(lambda: bool(state(watched)["time_line"]), "the time line is there", 30)
    assert set(state(watched)["time_line"]["cameras"]) == {"object", "motion"}
    motion = watched.cameras["motion"]
    motion.exec("systemctl", "stop", motion.spec.unit)
    # The next look finds it; what that is called takes three of them.
    wait_until(lambda: bool(shown(watched, "motion")["level"] != "ok"), "its card says so", 2 * INTERVAL + 4)
    wait_until(lambda: well(watched), "it was restarted", 60)
    watched.play("stop")
    wait_until(lambda: bool(state(watched)["experiments"][0]["state"] == "closed"), "it is closed", 10)


@pytest.mark.slow
def test_it_is_off_until_it_is_asked_for_and_then_on_loopback_alone(fresh: Station) -> None:
    fresh.play("setup")
    assert not served(fresh) and systemctl(fresh, "list-unit-files", "--no-legend", UNIT) == ""
    fresh.variables(wildberryeye_live_page=True, wildberryeye_live_page_port=PORT)
    fresh.play("setup")
    assert not served(fresh), "nobody on the network sees it"
    there = f"import urllib.request as u; print(u.urlopen('http://127.0.0.1:{PORT}/').status)"
    assert fresh.orchestrator.exec("python3", "-c", there, user="decim").stdout.strip() == "200"


@pytest.mark.slow
def test_a_changed_setting_renews_it_and_remove_leaves_nothing(fresh: Station) -> None:
    fresh.play("setup")
    before = footprint(fresh)
    fresh.orchestrator.write_inventory(PAGE)
    check = recap(fresh, "setup", "--check", "--diff")
    assert changed(check) and f"+Description=WildBerryEye live page, on 0.0.0.0, port {PORT}" in check.text
    assert footprint(fresh) == before and not served(fresh)
    fresh.play("setup")
    assert served(fresh) and not changed(recap(fresh, "setup")) and not changed(recap(fresh, "setup", "--check"))
    pid = systemctl(fresh, "show", "--property=MainPID", "--value", UNIT)
    fresh.orchestrator.write_inventory({**PAGE, "wildberryeye_start_time": "06:30"})
    assert changed(recap(fresh, "setup")) and served(fresh)
    assert systemctl(fresh, "show", "--property=MainPID", "--value", UNIT) != pid
    # Off again, by the inventory; then by remove.
    fresh.orchestrator.write_inventory({})
    fresh.play("setup")
    assert not served(fresh) and footprint(fresh) == before
    fresh.orchestrator.write_inventory(PAGE)
    fresh.play("setup")
    fresh.play("remove")
    assert not served(fresh) and "live_page" not in footprint(fresh)
    assert not changed(recap(fresh, "remove"))


@pytest.mark.slow
def test_it_comes_back_when_it_is_killed_and_with_the_machine(fresh: Station) -> None:
    fresh.orchestrator.write_inventory(PAGE)
    fresh.play("setup")
    systemctl(fresh, "kill", "--signal=KILL", UNIT)
    wait_until(lambda: served(fresh), "it is served again", 20)
    fresh.orchestrator.reboot()
    wait_until(lambda: served(fresh), "it is served after a boot, without a login", 40)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"wildberryeye_live_page_address": "192.0.2.7"}, "This machine does not have that address, or not yet"),
        ({"wildberryeye_live_page_address": "station"}, "that is no address"),
        ({"wildberryeye_live_page_port": 80}, "not a port that a user may serve on"),
    ],
)
def test_what_cannot_be_served_is_said_in_a_line_and_the_rest_is_set_up(
    fresh: Station, variables: dict[str, object], said: str
) -> None:
    fresh.orchestrator.write_inventory({**PAGE, **variables})
    run = fresh.play("setup", status=2)
    assert said in run.text
    assert systemctl(fresh, "is-enabled", "wildberryeye_heartbeat.service") == "enabled"


@pytest.mark.slow
def test_nothing_of_an_experiment_can_be_fetched_but_its_report(watched: Station) -> None:
    watched.wait_for_images()
    watched.play("stop")
    for path in (
        f"experiments/{today()}/object/object_{today()}.zip",
        f"experiments/{today()}/experiment.json",
        f"experiments/{today()}/",
        f"{today()}/events.jsonl",
        ".heartbeat.json",
    ):
        assert ask(watched, path).status_code == 404, path
