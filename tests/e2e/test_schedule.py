# SPDX-License-Identifier: GPL-3.0-or-later
"""The timers: nobody is there at seven in the morning, and nobody was when the power failed at night."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from e2e.station import Run, Station
from e2e.timers import COLLECT, HOME, INSTALLED, PLAYBOOK, PREPARE, REMOVE, START, STOP, UNITS, Timers
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


@pytest.mark.ci
def test_what_is_installed_is_what_was_announced_and_installing_again_changes_nothing(timers: Timers) -> None:
    timers.host.write_inventory({})
    timers.set("absent")
    fresh = timers.set("present", "--check", "--diff")
    assert "failed=0" in fresh.text and timers.host.exec("ls", INSTALLED).stdout == ""
    done = timers.set("present", "--diff")
    assert changes(fresh) == changes(done) and "+OnCalendar=*-*-* 07:00:00" in changes(done)
    for arguments in (["--check", "--diff"], []):
        assert unchanged(timers.set("present", *arguments))
    later = ["-e", "wildberryeye_start_time=06:30"]
    told = timers.set("present", "--check", "--diff", *later)
    assert changes(told) == changes(timers.set("present", "--diff", *later))
    assert "+OnCalendar=*-*-* 06:30:00" in changes(told) and "-OnCalendar=*-*-* 07:00:00" in changes(told)
    assert "06:30:00" in timers.systemctl("list-timers", "--no-pager")
    timers.set("absent")
    assert timers.host.exec("find", INSTALLED, f"{HOME}/.local/share/systemd", "-type", "f,l").stdout == ""
    assert "wildberryeye_st" not in timers.systemctl("list-units", "--all", "--no-pager")
    assert unchanged(timers.set("absent"))


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


@pytest.mark.ci
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


@pytest.mark.ci
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


@pytest.mark.ci
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


@pytest.mark.slow
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


@pytest.mark.slow
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


NOTHING = "nothing is being recorded: no camera is touched"


@pytest.mark.ci
def test_the_collections_timer_comes_with_its_interval_changes_with_it_and_goes_without(timers: Timers) -> None:
    timers.host.write_inventory({})
    timers.set("present")
    units = [f"{INSTALLED}/{COLLECT}.{kind}" for kind in ("service", "timer")]
    begun = []
    for minutes in (90, 60):
        wanted = ["-e", f"wildberryeye_collection_interval={minutes}"]
        told = timers.set("present", "--check", "--diff", *wanted)
        assert changes(told) == changes(timers.set("present", "--diff", *wanted))
        assert f"+OnUnitInactiveSec={minutes}min" in changes(told)
        due = timers.systemctl("list-timers", "--no-pager", f"{COLLECT}.timer")
        (left,) = re.findall(r"(?:(\d)h )?(?:(\d+)min )?(?:\d+s )?left", due)
        assert minutes - 10 <= 60 * int(left[0] or 0) + int(left[1] or 0) <= minutes, due
        assert unchanged(timers.set("present", "--diff", *wanted))
        begun.append(timers.systemctl("show", f"{COLLECT}.timer", "-p", "ActiveEnterTimestampMonotonic"))
    # It counts anew: what an interval made shorter asks for may be past already, and would never come.
    assert begun[0] != begun[1]
    assert timers.systemctl("is-enabled", f"{COLLECT}.timer") == "enabled\n"
    verified = timers.host.exec("systemd-analyze", "--user", "verify", *units, user="decim")
    assert verified.stdout + verified.stderr == ""
    for wrong in ("0.5", "1441", "hourly"):
        refused = timers.set("present", "-e", f"wildberryeye_collection_interval={wrong}", status=2)
        line = f"wildberryeye_collection_interval is {wrong}: not a number of minutes. Write a whole one from 1 to 1440"
        assert line in refused.text
    assert not unchanged(timers.set("present", "--check"))
    timers.set("present")
    assert COLLECT not in timers.host.exec("find", INSTALLED).stdout
    assert COLLECT not in timers.systemctl("list-units", "--all", "--no-pager")
    assert unchanged(timers.set("present"))
    assert "wildberryeye_start_experiment.timer" in timers.systemctl("list-timers", "--no-pager")


@pytest.mark.ci
def test_images_come_home_by_the_timer_while_recording_goes_on_and_are_one_archive_at_the_end(
    timers: Timers, station: Station
) -> None:
    station.begin_day()
    runs = [len(camera.detecting()) for camera in station.cameras.values()]
    timers.collect_every("2s")
    for name in station.cameras:
        twice = f"two collections from {name} are home"
        receipts = station.data / "day" / name / "receipts"
        wait_until(lambda r=receipts: len(list(r.glob("*.json"))) >= 2, twice, 120, 0.5)  # type: ignore[misc]
    station.wait_for_images()
    assert [len(camera.detecting()) for camera in station.cameras.values()] == runs
    assert all(camera.detecting_now() for camera in station.cameras.values())
    station.assert_nothing_lost()
    station.play("stop")
    station.assert_all_home()
    for name in station.cameras:
        assert list(station.archives(name)) == [f"{name}_day.zip"]
    wait_until(lambda: NOTHING in timers.journal(COLLECT), "the next one finds nothing to do", 30)
    timers.systemctl("stop", f"{COLLECT}.timer")
    timers.ended(COLLECT)


@pytest.mark.ci
def test_a_collection_that_misses_a_camera_fails_by_name_and_comes_again_and_at_night_it_touches_none(
    timers: Timers, station: Station
) -> None:
    # Nobody can log in any more, not over connections that are open already either; started again, they can.
    deaf = "systemctl stop ssh; pkill sshd"
    station.begin_day()
    station.cameras["motion"].exec("sh", "-c", deaf)
    try:
        timers.collect_every("2s")
        missed = "motion  not collected"
        wait_until(lambda: timers.journal(COLLECT).count(missed) >= 2, "it is tried again", 120, 0.5)
        said = timers.journal(COLLECT)
        assert "object  collected" in said and station.parts("object") and NOTHING not in said
        # What is left of that camera is for the stop to try again.
        station.play("stop", status=2)
        station.cameras["object"].exec("sh", "-c", deaf)
        timers.systemctl("stop", f"{COLLECT}.timer")
        wait_until(lambda: timers.over(COLLECT), "none runs any more", 60)
        timers.systemctl("start", f"{COLLECT}.service")
        timers.ended(COLLECT)
        assert timers.journal(COLLECT).rstrip().endswith(NOTHING)
    finally:
        for camera in station.cameras.values():
            camera.exec("systemctl", "start", "ssh")
    station.play("stop")
    station.assert_all_home()


@pytest.mark.ci
def test_a_timers_collection_makes_way_for_whoever_is_at_work_and_fails_nobody(
    timers: Timers, station: Station
) -> None:
    camera = station.cameras["object"]
    timers.hours(-60, 60, wildberryeye_collection_interval=60)
    timers.set("present")
    station.begin_day()
    station.wait_for_images("object", more=60)
    camera.shape("2mbit")
    by_hand = station.begin("collect", "--limit", "object")
    wait_until(lambda: transfer_under_way(station), "a collection by hand carries", 60)
    timers.systemctl("start", f"{COLLECT}.service")
    timers.ended(COLLECT)
    said = timers.journal(COLLECT)
    assert re.search(r"^object  left alone .* it is held by a collect that is running \(process \d+\)$", said, re.M)
    assert re.search(r"^motion  collected ", said, re.M) and "FAILED" not in said
    assert '"failed"' not in (station.data / "day" / "events.jsonl").read_text()
    station.kill_playbooks()
    station.end(by_hand, status=None)

    timers.systemctl("start", "--no-block", f"{COLLECT}.service")
    wait_until(lambda: transfer_under_way(station), "the timer's collection carries", 60)
    stopping = station.begin("stop")
    wait_until(lambda: timers.over(COLLECT), "the stop has ended it", 60)
    assert stopping.poll() is None
    # Killed by SIGTERM, and not failed.
    shown = [timers.state(COLLECT, what) for what in ("ExecMainCode", "ExecMainStatus", "Result", "ActiveState")]
    assert shown == ["2", "15", "success", "inactive"]
    wait_until(lambda: transfer_under_way(station), "the stop carries", 60)
    timers.systemctl("start", f"{COLLECT}.service")
    timers.ended(COLLECT)
    assert NOTHING in timers.journal(COLLECT) and stopping.poll() is None
    camera.shape(None)
    station.end(stopping)
    station.assert_all_home()
    assert list(station.archives("object")) == ["object_day.zip"]


def transfer_under_way(station: Station) -> bool:
    """Tell whether images are being fetched."""
    return station.orchestrator.exec("pgrep", "-u", "decim", "-x", "rsync", check=False).returncode == 0


def unchanged(run: Run) -> bool:
    """Tell whether the recap knows of no change, on any host."""
    return "failed=0" in run.text and not re.search(r"changed=[1-9]", run.text)


def changes(run: Run) -> list[str]:
    """The lines that a run with --diff shows as new or gone."""
    lines = (line for line in run.text.splitlines() if line[:1] in "+-" and line)
    return [line for line in lines if not line.startswith(("+++", "---"))]
