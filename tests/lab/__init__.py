# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab: emulated cameras and an orchestrator as containers with real systemd, sshd, rsync and sudo.

    with Lab([CameraSpec("object", "object")], orchestrator="bookworm", directory=tmp_path) as lab:
        lab.cameras["object"].reboot()

`python3 -m lab` (with PYTHONPATH=tests) is the same by hand.
"""

from __future__ import annotations

from .host import Camera, CameraSpec, Host, Orchestrator, wait_until
from .lab import Lab, remove, sweep
from .podman import LabError

__all__ = ["Camera", "CameraSpec", "Host", "Lab", "LabError", "Orchestrator", "remove", "sweep", "wait_until"]
