# SPDX-License-Identifier: GPL-3.0-or-later
"""What the inventory says for a Camtrap DP: where each camera stands, and whose project it is.

It is for the researcher to say, so that what is wrong is told, never mended: a guessed position is worse than none.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from typing import Any

from .camtrap_tables import DEPLOYMENTS, unfit
from .errors import Error

PREFIX = "wildberryeye_"
SITE = {
    "latitude": "latitude",
    "longitude": "longitude",
    "coordinate_uncertainty": "coordinateUncertainty",
    "location_id": "locationID",
    "location_name": "locationName",
    "camera_model": "cameraModel",
    "camera_height": "cameraHeight",
    "camera_tilt": "cameraTilt",
    "camera_heading": "cameraHeading",
    "detection_distance": "detectionDistance",
    "setup_by": "setupBy",
    "habitat": "habitat",
    "deployment_groups": "deploymentGroups",
}
"""A variable of the inventory, less its prefix, to the column of the table of deployments that it fills."""
DESIGNS = ("simpleRandom", "systematicRandom", "clusteredRandom", "experimental", "targeted", "opportunistic")
ROLES = ("contact", "principalInvestigator", "rightsHolder", "publisher", "contributor")
NOBODY = {"title": "not named: set wildberryeye_contributors", "role": "contributor"}
"""The standard wants to know of somebody."""

_COLUMNS = {column.name: column for column in DEPLOYMENTS}
_WANTED = ("latitude", "longitude")
_FORMULA = ("=", "+", "-", "@")
"""What a text must not begin with: a spreadsheet would take it for a formula, and run it."""
_LICENSE = re.compile(r"[-a-zA-Z0-9._]+", re.ASCII)
_CONTRIBUTOR = ("title", "email", "path", "role", "organization")


def settings(cameras: Iterable[str], hostvars: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return what the inventory says of each camera's place, as it stands there: camera to name to value."""
    found = {}
    for camera in cameras:
        values = {name: hostvars[camera].get(PREFIX + name) for name in SITE}
        found[camera] = {name: value for name, value in values.items() if value is not None and value != ""}
    return found


def site(camera: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the inventory says of a camera's place, column to value.

    Args:
        camera: its name.
        given: see `settings`.

    Raises:
        Error: if a position is missing, or something is not what the standard allows: one line for all of it.
    """
    wrong = []
    found = {}
    missing = [PREFIX + name for name in _WANTED if given.get(name) in (None, "")]
    if missing:
        wrong.append(f"{' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} not set (degrees, WGS84)")
    for name, column in SITE.items():
        if given.get(name) in (None, ""):
            continue
        try:
            found[column] = _value(column, given[name])
        except ValueError as error:
            wrong.append(f"{PREFIX}{name} is {str(given[name])[:60]!r}: {error}")
    if wrong:
        raise Error(
            f"describe where {camera} stands",
            "; ".join(wrong),
            f"Set it for {camera} in the inventory, or wildberryeye_camtrap_dp to false",
        )
    return found


def from_row(row: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return what a row of a table of deployments says of a camera's place; None if it is not what we write."""
    try:
        found = {column: _value(column, row[column]) for column in SITE.values() if row.get(column)}
    except ValueError:
        return None
    return found if all(name in found for name in _WANTED) else None


def project(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the part of the package's description that the inventory decides: project, contributors, licences.

    Args:
        given: ``title``, ``description``, ``sampling_design``, ``contributors``, ``data_license``, ``media_license``.

    Raises:
        Error: if something is not what the standard allows.
    """
    design = str(given.get("sampling_design") or "")
    if design not in DESIGNS:
        raise _unfit("sampling_design", design, f"use one of {', '.join(DESIGNS)}")
    about: dict[str, Any] = {"title": str(given.get("title") or "")}
    if not about["title"].strip():
        raise _unfit("project_title", about["title"], "the standard wants a title")
    if given.get("description"):
        about["description"] = str(given["description"])
    about.update(
        samplingDesign=design,
        captureMethod=["activityDetection"],
        individualAnimals=False,
        observationLevel=["media", "event"],
    )
    found: dict[str, Any] = {"contributors": _contributors(given.get("contributors") or []), "project": about}
    licenses = {scope: str(given.get(f"{scope}_license") or "") for scope in ("data", "media")}
    if any(licenses.values()):
        for scope, name in licenses.items():
            if _LICENSE.fullmatch(name) is None:
                advice = "the standard wants both licences or none, each by its short name, such as CC-BY-4.0"
                raise _unfit(f"{scope}_license", name, advice)
        found["licenses"] = [{"name": name, "scope": scope} for scope, name in licenses.items()]
    return found


def problems(cameras: Iterable[str], hostvars: Mapping[str, Mapping[str, Any]], given: Mapping[str, Any]) -> list[str]:
    """Return a line for each camera, and for the project, that cannot be described; see `site` and `project`."""
    found = []
    for camera, values in settings(cameras, hostvars).items():
        try:
            site(camera, values)
        except Error as error:
            found.append(str(error))
    try:
        project(given)
    except Error as error:
        found.append(str(error))
    return found


def _value(name: str, given: Any) -> Any:
    """Return what the inventory says as that column's value; raise `ValueError`, with the reason, if it is none."""
    column = _COLUMNS[name]
    value: Any
    if column.kind == "string":
        value = str(given)
        if isinstance(given, list | dict | bool) or not value.isprintable():
            raise ValueError("write a text of one line")
        if value.startswith(_FORMULA):
            raise ValueError("begin it with something else: a spreadsheet takes this for a formula")
        return value
    try:
        if isinstance(given, bool):
            raise ValueError
        value = float(given)
        if not math.isfinite(value):
            raise ValueError
    except (TypeError, ValueError, OverflowError):
        raise ValueError("write a number, such as 52.5") from None
    if column.kind == "integer":
        if value != int(value):
            raise ValueError("write a whole number")
        value = int(value)
    if wrong := unfit(column, value):
        raise ValueError(wrong)
    return value


def _contributors(given: Any) -> list[dict[str, str]]:
    if not isinstance(given, list):
        raise _unfit("contributors", given, "write a list, each with a title (a name) and a role")
    found = []
    for each in given:
        if not isinstance(each, Mapping) or not each.get("title") or each.keys() - set(_CONTRIBUTOR):
            raise _unfit("contributors", each, f"each has a title (a name), and may have {', '.join(_CONTRIBUTOR[1:])}")
        links = {"path": "http", "email": "@"}
        if any(each.get(name) and text not in str(each[name]) for name, text in links.items()):
            raise _unfit("contributors", each, "a path is an address that begins with https://, an email has an @")
        one = {name: str(each[name]) for name in _CONTRIBUTOR if each.get(name)}
        if one.get("role", ROLES[-1]) not in ROLES:
            raise _unfit("contributors", one["role"], f"a role is one of {', '.join(ROLES)}")
        found.append(one)
    return found or [dict(NOBODY)]


def _unfit(name: str, given: Any, why: str) -> Error:
    return Error(f"use {PREFIX}{name}", f"it is {str(given)[:60]!r}: {why}", "Correct it in the inventory")
