# SPDX-License-Identifier: GPL-3.0-or-later
"""The book of all experiments: the one place where their records are written."""

from __future__ import annotations

import datetime as dt
import os
import shutil
from collections.abc import Iterator
from typing import Any, NamedTuple

from . import archive, clock, closing, events, experiment, lock, names, parts, receiving, record, user_manager
from .errors import Error, from_os_error
from .layout import Layout
from .record import Record

STOP_SERVICE = "wildberryeye_stop_experiment.service"
"""The unit of the role `schedule` that stops the day's experiment, and tries again until all is home."""

_TO_RECORD = (record.EXPECTED, record.RECORDING)


class Merged(NamedTuple):
    """What merging the archives of cameras that are home came to."""

    made: list[str]
    """Paths of the archives that were made."""
    wrong: dict[tuple[str, str], str]
    """A line for each experiment and camera whose archive could not be made."""


NOTHING = Merged([], {})


def note_recording(layout: Layout, camera: str, wanted: str) -> None:
    """Note that `camera` has been made to record the experiment `wanted`.

    A camera that was meanwhile asked to stop stays so.

    Raises:
        Error: if the record cannot be understood.
        OSError: if it cannot be written.
    """
    with lock.exclusive(layout.locks(), "record"):
        found = record.load(layout, wanted)
        if found is not None and experiment.note_recording(found, [camera], events.now()):
            record.save(layout, found)
            events.append(layout.events(wanted), "recording", camera)


def open_id(layout: Layout, camera: str, *states: str) -> str:
    """Return the experiment in which `camera` is in one of `states`; empty if there is none that can be read."""
    try:
        records, _unused = record.load_all(layout)
    except OSError:
        return ""
    found = experiment.open_for(records, camera, states)
    return found.id if found else ""


def note_card(layout: Layout, camera: str, experiment_id: str, free: int, temperature: float | None) -> str:
    """Note how much room the card of `camera` has, and how warm its processor is; see `note_clock`.

    Args:
        layout: the data directory.
        camera: its name.
        experiment_id: the experiment that it records; empty where it records none.
        free: bytes.
        temperature: in degrees Celsius.
    """
    tried = "note how much room its card has"
    try:
        if experiment_id:
            measured = {} if temperature is None else {"temperature": round(temperature, 1)}
            events.append(layout.events(experiment_id), "card", camera, free=free, **measured)
    except OSError as error:
        return str(from_os_error(tried, error))
    return ""


def note_clock(
    layout: Layout, camera: str, experiment_id: str, found: clock.Estimate, by: str, stepped: float = 0.0
) -> str:
    """Note how far the clock of `camera` is ahead; nothing where no record knows the camera.

    Neither recording nor collecting has failed where that cannot be noted.

    Args:
        layout: the data directory.
        camera: its name.
        experiment_id: the experiment whose images bear that clock's times.
        found: how far it is ahead now.
        by: what it was looked at for: ``start``, ``restart``, ``stop``, ``collect``.
        stepped: by how many seconds it has just been set.

    Returns:
        Why it could not be noted; empty otherwise.
    """
    tried = "note how far its clock is ahead"
    try:
        with lock.exclusive(layout.locks(), "record"):
            known = record.load(layout, experiment_id) if experiment_id else None
            if known is None or camera not in known.cameras:
                return ""
            known.cameras[camera].clock_offset = found.offset
            record.save(layout, known)
        was = {"set": True, "before": round(found.offset - stepped, 2)} if stepped else {}
        events.append(layout.events(experiment_id), "clock", camera, by=by, **found._asdict(), **was)
    except Error as error:
        return f"{tried}: {error}"
    except OSError as error:
        return str(from_os_error(tried, error))
    return ""


def behind(layout: Layout) -> str:
    """Return why this machine's own clock is not to be trusted: an experiment knows a later time; empty otherwise."""
    now = dt.datetime.now().astimezone()
    for name in layout.experiments():
        newest = events.newest(layout.events(name))
        if newest is not None and newest > now:
            return f"this machine's own clock shows {now:%F %R}, and {name} has an event of {newest.astimezone():%F %R}"
    return ""


def end_stop() -> str:
    """End a stop that a timer began and that still runs, or waits for its next try: a start takes over from it.

    Returns:
        Why it could not be ended, empty otherwise; that is no reason not to begin.
    """
    if not user_manager.installed(STOP_SERVICE) or not user_manager.available():
        return ""
    try:
        done = user_manager.systemctl("stop", STOP_SERVICE)
    except Error as error:
        return str(error)
    return str(Error(f"stop {STOP_SERVICE}", done.stderr)) if done.returncode else ""


def settled(records: list[Record], params: dict[str, Any]) -> Iterator[tuple[Record, str]]:
    """Yield record and camera wherever a camera that is home, or given up, does not record any more."""
    cameras = {**dict.fromkeys(params["give_up"], ""), **params["home"]}
    for found in records:
        for name, label in cameras.items():
            entry = found.cameras.get(name)
            if entry is not None and entry.state not in _TO_RECORD and label != found.id:
                yield found, name


def merge_home(layout: Layout, params: dict[str, Any]) -> Merged:
    """Merge the parts of cameras that are home, wherever they do not record any more.

    What is wrong with one archive holds up no other.

    Args:
        layout: the data directory.
        params: the arguments of the module `experiment`.
    """
    records, _unused = record.load_all(layout)
    # Those that are given up in this very call do not record any more either.
    experiment.give_up(records, params["give_up"])
    made: list[str] = []
    wrong: dict[tuple[str, str], str] = {}
    for directory, name in _to_merge(layout, records, params):
        try:
            # Two runs that merge the same parts would publish one archive over the other.
            with parts.alone(layout, name):
                made += closing.merge(layout, directory, name)
        except Error as error:
            wrong[directory, name] = str(error)
        except OSError as error:
            wrong[directory, name] = str(from_os_error(f"archive the images of {name} in {directory}", error))
    return Merged(made, wrong)


def _to_merge(layout: Layout, records: list[Record], params: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for found, name in settled(records, params):
        yield found.id, name
    # What no record knows is merged as well: unclaimed images, and experiments whose record was lost.
    recorded = {found.id for found in records}
    for directory in layout.experiments():
        if names.is_experiment(directory):
            for name, label in params["home"].items():
                known = directory in recorded and any(each.id == directory and name in each.cameras for each in records)
                if not known and label != directory:
                    yield directory, names.camera_name(name)


class Book:
    """All records of a data directory, and one call's work on them.

    Args:
        layout: the data directory.
        params: the module's arguments.
        check: whether nothing may be written.
        merged: what `merge_home` came to.
    """

    def __init__(self, layout: Layout, params: dict[str, Any], check: bool, merged: Merged = NOTHING) -> None:
        self.layout = layout
        self.params = params
        self.check = check
        self.cameras: dict[str, str] = {names.camera_name(name): mode for name, mode in params["cameras"].items()}
        self.now = dt.datetime.now().astimezone()
        self.stop_time = experiment.time_of_day(params["stop_time"], "wildberryeye_stop_time")
        start_time = experiment.time_of_day(params["start_time"], "wildberryeye_start_time")
        self.scheduled: bool = params["scheduled"]
        self.begun = experiment.window_begin(self.now, start_time, self.stop_time)
        self.wanted = names.experiment_id(params["id"]) if params["id"] else None
        if self.scheduled and params["state"] in ("closing", "present"):
            # A timer stops, and collects, what is open, whatever name stands in the inventory for the next one.
            self.wanted = None
        self.records, self.unreadable = record.load_all(layout)
        self.changed = False
        self.merged = merged
        self.settled: set[str] = set()
        """Experiments of which something has come home for good, or is waited for no longer."""

    def bring(self, state: str) -> dict[str, Any]:
        """Bring the records into `state`, one of those below; return the module's result."""
        steps = (self.recording, self.noted, self.closing, self.closed, self.present)
        result = {step.__name__: step for step in steps}[state]()
        if state not in ("noted", "closed"):
            # Said once in a run, by its first look at the records.
            result["msg"] = "; ".join([result["msg"], *self.unreadable])
        return result

    def recording(self) -> dict[str, Any]:
        """Resume or open."""
        if shutil.which("rsync") is None:
            raise Error("look for rsync on the orchestrator", "it is not installed", "Run 'sudo apt install rsync'")
        given_up = self.cameras.keys() & set(self.params["give_up"])
        if given_up:
            advice = "Leave it out: it is for stop and collect"
            raise Error(f"start with {min(given_up)}", "wildberryeye_give_up names it", advice)
        if self.scheduled and self.begun is None:
            until = self.params["start_time"]
            said = f"it is night (until {until}): nothing is begun"
            return {**self._result(self._known(self._chosen())), "resumed": False, "night": True, "msg": said}
        in_the_way = "" if self.check else end_stop()
        opened = experiment.open_or_resume(
            self.records,
            self.cameras,
            self.now,
            self.stop_time,
            self.wanted,
            self._taken,
        )
        if opened.record not in self.records:
            self.records.insert(0, opened.record)
        self._save(opened.changed)
        if not opened.resumed:
            self._event(opened.record, "opened")
        for closed in opened.changed:
            if closed is not opened.record:
                self._event(closed, "closing", reason=f"{opened.record.id} begins", cameras=self._closing(closed))
        verb = "resumed" if opened.resumed else "opened"
        return {
            **self._result(opened.record),
            "resumed": opened.resumed,
            "night": False,
            "msg": "; ".join(filter(None, [f"experiment {opened.record.id} {verb}", in_the_way])),
        }

    def _taken(self, name: str) -> bool:
        """Tell whether something has that name; not so where a run was killed before its record had one."""
        path = self.layout.experiment(name)
        begun = f"{os.path.basename(self.layout.record(name))}.tmp"
        return os.path.lexists(path) and not (os.path.isdir(path) and set(os.listdir(path)) <= {begun})

    def noted(self) -> dict[str, Any]:
        """Note what went wrong."""
        found = self._find(self._chosen())
        if found is not None:
            self._failures(found)
        # What would have been opened has no record in check mode; the steps that follow are told its id all the same.
        named = {"id": found.id if found else self.wanted or ""}
        return {**self._result(found), **named, "msg": f"failed: {', '.join(self.params['failures']) or 'none'}"}

    def closing(self) -> dict[str, Any]:
        """Mark as closing."""
        chosen, none = [self._named(self.wanted)] if self.wanted else self.records, "no experiment is open"
        if self.scheduled and self.begun is not None:
            chosen, none = experiment.left_behind(self.records, self.begun, self.now), "nothing is open from before"
        if self.wanted and chosen[0].state != record.RECORDING:
            for name in self.cameras:
                other = experiment.open_for(self.records, name, _TO_RECORD)
                if other is not None:
                    raise Error(
                        f"stop experiment {self.wanted}",
                        f"it is {chosen[0].state}, and {name} records {other.id}",
                        "Leave wildberryeye_experiment out to stop what is open; collect.yml brings home what is left",
                    )
        open_before = [found for found in chosen if found.state in (record.RECORDING, record.CLOSING)]
        changed = experiment.close(chosen, self.cameras)
        given_up = self._give_up()
        self._save(changed + given_up)
        for found in changed:
            self._event(found, "closing", cameras=self._closing(found))
        first = next((found for found in open_before if found.cameras.keys() & self.cameras.keys()), None)
        first = first or next(iter(open_before), None)
        said = f"experiment {first.id} is closing" if first else none
        return {
            **self._result(first, unclaimed=first is None),
            "msg": said + "".join(self._forgotten(found) for found in open_before),
        }

    def closed(self) -> dict[str, Any]:
        """Merge what is home, and close what is complete."""
        found = self._find(self._chosen())
        self._save(self._give_up())
        if found is not None:
            self._failures(found)
        wrong = dict(self.merged.wrong)
        if self.check:
            self.settled |= self._foreseen(begins=found is None and bool(self.wanted))
        else:
            for each, name in settled(self.records, self.params):
                # What is wrong with one archive keeps no other camera from being home.
                try:
                    self._note_home(each, name)
                except Error as error:
                    wrong[each.id, name] = str(error)
                except OSError as error:
                    wrong[each.id, name] = str(from_os_error(f"note that {name} is home from {each.id}", error))
        lines: dict[str, str] = {}
        for (_unused, name), line in wrong.items():
            lines[name] = f"{lines[name]}; {line}" if name in lines else line
        return {
            **self._result(found),
            "made": self.merged.made,
            "settled": sorted(self.settled),
            "not_archived": lines,
            "msg": "; ".join([self._closing_words(), *wrong.values()]),
        }

    def present(self) -> dict[str, Any]:
        """Look."""
        found = self._find(self._chosen())
        result = self._result(found)
        said = f"experiment {found.id}" if found else "no experiment is open"
        idle = self.scheduled and not any(camera["recording_in"] for camera in result["cameras"].values())
        return {**result, "idle": idle, "msg": "nothing is being recorded: no camera is touched" if idle else said}

    def _foreseen(self, begins: bool) -> set[str]:
        """Return the experiments of which something would have come home for good.

        Args:
            begins: whether the run is a start that would have opened an experiment, and closed those before it.
        """
        if begins:
            experiment.close(self.records, self.cameras)
        # What their cards say now is not asked: no camera would be recording for a closing experiment by then.
        return {
            found.id
            for found in self.records
            for name, entry in found.cameras.items()
            if name in self.params["home"] and entry.state == record.CLOSING
        }

    def _note_home(self, found: Record, name: str) -> None:
        entry = found.cameras.get(name)
        if entry is None or (found.id, name) in self.merged.wrong:
            return
        paths = self.layout.archives(found.id, name)
        known = [each["name"] for each in entry.archives]
        if entry.state != record.CLOSING and known == [os.path.basename(path) for path in paths]:
            # Settled before: archives of past experiments are not opened again.
            return
        listed: list[dict[str, object]] = [dict(archive.figures(path)._asdict()) for path in paths]
        if not listed and entry.state == record.CLOSING:
            receiving.write_empty(self.layout, found.id, name)
        was_closed = found.closed
        if experiment.note_home(found, name, listed, events.now()):
            self._save([found])
            self.settled.add(found.id)
            self._event(found, "home", name, archives=listed)
            if found.closed and not was_closed:
                self._event(found, "closed")

    def _closing(self, found: Record) -> list[str]:
        return sorted(
            name for name in self.cameras if name in found.cameras and found.cameras[name].state == record.CLOSING
        )

    def _give_up(self) -> list[Record]:
        unknown = [name for name in self.params["give_up"] if not any(name in each.cameras for each in self.records)]
        if unknown:
            raise Error(f"give up {unknown[0]}", "no experiment knows this camera", "Check its name")
        changed = []
        for name in dict.fromkeys(self.params["give_up"]):
            for found in experiment.give_up(self.records, [name]):
                changed.append(found)
                self.settled.add(found.id)
                self._event(found, "given up", name)
                if found.state == record.CLOSED and not found.closed:
                    found.closed = events.now()
                    self._event(found, "closed")
        return changed

    def _chosen(self) -> str | None:
        if self.wanted:
            return self.wanted
        for states in (_TO_RECORD, (record.CLOSING,)):
            for name in self.cameras:
                found = experiment.open_for(self.records, name, states)
                if found is not None:
                    return found.id
        return None

    def _find(self, wanted: str | None) -> Record | None:
        if (self.check or self.scheduled) and self.params["state"] in ("noted", "closed"):
            # In check mode, and at night, the experiment that would have been opened does not exist.
            return self._known(wanted)
        return self._named(wanted) if wanted else None

    def _known(self, wanted: str | None) -> Record | None:
        return next((found for found in self.records if found.id == wanted), None)

    def _named(self, wanted: str | None) -> Record:
        if found := self._known(wanted):
            return found
        raise Error(
            f"look up experiment {wanted}",
            f"{self.layout.data_dir} has no readable record of it",
            "Leave wildberryeye_experiment out for the open one, or correct it",
        )

    def _save(self, changed: list[Record]) -> None:
        for found in changed:
            self.changed = True
            if not self.check:
                record.save(self.layout, found)

    def _event(self, found: Record, event: str, camera: str | None = None, **details: Any) -> None:
        if not self.check:
            events.append(self.layout.events(found.id), event, camera, **details)

    def _failures(self, found: Record) -> None:
        happened = events.read(self.layout.events(found.id))
        last = {event.get("camera"): event for event in happened if event.get("event") not in events.MEASURED}
        for name, text in self.params["failures"].items():
            # Said once, until something else happens to that camera: a stop may be retried all night.
            if (last.get(name, {}).get("event"), last.get(name, {}).get("text")) != ("failed", str(text)):
                self._event(found, "failed", name, text=str(text))

    def _result(self, found: Record | None, unclaimed: bool = False) -> dict[str, Any]:
        cameras = {}
        for name in self.cameras:
            # Without a word about which one is meant, each camera's own experiment counts.
            mine = found
            if not self.wanted:
                mine = (
                    experiment.open_for(self.records, name, _TO_RECORD)
                    or experiment.open_for(self.records, name, (record.CLOSING,))
                    or found
                )
            entry = mine.cameras.get(name) if mine else None
            wanted = entry is not None and entry.state in _TO_RECORD
            cameras[name] = {
                "state": entry.state if entry else "none",
                "recording_in": mine.id if mine and wanted else "",
                "fallback": names.UNCLAIMED if unclaimed else experiment.last_of(self.records, name),
                "archives": entry.archives if entry else [],
                "next_archive": closing.next_archive(self.layout, found.id, name) if found and entry else "",
            }
        return {
            "changed": self.changed or bool(self.merged.made),
            "id": found.id if found else "",
            "experiment_state": found.state if found else "",
            "data_dir": self.layout.data_dir,
            "cameras": cameras,
            "to_record": sorted(experiment.to_record(self.records)),
            "unreadable": self.unreadable,
        }

    def _forgotten(self, found: Record) -> str:
        gone = [
            name
            for name, entry in found.cameras.items()
            if entry.state in (*_TO_RECORD, record.CLOSING) and name not in {*self.cameras, *self.params["known"]}
        ]
        if not gone or not self.params["known"]:
            return ""
        advice = f"put it back, or give it up with -e wildberryeye_give_up={gone[0]}"
        return f", but {', '.join(gone)} is not home and no longer in the inventory: {advice}"

    def _closing_words(self) -> str:
        made = ", ".join(os.path.basename(path) for path in self.merged.made)
        return f"archived {made}" if made else "nothing to archive"
