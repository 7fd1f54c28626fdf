# SPDX-License-Identifier: GPL-3.0-or-later
"""Break the product on purpose, one promise at a time, and see the rows that guard it turn red.

``make mutations`` runs it: each mutation is made in a copy of the checkout, and the tests named beside it run
there. One of them that stays green guards nothing; so does a mutation that no longer fits the code.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

CHECKOUT = Path(__file__).parents[2]
UTILS = "plugins/module_utils"
_TIMEOUT = 900
"""Seconds that the tests of one mutation may take."""


class Mutation(NamedTuple):
    """A promise, and what breaks it."""

    name: str
    file: str
    changes: dict[str, str]
    """What stands in the file, once, and what takes its place."""
    rows: list[str]
    """The tests one of which must fail, as pytest's -k knows them, after the file that they stand in."""


MUTATIONS = [
    Mutation(
        "the receipt is written without reading the archive back",
        f"{UTILS}/archive.py",
        {
            "in wanted and _hash(archive, info) == wanted[info.filename]:": "in wanted:",
        },
        ["test_c_carrying.py::test_c7_a_damaged_archive_licenses_only_what_is_intact and flipped"],
    ),
    Mutation(
        "cleanup ignores the receipt",
        f"{UTILS}/receipt.py",
        {"if entry.name in unproven or not _unchanged(path, entry):": "if not _unchanged(path, entry):"},
        ["test_c_carrying.py::test_c7_a_damaged_archive_licenses_only_what_is_intact and missing"],
    ),
    Mutation(
        "cleanup does not look whether an image has changed",
        f"{UTILS}/receipt.py",
        {"if entry.name in unproven or not _unchanged(path, entry):": "if entry.name in unproven:"},
        ["test_c_changes.py::test_c10"],
    ),
    Mutation(
        "files get their names before they are on the disk",
        f"{UTILS}/durable.py",
        {"            os.fsync(descriptor)\n            if not": "            if not"},
        ["test_c_power_cuts.py::test_c19_what_is_receipted and not lost and not growing"],
    ),
    Mutation(
        "names are not made to survive a power cut",
        f"{UTILS}/durable.py",
        {"        os.fsync(descriptor)\n    finally:": "        pass\n    finally:"},
        ["test_c_power_cuts.py::test_c19_what_is_receipted and not lost and not growing"],
    ),
    Mutation(
        "files are written under their public names",
        f"{UTILS}/durable.py",
        {
            'temporary = f"{path}.tmp"': "temporary = path",
            "            publish(temporary, path)\n": "            sync_directory(os.path.dirname(path))\n",
        },
        ["test_c_kills.py::test_c1_a_module_killed_before"],
    ),
    Mutation(
        "what an archive overwrites when it grows is not kept",
        f"{UTILS}/growing.py",
        {"        _set_aside(path, old.offset)\n": ""},
        ["test_c_power_cuts.py::test_c19_what_is_receipted and not lost and not growing"],
    ),
    Mutation(
        "stop does not set aside",
        "plugins/modules/recording.py",
        {
            'done = card.set_aside(card.loose().images, params["fallback"])\n        card.clear_label()': (
                'done = card.set_aside([], params["fallback"])\n        card.clear_label()'
            ),
        },
        ["test_c_carrying.py::test_c22"],
    ),
    Mutation(
        "locks keep nobody out",
        f"{UTILS}/lock.py",
        {"            if held is None or held[:3] == new[:3]:": "            if True:"},
        ["test_c_carrying.py::test_c11"],
    ),
]


def main() -> int:
    """Run all mutations, or those whose names contain an argument; return 1 if one of them was not noticed."""
    parser = argparse.ArgumentParser(prog="python -m faults.mutations", description=__doc__)
    parser.add_argument("words", nargs="*", help="only mutations whose names contain one of these")
    words = parser.parse_args().words
    chosen = [each for each in MUTATIONS if not words or any(word in each.name for word in words)]
    unnoticed = 0
    for mutation in chosen:
        with tempfile.TemporaryDirectory(prefix="wildberryeye-mutation-") as directory:
            copy = Path(directory) / "orchestrator"
            _copy(copy)
            _mutate(copy, mutation)
            for row in mutation.rows:
                red = _red(copy, row)
                unnoticed += not red
                print(f"{'red  ' if red else 'GREEN'}  {mutation.name}: {row}", flush=True)
    print(f"{len(chosen)} mutations, {unnoticed} not noticed")
    return 1 if unnoticed or not chosen else 0


def _copy(copy: Path) -> None:
    """Copy what belongs to the project, changed or not, and the collection that it needs."""
    listing = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listing, cwd=CHECKOUT, check=True, capture_output=True, text=True).stdout
    for name in filter(None, names.split("\0")):
        source, target = CHECKOUT / name, copy / name
        if source.is_symlink() or source.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target, follow_symlinks=False)
    shutil.copytree(
        CHECKOUT / "collections/ansible_collections/ansible", copy / "collections/ansible_collections/ansible"
    )


def _mutate(copy: Path, mutation: Mutation) -> None:
    path = copy / mutation.file
    text = path.read_text()
    for old, new in mutation.changes.items():
        if text.count(old) != 1:
            raise SystemExit(
                f"{mutation.name}: {mutation.file} has changed, and this mutation with it: {old.strip()!r}"
            )
        text = text.replace(old, new)
    path.write_text(text)


def _red(copy: Path, row: str) -> bool:
    """Tell whether the tests of a row ran and one of them failed."""
    file, _, words = row.partition("::")
    options = ["-q", "-x", "-p", "no:cacheprovider", "-k", words]
    command = [sys.executable, "-m", "pytest", *options, f"tests/faults/{file}"]
    with subprocess.Popen(command, cwd=copy, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as running:
        try:
            text, _ = running.communicate(timeout=_TIMEOUT)
        except BaseException:
            # pytest takes its hosts down when it is asked to end.
            running.terminate()
            raise
    # Errors of collection and of the lab end otherwise, or without a failure.
    red = running.returncode == 1 and re.search(r"\d+ failed", text) is not None
    if not red:
        print(text, file=sys.stderr)
    return red


if __name__ == "__main__":
    sys.exit(main())
