# SPDX-License-Identifier: GPL-3.0-or-later
"""What people are told: each thing once, several things together, and nothing of what comes and goes."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ansible_collections.wildberryeye.orchestrator.plugins.module_utils import alert
from ansible_collections.wildberryeye.orchestrator.plugins.module_utils.alert import HOUR, Desk, Notice
from ansible_collections.wildberryeye.orchestrator.plugins.module_utils.outcome import Outcome

NOW = 1_780_000_000.0
URL = "json://user:secret@127.0.0.1/"
KEY = alert.key(URL)
OTHER = alert.key("ntfy://topic")


def trouble(at: float = NOW, topic: str = "camera/motion", text: str = "does not record", run: str = "") -> Notice:
    return Notice(at, topic, True, text, run)


def well(at: float = NOW, topic: str = "camera/motion", text: str = "records again", run: str = "") -> Notice:
    return Notice(at, topic, False, text, run)


def told(desk: Desk, *notices: Notice, now: float | None = None, keys: tuple[str, ...] = (KEY,)) -> list[str]:
    """What people are told of these notices, all of which is delivered at once."""
    desk.take(notices, max([NOW, *(each.at for each in notices)]) if now is None else now, keys)
    alerts = list(desk.alerts)
    for key in keys:
        desk.delivered(key, desk.waiting(key))
    return [each.text for each in alerts]


def again(desk: Desk) -> Desk:
    """The desk of a sender that was killed and has come back."""
    return Desk.read(desk.written())


# --- each thing once ------------------------------------------------------------------------------


def test_trouble_is_told_once_and_that_it_is_over_once() -> None:
    desk = Desk()
    assert told(desk, trouble()) == ["does not record"]
    assert told(desk, trouble(NOW + 60)) == []
    assert told(desk, well(NOW + 120)) == ["records again"]
    assert told(desk, well(NOW + 180)) == []


def test_that_all_is_well_is_no_news() -> None:
    desk = Desk()
    assert told(desk, well(), well(topic="home/motion")) == [] and not desk.at_work and desk.topics == {}


@pytest.mark.parametrize(("hours", "texts"), [(3.99, []), (4, ["still: does not record"])])
def test_trouble_that_goes_on_is_told_again_after_four_hours_and_no_sooner(hours: float, texts: list[str]) -> None:
    desk = Desk()
    told(desk, trouble())
    assert told(again(desk), trouble(NOW + hours * HOUR)) == texts


def test_a_night_of_stops_that_fail_every_quarter_of_an_hour_is_two_messages() -> None:
    desk = Desk()
    texts = [told(desk, trouble(NOW + quarter * 900, "home/motion", "not home")) for quarter in range(24)]
    assert [each for each in texts if each] == [["not home"], ["still: not home"]]


def test_what_was_told_is_not_told_again_by_a_sender_that_was_killed() -> None:
    desk = Desk()
    told(desk, trouble())
    assert told(again(desk), trouble(NOW + 60)) == []
    assert told(again(desk), well(NOW + 60)) == ["records again"]


def test_notices_that_are_taken_in_twice_change_nothing() -> None:
    notices = [trouble(), well(NOW + 1), trouble(NOW + 2)]
    desk = Desk()
    assert len(told(desk, *notices)) == 3
    desk = again(desk)
    assert told(desk, *notices) == [] and desk.topics["camera/motion"].bad


def test_a_clock_that_was_set_back_silences_nothing() -> None:
    desk = Desk()
    told(desk, trouble(NOW + 400 * 24 * HOUR))
    assert told(desk, trouble(NOW)) == [] and told(desk, trouble(NOW + 4 * HOUR)) == ["still: does not record"]
    assert told(desk, well(NOW + 4 * HOUR + 1)) == ["records again"]


# --- what comes and goes --------------------------------------------------------------------------


def flapped(desk: Desk, apart: float = 600) -> list[list[str]]:
    changes = [trouble, well] * 5
    return [told(desk, change(NOW + number * apart)) for number, change in enumerate(changes)]


def test_what_comes_and_goes_is_told_to_do_so_once_and_then_no_more() -> None:
    desk = Desk()
    texts = flapped(desk)
    assert texts[:3] == [["does not record"], ["records again"], ["does not record"]]
    assert "comes and goes, 4 changes within 2 h" in texts[3][0] and texts[3][0].endswith("Now: records again")
    assert texts[4:] == [[]] * 6


def test_what_changes_now_and_then_does_not_count_as_flapping() -> None:
    assert all(len(texts) == 1 and "comes and goes" not in texts[0] for texts in flapped(Desk(), apart=2401))


@pytest.mark.parametrize(
    ("last", "text"),
    [(well, "calm for 1 h now: records again"), (trouble, "calm for 1 h now: does not record")],
)
def test_what_is_calm_again_is_told_once_as_it_is(last: Any, text: str) -> None:
    desk = Desk()
    flapped(desk)
    end = NOW + 6000
    told(desk, (trouble if last is well else well)(end - 300), last(end))
    # Whatever is found meanwhile, the sender stays until it can say so.
    assert told(desk, last(end + 1800)) == [] and desk.at_work
    assert told(desk, now=end + 3599) == []
    desk = again(desk)
    assert told(desk, now=end + 3601) == [text]
    assert not desk.at_work and told(desk, now=end + 7300) == []
    if last is trouble:
        assert told(desk, well(end + 8000)) == ["records again"]


def test_one_that_flaps_silences_no_other() -> None:
    desk = Desk()
    flapped(desk)
    assert told(desk, trouble(NOW + 6000, "camera/object")) == ["does not record"]


def test_a_clock_that_was_set_back_keeps_nothing_flapping_for_ever() -> None:
    desk = Desk()
    flapped(desk)
    earlier = NOW - 400 * 24 * HOUR
    assert told(desk, now=earlier) == [] and len(told(desk, now=earlier + alert.CALM)) == 1


# --- runs that timers begin -----------------------------------------------------------------------

RUN = alert.run_topic("stop")


def test_a_run_that_has_told_what_was_wrong_is_not_told_to_have_failed_besides() -> None:
    desk = Desk()
    notices = [trouble(NOW, "home/motion", "not home"), well(NOW + 1, RUN, run="one"), trouble(NOW + 2, RUN, run="one")]
    assert told(desk, *notices) == ["not home"]
    assert told(again(desk), trouble(NOW + 3, RUN, run="one")) == []


def test_a_run_that_failed_before_its_end_is_told_and_that_the_next_one_did_not() -> None:
    desk = Desk()
    told(desk, well(NOW, RUN, run="one"))
    assert told(desk, trouble(NOW + 900, RUN, "failed before its end", "two")) == ["failed before its end"]
    assert told(desk, well(NOW + 1800, RUN, "has run", "three")) == ["has run"]


ROW = Outcome("motion", "home", 3, 10, "", False)


@pytest.mark.parametrize(
    ("asked", "words", "failed", "next_", "found"),
    [
        ("start", "recording", False, "", {"camera/motion": False}),
        ("start", "not recording", True, "sudo", {"camera/motion": True}),
        ("start", "recording, not collected", True, "x", {"camera/motion": False, "home/motion": True}),
        ("restart", "recording", False, "", {"camera/motion": False}),
        ("stop", "home", False, "", {"home/motion": False}),
        ("stop", "not home", True, "unreachable by SSH (x)", {"home/motion": True}),
        ("stop", "given up", False, "", {"camera/motion": False, "home/motion": False}),
        ("collect", "collected", False, "", {"home/motion": False}),
        ("collect", "not collected", True, "2 MB needed there", {"home/motion": True}),
        ("collect", "not collected", True, "unreachable by SSH (x)", {}),
        ("collect", "left alone", False, "another", {}),
    ],
)
def test_what_became_of_a_camera_is_what_is_noticed(
    asked: str, words: str, failed: bool, next_: str, found: dict[str, bool]
) -> None:
    row = ROW._replace(words=words, failed=failed, next=next_)
    noticed = alert.of_run(asked, [row], True)
    assert {each["topic"]: each["bad"] for each in noticed} == found
    assert all(next_ in each["text"] for each in noticed if each["bad"])
    assert all(("any longer" in each["text"]) == (words == "given up") for each in noticed if not each["bad"])
    # By hand, somebody reads the table.
    assert alert.of_run(asked, [row], False) == [each for each in noticed if not each["bad"]]


# --- messages -------------------------------------------------------------------------------------


def message(desk: Desk, now: float = NOW, key: str = KEY) -> tuple[str, str, bool]:
    return alert.message(desk.waiting(key), "pi5", now)


def test_several_cameras_at_one_moment_are_one_message() -> None:
    desk = Desk()
    desk.take([trouble(NOW, f"camera/{name}", f"{name} is out") for name in "abcdef"], NOW, [KEY])
    title, body, bad = message(desk)
    assert title == "WildBerryEye pi5: trouble: a, b, c, d and 2 more" and bad
    assert len(body.splitlines()) == 6 and body.splitlines()[5].endswith("  f: f is out")


def test_a_message_says_what_is_bad_and_what_is_well() -> None:
    desk = Desk()
    desk.take([trouble(NOW), trouble(NOW, "camera/object")], NOW, [KEY])
    desk.take([well(NOW + 9)], NOW + 9, [KEY])
    title, body, bad = message(desk)
    assert title == "WildBerryEye pi5: trouble: object, well again: motion" and bad and len(body.splitlines()) == 3
    told(desk)
    desk.take([well(NOW + 9, "camera/object")], NOW + 9, [KEY])
    assert message(desk)[::2] == ("WildBerryEye pi5: well again: object", False)


def test_what_arrives_late_says_when_it_happened() -> None:
    desk = Desk()
    desk.take([trouble()], NOW, [KEY])
    early, late = message(desk, NOW + 600)[1], message(desk, NOW + 6 * HOUR)[1]
    assert early in late and "could not be sent before" not in early
    assert late.splitlines()[1].endswith("it could not be sent before.")
    assert early.startswith(alert._time(NOW)) and alert._time(NOW + 6 * HOUR) in late


def test_what_a_camera_says_breaks_no_line_of_a_message() -> None:
    notice = Notice.read({**trouble()._asdict(), "text": "a\r\nBcc: x@y\x1b[2J", "topic": "camera/a\nb"})
    desk = Desk()
    desk.take([notice], NOW, [KEY])
    title, body, _ = message(desk)
    assert "\n" not in title and len(body.splitlines()) == 1 and "\x1b" not in body and "Bcc: x@y" in body


# --- deliveries -----------------------------------------------------------------------------------


def test_who_has_got_it_does_not_get_it_again_while_another_waits() -> None:
    desk = Desk()
    desk.take([trouble()], NOW, [KEY, OTHER])
    desk.delivered(KEY, desk.waiting(KEY))
    desk = again(desk)
    assert desk.waiting(KEY) == [] and len(desk.waiting(OTHER)) == 1 and desk.at_work
    desk.delivered(OTHER, desk.waiting(OTHER))
    assert not desk.at_work


def test_an_url_that_is_no_longer_there_is_not_waited_for() -> None:
    desk = Desk()
    desk.take([trouble()], NOW, [KEY, OTHER])
    desk.take([], NOW, [OTHER])
    assert desk.waiting(KEY) == [] and len(desk.waiting(OTHER)) == 1
    desk.take([], NOW, [])
    assert not desk.at_work
    assert told(desk, trouble(topic="camera/object"), keys=()) == []


def test_what_waits_is_bounded_in_number_and_in_time() -> None:
    desk = Desk()
    desk.take([trouble(NOW + number, f"camera/{number}") for number in range(3 * alert.MOST)], NOW + 999, [KEY])
    assert len(desk.alerts) == alert.MOST and desk.alerts[-1].subject == str(3 * alert.MOST - 1)
    desk.take([], NOW + alert.KEEP + 999, [KEY])
    assert desk.alerts == []


def test_what_is_over_is_forgotten_in_time() -> None:
    desk = Desk()
    for number in range(50):
        told(desk, trouble(NOW, f"camera/{number}"), well(NOW + 1, f"camera/{number}"))
    told(desk, now=NOW + 3 * HOUR)
    assert desk.topics == {}


def test_no_secret_is_in_what_is_kept() -> None:
    desk = Desk()
    desk.take([trouble()], NOW, [KEY])
    assert b"secret" not in desk.written() and KEY.encode() in desk.written()


# --- what cannot be read --------------------------------------------------------------------------

GOOD = trouble()._asdict()


@pytest.mark.parametrize(
    "content",
    [
        None,
        [],
        {},
        {**GOOD, "more": 1},
        {**GOOD, "at": "7"},
        {**GOOD, "at": float("nan")},
        {**GOOD, "at": True},
        {**GOOD, "at": -1},
        {**GOOD, "bad": 1},
        {**GOOD, "text": None},
        {**GOOD, "topic": []},
    ],
)
def test_a_notice_that_is_none_is_refused(content: object) -> None:
    with pytest.raises(ValueError):
        Notice.read(content)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"7",
        b"\xff",
        b"[" * 100_000,
        b"{}",
        b'{"format": 2}',
        *(
            json.dumps({"format": 1, "topics": {}, "alerts": [], "reported": {}, **odd}).encode()
            for odd in list[dict[str, Any]](
                (
                    {"topics": []},
                    {"topics": {"a": {"no": 1}}},
                    {"topics": {"a": {"told": "x"}}},
                    {"topics": {"a": {"changes": ["x"]}}},
                    {"topics": {"a": {"flapping": True}}},
                    {"alerts": [{}]},
                    {"alerts": [{"at": 1, "subject": "", "bad": True, "text": 7, "left": []}]},
                    {"alerts": [{"at": 1, "subject": "", "bad": True, "text": "", "left": [7]}]},
                    {"reported": []},
                )
            )
        ),
    ],
    ids=lambda content: str(content[:60]),
)
def test_a_torn_desk_is_refused(content: bytes) -> None:
    with pytest.raises(ValueError):
        Desk.read(content)


SETTINGS = {"notify_urls": [URL], "ping_url": "", "gather": 60}


def test_settings_are_what_was_written() -> None:
    assert alert.settings(SETTINGS) == SETTINGS


@pytest.mark.parametrize(
    "odd",
    [{"notify_urls": "x"}, {"notify_urls": [7]}, {"ping_url": None}, {"gather": 0}, {"gather": "x"}, {"gather": 1e9}],
)
def test_settings_that_are_none_are_refused(odd: dict[str, Any]) -> None:
    contents: list[object] = [{**SETTINGS, **odd}, None, []]
    for content in contents:
        with pytest.raises(ValueError):
            alert.settings(content)
