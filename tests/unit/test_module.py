# SPDX-License-Identifier: GPL-3.0-or-later
"""A module ends with a result or with one line, never with a traceback."""

from __future__ import annotations

import errno
from collections.abc import Callable
from typing import Any, cast

import pytest

from ansible_collections.wildberryeye.orchestrator.plugins.module_utils import module
from ansible_collections.wildberryeye.orchestrator.plugins.module_utils.errors import Error


class Ended(Exception):
    """What the module ended with."""


class Fake:
    """Ends as `AnsibleModule` does."""

    def exit_json(self, **result: Any) -> None:
        raise Ended("ok", result)

    def fail_json(self, **result: Any) -> None:
        raise Ended("failed", result)


def finish(work: Callable[[], dict[str, Any]]) -> tuple[str, dict[str, Any]]:
    with pytest.raises(Ended) as caught:
        module.finish(cast(Any, Fake()), "set images aside", work)
    return cast("tuple[str, dict[str, Any]]", caught.value.args)


def raising(error: Exception) -> Callable[[], dict[str, Any]]:
    def work() -> dict[str, Any]:
        raise error

    return work


def test_a_result_is_returned_as_it_is() -> None:
    assert finish(lambda: {"changed": True, "images": 3}) == ("ok", {"changed": True, "images": 3})


def test_an_error_becomes_the_one_line_that_a_person_sees() -> None:
    assert finish(raising(Error("a", "b", "c"))) == ("failed", {"msg": "a: b. c"})


def test_an_error_of_the_system_names_what_was_tried() -> None:
    kind, result = finish(raising(OSError(errno.ENOSPC, "No space left on device", "/card")))
    assert kind == "failed"
    assert result["msg"].startswith("set images aside: No space left on device (/card). Free some space")


def test_a_mistake_of_ours_is_not_hidden() -> None:
    with pytest.raises(KeyError):
        module.finish(cast(Any, Fake()), "x", raising(KeyError("x")))
