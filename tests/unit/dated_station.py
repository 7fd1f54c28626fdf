# SPDX-License-Identifier: GPL-3.0-or-later
"""An orchestrator on which the module experiment is run at any time of any day."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from ansible_collections.wildberryeye.orchestrator.plugins.module_utils import book, events
from ansible_collections.wildberryeye.orchestrator.plugins.module_utils.layout import Layout
from unit.support import EXPERIMENT, Outcome, images, run_module, write_archive

BOTH = {"object": "object", "motion": "motion"}
ONE, TWO = images(2), images(2, start=10)


class Station:
    """An orchestrator whose clock is set by the test."""

    real = False
    """Whether each run of the module is an interpreter of its own, under faketime."""

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir
        self.layout = Layout(str(data_dir))

    def run(self, state: str, when: str = "", check: bool = False, **given: Any) -> Outcome:
        arguments = {"data_dir": str(self.data_dir), "state": state, "cameras": BOTH, **given}
        berlin = {"TZ": "Europe/Berlin"}
        if self.real:
            assert shutil.which("faketime"), "sudo apt install faketime"
            # The clock stands still: on a busy machine a second is over before the module looks at it.
            under = ["faketime", "-f", when] if when else []
            return run_module("experiment", arguments, check, under, berlin, real=True)
        return run_module("experiment", arguments, check, env=berlin, when=when)

    def ok(self, state: str, when: str = "", **given: Any) -> dict[str, Any]:
        return self.run(state, when, **given).ok()

    def begin(self, when: str = "2026-05-22 07:00:00", **given: Any) -> str:
        found = self.ok("recording", when, **given)
        self.note(str(found["id"]), *given.get("cameras", BOTH))
        return str(found["id"])

    def note(self, experiment: str, *cameras: str) -> None:
        """What the action `recording` does when a camera detects."""
        for camera in cameras:
            book.note_recording(self.layout, camera, experiment)

    def record(self, experiment: str = EXPERIMENT) -> dict[str, Any]:
        return dict(json.loads(Path(self.layout.record(experiment)).read_text()))

    def states(self, experiment: str = EXPERIMENT) -> dict[str, str]:
        return {name: camera["state"] for name, camera in self.record(experiment)["cameras"].items()}

    def part(self, camera: str, found: dict[str, bytes], experiment: str = EXPERIMENT, name: str = "a") -> Path:
        path = Path(self.layout.parts(experiment, camera)) / f"{name}.zip"
        write_archive(path, found)
        return path

    def happened(self, experiment: str = EXPERIMENT) -> list[tuple[str, str | None]]:
        return [(line["event"], line["camera"]) for line in events.read(self.layout.events(experiment))]
