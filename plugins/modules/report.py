#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: report
short_description: Write the report of an experiment
version_added: 0.1.0
description:
  - Writes C(report.html) into the directory of each experiment that is named, in place of the one before. It is one
    file that opens anywhere, without a network.
  - An action plugin does the work, in the controller's own process on the orchestrator.
  - Only the archives' directories and lists are read, and a few images for small pictures. What is damaged or missing
    is said in the report.
author:
  - WildBerryEye contributors (@wildberryeye)
extends_documentation_fragment:
  - wildberryeye.orchestrator.attributes
  - wildberryeye.orchestrator.arguments.data_dir
  - wildberryeye.orchestrator.arguments.visits
requirements:
  - Pillow, for small pictures of the visits. Without it the report has none, and says so.
options:
  experiments:
    description: Ids of the experiments.
    type: list
    elements: str
    required: true
attributes:
  check_mode:
    description: Says what would be written.
"""

EXAMPLES = r"""
- name: Write the report of an experiment
  wildberryeye.orchestrator.report:
    data_dir: ~/wildberryeye/analysis/data
    experiments: ["2026-05-22"]
  delegate_to: localhost
  run_once: true
"""

RETURN = r"""
paths:
  description: The reports that were written, or would be.
  type: list
  elements: str
  returned: always
  sample: [/home/decim/wildberryeye/analysis/data/2026-05-22/report.html]
problems:
  description: A line for each report that could not be written. The task has failed then; nothing else has.
  type: list
  elements: str
  returned: always
lines:
  description: A line for each report, as a person reads it last.
  type: list
  elements: str
  returned: always
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.wildberryeye.orchestrator.plugins.module_utils import arguments

ARGUMENTS: dict[str, dict[str, Any]] = {
    **arguments.DATA_DIR,
    **arguments.VISITS,
    "experiments": {"type": "list", "elements": "str", "required": True},
}


def main() -> None:
    """Refuse: all of it is done by the action plugin of this name, before there would be a module."""
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    module.fail_json(msg="the action plugin of this module is missing: install the collection again")


if __name__ == "__main__":
    main()
