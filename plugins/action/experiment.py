# SPDX-License-Identifier: GPL-3.0-or-later
"""Keeps the experiment's record. In the controller's own process: nobody waits for an interpreter."""

from __future__ import annotations

from typing import Any

from ansible.plugins.action import ActionBase

from ansible_collections.wildberryeye.orchestrator.plugins.module_utils import errors
from ansible_collections.wildberryeye.orchestrator.plugins.modules.experiment import ARGUMENTS, TRIED, work


class ActionModule(ActionBase):  # type: ignore[misc]  # ansible-core has no types
    """See the module `experiment`."""

    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Do what the module does; whatever goes wrong is a failure of one line."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        _unused, given = self.validate_argument_spec(argument_spec=ARGUMENTS)
        try:
            result.update(work(given, self._task.check_mode))
        except errors.Error as error:
            result.update(failed=True, msg=str(error))
        except OSError as error:
            result.update(failed=True, msg=str(errors.from_os_error(TRIED, error)))
        return result
