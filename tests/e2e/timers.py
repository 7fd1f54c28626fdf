# SPDX-License-Identifier: GPL-3.0-or-later
"""The timers of a station, as its user sees them; and a clock that shows what a test needs."""

from __future__ import annotations

import datetime as dt

from e2e.station import Run, Station
from lab import wait_until

START, STOP = "wildberryeye_start_experiment", "wildberryeye_stop_experiment"
COLLECT = "wildberryeye_collect_images"
"""What a station has only with `wildberryeye_collection_interval`."""
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
systemctl --user stop {" ".join(UNITS)} {COLLECT}.timer {COLLECT}.service
systemctl --user disable {START}.timer {STOP}.timer {COLLECT}.timer
systemctl --user reset-failed
rm -rf {INSTALLED}/{START}* {INSTALLED}/{STOP}* {INSTALLED}/{COLLECT}* {HOME}/.local/share/systemd '{PLACE}'
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

    def collect_every(self, interval: str) -> None:
        """Have images collected after `interval`, and then as long after each end: minutes are too long for a test."""
        self.hours(-60, 60, wildberryeye_collection_interval=60)
        self.set("present")
        times = [f"{on}={interval}" for on in ("OnActiveSec", "OnUnitInactiveSec")]
        self.drop_in(f"{COLLECT}.timer", "[Timer]", "OnActiveSec=", *times)
        self.systemctl("restart", f"{COLLECT}.timer")

    def state(self, unit: str, what: str = "ActiveState") -> str:
        return self.systemctl("show", f"{unit}.service", "--value", "-p", what).strip()

    def ended(self, *units: str) -> None:
        """Wait until services have run to their end; they must have succeeded."""
        for unit in units:
            wait_until(lambda u=unit: self.over(u), f"{unit} ends", 90, 0.3)  # type: ignore[misc]
            assert (self.state(unit), self.state(unit, "Result")) == ("inactive", "success"), self.journal(unit)

    def over(self, unit: str) -> bool:
        """Tell whether the service has ended, and does not wait for its turn."""
        return self.state(unit, "Job") in ("", "0") and self.state(unit) in ("inactive", "failed")

    def journal(self, unit: str) -> str:
        """What the service said since the test began."""
        return self.host.exec("journalctl", f"_SYSTEMD_USER_UNIT={unit}.service", "-o", "cat", "--no-pager").stdout

    def hours(self, begin: int, end: int, **settings: object) -> None:
        """Have the day last from so many minutes after now to so many, and cameras get ready in time."""
        now = dt.datetime.now(dt.UTC)
        start, stop = ((now + dt.timedelta(minutes=minutes)).strftime("%H:%M") for minutes in (begin, end))
        hours = {"wildberryeye_start_time": start, "wildberryeye_stop_time": stop}
        self.host.write_inventory({"wildberryeye_ready_timeout": 20, **hours, **settings})

    def outage(self, until: str, *units: str) -> None:
        """Switch the orchestrator on at `until`: the timers fire late, `units` in that order."""
        library = self.host.exec("find", "/usr/lib", "-name", "libfaketime.so.1").stdout.strip()
        clock = f'LD_PRELOAD={library} "FAKETIME=@{until}"'
        for unit in units:
            self.drop_in(f"{unit}.service", "[Service]", f"Environment={clock}")
        self.systemctl("start", "--no-block", *(f"{unit}.service" for unit in units))
        self.ended(*units)
