#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: experiment
short_description: Open, resume, close and look up the record of an experiment
version_added: 0.1.0
description:
  - Runs on the orchestrator. It writes C(experiment.json), and merges the archives of cameras that are home.
    That a camera records is noted there by the module M(wildberryeye.orchestrator.recording).
  - An action plugin does the same in the controller's own process.
  - The id of an experiment is the date on which it began, whenever it ends.
author:
  - WildBerryEye contributors (@wildberryeye)
extends_documentation_fragment:
  - wildberryeye.orchestrator.attributes
  - wildberryeye.orchestrator.arguments.data_dir
options:
  data_dir:
    description: The orchestrator's data directory. Made if missing.
  state:
    description:
      - V(recording) resumes the experiment that is open within its window, or opens one. What is still open
        from before is closed.
      - V(noted) notes what went wrong.
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
  start_time:
    description:
      - When recording begins, local time, as V(HH:MM). From O(stop_time) until then it is night.
    type: str
    default: "07:00"
  stop_time:
    description: When recording ends, local time, as V(HH:MM). A start before then resumes.
    type: str
    default: "01:00"
  scheduled:
    description:
      - Whether a timer began this run, which may be late.
      - With O(state=recording), nothing is opened or resumed at night.
      - With O(state=closing), by day, only experiments are closed that were opened before the day began and whose
        window has ended. O(id) does not count.
      - With O(state=present), there is nothing to collect where none of the cameras is to record. O(id) does not
        count.
    type: bool
    default: false
  home:
    description:
      - With O(state=closed), the cameras from which everything that was set aside is home, each with the experiment
        that its card says it still records; empty where it records none.
    type: dict
    default: {}
  known:
    description: All cameras of the inventory. One that is to record and is not among them is named.
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
night:
  description: Whether nothing was opened or resumed, because a timer began this at night.
  type: bool
  returned: O(state=recording)
idle:
  description: Whether a timer began this, and there is nothing to do because none of the cameras is to record.
  type: bool
  returned: O(state=present)
to_record:
  description: All cameras that are to record now, whichever experiment, sorted.
  type: list
  elements: str
  returned: success
  sample: [motion, object]
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
    next_archive:
      description: Path that its next archive in this experiment gets.
      type: str
not_archived:
  description: For each camera whose archive could not be made, why. The role C(outcome) fails the run for it.
  type: dict
  returned: O(state=closed)
settled:
  description:
    - Ids of the experiments of which a camera's images are all home now, or are waited for no longer, sorted.
    - In check mode, of those that have ended, or that a start would end, and of which this would be so.
  type: list
  elements: str
  returned: O(state=closed)
made:
  description: Paths of the archives that were made.
  type: list
  elements: str
  returned: O(state=closed)
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.wildberryeye.orchestrator.plugins.module_utils import arguments, book, durable, lock
from ansible_collections.wildberryeye.orchestrator.plugins.module_utils.layout import Layout
from ansible_collections.wildberryeye.orchestrator.plugins.module_utils.module import finish

STATES = ["recording", "noted", "closing", "closed", "present"]

ARGUMENTS: dict[str, dict[str, Any]] = {
    **arguments.DATA_DIR,
    "state": {"type": "str", "choices": STATES, "default": "present"},
    "cameras": {"type": "dict", "required": True},
    "id": {"type": "str"},
    "start_time": {"type": "str", "default": "07:00"},
    "stop_time": {"type": "str", "default": "01:00"},
    "scheduled": {"type": "bool", "default": False},
    "home": {"type": "dict", "default": {}},
    "known": {"type": "list", "elements": "str", "default": []},
    "give_up": {"type": "list", "elements": "str", "default": []},
    "failures": {"type": "dict", "default": {}},
}


TRIED = "keep the experiment's record"


def work(params: dict[str, Any], check: bool) -> dict[str, Any]:
    """Do what the state asks for, with the records locked."""
    state = params["state"]
    layout = Layout(params["data_dir"])
    if check or state == "present":
        return book.Book(layout, params, check=True).bring(state)
    durable.make_directories(layout.data_dir)
    # Merging can take minutes; nobody has to wait for the records meanwhile.
    merged = book.merge_home(layout, params) if state == "closed" else book.NOTHING
    with lock.exclusive(layout.locks(), "record"):
        return book.Book(layout, params, check=False, merged=merged).bring(state)


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    finish(module, TRIED, lambda: work(module.params, module.check_mode))


if __name__ == "__main__":
    main()
