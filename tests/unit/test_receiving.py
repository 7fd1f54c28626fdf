# SPDX-License-Identifier: GPL-3.0-or-later
"""From what arrived to a receipt. A receipt too many, and a camera deletes the only copy."""

from __future__ import annotations

import errno
import json
import os
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from ansible_collections.wildberryeye.orchestrator.plugins.module_utils import archive, events, manifest, receiving
from ansible_collections.wildberryeye.orchestrator.plugins.module_utils.errors import Error
from ansible_collections.wildberryeye.orchestrator.plugins.module_utils.layout import Layout
from unit.arrivals import FIRST, IMAGES, REST, on_disk, parts, receive
from unit.support import (
    BATCH,
    BY_EITHER_METHOD,
    EXPERIMENT,
    arrive,
    batch_name,
    image,
    images,
    jpeg,
    sha256,
    sums,
    tree,
    write_archive,
    write_manifest,
    write_zip,
)

Members = list[tuple[str | zipfile.ZipInfo, bytes]]


@BY_EITHER_METHOD
def test_what_arrived_whole_is_archived_and_receipted(layout: Layout, data_dir: Path, zipped: bool) -> None:
    arrived = arrive(data_dir, IMAGES, zipped=zipped)
    received = receive(layout)
    assert received.receipt == (EXPERIMENT, BATCH, manifest.digest(f"{arrived}.manifest"), [])
    assert (received.images, received.bytes, received.flagged, received.fresh) == (4, 2400, [], True)
    assert parts(layout) == [IMAGES]
    content = json.loads(Path(layout.receipt(EXPERIMENT, "object", BATCH)).read_text())
    assert (content["camera"], content["images"], content["bytes"], content["unproven"]) == ("object", 4, 2400, [])
    assert [line["event"] for line in events.read(layout.events(EXPERIMENT))] == ["receipt"]
    assert os.listdir(arrived.parent) == [f"{BATCH}.manifest"]


def test_receiving_twice_is_the_same_receipt_and_nothing_new(layout: Layout, data_dir: Path) -> None:
    arrive(data_dir, IMAGES)
    first = receive(layout)
    before = tree(data_dir)
    second = receive(layout)
    assert second == first._replace(fresh=False) and tree(data_dir) == before


def test_half_written_images_come_home_and_are_flagged(layout: Layout, data_dir: Path) -> None:
    arrive(data_dir, {**IMAGES, FIRST: b"\xff\xd8 half"})
    assert receive(layout).flagged == [FIRST]


def _flip(arrived: Path) -> None:
    path = arrived.with_name(f"{BATCH}.zip")
    content = bytearray(path.read_bytes())
    content[content.index(IMAGES[FIRST]) + 50] ^= 1
    path.write_bytes(content)


def _without_first(arrived: Path) -> None:
    write_archive(arrived.with_name(f"{BATCH}.zip"), {name: IMAGES[name] for name in REST})


def _deflated(arrived: Path) -> None:
    info = zipfile.ZipInfo(FIRST)
    info.compress_type = zipfile.ZIP_DEFLATED
    found: Members = [(info, IMAGES[FIRST]), *((name, IMAGES[name]) for name in REST), (manifest.MEMBER, sums(IMAGES))]
    write_zip(arrived.with_name(f"{BATCH}.zip"), found)


def _twice_and_different(arrived: Path) -> None:
    found: Members = [*IMAGES.items(), (FIRST, jpeg("other")), (manifest.MEMBER, sums(IMAGES))]
    write_zip(arrived.with_name(f"{BATCH}.zip"), found)


@pytest.mark.parametrize("harm", [_flip, _without_first, _deflated, _twice_and_different])
def test_one_bad_image_stays_on_the_card_and_the_good_rest_is_licensed(
    layout: Layout, data_dir: Path, harm: Callable[[Path], None]
) -> None:
    arrived = arrive(data_dir, IMAGES)
    harm(arrived)
    received = receive(layout)
    assert received.receipt.unproven == [FIRST] and received.images == 3
    assert parts(layout) == [{name: IMAGES[name] for name in REST}]


@pytest.mark.parametrize("harm", ["changed", "missing", "link", "directory"])
def test_one_bad_file_stays_on_the_card_and_the_good_rest_is_licensed(
    layout: Layout, data_dir: Path, tmp_path: Path, harm: str
) -> None:
    arrived = arrive(data_dir, IMAGES, zipped=False)
    (arrived / FIRST).unlink()
    if harm == "changed":
        (arrived / FIRST).write_bytes(jpeg("other"))
    elif harm == "link":
        (tmp_path / "elsewhere").write_bytes(IMAGES[FIRST])
        (arrived / FIRST).symlink_to(tmp_path / "elsewhere")
    elif harm == "directory":
        (arrived / FIRST).mkdir()
    assert receive(layout).receipt.unproven == [FIRST]
    assert parts(layout) == [{name: IMAGES[name] for name in REST}]


@pytest.mark.parametrize("keep", [0, 10, 700, 2000, -1, -22])
def test_a_zip_cut_short_licenses_nothing(layout: Layout, data_dir: Path, keep: int) -> None:
    arrived = arrive(data_dir, IMAGES)
    path = arrived.with_name(f"{BATCH}.zip")
    path.write_bytes(path.read_bytes()[:keep])
    received = receive(layout)
    assert received.receipt.unproven == sorted(IMAGES) and received.images == 0
    assert not on_disk(layout) and parts(layout) == [] and not events.read(layout.events(EXPERIMENT))


@BY_EITHER_METHOD
def test_nothing_arrived_but_the_manifest_licenses_nothing(layout: Layout, data_dir: Path, zipped: bool) -> None:
    arrived = arrive(data_dir, IMAGES, zipped=zipped)
    for path in [arrived.with_name(f"{BATCH}.zip")] if zipped else list(arrived.iterdir()):
        path.unlink()
    assert receive(layout).images == 0 and not on_disk(layout)


def test_what_was_mended_and_comes_again_is_licensed_then(layout: Layout, data_dir: Path) -> None:
    arrived = arrive(data_dir, IMAGES)
    arrived.with_name(f"{BATCH}.zip").write_bytes(b"")
    assert receive(layout).images == 0
    arrive(data_dir, IMAGES)
    assert receive(layout).receipt.unproven == [] and parts(layout) == [IMAGES]


def _link() -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(FIRST)
    info.create_system, info.external_attr = 3, 0o120777 << 16
    return info


@pytest.mark.parametrize(
    "extra",
    [
        [("../../../evil.sh", b"x")],
        [("/tmp/evil-wildberryeye.sh", b"x")],
        [(image(77), jpeg(77))],
        [(FIRST, IMAGES[FIRST])],
    ],
    ids=["up", "absolute", "stranger", "twice"],
)
def test_what_a_malicious_camera_adds_never_gets_a_public_name(
    layout: Layout, data_dir: Path, tmp_path: Path, extra: Members
) -> None:
    arrived = arrive(data_dir, IMAGES)
    write_zip(arrived.with_name(f"{BATCH}.zip"), [*IMAGES.items(), (manifest.MEMBER, sums(IMAGES)), *extra])
    assert receive(layout).receipt.unproven == []
    assert parts(layout) == [IMAGES]
    assert os.listdir(tmp_path) == [data_dir.name] and sorted(os.listdir(data_dir)) == [
        ".incoming",
        ".locks",
        EXPERIMENT,
    ]
    assert not os.path.exists("/tmp/evil-wildberryeye.sh")


def test_a_member_that_unpacks_as_a_link_becomes_a_file(layout: Layout, data_dir: Path) -> None:
    arrived = arrive(data_dir, IMAGES)
    found: Members = [(_link(), IMAGES[FIRST]), *((name, IMAGES[name]) for name in REST)]
    write_zip(arrived.with_name(f"{BATCH}.zip"), [*found, (manifest.MEMBER, sums(IMAGES))])
    receive(layout)
    (part,) = Path(layout.parts(EXPERIMENT, "object")).iterdir()
    assert not any(info.external_attr >> 16 & 0o170000 == 0o120000 for info in zipfile.ZipFile(part).infolist())


@pytest.mark.parametrize("name", ["../x", "/etc/passwd", "a/b.jpg", "", "notes.txt", "object_x.jpg\n"])
def test_a_manifest_that_names_what_is_no_image_is_refused_whole(layout: Layout, data_dir: Path, name: str) -> None:
    arrived = arrive(data_dir, IMAGES)
    write_manifest(arrived.with_name(f"{BATCH}.manifest"), EXPERIMENT, BATCH, {**IMAGES, name: b"x"})
    before = tree(data_dir)
    with pytest.raises(Error, match="Nothing of it was deleted"):
        receive(layout)
    # It comes anew with the next run, whatever it says then.
    assert tree(data_dir) == {path: sha256 for path, sha256 in before.items() if not path.endswith(".manifest")}


@pytest.mark.parametrize("cut", [1, 2, 20, 200])
def test_a_torn_manifest_licenses_nothing(layout: Layout, data_dir: Path, cut: int) -> None:
    path = arrive(data_dir, IMAGES).with_name(f"{BATCH}.manifest")
    path.write_bytes(path.read_bytes()[:-cut])
    with pytest.raises(Error):
        receive(layout)
    assert not on_disk(layout)


def test_a_manifest_of_another_batch_or_experiment_licenses_nothing(layout: Layout, data_dir: Path) -> None:
    path = arrive(data_dir, IMAGES).with_name(f"{BATCH}.manifest")
    for experiment, batch in ((EXPERIMENT, BATCH.replace("3", "4")), ("2026-05-21", BATCH)):
        write_manifest(path, experiment, batch, IMAGES)
        with pytest.raises(Error, match="names another batch"):
            receive(layout)
    assert not on_disk(layout)


def test_a_manifest_that_did_not_arrive_is_an_error_of_its_file(layout: Layout) -> None:
    with pytest.raises(FileNotFoundError):
        receive(layout)


@BY_EITHER_METHOD
def test_an_empty_batch_has_a_receipt_and_no_archive(layout: Layout, data_dir: Path, zipped: bool) -> None:
    arrive(data_dir, {}, zipped=zipped)
    assert receive(layout).images == 0
    assert on_disk(layout) and parts(layout) == []


def test_a_second_manifest_of_the_same_name_overwrites_nothing_that_was_proven(layout: Layout, data_dir: Path) -> None:
    arrive(data_dir, IMAGES)
    receive(layout)
    later = images(2, start=50)
    arrive(data_dir, later)
    assert receive(layout).receipt.unproven == []
    assert parts(layout) == [{**IMAGES, **later}]


def test_a_receipt_torn_or_of_another_batch_is_made_anew(layout: Layout, data_dir: Path) -> None:
    arrive(data_dir, IMAGES)
    first = receive(layout)
    path = Path(layout.receipt(EXPERIMENT, "object", BATCH))
    for spoilt in (
        "{",
        "[" * 100_000,
        "[]",
        json.dumps({**first.receipt._asdict(), "batch": BATCH.replace("3", "4")}),
    ):
        path.write_text(spoilt)
        assert receive(layout) == first
        assert parts(layout) == [IMAGES]


class Killed(BaseException):
    """What `kill -9` is to the process."""


def kill_at(monkeypatch: pytest.MonkeyPatch, number: int) -> list[str]:
    """Die just before call `number` of those that change the disk; the list names the calls made."""
    calls: list[str] = []

    def dying(name: str, real: Callable[..., object]) -> Callable[..., object]:
        def call(*given: object, **named: object) -> object:
            calls.append(name)
            if len(calls) == number:
                monkeypatch.undo()
                raise Killed
            return real(*given, **named)

        return call

    for name in ("rename", "unlink", "fsync", "rmdir", "mkdir"):
        monkeypatch.setattr(os, name, dying(name, getattr(os, name)))
    return calls


@BY_EITHER_METHOD
def test_killed_at_any_step_it_completes_when_run_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, zipped: bool
) -> None:
    for number in range(1, 200):
        data_dir = tmp_path / str(number)
        layout = Layout(str(data_dir))
        arrive(data_dir, IMAGES, zipped=zipped)
        with monkeypatch.context() as patch:
            kill_at(patch, number)
            try:
                receive(layout)
            except Killed:
                killed = True
            else:
                killed = False
        if on_disk(layout):
            assert parts(layout) == [IMAGES]  # never a receipt without its archive
        arrive(data_dir, IMAGES, zipped=zipped)  # rsync brings again what is not there
        assert receive(layout).receipt.unproven == []
        assert parts(layout) == [IMAGES]
        if not killed:
            assert number > 8
            return
    raise AssertionError("it never came to its end")


def test_an_archive_that_reads_back_as_something_else_is_no_archive(
    layout: Layout, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arrive(data_dir, IMAGES, zipped=False)
    monkeypatch.setattr(archive, "intact", lambda path, wanted: (set(), False))
    with pytest.raises(Error, match="disk may be failing"):
        receive(layout)
    assert not on_disk(layout) and parts(layout) == []


def test_no_receipt_where_the_archive_cannot_be_synced(
    layout: Layout, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arrive(data_dir, IMAGES)

    def failing(descriptor: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "fsync", failing)
    with pytest.raises(OSError, match="Input/output"):
        receive(layout)
    monkeypatch.undo()
    assert not on_disk(layout)


def test_pending_are_those_whose_leftovers_may_still_lie_on_the_camera(layout: Layout, data_dir: Path) -> None:
    assert receiving.pending(layout, "object") == []
    arrive(data_dir, IMAGES)
    assert receiving.pending(layout, "object") == []
    receipt = receive(layout).receipt
    assert receiving.pending(layout, "object") == [receipt] and receiving.pending(layout, "motion") == []
    receiving.forget_incoming(layout, "object")
    assert receiving.pending(layout, "object") == [] and not (data_dir / ".incoming").exists()


def test_forgetting_one_camera_leaves_what_arrives_from_the_other(layout: Layout, data_dir: Path) -> None:
    arrive(data_dir, IMAGES, camera="object")
    arrive(data_dir, IMAGES, camera="motion")
    receiving.forget_incoming(layout, "object")
    assert os.listdir(data_dir / ".incoming") == ["motion"]
    receiving.forget_incoming(layout, "object")


def test_an_empty_day_is_not_a_missing_day(layout: Layout, data_dir: Path) -> None:
    receiving.write_empty(layout, EXPERIMENT, "object")
    before = tree(data_dir)
    assert json.loads(Path(layout.receipt(EXPERIMENT, "object", "empty")).read_text())["images"] == 0
    receiving.write_empty(layout, EXPERIMENT, "object")
    assert tree(data_dir) == before


def test_a_day_with_images_has_no_receipt_of_emptiness(layout: Layout, data_dir: Path) -> None:
    arrive(data_dir, IMAGES)
    receive(layout)
    receiving.write_empty(layout, EXPERIMENT, "object")
    assert not os.path.exists(layout.receipt(EXPERIMENT, "object", "empty"))


def test_hashes_are_what_they_are_called() -> None:
    assert sha256(b"") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


def test_a_transfer_that_has_outlived_its_run_writes_into_no_archive(layout: Layout, data_dir: Path) -> None:
    path = arrive(data_dir, images(3)).with_name(f"{BATCH}.zip")
    whole, more = path.read_bytes(), images(2, start=10)
    with path.open("r+b") as late:
        assert receive(layout).images == 3
        arrive(data_dir, more, batch=batch_name(2))
        receiving.receive(layout, "object", EXPERIMENT, batch_name(2))
        late.write(whole)
        late.truncate()
    assert parts(layout) == [{**images(3), **more}], "what is receipted is there"
