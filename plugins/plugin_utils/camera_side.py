# SPDX-License-Identifier: GPL-3.0-or-later
"""What the action plugins share: running a module on a camera, and saying in one line what went wrong."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from typing import Any

from ansible.errors import AnsibleError
from ansible.plugins.action import ActionBase

from ansible_collections.wildberryeye.orchestrator.plugins.module_utils import answer, errors, failure, processes


class NotDoneThere(errors.Error):
    """The part on the camera was not done: it cannot be reached, or something there is not as it should be."""


class CameraSideAction(ActionBase):  # type: ignore[misc]  # ansible-core has no types
    """An action part of which is a module of the same name that runs on the camera."""

    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Run `work`, and turn whatever it raises into a failure of one line.

        A camera that cannot be reached is a failure like others, so that `rescue` sees it and the host
        stays in the run: it is named in the table at the end.
        """
        result: dict[str, Any] = super().run(tmp, task_vars)
        try:
            result.update(self.work(task_vars or {}))
        except errors.Error as error:
            result.update(failed=True, msg=str(error), reached=not isinstance(error, NotDoneThere))
        except OSError as error:
            result.update(failed=True, msg=str(errors.from_os_error(self.tried, error)), reached=True)
        return result

    tried = "run on the camera"
    limit = 900.0
    """Seconds that the module on the camera may take: twice what waiting for another run there, stopping and starting
    its service and setting a busy day aside take together at worst."""

    def work(self, task_vars: dict[str, Any]) -> dict[str, Any]:
        """Return the task's result."""
        raise NotImplementedError  # each action plugin says what its work is

    def on_camera(self, arguments: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        """Run the module of this action's name on the camera.

        Raises:
            NotDoneThere: if it failed, could not run or did not end within `limit`, or if something else answered in
                its place.
        """
        name = str(self._task.action).rpartition(".")[2]
        with _limited(self.limit) as late:
            try:
                result: dict[str, Any] = self._execute_module(
                    module_name=f"wildberryeye.orchestrator.{name}",
                    module_args=arguments,
                    task_vars=task_vars,
                )
            except AnsibleError as error:
                result = {"failed": True, "msg": str(error)}
        if late.is_set() and result.get("failed"):
            raise NotDoneThere(
                self.tried,
                f"no answer from the camera within {self.limit:.0f} s, though ssh reaches it",
                "It may be at work still, or its card failing. Run it again later; if it says the same then, "
                "reboot the camera: nothing is lost",
            )
        if result.get("failed") or result.get("unreachable"):
            # Our own modules say what to do; what ssh, sudo or a missing Python say has to be explained.
            said = failure.words(result)
            raise NotDoneThere("", said if "invocation" in result else failure.explain(said))
        try:
            found = answer.sound(result)
        except errors.Error as error:
            raise NotDoneThere(error.tried, error.came_back, error.advice) from None
        if self._discovered_interpreter_key:
            # What Ansible itself found out, so that it need not look again with every task.
            found["ansible_facts"] = {self._discovered_interpreter_key: self._discovered_interpreter}
        return found


@contextlib.contextmanager
def _limited(seconds: float) -> Iterator[threading.Event]:
    """End what is started within the block after so many seconds.

    A camera whose card hangs answers every question of ssh, only the module never ends.

    Yields:
        What is set when that was necessary.
    """
    done, late = threading.Event(), threading.Event()

    def watch() -> None:
        left = seconds
        while not done.wait(left):
            late.set()
            # One process after the other where Python is not piped through ssh.
            left = 0.5
            for child in processes.children():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(child, signal.SIGTERM)

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield late
    finally:
        done.set()
        watcher.join()
