# SPDX-License-Identifier: GPL-3.0-or-later
"""Tells systemd how a service of ours stands: sd_notify(3). Standard library only."""

from __future__ import annotations

import os
import socket


def notify(state: str) -> None:
    """Tell systemd, where there is one, ``READY=1``, ``WATCHDOG=1`` or ``STATUS=…``."""
    address = os.environ.get("NOTIFY_SOCKET")
    if address:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as out:
            out.sendto(state.encode(), f"\0{address[1:]}" if address.startswith("@") else address)
