# SPDX-License-Identifier: GPL-3.0-or-later
"""What the heartbeat knows of one camera, and what it does next. No I/O, and no clock of its own.

Every time is in seconds of one clock that never goes back; who calls says what time it is.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from . import clock, figures
from .names import is_image

# What a probe can find, beside the kinds of CameraError.
FINE = "fine"
EXPECTED = "expected"

# What a camera's state can be.
UNKNOWN = "unknown"
RECORDING = "recording"
DOUBTFUL = "doubtful"
STARTING = "starting"
UNREACHABLE = "unreachable"
DOWN = "down"
WEDGED = "wedged"
FAULTY = "faulty"
DEAD = "dead"
STORAGE = "storage"

RESTART = "restart"
COLLECT = "collect"
_REMEDIES = {DOWN: RESTART, WEDGED: RESTART, FAULTY: RESTART, DEAD: RESTART, EXPECTED: RESTART, STORAGE: COLLECT}
_NEEDED = {STORAGE: 2, EXPECTED: 2, DEAD: 1}
"""Findings in a row that it takes, where it is not `Settings.failures`."""

HOUR = 3600.0
BACK_OFF = (10.0, 20.0, 40.0)
"""Seconds after a remedy that failed until the next one: for the first, second and third failure."""
RARELY = 1800.0
"""Seconds between two remedies once more than these have failed. That makes five in an hour, at the very most."""


class Settings(NamedTuple):
    """What the inventory says, in seconds but for `failures`."""

    interval: float
    timeout: float
    failures: int
    ready_timeout: float

    @property
    def retry(self) -> float:
        """After how many seconds a failure is looked into again."""
        return self.interval / 4


class Look(NamedTuple):
    """What a login on the camera saw."""

    reached: bool
    """Whether there was a login."""
    text: str = ""
    """Why not."""
    active: bool = False
    """Whether the service runs."""
    age: float = 0.0
    """For how many seconds it has been running."""
    process: str = ""
    """Another value after each start of the service."""
    died: float | None = None
    """How many seconds ago a thread of the service died; None if none did."""
    free: int | None = None
    """Bytes that are free on its card; None if it did not say."""


class Finding(NamedTuple):
    """What a probe found."""

    began: float
    """When the probe began."""
    kind: str
    """``fine``, ``expected`` (it can be logged in to, and was never made to record), or a kind of `CameraError`."""
    text: str = ""
    """What is wrong, in one line."""
    restarted: bool = False
    """Whether the service was restarted since the last picture, so that detection was off until now."""
    pictures: tuple[str, ...] = ()
    """The pictures on the card that are the heartbeat's own."""
    look: Look | None = None
    """What a login saw, if there was one in this probe."""


class Event(NamedTuple):
    """Something to be told."""

    name: str
    text: str
    began: float | None = None
    """When what is over now began."""
    details: Mapping[str, Any] = {}
    """What else programs need to know."""


class Budget:
    """How often a remedy may be tried."""

    def __init__(self) -> None:
        self.began: list[float] = []
        self.failed = 0
        self._ended = 0.0

    def allowed_at(self, now: float) -> float:
        """Return from when on the remedy may be tried."""
        if not self.began:
            return now
        if self.rare(now):
            return self.began[-1] + RARELY
        return self._ended + BACK_OFF[self.failed - 1] if self.failed else now

    def rare(self, now: float) -> bool:
        """Tell whether it helped so little, or so briefly, that it is tried only now and then."""
        quick = len(BACK_OFF) + 1
        return self.failed >= quick or sum(began > now - HOUR for began in self.began) >= quick

    def begin(self, now: float) -> None:
        """Note that it is being tried."""
        self.began = [began for began in self.began if began > now - HOUR] + [now]

    def end(self, now: float, helped: bool) -> None:
        """Note how it ended."""
        self._ended = now
        self.failed = 0 if helped else self.failed + 1


class Watch:
    """One camera.

    Args:
        settings: what the inventory says.
        phase: seconds into each interval at which the camera is probed.
        now: the time.
        last_good: when it was last known to record, or should have begun to.
    """

    def __init__(self, settings: Settings, phase: float, now: float, last_good: float) -> None:
        self.settings = settings
        self.state = UNKNOWN
        self.text = ""
        self.since = now
        """Since when it is in this state."""
        self.last_good = last_good
        self.pictures: tuple[str, ...] = ()
        self.clock_offset: float | None = None
        """How far its clock was ahead when that was last told."""
        self.remedy: str | None = None
        """The remedy that is being tried."""
        self.budgets = {RESTART: Budget(), COLLECT: Budget()}
        self._phase = phase
        self.next_probe = self._slot(now)
        self._round = 0
        self._failures = 0
        self._timeouts = 0
        self._starting_since: float | None = None
        self._look: Look | None = None
        self._process = ""
        self._restarted = False
        """Whether a probe that failed afterwards has seen that the service was restarted."""
        self._blind = 0
        """How many logins in a row have failed while the port was fine."""
        self._unjudged = False
        """Whether its state must be found anew before anything is tried: somebody was at work on it since."""
        self._valid_from = now
        self._degraded = False

    @property
    def degraded(self) -> bool:
        """Whether restarts have stopped helping, so that they are tried only now and then."""
        return self._degraded

    @property
    def wants_look(self) -> bool:
        """Whether the next probe should log in as well: now and then, and where a decision hangs on it."""
        return (
            self._round % 3 == 0
            or self._failures == self.settings.failures - 1
            or self.state not in (UNKNOWN, RECORDING, DOUBTFUL, UNREACHABLE)
        )

    def patience(self, now: float) -> float:
        """Return how many seconds the next probe waits for an answer.

        A request that is given up leaves a thread behind in the camera, which may store its picture much
        later. After a few of them one is left waiting, until there is something else to try.
        """
        until = now
        if self._timeouts >= self.settings.failures:
            if self.state == STARTING and self._starting_since is not None:
                until = self._starting_since + self.settings.ready_timeout
            elif self.state == WEDGED:
                until = self.budgets[RESTART].allowed_at(now)
        return max(self.settings.timeout, until - now)

    def probed(self, now: float, finding: Finding) -> list[Event]:
        """Take in what a probe found; return what is to be told."""
        self._round += 1
        self.pictures = finding.pictures
        if self.remedy == RESTART or finding.began < self._valid_from:
            # It began before the restart, and says nothing any more.
            self.next_probe = self._slot(now)
            return []
        self._look = finding.look or self._look
        self._restarted |= finding.restarted
        died = finding.look.died if finding.look else None
        if finding.kind == FINE and died is None:
            return self._fine(now, finding)
        if finding.kind == FINE and died is not None:
            # The port is fine all the same; since when nothing is recorded, the camera's journal knows.
            self.last_good = min(self.last_good, now - died)
        return self._failed(now, finding)

    def clock_shown(self, found: clock.Estimate | None) -> list[Event]:
        """Take in how far its clock is ahead; return what is to be told. How it was at first, a start has told."""
        before = self.clock_offset
        if found is None or (before is not None and abs(found.offset - before) < clock.NOTICEABLE):
            return []
        self.clock_offset = found.offset
        if before is None:
            return []
        text = f"its clock has changed by {figures.about(found.offset - before)} and is {clock.said(found.offset)} now"
        return [Event("clock", text, None, {"by": "heartbeat", **found._asdict(), "before": before})]

    def left_alone(self, now: float) -> None:
        """Note that somebody else is at work on the camera: what was found before counts no more."""
        self._forget()
        self._unjudged = True
        self._valid_from = now
        self._round = 0
        self.next_probe = now + self.settings.retry

    def wanted(self, now: float) -> str | None:
        """Return the remedy that is to be tried now, if any."""
        remedy = None if self.remedy or self._unjudged else _REMEDIES.get(self.state)
        return remedy if remedy and self.budgets[remedy].allowed_at(now) <= now else None

    def remedy_began(self, now: float, remedy: str) -> list[Event]:
        """Note that `remedy` is being tried."""
        self.remedy = remedy
        self.budgets[remedy].begin(now)
        return [Event(f"{remedy}ing", self.text)]

    def remedy_ended(self, now: float, helped: bool, text: str) -> list[Event]:
        """Note how the remedy ended."""
        remedy, self.remedy = self.remedy, None
        if remedy is None:
            raise RuntimeError("no remedy is under way")
        budget = self.budgets[remedy]
        budget.end(now, helped)
        events = []
        if not helped:
            events.append(Event(f"{remedy} failed", text))
        elif remedy == RESTART:
            events.append(self._gap(now))
            self._settle(now)
        else:
            # Whether it has helped, the next probe says.
            self._forget()
            self._become(DOUBTFUL, now, text)
        if remedy == RESTART:
            self._forget()
            self._valid_from = now
            self._process = ""
            if not helped:
                # One probe judges it anew before the next attempt: it may be out of reach by now.
                self._failures, self._unjudged = self.settings.failures, True
            if budget.rare(now) and not self._degraded:
                self._degraded = True
                events.append(Event("degraded", degraded_text()))
            elif helped and not budget.rare(now):
                self._degraded = False
        self.next_probe = min(now + self.settings.retry, self._slot(now))
        return events

    def memory(self, written: Callable[[float], Any]) -> dict[str, Any]:
        """Return what a heartbeat that is started again must know; `written` says how to write a time."""
        return {
            "state": self.state,
            "text": self.text,
            "since": written(self.since),
            "last_good": written(self.last_good),
            "pictures": list(self.pictures),
            "process": self._process,
            "degraded": self._degraded,
            "restarts": len(self.budgets[RESTART].began),
            "tried": {
                name: {"at": [written(began) for began in budget.began], "failed": budget.failed}
                for name, budget in self.budgets.items()
            },
        }

    def remember(self, memory: Mapping[str, Any], read: Callable[[Any], float]) -> None:
        """Take over what `memory` of an earlier heartbeat says; `read` reads a time.

        Raises:
            KeyError, TypeError, ValueError: if it is not what `memory` returns; nothing is taken over then.
        """
        last_good = read(memory["last_good"])
        pictures = tuple(name for name in memory["pictures"] if is_image(name))
        degraded = bool(memory["degraded"])
        tried = {
            name: (sorted(read(at) for at in memory["tried"][name]["at"]), memory["tried"][name]["failed"])
            for name in self.budgets
        }
        if not all(isinstance(failed, int) and failed >= 0 for _unused, failed in tried.values()):
            raise ValueError(tried)
        offset = memory.get("clock_offset")
        self.clock_offset = offset if isinstance(offset, float) and math.isfinite(offset) else None
        # Another one now, and it was restarted while nobody looked, whoever has made it detect since.
        self._process = str(memory.get("process") or "")
        self.last_good, self.pictures, self._degraded = last_good, pictures, degraded
        for name, (began, failed) in tried.items():
            self.budgets[name].began, self.budgets[name].failed = began, failed
            self.budgets[name]._ended = max(began, default=0.0)

    def _fine(self, now: float, finding: Finding) -> list[Event]:
        process = finding.look.process if finding.look else ""
        unseen = bool(process and self._process and process != self._process)
        events = []
        if self._restarted or unseen:
            events.append(self._gap(now))
        elif self.state not in (UNKNOWN, RECORDING, DOUBTFUL):
            on = "it recorded on meanwhile" if self.state == UNREACHABLE else "whether it recorded is not known"
            events.append(
                Event("back", f"answers again after {figures.span(now - self.last_good)}; {on}", self.last_good)
            )
        if finding.look is not None:
            self._blind = 0 if finding.look.reached else self._blind + 1
            if self._blind == 2:
                events.append(
                    Event("blind", f"records, but whether it goes on nobody sees; by SSH: {finding.look.text}")
                )
        # After a restart that was seen, another process than before is no news.
        self._process = process or ("" if finding.restarted else self._process)
        # It works: what failed before is over, however it came to an end. The hour's count stays.
        for budget in self.budgets.values():
            budget.failed = 0
        self._degraded = self._degraded and self.budgets[RESTART].rare(now)
        self._settle(now)
        return events

    def _failed(self, now: float, finding: Finding) -> list[Event]:
        self._failures += 1
        self._timeouts += finding.kind == "timeout"
        state = self._classified(now, finding.kind)
        if self._failures < _NEEDED.get(state, self.settings.failures):
            if self.state in (UNKNOWN, RECORDING):
                self._become(DOUBTFUL, now, finding.text)
            self.next_probe = min(now + self.settings.retry, self._slot(now))
            return []
        events = []
        text = self._said(state, finding)
        if self.state != state and state != STARTING:
            events.append(Event(state, text))
        self._become(state, now, text)
        self._unjudged = False
        # Nothing listens, so that asking again costs nothing; where something hangs, a request may hang as well.
        soon = finding.kind in ("refused", "unreachable", EXPECTED)
        self.next_probe = min(now + self.settings.retry, self._slot(now)) if soon else self._slot(now)
        return events

    def _classified(self, now: float, kind: str) -> str:
        if kind == FINE:
            return DEAD
        if kind in (EXPECTED, STORAGE):
            return kind
        look = self._look
        if look is None or not look.reached:
            # Without a login there is no restart either.
            self._starting_since = None
            return UNREACHABLE
        if look.active and look.age < self.settings.ready_timeout and kind != "answer":
            self._starting_since = now if self._starting_since is None else self._starting_since
            if now - self._starting_since < self.settings.ready_timeout:
                return STARTING
        return {"refused": DOWN, "answer": FAULTY}.get(kind, WEDGED)

    def _said(self, state: str, finding: Finding) -> str:
        look = self._look
        if state == DEAD:
            return "its port answers, but its detection has died"
        if state == EXPECTED:
            return "it was never made to record"
        if state == UNREACHABLE and look is not None and look.text:
            return f"{finding.text}; by SSH: {look.text}"
        if state == STARTING:
            return f"its service was started a moment ago; {finding.text}"
        return finding.text

    def _gap(self, now: float) -> Event:
        why = self.text if self.state not in (UNKNOWN, RECORDING, DOUBTFUL) else "its service was restarted"
        return Event("gap", f"records again after {figures.span(now - self.last_good)}: {why}", self.last_good)

    def _settle(self, now: float) -> None:
        self.last_good = now
        self._restarted = self._unjudged = False
        self._forget()
        self._become(RECORDING, now, "")
        self.next_probe = self._slot(now)

    def _forget(self) -> None:
        self._failures = self._timeouts = 0
        self._starting_since = self._look = None

    def _become(self, state: str, now: float, text: str) -> None:
        if self.state != state:
            self.state, self.since = state, now
        self.text = text

    def _slot(self, now: float) -> float:
        """Return the camera's next turn: its phase in this interval or the next."""
        interval = self.settings.interval
        return now + interval - (now - self._phase) % interval


def degraded_text() -> str:
    """Return what is said of a camera that restarts have stopped helping."""
    return f"restarts do not help for long; tried every {figures.span(RARELY)}"
