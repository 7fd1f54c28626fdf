# SPDX-License-Identifier: GPL-3.0-or-later
"""A path with a space or a percent sign must not cost the morning's experiment."""

from __future__ import annotations

import pytest

from ansible_collections.wildberryeye.orchestrator.plugins.filter.systemd import systemd_words


@pytest.mark.parametrize(
    ("word", "written"),
    [
        ("/usr/bin/python3", "/usr/bin/python3"),
        ("/home/a b/hosts.yml", '"/home/a b/hosts.yml"'),
        ("100%", "100%%"),
        ("$HOME", "$$HOME"),
        ('say "x"', '"say \\"x\\""'),
        ("back\\slash", '"back\\\\slash"'),
        ("", '""'),
        ("a;b", '"a;b"'),
    ],
)
def test_a_word_reaches_the_program_as_it_is(word: str, written: str) -> None:
    assert systemd_words([word]) == written


def test_words_are_separated() -> None:
    assert systemd_words(["a", "b c", 1]) == 'a "b c" 1'
