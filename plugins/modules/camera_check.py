#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: camera_check
short_description: Check that a WildBerryEye camera has what the orchestrator needs
version_added: 0.1.0
description:
  - Looks whether the camera can be reached by SSH, whether sudo works without a password, whether Python and rsync
    are there, and whether the camera's systemd unit runs the right mode and comes back after a power cut.
  - Where the work is to be done without sudo, it looks instead whether the user may start and stop the unit, owns the
    image directory, and may read images and journal.
  - Fails with a line for each thing that is missing, which says how to mend it.
  - Reads only, and needs no Python on the camera; its action plugin does it all. Run it without C(become).
  - To see whether the user may control the unit, it lets systemd forget a failure that there is none of, which changes
    nothing but its counter of restarts.
author:
  - WildBerryEye contributors (@wildberryeye)
extends_documentation_fragment:
  - wildberryeye.orchestrator.attributes
  - wildberryeye.orchestrator.arguments.unit
  - wildberryeye.orchestrator.arguments.mode
options:
  python:
    description: The Python that modules run with on the camera.
    type: str
    default: /usr/bin/python3
  sudo:
    description: Whether the orchestrator works as root on the camera, or without sudo.
    type: bool
    default: true
  limited:
    description: Whether the camera is to refuse everybody but the orchestrator on its port.
    type: bool
    default: false
  image_dir:
    description: The directory on the camera that its service writes into. Looked at where O(sudo=false).
    type: str
    default: ""
  required:
    description: Whether to fail for what is missing. V(false) returns RV(found) instead, for the role C(camera_access).
    type: bool
    default: true
attributes:
  check_mode:
    description: Does the same, as it only reads. What the role C(camera_access) would put there is not called missing.
"""

EXAMPLES = r"""
- name: Check what the camera has
  wildberryeye.orchestrator.camera_check:
    mode: motion
"""

RETURN = r"""
problems:
  description: What is missing and how to mend it, a line each.
  type: list
  elements: str
  returned: always
  sample: ["rsync is not installed on the camera. Run 'sudo apt install rsync' there"]
found:
  description: Who the user is, what it may do, and what was put there for that.
  type: dict
  returned: with O(required=false)
reached:
  description: Whether the camera was reached by SSH.
  type: bool
  returned: always
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.wildberryeye.orchestrator.plugins.module_utils import arguments

ARGUMENTS: dict[str, dict[str, Any]] = {
    **arguments.UNIT,
    **arguments.MODE,
    "python": {"type": "str", "default": "/usr/bin/python3"},
    "sudo": {"type": "bool", "default": True},
    "limited": {"type": "bool", "default": False},
    "image_dir": {"type": "str", "default": ""},
    "required": {"type": "bool", "default": True},
}


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    module.fail_json(msg="camera_check is done by its action plugin: run it as a task")


if __name__ == "__main__":
    main()
