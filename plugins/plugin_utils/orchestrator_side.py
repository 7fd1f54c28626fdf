# SPDX-License-Identifier: GPL-3.0-or-later
"""What the action plugins share that work on the orchestrator alone."""

from __future__ import annotations

from typing import Any, ClassVar

from ansible.plugins.action import ActionBase

from ansible_collections.wildberryeye.orchestrator.plugins.module_utils import errors
from ansible_collections.wildberryeye.orchestrator.plugins.module_utils.arguments import Arguments


class OrchestratorSideAction(ActionBase):  # type: ignore[misc]  # ansible-core has no types
    """An action that does its work in the controller's own process: nobody waits for an interpreter."""

    _supports_check_mode = True
    arguments: ClassVar[Arguments]
    """Those of the module of the same name."""

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Run `work`, and turn whatever it raises into a failure of one line."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        _unused, given = self.validate_argument_spec(argument_spec=self.arguments)
        try:
            result.update(self.work(given))
        except errors.Error as error:
            result.update(failed=True, msg=str(error))
        except OSError as error:
            result.update(failed=True, msg=str(errors.from_os_error(self.tried(given), error)))
        return result

    def work(self, given: dict[str, Any]) -> dict[str, Any]:
        """Return the task's result."""
        raise NotImplementedError  # each action plugin says what its work is

    def tried(self, given: dict[str, Any]) -> str:
        """Return what `work` does, for errors of the operating system."""
        raise NotImplementedError  # it goes with `work`
