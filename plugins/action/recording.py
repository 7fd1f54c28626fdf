# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes a camera record, or idle: the part on the camera by its module, the API from here."""

from __future__ import annotations

import os
import time
from typing import Any

from ansible_collections.wildberryeye.orchestrator.plugins.module_utils import book, clock, experiment, lock, record
from ansible_collections.wildberryeye.orchestrator.plugins.module_utils.camera_client import (
    CameraClient,
    CameraError,
)
from ansible_collections.wildberryeye.orchestrator.plugins.module_utils.errors import Error, from_os_error
from ansible_collections.wildberryeye.orchestrator.plugins.module_utils.layout import Layout
from ansible_collections.wildberryeye.orchestrator.plugins.modules.recording import ARGUMENTS
from ansible_collections.wildberryeye.orchestrator.plugins.plugin_utils.camera_side import CameraSideAction
from ansible_collections.wildberryeye.orchestrator.plugins.plugin_utils.payloads import made_ahead

_OURS = "wildberryeye.orchestrator"
_PATIENCE = 30.0
"""Seconds that a camera which should be recording already has to prove it, before it is restarted."""
_LOCK_MARGIN = 150.0
"""Seconds beyond the ready timeout that another run may hold a camera."""


class ActionModule(CameraSideAction):
    """See the module `recording`."""

    tried = "make the camera record"

    def work(self, task_vars: dict[str, Any]) -> dict[str, Any]:
        _unused, given = self.validate_argument_spec(argument_spec=ARGUMENTS)
        arguments = {name: value for name, value in given.items() if value is not None}
        if given["state"] != "idle" and not given["experiment"]:
            raise Error(
                "make the camera record",
                "no experiment is being recorded with it",
                "Run start.yml to begin one",
            )
        client = CameraClient(given["host"], given["port"])
        if self._task.check_mode:
            result = self._there(client, arguments, task_vars)
            return {"reached": True, **result, "clock_offset": client.clock_offset}
        locks = Layout(given["data_dir"]).locks()
        name = f"camera-{task_vars['inventory_hostname']}"
        # This process does the whole step: when it is gone, the step is over and the lock void.
        owner = lock.Owner.of(os.getpid(), given["purpose"])
        # Whoever holds it may have to wait for the camera twice: before and after a restart.
        lock.take(locks, name, owner, wait=2 * given["ready_timeout"] + _LOCK_MARGIN)
        try:
            self._still_wanted(Layout(given["data_dir"]), str(task_vars["inventory_hostname"]), given)
            step = self._idle if given["state"] == "idle" else self._record
            result = step(client, arguments, task_vars)
            camera = str(task_vars["inventory_hostname"])
            if given["state"] != "idle":
                result["msg"] += self._note(Layout(given["data_dir"]), camera, given)
            result["msg"] += self._note_clock(Layout(given["data_dir"]), camera, given, result, client.offset.estimate)
        finally:
            lock.release(locks, name, owner)
        return {"reached": True, **result}

    @staticmethod
    def _still_wanted(layout: Layout, camera: str, given: dict[str, Any]) -> None:
        """Raise `Error` if another run has decided otherwise while this one waited for the camera."""
        records, _unused = record.load_all(layout)
        wanted = experiment.open_for(records, camera, (record.EXPECTED, record.RECORDING))
        if given["state"] == "idle" and wanted is not None:
            raise Error("make the camera idle", f"it is to record {wanted.id}", "Run stop.yml to end that")
        if given["state"] != "idle" and (wanted is None or wanted.id != given["experiment"]):
            raise Error(
                f"make the camera record {given['experiment']}",
                f"it is to record {wanted.id} now" if wanted else "that was stopped meanwhile",
                "Run start.yml if it is to record",
            )

    @staticmethod
    def _note(layout: Layout, camera: str, given: dict[str, Any]) -> str:
        """Note in the record that the camera records; return what to add to the message if that failed.

        It records all the same, and is `expected` to until somebody starts again.
        """
        tried = "note that in the experiment's record"
        try:
            book.note_recording(layout, camera, given["experiment"])
        except Error as error:
            return f"; {tried}: {error}"
        except OSError as error:
            return f"; {from_os_error(tried, error)}"
        return ""

    def _record(self, client: CameraClient, arguments: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        result = self._there(client, arguments, task_vars)
        timeout = float(arguments["ready_timeout"])
        if result.get("service_age") is not None:
            try:
                # A service that has just been started, by systemd or by somebody, may still be starting.
                client.detect(arguments["mode"], max(_PATIENCE, timeout - result["service_age"]))
                return {**result, "msg": "records already"}
            except CameraError as error:
                if error.kind == "storage":
                    raise
            result = self._there(client, {**arguments, "state": "restarted"}, task_vars)
        client.detect(arguments["mode"], timeout)
        return {**result, "msg": f"recording; {result['msg']}"}

    def _idle(self, client: CameraClient, arguments: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        try:
            client.stop(10.0)
            stopped = True
        except CameraError:
            # Its service is stopped instead: nothing detects without it.
            stopped = False
        # Its own comes first: it is made in this very moment, and not by two.
        ahead = (f"{_OURS}.recording", f"{_OURS}.image_batch", "ansible.posix.synchronize", f"{_OURS}.image_cleanup")
        with made_ahead(self, task_vars, *ahead):
            result = self._there(client, {**arguments, "detection_stopped": stopped}, task_vars)
        return {**result, "msg": f"idle; {result['msg']}"}

    def _there(self, client: CameraClient, arguments: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        """Do the part on the camera; it sets the camera's clock if it is told the time."""
        note = {}
        if arguments["set_clock"] and arguments["state"] != "idle":
            try:
                behind = book.behind(Layout(arguments["data_dir"]))
            except OSError as error:
                behind = str(from_os_error("look for the newest event", error))
            if behind:
                # It would spoil a good clock: it may have woken up in 1970 itself.
                note = {"clock_note": f"not set: {behind}"}
            else:
                arguments = {**arguments, "clock": time.time()}
        result = {**note, **self.on_camera(arguments, task_vars)}
        now = result.pop("now", None)
        # The service names the images: where it says itself what time it has, a login adds nothing.
        if now is not None and client.offset.estimate is None:
            client.offset.logged_in(now, time.time())
        return result

    @staticmethod
    def _note_clock(
        layout: Layout, camera: str, given: dict[str, Any], result: dict[str, Any], found: clock.Estimate | None
    ) -> str:
        """Note how far the camera's clock is ahead; return what to add to the message if that failed."""
        if found is None:
            return ""
        result.update(clock_offset=found.offset, clock_uncertainty=found.uncertainty)
        if abs(found.offset) < clock.SET_FROM:
            # Nobody needs to know why a clock that is right enough was not set.
            result.pop("clock_note", None)
        purpose, stepped = given["purpose"], float(result.get("clock_stepped") or 0.0)
        if given["state"] == "idle":
            wrong = [book.note_clock(layout, camera, book.open_id(layout, camera, record.CLOSING), found, purpose)]
        else:
            wrong = [book.note_clock(layout, camera, given["experiment"], found, purpose, stepped)]
            before = str(result.get("set_aside_for") or "")
            if result.get("set_aside") and before != given["experiment"]:
                # The images that lay there bear the times of the clock as it was.
                then = found._replace(offset=round(found.offset - stepped, 2))
                wrong.append(book.note_clock(layout, camera, before, then, purpose))
        return "".join(f"; {line}" for line in wrong if line)
