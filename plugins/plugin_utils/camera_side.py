# SPDX-License-Identifier: GPL-3.0-or-later
"""What the action plugins share: running a module on a camera, and saying in one line what went wrong."""

from __future__ import annotations

from typing import Any

from ansible.errors import AnsibleError
from ansible.plugins.action import ActionBase

from ansible_collections.wildberryeye.orchestrator.plugins.module_utils import errors, failure


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

    def work(self, task_vars: dict[str, Any]) -> dict[str, Any]:
        """Return the task's result."""
        raise NotImplementedError  # each action plugin says what its work is

    def on_camera(self, arguments: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        """Run the module of this action's name on the camera.

        Raises:
            NotDoneThere: if it failed or could not run.
        """
        name = str(self._task.action).rpartition(".")[2]
        try:
            result: dict[str, Any] = self._execute_module(
                module_name=f"wildberryeye.orchestrator.{name}",
                module_args=arguments,
                task_vars=task_vars,
            )
        except AnsibleError as error:
            raise NotDoneThere("", failure.explain(str(error))) from None
        if result.get("failed") or result.get("unreachable"):
            # Our own modules say what to do; what ssh, sudo or a missing Python say has to be explained.
            said = failure.words(result)
            raise NotDoneThere("", said if "invocation" in result else failure.explain(said))
        return result
