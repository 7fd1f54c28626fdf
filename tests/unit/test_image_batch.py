# SPDX-License-Identifier: GPL-3.0-or-later
"""What is ready to be carried home, as the module says it to Ansible."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.wildberryeye.orchestrator.plugins.module_utils.card import Card
from ansible_collections.wildberryeye.orchestrator.plugins.modules import image_batch
from unit.cards import (
    OURS,
    assert_sound,
    at_work,
    counted,
    images_below,
    impatient,
    make_batch,
    make_card,
    make_frozen,
    three,
)
from unit.support import (
    BY_EITHER_METHOD,
    EXPERIMENT,
    Outcome,
    arguments,
    documented,
    image,
    images,
    jpeg,
    run_module,
    tree,
)


def run(where: Path, check: bool = False, real: bool = False, **args: Any) -> Outcome:
    given = {"image_dir": str(where), "data_dir": "/nowhere", "purpose": "stop", **args}
    return run_module("image_batch", given, check, real=real)


def test_what_was_set_aside_is_made_ready(tmp_path: Path) -> None:
    _, of = make_batch(tmp_path / "card", three())
    make_card(tmp_path / "card", images(2, start=10))
    result = run(tmp_path / "card", real=True).ok()
    ready = {"experiment": EXPERIMENT, "batch": of.name, "images": 3, "bytes": 1800, "zipped": True}
    assert result["changed"] and result["batches"] == [ready]
    assert (result["images"], result["bytes"], result["fell_back"], result["unreadable"]) == (3, 1800, False, [])
    assert result["free"] > 0 and result["foreign"] == []
    assert result["msg"] == "3 images to carry home, 0.0 MB"
    assert len(Card(str(tmp_path / "card")).loose().images) == 2
    assert_sound(Card(str(tmp_path / "card")))


def test_a_second_run_finds_what_the_first_made(tmp_path: Path) -> None:
    make_batch(tmp_path / "card", three())
    first = run(tmp_path / "card").ok()
    before = tree(tmp_path)
    second = run(tmp_path / "card").ok()
    assert not second["changed"] and second["batches"] == first["batches"]
    assert tree(tmp_path) == before


def test_check_mode_counts_and_writes_nothing(tmp_path: Path) -> None:
    _, _, proof = make_frozen(tmp_path / "card", three())
    make_card(tmp_path / "card", images(3, start=10))
    before = tree(tmp_path)
    result = run(tmp_path / "card", check=True, set_aside="stable", receipts=[proof._asdict()]).ok()
    assert result["changed"] and result["batches"] == []
    assert (result["images"], result["bytes"], result["msg"]) == (5, 3000, "would carry 5 images home")
    assert tree(tmp_path) == before


def test_an_empty_card_has_nothing_to_carry_and_nothing_of_ours(tmp_path: Path) -> None:
    make_card(tmp_path / "card")
    result = run(tmp_path / "card", set_aside="stable").ok()
    assert not result["changed"] and (result["images"], result["batches"]) == (0, [])
    assert tree(tmp_path / "card") == {}


def test_while_recording_the_newest_image_stays_with_the_camera(tmp_path: Path) -> None:
    card = make_card(tmp_path / "card", three(), label=EXPERIMENT)
    for number in (1, 2, 3):
        os.utime(tmp_path / "card" / image(number), (number, number))
    result = run(tmp_path / "card", set_aside="stable", fallback="unclaimed").ok()
    assert [(found["experiment"], found["images"]) for found in result["batches"]] == [(EXPERIMENT, 2)]
    assert card.loose().images == [image(3)]
    assert images_below(tmp_path / "card") == counted(three())


def test_files_are_sent_without_a_zip_where_that_is_wanted(tmp_path: Path) -> None:
    make_batch(tmp_path / "card", three())
    result = run(tmp_path / "card", method="files").ok()
    assert [found["zipped"] for found in result["batches"]] == [False] and not result["fell_back"]
    assert list(tmp_path.rglob("*.zip")) == []


def test_a_card_without_room_says_that_it_sends_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    card, _ = make_batch(tmp_path / "card", three())
    monkeypatch.setattr(Card, "free", lambda self: 0)
    params = {"set_aside": "none", "fallback": "unclaimed", "method": "zip", "receipts": []}
    result = image_batch.ready(card, params, False)
    assert result["fell_back"] and result["msg"].endswith("as files: no room on the card for a zip")
    assert images_below(tmp_path / "card") == counted(three())


def test_what_a_killed_run_left_unfinished_is_cleared_away(tmp_path: Path) -> None:
    card, of = make_batch(tmp_path / "card", three())
    for path in (of.manifest, of.zip):
        Path(f"{path}.tmp").write_bytes(b"half")
    Path(card.root, EXPERIMENT, "20260522T000000Z-00000000").mkdir()
    assert [found["batch"] for found in run(tmp_path / "card").ok()["batches"]] == [of.name]
    assert sorted(os.listdir(os.path.dirname(of.path))) == [of.name, f"{of.name}.manifest", f"{of.name}.zip"]


def test_a_receipt_whose_deletion_was_killed_is_applied_before_anything_is_carried_again(tmp_path: Path) -> None:
    _, _, proof = make_frozen(tmp_path / "card", three())
    result = run(tmp_path / "card", receipts=[proof._asdict()]).ok()
    assert result["changed"] and result["batches"] == []
    assert tree(tmp_path / "card") == {}
    assert not run(tmp_path / "card", receipts=[proof._asdict()]).ok()["changed"]


@pytest.mark.parametrize("wrong", [{"manifest_sha256": "0" * 64}, {"batch": "../.."}, {"unproven": None}])
def test_a_wrong_receipt_is_passed_over_and_deletes_nothing(tmp_path: Path, wrong: dict[str, Any]) -> None:
    _, of, proof = make_frozen(tmp_path / "card", three())
    _, other, good = make_frozen(tmp_path / "card", images(2, start=10))
    result = run(tmp_path / "card", receipts=[{**proof._asdict(), **wrong}, good._asdict()]).ok()
    assert result["changed"] and [(found["batch"], found["images"]) for found in result["batches"]] == [(of.name, 3)]
    assert images_below(tmp_path / "card") == counted(three()) and not os.path.exists(other.path)
    before = tree(tmp_path)
    again = run(tmp_path / "card", receipts=[{**proof._asdict(), **wrong}]).ok()
    assert not again["changed"] and again["batches"] == result["batches"] and tree(tmp_path) == before


@pytest.mark.parametrize("check", [False, True])
@pytest.mark.parametrize("label", ["", EXPERIMENT])
def test_what_the_card_says_that_it_records_is_told(tmp_path: Path, label: str, check: bool) -> None:
    make_card(tmp_path / "card", three(), label)
    assert run(tmp_path / "card", check, set_aside="stable").ok()["label"] == label


def test_a_spoilt_manifest_does_not_keep_the_images_from_home(tmp_path: Path) -> None:
    _, of, _ = make_frozen(tmp_path / "card", three())
    Path(of.manifest).write_bytes(b"\0" * 100)
    _, other = make_batch(tmp_path / "card", images(2, start=10))
    result = run(tmp_path / "card").ok()
    assert result["images"] == 5 and len(result["batches"]) == 2
    assert of.name not in [found["batch"] for found in result["batches"]]
    assert images_below(tmp_path / "card") == counted({**three(), **images(2, start=10)})
    assert other.name in [found["batch"] for found in result["batches"]]


def test_what_is_no_image_is_named_and_left_alone(tmp_path: Path) -> None:
    make_card(tmp_path / "card", three())
    (tmp_path / "card" / "x\n$(reboot)").write_bytes(b"x")
    (tmp_path / "card" / image(9)).symlink_to("/etc/passwd")
    result = run(tmp_path / "card", set_aside="stable").ok()
    assert result["foreign"] == [image(9), "x\\n$(reboot)"]
    assert (tmp_path / "card" / image(9)).is_symlink() and (tmp_path / "card" / "x\n$(reboot)").exists()


@BY_EITHER_METHOD
def test_a_missing_image_directory_says_what_to_do(tmp_path: Path, zipped: bool) -> None:
    method = "zip" if zipped else "files"
    assert "no such directory. Start the camera's service once" in run(tmp_path / "none", method=method).failed()
    (tmp_path / "card").mkdir()
    (tmp_path / "card" / OURS).symlink_to(tmp_path)
    assert "it is a link. Remove the link" in run(tmp_path / "card", method=method).failed()


def test_an_error_of_the_card_names_what_was_tried(tmp_path: Path) -> None:
    make_card(tmp_path / "card", three())
    (tmp_path / "card" / OURS).write_bytes(jpeg(1))
    message = run(tmp_path / "card", set_aside="stable").failed()
    assert message.startswith("make batches ready: ") and OURS in message
    assert images_below(tmp_path / "card") == counted(three())


@pytest.mark.parametrize("set_aside", ["none", "stable"])
def test_no_batch_is_read_while_a_start_may_still_be_filling_it(
    tmp_path: Path, set_aside: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    card, _ = make_batch(tmp_path / "card", images(1, start=10))
    make_card(tmp_path / "card", three())
    impatient(monkeypatch)
    before = tree(tmp_path)
    with at_work(card):
        assert "another run is still at work there" in run(tmp_path / "card", set_aside=set_aside).failed()
        assert run(tmp_path / "card", check=True, set_aside=set_aside).ok()["changed"]
        assert tree(tmp_path) == before
    assert run(tmp_path / "card", set_aside=set_aside).ok()["changed"]


def test_no_receipt_is_applied_and_no_batch_read_beside_another_collection(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    card, _, proof = make_frozen(tmp_path / "card", three())
    make_batch(tmp_path / "card", images(1, start=10))
    impatient(monkeypatch)
    before = tree(tmp_path)
    with at_work(card, "exclusive_batches"):
        assert "another run is" in run(tmp_path / "card", receipts=[proof._asdict()]).failed()
        assert run(tmp_path / "card", check=True, receipts=[proof._asdict()]).ok()["images"] == 4
        assert tree(tmp_path) == before
    assert run(tmp_path / "card", receipts=[proof._asdict()]).ok()["images"] == 1


def test_documentation_and_arguments_agree() -> None:
    assert documented("image_batch").keys() == arguments("image_batch").keys()
