# SPDX-License-Identifier: GPL-3.0-or-later
"""Brings a camera's batches home: made ready, fetched, proven, and deleted from its card."""

from __future__ import annotations

import multiprocessing
import pathlib
import shlex
from typing import Any

from ansible.playbook.task import Task
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

from ansible_collections.wildberryeye.orchestrator.plugins.module_utils import (
    errors,
    failure,
    receiving,
    room,
    transfer,
)
from ansible_collections.wildberryeye.orchestrator.plugins.module_utils.layout import Layout
from ansible_collections.wildberryeye.orchestrator.plugins.modules.image_batch import ARGUMENTS as BATCH_ARGUMENTS
from ansible_collections.wildberryeye.orchestrator.plugins.modules.image_collection import ARGUMENTS
from ansible_collections.wildberryeye.orchestrator.plugins.modules.image_receipt import receive_all

_OURS = "wildberryeye.orchestrator"
_SCRIPTS = pathlib.Path(__file__).parents[2] / "roles" / "image_collection" / "files"
_SILENCE = 60
"""Seconds without a byte from the camera that end a transfer."""


class ActionModule(ActionBase):  # type: ignore[misc]  # ansible-core has no types
    """See the module `image_collection`."""

    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Take the steps one after the other; the result has what became of each, also where a later one failed."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        _unused, given = self.validate_argument_spec(argument_spec=ARGUMENTS)
        steps: dict[str, dict[str, Any]] = {}
        try:
            self._bring_home(given, task_vars or {}, steps)
        except errors.Error as error:
            steps["fetch"] = {"failed": True, "msg": str(error), "reached": True}
        except OSError as error:
            failed = errors.from_os_error("carry its images", error)
            steps["fetch"] = {"failed": True, "msg": str(failed), "reached": True}
        wrong = [failure.in_one_line(step) for step in steps.values() if step.get("failed")]
        said = [str(step["msg"]) for name, step in steps.items() if name != "fetch" and step.get("msg")]
        # With more to tell, what there was to carry has been told already.
        result.update(steps, failed=bool(wrong), msg="; ".join(wrong or said[1:] or said), reached=True)
        result["changed"] = any(step.get("changed") for step in steps.values())
        result["ansible_facts"] = steps["batch"].pop("ansible_facts", {}) if "batch" in steps else {}
        return result

    def _bring_home(self, given: dict[str, Any], task_vars: dict[str, Any], steps: dict[str, dict[str, Any]]) -> None:
        layout, camera = Layout(given["data_dir"]), str(task_vars["inventory_hostname"])
        asked = {name: given[name] for name in BATCH_ARGUMENTS if name in given}
        batch = steps["batch"] = self._step(f"{_OURS}.image_batch", asked, task_vars)
        if batch.get("failed") or "left_alone" in batch:
            return
        if not batch.get("batches"):
            if not self._task.check_mode:
                # A card that was replaced has none of what its run was killed over.
                if left := receiving.unproven(layout, camera):
                    self._prove(layout, camera, left, steps)
                self._forget(layout, camera)
            return
        self._progress(camera, batch["msg"])
        # What Ansible found out about the camera's Python, so that it need not look again.
        known = {**(task_vars.get("ansible_facts") or {}), **(batch.get("ansible_facts") or {})}
        task_vars = {**task_vars, "ansible_facts": known}
        mine = {"camera": camera, "batches": batch["batches"]}

        def fits(others: list[dict[str, Any]]) -> None:
            needed = room.wanted(layout, camera, batch["batches"])
            theirs = sum(room.wanted(layout, other["camera"], other["batches"]) for other in others)
            room.check(layout.data_dir, needed, room.free(layout), theirs)

        # One more than may send gets ready to: the air is not idle while an interpreter starts.
        with transfer.turn(layout.locks(), given["at_a_time"], mine, fits, ready=1):
            steps["fetch"] = self._fetch(given, batch["batches"], layout, task_vars)
        if steps["fetch"].get("failed"):
            return
        self._progress(camera, "fetched")
        receipt = self._prove(layout, camera, batch["batches"], steps)
        if receipt["receipts"]:
            # What is proven is deleted, whatever else was wrong.
            asked = {"image_dir": given["image_dir"], "receipts": receipt["receipts"], "timeout": given["timeout"]}
            cleanup = steps["cleanup"] = self._step(f"{_OURS}.image_cleanup", asked, task_vars)
            if cleanup.get("left") == 0:
                self._forget(layout, camera)

    def _fetch(
        self, given: dict[str, Any], batches: list[dict[str, Any]], layout: Layout, task_vars: dict[str, Any]
    ) -> dict[str, Any]:
        arguments = {
            "mode": "pull",
            "src": f"{given['image_dir']}/.wildberryeye/",
            "dest": f"{layout.incoming(str(task_vars['inventory_hostname']))}/",
            "archive": False,
            "recursive": True,
            "times": True,
            # JPEGs do not compress; links have no business here.
            "compress": False,
            "links": False,
            # Resumes in the middle of a file: nothing here has a public name.
            "partial": True,
            "delay_updates": False,
            "rsync_opts": transfer.rsync_options(batches, given["bwlimit"], given["timeout"]),
            "rsync_timeout": _SILENCE,
            "use_ssh_args": True,
            "ssh_connection_multiplexing": True,
            "verify_host": True,
        }
        # What synchronize runs in place of rsync; it splits it at spaces.
        rsync = [_SCRIPTS / "in_turn", layout.locks(), given["at_a_time"], _SCRIPTS / "rsync_unless_silent"]
        task_vars = {**task_vars, "ansible_rsync_path": shlex.join(map(str, rsync))}
        return self._step("ansible.posix.synchronize", arguments, task_vars)

    def _prove(
        self, layout: Layout, camera: str, batches: list[dict[str, Any]], steps: dict[str, dict[str, Any]]
    ) -> dict[str, Any]:
        """Prove what arrived; note it as the step that it is, and return what could be proven."""
        self._see_that_the_run_lives()
        receipt, wrong = receive_all(layout, camera, batches)
        steps["receipt"] = {**receipt, "failed": True, "msg": "; ".join(wrong)} if wrong else receipt
        return receipt

    def _forget(self, layout: Layout, camera: str) -> None:
        self._see_that_the_run_lives()
        receiving.forget_incoming(layout, camera)

    @staticmethod
    def _see_that_the_run_lives() -> None:
        """Raise `Error` where this process has outlived its run: the next one may be at work already."""
        run = multiprocessing.parent_process()
        if run is not None and not run.is_alive():
            raise errors.Error("bring its images home", "the run was killed", "Run it again: it goes on where it was")

    def _step(self, name: str, arguments: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        """Run another action in place of this one, on the same camera."""
        self._see_that_the_run_lives()
        task: Task = self._task.copy()
        task.action, task.args = name, arguments
        action = self._shared_loader_obj.action_loader.get(
            name,
            task=task,
            connection=self._connection,
            # synchronize takes the rights of root away from what it is given.
            play_context=self._play_context.copy(),
            loader=self._loader,
            templar=self._templar,
            shared_loader_obj=self._shared_loader_obj,
        )
        result: dict[str, Any] = action.run(None, dict(task_vars))
        # What would make Ansible do something with this step's results belongs to this one's.
        return {key: value for key, value in result.items() if key not in ("invocation", "deprecations", "warnings")}

    @staticmethod
    def _progress(camera: str, text: str) -> None:
        Display().display(f"            {camera}: {text}")
