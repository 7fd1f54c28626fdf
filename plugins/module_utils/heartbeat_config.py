# SPDX-License-Identifier: GPL-3.0-or-later
"""What the heartbeat is told: heartbeat.json, which start.yml writes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from . import probe, watch
from .camera_client import CameraClient
from .errors import Error


def out_of_range(content: Mapping[str, Any]) -> str:
    """Return which setting no heartbeat can work with, and what it may be; empty if there is none."""
    for name in ("interval", "timeout"):
        if not 0 < float(content[name]) < watch.HOUR:
            return f"wildberryeye_heartbeat_{name} is {content[name]}: set it to 1 to {watch.HOUR - 1:.0f} seconds"
    if int(content["failures"]) < 1:
        return f"wildberryeye_heartbeat_failures is {content['failures']}: set it to 1 or more"
    return ""


class Config(NamedTuple):
    """What start.yml wrote."""

    path: str
    data_dir: str
    interval: float
    timeout: float
    failures: int
    cameras: dict[str, dict[str, Any]]
    collection: float
    """Seconds between two collections in mid-experiment; 0 for none."""
    alerts: str
    """Where alerts are kept; empty for nowhere."""
    secrets: str
    """The file that the URL of the dead man's ping stands in."""

    @classmethod
    def read(cls, path: str) -> Config:
        """Read it.

        Raises:
            Error: if it is missing or cannot be understood.
        """
        tried, advice = f"read {path}", "Run start.yml: it writes it"
        try:
            with open(path, "rb") as file:
                content = json.load(file)
            config = cls(
                path,
                str(content["data_dir"]),
                float(content["interval"]),
                float(content["timeout"]),
                int(content["failures"]),
                dict(content["cameras"]),
                # What an older start.yml has not written.
                60 * float(content.get("collection_interval") or 0),
                str(content.get("alerts") or ""),
                str(content.get("secrets") or ""),
            )
            if out_of_range(content):
                raise ValueError
            for name in config.cameras:
                config.camera(name)
                config.settings(name)
            return config
        except OSError as error:
            raise Error(tried, error.strerror or str(error), advice) from None
        except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
            raise Error(tried, "it is torn or of another version", advice) from None

    def camera(self, name: str) -> probe.Camera:
        """Return what a probe must know of a camera."""
        known = self.cameras[name]
        client = CameraClient(known["host"], known["port"])
        image_dir = str(known.get("image_dir") or ".")
        return probe.Camera(name, known["mode"], client, known["ssh"], known["service"], image_dir)

    def settings(self, name: str) -> watch.Settings:
        """Return what a watch must know of a camera."""
        return watch.Settings(self.interval, self.timeout, self.failures, float(self.cameras[name]["ready_timeout"]))
