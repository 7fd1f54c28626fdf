#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: camera_status
short_description: Look at a WildBerryEye camera without touching it
version_added: 0.1.0
description:
  - Looks at the camera's unit, at what lies on its card, and at the machine. Reads only, and does not use the API.
  - What is missing or cannot be read is a value that says so. A camera that cannot be reached is no failure
    either; it is RV(reachable=false).
  - Run it against the camera, with C(become).
author:
  - WildBerryEye contributors (@wildberryeye)
extends_documentation_fragment:
  - wildberryeye.orchestrator.attributes
  - wildberryeye.orchestrator.arguments.unit
  - wildberryeye.orchestrator.arguments.card
attributes:
  check_mode:
    description: Does the same.
"""

EXAMPLES = r"""
- name: Look at the camera
  wildberryeye.orchestrator.camera_status:
    image_dir: /home/eye/wildberryeye/src/wildberryeyezero/frontend/images
  become: true
"""

RETURN = r"""
reachable:
  description: Whether the camera could be looked at. Nothing but RV(problem) is returned otherwise.
  type: bool
  returned: always
problem:
  description: Why the camera, or its card, could not be looked at, and what to do; empty if all is well.
  type: str
  returned: always
looked:
  description: The orchestrator's clock when RV(clock) arrived, in seconds since the epoch.
  type: float
  returned: when reachable
clock:
  description: The camera's clock, read last, in seconds since the epoch.
  type: float
  returned: when reachable
uptime:
  description: Seconds since the camera was booted.
  type: float
  returned: when reachable
temperature:
  description: Of the processor, in degrees Celsius; null where there is no sensor.
  type: float
  returned: when reachable
service:
  description: The unit.
  type: dict
  returned: when reachable
  contains:
    state:
      description: What systemd calls C(ActiveState); V(missing) where there is no such unit, or V(unknown).
      type: str
    age:
      description: Seconds since it came into this state; null where it was never in another.
      type: float
    restarts:
      description: How often systemd has restarted it by itself; null where it does not say.
      type: int
label:
  description: The experiment that the camera records, as its card says; empty where it says none.
  type: str
  returned: when reachable
card:
  description: What lies on the card; null where there is no image directory, or it cannot be read.
  type: dict
  returned: when reachable
  contains:
    images:
      description: How many images lie loose, as the camera wrote them.
      type: int
    bytes:
      description: Their size in bytes.
      type: int
    last:
      description: Name of the last image that detection wrote, of those that lie loose. Pictures taken by hand or by
        the heartbeat do not count.
      type: str
    last_taken:
      description: When its name says that it was taken, ISO 8601 with the camera's offset.
      type: str
    last_age:
      description: Seconds since it was written, by the camera's clock, which may have jumped since.
      type: float
    batches:
      description: How many batches are set aside and wait to be carried home.
      type: int
    set_aside:
      description: How many images are in them.
      type: int
    foreign_count:
      description: How many names in the image directory are no images.
      type: int
    free_bytes:
      description: Free space of the card in bytes.
      type: int
    free_inodes:
      description: How many more files it can hold; null where its file system does not say.
      type: int
"""

import os
import time
from collections.abc import Callable
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.wildberryeye.orchestrator.plugins.module_utils import arguments, errors
from ansible_collections.wildberryeye.orchestrator.plugins.module_utils.card import Batch, Card
from ansible_collections.wildberryeye.orchestrator.plugins.module_utils.module import finish
from ansible_collections.wildberryeye.orchestrator.plugins.module_utils.names import image_name, is_image
from ansible_collections.wildberryeye.orchestrator.plugins.module_utils.sensor import temperature
from ansible_collections.wildberryeye.orchestrator.plugins.module_utils.unit import Run

ARGUMENTS: dict[str, dict[str, Any]] = {
    **arguments.UNIT,
    **arguments.CARD,
}
_TRIES = 3
"""How often to look at what a collection may be moving or removing meanwhile."""


def service(name: str, run: Run) -> dict[str, Any]:
    """Return the state of a unit, for how many seconds it has been in it, and how often systemd restarted it."""
    entered = {"active": "ActiveEnterTimestampMonotonic", "activating": "InactiveExitTimestampMonotonic"}
    wanted = ["LoadState", "ActiveState", "NRestarts", *entered.values(), "InactiveEnterTimestampMonotonic"]
    out = run(["systemctl", "show", "--property", ",".join(wanted), name])[1]
    found = dict(line.partition("=")[::2] for line in out.splitlines())
    state = found.get("ActiveState") or "unknown"
    if found.get("LoadState") == "not-found":
        state = "missing"
    # Counted since boot: the camera's clock may have been set after the service was started.
    since = found.get(entered.get(state, "InactiveEnterTimestampMonotonic"), "")
    age = time.clock_gettime(time.CLOCK_MONOTONIC) - int(since) / 1e6 if since.isdigit() and int(since) else None
    restarts = found.get("NRestarts", "")
    return {
        "state": state,
        "age": None if age is None else max(0.0, age),
        "restarts": int(restarts) if restarts.isdigit() else None,
    }


def loose(card: Card) -> dict[str, Any]:
    """Return what lies directly in the image directory: each entry is looked at once and none is kept."""
    images = size = foreign = 0
    last, changed = "", 0.0
    with os.scandir(card.image_dir) as listing:
        for item in listing:
            if not is_image(item.name) or not item.is_file(follow_symlinks=False):
                foreign += item.name != ".wildberryeye"
                continue
            try:
                found = item.stat(follow_symlinks=False)
            except FileNotFoundError:
                continue
            images += 1
            size += found.st_size
            # The heartbeat takes pictures by hand: that one is new does not mean that the camera detects.
            if not item.name.startswith("manual_") and (found.st_mtime, item.name) > (changed, last):
                last, changed = item.name, found.st_mtime
    return {
        "images": images,
        "bytes": size,
        "last": last or None,
        "last_taken": _taken(last),
        "last_age": time.time() - changed if last else None,
        "foreign_count": foreign,
    }


def set_aside(card: Card) -> dict[str, Any]:
    """Return how many batches wait, and how many images are in them."""
    batches = _while_others_tidy(card.batches)
    return {"batches": len(batches), "set_aside": sum(map(_images_in, batches))}


def free(card: Card) -> dict[str, Any]:
    """Return the free space of the card."""
    space = os.statvfs(card.image_dir)
    # A file system without a limit says that it has none at all.
    return {
        "free_bytes": space.f_bavail * space.f_frsize,
        "free_inodes": space.f_favail if space.f_files else None,
    }


def work(module: AnsibleModule) -> dict[str, Any]:
    """Look at unit, card and machine; none of them keeps the others from being looked at."""
    card = Card(module.params["image_dir"])
    result: dict[str, Any] = {
        "changed": False,
        "problem": "",
        "service": service(module.params["service"], module.run_command),
        "label": "",
        "card": None,
        "temperature": temperature(),
        "uptime": time.clock_gettime(time.CLOCK_BOOTTIME),
    }
    try:
        card.check()
        result["label"] = card.label() or ""
        result["card"] = {**loose(card), **set_aside(card), **free(card)}
    except errors.Error as error:
        result["problem"] = str(error)
    except OSError as error:
        result["problem"] = str(errors.from_os_error("look at the card", error))
    return {**result, "clock": time.time()}


def _taken(name: str) -> str | None:
    found = image_name(name)
    try:
        return found.taken.astimezone().isoformat(timespec="seconds") if found and found.taken else None
    except (OverflowError, ValueError, OSError):
        return None  # a time that exists, but not where the camera is: year 1


def _images_in(batch: Batch) -> int:
    try:
        with os.scandir(batch.path) as listing:
            return sum(is_image(item.name) and item.is_file(follow_symlinks=False) for item in listing)
    except FileNotFoundError:
        return 0


def _while_others_tidy(look: Callable[[], list[Batch]]) -> list[Batch]:
    for _unused in range(_TRIES - 1):
        try:
            return look()
        except FileNotFoundError:
            continue
    return look()


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    finish(module, "look at the camera", lambda: work(module))


if __name__ == "__main__":
    main()
