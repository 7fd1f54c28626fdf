# SPDX-License-Identifier: GPL-3.0-or-later
"""What `--check` foretells is what the run then does, by name and size, and looking ahead touches nothing.

Of `setup` and `remove`, test_setup.py says the same; of `status`, which changes nothing at all, test_status.py.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from e2e.station import Run, Station, today
from e2e.watching import heartbeat_says
from lab import wait_until

pytestmark = pytest.mark.ci

PLACED = {"wildberryeye_camtrap_dp": True, "wildberryeye_latitude": 52.52, "wildberryeye_longitude": 13.405}
CARRIED = re.compile(r"^\w+ +[a-z ]+?  +(\d+)  +([\d.]+ MB)(?:  (\S+))?")


@pytest.fixture
def recorded(station: Station) -> Station:
    """A station whose cameras have recorded a little, with a heartbeat, and see nothing any more."""
    # It looks at the cameras at once, and then not before the test is over.
    station.variables(**PLACED, wildberryeye_heartbeat_interval=600)
    station.play("start")
    station.wait_for_images()
    end_of_sight(station)
    return station


def end_of_sight(station: Station) -> None:
    """Have the cameras see nothing any more, once the heartbeat has looked: all that there will be lies there."""
    looked = "the heartbeat has looked at all cameras"
    wait_until(lambda: all(heartbeat_says(station, name) for name in station.cameras), looked, 60)
    for camera in station.cameras.values():
        camera.settings(detect_limit=0)
        camera.restart_service()
        camera.wait_port()


def untouched(station: Station, run: Callable[[], Run]) -> Run:
    """Return what a run said that must touch neither side."""
    before = station.everything()
    done = run()
    assert station.everything() == before
    return done


def carried(run: Run, station: Station) -> list[tuple[str, str, str]]:
    """Return images, bytes and archive in the lines of the table at the end."""
    found = []
    for name in station.cameras:
        match = CARRIED.match(run.row(name))
        assert match, run.row(name)
        found.append((match[1], match[2], match[3] or ""))
    return found


def test_a_start_that_is_looked_at_first_opens_what_was_foretold(station: Station) -> None:
    told = untouched(station, lambda: station.play("start", "--check"))
    assert station.experiments() == [] and today() in told.text
    assert all("would be recording" in told.row(name) for name in station.cameras)
    station.play("start")
    assert station.experiments() == [today()]


def test_a_start_that_is_looked_at_first_names_what_the_day_before_left_and_then_carries_it(station: Station) -> None:
    station.variables(**PLACED, wildberryeye_heartbeat_interval=600)
    station.at("2026-05-22 07:00:00", "start")
    station.wait_for_images()
    end_of_sight(station)
    # One of them has been collected from as far as a batch; the other has it all loose.
    station.make_batch("object")
    left = [len(station.on_card(name)) for name in station.cameras]
    told = untouched(station, lambda: station.at("2026-05-23 07:00:00", "start", "--check"))
    assert all("would be recording" in told.row(name) for name in station.cameras)
    assert [int(images) for images, *_unused in carried(told, station)] == left
    # By what each of the two steps says, too.
    assert "object: 1 image of 2026-05-22 would be set aside" in told.text
    assert f"object: would carry {left[0] - 1} images home that lie set aside" in told.text
    done = station.at("2026-05-23 07:00:00", "start")
    assert [each[:2] for each in carried(told, station)] == [each[:2] for each in carried(done, station)]
    for name, images in zip(station.cameras, left, strict=True):
        assert [len(archive) for archive in station.archives(name).values()] == [images]
        assert list(station.archives(name)) == [f"{name}_2026-05-22.zip"]
    for run in (told, done):
        assert "experiment 2026-05-23" in run.text
        assert "2026-05-22/report.html" in run.text.splitlines()[-1]
        assert "no data package" in run.text
    assert not list(station.data.glob("*/datapackage.json"))


def test_a_restart_that_is_looked_at_first_restarts_nothing(recorded: Station) -> None:
    told = untouched(recorded, lambda: recorded.play("restart", "--check", "--limit", "object"))
    assert "would be recording" in told.row("object")


@pytest.mark.parametrize("playbook", ["collect", "stop"])
def test_what_would_be_carried_home_is_what_is_then_carried(recorded: Station, playbook: str) -> None:
    told = untouched(recorded, lambda: recorded.play(playbook, "--check"))
    done = recorded.play(playbook)
    assert [each[:2] for each in carried(told, recorded)] == [each[:2] for each in carried(done, recorded)]
    if playbook == "stop":
        assert [each[2] for each in carried(told, recorded)] == [each[2] for each in carried(done, recorded)]
        recorded.assert_all_home()
    (path,) = recorded.data.glob("*/report.html")
    for run in (told, done):
        assert f"{path.parent.name}/report.html" in run.text and "data package" in run.text


def test_a_collection_that_is_looked_at_first_counts_once_what_a_failed_stop_left(recorded: Station) -> None:
    recorded.play("stop", "-e", "wildberryeye_image_dir=/nowhere", status=2)
    told = untouched(recorded, lambda: recorded.play("collect", "--check"))
    done = recorded.play("collect")
    recorded.assert_all_home()
    assert [each[:2] for each in carried(told, recorded)] == [each[:2] for each in carried(done, recorded)]
    assert [int(each[0]) for each in carried(told, recorded)] == [len(recorded.home(name)) for name in recorded.cameras]


@pytest.mark.parametrize(("playbook", "made"), [("report", "report.html"), ("camtrap_dp", "datapackage.json")])
def test_what_would_be_written_of_an_experiment_is_what_is_then_written(
    recorded: Station, playbook: str, made: str
) -> None:
    recorded.play("stop")
    (path,) = recorded.data.glob(f"*/{made}")
    path.unlink()
    which = ("-e", f"wildberryeye_experiment={today()}")
    told = untouched(recorded, lambda: recorded.play(playbook, "--check", *which))
    assert f"{today()}" in told.text and not path.exists()
    done = recorded.play(playbook, *which)
    assert path.exists()
    named = re.compile(rf"/\S*{today()}\S*")
    assert set(named.findall(told.text)) == set(named.findall(done.text))


def test_a_message_that_is_looked_at_first_is_not_sent(station: Station) -> None:
    station.variables(wildberryeye_notify_urls=["json://127.0.0.1:9/x"])
    told = untouched(station, lambda: station.play("notify", "--check"))
    assert "a message would go by JSON" in told.text
    assert "a message would go by" not in station.play("notify", status=2).text
