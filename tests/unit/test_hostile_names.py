# SPDX-License-Identifier: GPL-3.0-or-later
"""What a camera says is judged in one place: no name of its choosing leads, orders or says anything of its own."""

from __future__ import annotations

import ast
import hashlib
import io
import os
import re
import subprocess
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ansible_collections.wildberryeye.orchestrator.plugins.module_utils import (
    answer,
    archive,
    known_hosts,
    manifest,
    names,
)
from ansible_collections.wildberryeye.orchestrator.plugins.module_utils.errors import Error
from ansible_collections.wildberryeye.orchestrator.plugins.module_utils.receipt import Receipt
from ansible_collections.wildberryeye.orchestrator.plugins.module_utils.transfer import rsync_options
from fuzz.targets import BATCH, EXPERIMENT, read_answer, read_archive, read_host_keys, read_manifest, safe, seeds
from unit.support import ROOT, image


def accepted(judge: Callable[[str], object], name: str) -> bool:
    """Tell whether `judge` takes a name; it may raise nothing but `Error`."""
    try:
        return bool(judge(name))
    except Error:
        return False


JUDGES: dict[str, Callable[[str], object]] = {
    "image": names.is_image,
    "batch": names.is_batch,
    "experiment": names.is_experiment,
    "experiment's id": names.experiment_id,
    "camera": names.camera_name,
}
PATTERNS = {
    "image": names._IMAGE,
    "batch": names._BATCH,
    "experiment": names._DIRECTORY,
    "experiment's id": names._DIRECTORY,
    "camera": names._DIRECTORY,
}
_PIECES = st.sampled_from(
    [
        *"./\\-_ \n\r\t\0\x1b\x7f\x9b*?[]{}'\"$`;:&|<>~#%+@!",
        "..",
        "\u202e",
        "\udcff",
        "\uff0e",
        "\u0661",
        "é",
        ".jpg",
        "x",
    ]
)


def close_to(judged: str) -> st.SearchStrategy[str]:
    """Names that are almost right, and such that are."""
    right = st.from_regex(PATTERNS[judged], fullmatch=True)
    spoilt = st.tuples(right, st.integers(0, 300), _PIECES).map(lambda it: it[0][: it[1]] + it[2] + it[0][it[1] :])
    return st.one_of(right, spoilt, st.text(max_size=300), st.lists(_PIECES, max_size=8).map("".join))


@pytest.mark.parametrize("judged", JUDGES)
def test_whatever_is_taken_for_a_name_is_one_safe_component_of_a_path(judged: str) -> None:
    @given(close_to(judged))
    @settings(max_examples=400, deadline=None)
    def holds(name: str) -> None:
        if accepted(JUDGES[judged], name):
            safe(name)
            assert os.fsencode(name) == name.encode("ascii")

    holds()


@given(st.binary(max_size=300))
@settings(max_examples=300, deadline=None)
def test_names_of_arbitrary_bytes_are_judged_and_never_break_the_judge(name: bytes) -> None:
    for judge in JUDGES.values():
        if accepted(judge, os.fsdecode(name)):
            safe(os.fsdecode(name))


@given(st.lists(st.from_regex(names._IMAGE, fullmatch=True), min_size=1, max_size=5, unique=True))
@settings(max_examples=25, deadline=None)
def test_an_images_name_is_the_same_to_sha256sum_to_zip_to_rsync_and_as_an_argument(images: list[str]) -> None:
    with tempfile.TemporaryDirectory() as directory:
        for name in images:
            (Path(directory) / name).write_bytes(name.encode())
        wanted = {name: hashlib.sha256(name.encode()).hexdigest() for name in sorted(images)}
        listed = manifest.sums(iter(wanted.items()))
        assert manifest.read_sums(listed) == wanted
        subprocess.run(["sha256sum", "--check", "--strict", "--quiet"], input=listed, cwd=directory, check=True)
        # As an argument without "--", and without a path before it.
        shown = subprocess.run(["ls", *images], cwd=directory, check=True, capture_output=True, text=True).stdout
        assert sorted(shown.split("\n")[:-1]) == sorted(images)
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w") as made:
            for name in images:
                made.writestr(name, b"")
        assert zipfile.ZipFile(file).namelist() == images
        # As a filter it means itself and nothing else.
        filters = [f"--include=/{images[0]}", "--exclude=*"]
        found = subprocess.run(
            ["rsync", "--recursive", "--list-only", *filters, f"{directory}/"],
            check=True,
            capture_output=True,
            text=True,
        ).stdout.splitlines()
        assert [line.split()[-1] for line in found] == [".", images[0]]


def test_names_are_judged_in_one_place() -> None:
    """A second grammar would be one that nobody attacks in tests."""
    for path in sorted((ROOT / "plugins").rglob("*.py")):
        if path.name == "names.py":
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str | bytes):
                text = node.value if isinstance(node.value, str) else node.value.decode(errors="replace")
                assert text not in ("..", "../", "/.."), f"{path}:{node.lineno} looks at names by itself"
                assert not re.search(r"\(\?P<kind>|A-Za-z0-9\]\[A-Za|\\d\{8\}T", text), f"{path}:{node.lineno}"


@pytest.mark.parametrize(
    "name", ["localhost", "orchestrator", "unclaimed", "experiment.json", "events.jsonl", "events.jsonl.tmp"]
)
def test_a_camera_cannot_take_the_place_of_the_orchestrator_or_of_a_file_of_ours(name: str) -> None:
    with pytest.raises(Error, match=r"as a camera's name: that name is ours\. Rename it in the inventory"):
        names.camera_name(name)


# -- what rsync is told ----------------------------------------------------------------------------------

BATCH_THERE = {"experiment": EXPERIMENT, "batch": BATCH, "images": 1, "bytes": 2, "zipped": False}
ANYTHING = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=20)),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=8), inner, max_size=4)),
    max_leaves=8,
)


@pytest.mark.parametrize(
    ("experiment", "batch"),
    [
        ("..", BATCH),
        ("../..", BATCH),
        ("/", BATCH),
        ("", BATCH),
        ("**", BATCH),
        ("x\n- *", BATCH),
        (EXPERIMENT, ".."),
        (EXPERIMENT, "../../.ssh"),
        (EXPERIMENT, f"{BATCH}/../../x"),
        (EXPERIMENT, f"{BATCH} --remove-source-files"),
        (EXPERIMENT, "*"),
        (EXPERIMENT, ["x"]),
        (None, None),
    ],
)
def test_rsync_is_given_no_batch_of_another_name(experiment: Any, batch: Any) -> None:
    with pytest.raises(Error, match=r"the camera named a batch .*, which is none") as caught:
        rsync_options([{**BATCH_THERE, "experiment": experiment, "batch": batch}], "", 60)
    assert "\n" not in str(caught.value)


@given(close_to("experiment"), close_to("batch"))
@settings(max_examples=300, deadline=None)
def test_all_that_rsync_is_given_lies_below_the_batches(experiment: str, batch: str) -> None:
    try:
        options = rsync_options([{**BATCH_THERE, "experiment": experiment, "batch": batch}], "", 60)
    except Error:
        return
    assert options[5:] == [
        f"--include=/{safe(experiment)}/",
        f"--include=/{experiment}/{safe(batch)}.manifest",
        f"--include=/{experiment}/{batch}/",
        f"--include=/{experiment}/{batch}/*.jpg",
        "--exclude=*",
    ]


# -- what a module answers -------------------------------------------------------------------------------


@given(st.dictionaries(st.sampled_from([*answer._FIELDS, "add_host", "ansible_facts"]), ANYTHING, max_size=6))
@settings(max_examples=400, deadline=None)
@example({"foreign_count": 1})
@example({"bytes": 10**400})
@example({"service_age": float("nan")})
@example({"batches": [{**BATCH_THERE, "bytes": True}]})
def test_an_answer_is_ours_or_is_refused_in_one_line(given_: dict[str, Any]) -> None:
    try:
        found = answer.sound(given_)
    except Error as error:
        assert str(error).isprintable() and "look at that camera" in str(error)
        return
    assert found.keys() <= answer._FIELDS.keys()


@pytest.mark.parametrize(
    "key",
    [
        *("add_host", "add_group", "ansible_facts", "_ansible_facts_cacheable", "ansible_stats", "warnings"),
        *("deprecations", "diff", "exception", "invocation", "notify", "stdout", "ansible_delegated_vars"),
    ],
)
def test_what_ansible_itself_would_obey_does_not_get_through(key: str) -> None:
    assert answer.sound({"changed": False, "msg": "fine", key: {"x": 1}}) == {"changed": False, "msg": "fine"}


@pytest.mark.parametrize(
    "text", ["\x1b[2J", "\x1b]0;x\x07", "\x9b2J", "a\rb", "a\nb", "\u202ea", "\u2028", "\x7f", "\udcff"]
)
def test_no_text_of_a_camera_reaches_a_terminal_as_more_than_text(text: str) -> None:
    found = answer.sound({"msg": text, "foreign_count": 1, "foreign": [text], "problem": text, "clock_note": text})
    assert all(
        shown.isprintable() for shown in (found["msg"], *found["foreign"], found["problem"], found["clock_note"])
    )


def documented(module: str) -> set[str]:
    """Return what a module says that it returns."""
    tree = ast.parse((ROOT / "plugins" / "modules" / f"{module}.py").read_text())
    (text,) = [
        node.value.value
        for node in tree.body
        if isinstance(node, ast.Assign)
        and isinstance(node.targets[0], ast.Name)
        and node.targets[0].id == "RETURN"
        and isinstance(node.value, ast.Constant)
    ]
    return set(yaml.safe_load(str(text)))


FROM_HERE = {"reached", "reachable", "looked", "clock_offset", "clock_uncertainty", "needed", "room"}
"""What the action plugins add on the orchestrator."""


@pytest.mark.parametrize("module", ["image_batch", "image_cleanup", "recording", "camera_status"])
def test_whatever_a_module_says_that_it_returns_gets_through(module: str) -> None:
    assert documented(module) - FROM_HERE <= answer._FIELDS.keys()


# -- bytes in place of what a camera sends ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("target", "read"),
    [("manifest", read_manifest), ("archive", read_archive), ("answer", read_answer), ("host_keys", read_host_keys)],
)
def test_bytes_come_to_a_refusal_or_to_what_is_sound(target: str, read: Callable[[bytes], None]) -> None:
    sound = seeds(target)[0]

    @given(st.one_of(st.binary(max_size=200), st.tuples(st.integers(0, len(sound)), st.binary(max_size=4))))
    @settings(max_examples=150, deadline=None)
    def holds(data: Any) -> None:
        if isinstance(data, tuple):
            at, other = data
            data = sound[:at] + other + sound[at + len(other) :]
        read(data)

    holds()


def test_a_zip_that_speaks_of_places_before_its_beginning_is_damaged_and_no_more(tmp_path: Path) -> None:
    """Otherwise such a zip, which a flipped bit can make, would end each collection, and never be fetched anew."""
    content = image(1)
    path = tmp_path / "x.zip"
    with zipfile.ZipFile(path, "w") as made:
        made.writestr("padding.jpg", b"x" * 100)
        made.writestr(content, b"x")
    data = bytearray(path.read_bytes())
    # The directory says that it begins later than it does: all members then lie so much before where they should.
    end = data.rindex(b"PK\5\6")
    data[end + 16 : end + 20] = (int.from_bytes(data[end + 16 : end + 20], "little") + 1000).to_bytes(4, "little")
    path.write_bytes(data)
    assert archive.intact(str(path), {content: hashlib.sha256(b"x").hexdigest()}) == (set(), False)
    with pytest.raises(Error, match="damaged"):
        archive.contents(str(path))
    sources = [archive.Source(content, hashlib.sha256(b"x").hexdigest(), str(path), member=True)]
    assert archive.write(str(tmp_path / "y.zip"), sources) == {}


@given(ANYTHING, ANYTHING, ANYTHING, ANYTHING)
@settings(max_examples=200, deadline=None)
def test_a_receipt_is_one_or_is_refused(experiment: Any, batch: Any, sha256: Any, unproven: Any) -> None:
    for given_ in (
        {"experiment": experiment, "batch": batch, "manifest_sha256": sha256, "unproven": unproven},
        {"experiment": EXPERIMENT, "batch": BATCH, "manifest_sha256": sha256, "unproven": unproven},
    ):
        try:
            found = Receipt.parse(given_)
        except Error as error:
            assert str(error).isprintable()
            continue
        safe(found.batch)
        assert all(names.is_image(name) for name in found.unproven)


@given(st.text(max_size=120))
@settings(max_examples=200, deadline=None)
def test_a_host_key_is_one_or_is_none(text: str) -> None:
    key = known_hosts._key(text.split()[:2])
    if key is not None:
        assert str(key).isprintable() and not set(key.blob) & set(" \n\t")
