# SPDX-License-Identifier: GPL-3.0-or-later
"""What people who are not there are told, and what not. No I/O, and no clock of its own.

Whoever notices something writes a notice: a topic, and whether it is in trouble or well. One desk turns notices into
alerts: it tells a change at once, goes on about the same trouble every four hours at most, and keeps silent about what
comes and goes. Every time is in seconds since 1970, by the orchestrator's clock.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import hashlib
import json
import math
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from .errors import one_line
from .outcome import Outcome

FORMAT = 1
HOUR = 3600.0
REPEAT = 4 * HOUR
"""Seconds until trouble that goes on is told again."""
CHANGES = 4
"""So many changes of a topic within `WINDOW`, and it is flapping."""
WINDOW = 2 * HOUR
CALM = HOUR
"""Seconds without a change after which a topic that flapped is calm."""
MOST = 100
"""Alerts that wait to be delivered; an older one gives way."""
KEEP = 7 * 24 * HOUR
"""Seconds after which an alert that could not be delivered is given up."""
LATE = 900.0
"""Seconds after which a delivery is said to be late."""

_GIVEN_UP = "given up"
_TOPIC = 100
"""The longest name of a topic."""


class Notice(NamedTuple):
    """Something that was noticed."""

    at: float
    topic: str
    """What it is about, the last part being its name for people: ``camera/motion``, ``home/motion``, ``run/stop``."""
    bad: bool
    """Whether it is in trouble, or well."""
    text: str = ""
    """What a person should know, in one line."""
    run: str = ""
    """The run of a playbook that says so, where two may report the same one."""

    @classmethod
    def read(cls, content: object) -> Notice:
        """Return the notice that `content`, from JSON, is.

        Raises:
            ValueError: if it is none.
        """
        if not isinstance(content, dict) or content.keys() != set(cls._fields):
            raise ValueError(content)
        found = cls(**content)
        texts = (found.topic, found.text, found.run)
        if not (_is_time(found.at) and isinstance(found.bad, bool) and all(isinstance(text, str) for text in texts)):
            raise ValueError(content)
        return found._replace(topic=one_line(found.topic, _TOPIC), text=one_line(found.text))


@dataclasses.dataclass
class Topic:
    """What is known of one topic.

    Args:
        bad: whether it is in trouble.
        text: what was last said of it.
        told: when people were last told of it.
        changes: when it changed, as far as that counts.
        flapping: whether it comes and goes, so that nothing is told of it.
    """

    bad: bool = False
    text: str = ""
    told: float = 0.0
    changes: list[float] = dataclasses.field(default_factory=list)
    flapping: bool = False


@dataclasses.dataclass
class Alert:
    """One line that people are to be told.

    Args:
        at: when it happened.
        subject: what it is about, in a word or two.
        bad: whether it is trouble.
        text: what is said.
        left: the keys of the URLs that have not got it yet.
    """

    at: float
    subject: str
    bad: bool
    text: str
    left: list[str]


class Desk:
    """All that was noticed and told."""

    def __init__(self) -> None:
        self.topics: dict[str, Topic] = {}
        self.alerts: list[Alert] = []
        self.reported: dict[str, str] = {}
        """For each topic the last run that has reported by itself."""

    def take(self, notices: Iterable[Notice], now: float, keys: Iterable[str]) -> None:
        """Take in what was noticed, and what has become due since.

        Args:
            notices: what is new, in any order.
            now: the time.
            keys: the `key` of each URL that alerts go to.
        """
        keys = list(keys)
        for notice in sorted(notices):
            self._noticed(notice, keys)
        for name, topic in self.topics.items():
            if topic.flapping:
                # A clock that was set back must not silence it for ever.
                topic.changes[-1] = min(topic.changes[-1], now)
                if now - topic.changes[-1] >= CALM:
                    topic.flapping, topic.changes = False, []
                    self._tell(name, topic, now, f"calm for {CALM / HOUR:.0f} h now: {topic.text}", keys)
        for alert in self.alerts:
            alert.left = [key for key in alert.left if key in keys]
        waiting = [alert for alert in self.alerts if alert.left and now - alert.at < KEEP]
        self.alerts = waiting[-MOST:]
        self.topics = {
            name: topic
            for name, topic in self.topics.items()
            if topic.bad or topic.flapping or any(_within(WINDOW, at, now) for at in topic.changes)
        }

    def waiting(self, key: str) -> list[Alert]:
        """Return the alerts that a URL has not got yet."""
        return [alert for alert in self.alerts if key in alert.left]

    def delivered(self, key: str, alerts: Iterable[Alert]) -> None:
        """Note that a URL has got `alerts`."""
        for alert in alerts:
            alert.left.remove(key)
        self.alerts = [alert for alert in self.alerts if alert.left]

    @property
    def at_work(self) -> bool:
        """Whether there is anything left to tell: now, or when something that flaps has become calm."""
        return bool(self.alerts) or any(topic.flapping for topic in self.topics.values())

    def _noticed(self, notice: Notice, keys: list[str]) -> None:
        if notice.run:
            if notice.bad and self.reported.get(notice.topic) == notice.run:
                # That run came to its end, and has told what was wrong itself.
                return
            if not notice.bad:
                self.reported[notice.topic] = notice.run
        topic = self.topics.get(notice.topic)
        if topic is None:
            if not notice.bad:
                return
            topic = self.topics[notice.topic] = Topic()
        if notice.at in topic.changes:
            # Taken in before, by a process that was killed before it could remove the notice.
            return
        if notice.at < topic.told:
            # The clock was set back: count anew from here.
            topic.told = notice.at
        if notice.bad != topic.bad:
            topic.bad, topic.text = notice.bad, notice.text
            topic.changes = [*(at for at in topic.changes if _within(WINDOW, at, notice.at)), notice.at]
            if topic.flapping:
                return
            text = notice.text
            if len(topic.changes) >= CHANGES:
                topic.flapping = True
                text = (
                    f"comes and goes, {len(topic.changes)} changes within {WINDOW / HOUR:.0f} h. Nothing more is said"
                    f" of it until it has stayed as it is for {CALM / HOUR:.0f} h. Now: {text}"
                )
            self._tell(notice.topic, topic, notice.at, text, keys)
        elif notice.bad:
            topic.text = notice.text
            if not topic.flapping and notice.at - topic.told >= REPEAT:
                self._tell(notice.topic, topic, notice.at, f"still: {notice.text}", keys)

    def _tell(self, name: str, topic: Topic, at: float, text: str, keys: list[str]) -> None:
        topic.told = at
        if keys:
            self.alerts.append(Alert(at, name.rpartition("/")[2], topic.bad, text, list(keys)))

    def written(self) -> bytes:
        """Return all of it as JSON."""
        return json.dumps(
            {
                "format": FORMAT,
                "topics": {name: dataclasses.asdict(topic) for name, topic in self.topics.items()},
                "alerts": [dataclasses.asdict(alert) for alert in self.alerts],
                "reported": self.reported,
            }
        ).encode()

    @classmethod
    def read(cls, content: bytes) -> Desk:
        """Return what `written` has written.

        Raises:
            ValueError: if it is something else, or torn.
        """
        desk = cls()
        try:
            found = json.loads(content)
            if found["format"] != FORMAT:
                raise ValueError
            desk.topics = {str(name): Topic(**topic) for name, topic in found["topics"].items()}
            desk.alerts = [Alert(**alert) for alert in found["alerts"]]
            desk.reported = {str(name): str(run) for name, run in found["reported"].items()}
            times = [time for topic in desk.topics.values() for time in (topic.told, *topic.changes)]
            sound = all(_is_time(time) for time in [*times, *(alert.at for alert in desk.alerts)])
            sound &= all(topic.changes or not topic.flapping for topic in desk.topics.values())
            sound &= all(isinstance(key, str) for alert in desk.alerts for key in [*alert.left, alert.text])
        except (KeyError, TypeError, AttributeError, RecursionError):
            sound = False
        if not sound:
            raise ValueError("it is torn or of another version")
        return desk


def key(url: str) -> str:
    """Return what a URL is known by in files: it tells nothing of the secrets in it."""
    return hashlib.sha256(url.encode(errors="replace")).hexdigest()[:16]


def message(alerts: Iterable[Alert], station: str, now: float) -> tuple[str, str, bool]:
    """Return alerts as one message: its title, its text, and whether it is about trouble.

    Args:
        alerts: one or more.
        station: the orchestrator's name.
        now: the time.
    """
    alerts = sorted(alerts, key=lambda alert: alert.at)
    last = {alert.subject: alert.bad for alert in alerts}
    bad, well = ([name for name in last if last[name] is state] for state in (True, False))
    words = [f"trouble: {_some(bad)}"] if bad else []
    words += [f"well again: {_some(well)}"] if well else []
    lines = [f"{_time(alert.at)}  {alert.subject}: {alert.text}" for alert in alerts]
    if now - alerts[0].at >= LATE:
        lines.append(f"Sent at {_time(now)}: it could not be sent before.")
    return one_line(f"WildBerryEye {station}: {', '.join(words)}", 150), "\n".join(lines), bool(bad)


def run_topic(playbook: str) -> str:
    """Return the topic of a timer's runs of a playbook as a whole, e.g. of ``stop``."""
    return f"run/the timer's {playbook}.yml"


def of_run(asked: str, rows: Iterable[Outcome], scheduled: bool) -> list[dict[str, Any]]:
    """Return what the end of a playbook is to be noticed for: topic, bad and text of each notice.

    Args:
        asked: ``start``, ``stop``, ``restart`` or ``collect``.
        rows: what became of each camera.
        scheduled: whether a timer began it. What goes wrong by hand, somebody sees.
    """
    found = []
    for row in rows:
        recording, collected = _judged(asked, row)
        given_up = row.words == _GIVEN_UP
        for topic, well, good, bad in (
            ("camera", recording, "records", f"is not recording after a {asked}: {row.next}"),
            ("home", collected, "its images are home", f"its images are not home: {row.next}"),
        ):
            text = "nobody waits for it any longer" if given_up else good if well else bad
            if well is not None and (well or scheduled):
                found.append({"topic": f"{topic}/{row.camera}", "bad": not well, "text": text})
    return found


def of_heartbeat(found: Mapping[str, Any], scheduled: bool) -> list[dict[str, Any]]:
    """Return likewise what is to be noticed of the heartbeat, by what its module returned; {} where it was not asked.

    Where it failed it does not say whether it watches. The run tells of it at its end, which is not the end before.
    """
    bad = "watching" not in found
    if "msg" not in found or (bad and not scheduled):
        return []
    text = (
        f"cannot be seen to, so that nobody looks after the cameras: {one_line(str(found['msg']))}"
        if bad
        else "is well"
    )
    return [{"topic": "heartbeat/the heartbeat", "bad": bad, "text": text}]


def _judged(asked: str, row: Outcome) -> tuple[bool | None, bool | None]:
    """Return whether the camera records, and whether its images are home; None where that is not known or asked."""
    if row.words == _GIVEN_UP:
        return True, True
    if asked in ("start", "restart"):
        collected = False if row.words == "recording, not collected" else None
        return row.words.startswith("recording"), collected
    if not row.failed:
        return None, row.words in ("home", "idle", "collected", "recording") or None
    # A camera that is out of reach for an hour by day loses nothing, and the heartbeat tells of it.
    return None, None if asked == "collect" and "unreachable by SSH" in row.next else False


def _some(names: list[str]) -> str:
    return ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")


def _time(at: float) -> str:
    try:
        return f"{dt.datetime.fromtimestamp(at):%Y-%m-%d %H:%M}"
    except (ValueError, OverflowError, OSError):
        return "at an unknown time"


def _within(span: float, at: float, now: float) -> bool:
    return 0 <= now - at < span


def _is_time(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and value >= 0


def settings(content: object) -> Mapping[str, Any]:
    """Return what `alerts.json` holds: `notify_urls`, `ping_url`, and `gather`, the seconds that alerts are gathered.

    Raises:
        ValueError: if it is something else.
    """
    if not isinstance(content, dict):
        raise ValueError
    urls, ping, gather = content.get("notify_urls"), content.get("ping_url"), content.get("gather")
    if not (isinstance(urls, list) and all(isinstance(url, str) for url in urls) and isinstance(ping, str)):
        raise ValueError
    if not (_is_time(gather) and 0 < float(str(gather)) <= HOUR):
        raise ValueError
    return {"notify_urls": urls, "ping_url": ping, "gather": gather}
