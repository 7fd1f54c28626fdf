#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: image_collection
short_description: Bring home what was set aside on a camera
version_added: 0.1.0
description:
  - One whole step per camera, so that no camera waits for another but for its turn on the air. The images are made
    ready as M(wildberryeye.orchestrator.image_batch) does it, fetched with M(ansible.posix.synchronize), proven as
    M(wildberryeye.orchestrator.image_receipt) does it, and what is proven is deleted from the card as
    M(wildberryeye.orchestrator.image_cleanup) does it.
  - Each of these can be killed, and is completed by the next run.
  - Before it carries anything, it compares the room on the orchestrator's disk with what comes, from this camera and
    from those that are being carried meanwhile.
  - Run it against the camera, with C(become). An action plugin does all of it.
author:
  - WildBerryEye contributors (@wildberryeye)
extends_documentation_fragment:
  - wildberryeye.orchestrator.attributes
  - wildberryeye.orchestrator.arguments.card
  - wildberryeye.orchestrator.arguments.data_dir
  - wildberryeye.orchestrator.arguments.loose
  - wildberryeye.orchestrator.arguments.collection
  - wildberryeye.orchestrator.arguments.patience
options:
  at_a_time:
    description: How many cameras may send at a time, of all runs together. They share one channel.
    type: int
    default: 2
  bwlimit:
    description: The most that a transfer may take of the link, in the notation of rsync; all of it if empty.
    type: str
    default: ""
attributes:
  check_mode:
    description: Says how many images it would carry.
"""

EXAMPLES = r"""
- name: Bring the images home
  wildberryeye.orchestrator.image_collection:
    image_dir: /home/eye/wildberryeye/src/wildberryeyezero/frontend/images
    data_dir: ~/wildberryeye/analysis/data
    purpose: collect
    set_aside: stable
  become: true
"""

RETURN = r"""
batch:
  description: What M(wildberryeye.orchestrator.image_batch) returned.
  type: dict
  returned: always
fetch:
  description: What M(ansible.posix.synchronize) returned.
  type: dict
  returned: when there was something to carry
receipt:
  description: What M(wildberryeye.orchestrator.image_receipt) returned.
  type: dict
  returned: when it has arrived
cleanup:
  description: What M(wildberryeye.orchestrator.image_cleanup) returned.
  type: dict
  returned: when something was proven
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.wildberryeye.orchestrator.plugins.module_utils import arguments

ARGUMENTS: dict[str, dict[str, Any]] = {
    **arguments.CARD,
    **arguments.DATA_DIR,
    **arguments.LOOSE,
    **arguments.COLLECTION,
    **arguments.PATIENCE,
    "at_a_time": {"type": "int", "default": 2},
    "bwlimit": {"type": "str", "default": ""},
}


def main() -> None:
    """Refuse: all of it is done by the action plugin of this name, before there would be a module."""
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    module.fail_json(msg="the action plugin of this module is missing: install the collection again")


if __name__ == "__main__":
    main()
