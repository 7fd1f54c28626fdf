# SPDX-License-Identifier: GPL-3.0-or-later
"""What goes wrong is told in one line that a person in the field can act on."""

from __future__ import annotations

import errno
import os
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.wildberryeye.orchestrator.plugins.module_utils.errors import Error, from_os_error, one_line


def test_an_error_says_what_was_tried_what_came_back_and_what_to_do() -> None:
    error = Error("stop it", "Unit not found", "Install it")
    assert str(error) == "stop it: Unit not found. Install it"
    assert (error.tried, error.came_back, error.advice) == ("stop it", "Unit not found", "Install it")
    assert str(Error("stop it", "Unit not found.")) == "stop it: Unit not found"
    assert str(Error("", "Unit not found", "")) == "Unit not found"


def test_an_error_survives_the_way_between_processes() -> None:
    assert str(pickle.loads(pickle.dumps(Error("a", "b", "c")))) == "a: b. c"


@given(st.text(max_size=1000), st.text(max_size=1000), st.text(max_size=1000))
def test_whatever_a_camera_answers_an_error_is_one_printable_line(tried: str, came_back: str, advice: str) -> None:
    text = str(Error(tried, came_back, advice))
    assert text.isprintable() and "\n" not in text and len(text) <= 3 * 400 + 4


def test_hostile_bytes_do_not_reach_the_terminal() -> None:
    assert one_line("a\x1b[31m\n\tb\udcff\x00 c. ") == "a?[31m b?? c"
    assert one_line("x" * 500) == "x" * 399 + "…"
    assert len(one_line("x" * 500, limit=10)) == 10


@pytest.mark.parametrize(
    "number, advice",
    [
        (errno.ENOSPC, "Free some space"),
        (errno.EDQUOT, "Free some space"),
        (errno.EACCES, "Check owner and mode"),
        (errno.EPERM, "Check owner and mode"),
        (errno.EROFS, "read-only"),
        (errno.EIO, "may be failing"),
    ],
)
def test_an_error_of_the_system_names_the_file_and_what_mends_it(number: int, advice: str) -> None:
    text = str(from_os_error("set images aside", OSError(number, os.strerror(number), "/card/x")))
    assert text.startswith(f"set images aside: {os.strerror(number)} (/card/x). ") and advice in text


def test_an_unknown_error_of_the_system_is_told_as_it_is() -> None:
    assert str(from_os_error("look", OSError("odd"))) == "look: odd"
    assert str(from_os_error("look", OSError(errno.ELOOP, "too many links"))) == "look: too many links"
