# SPDX-License-Identifier: GPL-3.0-or-later
"""Which experiment an image belongs to: an hour too early or too late, and a night is split in two."""

from __future__ import annotations

import datetime as dt
from typing import Any

import hypothesis
import pytest
from hypothesis import strategies as st

from ansible_collections.wildberryeye.orchestrator.plugins.module_utils import experiment, names
from ansible_collections.wildberryeye.orchestrator.plugins.module_utils.errors import Error
from ansible_collections.wildberryeye.orchestrator.plugins.module_utils.experiment import Opened
from ansible_collections.wildberryeye.orchestrator.plugins.module_utils.record import CameraRecord, Record

pytestmark = pytest.mark.usefixtures("in_berlin")

ONE = dt.time(1)
BOTH = {"object": "object", "motion": "motion"}


def at(text: str, fold: int = 0) -> dt.datetime:
    """The time on the wall in Berlin."""
    return dt.datetime.fromisoformat(text).replace(fold=fold).astimezone()


class Book:
    """Records, as the module keeps them."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.directories: set[str] = set()

    def start(
        self, when: dt.datetime, cameras: dict[str, str] | None = None, wanted: str | None = None, stop: dt.time = ONE
    ) -> Opened:
        opened = experiment.open_or_resume(
            self.records, BOTH if cameras is None else cameras, when, stop, wanted, self.directories.__contains__
        )
        if opened.record not in self.records:
            self.records.insert(0, opened.record)
        self.directories.add(opened.record.id)
        experiment.note_recording(opened.record, cameras or BOTH, when.isoformat())
        return opened

    def stop(self, *cameras: str) -> None:
        experiment.close(self.records, cameras or BOTH)

    def home(self, *cameras: str) -> None:
        for found in self.records:
            for camera in cameras or BOTH:
                experiment.note_home(found, camera, [], "2026-05-23T01:00:00+02:00")


@pytest.fixture
def book() -> Book:
    return Book()


def states(record: Record) -> dict[str, str]:
    return {name: camera.state for name, camera in record.cameras.items()}


def test_it_bears_the_date_on_which_it_began(book: Book) -> None:
    opened = book.start(at("2026-05-22T07:00"))
    assert (opened.record.id, opened.resumed) == ("2026-05-22", False)
    assert opened.record.window_end == "2026-05-23T01:00:00+02:00"
    assert opened.changed == [opened.record] and opened.record.state == "recording"


@pytest.mark.parametrize("again", ["2026-05-22T07:00", "2026-05-22T12:00", "2026-05-23T00:30", "2026-05-23T00:59"])
def test_a_start_within_its_window_goes_on_with_it(book: Book, again: str) -> None:
    first = book.start(at("2026-05-22T07:00")).record
    opened = book.start(at(again))
    assert opened.record is first and opened.resumed and opened.changed == []


def test_after_its_window_a_new_one_begins_and_the_old_one_is_closed_first(book: Book) -> None:
    old = book.start(at("2026-05-22T07:00")).record
    opened = book.start(at("2026-05-23T01:00"))
    assert opened.record.id == "2026-05-23" and not opened.resumed
    assert states(old) == {"object": "closing", "motion": "closing"}
    assert opened.changed == [opened.record, old]


def test_one_forgotten_for_days_takes_none_of_todays_images(book: Book) -> None:
    old = book.start(at("2026-05-22T07:00")).record
    assert book.start(at("2026-05-25T07:00")).record.id == "2026-05-25"
    assert old.state == "closing"


def test_a_start_at_half_past_midnight_with_nothing_open_ends_at_one(book: Book) -> None:
    opened = book.start(at("2026-05-23T00:30"))
    assert (opened.record.id, opened.record.window_end) == ("2026-05-23", "2026-05-23T01:00:00+02:00")
    assert book.start(at("2026-05-23T07:00")).record.id == "2026-05-23_2"


def test_a_start_after_a_stop_within_the_window_mixes_nothing_into_the_stopped_one(book: Book) -> None:
    book.start(at("2026-05-22T07:00"))
    book.stop()
    second = book.start(at("2026-05-22T12:00"))
    book.stop()
    book.home()
    third = book.start(at("2026-05-22T15:00"))
    assert (second.record.id, third.record.id) == ("2026-05-22_2", "2026-05-22_3")
    assert not second.resumed and not third.resumed


def test_a_directory_without_a_record_is_nobody_elses(book: Book) -> None:
    book.directories = {"2026-05-22", "2026-05-22_2"}
    assert book.start(at("2026-05-22T07:00")).record.id == "2026-05-22_3"


def test_a_person_may_name_it_and_comes_back_to_it_by_that_name_even_after_its_window(book: Book) -> None:
    first = book.start(at("2026-05-22T07:00"), wanted="meadow").record
    assert first.id == "meadow"
    assert book.start(at("2026-05-22T09:00")).record is first
    assert book.start(at("2026-05-24T09:00"), wanted="meadow").record is first


def test_naming_another_one_closes_the_one_that_is_open(book: Book) -> None:
    first = book.start(at("2026-05-22T07:00")).record
    second = book.start(at("2026-05-22T09:00"), wanted="meadow").record
    assert (first.state, second.id, second.state) == ("closing", "meadow", "recording")


def test_a_name_used_before_is_numbered_and_stays_a_name_that_images_can_go_home_under(book: Book) -> None:
    longest = "x" * 63
    for expected in (longest, "x" * 61 + "_2", "x" * 61 + "_3"):
        opened = book.start(at("2026-05-22T07:00"), wanted=names.experiment_id(longest))
        assert opened.record.id == expected and names.is_experiment(opened.record.id)
        book.stop()


def test_starting_one_camera_leaves_the_other_one_recording_where_it_records(book: Book) -> None:
    old = book.start(at("2026-05-22T07:00")).record
    new = book.start(at("2026-05-23T07:00"), {"object": "object"}).record
    assert states(old) == {"object": "closing", "motion": "recording"} and states(new) == {"object": "recording"}
    assert old.state == "recording"


def test_stopping_one_camera_leaves_the_other_one_recording(book: Book) -> None:
    found = book.start(at("2026-05-22T07:00")).record
    book.stop("object")
    assert states(found) == {"object": "closing", "motion": "recording"} and found.state == "recording"


def test_a_camera_stopped_alone_comes_back_into_the_same_experiment(book: Book) -> None:
    found = book.start(at("2026-05-22T07:00")).record
    book.stop("object")
    book.home("object")
    assert states(found)["object"] == "home" and found.closed is None
    opened = book.start(at("2026-05-22T12:00"))
    assert opened.record is found and states(found) == {"object": "recording", "motion": "recording"}
    assert found.cameras["object"].since == at("2026-05-22T07:00").isoformat()


def test_a_camera_added_at_noon_joins_it(book: Book) -> None:
    found = book.start(at("2026-05-22T07:00"), {"object": "object"}).record
    opened = book.start(at("2026-05-22T12:00"))
    assert opened.record is found and opened.changed == [found]
    assert states(found) == {"object": "recording", "motion": "recording"}


def test_a_camera_put_into_the_other_group_records_on(book: Book) -> None:
    found = book.start(at("2026-05-22T07:00")).record
    opened = book.start(at("2026-05-22T12:00"), {"object": "motion", "motion": "motion"})
    assert opened.changed == [found] and found.cameras["object"].mode == "motion"
    assert found.cameras["object"].since is not None and states(found)["object"] == "recording"


def test_noting_late_that_it_records_does_not_open_what_was_asked_to_stop(book: Book) -> None:
    found = book.start(at("2026-05-22T07:00")).record
    book.stop()
    assert not experiment.note_recording(found, ["object", "stranger"], "now")
    assert states(found)["object"] == "closing"


def test_noting_twice_is_no_news_and_keeps_the_first_time() -> None:
    found = Record("x", "", "", cameras={"object": CameraRecord("object")})
    assert experiment.note_recording(found, ["object"], "first")
    assert not experiment.note_recording(found, ["object"], "second")
    assert found.cameras["object"].since == "first"


def test_it_is_closed_when_the_last_camera_is_home_and_that_is_no_news_twice(book: Book) -> None:
    found = book.start(at("2026-05-22T07:00")).record
    book.stop()
    archives: list[dict[str, object]] = [{"name": "a.zip", "images": 1, "bytes": 2}]
    assert experiment.note_home(found, "object", archives, "1") and found.closed is None
    assert not experiment.note_home(found, "object", archives, "2")
    assert experiment.note_home(found, "motion", [], "3") and found.closed == "3" and found.state == "closed"
    assert not experiment.note_home(found, "stranger", [], "4")


def test_a_late_archive_is_noted_and_does_not_change_when_it_closed(book: Book) -> None:
    found = book.start(at("2026-05-22T07:00")).record
    book.stop()
    book.home()
    closed = found.closed
    assert experiment.note_home(found, "object", [{"name": "x_part2.zip", "images": 1, "bytes": 1}], "later")
    assert found.closed == closed and found.cameras["object"].archives[0]["name"] == "x_part2.zip"


def test_one_given_up_is_waited_for_no_longer_whether_it_records_or_not(book: Book) -> None:
    old = book.start(at("2026-05-22T07:00")).record
    new = book.start(at("2026-05-23T07:00")).record
    assert experiment.give_up(book.records, ["object"]) == [new, old]
    assert states(old)["object"] == states(new)["object"] == "given_up"
    assert experiment.give_up(book.records, ["object"]) == []


def test_giving_up_takes_nothing_from_a_camera_that_is_home(book: Book) -> None:
    found = book.start(at("2026-05-22T07:00")).record
    book.stop()
    book.home()
    assert experiment.give_up([found], ["object"]) == [] and states(found)["object"] == "home"


def test_what_lies_loose_belongs_to_where_its_camera_recorded_last() -> None:
    def one(name: str, since: str | None) -> Record:
        return Record(name, "", "", cameras={"object": CameraRecord("object", "closing", since)})

    records = [one("new", None), one("middle", "x"), one("old", "x")]
    assert experiment.last_of(records, "object") == "middle"
    assert experiment.last_of(records, "motion") == experiment.last_of([], "object") == "unclaimed"


def test_looking_for_a_camera_finds_the_latest_in_that_state(book: Book) -> None:
    old = book.start(at("2026-05-22T07:00")).record
    new = book.start(at("2026-05-23T07:00")).record
    assert experiment.open_for(book.records, "object", ["recording"]) is new
    assert experiment.open_for(book.records, "object", ["closing"]) is old
    assert experiment.open_for(book.records, "object", ["home"]) is None


@pytest.mark.parametrize(
    ("opened", "stop", "end"),
    [
        # The clocks go forward in the night to 29 March 2026, and back in the night to 25 October.
        ("2026-03-28T07:00", "01:00", "2026-03-29T01:00:00+01:00"),
        ("2026-03-28T07:00", "04:00", "2026-03-29T04:00:00+02:00"),
        ("2026-03-28T07:00", "02:30", "2026-03-29T03:30:00+02:00"),
        ("2026-03-29T01:30", "02:30", "2026-03-29T03:30:00+02:00"),
        ("2026-10-24T07:00", "01:00", "2026-10-25T01:00:00+02:00"),
        ("2026-10-24T07:00", "02:30", "2026-10-25T02:30:00+02:00"),
        ("2026-10-24T07:00", "04:00", "2026-10-25T04:00:00+01:00"),
        ("2026-05-22T00:00", "00:00", "2026-05-23T00:00:00+02:00"),
        ("2026-12-31T23:59", "01:00", "2027-01-01T01:00:00+01:00"),
    ],
)
def test_the_clock_on_the_wall_ends_it_on_every_night_of_the_year(opened: str, stop: str, end: str) -> None:
    found = experiment.window_end(at(opened), dt.time.fromisoformat(stop))
    assert found.astimezone() == dt.datetime.fromisoformat(end) and found > at(opened)


@pytest.mark.parametrize(
    ("opened", "fold", "end"),
    [
        ("2026-10-25T02:10", 0, "2026-10-25T02:30:00+02:00"),
        ("2026-10-25T02:40", 0, "2026-10-25T02:30:00+01:00"),
        ("2026-10-25T02:10", 1, "2026-10-25T02:30:00+01:00"),
        ("2026-10-25T02:40", 1, "2026-10-26T02:30:00+01:00"),
    ],
)
def test_an_hour_shown_twice_never_ends_it_before_it_began(opened: str, fold: int, end: str) -> None:
    assert experiment.window_end(at(opened, fold), dt.time(2, 30)) == dt.datetime.fromisoformat(end)


def test_every_minute_of_the_year_has_its_end_ahead_and_within_a_day() -> None:
    now = at("2026-01-01T00:00")
    for step in range(0, 366 * 24 * 60, 97):
        opened = now + dt.timedelta(minutes=step)
        for stop in (dt.time(1), dt.time(2, 30), dt.time(0), dt.time(23, 59)):
            ahead = experiment.window_end(opened, stop) - opened
            assert dt.timedelta(0) < ahead <= dt.timedelta(hours=25)


def test_the_night_of_the_change_stays_one_experiment(book: Book) -> None:
    first = book.start(at("2026-10-24T07:00"), stop=dt.time(4)).record
    for moment in (at("2026-10-25T02:30"), at("2026-10-25T02:30", fold=1), at("2026-10-25T03:59")):
        assert book.start(moment, stop=dt.time(4)).record is first
    assert book.start(at("2026-10-25T04:00"), stop=dt.time(4)).record.id == "2026-10-25"


def test_nothing_is_changed_where_nothing_is_to_record() -> None:
    records: list[Any] = []
    assert experiment.close(records, ["object"]) == [] and experiment.give_up(records, ["object"]) == []


SEVEN = dt.time(7)
DAY = [("2026-05-22T07:00", "2026-05-22T07:00"), ("2026-05-22T23:59", "2026-05-22T07:00")]
DAY += [("2026-05-23T00:59", "2026-05-22T07:00"), ("2026-05-23T07:00", "2026-05-23T07:00")]


@pytest.mark.parametrize(("now", "begun"), DAY)
def test_a_timer_that_fires_late_by_day_knows_when_the_day_began(now: str, begun: str) -> None:
    assert experiment.window_begin(at(now), SEVEN, ONE) == at(begun)


@pytest.mark.parametrize("now", ["2026-05-23T01:00", "2026-05-23T04:00", "2026-05-23T06:59:59"])
def test_between_stop_and_start_it_is_night(now: str) -> None:
    assert experiment.window_begin(at(now), SEVEN, ONE) is None


@pytest.mark.parametrize(
    ("now", "begun"),
    [
        ("2026-05-22T09:59", None),
        ("2026-05-22T10:00", "2026-05-22T10:00"),
        ("2026-05-22T15:59", "2026-05-22T10:00"),
        ("2026-05-22T16:00", None),
        ("2026-05-23T00:00", None),
    ],
)
def test_hours_that_do_not_pass_midnight_begin_and_end_on_one_day(now: str, begun: str | None) -> None:
    assert experiment.window_begin(at(now), dt.time(10), dt.time(16)) == (at(begun) if begun else None)


def test_where_it_starts_when_it_stops_there_is_no_night() -> None:
    assert experiment.window_begin(at("2026-05-23T06:59"), SEVEN, SEVEN) == at("2026-05-22T07:00")
    assert experiment.window_begin(at("2026-05-23T07:00"), SEVEN, SEVEN) == at("2026-05-23T07:00")


@pytest.mark.parametrize(
    ("now", "fold", "start", "stop", "begun"),
    [
        # The clocks go forward in the night to 29 March 2026, and back in the night to 25 October.
        ("2026-03-29T03:29", 0, "02:30", "18:00", None),
        ("2026-03-29T03:30", 0, "02:30", "18:00", "2026-03-29T03:30:00+02:00"),
        ("2026-03-29T03:30", 0, "20:00", "02:30", None),
        ("2026-03-29T01:59", 0, "20:00", "02:30", "2026-03-28T20:00:00+01:00"),
        ("2026-10-25T02:40", 0, "02:30", "18:00", "2026-10-25T02:30:00+02:00"),
        ("2026-10-25T02:10", 1, "02:30", "18:00", "2026-10-25T02:30:00+02:00"),
        ("2026-10-25T02:40", 1, "02:30", "18:00", "2026-10-25T02:30:00+02:00"),
        ("2026-10-25T02:29", 0, "20:00", "02:30", "2026-10-24T20:00:00+02:00"),
        ("2026-10-25T02:30", 0, "20:00", "02:30", None),
        ("2026-10-25T02:10", 1, "20:00", "02:30", None),
        ("2026-10-25T06:59", 0, "07:00", "07:00", "2026-10-24T07:00:00+02:00"),
    ],
)
def test_the_day_begins_once_on_every_night_of_the_year(
    now: str, fold: int, start: str, stop: str, begun: str | None
) -> None:
    found = experiment.window_begin(at(now, fold), dt.time.fromisoformat(start), dt.time.fromisoformat(stop))
    assert found == (dt.datetime.fromisoformat(begun) if begun else None)


MINUTES = st.times().map(lambda time: time.replace(second=0, microsecond=0))
MOMENTS = st.integers(1767225600, 1830297600).map(lambda s: dt.datetime.fromtimestamp(s, dt.UTC).astimezone())


@hypothesis.given(MOMENTS, MINUTES, MINUTES)
@hypothesis.example(dt.datetime.fromisoformat("2026-03-29T01:30:00+00:00"), dt.time(2, 30), dt.time(3, 15))
@hypothesis.example(dt.datetime.fromisoformat("2026-10-25T01:00:00+00:00"), dt.time(2, 30), dt.time(2, 30))
def test_any_moment_is_within_one_day_or_in_one_night(now: dt.datetime, start: dt.time, stop: dt.time) -> None:
    begun = experiment.window_begin(now, start, stop)
    if begun is not None:
        assert begun <= now < experiment.window_end(begun, stop)
        return
    # At night, whichever way one goes back, the stop comes before the start.
    shown = [now - dt.timedelta(minutes=minutes, seconds=now.second) for minutes in range(26 * 60)]
    last = next(moment.astimezone().time() for moment in shown if moment.astimezone().time() in (start, stop))
    assert last == stop != start


def test_a_late_stop_means_what_was_opened_before_the_day_and_has_had_its_time() -> None:
    def one(opened: str, end: str) -> Record:
        return Record(opened, at(opened).isoformat(), at(end).isoformat(), cameras={"object": CameraRecord("object")})

    today = one("2026-05-23T07:00", "2026-05-24T01:00")
    by_hand = one("2026-05-23T05:00", "2026-05-24T01:00")
    yesterday = one("2026-05-22T07:00", "2026-05-23T01:00")
    # Its hours were shortened when it had been opened.
    changed = one("2026-05-23T07:01", "2026-05-23T07:30")
    records = [changed, today, by_hand, yesterday]
    begun, now = at("2026-05-23T07:00"), at("2026-05-23T08:00")
    assert experiment.left_behind(records, begun, now) == [yesterday]
    assert experiment.left_behind(records, begun, at("2026-05-24T01:00")) == [by_hand, yesterday]


def test_who_is_to_record_does_not_depend_on_the_experiment() -> None:
    def one(**states: str) -> Record:
        return Record("x", "", "", cameras={name: CameraRecord("object", state) for name, state in states.items()})

    records = [one(a="expected", b="home"), one(b="recording", c="closing"), one(d="given_up")]
    assert experiment.to_record(records) == {"a", "b"} and experiment.to_record([]) == set()


@pytest.mark.parametrize(
    ("text", "meant"), [("420", "07:00"), ("1350", "22:30"), ("25200", "01:00"), ("noon", "01:00"), ("24:00", "01:00")]
)
def test_a_time_that_is_none_is_named_with_the_quotes_that_yaml_wants(text: str, meant: str) -> None:
    with pytest.raises(Error) as error:
        experiment.time_of_day(text, "wildberryeye_start_time")
    assert "as wildberryeye_start_time: not a time of day" in str(error.value)
    assert f'in quotes, as "{meant}"' in str(error.value)


@pytest.mark.parametrize(("text", "time"), [("07:00", SEVEN), ("7:00", SEVEN), ("00:00", dt.time(0))])
def test_a_time_is_what_the_clock_on_the_wall_shows(text: str, time: dt.time) -> None:
    assert experiment.time_of_day(text, "x") == time
