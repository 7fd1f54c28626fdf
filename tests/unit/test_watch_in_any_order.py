# SPDX-License-Identifier: GPL-3.0-or-later
"""In no sequence of faults is a camera given up, or restarted to death."""

from __future__ import annotations

from typing import NamedTuple

from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.wildberryeye.orchestrator.plugins.module_utils import watch
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
from unit.watched_camera import AWAY, OLD, REMEDIES, SETTINGS, STOPPED, YOUNG


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
