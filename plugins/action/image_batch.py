# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes batches ready: the camera's collection lock and its pending receipts from here, the rest on the camera."""

from __future__ import annotations

import multiprocessing
import os
import time
from typing import Any

from ansible.module_utils.parsing.convert_bool import boolean

from ansible_collections.wildberryeye.orchestrator.plugins.module_utils import (
    book,
    clock,
    lock,
    receiving,
    record,
)
from ansible_collections.wildberryeye.orchestrator.plugins.module_utils.layout import Layout
from ansible_collections.wildberryeye.orchestrator.plugins.modules.image_batch import ARGUMENTS
from ansible_collections.wildberryeye.orchestrator.plugins.plugin_utils.camera_side import CameraSideAction


class ActionModule(CameraSideAction):
    """See the module `image_batch`."""

    tried = "make batches ready"

    def work(self, task_vars: dict[str, Any]) -> dict[str, Any]:
        _unused, given = self.validate_argument_spec(argument_spec=ARGUMENTS)
        self.limit = float(given["timeout"])
        layout = Layout(given["data_dir"])
        camera = str(task_vars["inventory_hostname"])
        if not self._task.check_mode:
            # The collection goes on in the steps that follow: it is the whole run that holds the lock.
            # Not getppid(): where the run was killed a moment ago, that is the service manager.
            run = multiprocessing.parent_process()
            owner = lock.Owner.of((run.pid if run else None) or os.getpid(), given["purpose"])
            in_the_way = given["purpose"] != "collect"
            try:
                lock.take(layout.locks(), f"collection-{camera}", owner, wait=0, end=lambda held: in_the_way)
            except lock.Held as held:
                if in_the_way or not boolean(task_vars.get("wildberryeye_scheduled", False)):
                    raise
                # A timer's collection has nobody to tell, and comes again.
                said = f"left alone: {held.came_back}"
                return {"reached": True, "changed": False, "left_alone": held.came_back, "msg": said}
        receipts = [receipt._asdict() for receipt in receiving.pending(layout, camera, self._task.check_mode)]
        result = self.on_camera({**given, "receipts": receipts}, task_vars)
        now, received = result.pop("now", None), time.time()
        if not self._task.check_mode:
            mine = book.open_id(layout, camera, record.EXPECTED, record.RECORDING, record.CLOSING)
            wrong = []
            if "free" in result:
                wrong.append(book.note_card(layout, camera, mine, result["free"], result.get("temperature")))
            if now is not None and given["purpose"] == "collect":
                # Starts and stops have looked at its clock already, and a collection at nothing but the camera's card.
                offset = clock.Offset().logged_in(now, received)
                recorded = book.open_id(layout, camera, record.EXPECTED, record.RECORDING)
                wrong.append(book.note_clock(layout, camera, recorded, offset, "collect"))
            result["msg"] += "".join(f"; {line}" for line in wrong if line)
        return {"reached": True, **result}
