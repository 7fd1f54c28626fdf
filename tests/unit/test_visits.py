# SPDX-License-Identifier: GPL-3.0-or-later
"""How many visits a flower had."""

from __future__ import annotations

import datetime as dt

from ansible_collections.wildberryeye.orchestrator.plugins.module_utils.orchestrator_time import Taken
from ansible_collections.wildberryeye.orchestrator.plugins.module_utils.pictures import Picture
from ansible_collections.wildberryeye.orchestrator.plugins.module_utils.visits import cluster, seen_by

SEVEN = dt.datetime.fromisoformat("2026-05-22T07:00:00+02:00")


def pictures(*seconds: float, kind: str = "object") -> list[Picture]:
    return [
        Picture(f"{kind}_{at}.jpg", kind, 9, "a.zip", Taken(SEVEN + dt.timedelta(seconds=at), 0.0, False))
        for at in seconds
    ]


def test_images_that_follow_each_other_closely_are_one_visit() -> None:
    found = cluster("object", pictures(0, 1, 30, 61, 100, 101), gap=30)
    assert [len(visit.pictures) for visit in found.visits] == [3, 2] and found.alone == 1
    assert found.visits[0].begin == SEVEN and found.visits[0].end == SEVEN + dt.timedelta(seconds=30)


def test_a_minimum_of_one_makes_a_visit_of_each() -> None:
    found = cluster("object", pictures(0, 100, 200), minimum=1)
    assert len(found.visits) == 3 and found.alone == 0
    assert cluster("object", [], minimum=1).visits == []


def test_a_gap_of_any_length_is_one() -> None:
    for gap in (float("inf"), 1e20):
        assert len(cluster("object", pictures(0, 1, 9_000_000), gap=gap).visits) == 1
    assert cluster("object", pictures(0, 1), gap=-1).alone == 2


def test_a_picture_that_the_heartbeat_asked_for_is_no_visitor() -> None:
    manual = pictures(0, 1, 2, kind="manual")
    unknown = [each._replace(taken=None) for each in pictures(3, 4)]
    assert cluster("object", manual + unknown, minimum=1) == ([], 0)


def test_a_visit_that_two_cameras_saw_is_told_from_one_that_one_saw() -> None:
    one = cluster("object", pictures(0, 1, 2, 100, 101, 300, 301), gap=10).visits
    two = cluster("motion", pictures(6, 7, 103, 104, 200, 201), gap=10).visits
    seen = seen_by({"object": one, "motion": two, "third": []}, tolerance=5)
    both = frozenset({"object", "motion"})
    assert seen["object"] == [both, both, frozenset({"object"})]
    assert seen["motion"] == [both, both, frozenset({"motion"})]
    assert seen["third"] == []
