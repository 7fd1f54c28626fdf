# SPDX-License-Identifier: GPL-3.0-or-later
"""A remedy says in one line how it ended, and nothing is left of one that is ended."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.wildberryeye.orchestrator.plugins.module_utils import record
from ansible_collections.wildberryeye.orchestrator.plugins.module_utils.layout import Layout
from ansible_collections.wildberryeye.orchestrator.plugins.module_utils.record import CameraRecord, Record
from lab.emulated import wait_for
from unit.support import EXPERIMENT, ROOT, load_script

SCRIPT = ROOT / "roles" / "heartbeat" / "files" / "remedy.py"
NAME = "wildberryeye.orchestrator"


remedy = load_script(SCRIPT)


def event(kind: str, action: str, **result: Any) -> dict[str, Any]:
    """An event as ansible-runner hands it over."""
    data = {
        "playbook": f"{NAME}.restart",
        "host": "object",
        "remote_addr": "object",
        "task_action": action,
        "res": result,
    }
    return {"event": f"runner_on_{kind}", "uuid": "x", "counter": 7, "stdout": "fatal: ...", "event_data": data}


def said(*heard: dict[str, Any]) -> str:
    """What is said after these events."""
    found = remedy.Remedy()
    for each in heard:
        found.hear(each)
    return str(found.said)


RECORDING = event("ok", f"{NAME}.recording", msg="recording; 3 images set aside", reached=True, changed=True)
FAILED = event("failed", f"{NAME}.recording", msg="wait 300 s: no answer. Restart it", reached=True)
UNREACHABLE = event(
    "unreachable",
    f"{NAME}.recording",
    unreachable=True,
    msg="Failed to connect to the host via ssh: ssh: connect to host 10.0.0.9 port 22: No route to host",
)
TABLE = event("failed", "ansible.builtin.assert", msg="camera  outcome\nobject  not recording", assertion="x")


@pytest.mark.parametrize(
    ("heard", "words"),
    [
        ([RECORDING], "recording; 3 images set aside"),
        ([FAILED], "wait 300 s: no answer. Restart it"),
        ([FAILED, TABLE], "wait 300 s: no answer. Restart it"),
        ([TABLE], "camera outcome object not recording"),
        ([event("ok", f"{NAME}.image_collection", msg="3 images are home")], "3 images are home"),
        ([event("ok", "recording", msg="recording")], "recording"),
        ([event("ok", "ansible.builtin.debug", msg="x"), event("ok", f"{NAME}.experiment", msg="y")], ""),
        ([event("skipped", f"{NAME}.recording", msg="x")], ""),
        ([event("failed", f"{NAME}.experiment", msg="")], "it failed without a word: run it again with -v"),
    ],
)
def test_what_the_playbook_says_of_the_camera_is_kept_and_its_table_is_not(
    heard: list[dict[str, Any]], words: str
) -> None:
    assert said(*heard) == words


def test_an_unreachable_camera_is_explained() -> None:
    assert said(UNREACHABLE).startswith("unreachable by SSH (ssh: connect to host 10.0.0.9 port 22: No route to host)")


@pytest.mark.parametrize(
    "odd",
    [
        {},
        {"event": "verbose", "stdout": "x"},
        {"event": "runner_on_failed"},
        {"event": "runner_on_failed", "event_data": None},
        {"event": "runner_on_failed", "event_data": {"res": None, "task_action": None}},
        {"event": "runner_on_failed", "event_data": {"res": "x", "task_action": "assert"}},
        {"event": "playbook_on_stats", "event_data": {"ok": {}, "failures": {"object": 1}}},
        {"event": "runner_on_ok", "event_data": {"res": {}, "task_action": f"{NAME}.recording"}},
    ],
    ids=str,
)
def test_no_event_ends_the_run_by_its_form(odd: dict[str, Any]) -> None:
    assert said(odd) == ""
    assert said(FAILED, odd) in ("wait 300 s: no answer. Restart it", "")


def test_nothing_that_is_said_has_two_lines() -> None:
    for kind, action in (("failed", "recording"), ("unreachable", "x"), ("failed", "assert"), ("ok", "recording")):
        text = said(event(kind, action, msg="a\nb\x1b[31m\r\nc" * 500, reached=True))
        assert text and text.isprintable() and len(text) <= 400


# --- real runs -----------------------------------------------------------------------------------


class Run:
    """A remedy in a process of its own, for a camera at a port of loopback."""

    def __init__(self, directory: Path, port: int, ready_timeout: int = 5) -> None:
        self.data_dir = directory / "the data"
        self.runtime = directory / "runtime"
        self.runtime.mkdir()
        self.mark = f"WILDBERRYEYE_TEST={uuid.uuid4()}"
        inventory = directory / "the hosts.yml"
        camera = {"ansible_host": "127.0.0.1", "ansible_port": port}
        content = {"cameras": {"children": {"object_cameras": {"hosts": {"object": camera}}, "motion_cameras": {}}}}
        inventory.write_text(json.dumps(content))
        cameras = {"object": CameraRecord("object", record.RECORDING, "2026-05-22T07:00:00+02:00")}
        end = "2026-05-23T01:00:00+02:00"
        record.save(Layout(str(self.data_dir)), Record(EXPERIMENT, "2026-05-22T07:00:00+02:00", end, None, cameras))
        self.config = directory / "heartbeat.json"
        self.config.write_text(
            json.dumps(
                {
                    "data_dir": str(self.data_dir),
                    "project_dir": str(ROOT),
                    "inventory": [str(inventory)],
                    "environment": {
                        "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
                        "ANSIBLE_COLLECTIONS_PATH": str(ROOT / "collections"),
                        "PATH": f"{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin",
                        "HOME": str(directory),
                    },
                    "ssh_args": "",
                    "cameras": {"object": {"ready_timeout": ready_timeout}},
                }
            )
        )

    def start(self) -> subprocess.Popen[str]:
        name, _, value = self.mark.partition("=")
        mine = {
            "PYTHONPATH": str(ROOT / "collections"),
            "PYTHONDONTWRITEBYTECODE": "1",
            "RUNTIME_DIRECTORY": str(self.runtime),
            name: value,
        }
        return subprocess.Popen(
            [sys.executable, str(SCRIPT), "restart", str(self.config), "object", "2026-05-22"],
            env={**os.environ, **mine},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def left(self) -> list[str]:
        """What still runs of it."""
        found = []
        for path in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if self.mark.encode() in (path / "environ").read_bytes():
                    found.append((path / "cmdline").read_text().replace("\0", " "))
        return found


@pytest.fixture
def nobody() -> Iterator[socket.socket]:
    """A port that takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


def test_a_restart_of_a_camera_that_is_not_there_fails_in_one_line(tmp_path: Path) -> None:
    run = Run(tmp_path, 1)
    out, err = run.start().communicate(timeout=40)
    process_said = out.strip().splitlines()
    assert len(process_said) == 1 and "SSH connection refused" in process_said[0], (out, err)
    assert err == "" and list(run.runtime.iterdir()) == []
    wait_for(lambda: run.left() == [])


def test_a_remedy_that_is_asked_to_end_does_so_within_seconds_and_leaves_nothing(
    tmp_path: Path, nobody: socket.socket
) -> None:
    run = Run(tmp_path, nobody.getsockname()[1])
    process = run.start()
    nobody.settimeout(30)
    connection, _ = nobody.accept()  # ssh is at it
    assert any("ansible-playbook" in each for each in run.left())
    began = time.monotonic()
    process.send_signal(signal.SIGTERM)
    out, _ = process.communicate(timeout=7)
    assert process.returncode == 1 and out == "ended, as asked\n" and time.monotonic() - began < 4
    wait_for(lambda: run.left() == [], 2)

    assert list(run.runtime.iterdir()) == []
    connection.close()


def test_a_restart_that_takes_too_long_is_ended_and_nothing_is_left_of_it(
    tmp_path: Path, nobody: socket.socket
) -> None:
    patience = 2
    run = Run(tmp_path, nobody.getsockname()[1], ready_timeout=(patience - remedy._MARGIN) // 2)
    began = time.monotonic()
    out, _ = run.start().communicate(timeout=15)
    assert out == "it took too long\n" and patience <= time.monotonic() - began < patience + 5
    wait_for(lambda: run.left() == [], 2)
