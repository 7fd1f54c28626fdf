# SPDX-License-Identifier: GPL-3.0-or-later
"""Only what a receipt proves is deleted, as the module says it to Ansible."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from unit.cards import at_work, counted, images_below, impatient, make_card, make_frozen, three
from unit.support import Outcome, arguments, documented, image, images, jpeg, run_module, tree


def run(where: Path, receipts: list[dict[str, Any]], check: bool = False) -> Outcome:
    return run_module("image_cleanup", {"image_dir": str(where), "receipts": receipts}, check)


def figures(result: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(result[name] for name in ("changed", "deleted", "kept", "vanished", "left"))


def test_what_is_proven_is_deleted_and_nothing_of_ours_is_left(tmp_path: Path) -> None:
    _, _, proof = make_frozen(tmp_path / "card", three())
    _, _, other = make_frozen(tmp_path / "card", images(2, start=10), zipped=False)
    result = run(tmp_path / "card", [proof._asdict(), other._asdict()]).ok()
    assert figures(result) == (True, 5, 0, 0, 0)
    assert result["msg"] == "5 images deleted from the card, 0.0 MB"
    assert tree(tmp_path / "card") == {}
    assert figures(run(tmp_path / "card", [proof._asdict()]).ok()) == (False, 0, 0, 0, 0)


def test_check_mode_deletes_nothing(tmp_path: Path) -> None:
    _, _, proof = make_frozen(tmp_path / "card", three())
    before = tree(tmp_path)
    assert figures(run(tmp_path / "card", [proof._asdict()], check=True).ok()) == (True, 3, 0, 0, 1)
    assert tree(tmp_path) == before


def test_what_is_not_proven_changed_or_vanished_is_counted_and_kept(tmp_path: Path) -> None:
    _, of, proof = make_frozen(tmp_path / "card", images(5))
    changed = Path(of.path) / image(2)
    status = changed.stat()
    changed.write_bytes(jpeg("changed"))
    os.utime(changed, ns=(status.st_atime_ns, status.st_mtime_ns))
    os.unlink(os.path.join(of.path, image(3)))
    result = run(tmp_path / "card", [{**proof._asdict(), "unproven": [image(1)]}]).ok()
    assert figures(result) == (True, 2, 2, 1, 1)
    assert result["msg"] == "2 images deleted from the card, 0.0 MB, 2 images kept"
    assert images_below(tmp_path / "card") == counted({image(1): jpeg(1), image(2): jpeg("changed")})


def test_without_a_receipt_nothing_is_deleted(tmp_path: Path) -> None:
    make_frozen(tmp_path / "card", three())
    before = tree(tmp_path)
    assert figures(run(tmp_path / "card", []).ok()) == (False, 0, 0, 0, 1)
    assert tree(tmp_path) == before


def test_what_is_no_receipt_of_the_batch_deletes_nothing_and_says_so(tmp_path: Path) -> None:
    _, of, proof = make_frozen(tmp_path / "card", three())
    before = tree(tmp_path)
    good = proof._asdict()
    for wrong, said in (
        ({**good, "manifest_sha256": "0" * 64}, f"batch {of.name} proves: it proves another manifest"),
        ({**good, "experiment": "../.."}, "read a receipt: "),
        ({}, "read a receipt: "),
    ):
        assert said in run(tmp_path / "card", [wrong]).failed()
    assert tree(tmp_path) == before


def test_a_missing_image_directory_says_what_to_do(tmp_path: Path) -> None:
    assert "no such directory. Start the camera's service once" in run(tmp_path / "none", []).failed()


def test_what_a_camera_took_meanwhile_is_not_deleted(tmp_path: Path) -> None:
    _, _, proof = make_frozen(tmp_path / "card", three())
    make_card(tmp_path / "card", three())  # the same names, loose
    assert run(tmp_path / "card", [proof._asdict()]).ok()["deleted"] == 3
    assert images_below(tmp_path / "card") == counted(three())


def test_nothing_is_deleted_beside_another_collection(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    card, _, proof = make_frozen(tmp_path / "card", three())
    impatient(monkeypatch)
    before = tree(tmp_path)
    with at_work(card, "exclusive_batches"):
        assert "another run is still at work there" in run(tmp_path / "card", [proof._asdict()]).failed()
        assert run(tmp_path / "card", [proof._asdict()], check=True).ok()["deleted"] == 3
        assert tree(tmp_path) == before
    assert run(tmp_path / "card", [proof._asdict()]).ok()["deleted"] == 3


def test_documentation_and_arguments_agree() -> None:
    assert documented("image_cleanup").keys() == arguments("image_cleanup").keys()
