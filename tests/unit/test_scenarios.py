# SPDX-License-Identifier: GPL-3.0-or-later
"""Each role has a scenario: whoever changes one learns by a command what a user would lose."""

from __future__ import annotations

from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]

from unit.support import ROOT

SCENARIOS = ROOT / "extensions" / "molecule"
ROLES = sorted(path.name for path in (ROOT / "roles").iterdir() if path.is_dir())


def sequence(role: str) -> list[str]:
    said: dict[str, Any] = yaml.safe_load((SCENARIOS / role / "molecule.yml").read_text())
    return list(said["scenario"]["test_sequence"])


def test_each_role_has_a_scenario_and_each_scenario_a_role() -> None:
    assert sorted(path.parent.name for path in SCENARIOS.glob("*/molecule.yml")) == ROLES


@pytest.mark.parametrize("role", ROLES)
def test_a_scenario_converges_its_role_looks_and_says_why_it_does_so_but_once(role: str) -> None:
    steps = sequence(role)
    assert (steps[0], steps[-2:]) == ("create", ["verify", "destroy"])
    assert f"wildberryeye.orchestrator.{role}\n" in (SCENARIOS / role / "converge.yml").read_text()
    settings = (SCENARIOS / role / "molecule.yml").read_text()
    assert ("idempotence" in steps) != ("# No idempotence: " in settings)


@pytest.mark.parametrize("role", ROLES)
def test_every_playbook_of_a_scenario_is_run_and_every_step_has_one(role: str) -> None:
    given = yaml.safe_load((SCENARIOS / role / "molecule.yml").read_text()).get("ansible", {}).get("playbooks", {})
    wanted = {given.get(step, f"{step}.yml") for step in sequence(role)} - {"create.yml", "destroy.yml"}
    assert {path.name for path in (SCENARIOS / role).glob("*.yml")} - {"molecule.yml"} == wanted - {"idempotence.yml"}
