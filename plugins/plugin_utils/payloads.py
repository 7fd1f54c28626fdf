# SPDX-License-Identifier: GPL-3.0-or-later
"""Modules made ready to be sent to a camera before their turn comes."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator
from typing import Any

from ansible import constants
from ansible.errors import AnsibleError
from ansible.plugins.action import ActionBase


@contextlib.contextmanager
def made_ahead(action: ActionBase, task_vars: dict[str, Any], *modules: str) -> Iterator[None]:
    """Make modules ready while the block waits for a camera.

    Ansible looks for all that a module imports before it first sends it, and keeps what it made of it for the rest of
    the run: a fifth of a second for each that the cameras would wait for.

    Args:
        action: that of the task.
        task_vars: its variables.
        modules: their full names, in the order in which they are needed.
    """

    def work() -> None:
        for module in modules:
            # What is wrong with it will be said when it is sent.
            with contextlib.suppress(AnsibleError, OSError):
                # Which Python the camera has is not looked for: the connection is in use.
                action._configure_module(module, {}, {**task_vars, "ansible_python_interpreter": "/usr/bin/python3"})

    if not _first():
        yield
        return
    worker = threading.Thread(target=work, daemon=True)
    worker.start()
    try:
        yield
    finally:
        worker.join()


def _first() -> bool:
    """Tell whether this is the first of the run to ask."""
    try:
        # Ansible removes this directory when the run ends.
        os.close(os.open(os.path.join(constants.DEFAULT_LOCAL_TMP, "made_ahead"), os.O_CREAT | os.O_EXCL))
    except OSError:
        return False
    return True
