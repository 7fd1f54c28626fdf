# SPDX-License-Identifier: GPL-3.0-or-later
"""Actions run as Ansible runs them, on the orchestrator: only the camera is a fake."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ansible.playbook.task import Task
from ansible.plugins.action import ActionBase

from ansible_collections.wildberryeye.orchestrator.plugins.module_utils import events
from ansible_collections.wildberryeye.orchestrator.plugins.module_utils.layout import Layout
from unit.support import EXPERIMENT, ROOT, arguments

NAME = "wildberryeye.orchestrator"

FAILED = {"failed": True, "msg": "stop wildberryeye.service: no. Look", "invocation": {}}
"""What a module answers that failed on the camera."""


class _Shell:
    tmpdir = None


class _Connection:
    """A connection that nothing goes through."""

    _shell = _Shell()
    has_pipelining = True


def action_for(kind: Any, check: bool = False, **given: Any) -> Any:
    """The action of class `kind` for a task with these arguments, not run yet."""
    task = Task()
    task.action, task.args = f"{NAME}.{kind.__module__.rpartition('.')[2]}", given
    task.check_mode, task.async_val = check, 0
    action = kind(task, _Connection(), None, None, None)
    assert isinstance(action, ActionBase)
    return action


class There:
    """The camera's side: notes what it is asked for, and answers in turn."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.asked: list[dict[str, Any]] = []
        self.modules: list[str] = []
        self.meanwhile: Callable[[], object] = lambda: None

    @property
    def states(self) -> list[str]:
        return [given["state"] for given in self.asked]

    def execute(self, module_name: str, module_args: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        assert task_vars["inventory_hostname"] == "object"
        self.modules.append(module_name)
        self.asked.append(module_args)
        self.meanwhile()
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return dict(answer)

    def configure(self, module_name: str, *_: Any) -> None:
        """What is made ready while the camera works must exist: that it is not sent is no failure."""
        ours = module_name.removeprefix(f"{NAME}.")
        assert ours == "ansible.posix.synchronize" or (ROOT / "plugins" / "modules" / f"{ours}.py").exists()


def act(kind: Any, there: There, check: bool = False, scheduled: str = "", **given: Any) -> dict[str, Any]:
    """Run an action; `scheduled` is what a timer's run says of itself, in Ansible's words."""
    action = action_for(kind, check, **given)
    action._execute_module = there.execute
    action._configure_module = there.configure
    variables = {"wildberryeye_scheduled": scheduled} if scheduled else {}
    result = action.run(None, {"inventory_hostname": "object", **variables})
    assert "\n" not in str(result.get("msg", "")) and there.answers == []
    name = action._task.action
    assert all(
        module == name and args.keys() <= arguments(name.removeprefix(f"{NAME}.")).keys()
        for module, args in zip(there.modules, there.asked, strict=True)
    )
    return dict(result)


def clocks(layout: Layout, experiment: str = EXPERIMENT) -> list[dict[str, Any]]:
    """What the events say of clocks."""
    return [event for event in events.read(layout.events(experiment)) if event["event"] == "clock"]
