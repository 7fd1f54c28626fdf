# SPDX-License-Identifier: GPL-3.0-or-later
"""The heartbeat: keeps the cameras of an experiment recording, and ends when there is nothing to watch.

One process. It probes each camera at the camera's own moment of the interval, in a thread of its own; all that is
known and decided is in the main thread. A remedy is a playbook, run by remedy.py beside this file in a child process.
It reads its configuration, which start.yml writes, and the records of the experiments, nothing else.
"""

from __future__ import annotations

import argparse
import datetime as dt
import functools
import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from typing import Any, NamedTuple

from ansible_collections.wildberryeye.orchestrator.plugins.module_utils import (
    alert,
    concern,
    events,
    figures,
    filling,
    lock,
    notices,
    probe,
    record,
    watch,
)
from ansible_collections.wildberryeye.orchestrator.plugins.module_utils.camera_client import CameraClient
from ansible_collections.wildberryeye.orchestrator.plugins.module_utils.errors import Error, from_os_error
from ansible_collections.wildberryeye.orchestrator.plugins.module_utils.layout import Layout
from ansible_collections.wildberryeye.orchestrator.plugins.module_utils.ping import Ping
from ansible_collections.wildberryeye.orchestrator.plugins.module_utils.sd_notify import notify

REMEDIES_AT_ONCE = 2
REMEDY = os.path.join(os.path.dirname(os.path.abspath(__file__)), "remedy.py")
PLAYBOOKS = {watch.RESTART: "restart", watch.COLLECT: "collect"}
ENDING = 7.0
"""Seconds that a remedy has to end in: systemd waits for ten."""


class Config(NamedTuple):
    """What start.yml wrote."""

    path: str
    data_dir: str
    interval: float
    timeout: float
    failures: int
    cameras: dict[str, dict[str, Any]]
    collection: float
    """Seconds between two collections in mid-experiment; 0 for none."""
    alerts: str
    """Where alerts are kept; empty for nowhere."""
    secrets: str
    """The file that the URL of the dead man's ping stands in."""

    @classmethod
    def read(cls, path: str) -> Config:
        """Read it.

        Raises:
            Error: if it is missing or cannot be understood.
        """
        tried, advice = f"read {path}", "Run start.yml: it writes it"
        try:
            with open(path, "rb") as file:
                content = json.load(file)
            config = cls(
                path,
                str(content["data_dir"]),
                float(content["interval"]),
                float(content["timeout"]),
                int(content["failures"]),
                dict(content["cameras"]),
                # What an older start.yml has not written.
                60 * float(content.get("collection_interval") or 0),
                str(content.get("alerts") or ""),
                str(content.get("secrets") or ""),
            )
            if not (0 < config.interval < watch.HOUR and 0 < config.timeout < watch.HOUR and config.failures > 0):
                raise ValueError
            for name in config.cameras:
                config.camera(name)
                config.settings(name)
            return config
        except OSError as error:
            raise Error(tried, error.strerror or str(error), advice) from None
        except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
            raise Error(tried, "it is torn or of another version", advice) from None

    def camera(self, name: str) -> probe.Camera:
        """Return what a probe must know of a camera."""
        known = self.cameras[name]
        client = CameraClient(known["host"], known["port"])
        image_dir = str(known.get("image_dir") or ".")
        return probe.Camera(name, known["mode"], client, known["ssh"], known["service"], image_dir)

    def settings(self, name: str) -> watch.Settings:
        """Return what a watch must know of a camera."""
        return watch.Settings(self.interval, self.timeout, self.failures, float(self.cameras[name]["ready_timeout"]))


class Watched(NamedTuple):
    """A camera that is to record."""

    camera: probe.Camera
    watch: watch.Watch
    experiment: str
    entry: record.CameraRecord
    until: str
    """When the experiment ends."""
    card: filling.Filling


class Probed(NamedTuple):
    """A probe has ended."""

    name: str
    of: watch.Watch
    finding: watch.Finding


class Remedy(NamedTuple):
    """A remedy is under way."""

    kind: str
    process: subprocess.Popen[str]


class Remedied(NamedTuple):
    """A remedy has ended."""

    name: str
    of: watch.Watch
    helped: bool
    text: str


class Heartbeat:
    """All cameras that are to record.

    Args:
        config: what start.yml wrote.
    """

    def __init__(self, config: Config) -> None:
        self.config = config
        self.layout = Layout(config.data_dir)
        self.watched: dict[str, Watched] = {}
        self.ended = threading.Event()
        self._done: queue.SimpleQueue[Probed | Remedied | None] = queue.SimpleQueue()
        self._probing: set[str] = set()
        self._remedies: dict[str, Remedy] = {}
        self._records_at = 0.0
        self._written_at = 0.0
        self._complaints: list[str] = []
        self._edges = concern.Edges()
        self._unwritten = ""
        """What kept a notice from being left, as long as it does."""
        self._ping = Ping(say)
        self._pinged_at = -config.interval
        self._remembered, ended = self._memories()
        self._untold = {} if ended else dict(self._remembered)
        names = sorted(config.cameras)
        self._phases = {name: config.interval * number / len(names) for number, name in enumerate(names)}
        self._phase = time.monotonic()

    def run(self) -> int:
        """Watch until there is nothing to watch, or SIGTERM comes; return the exit status."""
        while not self.ended.is_set():
            now = time.monotonic()
            if now >= self._records_at:
                self._read_records(now)
                self._think_of_people(now)
                notify("READY=1")
                if not self.watched and not self._remedies and self._disk_is_there():
                    say("no experiment is being recorded: nothing to watch")
                    self._remember()
                    return 0
            notify("WATCHDOG=1")
            for each in list(self.watched.values()):
                self._turn(each, now)
            self._wait(now)
        self._end_remedies()
        for each in self.watched.values():
            # What becomes of a camera from here on nobody sees, and who reads the events later should know.
            self._tell_of_watching(each, "unwatched", "the heartbeat was asked to end", time.monotonic())
        self._remember(ended=True)
        say("ended, as asked")
        return 0

    def end(self, *_unused: object) -> None:
        """End soon: a handler of signals."""
        self.ended.set()
        # What waits for the next finding waits no longer: a stop waits for this.
        self._done.put(None)

    def _turn(self, each: Watched, now: float) -> None:
        name = each.camera.name
        if name not in self._busy() and now >= each.watch.next_probe:
            holder = lock.owner(self.layout.locks(), f"camera-{name}")
            if holder is not None:
                each.watch.left_alone(now)
            else:
                self._begin_probe(each, now)
        remedy = each.watch.wanted(now)
        # A collection may take hours: it keeps no camera from being restarted.
        if remedy and sum(other.kind == remedy for other in self._remedies.values()) < REMEDIES_AT_ONCE:
            self._begin_remedy(each, remedy, now)

    def _busy(self) -> set[str]:
        """Return the cameras that are not to be probed: their probe, or their restart, is under way."""
        return self._probing | {name for name, each in self._remedies.items() if each.kind == watch.RESTART}

    def _wait(self, now: float) -> None:
        """Wait until something has ended or is due, a second at most; take in what has ended."""
        busy = self._busy()
        due = [each.watch.next_probe for name, each in self.watched.items() if name not in busy]
        timeout = min([1.0, self._records_at - now, *(at - now for at in due)])
        try:
            done = self._done.get(timeout=max(0.01, timeout))
        except queue.Empty:
            return
        if done is None:
            return
        now = time.monotonic()
        each = self.watched.get(done.name)
        mine = each is not None and each.watch is done.of
        if isinstance(done, Probed):
            self._probing.discard(done.name)
            told = done.of.probed(now, done.finding)
            if each is not None and mine:
                told += done.of.clock_shown(each.camera.client.offset.estimate)
                if done.finding.look is not None and done.finding.look.free is not None:
                    each.card.see(now, done.finding.look.free)
        else:
            del self._remedies[done.name]
            told = done.of.remedy_ended(now, done.helped, done.text)
        if each is not None and mine:
            self._tell(each, told, now)
        if told or isinstance(done, Remedied) or now >= self._written_at + self.config.interval:
            self._remember()

    # -- records -------------------------------------------------------------------------------------

    def _read_records(self, now: float) -> None:
        """Take in which cameras are to record."""
        self._records_at = now + self.config.interval / 4
        if not self._disk_is_there():
            # A disk that was pulled out says nothing of what is to record: what was to, still is.
            self._complain([f"{self.layout.data_dir} is not there: plug the disk in, or correct wildberryeye_data_dir"])
            return
        records, complaints = record.load_all(self.layout)
        readable = {found.id for found in records}
        # Nor does a record that cannot be read.
        wanted = {name: each for name, each in self.watched.items() if complaints and each.experiment not in readable}
        for found in records:
            for name, entry in found.cameras.items():
                if entry.state in (record.EXPECTED, record.RECORDING) and name not in wanted:
                    if name in self.config.cameras:
                        wanted[name] = self._watched(name, found, entry, now)
                    else:
                        complaints.append(
                            f"{name}: not watched, though it is to record {found.id}: not in the inventory"
                        )
        self._complain(complaints)
        self._tell_for_a_killed_one(records)
        before, after = (
            {(name, each.experiment): each for name, each in watched.items()} for watched in (self.watched, wanted)
        )
        for key in before.keys() - after.keys():
            self._tell_of_watching(before[key], "unwatched", "it is not to record any more", now)
        for key in after.keys() - before.keys():
            self._tell_of_watching(after[key], "watched", f"for experiment {after[key].experiment}", now)
        self.watched = wanted
        if before.keys() != after.keys():
            self._remember()

    def _disk_is_there(self) -> bool:
        # Every start leaves this directory; the place where a disk is to be mounted may be there without the disk.
        return os.path.isdir(self.layout.locks())

    def _complain(self, lines: list[str]) -> None:
        """Say what is wrong, as long as it is wrong once."""
        for line in lines:
            if line not in self._complaints:
                say(line)
        self._complaints = lines

    def _watched(self, name: str, found: record.Record, entry: record.CameraRecord, now: float) -> Watched:
        before = self.watched.get(name)
        if before is not None and before.experiment == found.id:
            return before._replace(entry=entry, until=found.window_end)
        began = self._read(entry.since or found.opened)
        phase = self._phase + self._phases[name]
        new = watch.Watch(self.config.settings(name), phase, now, min(now, began))
        card = filling.Filling()
        memory = self._remembered.pop(name, None)
        if memory is not None and memory.get("experiment") == found.id:
            try:
                new.remember(memory, lambda at: min(now, self._read(at)))
                if "card" in memory:
                    card.remember(memory["card"], lambda at: min(now, self._read(at)))
            except (KeyError, TypeError, ValueError, OverflowError):
                say(f"{name}: what an earlier heartbeat knew of it cannot be read")
        elif before is not None:
            new.pictures = before.watch.pictures
        return Watched(self.config.camera(name), new, found.id, entry, found.window_end, card)

    def _still_wanted(self, name: str, experiment: str) -> bool:
        """Tell whether the record still says, at this very moment, that the camera is to record."""
        if not self._disk_is_there():
            return True
        try:
            found = record.load(self.layout, experiment)
        except Error:
            return True
        return found is not None and name in found.cameras and found.cameras[name].state == record.RECORDING

    # -- probes and remedies -------------------------------------------------------------------------

    def _begin_probe(self, each: Watched, now: float) -> None:
        name, timeout = each.camera.name, self.config.timeout
        self._probing.add(name)
        pictures, patience, look_too = each.watch.pictures, each.watch.patience(now), each.watch.wants_look
        expected = each.entry.state == record.EXPECTED

        def work() -> None:
            try:
                if expected:
                    finding = probe.probe_expected(each.camera, pictures, timeout)
                else:
                    wanted = functools.partial(self._still_wanted, name, each.experiment)
                    finding = probe.probe(each.camera, pictures, timeout, patience, look_too, wanted)
            except Exception as error:  # a probe that ends without a word would never be followed by another
                finding = watch.Finding(now, "answer", f"{type(error).__name__}: {error}", False, pictures)
            self._done.put(Probed(name, each.watch, finding))

        threading.Thread(target=work, name=f"probe {name}", daemon=True).start()

    def _begin_remedy(self, each: Watched, remedy: str, now: float) -> None:
        name = each.camera.name
        if name in self._remedies or lock.owner(self.layout.locks(), f"camera-{name}") is not None:
            return
        self._tell(each, each.watch.remedy_began(now, remedy), now)
        command = [sys.executable, REMEDY, PLAYBOOKS[remedy], self.config.path, name, each.experiment]
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, errors="replace"
        )
        self._remedies[name] = Remedy(remedy, process)

        def work() -> None:
            out, _unused = process.communicate()
            lines = out.strip().splitlines()
            text = lines[-1] if lines else f"it ended with status {process.returncode}, and without a word"
            self._done.put(Remedied(name, each.watch, process.returncode == 0, text))

        threading.Thread(target=work, name=f"remedy {name}", daemon=True).start()

    def _end_remedies(self) -> None:
        for each in self._remedies.values():
            each.process.terminate()
        deadline = time.monotonic() + ENDING
        for each in self._remedies.values():
            try:
                each.process.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                each.process.kill()

    # -- people who are not there --------------------------------------------------------------------

    def _think_of_people(self, now: float) -> None:
        """Leave a notice of what has become news, and say elsewhere that all this is alive."""
        if self.watched and now >= self._pinged_at + self.config.interval:
            self._pinged_at = now
            self._ping.send(self._ping_url())
        if not self.config.alerts or not notices.wanted(self.config.alerts):
            return
        there = self._disk_is_there()
        lost = f"the data directory {self.layout.data_dir} is not there. Plug the disk in"
        self._notice("disk/data directory", concern.Concern(not there, "is there again" if there else lost), now)
        for name, each in self.watched.items():
            self._notice(f"camera/{name}", concern.of_camera(each.watch, now), now)
            self._notice(f"card/card of {name}", self._of_card(each, now), now)
        if there:
            self._notice("space/disk of the orchestrator", self._of_disk(now), now)

    def _of_card(self, each: Watched, now: float) -> concern.Concern | None:
        too_small = each.card.too_small(now, self._emptied(each, now))
        full = each.card.full_at()
        if too_small and full is not None and each.card.free is not None and each.card.rate is not None:
            return concern.Concern(
                True,
                f"will be full at about {self._iso(full)[11:16]}, before it is emptied: {figures.size(each.card.free)}"
                f" free, {figures.size(each.card.rate * watch.HOUR)} an hour. Run collect.yml before that",
            )
        return None if too_small is None else concern.Concern(False, "lasts until it is emptied")

    def _of_disk(self, now: float) -> concern.Concern | None:
        cards = [(each.card, self._emptied(each, now)) for each in self.watched.values() if each.card.rate is not None]
        if not cards:
            return None
        try:
            space = os.statvfs(self.layout.data_dir)
        except OSError:
            return None
        free = space.f_bavail * space.f_frsize
        coming = filling.expected(cards, now)
        if coming > free:
            return concern.Concern(
                True,
                f"will be full before all is home: about {figures.size(coming)} come, {figures.size(free)} are free."
                f" Make room below {self.layout.data_dir}",
            )
        return concern.Concern(False, "has room for what comes") if filling.RELIEF * coming <= free else None

    def _emptied(self, each: Watched, now: float) -> float:
        """Return when the camera's card will be empty again: with the stop, or with the second collection from now."""
        until = self._read(each.until)
        return min(until, now + 2 * self.config.collection) if self.config.collection else until

    def _notice(self, topic: str, found: concern.Concern | None, now: float) -> None:
        if found is None or not self._edges.news(topic, found, now):
            return
        try:
            notices.put(self.config.alerts, topic, found.bad, found.text)
            self._unwritten = ""
        except OSError as error:
            # It must not end the watch; it is tried again, and said once.
            self._edges.forget(topic)
            wrong = f"{self.config.alerts}: no notice can be left for the alerts: {error.strerror}"
            if wrong != self._unwritten:
                say(wrong)
            self._unwritten = wrong

    def _ping_url(self) -> str:
        if not self.config.secrets:
            return ""
        try:
            with open(self.config.secrets, "rb") as file:
                return str(alert.settings(json.load(file))["ping_url"])
        except (OSError, ValueError, RecursionError):
            # Where nobody wants one, there is no such file.
            return ""

    # -- what is told and remembered -----------------------------------------------------------------

    def _tell(self, each: Watched, told: list[watch.Event], now: float) -> None:
        name = each.camera.name
        for event in told:
            say(f"{name}: {event.name}: {event.text}" if event.text else f"{name}: {event.name}")
            details: dict[str, Any] = {"text": event.text, **event.details}
            if event.began is not None:
                details.update(
                    {"from": self._iso(event.began), "to": self._iso(now), "seconds": round(now - event.began)}
                )
            if not self._disk_is_there():
                # Its directories would be made anew, and look like a station that records nothing.
                continue
            try:
                events.append(self.layout.events(each.experiment), event.name, name, **details)
            except OSError as error:
                # A full disk must not end the watch.
                say(str(from_os_error("write the events", error)))

    def _tell_of_watching(self, each: Watched, event: str, text: str, now: float) -> None:
        """Tell that a camera is watched from now on, or not any more, and until when it is known to have recorded.

        One that comes back has seen nothing of the meantime yet, and may never do: a stop can be faster.
        """
        self._tell(each, [watch.Event(event, text, None, {"last_good": self._iso(each.watch.last_good)})], now)

    def _tell_for_a_killed_one(self, records: list[record.Record]) -> None:
        """Tell until when an earlier heartbeat, which had no time to, saw cameras that are not to record any more."""
        for name, memory in self._untold.items():
            for found in records:
                entry = found.cameras.get(name) if found.id == memory.get("experiment") else None
                if entry is not None and entry.state not in (record.EXPECTED, record.RECORDING):
                    said = {"text": "an earlier heartbeat was killed", "last_good": memory.get("last_good")}
                    try:
                        events.append(self.layout.events(found.id), "unwatched", name, **said)
                    except OSError as error:
                        say(str(from_os_error("write the events", error)))
        self._untold = {}

    def _remember(self, ended: bool = False) -> None:
        """Write what the heartbeat thinks, for status.yml and for the next heartbeat.

        Args:
            ended: whether it has said that it watches no more.
        """
        self._written_at = time.monotonic()
        owner = lock.Owner.of(os.getpid(), "heartbeat")
        cameras = {
            name: {
                "experiment": each.experiment,
                "clock_offset": each.camera.client.clock_offset,
                "free": each.card.free,
                "card": each.card.memory(self._iso),
                **each.watch.memory(self._iso),
            }
            for name, each in self.watched.items()
        }
        content = {
            "format": 1,
            "pid": owner.pid,
            "started": owner.started,
            "boot": owner.boot,
            "written": events.now(),
            "ended": ended,
            "cameras": cameras,
        }
        path = self.layout.heartbeat()
        try:
            # Not synced: it is written every minute for weeks, and a card wears.
            with open(f"{path}.tmp", "w", encoding="utf-8") as file:
                json.dump(content, file)
            os.replace(f"{path}.tmp", path)
        except OSError as error:
            say(str(from_os_error("write down what is known", error)))

    def _memories(self) -> tuple[dict[str, Any], bool]:
        """Return what an earlier heartbeat knew of each camera, and whether it has said that it watches no more."""
        try:
            with open(self.layout.heartbeat(), encoding="utf-8") as file:
                content = json.load(file)
            found, ended = content["cameras"], content.get("ended") is not False
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            return {}, True
        if not isinstance(found, dict):
            return {}, True
        return {name: each for name, each in found.items() if isinstance(each, dict)}, ended

    def _read(self, written: str) -> float:
        """Return a time that was written; one of before 1970 cannot be written again."""
        return max(0.0, dt.datetime.fromisoformat(written).timestamp()) - boot()

    def _iso(self, at: float) -> str:
        return dt.datetime.fromtimestamp(at + boot()).astimezone().isoformat(timespec="seconds")


def boot() -> float:
    """Return what the clock on the wall is ahead of the one that never goes back, by which all is decided.

    It is not the same all day: after a power cut the first one is set by the network, by hours or days.
    """
    return time.time() - time.monotonic()


def say(line: str) -> None:
    """Write a line to the journal."""
    print(line, flush=True)


def main() -> int:
    """Run the heartbeat."""
    parser = argparse.ArgumentParser(description="Keep the cameras of an experiment recording.")
    parser.add_argument("config", help="the file that start.yml writes, ~/.config/wildberryeye/heartbeat.json")
    try:
        config = Config.read(parser.parse_args().config)
        heartbeat = Heartbeat(config)
        signal.signal(signal.SIGTERM, heartbeat.end)
        signal.signal(signal.SIGINT, heartbeat.end)
        return heartbeat.run()
    except Error as error:
        say(str(error))
        # Another attempt would end the same way: systemd makes none after this status.
        return 2


if __name__ == "__main__":
    # A probe that still waits for an answer holds up nothing.
    os._exit(main())
