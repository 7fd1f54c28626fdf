# SPDX-License-Identifier: GPL-3.0-or-later
"""Figures read the same wherever they stand: in tables, messages, alerts, the report and the live page."""

from __future__ import annotations

import pytest

from ansible_collections.wildberryeye.orchestrator.plugins.module_utils import figures


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (-3, "0 s"),
        (0.4, "0 s"),
        (59.4, "59 s"),
        (59.6, "1 min"),
        (60, "1 min"),
        (185, "3 min 5 s"),
        (3599, "59 min 59 s"),
        (3600, "1 h"),
        (7799, "2 h 9 min"),
        (90000, "25 h"),
    ],
)
def test_what_a_camera_has_missed_is_said_exactly_and_a_part_never_as_the_whole(seconds: float, said: str) -> None:
    assert figures.span(seconds) == said


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0.3, "0 s"),
        (-119.4, "119 s"),
        (120, "2 min"),
        (3600, "60 min"),
        (-7200, "2 h"),
        (86400, "24 h"),
        (4 * 86400, "4 days"),
        (-1.78e9, "20602 days"),
    ],
)
def test_what_goes_on_or_is_known_roughly_is_said_in_the_unit_that_says_something(seconds: float, said: str) -> None:
    assert figures.about(seconds) == said


@pytest.mark.parametrize(
    ("count", "said"),
    [(0, "0.0 MB"), (80_112_233, "80.1 MB"), (25_300_000_000, "25.3 GB"), (1_800_000_000_000, "1.8 TB")],
)
def test_sizes_are_as_cards_and_disks_bear_them(count: int, said: str) -> None:
    assert figures.size(count) == said


@pytest.mark.parametrize(("count", "said"), [(0, "0 images"), (1, "1 image"), (412, "412 images")])
def test_one_image_is_not_many(count: int, said: str) -> None:
    assert figures.images(count) == said
