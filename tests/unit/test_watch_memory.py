# SPDX-License-Identifier: GPL-3.0-or-later
"""What a heartbeat that is started again knows: without it, a camera is restarted as if for the first time."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.wildberryeye.orchestrator.plugins.module_utils import clock, watch
from ansible_collections.wildberryeye.orchestrator.plugins.module_utils.watch import COLLECT, RESTART, Watch
from unit.support import image
from unit.watched_camera import CLOCK, NOW, OLD, PHASE, SETTINGS, STOPPED, Camera, down


def through_a_file(camera: Camera, now: float, shift: float = 0.0) -> Watch:
    """The watch of the next heartbeat, whose clock is another."""
    memory = json.loads(json.dumps(camera.watch.memory(lambda at: at + 7e8)))
    new = Watch(SETTINGS, PHASE, now, now)
    new.remember(memory, lambda at: min(now, at - 7e8 + shift))
    return new


def test_a_heartbeat_that_is_started_again_restarts_no_more_often() -> None:
    camera = down()
    for _ in range(5):
        camera.remedy()
    camera.probe("refused", STOPPED, pictures=(image(1, "manual"),))
    new = through_a_file(camera, camera.now + 2)
    assert new.pictures == (image(1, "manual"),) and new.last_good == camera.watch.last_good and new.degraded
    again = Camera(now=camera.now + 2)
    again.watch = new
    again.probe("refused", STOPPED, 3)
    assert again.remedy() >= camera.watch.budgets[RESTART].began[-1] + 1800


def test_a_heartbeat_that_is_started_again_knows_how_long_to_back_off() -> None:
    camera = down()
    camera.remedy(took=0)
    camera.remedy(took=0)
    ended = camera.now
    again = Camera(now=ended)
    again.watch = through_a_file(camera, ended)
    assert again.probe("refused", STOPPED, 3).watch.budgets[RESTART].allowed_at(again.now) == ended + 20


def test_a_restart_while_no_heartbeat_ran_is_seen_though_somebody_has_made_it_detect_since() -> None:
    before = OLD._replace(process="before")
    camera = Camera().probe(look=before)
    began = camera.watch.last_good
    for process, told in (("before", []), ("after", [("gap", began)])):
        again = Camera(now=camera.now + 600)
        again.watch = through_a_file(camera, again.now)
        again.probe(look=OLD._replace(process=process))
        assert [(event.name, event.began) for event in again.told] == told


@pytest.mark.parametrize("shift", [-3e8, 3e8])
def test_a_wall_clock_that_jumped_meanwhile_keeps_no_camera_from_being_restarted(shift: float) -> None:
    camera = down()
    for _ in range(5):
        camera.remedy()
    again = Camera(now=camera.now)
    again.watch = through_a_file(camera, camera.now, shift)
    assert again.watch.last_good <= again.now
    again.probe("refused", STOPPED, 3)
    assert again.remedy() <= camera.now + 1801


def test_what_is_remembered_is_what_status_shows() -> None:
    camera = down()
    camera.remedy()
    memory = camera.watch.memory(str)
    assert {key: memory[key] for key in ("state", "text", "since", "degraded", "restarts")} == {
        "state": watch.DOWN,
        "text": "so refused",
        "since": str(camera.watch.since),
        "degraded": False,
        "restarts": 1,
    }


GOOD_MEMORY: dict[str, Any] = Camera().watch.memory(lambda at: at)
HOSTILE: list[dict[str, Any]] = [
    {},
    *({key: value for key, value in GOOD_MEMORY.items() if key != gone} for gone in ("last_good", "pictures", "tried")),
    {**GOOD_MEMORY, "last_good": "yesterday"},
    {**GOOD_MEMORY, "last_good": None},
    {**GOOD_MEMORY, "pictures": 7},
    {**GOOD_MEMORY, "pictures": [7]},
    {**GOOD_MEMORY, "tried": []},
    {**GOOD_MEMORY, "tried": {"restart": {"at": [], "failed": 0}}},
    {**GOOD_MEMORY, "tried": {name: {"at": 1, "failed": 0} for name in (RESTART, COLLECT)}},
    {**GOOD_MEMORY, "tried": {name: {"at": ["x"], "failed": 0} for name in (RESTART, COLLECT)}},
    *(
        {**GOOD_MEMORY, "tried": {name: {"at": [], "failed": failed} for name in (RESTART, COLLECT)}}
        for failed in (-1, -5, "many", None, 1.5, float("inf"), float("nan"))
    ),
]


@pytest.mark.parametrize("memory", HOSTILE)
def test_a_memory_that_is_none_changes_nothing(memory: dict[str, Any]) -> None:
    camera = Camera()
    before = camera.watch.memory(str)
    with pytest.raises((KeyError, TypeError, ValueError)):
        camera.watch.remember(memory, float)
    assert camera.watch.memory(str) == before
    camera.probe("refused", STOPPED, 3).remedy()


@pytest.mark.parametrize("pictures", ["../../etc/passwd", ["../../etc/passwd", "-rf", image(1, "manual")]])
def test_a_name_that_no_camera_gives_is_not_remembered_as_a_picture_to_delete(pictures: Any) -> None:
    camera = Camera()
    camera.watch.remember({**GOOD_MEMORY, "pictures": pictures}, float)
    assert set(camera.watch.pictures) <= {image(1, "manual")}


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from([*GOOD_MEMORY, RESTART, COLLECT, "at", "failed"]), inner, max_size=8)
        ),
        max_leaves=12,
    ).filter(lambda found: isinstance(found, dict))
)
@settings(max_examples=200, deadline=None)
def test_whatever_is_remembered_the_watch_goes_on(memory: dict[str, Any]) -> None:
    camera = Camera()
    try:
        camera.watch.remember({**GOOD_MEMORY, **memory}, lambda at: min(NOW, float(at)))
    except (KeyError, TypeError, ValueError):
        assert camera.watch.last_good == NOW
    camera.probe("refused", STOPPED, 3)
    camera.watch.wanted(camera.now)


def test_a_heartbeat_that_is_started_again_knows_the_clock_as_it_was() -> None:
    memory = {**Camera().watch.memory(lambda at: at), "clock_offset": 0.2}
    again = Camera().watch
    again.remember(memory, float)
    assert [event.details["before"] for event in again.clock_shown(clock.Estimate(-3600.0, 0.5))] == [0.2]
    for spoilt in ("x", None, float("nan"), float("inf")):
        again = Camera().watch
        again.remember({**memory, "clock_offset": spoilt}, float)
        assert again.clock_shown(CLOCK) == []
