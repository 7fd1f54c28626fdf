# SPDX-License-Identifier: GPL-3.0-or-later
"""An orchestrator on which a real heartbeat runs, and emulated cameras that it watches."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from ansible_collections.wildberryeye.orchestrator.plugins.module_utils import events, record
from ansible_collections.wildberryeye.orchestrator.plugins.module_utils.layout import Layout
from ansible_collections.wildberryeye.orchestrator.plugins.module_utils.record import CameraRecord, Record
from lab.emulated import Lab, wait_for
from unit.support import EXPERIMENT, ROOT, load_script

SCRIPT = ROOT / "roles" / "heartbeat" / "files" / "heartbeat.py"
OPENED = "2026-05-22T07:00:00+02:00"
INTERVAL = 0.4
ONE = """#!/bin/sh
printf 'ActiveState=%s\\nActiveEnterTimestampMonotonic=1000000\\nInvocationID=a\\nUptime=9000.0\\nNow=1\\n' active
"""


heartbeat = load_script(SCRIPT)


class Station:
    """An orchestrator with a heartbeat, and emulated cameras on loopback."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.layout = Layout(str(directory / "the data"))
        self.cameras: dict[str, Lab] = {}
        self.process: subprocess.Popen[str] | None = None
        self.config = directory / "heartbeat.json"
        self.log = directory / "journal"
        # The script takes the remedy that lies beside it.
        self.script = directory / "scripts" / "heartbeat.py"
        self.script.parent.mkdir()
        self.script.symlink_to(SCRIPT)
        self.remedy("print('said before'); print('no such playbook'); sys.exit(1)")
        self.environment: dict[str, str] = {}
        self.ssh(ONE)

    def __enter__(self) -> Station:
        return self

    def __exit__(self, *_: object) -> None:
        """Leave no process behind."""
        for process in (self.process, *(camera.process for camera in self.cameras.values())):
            if process is not None and process.poll() is None:
                process.kill()
                process.wait()

    def ssh(self, script: str) -> None:
        """Let a login on any camera do this."""
        path = self.directory / "ssh"
        new = path.with_suffix(".new")
        new.write_text(script)
        new.chmod(0o755)
        new.replace(path)

    def remedy(self, code: str) -> None:
        """Have this Python code in place of a playbook; what it was called with is noted, and when it ended."""
        tries = str(self.directory / "tries")
        self.script.with_name("remedy.py").write_text(
            f"import atexit, os, sys, time\n"
            f"def note(what):\n"
            f"    with open({tries!r}, 'a') as file: print(time.time(), what, *sys.argv[1:], sep='\\t', file=file)\n"
            f"note('began'); atexit.register(note, 'ended')\n{code}\n"
        )

    def tries(self) -> list[list[str]]:
        """When, whether it began or ended, playbook, configuration, camera."""
        path = self.directory / "tries"
        return [line.split("\t") for line in path.read_text().splitlines()] if path.exists() else []

    def camera(self, name: str = "object", start: bool = True) -> Lab:
        (self.directory / name).mkdir()
        self.cameras[name] = Lab(self.directory / name)
        return self.cameras[name].start() if start else self.cameras[name]

    def configure(self, **changed: Any) -> dict[str, Any]:
        """Write the configuration of the cameras that there are."""
        content = {
            "data_dir": self.layout.data_dir,
            "interval": INTERVAL,
            "timeout": 3,
            "failures": 3,
            "cameras": {
                name: {
                    "mode": "object",
                    "host": "127.0.0.1",
                    "port": camera.port,
                    "service": "wildberryeye.service",
                    "ready_timeout": 1,
                    "ssh": [str(self.directory / "ssh"), name],
                }
                for name, camera in self.cameras.items()
            },
            **changed,
        }
        self.config.write_text(json.dumps(content))
        return content

    def decide(self, state: str = record.RECORDING, experiment: str = EXPERIMENT, **states: str) -> None:
        """Have a record say what is to become of the cameras."""
        cameras = {name: CameraRecord("object", states.get(name, state), OPENED) for name in {**self.cameras, **states}}
        os.makedirs(self.layout.locks(), exist_ok=True)
        record.save(self.layout, Record(experiment, OPENED, "2026-05-23T01:00:00+02:00", None, cameras))

    def start(self) -> Station:
        """Start the heartbeat."""
        if not self.config.exists():
            self.configure()
        path = {"PYTHONPATH": str(ROOT / "collections"), "PYTHONDONTWRITEBYTECODE": "1"}
        with self.log.open("a") as log:
            self.process = subprocess.Popen(
                [sys.executable, str(self.script), str(self.config)],
                env={**os.environ, **path, **self.environment},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                text=True,
                cwd="/",
            )
        return self

    def watching(self) -> Station:
        """Start it, with a record that says that all cameras are to record, and wait until they do."""
        self.decide()
        for camera in self.cameras.values():
            camera.capture()
        self.start()
        for camera in self.cameras.values():
            # The second probe begins when what the first one found is known.
            wait_for(lambda camera=camera: len(probes(camera)) >= 2)  # type: ignore[misc]
        return self

    def ends(self, within: float = 5) -> int:
        """Wait for its end; return its exit status."""
        assert self.process is not None
        return self.process.wait(within)

    def end(self, how: signal.Signals = signal.SIGTERM) -> int:
        assert self.process is not None
        self.process.send_signal(how)
        return self.ends()

    def runs(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def told(self, name: str = "object") -> list[dict[str, Any]]:
        """What the events say of a camera."""
        found = [event for event in events.read(self.layout.events(EXPERIMENT)) if event["camera"] == name]
        return [event for event in found if event["event"] not in ("watched", "unwatched")]

    def names(self, name: str = "object") -> list[str]:
        return [event["event"] for event in self.told(name)]

    def thinks(self, name: str = "object") -> dict[str, Any]:
        """What it has written down of a camera."""
        try:
            return dict(json.loads(Path(self.layout.heartbeat()).read_text())["cameras"].get(name) or {})
        except FileNotFoundError:
            return {}

    def said(self) -> str:
        return self.log.read_text()

    def beat(self, **changed: Any) -> Any:
        """A heartbeat in this process, which has read the records."""
        self.configure(**changed)
        found = heartbeat.Heartbeat(heartbeat.Config.read(str(self.config)))
        found._read_records(time.monotonic())
        return found


def probes(camera: Lab) -> list[float]:
    """When probes of the camera began."""
    return [
        line["at"] - (line.get("took") or 0)
        for line in camera.lines("requests")
        if line["path"] == "/latest-image" and line["event"] == "answered"
    ]
