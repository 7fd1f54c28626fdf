#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: heartbeat
short_description: Start and stop the heartbeat, which keeps the cameras of an experiment recording
version_added: 0.1.0
description:
  - The heartbeat is a systemd user unit of the user who runs this, on the orchestrator. An action plugin does all of
    it.
  - Where no systemd manager of that user runs, nothing is started; the result says so.
author:
  - WildBerryEye contributors (@wildberryeye)
extends_documentation_fragment:
  - wildberryeye.orchestrator.attributes
options:
  state:
    description:
      - V(started) writes the heartbeat's configuration and starts it, or has it read the configuration again if
        that changed.
      - V(renewed) has a heartbeat that runs begin again, so that it looks at once which cameras are to record.
      - V(stopped) ends it, with whatever it has under way.
    type: str
    choices: [started, renewed, stopped]
    required: true
  config:
    description: What the heartbeat is told. Needed with O(state=started).
    type: dict
    default: {}
  unit:
    description: The unit's content, for where setup.yml was not run. It is gone with the next boot then.
    type: str
    default: ""
attributes:
  check_mode:
    description: Says what would be done.
"""

EXAMPLES = r"""
- name: Stop the heartbeat
  wildberryeye.orchestrator.heartbeat:
    state: stopped
  run_once: true
"""

RETURN = r"""
watching:
  description: Whether the heartbeat runs now.
  type: bool
  returned: success, except in check mode
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule

ARGUMENTS: dict[str, dict[str, Any]] = {
    "state": {"type": "str", "choices": ["started", "renewed", "stopped"], "required": True},
    "config": {"type": "dict", "default": {}},
    "unit": {"type": "str", "default": ""},
}


def main() -> None:
    """Refuse: all of it is done by the action plugin of this name, before there would be a module."""
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    module.fail_json(msg="the action plugin of this module is missing: install the collection again")


if __name__ == "__main__":
    main()
