# SPDX-License-Identifier: GPL-3.0-or-later
"""What the heartbeat thinks of a camera and does next: a wrong thought costs a night's images, or the battery."""

from __future__ import annotations

import itertools
import json
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.wildberryeye.orchestrator.plugins.module_utils import clock, watch
from ansible_collections.wildberryeye.orchestrator.plugins.module_utils.watch import (
    COLLECT,
    EXPECTED,
    FINE,
    RESTART,
    Event,
    Finding,
    Look,
    Watch,
)
from unit.support import image

CLOCK = clock.Estimate(0.2, 0.3)
SETTINGS = watch.Settings(interval=60, timeout=15, failures=3, ready_timeout=300)
NOW = 1000.0
PHASE = 10.0

AWAY = Look(False, "No route to host")
STOPPED = Look(True, process="")
YOUNG = Look(True, active=True, age=20, process="b")
OLD = Look(True, active=True, age=5000, process="a")


class Camera:
    """A watch with a clock: each finding comes at the moment at which it is due."""

    def __init__(self, last_good: float = NOW, now: float = NOW, **changed: Any) -> None:
        self.watch = Watch(SETTINGS._replace(**changed), PHASE, now, last_good)
        self.now = now
        self.told: list[Event] = []
        self.last: tuple[str, Look | None] = (FINE, None)

    @property
    def state(self) -> str:
        return self.watch.state

    @property
    def names(self) -> list[str]:
        return [event.name for event in self.told]

    def probe(self, kind: str = FINE, look: Look | None = None, times: int = 1, took: float = 0, **said: Any) -> Camera:
        """Let so many probes in a row find this."""
        self.last = (kind, look)
        for _ in range(times):
            began = max(self.now, self.watch.next_probe)
            self.now = began + took
            self.told += self.watch.probed(self.now, Finding(began, kind, f"so {kind}", look=look, **said))
        return self

    def remedy(self, helped: bool = False, took: float = 30) -> float:
        """Let the remedy be tried as soon as it is wanted, probes finding what they found; return when it began."""
        step = 1.0
        while (wanted := self.watch.wanted(self.now)) is None:
            self.now += step
            if self.now >= self.watch.next_probe:
                kind, look = self.last
                self.told += self.watch.probed(self.now, Finding(self.now, kind, f"so {kind}", look=look))
            assert self.now < NOW + 1e6, "it is never tried"
        began = self.now
        self.told += self.watch.remedy_began(self.now, wanted)
        assert self.watch.wanted(self.now) is None
        self.now += took
        self.told += self.watch.remedy_ended(self.now, helped, "because")
        return began


def down() -> Camera:
    """One whose service is stopped, as is known."""
    camera = Camera().probe().probe("refused", STOPPED, 3)
    camera.told.clear()
    return camera


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
REMEDIES = {
    watch.DOWN: RESTART,
    watch.WEDGED: RESTART,
    watch.FAULTY: RESTART,
    watch.DEAD: RESTART,
    EXPECTED: RESTART,
    watch.STORAGE: COLLECT,
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


# --- when it is probed, and for how long ---------------------------------------------------------


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


# --- what a heartbeat that is started again knows ------------------------------------------------


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


# --- whatever happens, in whatever order ---------------------------------------------------------


class Episode(NamedTuple):
    """How things are for a while."""

    seconds: float
    kind: str
    look: Look
    probe_takes: float
    remedy_takes: float
    remedy_helps: bool
    mends: bool
    """Whether a remedy that helps puts an end to the fault."""
    restarted: bool
    held: bool
    """Whether somebody else is at work on the camera."""


EPISODES = st.builds(
    Episode,
    st.sampled_from([5.0, 50.0, 100.0, 400.0, 1500.0, 4000.0]),
    st.sampled_from([FINE, FINE, "refused", "unreachable", "timeout", "answer", "storage", EXPECTED]),
    st.sampled_from([AWAY, STOPPED, YOUNG, OLD, OLD, OLD._replace(process="c"), OLD._replace(died=33.0)]),
    st.sampled_from([0.1, 3.0, 15.0, 45.0, 130.0]),
    st.sampled_from([1.0, 12.0, 100.0, 700.0, 4000.0]),
    st.booleans(),
    st.booleans(),
    st.booleans(),
    st.sampled_from([False] * 5 + [True]),
)


class Simulation:
    """The loop of heartbeat.py for one camera, with nothing but a clock around it."""

    def __init__(self, episodes: list[Episode]) -> None:
        self.now = self.began = 50_000.0
        self.watch = Watch(SETTINGS, self.now + 17, self.now, self.now - 100)
        self.episodes = episodes
        self.tries: dict[str, list[float]] = {RESTART: [], COLLECT: []}
        self.ended = 0.0
        self.ever_held = False
        self.mended: Episode | None = None
        self.probing: tuple[float, Finding] | None = None
        self.trying: tuple[float, str, bool] | None = None
        self.last_look: Look | None = None
        self.starting_since: float | None = None

    def run(self) -> None:
        for episode in self.episodes:
            until = self.now + episode.seconds
            while self.now < until:
                self.turn(episode)
                self.check(episode)
                ends = self.probing[0] if self.probing else self.now + 1.0
                self.now = min(self.now + 1.0, max(self.now + 0.01, ends))

    def turn(self, now_is: Episode) -> None:
        self.ever_held |= now_is.held
        if self.probing and self.probing[0] <= self.now:
            self.probed(self.probing[1])
            self.probing = None
        if self.trying and self.trying[0] <= self.now:
            _, _, helped = self.trying
            self.trying, self.ended = None, self.now
            if helped and now_is.mends:
                self.mended = now_is
            self.tell(self.watch.remedy_ended(self.now, helped, "x"))
        if self.probing is None and self.trying is None and self.now >= self.watch.next_probe:
            if now_is.held:
                self.watch.left_alone(self.now)
                # Whoever is at work may have restarted it: its time begins anew.
                self.starting_since = None
            else:
                self.begin_probe(now_is)
        remedy = self.watch.wanted(self.now)
        if remedy and not now_is.held:
            self.begin_remedy(remedy, now_is)

    def begin_probe(self, now_is: Episode) -> None:
        fine = now_is.kind == FINE or self.mended is now_is
        seen = now_is.look._replace(died=None) if self.mended is now_is else now_is.look
        look = seen if self.watch.wants_look else None
        kind = FINE if fine else now_is.kind
        took = min(now_is.probe_takes, 3 * self.watch.patience(self.now))
        finding = Finding(self.now, kind, kind, now_is.restarted and not self.mended, (), look)
        self.probing = (self.now + took, finding)

    def probed(self, finding: Finding) -> None:
        before = self.watch.state
        self.last_look = finding.look or self.last_look
        self.tell(self.watch.probed(self.now, finding))
        after = self.watch.state
        if after != before and after in (watch.DOWN, watch.WEDGED, watch.FAULTY):
            assert self.last_look is not None and self.last_look.reached
        if after == watch.STARTING:
            self.starting_since = self.now if self.starting_since is None else self.starting_since
            assert self.now - self.starting_since < SETTINGS.ready_timeout, "it starts for ever"
        else:
            self.starting_since = None

    def begin_remedy(self, remedy: str, now_is: Episode) -> None:
        assert self.trying is None, "two remedies at once"
        assert self.watch.state not in (watch.UNREACHABLE, watch.STARTING, watch.RECORDING, watch.UNKNOWN)
        assert (remedy == COLLECT) == (self.watch.state == watch.STORAGE)
        self.tell(self.watch.remedy_began(self.now, remedy))
        self.tries[remedy].append(self.now)
        recent = [at for at in self.tries[remedy] if at > self.now - 3600]
        assert len(recent) <= 5, f"{remedy}: {recent}"
        self.trying = (self.now + now_is.remedy_takes, remedy, now_is.remedy_helps)

    def tell(self, told: list[Event]) -> None:
        for event in told:
            assert event.began is None or event.began <= self.now
            assert (event.began is not None) == (event.name in ("gap", "back"))

    def check(self, now_is: Episode) -> None:
        assert self.watch.next_probe <= self.now + SETTINGS.interval
        assert self.watch.patience(self.now) <= max(SETTINGS.ready_timeout, watch.RARELY) + 1e-6  # of a sum of floats
        remedy = REMEDIES.get(self.watch.state)
        if remedy and self.trying is None and not self.ever_held:
            last = self.tries[remedy][-1] if self.tries[remedy] else None
            assert last is not None and (self.now < max(last + 1801, self.ended + 41 + 2 * SETTINGS.interval)), (
                "it is untried for too long"
            )


@given(st.lists(EPISODES, min_size=1, max_size=14))
@settings(max_examples=80, deadline=None)
def test_in_no_sequence_of_faults_is_a_camera_restarted_too_often_or_given_up(episodes: list[Episode]) -> None:
    Simulation(episodes).run()


@given(
    st.lists(st.tuples(st.floats(0, 4000), st.booleans(), st.floats(0, 2000)), min_size=5, max_size=60),
)
@settings(max_examples=100, deadline=None)
def test_no_budget_allows_six_in_an_hour_or_half_an_hour_without_one(tries: list[tuple[float, bool, float]]) -> None:
    began: list[float] = []
    budget, now = watch.Budget(), 0.0
    for pause, helped, took in tries:
        at = max(now, budget.allowed_at(now))
        assert not began or at <= max(now, began[-1] + 1800, now + 40)
        now = at + (0 if pause < 2000 else pause)
        budget.begin(now)
        began.append(now)
        assert sum(each > now - 3600 for each in began) <= 5
        now += took
        budget.end(now, helped)


def test_a_clock_that_has_changed_is_told_once_and_as_it_is() -> None:
    found = Camera().watch
    assert found.clock_shown(None) == found.clock_shown(CLOCK) == found.clock_shown(CLOCK._replace(offset=2.1)) == []
    (event,) = found.clock_shown(clock.Estimate(-3600.0, 0.5))
    assert (event.name, event.text) == ("clock", "its clock has changed by 60 min and is 60 min behind now")
    assert event.details == {"by": "heartbeat", "offset": -3600.0, "uncertainty": 0.5, "before": 0.2}
    assert found.clock_shown(clock.Estimate(-3600.4, 0.5)) == found.clock_shown(None) == []


def test_a_heartbeat_that_is_started_again_knows_the_clock_as_it_was() -> None:
    memory = {**Camera().watch.memory(lambda at: at), "clock_offset": 0.2}
    again = Camera().watch
    again.remember(memory, float)
    assert [event.details["before"] for event in again.clock_shown(clock.Estimate(-3600.0, 0.5))] == [0.2]
    for spoilt in ("x", None, float("nan"), float("inf")):
        again = Camera().watch
        again.remember({**memory, "clock_offset": spoilt}, float)
        assert again.clock_shown(CLOCK) == []
