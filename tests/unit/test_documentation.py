# SPDX-License-Identifier: GPL-3.0-or-later
"""What is documented is what is: a wrong default in a manual is a wrong night in the field."""

from __future__ import annotations

import importlib
import re
from pathlib import Path
from typing import Any

import jinja2
import pytest
import yaml  # type: ignore[import-untyped]

from unit.support import PACKAGE, ROOT, arguments, documented

MODULES = sorted(path.stem for path in (ROOT / "plugins" / "modules").glob("*.py") if path.stem != "__init__")
ROLES = sorted(path.parent.name for path in (ROOT / "roles").glob("*/meta"))


def load(path: Path) -> dict[str, Any]:
    return dict(yaml.safe_load(path.read_text()) or {}) if path.exists() else {}


def options(role: str) -> dict[str, dict[str, Any]]:
    return dict(load(ROOT / "roles" / role / "meta" / "argument_specs.yml")["argument_specs"]["main"]["options"])


def test_there_is_something_to_check() -> None:
    assert {"camera", "experiment", "image_batch", "image_receipt"} <= set(MODULES) and "common" in ROLES


@pytest.mark.parametrize("role", ROLES)
def test_a_role_describes_the_variables_that_it_has_with_their_defaults(role: str) -> None:
    defaults = load(ROOT / "roles" / role / "defaults" / "main.yml")
    described = {name: option["default"] for name, option in options(role).items() if "default" in option}
    if role == "common":
        assert described == defaults and set(options(role)) == set(defaults)
    assert {name: described.get(name) for name in defaults} == defaults
    for name, option in options(role).items():
        assert option.get("description") and option.get("type")
        assert ("default" in option) != bool(option.get("required")), name


@pytest.mark.parametrize("role", ROLES)
def test_a_role_has_the_page_without_which_galaxy_refuses_the_collection(role: str) -> None:
    words = load(ROOT / "roles" / role / "meta" / "argument_specs.yml")["argument_specs"]["main"]["short_description"]
    page = (ROOT / "roles" / role / "README.md").read_text()
    assert page.startswith(f"# {role}\n\n{words}.\n") and f"--type role wildberryeye.orchestrator.{role}`" in page


@pytest.mark.parametrize("role", ROLES)
def test_what_users_set_lives_in_common_and_nowhere_else(role: str) -> None:
    prefix = "wildberryeye_" if role == "common" else f"{role}_"
    assert all(name.startswith(prefix) for name in options(role))
    assert all(name.startswith(f"__{role}_") for name in load(ROOT / "roles" / role / "vars" / "main.yml"))


@pytest.mark.parametrize(("user", "home"), [({}, "eye"), ({"ansible_user": "pi"}, "pi")])
def test_images_lie_in_the_home_of_the_user_that_the_inventory_names(user: dict[str, str], home: str) -> None:
    template = load(ROOT / "roles" / "common" / "defaults" / "main.yml")["wildberryeye_image_dir"]
    path = jinja2.Environment().from_string(template).render(**user)
    assert path == f"/home/{home}/wildberryeye/src/wildberryeyezero/frontend/images"


def test_every_default_fits_its_choices() -> None:
    for name, option in options("common").items():
        if "choices" in option:
            assert option["default"] in option["choices"], name


def test_every_variable_of_a_user_that_is_used_is_defined() -> None:
    known = set(options("common")) | {"wildberryeye_hosts", "wildberryeye_experiment_record"}
    used = set()
    for path in [*(ROOT / "roles").rglob("*.yml"), *(ROOT / "playbooks").glob("*.yml")]:
        used |= set(re.findall(r"\bwildberryeye_\w+", path.read_text()))
    registered = {name for name in used if name.endswith(("_result", "_failure"))}
    units = {name for name in used if re.search(rf"{name}\.(?:service|timer)|{name}@?\.j2", _all_text())}
    assert used - known - registered - units == set()


def test_every_filter_has_the_page_that_galaxy_shows() -> None:
    names: set[str] = set()
    for path in (ROOT / "plugins" / "filter").glob("*.py"):
        names |= importlib.import_module(f"{PACKAGE}.filter.{path.stem}").FilterModule().filters().keys()
    pages = {path.stem: load(path) for path in (ROOT / "plugins" / "filter").glob("*.yml")}
    assert names and pages.keys() == names
    assert all(page["DOCUMENTATION"]["name"] == name and page["RETURN"] for name, page in pages.items())


def _all_text() -> str:
    return "\n".join(path.read_text() for path in (ROOT / "roles").rglob("*.yml"))


@pytest.mark.parametrize("module", MODULES)
def test_a_modules_options_are_its_arguments(module: str) -> None:
    described, given = documented(module), arguments(module)
    assert described.keys() == given.keys()
    for name, option in described.items():
        for key in ("type", "elements", "choices", "default", "required"):
            missing = {"type": "str", "required": False}.get(key)
            assert option.get(key, missing) == given[name].get(key, missing), (name, key)
        assert option.get("description"), name


@pytest.mark.parametrize("module", MODULES)
def test_a_module_is_documented_with_examples_and_what_it_returns(module: str) -> None:
    text = (ROOT / "plugins" / "modules" / f"{module}.py").read_text()
    for part in ("EXAMPLES", "RETURN"):
        found = re.search(rf'^{part} = r"""\n(.*?)"""', text, re.S | re.M)
        assert found and yaml.safe_load(found[1])
    (examples,) = re.findall(r'^EXAMPLES = r"""\n(.*?)"""', text, re.S | re.M)
    for task in yaml.safe_load(examples):
        given = task[f"wildberryeye.orchestrator.{module}"]
        assert given.keys() <= arguments(module).keys()
        assert {name for name, spec in arguments(module).items() if spec.get("required")} <= given.keys()
