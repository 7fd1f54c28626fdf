# SPDX-License-Identifier: GPL-3.0-or-later
"""What a camera's processor measures of itself. Runs on the camera: standard library only."""

from __future__ import annotations

THERMAL = "/sys/class/thermal/thermal_zone0/temp"


def temperature() -> float | None:
    """Return the processor's temperature in degrees Celsius, None where there is no sensor."""
    try:
        with open(THERMAL) as file:
            return int(file.read()) / 1000
    except (OSError, ValueError):
        return None
