# SPDX-License-Identifier: GPL-3.0-or-later
"""A module that never ends on a camera, because its card hangs, holds a run up for a while and not for ever."""

from __future__ import annotations

import subprocess
import time
from typing import Any

from ansible_collections.wildberryeye.orchestrator.plugins.action import image_cleanup
from unit.acting import There, act


class Hung(There):
    """The camera's side of a card that hangs: ssh waits for a module that never ends."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.seconds = seconds
        self.ended = 0

    def execute(self, module_name: str, module_args: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        self.ended = subprocess.run(["sleep", str(self.seconds)], check=False).returncode
        if self.ended:
            return {"failed": True, "msg": "MODULE FAILURE", "rc": self.ended}
        return {"changed": True, "deleted": 3, "kept": 0, "vanished": 0, "left": 0, "msg": "3 images deleted"}


def clean(there: Hung, timeout: int) -> dict[str, Any]:
    return act(image_cleanup.ActionModule, there, image_dir="/card", receipts=[], timeout=timeout)


def test_a_module_that_never_ends_is_given_up_in_one_line_and_its_ssh_with_it() -> None:
    there, began = Hung(60), time.monotonic()
    result = clean(there, 1)
    assert time.monotonic() - began < 30
    assert result["failed"] and result["reached"] is False
    assert result["msg"].startswith("delete what receipts prove: no answer from the camera within 1 s, though ssh")
    assert there.ended < 0, "what waited for it is gone"


def test_one_that_ends_in_time_is_not_disturbed() -> None:
    there = Hung(0.2)
    result = clean(there, 30)
    assert (result.get("failed", False), result["deleted"]) == (False, 3)
