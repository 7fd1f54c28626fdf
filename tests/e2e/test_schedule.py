# SPDX-License-Identifier: GPL-3.0-or-later
"""The timers: nobody is there at seven in the morning, and nobody was when the power failed at night."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from e2e.station import Run, Station
from e2e.timers import HOME, INSTALLED, PLAYBOOK, PREPARE, REMOVE, START, STOP, UNITS, Timers
from lab import wait_until


@pytest.fixture
def timers(station: Station) -> Iterator[Timers]:
    found = Timers(station)
    found.host.exec("sh", "-c", PREPARE, input=PLAYBOOK)
    found.host.exec("sh", "-c", "journalctl --rotate -q; journalctl --vacuum-time=1s -q")
    found.hours(-60, 60)
    try:
        found.set("present")
        yield found
    finally:
        found.host.exec("sh", "-c", REMOVE, user="decim", check=False)


def test_what_is_installed_is_what_was_announced_and_installing_again_changes_nothing(timers: Timers) -> None:
    timers.host.write_inventory({})
    timers.set("absent")
    fresh = timers.set("present", "--check", "--diff")
    assert "failed=0" in fresh.text and timers.host.exec("ls", INSTALLED).stdout == ""
    done = timers.set("present", "--diff")
    assert changes(fresh) == changes(done) and "+OnCalendar=*-*-* 07:00:00" in changes(done)
    for arguments in (["--check", "--diff"], []):
        assert "changed=0" in timers.set("present", *arguments).text
    later = ["-e", "wildberryeye_start_time=06:30"]
    told = timers.set("present", "--check", "--diff", *later)
    assert changes(told) == changes(timers.set("present", "--diff", *later))
    assert "+OnCalendar=*-*-* 06:30:00" in changes(told) and "-OnCalendar=*-*-* 07:00:00" in changes(told)
    assert "06:30:00" in timers.systemctl("list-timers", "--no-pager")
    timers.set("absent")
    assert timers.host.exec("find", INSTALLED, f"{HOME}/.local/share/systemd", "-type", "f,l").stdout == ""
    assert "wildberryeye_st" not in timers.systemctl("list-units", "--all", "--no-pager")
    assert "changed=0" in timers.set("absent").text


def test_systemd_understands_every_word_of_the_shipped_units(timers: Timers) -> None:
    timers.host.write_inventory({})
    timers.set("present")
    paths = [f"{INSTALLED}/{unit}" for unit in UNITS]
    verified = timers.host.exec("systemd-analyze", "--user", "verify", *paths, user="decim")
    assert verified.stdout + verified.stderr == ""
    due = [line for line in timers.host.exec("cat", *paths).stdout.splitlines() if line.startswith("OnCalendar=")]
    assert due == ["OnCalendar=*-*-* 07:00:00", "OnCalendar=*-*-* 01:00:00"]
    for line in due:
        timers.host.exec("systemd-analyze", "calendar", line.removeprefix("OnCalendar="))


def test_a_time_that_yaml_has_made_a_number_of_is_refused_before_anything_is_installed(timers: Timers) -> None:
    timers.set("absent")
    timers.host.write_inventory({"wildberryeye_start_time": 420})
    refused = timers.set("present", status=2)
    assert "wildberryeye_start_time is 420: not a time of day. Write it in quotes" in refused.text
    assert timers.host.exec("ls", INSTALLED).stdout == ""


def test_a_day_that_timers_begin_and_end(timers: Timers, station: Station) -> None:
    timers.fire(START)
    timers.ended(START)
    assert all(camera.detecting_now() for camera in station.cameras.values())
    station.wait_for_images()
    timers.hours(-60, -1)
    timers.fire(STOP)
    timers.ended(STOP)
    station.assert_all_home()
    (day,) = station.experiments()
    assert station.record(day)["state"] == "closed"
    assert "home" in timers.journal(STOP) and "Invoked with" not in timers.journal(STOP)


def test_a_start_that_misses_a_camera_fails_by_name_and_a_stop_is_tried_until_all_is_home(
    timers: Timers, station: Station
) -> None:
    station.play("start")
    station.wait_for_images()
    station.cameras["motion"].stop()
    timers.systemctl("start", f"{START}.service", check=False)
    assert timers.state(START) == "failed" and "motion  not recording" in timers.journal(START)
    assert "object  recording" in timers.journal(START)
    timers.hours(-60, -1)
    timers.drop_in(f"{STOP}.service", "[Service]", "RestartSec=3s")
    timers.systemctl("start", "--no-block", f"{STOP}.service")
    wait_until(lambda: int(timers.state(STOP, "NRestarts") or 0) > 0, "stop is tried again", 60)
    assert "motion  not home" in timers.journal(STOP)
    station.assert_all_home("object")
    station.cameras["motion"].start()
    timers.ended(STOP)
    station.assert_all_home()


def test_a_start_ends_a_stop_that_waits_for_its_next_try(timers: Timers, station: Station) -> None:
    station.play("start")
    station.cameras["motion"].pause()
    timers.hours(-60, -1)
    timers.systemctl("start", f"{STOP}.service", check=False)
    waiting = ("activating", "auto-restart")
    wait_until(lambda: (timers.state(STOP), timers.state(STOP, "SubState")) == waiting, "stop waits", 60)
    station.cameras["motion"].unpause()
    station.play("start", "--check")
    assert (timers.state(STOP), timers.state(STOP, "SubState")) == waiting
    station.play("start")
    assert timers.state(STOP) == "inactive" and all(camera.detecting_now() for camera in station.cameras.values())


@pytest.mark.parametrize("order", [(START, STOP), (STOP, START)], ids=["start first", "stop first"])
def test_r19_an_outage_over_night_ends_with_yesterdays_images_home_and_today_recording(
    timers: Timers, station: Station, order: tuple[str, str]
) -> None:
    timers.host.write_inventory({"wildberryeye_ready_timeout": 20})
    station.at("2026-05-22 07:00:00", "start")
    station.wait_for_images()
    before = {name: set(station.detected(camera)) for name, camera in station.cameras.items()}
    timers.outage("2026-05-23 08:00:00", *order)
    assert all(camera.detecting_now() for camera in station.cameras.values())
    assert station.experiments() == ["2026-05-22", "2026-05-23"]
    assert [station.record(day)["state"] for day in station.experiments()] == ["closed", "recording"]
    first = {name: station.archives(name)[f"{name}_2026-05-22.zip"].keys() for name in station.cameras}
    assert all(before[name] <= first[name] for name in station.cameras)
    station.wait_for_images()
    # The same stop again, by itself, later on that day: what records goes on.
    runs = [len(camera.detecting()) for camera in station.cameras.values()]
    timers.outage("2026-05-23 08:30:00", STOP)
    assert "nothing is open from before" in timers.journal(STOP)
    assert [len(camera.detecting()) for camera in station.cameras.values()] == runs
    station.at("2026-05-24 01:00:00", "stop", "-e", "wildberryeye_scheduled=true")
    station.assert_all_home()
    for name in station.cameras:
        assert station.archives(name)[f"{name}_2026-05-22.zip"].keys() == first[name]
        assert len(station.archives(name)[f"{name}_2026-05-23.zip"]) >= 5


@pytest.mark.parametrize(
    ("order", "left"), [((START, STOP), "one camera not home"), ((STOP, START), "still recording")]
)
def test_r19_after_an_outage_by_day_nothing_is_begun_at_night_and_all_comes_home(
    timers: Timers, station: Station, order: tuple[str, str], left: str
) -> None:
    timers.host.write_inventory({"wildberryeye_ready_timeout": 20})
    station.at("2026-05-22 07:00:00", "start")
    station.wait_for_images()
    if left == "one camera not home":
        station.cameras["motion"].link_down()
        station.at("2026-05-23 01:00:00", "stop", status=2)
        station.cameras["motion"].link_up()
    timers.outage("2026-05-24 02:00:00", *order)
    assert "it is night (until 07:00): nothing is begun" in timers.journal(START)
    assert not any(camera.detecting_now() for camera in station.cameras.values())
    assert station.experiments() == ["2026-05-22"] and station.record("2026-05-22")["state"] == "closed"
    station.assert_all_home()


def changes(run: Run) -> list[str]:
    """The lines that a run with --diff shows as new or gone."""
    lines = (line for line in run.text.splitlines() if line[:1] in "+-" and line)
    return [line for line in lines if not line.startswith(("+++", "---"))]
