# SPDX-License-Identifier: GPL-3.0-or-later
"""While a camera works, what it is sent next is made ready, once in a run."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
from ansible import constants
from ansible.errors import AnsibleError

from ansible_collections.wildberryeye.orchestrator.plugins.plugin_utils.payloads import made_ahead


class Action:
    """Notes what it is to make ready."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.ready = threading.Event()

    def _configure_module(self, module: str, _: dict[str, Any], task_vars: dict[str, Any]) -> None:
        # With it, Ansible does not use the connection to look which Python there is.
        assert task_vars == {"ansible_python_interpreter": "/usr/bin/python3", "mine": 1}
        self.asked.append(module)
        if len(self.asked) == 3:
            self.ready.set()
        if module == "missing":
            raise AnsibleError("The module missing was not found")


@pytest.fixture(autouse=True)
def run_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "DEFAULT_LOCAL_TMP", str(tmp_path))


def test_modules_are_made_ready_within_the_block_whatever_is_wrong_with_one() -> None:
    action = Action()
    with made_ahead(action, {"mine": 1}, "first", "missing", "last"):
        assert action.ready.wait(30)
    assert action.asked == ["first", "missing", "last"]


def test_they_are_made_ready_by_the_first_camera_of_a_run_only() -> None:
    for cameras in range(3):
        action = Action()
        with made_ahead(action, {"mine": 1}, "a"):
            pass
        assert action.asked == ["a"][cameras:]


def test_a_run_without_its_directory_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "DEFAULT_LOCAL_TMP", str(tmp_path / "gone"))
    action = Action()
    with made_ahead(action, {"mine": 1}, "a"):
        pass
    assert action.asked == []
