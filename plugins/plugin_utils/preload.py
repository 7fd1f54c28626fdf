# SPDX-License-Identifier: GPL-3.0-or-later
"""What the cameras' workers need, loaded before there are any."""

from __future__ import annotations

from ansible.plugins.loader import action_loader

_OURS = ("experiment", "heartbeat", "recording", "image_collection", "image_batch", "image_cleanup")


def load_actions() -> None:
    """Load the actions of a day, with all that they import, into this process.

    Ansible has a process of its own for each task and camera, made from this one. Each would compile them anew, which
    takes longer than what many of them do; like this they have them, and share the memory.
    """
    for name in (*(f"wildberryeye.orchestrator.{each}" for each in _OURS), "ansible.posix.synchronize"):
        action_loader.get(name, class_only=True)
