# SPDX-License-Identifier: GPL-3.0-or-later
"""The edge between Ansible and the rest: runs a module's work and turns its errors into one line."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from . import errors
from .card import Loose


def finish(module: AnsibleModule, tried: str, work: Callable[[], dict[str, Any]]) -> None:
    """Run `work` and end the module with what it returns, or with the error that it raised.

    Args:
        module: the module.
        tried: what `work` does, for errors of the operating system, e.g. ``set images aside``.
        work: returns the module's result.
    """
    try:
        result = work()
    except errors.Error as error:
        module.fail_json(msg=str(error))
    except OSError as error:
        module.fail_json(msg=str(errors.from_os_error(tried, error)))
    module.exit_json(**result)


def foreign(loose: Loose) -> dict[str, Any]:
    """Return what a result says of things that are no images: how many, and the first names."""
    return {"foreign_count": len(loose.foreign), "foreign": [ascii(name)[1:-1] for name in loose.foreign[:20]]}
