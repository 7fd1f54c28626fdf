# SPDX-License-Identifier: GPL-3.0-or-later
"""Talks to the systemd manager of the user who runs this, which keeps the timers and the heartbeat."""

from __future__ import annotations

import os
import subprocess

from .errors import Error, from_os_error


def available() -> bool:
    """Tell whether a systemd manager of this user runs; without lingering, it does so while the user is logged in."""
    return os.path.exists(os.path.join(_runtime_dir(), "systemd", "private"))


def installed(unit: str) -> bool:
    """Tell whether there is a file of that unit, e.g. ``wildberryeye_heartbeat.service``, among the user's own."""
    lasting = os.path.join(os.path.expanduser("~"), ".config", "systemd", "user")
    return any(os.path.exists(os.path.join(directory, unit)) for directory in (lasting, passing_units()))


def passing_units() -> str:
    """Return the directory of the user's units that are gone with the next boot."""
    return os.path.join(_runtime_dir(), "systemd", "user")


def systemctl(*words: str, timeout: float = 30) -> subprocess.CompletedProcess[str]:
    """Run ``systemctl --user`` with `words`; its exit status is the caller's to judge.

    Args:
        words: e.g. ``"stop", "wildberryeye_heartbeat.service"``.
        timeout: seconds.

    Raises:
        Error: if there is no systemctl, or it does not end in time.
    """
    command = ["systemctl", "--user", "--no-ask-password", *words]
    # Neither cron nor sudo sets it, and systemctl finds the manager by nothing else.
    environment = {**os.environ, "XDG_RUNTIME_DIR": _runtime_dir()}
    tried = f"run '{' '.join(command)}'"
    try:
        return subprocess.run(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
    except subprocess.TimeoutExpired:
        advice = "See 'systemctl --user list-jobs' for what it waits for"
        raise Error(tried, f"it did not end within {timeout:g} s", advice) from None
    except OSError as error:
        raise from_os_error(tried, error) from None


def _runtime_dir() -> str:
    return f"/run/user/{os.getuid()}"
