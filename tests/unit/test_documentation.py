# SPDX-License-Identifier: GPL-3.0-or-later
"""What is documented is what is: a wrong default in a manual is a wrong night in the field."""

from __future__ import annotations

import importlib
import inspect
import re
import subprocess
import sys
from collections.abc import Callable
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


FILTERS = sorted(
    (name, filter_)
    for path in (ROOT / "plugins" / "filter").glob("*.py")
    for name, filter_ in importlib.import_module(f"{PACKAGE}.filter.{path.stem}").FilterModule().filters().items()
)


@pytest.mark.parametrize(("name", "function"), FILTERS, ids=[name for name, _ in FILTERS])
def test_a_filter_is_documented_with_the_arguments_that_it_takes(name: str, function: Callable[..., Any]) -> None:
    text = load(ROOT / "plugins" / "filter" / f"{name}.yml")
    described = text["DOCUMENTATION"]
    _, *taken = inspect.signature(function).parameters.values()
    assert described["name"] == name
    assert described.get("positional", "") == ", ".join(each.name for each in taken)
    assert described["options"].keys() == {"_input", *(each.name for each in taken)}
    for each in taken:
        required = each.default is inspect.Parameter.empty
        option = described["options"][each.name]
        assert option.get("required", False) == required and (required or option["default"] == each.default), each.name
    assert text["RETURN"] and all(task["ansible.builtin.debug"] for task in yaml.safe_load(text["EXAMPLES"]))


def test_there_is_no_documentation_of_a_filter_that_is_none() -> None:
    assert {path.stem for path in (ROOT / "plugins" / "filter").glob("*.yml")} == {name for name, _ in FILTERS}


def test_the_container_for_awx_has_the_requirements_that_everything_is_tested_with(tmp_path: Path) -> None:
    builder = Path(sys.executable).with_name("ansible-builder")
    subprocess.run([builder, "create", "--context", tmp_path / "context"], cwd=ROOT, check=True, capture_output=True)
    required = set((ROOT / "requirements.txt").read_text().splitlines())
    asked = load(ROOT / "execution-environment.yml")["dependencies"]
    assert {asked["ansible_core"]["package_pip"], asked["ansible_runner"]["package_pip"]} <= required
    made = {text for path in (tmp_path / "context").rglob("requirements.txt") for text in path.read_text().splitlines()}
    assert required <= made
    assert "wildberryeye.orchestrator" in "".join(
        p.read_text() for p in (tmp_path / "context").rglob("requirements.yml")
    )
