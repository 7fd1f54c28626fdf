#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: image_batch
short_description: Make the images that were set aside on a camera ready to be carried home
version_added: 0.1.0
description:
  - Applies receipts that the orchestrator holds already, sets stable images aside if asked to, then freezes
    every batch on the card with a manifest of sizes and SHA-256 and, where there is room, a zip of it.
  - The zip is stored, not compressed, and made in the same read as the manifest.
  - Run it against the camera, with C(become). Its action plugin takes the camera's collection lock on the
    orchestrator and hands over the receipts.
author:
  - WildBerryEye contributors (@wildberryeye)
extends_documentation_fragment:
  - wildberryeye.orchestrator.attributes
  - wildberryeye.orchestrator.arguments.card
  - wildberryeye.orchestrator.arguments.loose
  - wildberryeye.orchestrator.arguments.collection
  - wildberryeye.orchestrator.arguments.data_dir
  - wildberryeye.orchestrator.arguments.patience
options:
  receipts:
    description: Receipts of batches that may still lie on the card. Set by the action plugin.
    type: list
    elements: dict
    default: []
attributes:
  check_mode:
    description: Says how many images would be carried, writes nothing.
"""

EXAMPLES = r"""
- name: Set aside what is finished, and zip it
  wildberryeye.orchestrator.image_batch:
    image_dir: /home/eye/wildberryeye/src/wildberryeyezero/frontend/images
    set_aside: stable
    method: zip
    data_dir: ~/wildberryeye/analysis/data
    purpose: collect
  become: true
"""

RETURN = r"""
batches:
  description: The batches that are ready to be fetched.
  type: list
  elements: dict
  returned: success
  contains:
    experiment:
      description: What the images belong to.
      type: str
    batch:
      description: The batch's name.
      type: str
    images:
      description: How many images it holds.
      type: int
    bytes:
      description: Their size in bytes.
      type: int
    zipped:
      description: Whether a zip of it is there.
      type: bool
images:
  description: How many images all batches hold.
  type: int
  returned: success
bytes:
  description: Their size in bytes.
  type: int
  returned: success
unreadable:
  description: Images that the card does not give back. They stay where they are.
  type: list
  elements: str
  returned: success
fell_back:
  description: Whether a zip was wanted and the card had no room for one.
  type: bool
  returned: success
free:
  description: Free space on the card in bytes, before. It is noted in the experiment, too.
  type: int
  returned: success
temperature:
  description: Of the camera's processor, in degrees Celsius; null where there is no sensor. It is noted as well.
  type: float
  returned: success
foreign_count:
  description: How many names in the image directory, and in batches, are no images.
  type: int
  returned: success
label:
  description: The experiment that the camera records, as its card says; empty where it says none.
  type: str
  returned: success
foreign:
  description: The first of the names in the image directory, and in batches, that are no images. They are left alone.
  type: list
  elements: str
  returned: success
"""

import contextlib
import time
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.wildberryeye.orchestrator.plugins.module_utils import arguments, batch, figures, receipt
from ansible_collections.wildberryeye.orchestrator.plugins.module_utils.card import Card, Loose
from ansible_collections.wildberryeye.orchestrator.plugins.module_utils.errors import Error
from ansible_collections.wildberryeye.orchestrator.plugins.module_utils.module import finish, foreign
from ansible_collections.wildberryeye.orchestrator.plugins.module_utils.sensor import temperature

ARGUMENTS: dict[str, dict[str, Any]] = {
    **arguments.CARD,
    **arguments.LOOSE,
    **arguments.COLLECTION,
    **arguments.DATA_DIR,
    **arguments.PATIENCE,
    "receipts": {"type": "list", "elements": "dict", "default": []},
}


def ready(card: Card, params: dict[str, Any], check: bool) -> dict[str, Any]:
    """Make everything that is set aside ready; return the module's result."""
    # Check mode changes nothing, so it keeps nobody out.
    with contextlib.nullcontext() if check else card.exclusive_batches():
        return _ready(card, params, check)


def _ready(card: Card, params: dict[str, Any], check: bool) -> dict[str, Any]:
    card.check()
    found = {"free": card.free(), "temperature": temperature()}
    cleaned = []
    for given in params["receipts"]:
        # One of another manifest does not license anything here: the batch goes home again.
        with contextlib.suppress(Error):
            cleaned.append(receipt.apply(card, receipt.Receipt.parse(given), dry_run=check))
    if check:
        loose, finished = _finished(card, params)
        waiting = [batch.weigh(card, found) for found in card.batches()]
        count = len(finished) + sum(number for number, _unused in waiting)
        return {
            "changed": count > 0,
            "batches": [],
            "images": count,
            "bytes": card.size(finished) + sum(size for _unused, size in waiting),
            "unreadable": [],
            "fell_back": False,
            **found,
            **foreign(loose),
            "label": card.label() or "",
            "msg": f"would carry {figures.images(count)} home"
            # Another step says what it would set aside before this one: in check mode, that lies loose still.
            + (" that lie set aside" if params["set_aside"] == "none" else ""),
        }
    batch.mend(card)
    # Only as long as it takes to rename: a restart does not wait until the batches are read.
    with card.exclusive():
        loose, finished = _finished(card, params)
        card.set_aside(finished, params["fallback"])
        card.tidy()
        # None among them that a start or stop is still filling.
        batches = card.batches()
    wanted = params["method"] == "zip"
    frozen = [batch.freeze(card, found, wanted) for found in batches]
    count, size = sum(found.images for found in frozen), sum(found.bytes for found in frozen)
    fell_back = wanted and any(found.made and not found.zipped for found in frozen)
    return {
        "changed": bool(finished) or any(found.made for found in frozen) or any(done.deleted for done in cleaned),
        "batches": [
            {
                "experiment": found.batch.experiment,
                "batch": found.batch.name,
                "images": found.images,
                "bytes": found.bytes,
                "zipped": found.zipped,
            }
            for found in frozen
        ],
        "images": count,
        "bytes": size,
        "unreadable": [name for found in frozen for name in found.unreadable],
        "fell_back": fell_back,
        **found,
        **foreign(loose),
        "label": card.label() or "",
        "msg": f"{figures.images(count)} to carry home, {figures.size(size)}"
        + (", as files: no room on the card for a zip" if fell_back else ""),
    }


def _finished(card: Card, params: dict[str, Any]) -> tuple[Loose, list[str]]:
    """Return what lies loose, and which images of it are to be set aside."""
    loose = card.loose()
    stable = card.stable(loose.images) if params["set_aside"] == "stable" else []
    return loose._replace(foreign=[*loose.foreign, *card.strange()]), stable


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    card = Card(module.params["image_dir"])
    finish(module, "make batches ready", lambda: {**ready(card, module.params, module.check_mode), "now": time.time()})


if __name__ == "__main__":
    main()
