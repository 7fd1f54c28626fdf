# SPDX-License-Identifier: GPL-3.0-or-later
"""Whatever bytes a camera sends, they come to a refusal in one line or to what is sound, and to nothing else."""

from __future__ import annotations

import importlib.util

import pytest

from fuzz import targets
from fuzz.__main__ import NAMES, fuzz, runs


def test_each_target_is_fuzzed() -> None:
    assert set(NAMES) == targets.TARGETS.keys()


@pytest.mark.parametrize("target", NAMES)
def test_what_the_search_begins_with_comes_to_no_harm(target: str) -> None:
    for seed in targets.seeds(target):
        targets.TARGETS[target](seed)
        for cut in range(0, len(seed), max(1, len(seed) // 40)):
            targets.TARGETS[target](seed[:cut])


@pytest.mark.ci
@pytest.mark.skipif(importlib.util.find_spec("atheris") is None, reason="atheris has no wheel for this Python")
@pytest.mark.parametrize("target", NAMES)
def test_ten_seconds_of_hostile_bytes_do_no_harm(target: str) -> None:
    status, output = fuzz(target, 10)
    assert status == 0, output[-4000:]
    assert runs(output) > 100, output[-1000:]
