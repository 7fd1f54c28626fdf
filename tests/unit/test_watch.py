# SPDX-License-Identifier: GPL-3.0-or-later
"""What the heartbeat thinks of a camera and does next: a wrong thought costs a night's images, or the battery."""

from __future__ import annotations

import itertools

import pytest

from ansible_collections.wildberryeye.orchestrator.plugins.module_utils import clock, watch
from ansible_collections.wildberryeye.orchestrator.plugins.module_utils.watch import (
    COLLECT,
    EXPECTED,
    FINE,
    RESTART,
    Event,
    Finding,
    Look,
)
from unit.watched_camera import AWAY, CLOCK, NOW, OLD, REMEDIES, STOPPED, YOUNG, Camera, down

# --- what is found, and what it comes to ---------------------------------------------------------

AFTER_THREE = {
    ("refused", None): watch.UNREACHABLE,
    ("refused", AWAY): watch.UNREACHABLE,
    ("refused", STOPPED): watch.DOWN,
    ("refused", YOUNG): watch.STARTING,
    ("refused", OLD): watch.DOWN,
    ("unreachable", None): watch.UNREACHABLE,
    ("unreachable", AWAY): watch.UNREACHABLE,
    ("unreachable", STOPPED): watch.WEDGED,
    ("unreachable", YOUNG): watch.STARTING,
    ("unreachable", OLD): watch.WEDGED,
    ("timeout", None): watch.UNREACHABLE,
    ("timeout", AWAY): watch.UNREACHABLE,
    ("timeout", STOPPED): watch.WEDGED,
    ("timeout", YOUNG): watch.STARTING,
    ("timeout", OLD): watch.WEDGED,
    ("answer", None): watch.UNREACHABLE,
    ("answer", AWAY): watch.UNREACHABLE,
    ("answer", STOPPED): watch.FAULTY,
    ("answer", YOUNG): watch.FAULTY,
    ("answer", OLD): watch.FAULTY,
    **{("storage", look): watch.STORAGE for look in (None, AWAY, STOPPED, YOUNG, OLD)},
    **{(EXPECTED, look): EXPECTED for look in (None, AWAY, STOPPED, YOUNG, OLD)},
    **{(FINE, look): watch.RECORDING for look in (None, AWAY, STOPPED, YOUNG, OLD)},
}


@pytest.mark.parametrize(("kind", "look"), AFTER_THREE, ids=lambda part: part if isinstance(part, str) else None)
def test_each_fault_is_named_and_gets_the_remedy_that_can_help(kind: str, look: Look | None) -> None:
    camera = Camera().probe(kind, look, 3)
    expected = AFTER_THREE[kind, look]
    assert camera.state == expected
    assert camera.watch.wanted(camera.now) == REMEDIES.get(expected)
    silent = expected in (watch.RECORDING, watch.STARTING)
    assert [name for name in camera.names if name != "blind"] == ([] if silent else [expected])
    assert all(event.text and event.began is None for event in camera.told)


@pytest.mark.parametrize("kind", ["refused", "unreachable", "timeout", "answer"])
@pytest.mark.parametrize("look", [None, AWAY, STOPPED, YOUNG, OLD])
def test_two_failures_and_then_a_picture_are_neither_told_nor_acted_upon(kind: str, look: Look | None) -> None:
    camera = Camera().probe()
    for _ in range(5):
        camera.probe(kind, look, 2)
        assert camera.state == watch.DOUBTFUL and camera.watch.wanted(camera.now) is None
        camera.probe()
        assert camera.state == watch.RECORDING
    assert camera.told == []


@pytest.mark.parametrize(("failures", "needed"), [(1, 1), (2, 2), (5, 5)])
def test_it_takes_as_many_failures_as_the_inventory_says(failures: int, needed: int) -> None:
    camera = Camera(failures=failures)
    for number in range(1, needed + 1):
        camera.probe("refused", STOPPED)
        assert (camera.state == watch.DOWN) == (number == needed)


@pytest.mark.parametrize(("kind", "needed"), [("storage", 2), (EXPECTED, 2)])
def test_a_full_card_or_a_camera_that_was_never_begun_takes_two(kind: str, needed: int) -> None:
    camera = Camera().probe(kind, OLD, needed - 1)
    assert camera.state == watch.DOUBTFUL and camera.watch.wanted(camera.now) is None
    assert camera.probe(kind, OLD).state == kind and camera.watch.wanted(camera.now) is not None


def test_a_full_card_is_never_restarted() -> None:
    camera = Camera().probe("storage", OLD, 2)
    for helped in (False, True) * 4:
        assert camera.watch.wanted(camera.now) in (COLLECT, None)
        camera.remedy(helped)
        camera.probe("storage", OLD, 2)
    assert set(camera.names) == {"storage", "collecting", "collect failed"}
    assert camera.watch.budgets[RESTART].began == []


def test_a_collection_that_made_room_is_told_when_a_picture_proves_it() -> None:
    camera = Camera().probe().probe("storage", OLD, 2)
    assert camera.remedy(helped=True) and camera.state == watch.DOUBTFUL
    camera.probe()
    assert camera.names == ["storage", "collecting"] and camera.state == watch.RECORDING


def test_a_dead_detection_is_restarted_at_once_and_its_gap_began_when_it_died() -> None:
    camera = Camera().probe(times=5)
    died = camera.watch.next_probe - 142
    camera.probe(look=OLD._replace(died=142.0))
    assert camera.state == watch.DEAD and camera.watch.wanted(camera.now) == RESTART
    camera.remedy(helped=True)
    assert camera.names == ["dead", "restarting", "gap"] and camera.told[-1].began == died
    assert "its detection has died" in camera.told[-1].text


def test_a_death_of_which_the_journal_is_wrong_counts_from_the_last_picture() -> None:
    camera = Camera().probe(times=2)
    last = camera.now
    assert camera.probe(look=OLD._replace(died=0.0)).remedy(helped=True)
    assert camera.told[-1].began == last


# --- starting, unreachable -----------------------------------------------------------------------


def test_one_that_was_started_a_moment_ago_is_waited_for() -> None:
    camera = Camera().probe()
    restarted = camera.now + 1
    while camera.now < restarted + 280:
        camera.probe("timeout", YOUNG._replace(age=camera.watch.next_probe - restarted))
        assert camera.state in (watch.DOUBTFUL, watch.STARTING) and camera.watch.wanted(camera.now) is None
    assert camera.told == [] and camera.state == watch.STARTING
    camera.probe(look=YOUNG)
    assert camera.names == ["back"] and camera.state == watch.RECORDING


def test_one_that_has_had_its_time_to_start_is_restarted() -> None:
    camera = Camera().probe("timeout", YOUNG, 3)
    assert camera.state == watch.STARTING
    camera.probe("timeout", YOUNG._replace(age=300.0))
    assert camera.state == watch.WEDGED and camera.watch.wanted(camera.now) == RESTART


def test_a_crash_loop_is_restarted_in_the_end_though_its_service_is_always_young() -> None:
    camera = Camera()
    while camera.state != watch.DOWN:
        camera.probe("refused", YOUNG)
        assert camera.now < NOW + 300 + 3 * 60
    assert camera.now > NOW + 300 and camera.watch.wanted(camera.now) == RESTART


def test_time_out_of_reach_is_no_time_to_start_in() -> None:
    camera = Camera().probe("refused", YOUNG, 5).probe("refused", AWAY, 20)
    assert camera.state == watch.UNREACHABLE and camera.now > NOW + 300
    assert camera.probe("refused", YOUNG).state == watch.STARTING


@pytest.mark.parametrize("kind", ["refused", "unreachable", "timeout", "answer"])
def test_one_that_cannot_be_logged_in_to_is_never_restarted(kind: str) -> None:
    camera = Camera().probe().probe(kind, AWAY, 500)
    assert camera.names == ["unreachable"] and camera.watch.wanted(camera.now) is None
    assert "by SSH: No route to host" in camera.told[0].text


def test_one_that_is_back_says_since_when_it_was_away_and_that_it_may_have_recorded() -> None:
    camera = Camera().probe()
    last = camera.now
    camera.probe("unreachable", AWAY, 10).probe()
    assert camera.names == ["unreachable", "back"] and camera.told[-1].began == last
    assert "recorded on" in camera.told[-1].text


def test_one_that_is_back_on_the_network_and_not_recording_is_mended_without_more_failures() -> None:
    camera = Camera().probe("unreachable", AWAY, 10)
    assert camera.probe("refused", STOPPED).state == watch.DOWN
    assert camera.probe("unreachable", AWAY).state == watch.UNREACHABLE and camera.watch.wanted(camera.now) is None


def test_one_that_was_never_begun_is_begun_when_it_appears() -> None:
    camera = Camera(last_good=NOW - 500).probe("unreachable", AWAY, 5).probe(EXPECTED, OLD)
    assert camera.state == EXPECTED and camera.watch.wanted(camera.now) == RESTART
    camera.remedy(helped=True)
    assert camera.names == ["unreachable", "expected", "restarting", "gap"]
    assert camera.told[-1].began == NOW - 500


# --- gaps ----------------------------------------------------------------------------------------


def test_a_service_that_restarted_by_itself_is_a_gap_since_the_last_picture() -> None:
    camera = Camera().probe()
    last = camera.now
    camera.probe(restarted=True)
    assert camera.told == [Event("gap", "records again after 1 min: its service was restarted", last)]
    camera.probe()
    assert len(camera.told) == 1


def test_a_restart_that_a_picture_of_somebody_else_hides_is_seen_by_the_login() -> None:
    camera = Camera().probe(look=OLD).probe()
    last = camera.now
    camera.probe(look=OLD._replace(process="b"))
    assert camera.names == ["gap"] and camera.told[0].began == last
    camera.probe(look=OLD._replace(process="b"))
    assert len(camera.told) == 1


def test_a_restart_that_was_seen_by_a_probe_that_failed_afterwards_is_a_gap_all_the_same() -> None:
    # Its capture was given up and stored its picture later: the next probe sees no sign of the restart.
    camera = Camera().probe()
    last = camera.now
    camera.probe("timeout", restarted=True).probe()
    assert camera.names == ["gap"] and camera.told[0].began == last
    assert camera.probe().names == ["gap"]


def test_a_restart_that_helped_ends_the_gap_and_says_why_there_was_one() -> None:
    camera = Camera().probe()
    last = camera.now
    camera.probe("refused", STOPPED, 3).remedy(helped=True)
    assert camera.names == ["down", "restarting", "gap"]
    assert camera.told[-1].began == last and camera.told[-1].text.endswith(": so refused")
    assert camera.state == watch.RECORDING and camera.watch.last_good == camera.now
    camera.probe(look=OLD._replace(process="new"))
    assert len(camera.told) == 3  # the restart is ours, and no gap of its own


def test_the_first_look_of_a_heartbeat_is_no_gap() -> None:
    assert Camera().probe(look=OLD).told == []
    assert Camera(last_good=NOW - 30).probe(restarted=True).told[0].began == NOW - 30


def test_one_that_recovered_by_itself_is_told_to_be_back() -> None:
    camera = Camera().probe("answer", OLD, 3).probe()
    assert camera.names == ["faulty", "back"] and "is not known" in camera.told[-1].text


# --- remedies ------------------------------------------------------------------------------------


def test_r8_restarts_that_fail_back_off_and_then_come_every_half_hour_and_degraded_is_told_once() -> None:
    camera = down()
    began = []
    for _ in range(10):
        began.append(camera.remedy(took=30))
        camera.probe("refused", STOPPED)
    waits = [later - earlier for earlier, later in itertools.pairwise(began)]
    # From the end of one, which took 30 s, to the next.
    assert [pytest.approx(wait - 30, abs=61) for wait in waits[:3]] == [10, 20, 40]
    assert all(1800 <= wait < 1862 for wait in waits[3:])
    assert camera.names.count("degraded") == 1 and camera.watch.degraded
    assert camera.names.index("degraded") == camera.names.index("restart failed", 4 * 2 - 1) + 1


@pytest.mark.parametrize("took", [0.0, 30.0, 700.0])
def test_the_back_off_is_kept_to_the_second(took: float) -> None:
    camera = down()
    for wait in (10, 20, 40):
        camera.remedy(took=took)
        assert camera.watch.budgets[RESTART].allowed_at(camera.now) == camera.now + wait
    began = camera.remedy(took=took)
    assert camera.watch.budgets[RESTART].allowed_at(camera.now) == began + 1800


def test_after_a_restart_that_failed_one_look_tells_whether_another_can_help() -> None:
    camera = down()
    camera.remedy()
    assert camera.watch.wanted(camera.now + 3600) is None
    camera.probe("unreachable", Look(False, "no route to host"))
    assert camera.watch.state == watch.UNREACHABLE and camera.watch.wanted(camera.now + 3600) is None
    camera.probe("refused", STOPPED)
    assert camera.watch.wanted(camera.now + 60) == RESTART


def test_logins_that_fail_while_the_port_is_fine_are_told_once() -> None:
    camera = Camera()
    for _ in range(4):
        camera.probe("fine", Look(False, "host key verification failed"))
    assert camera.names.count("blind") == 1 and camera.watch.state == watch.RECORDING


@pytest.mark.parametrize("helped", [False, True])
def test_r8_a_camera_that_never_stays_up_is_restarted_five_times_in_an_hour_at_most_and_never_given_up(
    helped: bool,
) -> None:
    camera = down()
    began = []
    while camera.now < NOW + 6 * 3600:
        began.append(camera.remedy(helped))
        camera.probe("refused", STOPPED, 3)
    for at in began:
        assert sum(at <= other < at + 3600 for other in began) <= 5
    assert len(began) >= 12 and camera.names.count("degraded") == 1


def test_one_that_recovers_is_not_degraded_any_more() -> None:
    camera = down()
    for _ in range(6):
        camera.remedy()
        camera.probe("refused", STOPPED)
    assert camera.watch.degraded
    camera.probe()
    assert camera.state == watch.RECORDING and "back" in camera.names
    camera.probe(times=70)
    assert not camera.watch.degraded
    # And its next fault finds it as any other.
    camera.told.clear()
    camera.probe("refused", STOPPED, 3).remedy()
    assert camera.watch.budgets[RESTART].allowed_at(camera.now) == camera.now + 10 and camera.names == [
        "down",
        "restarting",
        "restart failed",
    ]


def test_a_restart_that_helped_in_the_end_leaves_no_degraded_camera_behind() -> None:
    camera = down()
    for _ in range(4):
        camera.remedy()
    camera.remedy(helped=True)
    assert camera.state == watch.RECORDING
    assert not camera.probe(times=65).watch.degraded and camera.names.count("degraded") == 1


def test_a_probe_that_began_before_a_restart_ended_says_nothing_any_more() -> None:
    camera = down()
    camera.told += camera.watch.remedy_began(camera.now, RESTART)
    before = Finding(camera.now, "timeout", "x", pictures=("a",), look=OLD)
    assert camera.watch.probed(camera.now + 5, before) == []
    camera.told += camera.watch.remedy_ended(camera.now + 20, True, "ok")
    assert camera.watch.probed(camera.now + 25, before) == []
    assert camera.state == watch.RECORDING and camera.watch.pictures == ("a",)
    assert camera.watch._failures == 0


def test_after_a_restart_that_failed_one_look_finds_the_state_anew() -> None:
    camera = down()
    camera.remedy()
    assert camera.state == watch.DOWN
    assert camera.probe("timeout", OLD).state == watch.WEDGED


def test_one_that_somebody_else_is_at_work_on_is_left_alone_and_judged_anew_afterwards() -> None:
    camera = down()
    camera.now += 5
    camera.watch.left_alone(camera.now)
    assert camera.watch.next_probe == camera.now + 15 and camera.watch.wants_look
    # Whatever they have mended is not restarted for what was found before.
    assert camera.watch.wanted(camera.now + 3600) is None
    camera.watch.probed(camera.now + 1, Finding(camera.now - 1, "refused"))
    camera.probe("refused", STOPPED, 2)
    assert camera.watch.wanted(camera.now) is None
    camera.probe("refused", STOPPED)
    assert camera.watch.wanted(camera.now) == RESTART


def test_one_that_somebody_else_mended_is_told_to_be_back() -> None:
    camera = Camera().probe()
    last = camera.now
    camera.probe("refused", STOPPED, 3)
    camera.watch.left_alone(camera.now)
    camera.probe(look=OLD)
    assert camera.state == watch.RECORDING and camera.names == ["down", "back"] and camera.told[-1].began == last
    assert camera.probe("refused", STOPPED, 3).watch.wanted(camera.now) == RESTART


# --- its clock -----------------------------------------------------------------------------------


def test_a_clock_that_has_changed_is_told_once_and_as_it_is() -> None:
    found = Camera().watch
    assert found.clock_shown(None) == found.clock_shown(CLOCK) == found.clock_shown(CLOCK._replace(offset=2.1)) == []
    (event,) = found.clock_shown(clock.Estimate(-3600.0, 0.5))
    assert (event.name, event.text) == ("clock", "its clock has changed by 60 min and is 60 min behind now")
    assert event.details == {"by": "heartbeat", "offset": -3600.0, "uncertainty": 0.5, "before": 0.2}
    assert found.clock_shown(clock.Estimate(-3600.4, 0.5)) == found.clock_shown(None) == []
