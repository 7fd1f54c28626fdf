# SPDX-License-Identifier: GPL-3.0-or-later
"""The camera's systemd unit. Runs on the camera: standard library only."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from .errors import Error

Run = Callable[[list[str]], tuple[int, str, str]]
"""Runs a command, returns exit status, standard output, standard error: `AnsibleModule.run_command`."""

_MODES = {"object", "motion"}


def check(name: str, properties: Mapping[str, str], mode: str) -> None:
    """Raise `Error` unless a unit exists and runs the camera in `mode`.

    Args:
        name: e.g. ``wildberryeye.service``.
        properties: LoadState and ExecStart, as ``systemctl show`` says them.
        mode: ``object`` or ``motion``.
    """
    state = properties["LoadState"]
    if state != "loaded":
        raise Error(
            f"look at {name}",
            f"systemd says {state}",
            "Install WildBerryEye on this camera, or correct wildberryeye_service in the inventory",
        )
    found = _MODES & set(_command_line(properties.get("ExecStart", "")).split())
    if found and mode not in found:
        raise Error(
            f"look at {name}",
            f"it runs the camera in {' and '.join(sorted(found))} mode, the inventory says {mode}",
            f"Put the camera into the group {'_'.join(sorted(found))}_cameras, or change the unit",
        )


def at_boot(properties: Mapping[str, str]) -> bool:
    """Tell whether a unit comes back by itself after a power cut.

    Args:
        properties: UnitFileState, WantedBy and RequiredBy, as ``systemctl show`` says them.
    """
    state = properties.get("UnitFileState", "")
    wanted = properties.get("WantedBy") or properties.get("RequiredBy")
    # What has no [Install] section cannot be enabled, but something else may want it.
    return state in ("enabled", "alias", "generated") or (state == "static" and bool(wanted))


class Unit:
    """A system unit that is looked at and controlled through systemctl.

    Args:
        name: e.g. ``wildberryeye.service``.
        run: runs a command.
    """

    def __init__(self, name: str, run: Run) -> None:
        self.name = name
        self._run = run

    def check(self, mode: str) -> None:
        """Raise `Error` unless the unit exists and runs the camera in `mode` (object or motion)."""
        check(self.name, self._read(), mode)

    def active(self) -> bool:
        """Tell whether the unit runs, or is about to (systemd restarts it by itself)."""
        return self._read()["ActiveState"] in ("active", "activating", "reloading")

    def age(self) -> float:
        """Return for how many seconds the unit has been active; 0 where it is not."""
        since = int(self._read().get("ActiveEnterTimestampMonotonic") or 0)
        if not since or not self.active():
            return 0.0
        return max(0.0, time.clock_gettime(time.CLOCK_MONOTONIC) - since / 1e6)

    def stop(self) -> None:
        """Stop it; no image can appear afterwards."""
        self._systemctl("stop")

    def start(self) -> None:
        """Start it; does nothing to one that is active, wedged or not."""
        # A unit that crashed too often is refused until its counter is reset; harmless otherwise.
        self._run(["systemctl", "reset-failed", self.name])
        self._systemctl("start")

    def restart(self) -> None:
        """Restart it."""
        self._run(["systemctl", "reset-failed", self.name])
        self._systemctl("restart")

    def _systemctl(self, verb: str) -> None:
        status, out, err = self._run(["systemctl", verb, self.name])
        if status:
            refused = "authentication required" in err or "Access denied" in err
            raise Error(
                f"{verb} {self.name}",
                err or out or f"systemctl ended with status {status}",
                # Without sudo, it is setup that allows it.
                "Run setup.yml" if refused else f"Look at 'systemctl status {self.name}' on the camera",
            )

    def _read(self) -> dict[str, str]:
        wanted = "LoadState,ActiveState,ExecStart,ActiveEnterTimestampMonotonic"
        status, out, err = self._run(["systemctl", "show", "--property", wanted, self.name])
        found = dict(line.partition("=")[::2] for line in out.splitlines())
        if status or "LoadState" not in found or "ActiveState" not in found:
            raise Error(
                f"look at {self.name}",
                err or f"systemctl ended with status {status}",
                "Check on the camera that systemd runs",
            )
        return found


def _command_line(exec_start: str) -> str:
    """Return the argv part of systemd's ``{ path=… ; argv[]=… ; ignore_errors=… }``."""
    return exec_start.partition("argv[]=")[2].partition(" ; ")[0].replace("'", "").replace('"', "")
