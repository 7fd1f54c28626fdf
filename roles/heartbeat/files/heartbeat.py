# SPDX-License-Identifier: GPL-3.0-or-later
"""The heartbeat: keeps the cameras of an experiment recording, and ends when there is nothing to watch.

One process. It probes each camera at the camera's own moment of the interval, in a thread of its own; all that is
known and decided is in the main thread. A remedy is a playbook, run by remedy.py beside this file in a child process.
It reads its configuration, which start.yml writes, and the records of the experiments, nothing else.

What it finds of a camera is in probe, what it makes of that in watch, what it tells in telling and people, and what it
remembers in heartbeat_file.
"""

from __future__ import annotations

import argparse
import functools
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from typing import NamedTuple

from ansible_collections.wildberryeye.orchestrator.plugins.module_utils import (
    filling,
    heartbeat_file,
    lock,
    probe,
    record,
    steady_time,
    watch,
)
from ansible_collections.wildberryeye.orchestrator.plugins.module_utils.errors import Error, from_os_error
from ansible_collections.wildberryeye.orchestrator.plugins.module_utils.heartbeat_config import Config
from ansible_collections.wildberryeye.orchestrator.plugins.module_utils.layout import Layout
from ansible_collections.wildberryeye.orchestrator.plugins.module_utils.people import People
from ansible_collections.wildberryeye.orchestrator.plugins.module_utils.sd_notify import notify
from ansible_collections.wildberryeye.orchestrator.plugins.module_utils.telling import Telling
from ansible_collections.wildberryeye.orchestrator.plugins.module_utils.watched import Watched

REMEDIES_AT_ONCE = 2
REMEDY = os.path.join(os.path.dirname(os.path.abspath(__file__)), "remedy.py")
PLAYBOOKS = {watch.RESTART: "restart", watch.COLLECT: "collect"}
ENDING = 7.0
"""Seconds that a remedy has to end in: systemd waits for ten."""


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
        self._telling = Telling(self.layout, say)
        self._people = People(config, say)
        self._remembered, ended = heartbeat_file.memories(self.layout)
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
                self._people.think_of(self.watched, now)
                notify("READY=1")
                if not self.watched and not self._remedies and self.layout.is_there():
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
            self._telling.watching(each, "unwatched", "the heartbeat was asked to end", time.monotonic())
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
            self._telling.happened(each, told, now)
        if told or isinstance(done, Remedied) or now >= self._written_at + self.config.interval:
            self._remember()

    # -- records -------------------------------------------------------------------------------------

    def _read_records(self, now: float) -> None:
        """Take in which cameras are to record."""
        self._records_at = now + self.config.interval / 4
        if not self.layout.is_there():
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
        self._telling.for_a_killed_one(records, self._untold)
        self._untold = {}
        before, after = (
            {(name, each.experiment): each for name, each in watched.items()} for watched in (self.watched, wanted)
        )
        for key in before.keys() - after.keys():
            self._telling.watching(before[key], "unwatched", "it is not to record any more", now)
        for key in after.keys() - before.keys():
            self._telling.watching(after[key], "watched", f"for experiment {after[key].experiment}", now)
        self.watched = wanted
        if before.keys() != after.keys():
            self._remember()

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
        began = steady_time.read(entry.since or found.opened)
        phase = self._phase + self._phases[name]
        state = watch.Watch(self.config.settings(name), phase, now, min(now, began))
        new = Watched(self.config.camera(name), state, found.id, entry, found.window_end, filling.Filling())
        memory = self._remembered.pop(name, None)
        if memory is not None and memory.get("experiment") == found.id:
            try:
                new.remember(memory, lambda at: min(now, steady_time.read(at)))
            except (KeyError, TypeError, ValueError, OverflowError):
                say(f"{name}: what an earlier heartbeat knew of it cannot be read")
        elif before is not None:
            state.pictures = before.watch.pictures
        return new

    def _still_wanted(self, name: str, experiment: str) -> bool:
        """Tell whether the record still says, at this very moment, that the camera is to record."""
        if not self.layout.is_there():
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
        self._telling.happened(each, each.watch.remedy_began(now, remedy), now)
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

    def _remember(self, ended: bool = False) -> None:
        """Write what the heartbeat thinks, for status.yml and for the next heartbeat.

        Args:
            ended: whether it has said that it watches no more.
        """
        self._written_at = time.monotonic()
        cameras = {name: each.memory(steady_time.written) for name, each in self.watched.items()}
        try:
            heartbeat_file.write(self.layout, cameras, ended)
        except OSError as error:
            say(str(from_os_error("write down what is known", error)))


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
