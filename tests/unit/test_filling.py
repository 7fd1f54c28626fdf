# SPDX-License-Identifier: GPL-3.0-or-later
"""A card that will be full before the night is told of while there is time; one that lasts alarms nobody."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.wildberryeye.orchestrator.plugins.module_utils import filling
from ansible_collections.wildberryeye.orchestrator.plugins.module_utils.filling import HOUR, Filling

GB = 1_000_000_000


def filled(hours: float, free: int = 30 * GB, an_hour: int = 2 * GB, emptied: float | None = None) -> Filling:
    """A card that was looked at every three minutes, and emptied after so many hours."""
    card = Filling()
    for number in range(int(hours * 20) + 1):
        at = number / 20
        written = at if emptied is None or at < emptied else at - emptied
        card.see(at * HOUR, int(free - an_hour * written))
    return card


def test_it_knows_how_fast_a_card_fills() -> None:
    card = filled(2)
    assert card.rate == pytest.approx(2 * GB / HOUR) and card.free == 26 * GB and card.used == 4 * GB
    assert card.full_at() == pytest.approx(15 * HOUR)


def test_nothing_is_foretold_before_an_hour_was_seen() -> None:
    for card in (Filling(), filled(0), filled(0.95)):
        assert card.rate is None and card.full_at() is None
        assert card.too_small(card.seen[-1][0] if card.seen else 0.0, 99 * HOUR) is None


@pytest.mark.parametrize(("until", "small"), [(16, True), (14.9, None), (12.4, False), (2.5, False)])
def test_it_is_too_small_only_if_it_is_full_before_it_is_emptied(until: float, small: bool | None) -> None:
    # Full at 15. What is not clear is neither told nor taken back.
    assert filled(2).too_small(2 * HOUR, until * HOUR) is small


def test_a_card_that_does_not_fill_is_never_full() -> None:
    card = filled(2, an_hour=0)
    assert card.rate == 0 and card.full_at() is None and card.too_small(2 * HOUR, 1e9) is False


def test_a_card_that_is_emptied_by_day_is_judged_by_what_is_left_of_it() -> None:
    card = filled(2.5, emptied=2)
    assert card.rate == pytest.approx(1 * GB / (2.5 * HOUR)) and card.used == 1 * GB
    assert filled(2.5).too_small(2.5 * HOUR, 16 * HOUR) and card.too_small(2.5 * HOUR, 16 * HOUR) is False


def test_only_the_last_hours_count_and_few_looks_are_kept() -> None:
    card = Filling()
    for number in range(24 * 60):
        card.see(number * 60.0, 30 * GB - max(0, number - 20 * 60) * GB // 60)
    assert card.rate == pytest.approx(GB / HOUR, rel=0.01)
    assert len(card.seen) <= filling.LOOK_BACK / filling.APART + 2


def test_what_was_seen_survives_a_restart() -> None:
    card, new = filled(2), Filling()
    new.remember(card.memory(lambda at: at), lambda at: at)
    assert (new.seen, new.most) == (card.seen, card.most) and new.rate == card.rate


@pytest.mark.parametrize(
    "memory",
    [
        {},
        {"most": 1, "seen": 7},
        {"most": "x", "seen": []},
        {"most": 1, "seen": [[1]]},
        {"most": 1, "seen": [[2.0, 1], [1.0, 1]]},
        {"most": 1, "seen": [[1.0, -1]]},
        {"most": 1, "seen": [[1.0, True]]},
    ],
)
def test_a_torn_memory_is_refused_as_a_whole(memory: dict[str, Any]) -> None:
    card = Filling()
    with pytest.raises((KeyError, TypeError, ValueError)):
        card.remember(memory, lambda at: at)
    assert card.seen == [] and card.most == 0


def test_what_comes_to_the_orchestrator_is_what_lies_on_the_cards_and_what_will() -> None:
    card = filled(2)
    assert filling.expected([(card, 5 * HOUR)], 2 * HOUR) == pytest.approx(10 * GB)
    assert filling.expected([(card, 5 * HOUR), (card, 2 * HOUR)], 2 * HOUR) == pytest.approx(14 * GB)
    assert filling.expected([(card, 1 * HOUR)], 2 * HOUR) == 4 * GB
