# SPDX-License-Identifier: GPL-3.0-or-later
"""An orchestrator with an experiment that has images, made of real small JPEGs, for the tests of the data package."""

from __future__ import annotations

import csv
import datetime as dt
import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from PIL import Image

from ansible_collections.wildberryeye.orchestrator.plugins.module_utils import camtrap_package, record
from ansible_collections.wildberryeye.orchestrator.plugins.module_utils.camtrap_package import Package, Wanted
from ansible_collections.wildberryeye.orchestrator.plugins.module_utils.layout import Layout
from ansible_collections.wildberryeye.orchestrator.plugins.module_utils.record import CameraRecord, Record
from unit.support import EXPERIMENT, write_archive

SITES: dict[str, dict[str, Any]] = {
    "object": {"latitude": 52.52, "longitude": 13.405, "coordinate_uncertainty": 5, "camera_height": 0.4},
    "motion": {"latitude": "52.5201", "longitude": "-13.4051", "camera_tilt": "-30", "location_name": "Wiese, Süd"},
}
PROJECT: dict[str, Any] = {"title": "Poppies", "sampling_design": "targeted"}
STARTED = "07:00:10"


def jpeg(seed: int) -> bytes:
    """A JPEG that any program opens, another one for each seed."""
    out = io.BytesIO()
    Image.new("RGB", (16, 12), (seed % 256, seed // 256 % 256, 99)).save(out, "JPEG")
    return out.getvalue()


def named(shown: str, kind: str = "object", settings: str = "_CONF55_IOU65") -> str:
    """The name of an image that a camera takes when its clock shows `shown`."""
    at = dt.datetime.fromisoformat(shown if "T" in shown or " " in shown else f"2026-05-22T{shown}")
    return f"{kind}_{at:%Y%m%d-%H%M%S-%f}_wildberry01_root{'' if kind == 'manual' else settings}.jpg"


def pictures(*names: str, seed: int = 1) -> dict[str, bytes]:
    """An image for each name."""
    return {name: jpeg(seed + number) for number, name in enumerate(names)}


class Station:
    """An orchestrator with one experiment."""

    def __init__(self, data_dir: Path, experiment: str = EXPERIMENT, cameras: tuple[str, ...] = ("object",)) -> None:
        self.layout = Layout(str(data_dir))
        self.experiment = experiment
        self.directory = Path(self.layout.experiment(experiment))
        self.wanted = Wanted(SITES, PROJECT)
        self.record = Record(
            experiment,
            self.time("07:00:00"),
            self.time("23:59:59"),
            self.time("13:00:00"),
            {name: CameraRecord(name, "home", self.time(STARTED)) for name in cameras},
        )
        self.save()
        self.happened("07:00:00", None, "opened")
        for name in cameras:
            self.happened("07:00:05", name, "watched")
            self.happened(STARTED, name, "recording")

    def time(self, text: str) -> str:
        """A time of the experiment's day, or any other, as a record bears it."""
        at = dt.datetime.fromisoformat(text if "T" in text else f"2026-05-22T{text}")
        return at.astimezone().isoformat()

    def save(self) -> None:
        """Write the record."""
        record.save(self.layout, self.record)

    def happened(self, at: str, camera: str | None, event: str, **details: Any) -> None:
        """Add an event."""
        for key in ("from", "to"):
            if key in details:
                details[key] = self.time(details[key])
        with (self.directory / "events.jsonl").open("a") as file:
            file.write(json.dumps({"at": self.time(at), "camera": camera, "event": event, **details}) + "\n")

    def compared(self, at: str, offset: float, camera: str = "object", **details: Any) -> None:
        """The camera's clock is compared with ours."""
        self.happened(at, camera, "clock", **{"by": "start", "offset": offset, "uncertainty": 0.5, **details})

    def closed(self, at: str = "13:00:00") -> None:
        """The experiment is stopped."""
        self.happened(at, None, "closing", cameras=sorted(self.record.cameras))
        for name in self.record.cameras:
            self.happened(at, name, "unwatched")

    def archive(self, images: Mapping[str, bytes], camera: str = "object", part: int = 1) -> Path:
        """Give the camera an archive."""
        path = Path(self.layout.archive(self.experiment, camera, part))
        write_archive(path, images)
        return path

    def write(self, **how: Any) -> Package:
        """Write the package."""
        return camtrap_package.write(self.layout, self.experiment, self.wanted, **how)

    def rows(self, table: str) -> list[dict[str, str]]:
        """What stands in a table."""
        with (self.directory / f"{table}.csv").open(encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file))

    @property
    def description(self) -> dict[str, Any]:
        """What stands in datapackage.json."""
        return dict(json.loads((self.directory / "datapackage.json").read_text()))

    def only(self, table: str) -> dict[str, str]:
        """The one row of a table."""
        (row,) = self.rows(table)
        return row
