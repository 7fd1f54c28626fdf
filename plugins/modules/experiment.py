#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: experiment
short_description: Open, resume, close and look up the record of an experiment
version_added: 0.1.0
description:
  - Runs on the orchestrator. It is the only writer of C(experiment.json), and merges the archives of cameras
    that are home.
  - The id of an experiment is the date on which it began, whenever it ends.
author:
  - WildBerryEye contributors (@wildberryeye)
options:
  data_dir:
    description: The orchestrator's data directory. Made if missing.
    type: path
    required: true
  state:
    description:
      - V(recording) resumes the experiment that is open within its window, or opens one. What is still open
        from before is closed.
      - V(noted) notes which cameras have been made to record.
      - V(closing) marks the cameras' experiments as closing.
      - V(closed) notes which cameras are home, merges their parts into their archives, and closes every
        experiment of which nothing is missing any more.
      - V(present) only looks.
    type: str
    choices: [recording, noted, closing, closed, present]
    default: present
  cameras:
    description: The cameras that this is about, name to mode (C(object) or C(motion)).
    type: dict
    required: true
  id:
    description: The experiment that is meant. Today's date if it is to be opened, the open one otherwise.
    type: str
  stop_time:
    description: When recording ends, local time, as V(HH:MM). A start before then resumes.
    type: str
    default: "01:00"
  recording:
    description: With O(state=noted), the cameras that have been made to record.
    type: list
    elements: str
    default: []
  home:
    description: With O(state=closed), the cameras from which everything that was set aside is home.
    type: list
    elements: str
    default: []
  give_up:
    description: With O(state=closing) or O(state=closed), cameras that are not waited for any longer.
    type: list
    elements: str
    default: []
  failures:
    description: What went wrong, camera to text. Written to the experiment's events.
    type: dict
    default: {}
attributes:
  check_mode:
    description: Says what would be opened or closed.
    support: full
  diff_mode:
    description: Is not supported.
    support: none
"""

EXAMPLES = r"""
- name: Open today's experiment, or resume it
  wildberryeye.orchestrator.experiment:
    data_dir: ~/wildberryeye/analysis/data
    state: recording
    cameras:
      object: object
      motion: motion
  delegate_to: localhost
  run_once: true
"""

RETURN = r"""
id:
  description: The experiment; empty where none is open.
  type: str
  returned: success
  sample: "2026-05-22"
experiment_state:
  description: V(recording), V(closing) or V(closed); empty where none is open.
  type: str
  returned: success
data_dir:
  description: The data directory, with C(~) expanded.
  type: str
  returned: success
unreadable:
  description: A line for each record that could not be understood.
  type: list
  elements: str
  returned: success
resumed:
  description: Whether the experiment was open already.
  type: bool
  returned: O(state=recording)
cameras:
  description: For each camera, where it stands.
  type: dict
  returned: success
  contains:
    state:
      description: V(expected), V(recording), V(closing), V(home), V(given_up), or V(none).
      type: str
    recording_in:
      description: The experiment that it is to record, empty where there is none.
      type: str
    fallback:
      description: What its loose images belong to where its card does not say.
      type: str
    archives:
      description: Its archives in this experiment.
      type: list
      elements: dict
made:
  description: Paths of the archives that were made.
  type: list
  elements: str
  returned: O(state=closed)
"""

import datetime as dt
import os
import shutil
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.wildberryeye.orchestrator.plugins.module_utils import archive as archives
from ansible_collections.wildberryeye.orchestrator.plugins.module_utils import (
    closing,
    durable,
    events,
    experiment,
    lock,
    names,
    receiving,
    record,
)
from ansible_collections.wildberryeye.orchestrator.plugins.module_utils.errors import Error
from ansible_collections.wildberryeye.orchestrator.plugins.module_utils.layout import Layout
from ansible_collections.wildberryeye.orchestrator.plugins.module_utils.module import finish
from ansible_collections.wildberryeye.orchestrator.plugins.module_utils.record import Record

STATES = ["recording", "noted", "closing", "closed", "present"]

ARGUMENTS: dict[str, dict[str, Any]] = {
    "data_dir": {"type": "path", "required": True},
    "state": {"type": "str", "choices": STATES, "default": "present"},
    "cameras": {"type": "dict", "required": True},
    "id": {"type": "str"},
    "stop_time": {"type": "str", "default": "01:00"},
    "recording": {"type": "list", "elements": "str", "default": []},
    "home": {"type": "list", "elements": "str", "default": []},
    "give_up": {"type": "list", "elements": "str", "default": []},
    "failures": {"type": "dict", "default": {}},
}


class Book:
    """All records of a data directory, and one call's work on them.

    Args:
        layout: the data directory.
        params: the module's arguments.
        check: whether nothing may be written.
    """

    def __init__(self, layout: Layout, params: dict[str, Any], check: bool) -> None:
        self.layout = layout
        self.params = params
        self.check = check
        self.cameras: dict[str, str] = {names.camera_name(name): mode for name, mode in params["cameras"].items()}
        self.wanted = names.experiment_id(params["id"]) if params["id"] else None
        self.records, self.unreadable = record.load_all(layout)
        self.changed = False
        self.made: list[str] = []

    def recording(self) -> dict[str, Any]:
        """Resume or open."""
        if shutil.which("rsync") is None:
            raise Error("look for rsync on the orchestrator", "it is not installed", "Run 'sudo apt install rsync'")
        opened = experiment.open_or_resume(
            self.records,
            self.cameras,
            dt.datetime.now().astimezone(),
            _time_of_day(self.params["stop_time"]),
            self.wanted,
            lambda name: os.path.lexists(self.layout.experiment(name)),
        )
        if opened.record not in self.records:
            self.records.insert(0, opened.record)
        self._save(opened.changed)
        if not opened.resumed:
            self._event(opened.record, "opened")
        for closed in opened.changed:
            if closed is not opened.record:
                self._event(closed, "closing", reason=f"{opened.record.id} begins")
        verb = "resumed" if opened.resumed else "opened"
        return {
            **self._result(opened.record),
            "resumed": opened.resumed,
            "msg": f"experiment {opened.record.id} {verb}",
        }

    def noted(self) -> dict[str, Any]:
        """Note which cameras have been made to record."""
        found = self._find(self._chosen())
        if found is not None:
            news = [name for name in self.params["recording"] if experiment.note_recording(found, [name], events.now())]
            self._save([found] if news else [])
            for name in news:
                self._event(found, "recording", name)
            self._failures(found)
        return {**self._result(found), "msg": f"recording: {', '.join(self.params['recording']) or 'none'}"}

    def closing(self) -> dict[str, Any]:
        """Mark as closing."""
        chosen = [self._named(self.wanted)] if self.wanted else self.records
        open_before = [found for found in chosen if found.state in (record.RECORDING, record.CLOSING)]
        changed = experiment.close(chosen, self.cameras)
        given_up = self._give_up()
        self._save(changed + given_up)
        for found in changed:
            self._event(found, "closing")
        first = next(iter(open_before), None)
        return {
            **self._result(first, unclaimed=first is None),
            "msg": f"experiment {first.id} is closing" if first else "no experiment is open",
        }

    def closed(self) -> dict[str, Any]:
        """Merge what is home, and close what is complete."""
        found = self._find(self._chosen())
        self._save(self._give_up())
        if found is not None:
            self._failures(found)
        settled = [name for name in self.params["home"] if name in self.cameras]
        for name in settled:
            if not self.check:
                receiving.forget_incoming(self.layout, name)
        for directory in self.layout.experiments():
            if names.is_experiment(directory):
                self._settle(directory, [*settled, *self.params["give_up"]])
        return {**self._result(found), "made": self.made, "msg": self._closing_words()}

    def present(self) -> dict[str, Any]:
        """Look."""
        found = self._find(self._chosen())
        return {**self._result(found), "msg": f"experiment {found.id}" if found else "no experiment is open"}

    def _settle(self, directory: str, cameras: list[str]) -> None:
        found = next((each for each in self.records if each.id == directory), None)
        for name in cameras:
            entry = found.cameras.get(name) if found else None
            still = entry is not None and entry.state in (record.EXPECTED, record.RECORDING)
            if still or self.check:
                continue
            self.made += closing.merge(self.layout, directory, name)
            if found is None or entry is None:
                continue
            listed: list[dict[str, object]] = [
                dict(archives.figures(path)._asdict()) for path in self.layout.archives(directory, name)
            ]
            if not listed and entry.state == record.CLOSING:
                receiving.write_empty(self.layout, directory, name)
            was_closed = found.closed
            if experiment.note_home(found, name, listed, events.now()):
                self._save([found])
                self._event(found, "home", name, archives=listed)
                if found.closed and not was_closed:
                    self._event(found, "closed")

    def _give_up(self) -> list[Record]:
        unknown = [name for name in self.params["give_up"] if not any(name in each.cameras for each in self.records)]
        if unknown:
            raise Error(f"give up {unknown[0]}", "no experiment knows this camera", "Check its name")
        changed = experiment.give_up(self.records, self.params["give_up"])
        for found in changed:
            for name in self.params["give_up"]:
                if name in found.cameras:
                    self._event(found, "given up", name)
            if found.state == record.CLOSED and not found.closed:
                found.closed = events.now()
        return changed

    def _chosen(self) -> str | None:
        if self.wanted:
            return self.wanted
        for states in ((record.EXPECTED, record.RECORDING), (record.CLOSING,)):
            for name in self.cameras:
                found = experiment.open_for(self.records, name, states)
                if found is not None:
                    return found.id
        return None

    def _find(self, wanted: str | None) -> Record | None:
        if self.check and self.params["state"] in ("noted", "closed"):
            # In check mode the experiment that would have been opened does not exist.
            return next((found for found in self.records if found.id == wanted), None)
        return self._named(wanted) if wanted else None

    def _named(self, wanted: str | None) -> Record:
        for found in self.records:
            if found.id == wanted:
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
        for name, text in self.params["failures"].items():
            self._event(found, "failed", name, text=str(text))

    def _result(self, found: Record | None, unclaimed: bool = False) -> dict[str, Any]:
        cameras = {}
        for name in self.cameras:
            entry = found.cameras.get(name) if found else None
            wanted = entry is not None and entry.state in (record.EXPECTED, record.RECORDING)
            cameras[name] = {
                "state": entry.state if entry else "none",
                "recording_in": found.id if found and wanted else "",
                "fallback": names.UNCLAIMED if unclaimed else experiment.last_of(self.records, name),
                "archives": entry.archives if entry else [],
            }
        return {
            "changed": self.changed or bool(self.made),
            "id": found.id if found else "",
            "experiment_state": found.state if found else "",
            "data_dir": self.layout.data_dir,
            "cameras": cameras,
            "unreadable": self.unreadable,
        }

    def _closing_words(self) -> str:
        made = ", ".join(os.path.basename(path) for path in self.made)
        return f"archived {made}" if made else "nothing to archive"


def _time_of_day(text: str) -> dt.time:
    try:
        return dt.time.fromisoformat(text)
    except ValueError:
        raise Error(f"use {text!r} as wildberryeye_stop_time", "not a time of day", "Write it as 01:00") from None


def work(module: AnsibleModule) -> dict[str, Any]:
    """Do what the state asks for, with the records locked."""
    layout = Layout(module.params["data_dir"])
    if module.check_mode or module.params["state"] == "present":
        return dict(getattr(Book(layout, module.params, check=True), module.params["state"])())
    durable.make_directories(layout.data_dir)
    with lock.exclusive(layout.locks(), "record"):
        return dict(getattr(Book(layout, module.params, check=False), module.params["state"])())


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    finish(module, "keep the experiment's record", lambda: work(module))


if __name__ == "__main__":
    main()
