# SPDX-License-Identifier: GPL-3.0-or-later
"""What our modules answer from a camera, taken for what it is: hostile input, as a camera may be in other hands.

Its names go into filters of rsync, into paths and into what a person reads; and some keys make Ansible itself
do things, on the orchestrator: ``add_host``, ``ansible_facts``. So only what is known here gets through.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Callable, Mapping
from typing import Any

from .errors import Error, one_line
from .names import is_batch, is_experiment, is_image

_MOST_BATCHES = 100_000
_MOST_NAMES = 100_000
_Check = Callable[[Any], Any]
"""Returns a value as it may be used; raises ValueError, TypeError or KeyError if it is none of that kind."""


def sound(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return of what a module on a camera answered all that is ours, each value of its kind and fit to be shown.

    Args:
        given: its result.

    Raises:
        Error: if a value is none of its kind.
    """
    found = {"msg": ""}
    for name, check in _FIELDS.items():
        if name in given:
            found[name] = _checked(name, check, given[name])
    if found.get("foreign_count") and not found.get("foreign"):
        raise _unsound("foreign")
    return found


def _checked(name: str, check: _Check, value: Any) -> Any:
    try:
        return check(value)
    except (ValueError, TypeError, KeyError, OverflowError):
        raise _unsound(name) from None


def _unsound(name: str) -> Error:
    return Error(
        "read what our module on the camera answered",
        f"its {name!r} is none",
        "Nothing was done with it. Something else answers there: look at that camera before you trust it again",
    )


def _that(holds: bool) -> None:
    if not holds:
        raise ValueError


def _truth(value: Any) -> bool:
    _that(isinstance(value, bool))
    return bool(value)


def _count(value: Any) -> int:
    _that(isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 63)
    return int(value)


def _number(value: Any) -> float:
    _that(isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value))
    # No time that cannot be reckoned with: 30,000 years.
    _that(abs(value) < 1e12)
    return float(value)


def _age(value: Any) -> float:
    _that(0 <= _number(value) < 1e9)
    return float(value)


def _text(value: Any) -> str:
    _that(isinstance(value, str))
    return one_line(value)


def _time(value: Any) -> str:
    _that(isinstance(value, str))
    return dt.datetime.fromisoformat(value).isoformat()


def _experiment(value: Any) -> str:
    _that(isinstance(value, str) and is_experiment(value))
    return str(value)


def _label(value: Any) -> str:
    return "" if value == "" else _experiment(value)


def _batch(value: Any) -> str:
    _that(isinstance(value, str) and is_batch(value))
    return str(value)


def _image(value: Any) -> str:
    _that(isinstance(value, str) and is_image(value))
    return str(value)


def _or_none(check: _Check) -> _Check:
    return lambda value: None if value is None else check(value)


def _each(check: _Check, most: int) -> _Check:
    def checked(value: Any) -> list[Any]:
        _that(isinstance(value, list) and len(value) <= most)
        return [check(item) for item in value]

    return checked


def _all(**fields: _Check) -> _Check:
    """A dict that has all of these fields; others are left out."""
    return lambda value: {name: check(dict(value)[name]) for name, check in fields.items()}


_FIELDS: dict[str, _Check] = {
    "changed": _truth,
    "msg": _text,
    # image_batch
    "batches": _each(
        _all(experiment=_experiment, batch=_batch, images=_count, bytes=_count, zipped=_truth), _MOST_BATCHES
    ),
    "images": _count,
    "bytes": _count,
    "unreadable": _each(_image, _MOST_NAMES),
    "fell_back": _truth,
    "free": _count,
    "foreign_count": _count,
    "foreign": _each(_text, _MOST_NAMES),
    "label": _label,
    # recording
    "set_aside": _count,
    "set_aside_for": _experiment,
    "resumed": _truth,
    "service_age": _or_none(_age),
    "waiting": _count,
    "now": _number,
    "clock_stepped": _number,
    "clock_note": _text,
    # image_cleanup
    "deleted": _count,
    "kept": _count,
    "vanished": _count,
    "left": _count,
    # camera_status
    "problem": _text,
    "service": _all(state=_text, age=_or_none(_age), restarts=_or_none(_count)),
    "card": _or_none(
        _all(
            images=_count,
            bytes=_count,
            last=_or_none(_image),
            last_taken=_or_none(_time),
            last_age=_or_none(_number),
            batches=_count,
            set_aside=_count,
            foreign_count=_count,
            free_bytes=_count,
            free_inodes=_or_none(_count),
        )
    ),
    "temperature": _or_none(_number),
    "uptime": _age,
    "clock": _number,
}
