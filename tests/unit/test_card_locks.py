# SPDX-License-Identifier: GPL-3.0-or-later
"""Who is at work on a card keeps others from it, as long as it lives and no longer."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import pytest

from ansible_collections.wildberryeye.orchestrator.plugins.module_utils.card import Card
from ansible_collections.wildberryeye.orchestrator.plugins.module_utils.errors import Error
from unit.cards import at_work, make_batch, make_card, three
from unit.support import EXPERIMENT, image, images

LOCKS = ["exclusive", "exclusive_batches"]


def free(card: Card, lock: str) -> bool:
    """Whether this process gets the card's `lock` without waiting."""
    try:
        with getattr(card, lock)(wait=0):
            return True
    except Error:
        return False


@pytest.mark.parametrize("lock", LOCKS)
def test_a_run_killed_with_9_keeps_the_next_one_from_the_card_no_longer_than_it_lives(
    tmp_path: Path, lock: str
) -> None:
    card = make_card(tmp_path / "card")
    with at_work(card, lock) as other:
        timer = threading.Timer(0.5, other.kill)
        begun = time.monotonic()
        timer.start()
        with getattr(card, lock)(wait=20):
            waited = time.monotonic() - begun
            assert other.wait(5) == -9
            assert os.listdir(card.image_dir) == [] and os.listdir(tmp_path) == ["card"]
        timer.join()
    assert 0.4 < waited < 10
    assert os.listdir(card.image_dir) == [] and os.listdir(tmp_path) == ["card"]


@pytest.mark.parametrize("lock", LOCKS)
def test_waiting_for_another_run_on_a_card_ends_with_a_line_that_says_what_to_do(tmp_path: Path, lock: str) -> None:
    card = make_card(tmp_path / "card")
    with at_work(card, lock):
        begun = time.monotonic()
        with pytest.raises(Error) as caught, getattr(card, lock)(wait=0.5):
            raise AssertionError("two runs are at work on one card")
        assert 0.4 < time.monotonic() - begun < 5
    assert str(caught.value) == (
        f"work on the card {card.image_dir}: another run is still at work there after 0 s. "
        "Run it again in some minutes; if it says the same then, reboot the camera"
    )


@pytest.mark.parametrize("lock", LOCKS)
def test_a_card_is_free_again_after_work_that_failed(tmp_path: Path, lock: str) -> None:
    card = make_card(tmp_path / "card")
    with pytest.raises(ZeroDivisionError), getattr(card, lock)():
        assert not free(card, lock)
        raise ZeroDivisionError
    assert free(card, lock)


def test_a_restart_does_not_wait_for_a_collection_nor_a_collection_for_a_restart(tmp_path: Path) -> None:
    card = make_card(tmp_path / "card")
    for held, other in (LOCKS, LOCKS[::-1]):
        with at_work(card, held):
            assert not free(card, held) and free(card, other)


def test_batches_stay_locked_when_the_last_of_them_is_tidied_away(tmp_path: Path) -> None:
    card, batch = make_batch(tmp_path / "card", images(1))
    with at_work(card, "exclusive_batches"):
        os.unlink(os.path.join(batch.path, image(1)))
        card.tidy()
        assert not os.path.exists(card.root)
        card.set_aside([], EXPERIMENT)
        card.write_label(EXPERIMENT)
        assert not free(card, "exclusive_batches")


def test_a_card_that_is_mounted_over_the_directory_meanwhile_is_the_one_to_wait_for(tmp_path: Path) -> None:
    card = make_card(tmp_path / "card")

    def mount() -> None:
        os.rename(tmp_path / "card", tmp_path / "below")
        os.mkdir(tmp_path / "card")

    with at_work(card):
        timer = threading.Timer(0.3, mount)
        timer.start()
        with card.exclusive(wait=20):
            assert not free(Card(card.image_dir), "exclusive") and not free(Card(str(tmp_path / "below")), "exclusive")
        timer.join()


@pytest.mark.parametrize("lock", LOCKS)
def test_without_an_image_directory_there_is_nothing_to_wait_for(tmp_path: Path, lock: str) -> None:
    with pytest.raises(Error, match="no such directory"), getattr(Card(str(tmp_path / "none")), lock)():
        pass


def test_a_stop_takes_nothing_away_that_a_collection_has_not_finished(tmp_path: Path) -> None:
    card, batch = make_batch(tmp_path / "card", three())
    card.write_label(EXPERIMENT)
    unfinished = Path(f"{batch.zip}.tmp")
    unfinished.write_bytes(b"half")
    with at_work(card, "exclusive_batches"):
        assert card.clear_label()
        assert unfinished.exists()
    card.clear_label()
    assert not unfinished.exists()


def test_a_stop_waits_for_no_collection_to_clear_the_label(tmp_path: Path) -> None:
    card = make_card(tmp_path / "card", label=EXPERIMENT)
    with at_work(card, "exclusive_batches"):
        begun = time.monotonic()
        assert card.clear_label() and card.label() is None
        assert time.monotonic() - begun < 5
