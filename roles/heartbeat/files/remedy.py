# SPDX-License-Identifier: GPL-3.0-or-later
"""One playbook for one camera, run through ansible-runner; a process of its own, because that is not thread-safe.

Its last line of output says how it ended; its exit status is that of the playbook.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import tempfile
import time
from typing import Any

import ansible_runner

from ansible_collections.wildberryeye.orchestrator.plugins.module_utils import processes
from ansible_collections.wildberryeye.orchestrator.plugins.module_utils.errors import one_line
from ansible_collections.wildberryeye.orchestrator.plugins.module_utils.failure import explain, in_one_line

SSH_ARGS = "-o ControlMaster=no -o ControlPath=none"
_MARGIN = 120
"""Seconds beyond its own time limits that a playbook may take."""
_GRACE = 2.0
"""Seconds that a playbook has to end in before it is killed."""


class Remedy:
    """A run of a playbook for one camera."""

    def __init__(self) -> None:
        self.said = ""
        self._asked: float | None = None
        """When it was first asked to end."""
        self._late = False
        """Whether because it took too long."""

    def end(self, *_unused: object) -> None:
        """End soon: a handler of signals."""
        self._asked = time.monotonic() if self._asked is None else self._asked
        # ansible-playbook passes it on to its workers, which have sessions of their own; once killed it could not.
        for child in processes.children():
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGTERM)

    def hear(self, event: dict[str, Any]) -> None:
        """Keep what the playbook says of the camera. Nothing may be raised here: it would end the run."""
        data = event.get("event_data") or {}
        result = data.get("res")
        action = str(data.get("task_action") or "").rpartition(".")[2]
        if not isinstance(result, dict) or action == "assert":
            # The table at the end repeats what was said before, but for what the preflight has to say.
            if isinstance(result, dict) and not self.said and event.get("event") == "runner_on_failed":
                self.said = one_line(str(result.get("msg") or ""))
        elif event.get("event") in ("runner_on_failed", "runner_on_unreachable"):
            self.said = in_one_line(result)
        elif event.get("event") == "runner_on_ok" and action in ("recording", "image_collection"):
            self.said = one_line(str(result.get("msg") or ""))

    def run(self, playbook: str, config: dict[str, Any], camera: str, experiment: str) -> int:
        """Run `playbook` for `camera`, which is to record `experiment`; return its exit status."""
        known = config["cameras"][camera]
        # A collection may have to wait for as long as it takes itself, for its turn on the air.
        patience = 2 * int(known["collection_timeout" if playbook == "collect" else "ready_timeout"])
        deadline = time.monotonic() + patience + _MARGIN
        with tempfile.TemporaryDirectory(prefix="wildberryeye-", dir=os.environ.get("RUNTIME_DIRECTORY")) as directory:
            outcome = ansible_runner.run(
                private_data_dir=directory,
                project_dir=config["project_dir"],
                playbook=f"wildberryeye.orchestrator.{playbook}",
                inventory=config["inventory"],
                limit=camera,
                # The inventory may name another experiment: the next one, or one that is closed.
                extravars={"wildberryeye_data_dir": config["data_dir"], "wildberryeye_experiment": experiment},
                envvars={
                    **config["environment"],
                    "ANSIBLE_HOST_KEY_CHECKING": "True",
                    # No connection outlives the run, and none is shared with a run by hand, which would lose it.
                    "ANSIBLE_SSH_ARGS": f"{SSH_ARGS} {config['ssh_args']}",
                },
                settings={"pexpect_timeout": 1},
                # Without one, ansible-runner takes the signals for itself.
                cancel_callback=lambda: self._to_be_killed(deadline),
                event_handler=self.hear,
                suppress_env_files=True,
                rotate_artifacts=1,
                quiet=True,
            )
            helped = outcome.rc == 0 and outcome.status == "successful"
            if self._asked is not None and not helped:
                self.said = "it took too long" if self._late else "ended, as asked"
            elif not self.said:
                self.said = explain(outcome.stdout.read()[-2000:])
        return 0 if helped else 1

    def _to_be_killed(self, deadline: float) -> bool:
        """Tell whether the playbook was asked to end and has not; asked each second. Past `deadline` it is asked to."""
        now = time.monotonic()
        self._late = self._late or (self._asked is None and now >= deadline)
        if self._late or self._asked is not None:
            self.end()
        return self._asked is not None and now >= self._asked + _GRACE


def main() -> int:
    """Run the playbook that the arguments name: playbook, configuration, camera, experiment."""
    playbook, path, camera, experiment = sys.argv[1:]
    with open(path, encoding="utf-8") as file:
        config = json.load(file)
    remedy = Remedy()
    signal.signal(signal.SIGTERM, remedy.end)
    signal.signal(signal.SIGINT, remedy.end)
    status = remedy.run(playbook, config, camera, experiment)
    print(remedy.said, flush=True)
    return status


if __name__ == "__main__":
    sys.exit(main())
