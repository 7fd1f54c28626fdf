#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: image_receipt
short_description: Prove what arrived from a camera, and write its receipts
version_added: 0.1.0
description:
  - Runs on the orchestrator. For each batch that arrived it makes the archive, if the batch came as files, reads
    the archive back from the disk against the batch's manifest, and writes a receipt for what it found intact.
  - It licenses what it proved, and then fails naming the rest. The receipts are returned in either case.
author:
  - WildBerryEye contributors (@wildberryeye)
extends_documentation_fragment:
  - wildberryeye.orchestrator.attributes
  - wildberryeye.orchestrator.arguments.data_dir
options:
  camera:
    description: The camera's name in the inventory.
    type: str
    required: true
  batches:
    description: The batches to prove, as M(wildberryeye.orchestrator.image_batch) returns them.
    type: list
    elements: dict
    required: true
attributes:
  check_mode:
    description: Does nothing.
"""

EXAMPLES = r"""
- name: Prove what arrived
  wildberryeye.orchestrator.image_receipt:
    data_dir: ~/wildberryeye/analysis/data
    camera: object
    batches: "{{ batch.batches }}"
  delegate_to: localhost
  register: received
"""

RETURN = r"""
receipts:
  description: For each batch what may be deleted from the card.
  type: list
  elements: dict
  returned: always
  contains:
    experiment:
      description: What the batch belongs to.
      type: str
    batch:
      description: The batch's name.
      type: str
    manifest_sha256:
      description: SHA-256 of the manifest that was proven.
      type: str
    unproven:
      description: Images that must stay on the card.
      type: list
      elements: str
images:
  description: How many images are proven.
  type: int
  returned: always
bytes:
  description: Their size in bytes.
  type: int
  returned: always
not_whole:
  description: Images that were collected as they are and do not end as a JPEG does.
  type: list
  elements: str
  returned: always
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.wildberryeye.orchestrator.plugins.module_utils import arguments, errors, figures, receiving
from ansible_collections.wildberryeye.orchestrator.plugins.module_utils.layout import Layout
from ansible_collections.wildberryeye.orchestrator.plugins.module_utils.names import batch_path, camera_name

ARGUMENTS: dict[str, dict[str, Any]] = {
    **arguments.DATA_DIR,
    "camera": {"type": "str", "required": True},
    "batches": {"type": "list", "elements": "dict", "required": True},
}


def receive_all(layout: Layout, camera: str, batches: list[dict[str, Any]]) -> tuple[dict[str, Any], list[str]]:
    """Prove each batch; return the module's result and a line for each thing that is wrong."""
    received, wrong = [], []
    for batch in batches:
        try:
            experiment, name = batch_path(batch.get("experiment"), batch.get("batch")).split("/")
            found = receiving.receive(layout, camera_name(camera), experiment, name)
        except errors.Error as error:
            wrong.append(str(error))
            continue
        except OSError as error:
            size = batch.get("bytes")
            needed = figures.size(size) if isinstance(size, int) else "of unknown size"
            wrong.append(str(errors.from_os_error(f"archive batch {name} ({needed})", error)))
            continue
        received.append(found)
        if unproven := found.receipt.unproven:
            named = ", ".join(unproven[:3]) + (f" and {len(unproven) - 3} more" if len(unproven) > 3 else "")
            wrong.append(
                f"{figures.images(len(unproven))} of batch {name} did not arrive intact ({named}). "
                "Kept on the card: run the collection again"
            )
    count, size = sum(found.images for found in received), sum(found.bytes for found in received)
    not_whole = [name for found in received for name in found.flagged]
    result = {
        "changed": any(found.fresh for found in received),
        "receipts": [found.receipt._asdict() for found in received],
        "images": count,
        "bytes": size,
        "not_whole": not_whole,
        "msg": f"{figures.images(count)} proven, {figures.size(size)}"
        + (f", {len(not_whole)} of them half-written" if not_whole else ""),
    }
    return result, wrong


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    if module.check_mode:
        module.exit_json(changed=False, receipts=[], images=0, bytes=0, not_whole=[])
    layout = Layout(module.params["data_dir"])
    result, wrong = receive_all(layout, module.params["camera"], module.params["batches"])
    if wrong:
        module.fail_json(**{**result, "msg": "; ".join(wrong)})
    module.exit_json(**result)


if __name__ == "__main__":
    main()
