# SPDX-License-Identifier: GPL-3.0-or-later
"""When a camera is probed, and for how long it is waited for: too often costs its battery, too seldom a night."""

from __future__ import annotations

import pytest

from ansible_collections.wildberryeye.orchestrator.plugins.module_utils import watch
from ansible_collections.wildberryeye.orchestrator.plugins.module_utils.watch import EXPECTED, RESTART, Look, Watch
from unit.watched_camera import AWAY, NOW, OLD, PHASE, SETTINGS, STOPPED, YOUNG, Camera


def test_a_healthy_camera_is_probed_at_its_own_moment_of_each_interval() -> None:
    camera = Camera()
    for took in (0, 1, 14, 59, 61, 200, 0, 0):
        before = camera.now
        camera.probe(took=took)
        assert (camera.watch.next_probe - PHASE) % 60 == 0 and camera.now < camera.watch.next_probe <= camera.now + 60
        assert camera.now - before <= 60 + took
    # A phase that is still to come, as it is when the heartbeat has just begun.
    assert Watch(SETTINGS, NOW + 45, NOW, NOW).next_probe == NOW + 45


def test_a_failure_is_looked_into_after_a_quarter_of_the_interval_and_its_phase_is_kept() -> None:
    camera = Camera().probe()
    camera.probe("timeout", took=15)
    assert camera.watch.next_probe == camera.now + 15
    camera.probe("timeout", took=15)
    assert (camera.watch.next_probe - PHASE) % 60 == 0


@pytest.mark.parametrize(
    ("kind", "look", "soon"),
    [
        ("refused", STOPPED, True),
        ("unreachable", AWAY, True),
        (EXPECTED, OLD, True),
        ("timeout", OLD, False),
        ("answer", OLD, False),
        ("storage", OLD, False),
    ],
)
def test_one_that_is_known_to_hang_is_not_asked_more_often(kind: str, look: Look, soon: bool) -> None:
    camera = Camera().probe(kind, look, 4)
    assert camera.watch.next_probe - camera.now == (15 if soon else 60)


def test_few_requests_are_left_hanging_in_a_camera() -> None:
    camera = Camera()
    for _ in range(3):
        assert camera.watch.patience(camera.now) == 15
        camera.probe("timeout", OLD)
    # It is wedged, and a restart may be tried: nothing to be patient for.
    assert camera.state == watch.WEDGED and camera.watch.patience(camera.now) == 15
    for _ in range(4):
        camera.remedy()
    camera.probe("timeout", OLD, 3)
    assert camera.watch.patience(camera.now) == camera.watch.budgets[RESTART].allowed_at(camera.now) - camera.now > 1000


def test_one_that_is_starting_is_asked_once_with_all_the_time_that_it_has() -> None:
    camera = Camera().probe("timeout", YOUNG)
    since = camera.now
    camera.probe("timeout", YOUNG, 2)
    assert camera.watch.patience(since + 80) == 220 and camera.watch.patience(since + 290) == 15
    assert Camera().probe("refused", YOUNG, 3).watch.patience(NOW + 90) == 15


def test_a_login_comes_every_third_time_and_where_a_decision_hangs_on_it() -> None:
    camera = Camera()
    asked = []
    for _ in range(8):
        asked.append(camera.watch.wants_look)
        camera.probe()
    assert asked == [True, False, False, True, False, False, True, False]
    camera.probe("timeout", times=2)
    assert camera.watch.wants_look  # the third failure decides
    for kind, look in (("refused", STOPPED), ("timeout", OLD), ("answer", OLD), ("refused", YOUNG), ("storage", None)):
        failed = Camera().probe().probe(kind, look, 4)
        for _ in range(3):
            assert failed.watch.wants_look, kind
            failed.probe(kind, look)
