#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: alerts
short_description: Say where alerts go, leave a notice for them, and try them out
version_added: 0.1.0
description:
  - Alerts are kept and sent on the orchestrator, by a systemd user unit of the user who runs this. An action plugin
    does all of it.
  - The URLs are secrets. They are kept in a file that this user alone can read, and are in no result and no error.
author:
  - WildBerryEye contributors (@wildberryeye)
extends_documentation_fragment:
  - wildberryeye.orchestrator.attributes
options:
  state:
    description:
      - V(present) keeps the URLs, and fails naming those that apprise cannot understand.
      - V(absent) forgets them, and every alert that has not been sent.
      - V(checked) looks whether alerts go where they are to go, and says what is missing.
      - V(noted) leaves a notice of what became of a playbook.
      - V(tested) sends a message to each URL and asks for O(ping_url). It fails naming those that it did not reach.
    type: str
    choices: [present, absent, checked, noted, tested]
    required: true
  notify_urls:
    description: Where alerts go, as URLs of apprise.
    type: list
    elements: str
    default: []
  ping_url:
    description: What the heartbeat asks for at every interval; empty for nothing.
    type: str
    default: ""
  gather:
    description: Seconds for which alerts are gathered into one message.
    type: int
    default: 60
  notices:
    description: With O(state=noted), what was noticed, each with its C(topic), C(bad) and C(text).
    type: list
    elements: dict
    default: []
  playbook:
    description: With O(state=noted), the playbook that has come to its end.
    type: str
    default: ""
attributes:
  check_mode:
    description: Says what would be done. Nothing is sent.
  diff_mode:
    description: Is not supported, as it would show secrets.
    support: none
"""

EXAMPLES = r"""
- name: Send a test alert
  wildberryeye.orchestrator.alerts:
    state: tested
    notify_urls: "{{ wildberryeye_notify_urls }}"
  run_once: true
"""

RETURN = r"""
services:
  description: The names of the services that alerts go to.
  type: list
  elements: str
  returned: O(state=present), O(state=tested)
  sample: [ntfy, Telegram]
problem:
  description: What is wrong, in a line without a secret; empty if nothing is.
  type: str
  returned: always
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule

ARGUMENTS: dict[str, dict[str, Any]] = {
    "state": {"type": "str", "choices": ["present", "absent", "checked", "noted", "tested"], "required": True},
    # Ansible itself shows no arguments of actions, but for those of other callbacks' choice.
    "notify_urls": {"type": "list", "elements": "str", "default": [], "no_log": True},
    "ping_url": {"type": "str", "default": "", "no_log": True},
    "gather": {"type": "int", "default": 60},
    "notices": {"type": "list", "elements": "dict", "default": []},
    "playbook": {"type": "str", "default": ""},
}


def main() -> None:
    """Refuse: all of it is done by the action plugin of this name, before there would be a module."""
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    module.fail_json(msg="the action plugin of this module is missing: install the collection again")


if __name__ == "__main__":
    main()
