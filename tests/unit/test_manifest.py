# SPDX-License-Identifier: GPL-3.0-or-later
"""A manifest is believed only if it is whole, in order, of the batch it should be of, and names nothing but images."""

from __future__ import annotations

import io
import json
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.wildberryeye.orchestrator.plugins.module_utils import manifest, names
from ansible_collections.wildberryeye.orchestrator.plugins.module_utils.errors import Error
from ansible_collections.wildberryeye.orchestrator.plugins.module_utils.manifest import Entry
from unit.support import BATCH, EXPERIMENT, image

SHA = "0123456789abcdef" * 4
HEADER: Any = {"format": manifest.FORMAT, "experiment": EXPERIMENT, "batch": BATCH}


def line(number: int, size: int = 5) -> list[Any]:
    return [image(number), size, 1, 2, SHA, True]


def text(*lines: Any) -> bytes:
    """Lines of a manifest: bytes as they are, all else as JSON."""
    return b"".join(each if isinstance(each, bytes) else json.dumps(each).encode() + b"\n" for each in lines)


def read(content: bytes) -> list[Entry]:
    return list(manifest.entries(io.BytesIO(content), EXPERIMENT, BATCH))


_ENTRIES = st.dictionaries(
    st.from_regex(names._IMAGE, fullmatch=True),
    st.tuples(
        st.integers(0, 1 << 50),
        st.integers(-(1 << 62), 1 << 62),
        st.integers(-(1 << 62), 1 << 62),
        st.binary(min_size=32, max_size=32).map(bytes.hex),
        st.booleans(),
    ),
    max_size=12,
)


@given(_ENTRIES)
@settings(max_examples=100, deadline=None)
def test_what_a_camera_writes_is_read_back_as_it_was(found: dict[str, tuple[int, int, int, str, bool]]) -> None:
    written = [Entry(name, *found[name]) for name in sorted(found)]
    file = io.BytesIO()
    writer = manifest.Writer(file, EXPERIMENT, BATCH)
    for entry in written:
        writer.add(entry)
    writer.close()
    assert (writer.images, writer.bytes) == (len(written), sum(entry.size for entry in written))
    assert read(file.getvalue()) == written


@given(st.integers(0, 10_000), st.integers(0, 255))
@settings(max_examples=150, deadline=None)
def test_a_damaged_manifest_names_no_image_that_was_not_in_it(at: int, value: int) -> None:
    content = bytearray(text(HEADER, line(1), line(2), {"images": 2, "bytes": 10}))
    content[at % len(content)] = value
    try:
        found = read(bytes(content))
    except Error:
        return
    assert len(found) == 2 and all(names.is_image(entry.name) for entry in found)


@given(st.integers(0, 10_000))
@settings(max_examples=100, deadline=None)
def test_a_manifest_cut_short_anywhere_is_never_taken_for_a_whole_one(at: int) -> None:
    content = text(HEADER, line(1), line(2), {"images": 2, "bytes": 10})
    with pytest.raises(Error):
        read(content[: at % len(content)])


UNSOUND: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "it is torn"),
    "no totals": (text(HEADER, line(1)), "it is torn"),
    "torn line": (text(HEADER, b'["object_2026'), "it is torn"),
    "no newline at the end": (text(HEADER, line(1), {"images": 1, "bytes": 5})[:-1], "it is torn"),
    "not JSON": (text(b"\xff\xfe\n"), "a line is not JSON"),
    "nested without end": (text(HEADER, b"[" * 4000 + b"\n"), "a line is not JSON"),
    "a number of 4000 digits": (text(HEADER, b"9" * 4090 + b"\n"), "a line is not"),
    "another version": (text({**HEADER, "format": "wildberryeye-batch-9"}), "not a manifest of this version"),
    "a list for a header": (text([1], line(1)), "not a manifest of this version"),
    "another batch": (text({**HEADER, "batch": BATCH[:-1] + "f"}), "it names another batch"),
    "another experiment": (text({**HEADER, "experiment": "2026-05-23"}), "it names another batch"),
    "reordered": (text(HEADER, line(2), line(1), {"images": 2, "bytes": 10}), "not in order or named twice"),
    "named twice": (text(HEADER, line(1), line(1), {"images": 2, "bytes": 10}), "not in order or named twice"),
    "too few": (text(HEADER, line(1), {"images": 2, "bytes": 5}), "its totals do not agree"),
    "too many bytes": (text(HEADER, line(1), {"images": 1, "bytes": 6}), "its totals do not agree"),
    "more after the end": (text(HEADER, line(1), {"images": 1, "bytes": 5}, line(2)), "its totals do not agree"),
    "other totals": (text(HEADER, line(1), {"images": 1, "bytes": 5, "x": 1}), "its totals do not agree"),
    "path": (text(HEADER, ["../" + image(1), 5, 1, 2, SHA, True]), "is not an image's name"),
    "absolute path": (text(HEADER, ["/etc/passwd", 5, 1, 2, SHA, True]), "is not an image's name"),
    "no image": (text(HEADER, ["../x", 5, 1, 2, SHA, True]), "is not an image's name"),
    "newline in a name": (text(HEADER, [image(1) + "\n", 5, 1, 2, SHA, True]), "is not an image's name"),
    "lone surrogate": (text(HEADER, b'["\\ud800.jpg",5,1,2,"' + SHA.encode() + b'",true]\n'), "not an image's name"),
    "name is no text": (text(HEADER, [1, 5, 1, 2, SHA, True]), "is not an image's name"),
    "negative size": (text(HEADER, line(1, size=-1)), "is malformed"),
    "size of text": (text(HEADER, [image(1), "5", 1, 2, SHA, True]), "is malformed"),
    "size of truth": (text(HEADER, [image(1), True, 1, 2, SHA, True]), "is malformed"),
    "time of fractions": (text(HEADER, [image(1), 5, 1.5, 2, SHA, True]), "is malformed"),
    "no SHA-256": (text(HEADER, [image(1), 5, 1, 2, SHA[1:], True]), "is malformed"),
    "SHA-256 in capitals": (text(HEADER, [image(1), 5, 1, 2, SHA.upper(), True]), "is malformed"),
    "SHA-256 is a list": (text(HEADER, [image(1), 5, 1, 2, [SHA], True]), "is malformed"),
    "too short": (text(HEADER, [image(1), 5, 1, 2, SHA]), "a line is not an image"),
    "too long": (text(HEADER, [*line(1), 1]), "a line is not an image"),
    "null": (text(HEADER, None), "a line is not an image"),
}


@pytest.mark.parametrize("case", UNSOUND)
def test_a_manifest_that_could_license_a_wrong_deletion_is_refused(case: str) -> None:
    content, why = UNSOUND[case]
    with pytest.raises(Error, match=why) as caught:
        read(content)
    message = str(caught.value)
    assert message.startswith("read the manifest") and "\n" not in message and message.isprintable()
    assert message.endswith("Nothing of it was deleted; run the collection again")


def test_a_line_without_end_takes_no_memory() -> None:
    class Endless(io.RawIOBase):
        def readable(self) -> bool:
            return True

        def readinto(self, buffer: Any) -> int:
            buffer[:] = b"9" * len(buffer)
            return len(buffer)

    tracemalloc.start()
    with pytest.raises(Error, match="torn"):
        list(manifest.entries(io.BufferedReader(Endless()), EXPERIMENT, BATCH))
    assert tracemalloc.get_traced_memory()[1] < 1 << 20
    tracemalloc.stop()


def test_a_manifest_of_too_many_images_is_not_read_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(manifest, "_MOST_IMAGES", 2)
    with pytest.raises(Error, match="too many images"):
        read(text(HEADER, line(1), line(2), line(3), {"images": 3, "bytes": 15}))


def test_an_empty_batch_has_a_sound_manifest() -> None:
    assert read(text(HEADER, {"images": 0, "bytes": 0})) == []


def test_loading_gives_size_and_the_digest_that_receipts_name(tmp_path: Path) -> None:
    path = tmp_path / f"{BATCH}.manifest"
    path.write_bytes(text(HEADER, line(1), line(2, size=7), {"images": 2, "bytes": 12}))
    found = manifest.load(str(path), EXPERIMENT, BATCH)
    assert (list(found.entries), found.size) == ([image(1), image(2)], 12)
    assert found.sha256 == manifest.digest(str(path)) and len(found.sha256) == 64


def test_a_truth_that_is_none_does_not_make_an_image_whole() -> None:
    found = read(text(HEADER, [image(1), 5, 1, 2, SHA, "false"], {"images": 1, "bytes": 5}))
    assert not found[0].whole


def test_the_archives_list_is_what_sha256sum_reads_and_is_read_back() -> None:
    written = manifest.sums(iter([(image(1), SHA), (image(2), SHA)]))
    assert written == f"{SHA}  {image(1)}\n{SHA}  {image(2)}\n".encode()
    assert manifest.read_sums(written) == {image(1): SHA, image(2): SHA}


def test_what_is_hostile_in_an_archives_list_is_left_out() -> None:
    hostile = f"{SHA}  ../{image(1)}\n{SHA[1:]}  {image(2)}\n{SHA} {image(3)}\n\n{SHA}  {image(4)}\n".encode()
    assert manifest.read_sums(b"\xff\n" + hostile) == {image(4): SHA}


def test_batches_that_arrived_are_found_and_nothing_else_is(tmp_path: Path) -> None:
    for path in (
        f"{EXPERIMENT}/{BATCH}.manifest",
        f"{EXPERIMENT}/{BATCH}.zip",
        f"{EXPERIMENT}/{BATCH}.manifest.tmp",
        f"{EXPERIMENT}/x.manifest",
        f"-rf/{BATCH}.manifest",
        f"unclaimed/{BATCH}.manifest",
        f"unclaimed/{BATCH}/{image(1)}",
    ):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).touch()
    assert list(manifest.batches_below(str(tmp_path))) == [(EXPERIMENT, BATCH), ("unclaimed", BATCH)]
    assert list(manifest.batches_below(str(tmp_path / "nowhere"))) == []
