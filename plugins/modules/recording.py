#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: recording
short_description: Make a WildBerryEye camera record an experiment, or make it idle
version_added: 0.1.0
description:
  - One whole step per camera, so that no step of one camera waits for a step of another.
  - On the camera, it sets aside what lies loose while the service is stopped, and writes the label that says
    whose images those are that come next. Over the API, it then makes sure that the camera detects, or
    that it does not.
  - Run it against the camera, with C(become). The API is called by the orchestrator.
  - The API does not reveal whether a camera detects. A camera whose label names the experiment already, whose
    service runs and that takes pictures is asked once more, which is harmless, and reported as unchanged.
author:
  - WildBerryEye contributors (@wildberryeye)
extends_documentation_fragment:
  - wildberryeye.orchestrator.attributes
  - wildberryeye.orchestrator.arguments.unit
  - wildberryeye.orchestrator.arguments.mode
  - wildberryeye.orchestrator.arguments.card
  - wildberryeye.orchestrator.arguments.loose
  - wildberryeye.orchestrator.arguments.api
  - wildberryeye.orchestrator.arguments.data_dir
options:
  state:
    description:
      - V(recording) makes the camera record O(experiment). Touches neither service nor images if the label
        on the card says that it does so already and the camera takes pictures.
      - V(restarted) does the same, and restarts the service in any case.
      - V(idle) stops detection and sets aside everything.
    type: str
    choices: [recording, restarted, idle]
    default: recording
  experiment:
    description: Id of the experiment to record. Needed unless O(state=idle).
    type: str
    default: ""
  service_after_stop:
    description: State of the service after O(state=idle).
    type: str
    choices: [running, stopped]
    default: running
  ready_timeout:
    description: Seconds until the camera must take pictures.
    type: int
    default: 300
  purpose:
    description: What the lock says that this is done for.
    type: str
    choices: [start, stop, restart, collect]
    required: true
  set_clock:
    description:
      - Whether to set a clock on the camera that is 30 s wrong, or more, before its service is started.
      - It is left alone where a time server keeps it right, and where the orchestrator's own clock is behind the newest
        event of its experiments.
      - Recording does not depend on that. Where it cannot be done, RV(clock_note) says why.
    type: bool
    default: false
  clock:
    description: The orchestrator's time, in seconds since 1970. Set by the action plugin where the clock may be set.
    type: float
  detection_stopped:
    description: Whether the API has confirmed that detection is off. Set by the action plugin.
    type: bool
    default: false
attributes:
  check_mode:
    description: Looks at the camera, sends and writes nothing.
"""

EXAMPLES = r"""
- name: Make the camera record
  wildberryeye.orchestrator.recording:
    state: recording
    experiment: "2026-05-22"
    mode: motion
    host: 192.168.4.12
    image_dir: /home/eye/wildberryeye/src/wildberryeyezero/frontend/images
    data_dir: ~/wildberryeye/analysis/data
    purpose: start
  become: true
"""

RETURN = r"""
set_aside:
  description: How many images were set aside.
  type: int
  returned: success
  sample: 412
bytes:
  description: In check mode, size in bytes of the images that would be set aside.
  type: int
  returned: success
  sample: 80112233
set_aside_for:
  description: The experiment that they belong to.
  type: str
  returned: success
  sample: "2026-05-21"
resumed:
  description: Whether the camera was recording the experiment already.
  type: bool
  returned: success
label:
  description: The experiment that the camera records, as its card says; empty where it says none.
  type: str
  returned: success
  sample: "2026-05-22"
foreign_count:
  description: How many names in the image directory are no images.
  type: int
  returned: success
waiting:
  description: How many batches lie on the card and wait to be carried home.
  type: int
  returned: success
  sample: 1
foreign:
  description: The first of the names in the image directory that are no images. They are left alone.
  type: list
  elements: str
  returned: success
reached:
  description: Whether the part on the camera was done. Nothing else of this run can be done there otherwise.
  type: bool
  returned: always
clock_offset:
  description: Seconds that the camera's clock is ahead of the orchestrator's. It is noted in the experiment, too.
  type: float
  returned: when the camera said what time it is
clock_uncertainty:
  description: By how many seconds RV(clock_offset) can be wrong.
  type: float
  returned: when the camera said what time it is
clock_stepped:
  description: By how many seconds the camera's clock was set.
  type: float
  returned: when it was set
clock_note:
  description: Why a clock that is wrong was not set, as the end of a sentence.
  type: str
  returned: when it was to be set
"""

import contextlib
import time
from collections.abc import Sequence
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.wildberryeye.orchestrator.plugins.module_utils import arguments, clock, figures
from ansible_collections.wildberryeye.orchestrator.plugins.module_utils.card import Card
from ansible_collections.wildberryeye.orchestrator.plugins.module_utils.module import finish, foreign
from ansible_collections.wildberryeye.orchestrator.plugins.module_utils.names import experiment_id
from ansible_collections.wildberryeye.orchestrator.plugins.module_utils.unit import Unit

ARGUMENTS: dict[str, dict[str, Any]] = {
    **arguments.UNIT,
    **arguments.MODE,
    **arguments.CARD,
    **arguments.LOOSE,
    **arguments.API,
    **arguments.DATA_DIR,
    "state": {"type": "str", "choices": ["recording", "restarted", "idle"], "default": "recording"},
    "experiment": {"type": "str", "default": ""},
    "service_after_stop": {"type": "str", "choices": ["running", "stopped"], "default": "running"},
    "ready_timeout": {"type": "int", "default": 300},
    "purpose": {"type": "str", "choices": ["start", "stop", "restart", "collect"], "required": True},
    "set_clock": {"type": "bool", "default": False},
    "clock": {"type": "float"},
    "detection_stopped": {"type": "bool", "default": False},
}
_FIRST_START = 30.0
"""Seconds that the service has to make the image directory."""


def record(card: Card, unit: Unit, params: dict[str, Any], check: bool) -> dict[str, Any]:
    """Bring card and service into the state in which the API can be asked to detect."""
    experiment = experiment_id(params["experiment"])
    resumed = card.label() == experiment
    if resumed and unit.active() and params["state"] == "recording":
        return {
            "changed": False,
            "resumed": True,
            "service_age": unit.age(),
            **_found(card, params),
            **clock.correct(params["clock"], "which restart.yml sets"),
        }
    loose = card.loose().images if not resumed else []
    result = {"changed": True, "resumed": resumed, **_found(card, params, loose)}
    if check:
        return {**result, **clock.correct(params["clock"], "which would be set")}
    if resumed:
        result |= clock.correct(params["clock"])
        unit.restart()
        return result
    unit.stop()
    try:
        # Only now can no more images appear.
        done = card.set_aside(card.loose().images, params["fallback"])
        card.write_label(experiment)
        # What comes next is named by the clock.
        result |= clock.correct(params["clock"])
    finally:
        # Whatever went wrong: a camera whose service runs is better than one whose service does not.
        unit.start()
    return {**result, **_found(card, params), "set_aside": done.images, "set_aside_for": done.experiment}


def idle(card: Card, unit: Unit, params: dict[str, Any], check: bool) -> dict[str, Any]:
    """Stop the service, set aside all, and leave the service as asked."""
    running = unit.active()
    wanted = params["service_after_stop"] == "running"
    loose = card.loose().images
    quiet = params["detection_stopped"] or not running
    if quiet and running == wanted and not loose and card.label() is None:
        if not check:
            card.clear_label()
        return {"changed": False, **_found(card, params)}
    if check:
        return {"changed": True, **_found(card, params, loose)}
    unit.stop()
    try:
        done = card.set_aside(card.loose().images, params["fallback"])
        card.clear_label()
    finally:
        if wanted:
            unit.start()
    return {
        "changed": True,
        **_found(card, params),
        "set_aside": done.images,
        "set_aside_for": done.experiment,
    }


def _found(card: Card, params: dict[str, Any], loose: Sequence[str] = ()) -> dict[str, Any]:
    return {
        "set_aside": len(loose),
        "bytes": card.size(loose),
        "set_aside_for": card.label() or params["fallback"],
        "waiting": len(card.batches()) + bool(loose),
        "label": card.label() or "",
        **foreign(card.loose()),
    }


def work(module: AnsibleModule) -> dict[str, Any]:
    """Do on the camera what the state asks for."""
    card = Card(module.params["image_dir"])
    unit = Unit(module.params["service"], module.run_command)
    unit.check(module.params["mode"])
    if module.params["state"] != "idle" and not module.check_mode and not card.exists():
        # The service makes the image directory when it first starts. We never do: a directory of ours
        # in the wrong place would stay empty, and nobody would know.
        unit.start()
        card.wait_for(_FIRST_START)
    card.check()
    step = idle if module.params["state"] == "idle" else record
    # What is decided here holds until it is done. Check mode does nothing, so it keeps nobody out.
    with contextlib.nullcontext() if module.check_mode else card.exclusive():
        result = step(card, unit, module.params, module.check_mode)
    would = "would be " if module.check_mode else ""
    aside = f"{figures.images(result['set_aside'])} of {result['set_aside_for']} {would}set aside"
    # Last of all: ending takes next to nothing.
    return {**result, "msg": aside if result["set_aside"] else "nothing to set aside", "now": time.time()}


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    finish(module, "set images aside", lambda: work(module))


if __name__ == "__main__":
    main()
