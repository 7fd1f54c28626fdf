# SPDX-License-Identifier: GPL-3.0-or-later
"""Which reports a run writes: of its own experiment, and of each that has come home by it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from unit.reported import Made
from unit.support import run_playbook

PLAY = """
- hosts: localhost
  gather_facts: false
  connection: local
  tasks:
    - ansible.builtin.import_role:
        name: wildberryeye.orchestrator.report
"""


@pytest.mark.parametrize(
    ("late", "written"), [(False, ["2026-05-21", "2026-05-22"]), (True, ["2026-05-21"])], ids=["stop", "start"]
)
def test_what_came_home_late_is_in_the_report_of_its_own_experiment(
    tmp_path: Path, late: bool, written: list[str]
) -> None:
    for identity in ("2026-05-20", "2026-05-21", "2026-05-22"):
        made = Made(tmp_path / "data", 1, identity)
        made.camera("object", "object", [])
        made.write()
    (tmp_path / "play.yml").write_text(PLAY)
    said = {
        "wildberryeye_data_dir": str(tmp_path / "data"),
        "wildberryeye_experiment_record": {"id": "2026-05-22", "settled": ["2026-05-21", "2026-05-22"][: 2 - late]},
        "report_late": late,
    }
    status, text = run_playbook(tmp_path / "play.yml", "-e", json.dumps(said), ANSIBLE_INVENTORY_UNPARSED_WARNING="0")
    assert status == 0, text
    assert sorted(path.parent.name for path in (tmp_path / "data").glob("*/report.html")) == written
