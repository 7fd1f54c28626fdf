# SPDX-License-Identifier: GPL-3.0-or-later
"""The module camera, run as Ansible runs it, against an emulated camera."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.wildberryeye.orchestrator.plugins.module_utils import camera_client
from lab.emulated import Lab
from unit.support import Outcome, run_module


def run(camera: Lab, state: str, check: bool = False, real: bool = False, **given: Any) -> Outcome:
    arguments = {"host": "127.0.0.1", "port": camera.port, "state": state, "timeout": 10, **given}
    return run_module("camera", arguments, check, real=real)


def test_ready_is_proven_by_a_picture_and_starts_nothing(camera: Lab) -> None:
    camera.start()
    done = run(camera, "ready", real=True).ok()
    assert (camera.images / done["picture"]).exists() and done["picture"] in done["msg"] and done["changed"]
    assert abs(done["clock_offset"]) < 2.5 and camera.detecting()[-1][0] is False


@pytest.mark.parametrize("mode", ["object", "motion"])
def test_detecting_produces_images_and_can_be_repeated(camera: Lab, monkeypatch: pytest.MonkeyPatch, mode: str) -> None:
    camera.start(mode)
    monkeypatch.setattr(camera_client, "BASELINE_AFTER", 0.3)
    for _ in range(2):
        assert run(camera, "detecting", mode=mode).ok()["changed"]
        assert camera.detecting()[-1][0] is True
    assert camera.stored(mode)


def test_idle_stops_it_and_can_be_repeated(camera: Lab) -> None:
    camera.start()
    camera.capture()
    camera.post("/api/start")
    for _ in range(2):
        run(camera, "idle").ok()
        assert camera.detecting()[-1][0] is False


@pytest.mark.parametrize("state", ["ready", "detecting", "idle"])
def test_check_mode_sends_nothing(camera: Lab, state: str) -> None:
    camera.start()
    done = run(camera, state, check=True).ok()
    assert done["changed"] and state in done["msg"] and camera.lines("requests") == []


def test_each_failure_is_one_line_with_its_kind(camera: Lab) -> None:
    camera.start()
    failures: list[tuple[dict[str, Any], str]] = [
        ({"wedged": True}, "timeout"),
        ({"capture": "html"}, "answer"),
        ({"capture": "huge"}, "answer"),
        ({"capture": "no_file"}, "storage"),
    ]
    for faults, kind in failures:
        camera.faults(**faults)
        done = run(camera, "detecting", timeout=1)
        assert "http://127.0.0.1" in done.failed() and done.result["kind"] == kind
        assert camera.detecting()[-1][0] is False


def test_a_service_that_is_down_is_one_line(camera: Lab) -> None:
    done = run(camera, "ready", timeout=1)
    assert "connection refused" in done.failed() and done.result["kind"] == "refused"


def test_a_stop_that_fails_is_told(camera: Lab) -> None:
    camera.start()
    camera.faults(stop="error500")
    assert "HTTP status 500" in run(camera, "idle").failed()


def test_a_state_that_does_not_exist_is_refused(camera: Lab) -> None:
    assert "state" in run(camera, "asleep").failed()
