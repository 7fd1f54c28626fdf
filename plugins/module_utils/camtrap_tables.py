# SPDX-License-Identifier: GPL-3.0-or-later
"""The three tables of a Camtrap DP 1.0.2: their columns, and a writer that lets nothing else through.

Names, order, types and limits are those of the standard (https://camtrap-dp.tdwg.org/data/). A table has all columns
that the standard knows, in its order, empty where nothing is known: that is what readers of Table Schema expect.
"""

from __future__ import annotations

import csv
import datetime as dt
import hashlib
import io
import re
from collections.abc import Mapping
from typing import IO, Any, NamedTuple

from .errors import Error

VERSION = "1.0.2"
STANDARD = f"https://raw.githubusercontent.com/tdwg/camtrap-dp/{VERSION}"
"""Where the profile and the table schemas of this version are; packages name them by these addresses."""
TIME = "%Y-%m-%dT%H:%M:%S%z"
"""What readers parse a time with."""


class Column(NamedTuple):
    """A column: what may stand in it."""

    name: str
    kind: str = "string"
    """``string``, ``number``, ``integer``, ``boolean``, ``datetime`` or ``any``."""
    required: bool = False
    unique: bool = False
    least: float | None = None
    most: float | None = None
    choices: tuple[str, ...] = ()
    pattern: str = ""


def _id(name: str) -> Column:
    return Column(name, required=True, unique=True)


def _required(name: str, kind: str = "string", **limits: Any) -> Column:
    return Column(name, kind, required=True, **limits)


def _choice(name: str, *choices: str, required: bool = False) -> Column:
    return Column(name, required=required, choices=choices)


def _share(name: str, least: float = 0) -> Column:
    return Column(name, "number", least=least, most=1)


_BY = ("activityDetection", "timeLapse")

DEPLOYMENTS = (
    _id("deploymentID"),
    Column("locationID"),
    Column("locationName"),
    _required("latitude", "number", least=-90, most=90),
    _required("longitude", "number", least=-180, most=180),
    Column("coordinateUncertainty", "integer", least=1),
    _required("deploymentStart", "datetime"),
    _required("deploymentEnd", "datetime"),
    Column("setupBy"),
    Column("cameraID"),
    Column("cameraModel"),
    Column("cameraDelay", "integer", least=0),
    Column("cameraHeight", "number", least=0),
    Column("cameraDepth", "number", least=0),
    Column("cameraTilt", "integer", least=-90, most=90),
    Column("cameraHeading", "integer", least=0, most=360),
    Column("detectionDistance", "number", least=0),
    Column("timestampIssues", "boolean"),
    Column("baitUse", "boolean"),
    _choice(
        "featureType",
        *("roadPaved", "roadDirt", "trailHiking", "trailGame", "roadUnderpass", "roadOverpass", "roadBridge"),
        *("culvert", "burrow", "nestSite", "carcass", "waterSource", "fruitingTree"),
    ),
    Column("habitat"),
    Column("deploymentGroups"),
    Column("deploymentTags"),
    Column("deploymentComments"),
)
MEDIA = (
    _id("mediaID"),
    _required("deploymentID"),
    _choice("captureMethod", *_BY),
    _required("timestamp", "datetime"),
    # Within the package, or an address: neither hidden, nor from the root, nor upwards.
    _required("filePath", pattern=r"(?![./~])(?:(?!\.\.).)+"),
    _required("filePublic", "boolean"),
    Column("fileName"),
    _required("fileMediatype", pattern=r"(?:image|video|audio)/.*"),
    Column("exifData", "any"),
    Column("favorite", "boolean"),
    Column("mediaComments"),
)
OBSERVATIONS = (
    _id("observationID"),
    _required("deploymentID"),
    Column("mediaID"),
    Column("eventID"),
    _required("eventStart", "datetime"),
    _required("eventEnd", "datetime"),
    _choice("observationLevel", "media", "event", required=True),
    _choice("observationType", "animal", "human", "vehicle", "blank", "unknown", "unclassified", required=True),
    _choice("cameraSetupType", "setup", "calibration"),
    Column("scientificName"),
    Column("count", "integer", least=1),
    _choice("lifeStage", "adult", "subadult", "juvenile"),
    _choice("sex", "female", "male"),
    Column("behavior"),
    Column("individualID"),
    Column("individualPositionRadius", "number", least=0),
    Column("individualPositionAngle", "number", least=-90, most=90),
    Column("individualSpeed", "number", least=0),
    _share("bboxX"),
    _share("bboxY"),
    _share("bboxWidth", least=1e-15),
    _share("bboxHeight", least=1e-15),
    _choice("classificationMethod", "human", "machine"),
    Column("classifiedBy"),
    Column("classificationTimestamp", "datetime"),
    _share("classificationProbability"),
    Column("observationTags"),
    Column("observationComments"),
)
TABLES = {"deployments": DEPLOYMENTS, "media": MEDIA, "observations": OBSERVATIONS}


class Writer:
    """Writes one table as CSV (RFC 4180, UTF-8), row by row, and knows what it has written.

    Args:
        name: ``deployments``, ``media`` or ``observations``.
        file: what it is written to.
    """

    def __init__(self, name: str, file: IO[bytes]) -> None:
        self.name = name
        self.file = file
        self.rows = 0
        self.bytes = 0
        columns = TABLES[name]
        self._place = {column.name: (number, column) for number, column in enumerate(columns)}
        self._required = {column.name for column in columns if column.required}
        self._sha256 = hashlib.sha256()
        self._line = io.StringIO()
        self._csv = csv.writer(self._line, lineterminator="\n")
        self._put([column.name for column in columns])

    @property
    def sha256(self) -> str:
        """Of all that was written, in hex digits."""
        return self._sha256.hexdigest()

    def add(self, row: Mapping[str, Any]) -> None:
        """Add a row: column to value, columns of which nothing is known left out, empty or None.

        Raises:
            Error: if the standard does not allow it.
        """
        cells = [""] * len(self._place)
        for name, value in row.items():
            if name not in self._place:
                raise Error(f"write {self.name}.csv", f"it has no column {name}")
            number, column = self._place[name]
            if value is not None:
                if value != "" and (wrong := unfit(column, value)):
                    raise Error(f"write {self.name}.csv", f"{name} is {value!r}: {wrong}")
                cells[number] = _cell(value)
        for name in self._required:
            if not cells[self._place[name][0]]:
                raise Error(f"write {self.name}.csv", f"{name} is missing")
        self._put(cells)
        self.rows += 1

    def _put(self, cells: list[str]) -> None:
        self._line.seek(0)
        self._line.truncate()
        self._csv.writerow(cells)
        content = self._line.getvalue().encode()
        self.file.write(content)
        self._sha256.update(content)
        self.bytes += len(content)


def _cell(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    # The standard knows seconds.
    return value.isoformat(timespec="seconds") if isinstance(value, dt.datetime) else str(value)


_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "number": (int, float),
    "integer": (int,),
    "boolean": (bool,),
    "datetime": (dt.datetime,),
    "any": (str,),
}


def unfit(column: Column, value: Any) -> str:
    """Return what is wrong with `value` in that column; empty if nothing is."""
    fits = isinstance(value, _TYPES[column.kind]) and (column.kind == "boolean" or not isinstance(value, bool))
    if not fits:
        return f"it must be of type {column.kind}"
    if column.kind == "datetime":
        return "" if value.tzinfo else "it must have an offset from UTC"
    if column.choices and value not in column.choices:
        return f"use one of {', '.join(column.choices)}"
    if column.pattern and re.fullmatch(column.pattern, value) is None:
        return "the standard does not allow such a one"
    # Written so that what is not a number is not within limits either.
    if column.least is not None and not value >= column.least:
        return f"it must be at least {column.least:g}"
    if column.most is not None and not value <= column.most:
        return f"it must be at most {column.most:g}"
    return ""
