# SPDX-License-Identifier: GPL-3.0-or-later
"""People are told of a camera that stays away, and not of one that the heartbeat mends within minutes."""

from __future__ import annotations

import pytest

from ansible_collections.wildberryeye.orchestrator.plugins.module_utils import concern, watch
from ansible_collections.wildberryeye.orchestrator.plugins.module_utils.concern import Concern, Edges

SETTINGS = watch.Settings(interval=60, timeout=15, failures=3, ready_timeout=300)
GOOD = 1000.0


def seen(state: str, text: str = "", degraded: bool = False) -> watch.Watch:
    """A camera in this state that recorded last at `GOOD`."""
    found = watch.Watch(SETTINGS, 0, GOOD, GOOD)
    found.state, found.text, found._degraded = state, text, degraded
    return found


@pytest.mark.parametrize("state", [watch.DOWN, watch.WEDGED, watch.FAULTY, watch.DEAD, watch.UNREACHABLE, "expected"])
def test_one_that_does_not_record_for_ten_minutes_is_told_of_and_no_sooner(state: str) -> None:
    camera = seen(state, "connection refused")
    assert concern.of_camera(camera, GOOD + 599) is None
    found = concern.of_camera(camera, GOOD + 600)
    assert found is not None and found.bad and found.text.endswith(", for 10 min: connection refused")


def test_one_that_restarts_do_not_help_and_one_without_storage_are_told_of_at_once() -> None:
    found = concern.of_camera(seen(watch.DOWN, "x", degraded=True), GOOD + 60)
    assert found == Concern(True, "does not record, for 1 min: x; restarts do not help")
    found = concern.of_camera(seen(watch.STORAGE, "it did not store it"), GOOD + 60)
    assert found == Concern(True, "cannot store its pictures, for 1 min: it did not store it")


def test_one_that_records_is_well_and_one_that_is_looked_into_is_neither() -> None:
    assert concern.of_camera(seen(watch.RECORDING), GOOD + 9999) == Concern(False, "records again")
    for state in (watch.UNKNOWN, watch.DOUBTFUL, watch.STARTING):
        assert concern.of_camera(seen(state), GOOD + 9999) is None


def test_news_is_passed_on_once_and_trouble_once_an_hour() -> None:
    edges, bad, well = Edges(), Concern(True, "x"), Concern(False, "y")
    # What an earlier heartbeat has said is not known: that it is well may be news.
    assert edges.news("a", well, 0) and not edges.news("a", well, 9999)
    assert edges.news("a", bad, 10_000) and not edges.news("a", bad, 13_599) and edges.news("a", bad, 13_600)
    assert not edges.news("a", None, 20_000) and edges.news("a", well, 20_001) and edges.news("b", bad, 20_002)
    edges.forget("b")
    assert edges.news("b", bad, 20_003)
