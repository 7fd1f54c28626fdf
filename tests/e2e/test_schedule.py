# SPDX-License-Identifier: GPL-3.0-or-later
"""The timers: nobody is there at seven in the morning, and nobody was when the power failed at night."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator

import pytest

from e2e.station import Run, Station
from lab import Lab, wait_until

START, STOP = "wildberryeye_start_experiment", "wildberryeye_stop_experiment"
UNITS = [f"{unit}.{kind}" for unit in (START, STOP) for kind in ("service", "timer")]
HOME = "/home/decim"
INSTALLED = f"{HOME}/.config/systemd/user"
# What systemd expands, or takes for two words, where it is not told otherwise.
PLACE = f"{HOME}/my 100% station"
CHECKOUT = f"{HOME}/wildberryeye-orchestrator"
PLAYBOOK = """---
- name: Set the timers
  hosts: cameras
  gather_facts: false
  roles:
    - role: wildberryeye.orchestrator.schedule
"""
PREPARE = f"""
rm -rf '{PLACE}'
mkdir '{PLACE}'
cp {CHECKOUT}/ansible.cfg '{PLACE}'
ln -s {CHECKOUT}/collections '{PLACE}/collections'
ln -s {HOME}/station/inventory/hosts.yml '{PLACE}/hosts.yml'
cat >'{PLACE}/timers.yml'
"""
REMOVE = f"""
systemctl --user stop {" ".join(UNITS)}
systemctl --user disable {START}.timer {STOP}.timer
systemctl --user reset-failed
rm -rf {INSTALLED}/{START}* {INSTALLED}/{STOP}* {HOME}/.local/share/systemd '{PLACE}'
systemctl --user daemon-reload
"""


class Timers:
    """The timers of a station, under a real manager of the user decim."""

    def __init__(self, station: Station) -> None:
        self.station = station
        self.host = station.orchestrator

    def set(self, state: str, *arguments: str, status: int = 0) -> Run:
        """Apply the role."""
        command = [
            "ansible-playbook",
            "-i",
            f"{PLACE}/hosts.yml",
            f"{PLACE}/timers.yml",
            "-e",
            f"schedule_state={state}",
        ]
        env = {"ANSIBLE_CONFIG": f"{PLACE}/ansible.cfg", "ANSIBLE_STDOUT_CALLBACK": "ansible.builtin.default"}
        return self.station.judge(self.host.ansible(*command, *arguments, env=env), status)

    def systemctl(self, *words: str, check: bool = True) -> str:
        return self.host.exec("systemctl", "--user", *words, user="decim", check=check).stdout

    def drop_in(self, unit: str, *lines: str) -> None:
        """Add lines to a unit."""
        script = 'mkdir -p "$1.d" && cat >"$1.d/test.conf" && systemctl --user daemon-reload'
        self.host.exec("sh", "-c", script, "sh", f"{INSTALLED}/{unit}", user="decim", input="\n".join(lines) + "\n")

    def fire(self, unit: str) -> None:
        """Let the timer fire in a moment."""
        soon = self.host.exec("date", "-d", "+2 seconds", "+%F %T").stdout.strip()
        self.drop_in(f"{unit}.timer", "[Timer]", "OnCalendar=", f"OnCalendar={soon}")
        wait_until(lambda: self.state(unit) != "inactive", f"{unit} runs", 10)

    def state(self, unit: str, what: str = "ActiveState") -> str:
        return self.systemctl("show", f"{unit}.service", "--value", "-p", what).strip()

    def ended(self, *units: str) -> None:
        """Wait until services have run to their end; they must have succeeded."""
        for unit in units:
            wait_until(lambda u=unit: self.state(u) in ("inactive", "failed"), f"{unit} ends", 90, 0.3)  # type: ignore[misc]
            assert (self.state(unit), self.state(unit, "Result")) == ("inactive", "success"), self.journal(unit)

    def journal(self, unit: str) -> str:
        """What the service said since the test began."""
        return self.host.exec("journalctl", f"_SYSTEMD_USER_UNIT={unit}.service", "-o", "cat", "--no-pager").stdout

    def hours(self, begin: int, end: int) -> None:
        """Have the day last from so many minutes after now to so many, and cameras get ready in time."""
        now = dt.datetime.now(dt.UTC)
        start, stop = ((now + dt.timedelta(minutes=minutes)).strftime("%H:%M") for minutes in (begin, end))
        hours = {"wildberryeye_start_time": start, "wildberryeye_stop_time": stop}
        self.host.write_inventory({"wildberryeye_ready_timeout": 20, **hours})

    def outage(self, until: str, *units: str) -> None:
        """Switch the orchestrator on at `until`: the timers fire late, `units` in that order."""
        library = self.host.exec("find", "/usr/lib", "-name", "libfaketime.so.1").stdout.strip()
        clock = f'LD_PRELOAD={library} "FAKETIME=@{until}" FAKETIME_DONT_FAKE_MONOTONIC=1'
        for unit in units:
            self.drop_in(f"{unit}.service", "[Service]", f"Environment={clock}")
        self.systemctl("start", "--no-block", *(f"{unit}.service" for unit in units))
        self.ended(*units)


@pytest.fixture(scope="module", autouse=True)
def manager(lab: Lab) -> Iterator[None]:
    """A systemd manager of decim that runs without a login."""
    assert lab.orchestrator is not None
    lab.orchestrator.exec("sh", "-c", "loginctl enable-linger decim && systemctl start user@1000.service")
    yield
    lab.orchestrator.exec("sh", "-c", "loginctl disable-linger decim && systemctl stop user@1000.service")


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
def test_an_outage_over_night_ends_with_yesterdays_images_home_and_today_recording(
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


@pytest.mark.parametrize("order", [(START, STOP), (STOP, START)], ids=["start first", "stop first"])
@pytest.mark.parametrize("left", ["one camera not home", "still recording"])
def test_after_an_outage_by_day_nothing_is_begun_at_night_and_all_comes_home(
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
