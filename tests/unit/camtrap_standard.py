# SPDX-License-Identifier: GPL-3.0-or-later
"""Judges a Camtrap DP by the standard's own files, and by frictionless, without a network.

The standard's files are not part of this project. They are looked for where `WILDBERRYEYE_CAMTRAP_DP` says, or else in
`shared/camtrap-dp-1.0.2` beside the checkout or above it. Without them, what is judged by them fails in CI (where
`CI` is set), and is skipped elsewhere. By tables made of our own columns, frictionless judges packages in any case.
"""

from __future__ import annotations

import functools
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import frictionless
import jsonschema
import pytest
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT4

from ansible_collections.wildberryeye.orchestrator.plugins.module_utils.camtrap_tables import TABLES, TIME, Column
from unit.support import ROOT

FILES = "camtrap-dp-1.0.2"
_SAID = (
    f"put the standard's four JSON files (tag 1.0.2) into a directory and name it: WILDBERRYEYE_CAMTRAP_DP=…/{FILES}"
)


def standard() -> Path:
    """The directory with the standard's own files; skips the test where there is none, and none is named."""
    named = os.environ.get("WILDBERRYEYE_CAMTRAP_DP")
    beside = [parent / "shared" / FILES for parent in ROOT.parents]
    for path in [Path(named)] if named else beside:
        if (path / "camtrap-dp-profile.json").exists():
            return path
    if named:
        pytest.fail(f"the standard's files are not in {named}: {_SAID}")
    pytest.skip(_SAID)


@functools.cache
def theirs(table: str) -> dict[str, Any]:
    """The standard's own schema of a table."""
    return dict(json.loads((standard() / f"{table}-table-schema.json").read_text()))


def ours(table: str) -> dict[str, Any]:
    """A Table Schema made of our own columns."""
    keys = [{"fields": "deploymentID", "reference": {"resource": "deployments", "fields": "deploymentID"}}]
    keys.append({"fields": "mediaID", "reference": {"resource": "media", "fields": "mediaID"}})
    return {
        "fields": [_field(column) for column in TABLES[table]],
        "primaryKey": TABLES[table][0].name,
        "foreignKeys": keys[: list(TABLES).index(table)],
    }


def _field(column: Column) -> dict[str, Any]:
    limits = {
        "required": column.required,
        "unique": column.unique,
        "minimum": column.least,
        "maximum": column.most,
        "enum": list(column.choices) or None,
        "pattern": column.pattern or None,
    }
    found: dict[str, Any] = {"name": column.name, "type": column.kind}
    if column.kind == "datetime":
        found["format"] = TIME
    said = {name: limit for name, limit in limits.items() if limit is not None and limit is not False}
    return {**found, "constraints": said}


def complaints(directory: Path, schema: Any) -> list[str]:
    """What frictionless has to say against the package in `directory`; `schema` gives a table's schema by its name."""
    description = json.loads((directory / "datapackage.json").read_text())
    # An address cannot be followed here; what it leads to is given instead.
    description.pop("profile")
    for resource in description["resources"]:
        resource["schema"] = schema(resource["name"])
    report = frictionless.Package.from_descriptor(description, basepath=str(directory)).validate()
    return [" ".join(map(str, line)) for line in report.flatten(["type", "rowNumber", "fieldName", "note"])]


def profile_complaints(description: Mapping[str, Any]) -> list[str]:
    """What the standard's profile has to say against a description."""
    # What it refers to by address: frictionless has both.
    geojson = json.loads((Path(frictionless.__file__).parent / "assets" / "profiles" / "geojson.json").read_text())
    referred = {
        "https://specs.frictionlessdata.io/schemas/data-package.json": frictionless.Package.metadata_profile,
        "http://json.schemastore.org/geojson.json": geojson,
    }
    registry = Registry().with_resources(
        (address, Resource.from_contents(content, default_specification=DRAFT4))
        for address, content in referred.items()
    )
    profile = json.loads((standard() / "camtrap-dp-profile.json").read_text())
    judge = jsonschema.Draft4Validator(profile, registry=registry, format_checker=jsonschema.FormatChecker())
    return [f"{list(error.path)}: {error.message}" for error in judge.iter_errors(description)]
