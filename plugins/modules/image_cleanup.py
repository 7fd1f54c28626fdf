#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: image_cleanup
short_description: Delete from a camera what a receipt proves to be home
version_added: 0.1.0
description:
  - Deletes each image that a receipt proves and that has not changed since it was hashed, then what is left of
    the batch itself. What is not proven, or has changed, stays and goes home with the next collection.
  - Killed at any point and run again, it goes on where it was.
  - Run it against the camera, with C(become).
author:
  - WildBerryEye contributors (@wildberryeye)
extends_documentation_fragment:
  - wildberryeye.orchestrator.attributes
  - wildberryeye.orchestrator.arguments.card
  - wildberryeye.orchestrator.arguments.patience
options:
  receipts:
    description: The receipts, as M(wildberryeye.orchestrator.image_receipt) returns them.
    type: list
    elements: dict
    required: true
attributes:
  check_mode:
    description: Says how many images would be deleted.
"""

EXAMPLES = r"""
- name: Delete from the card what the receipts prove
  wildberryeye.orchestrator.image_cleanup:
    image_dir: /home/eye/wildberryeye/src/wildberryeyezero/frontend/images
    receipts: "{{ received.receipts }}"
  become: true
"""

RETURN = r"""
deleted:
  description: How many images were deleted.
  type: int
  returned: success
kept:
  description: How many images stay, as they are not proven or have changed.
  type: int
  returned: success
vanished:
  description: How many images were gone already.
  type: int
  returned: success
left:
  description: How many batches lie on the card now.
  type: int
  returned: success
"""

import contextlib
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.wildberryeye.orchestrator.plugins.module_utils import arguments, figures, receipt
from ansible_collections.wildberryeye.orchestrator.plugins.module_utils.card import Card
from ansible_collections.wildberryeye.orchestrator.plugins.module_utils.errors import Error
from ansible_collections.wildberryeye.orchestrator.plugins.module_utils.module import finish

ARGUMENTS: dict[str, dict[str, Any]] = {
    **arguments.CARD,
    **arguments.PATIENCE,
    "receipts": {"type": "list", "elements": "dict", "required": True},
}


def clean(card: Card, given: list[dict[str, Any]], check: bool) -> dict[str, Any]:
    """Apply the receipts; return the module's result."""
    # Check mode changes nothing, so it keeps nobody out.
    with contextlib.nullcontext() if check else card.exclusive_batches():
        return _clean(card, given, check)


def _clean(card: Card, given: list[dict[str, Any]], check: bool) -> dict[str, Any]:
    card.check()
    before = len(card.batches())
    cleaned, wrong = [], []
    for each in given:
        try:
            cleaned.append(receipt.apply(card, receipt.Receipt.parse(each), dry_run=check))
        except Error as error:
            # What is wrong with one batch keeps no other on the card.
            wrong.append(error)
    if wrong:
        raise wrong[0]
    deleted, size, kept, vanished = (sum(counts) for counts in zip(*cleaned, strict=True)) if cleaned else [0] * 4
    left = len(card.batches())
    kept_text = f", {figures.images(kept)} kept" if kept else ""
    return {
        "changed": bool(deleted) or left != before,
        "deleted": deleted,
        "kept": kept,
        "vanished": vanished,
        "left": left,
        "msg": f"{figures.images(deleted)} deleted from the card, {figures.size(size)}{kept_text}",
    }


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    card = Card(module.params["image_dir"])
    finish(
        module,
        "delete what receipts prove",
        lambda: clean(card, module.params["receipts"], module.check_mode),
    )


if __name__ == "__main__":
    main()
