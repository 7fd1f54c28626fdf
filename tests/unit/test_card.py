# SPDX-License-Identifier: GPL-3.0-or-later
"""The card is the truth: each image lies on it exactly once, under the experiment that it was taken for."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from ansible_collections.wildberryeye.orchestrator.plugins.module_utils import card as cards_module
from ansible_collections.wildberryeye.orchestrator.plugins.module_utils.card import Card, ends_as_jpeg
from ansible_collections.wildberryeye.orchestrator.plugins.module_utils.errors import Error
from unit.cards import OURS, assert_sound, counted, every_kill, images_below, make_batch, make_card, steps_of, three
from unit.support import BATCH, EXPERIMENT, batch_name, image, images, jpeg, tree


def hostile(path: Path) -> list[str]:
    """Put everything below `path` that lies under an image's name and is none, or is named by an enemy."""
    victim = path.parent / "victim.jpg"
    victim.write_bytes(jpeg("victim"))
    (path / image(900)).symlink_to(victim)
    (path / image(901)).mkdir()
    (path / image(901) / image(1)).write_bytes(jpeg("inside"))
    os.mkfifo(path / image(902))
    (path / image(903)).symlink_to("nowhere")
    names: list[str | bytes] = [
        f"{image(1)}\n",
        "object_$(touch pwned).jpg",
        f"-rf {image(1)}",
        f'"{image(1)}"',
        f"'{image(1)}'",
        b"object_20260522-093015-000001_\xff\xfe_root.jpg",
        "manual.DONE",
        "other people's files.zip",
    ]
    for name in names:
        Path(os.fsdecode(os.path.join(os.fsencode(path), os.fsencode(name)))).write_bytes(b"x")
    return [os.fsdecode(name) for name in (*names, *(image(number) for number in range(900, 904)))]


def test_without_an_image_directory_a_person_is_told_what_to_do(tmp_path: Path) -> None:
    card = Card(str(tmp_path / "none"))
    with pytest.raises(
        Error, match=r"^open the image directory .*none: no such directory\. Start .*wildberryeye_image"
    ):
        card.check()
    assert not card.exists()
    card.wait_for(0.01)


def test_an_image_directory_that_appears_is_waited_for(tmp_path: Path) -> None:
    card = Card(str(tmp_path / "later"))
    timer = threading.Timer(0.1, (tmp_path / "later").mkdir)
    timer.start()
    card.wait_for(10)
    timer.join()
    assert card.exists()


def test_a_link_in_place_of_our_directory_is_refused(tmp_path: Path) -> None:
    card = make_card(tmp_path / "card")
    (tmp_path / "card" / OURS).symlink_to(tmp_path)
    with pytest.raises(Error, match="it is a link"):
        card.check()


def test_the_label_says_whose_images_come_next_until_it_is_cleared(tmp_path: Path) -> None:
    card = make_card(tmp_path / "card")
    assert card.label() is None
    card.write_label(EXPERIMENT)
    assert Card(card.image_dir).label() == EXPERIMENT
    card.write_label("2026-05-23")
    assert card.label() == "2026-05-23"
    assert card.clear_label()
    assert not card.clear_label()
    assert card.label() is None
    assert tree(tmp_path / "card") == {}


@pytest.mark.parametrize("content", [b"", b"\n", b"../../etc\n", b"unclaimed/x\n", b"\xff\xfe\n", b"x" * 300])
def test_a_spoilt_label_is_none(tmp_path: Path, content: bytes) -> None:
    card = make_card(tmp_path / "card", label=EXPERIMENT)
    Path(card.root, "recording").write_bytes(content)
    assert card.label() is None


@pytest.mark.parametrize("experiment", ["../x", "recording", "", "a/b"])
def test_nothing_outside_of_our_directory_can_be_made_by_an_experiments_name(tmp_path: Path, experiment: str) -> None:
    card = make_card(tmp_path / "card", three())
    before = tree(tmp_path)
    with pytest.raises(Error):
        card.write_label(experiment)
    with pytest.raises(Error):
        card.set_aside(sorted(three()), experiment)
    assert tree(tmp_path) == before


def test_a_label_being_written_when_killed_is_the_old_one_or_the_new_one(tmp_path: Path) -> None:
    def prepare(where: Path) -> Callable[[], object]:
        card = make_card(where / "card", label="2026-05-21")
        return lambda: card.write_label(EXPERIMENT)

    for where in every_kill(tmp_path, prepare):
        card = Card(str(where / "card"))
        assert card.label() in ("2026-05-21", EXPERIMENT)
        card.write_label(EXPERIMENT)
        assert card.label() == EXPERIMENT
        assert_sound(card)
        card.clear_label()
        assert tree(where / "card") == {}


def test_a_first_label_being_written_when_killed_leaves_nothing_that_cannot_be_cleared(tmp_path: Path) -> None:
    def prepare(where: Path) -> Callable[[], object]:
        card = make_card(where / "card")
        return lambda: card.write_label(EXPERIMENT)

    for where in every_kill(tmp_path, prepare):
        card = Card(str(where / "card"))
        assert card.label() in (None, EXPERIMENT)
        card.clear_label()
        assert tree(where / "card") == {}


def test_what_is_no_image_of_the_camera_is_never_taken_for_one(tmp_path: Path) -> None:
    card = make_card(tmp_path / "card", three(), label=EXPERIMENT)
    expected = hostile(tmp_path / "card")
    loose = card.loose()
    assert sorted(loose.images) == sorted(three())
    assert loose.foreign == sorted(expected)


def test_what_is_no_image_of_the_camera_is_left_where_it_is(tmp_path: Path) -> None:
    card = make_card(tmp_path / "card", three())
    hostile(tmp_path / "card")
    foreign = {name: what for name, what in tree(tmp_path / "card").items() if name not in three()}
    card.set_aside(card.loose().images, EXPERIMENT)
    left = {name: what for name, what in tree(tmp_path / "card").items() if not name.startswith(OURS)}
    assert left == foreign
    assert (tmp_path / "victim.jpg").read_bytes() == jpeg("victim")


def test_the_size_of_loose_images_leaves_out_what_has_vanished(tmp_path: Path) -> None:
    card = make_card(tmp_path / "card", images(2))
    assert card.size([image(1), image(2), image(3)]) == 1200


def test_images_are_set_aside_for_the_experiment_on_the_label(tmp_path: Path) -> None:
    card = make_card(tmp_path / "card", three(), label="2026-05-21")
    done = card.set_aside(sorted(three()), EXPERIMENT)
    assert done == ("2026-05-21", 3)
    (found,) = card.batches()
    assert (found.experiment, card.images_of(found)) == ("2026-05-21", sorted(three()))
    assert card.loose().images == []
    assert images_below(tmp_path / "card") == counted(three())


def test_images_without_a_label_are_set_aside_for_the_fallback(tmp_path: Path) -> None:
    card = make_card(tmp_path / "card", three())
    assert card.set_aside(sorted(three()), "unclaimed") == ("unclaimed", 3)
    assert [found.experiment for found in card.batches()] == ["unclaimed"]


def test_setting_nothing_aside_makes_nothing(tmp_path: Path) -> None:
    card = make_card(tmp_path / "card")
    assert card.set_aside([], EXPERIMENT) == (EXPERIMENT, 0)
    assert tree(tmp_path / "card") == {}


def test_an_image_that_vanishes_while_being_set_aside_is_counted_and_no_error(tmp_path: Path) -> None:
    card = make_card(tmp_path / "card", three())
    assert card.set_aside([*sorted(three()), image(4)], EXPERIMENT).images == 3
    assert card.set_aside([image(4)], EXPERIMENT).images == 0
    assert images_below(tmp_path / "card") == counted(three())


def test_no_image_is_lost_wherever_setting_aside_is_killed(tmp_path: Path) -> None:
    def prepare(where: Path) -> Callable[[], object]:
        card = make_card(where / "card", three(), label=EXPERIMENT)
        return lambda: card.set_aside(sorted(three()), "unclaimed")

    for where in every_kill(tmp_path, prepare):
        card = Card(str(where / "card"))
        assert images_below(where / "card") == counted(three())
        card.set_aside(card.loose().images, "unclaimed")
        card.tidy()
        assert images_below(where / "card") == counted(three())
        assert card.loose().images == []
        assert {found.experiment for found in card.batches()} == {EXPERIMENT}
        assert sorted(name for found in card.batches() for name in card.images_of(found)) == sorted(three())


def test_a_power_cut_after_setting_aside_takes_no_image_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    card = make_card(tmp_path / "card", three())
    steps = steps_of(monkeypatch, lambda: card.set_aside(sorted(three()), EXPERIMENT))
    (of,) = card.batches()
    renamed = max(number for number, step in enumerate(steps) if step.startswith("rename"))
    assert steps[renamed + 1 :] == [f"sync {of.name}", "sync card"]
    assert steps[:renamed].count(f"sync {EXPERIMENT}") == 1


def test_two_batches_of_one_second_are_two_batches(tmp_path: Path) -> None:
    card = make_card(tmp_path / "card", images(4))
    for number in range(1, 5):
        card.set_aside([image(number)], EXPERIMENT)
    assert len(card.batches()) == 4
    assert images_below(tmp_path / "card") == counted(images(4))


def age(path: Path, seconds: float) -> None:
    os.utime(path, (1.7e9 - seconds, 1.7e9 - seconds))


def test_while_recording_only_finished_images_are_taken_and_never_the_newest(tmp_path: Path) -> None:
    card = make_card(tmp_path / "card", images(4))
    (tmp_path / "card" / image(2)).write_bytes(b"\xff\xd8 half-written")
    (tmp_path / "card" / image(3)).write_bytes(b"\xff\xd8 half-written, long ago")
    for number, seconds in ((1, 5), (2, 4), (3, 61), (4, 0)):
        age(tmp_path / "card" / image(number), seconds)
    assert sorted(card.stable(card.loose().images)) == [image(1), image(3)]


def test_of_one_image_or_none_nothing_is_finished(tmp_path: Path) -> None:
    card = make_card(tmp_path / "card", images(1))
    assert card.stable([image(1)]) == []
    assert card.stable([]) == []
    assert card.stable([image(7)]) == []


def test_ages_do_not_depend_on_the_cameras_clock(tmp_path: Path) -> None:
    card = make_card(tmp_path / "card", images(2))
    (tmp_path / "card" / image(1)).write_bytes(b"half")
    for year in (0, 4e9):
        os.utime(tmp_path / "card" / image(1), (year, year))
        os.utime(tmp_path / "card" / image(2), (year + 1, year + 1))
        assert card.stable([image(1), image(2)]) == []


def test_where_the_clock_was_set_back_the_image_being_written_is_still_left(tmp_path: Path) -> None:
    card = make_card(tmp_path / "card", images(4))
    (tmp_path / "card" / image(3)).write_bytes(b"half-written just now")
    now = time.time()
    for number, seconds in ((1, -86400.0), (2, 600.0), (3, 0.5), (4, 5.0)):
        os.utime(tmp_path / "card" / image(number), (now - seconds, now - seconds))
    # The first is of tomorrow, and the last that a clock of today has named may be the newest as well.
    assert sorted(card.stable(card.loose().images)) == [image(2), image(4)]


def test_a_jpeg_is_known_by_its_end_and_nothing_else_is_opened(tmp_path: Path) -> None:
    path = tmp_path / "x"
    for content, whole in ((jpeg(1), True), (b"\xff\xd9", True), (b"\xd9", False), (b"", False), (b"\xff\xd8x", False)):
        path.write_bytes(content)
        assert ends_as_jpeg(str(path)) is whole
    (tmp_path / "link").symlink_to(path)
    os.mkfifo(tmp_path / "fifo")
    path.write_bytes(jpeg(1))
    for name in ("link", "fifo", ".", "none"):
        assert not ends_as_jpeg(str(tmp_path / name))


def test_batches_are_found_by_what_is_left_of_them_and_nothing_else_is(tmp_path: Path) -> None:
    card = make_card(tmp_path / "card", label=EXPERIMENT)
    root = tmp_path / "card" / OURS
    for path in (
        f"{EXPERIMENT}/{batch_name(1)}/{image(1)}",
        f"{EXPERIMENT}/{batch_name(2)}.manifest",
        f"{EXPERIMENT}/{batch_name(3)}.zip",
        f"{EXPERIMENT}/{batch_name(4)}.zip.tmp",
        f"{EXPERIMENT}/{batch_name(5)}.txt",
        f"{EXPERIMENT}/notes/{image(1)}",
        f"-x/{batch_name(6)}/{image(1)}",
    ):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).touch()
    assert [found.name for found in card.batches()] == [batch_name(number) for number in (1, 2, 3)]
    assert card.images_of(card.batches()[1]) == []


def test_a_link_under_a_batchs_name_leads_nowhere(tmp_path: Path) -> None:
    elsewhere = make_card(tmp_path / "elsewhere", three())
    card = make_card(tmp_path / "card", label=EXPERIMENT)
    root = tmp_path / "card" / OURS
    (root / EXPERIMENT).mkdir()
    (root / EXPERIMENT / BATCH).symlink_to(elsewhere.image_dir)
    (root / "2026-05-23").symlink_to(tmp_path)
    assert card.batches() == []
    card.tidy()
    assert images_below(tmp_path / "elsewhere") == counted(three())


def test_only_regular_images_of_a_batch_are_its_images(tmp_path: Path) -> None:
    card, batch = make_batch(tmp_path / "card", three())
    hostile(Path(batch.path))
    assert card.images_of(batch) == sorted(three())


def test_what_is_left_of_a_batch_gets_another_name_so_that_no_old_receipt_fits_it(tmp_path: Path) -> None:
    card, batch = make_batch(tmp_path / "card", three())
    renewed = card.renew(batch)
    assert renewed is not None and renewed.name != batch.name
    assert card.batches() == [renewed]
    assert images_below(tmp_path / "card") == counted(three())


def test_of_an_empty_batch_nothing_is_left(tmp_path: Path) -> None:
    card, batch = make_batch(tmp_path / "card", images(1))
    os.unlink(os.path.join(batch.path, image(1)))
    assert card.renew(batch) is None
    assert card.renew(batch) is None
    card.tidy()
    assert tree(tmp_path / "card") == {}


def test_no_image_is_lost_wherever_renewing_is_killed(tmp_path: Path) -> None:
    def prepare(where: Path) -> Callable[[], object]:
        card, batch = make_batch(where / "card", three())
        return lambda: card.renew(batch)

    for where in every_kill(tmp_path, prepare):
        card = Card(str(where / "card"))
        assert images_below(where / "card") == counted(three())
        for batch in card.batches():
            card.renew(batch)
        card.tidy()
        assert images_below(where / "card") == counted(three())
        assert len(card.batches()) == 1


def test_tidying_removes_what_is_ours_and_empty_and_nothing_that_is_not(tmp_path: Path) -> None:
    card, _ = make_batch(tmp_path / "card", three())
    root = tmp_path / "card" / OURS
    before = tree(tmp_path / "card")
    (root / EXPERIMENT / batch_name(1)).mkdir()
    (root / EXPERIMENT / f"{batch_name(2)}.zip.tmp").write_bytes(b"half")
    (root / EXPERIMENT / f"{batch_name(2)}.manifest.tmp").write_bytes(b"half")
    (root / "2026-05-23").mkdir()
    card.tidy()
    assert tree(tmp_path / "card") == before
    # A start that runs beside us may be writing it; it goes with the label.
    (root / "recording.tmp").write_bytes(b"half")
    card.tidy()
    assert (root / "recording.tmp").exists()
    card.clear_label()
    assert tree(tmp_path / "card") == before
    (root / EXPERIMENT / "notes.tmp").write_bytes(b"not ours")
    card.tidy()
    assert (root / EXPERIMENT / "notes.tmp").exists()


def test_free_space_is_that_of_the_card(tmp_path: Path) -> None:
    space = os.statvfs(tmp_path)
    assert abs(make_card(tmp_path / "card").free() - space.f_bavail * space.f_frsize) < 1 << 30


def test_where_the_label_lies_is_what_the_design_promises() -> None:
    assert cards_module.Card("/images").root == "/images/.wildberryeye"


def test_a_batch_that_is_tidied_away_while_images_are_set_aside_costs_no_image(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    card = make_card(tmp_path / "card", three())
    rename = os.rename
    calls: list[str] = []

    def meanwhile(source: str, target: str) -> None:
        # A collection beside us takes the batch that has just been made for an empty one, once.
        if not calls:
            card.tidy()
        calls.append(target)
        rename(source, target)

    monkeypatch.setattr(os, "rename", meanwhile)
    done = card.set_aside(sorted(three()), EXPERIMENT)
    assert done.images == 3 and card.loose().images == []
    assert sorted(name for found in card.batches() for name in card.images_of(found)) == sorted(three())
