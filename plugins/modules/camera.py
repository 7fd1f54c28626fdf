#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: camera
short_description: Make a WildBerryEye camera ready, detecting or idle through its API
version_added: 0.1.0
description:
  - Talks to the camera's HTTP API. Runs on the orchestrator, not on the camera.
  - The API does not reveal whether a camera detects, so O(state=detecting) and O(state=idle) always send
    their requests, which are harmless to repeat, and always report a change.
author:
  - WildBerryEye contributors (@wildberryeye)
extends_documentation_fragment:
  - wildberryeye.orchestrator.attributes
  - wildberryeye.orchestrator.arguments.api
options:
  mode:
    description: What the camera detects with. A motion camera needs a baseline before it records.
    type: str
    choices: [object, motion]
    default: object
  state:
    description:
      - V(ready) waits for the port, then polls C(/api/capture) until it answers with a picture that exists.
        The picture stays on the card, as any other image.
      - V(detecting) is V(ready), then detection started and, on a motion camera, the baseline set.
      - V(idle) stops detection.
    type: str
    choices: [ready, detecting, idle]
    default: ready
  timeout:
    description: Seconds until the camera must be ready.
    type: int
    default: 300
attributes:
  check_mode:
    description: Sends nothing.
requirements:
  - requests
"""

EXAMPLES = r"""
- name: Wait until the camera takes pictures
  wildberryeye.orchestrator.camera:
    host: 192.168.4.11
    state: ready
  delegate_to: localhost

- name: Make the motion camera detect
  wildberryeye.orchestrator.camera:
    host: 192.168.4.12
    mode: motion
    state: detecting
    timeout: 120
  delegate_to: localhost
"""

RETURN = r"""
picture:
  description: Name of the picture that proved the camera ready.
  type: str
  returned: O(state=ready) or O(state=detecting), except in check mode
  sample: manual_20260522-093017-323344_wildberry02_root.jpg
clock_offset:
  description: Seconds that the camera's clock is ahead of the orchestrator's, to 1 s.
  type: float
  returned: when the camera said what time it is
  sample: -1.4
kind:
  description:
    - What kind of failure it was. V(refused), nothing listens; V(unreachable), no connection; V(timeout), connected
      and no answer; V(answer), not what the API promises; V(storage), a picture was taken and not stored.
  type: str
  returned: failure of the camera
"""

from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

from ansible.module_utils.basic import AnsibleModule, missing_required_lib

from ansible_collections.wildberryeye.orchestrator.plugins.module_utils import arguments
from ansible_collections.wildberryeye.orchestrator.plugins.module_utils.camera_client import CameraClient, CameraError
from ansible_collections.wildberryeye.orchestrator.plugins.module_utils.module import finish

ARGUMENTS: dict[str, dict[str, Any]] = {
    **arguments.API,
    "mode": {"type": "str", "choices": ["object", "motion"], "default": "object"},
    "state": {"type": "str", "choices": ["ready", "detecting", "idle"], "default": "ready"},
    "timeout": {"type": "int", "default": 300},
}


def make_so(client: CameraClient, state: str, mode: str, timeout: float) -> dict[str, Any]:
    """Bring the camera into `state`; return the module's result."""
    result: dict[str, Any] = {"changed": True}
    if state == "idle":
        client.stop(min(15.0, timeout))
        result["msg"] = "detection stopped"
    elif state == "detecting":
        result["picture"] = client.detect(mode, timeout)
        result["msg"] = f"detecting, took {result['picture']}"
    else:
        result["picture"] = client.wait_ready(timeout)
        result["msg"] = f"ready, took {result['picture']}"
    result["clock_offset"] = client.clock_offset
    return result


def attempt(module: AnsibleModule, work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Run `work`; a camera's error ends the module with its kind."""
    try:
        return work()
    except CameraError as error:
        module.fail_json(msg=str(error), kind=error.kind)
        raise  # fail_json() does not return


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    if find_spec("requests") is None:
        module.fail_json(msg=missing_required_lib("requests"))
    state, mode, timeout = (module.params[name] for name in ("state", "mode", "timeout"))
    if module.check_mode:
        module.exit_json(changed=True, msg=f"would make the camera {state}")
    client = CameraClient(module.params["host"], module.params["port"])
    finish(module, f"make the camera {state}", lambda: attempt(module, lambda: make_so(client, state, mode, timeout)))


if __name__ == "__main__":
    main()
