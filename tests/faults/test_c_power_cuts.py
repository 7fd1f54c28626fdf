# SPDX-License-Identifier: GPL-3.0-or-later
"""Without power after any system call (C2, C19): nothing is lost, and the next run completes."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from faults.case import Case
from faults.on_card import CAMERA, MORE_ON_A_CAMERA, Recording
from faults.on_orchestrator import Closing, OnOrchestrator, Opening, Receiving
from faults.power_cuts import cut_everywhere
from unit.support import ROOT, as_mended, sha256, tree


def unsynced(path: str) -> bool:
    """What rsync and ansible.builtin.file wrote, which sync nothing."""
    return path.split("/")[0] == ".incoming"


class Arriving(Receiving):
    """As `Receiving`; after a power cut, what rsync had brought may be gone."""

    def held(self, root: Path) -> None:
        OnOrchestrator.held(self, root)


def again_on(case: Case) -> Callable[[Path], None]:
    """What comes after a power cut: rsync brings again what is missing, and the module is run again."""

    seen: list[dict[str, str]] = []

    def again(root: Path) -> None:
        # Whatever is left of what has arrived makes no difference: it comes again.
        left = {path: digest for path, digest in tree(case.files(root)).items() if not unsynced(path)}
        # Nor does what an archive holds where its journal says what it is to hold.
        for path in (path for path in left if f"{path}.tail" in left):
            left[path] = sha256(as_mended(case.files(root) / path))
        if left in seen:
            return
        seen.append(left)
        if isinstance(case, Arriving):
            shutil.rmtree(case.files(root) / ".incoming", ignore_errors=True)
            case.arrive(root)
        case.done(root, case.again(root))
        case.held(root)

    return again


CUT: dict[str, Case] = {
    "image_receipt": Arriving(),
    "image_receipt, lost receipt": Arriving(lost_receipt=True),
    "image_receipt, growing": Arriving(growing=True),
    "experiment": Closing(),
    "experiment, one part": Closing(parts=1),
    "experiment, late": Closing(late=True),
    "experiment, growing": Closing(growing=True),
    "experiment, opening": Opening(),
}
MANY_DISKS = ("image_receipt, lost receipt", "image_receipt, growing")
"""Cases that tell most of what `image_receipt` tells, with thousands of disks."""
CUT_ON_A_CAMERA: dict[str, Case] = {
    **{name: case for name, case in {**CAMERA, **MORE_ON_A_CAMERA}.items() if not isinstance(case, Recording)},
    "recording": Recording("recording", late=False),
    "recording, idle": Recording("idle", late=False),
}


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow) if name in MANY_DISKS else name for name in CUT]
)
def test_c19_what_is_receipted_survives_a_power_cut_whatever_was_not_synced(name: str, tmp_path: Path) -> None:
    """Power cut after each system call, all that was not synced lost -> archive whole, or no receipt."""
    cuts = cut_everywhere(CUT[name], tmp_path, unsynced)
    print(f"power cuts: {name}: after {cuts.calls} calls, {cuts.states} different disks")
    assert cuts.calls >= 10 and cuts.states > cuts.calls


@pytest.mark.slow
@pytest.mark.parametrize("name", CUT)
def test_c19_what_a_power_cut_leaves_is_completed_by_the_next_run(name: str, tmp_path: Path) -> None:
    """Power cut after each system call, run again on each disk that it can leave -> complete, nothing left over."""
    cut_everywhere(CUT[name], tmp_path, unsynced, again=again_on(CUT[name]))


NOT_SYNCED = {
    "no file": ("durable", "            os.fsync(descriptor)\n", ""),
    "no directory": ("durable", "        os.fsync(descriptor)\n    finally", "        pass\n    finally"),
    "a file after it has its name": (
        "durable",
        "            os.fsync(descriptor)\n",
        "            os.rename(temporary, path)\n            os.fsync(descriptor)\n"
        "            os.rename(path, temporary)\n",
    ),
    "what arrived": ("archive", "            os.fsync(file.fileno())\n", ""),
    "the old tail": (
        "growing",
        "with durable.replacing(_journal(path)) as file:",
        'with open(_journal(path), "wb") as file:',
    ),
    "the old tail until some of it is overwritten": (
        "growing",
        "    with durable.replacing(_journal(path)) as file:",
        '    with open(path, "r+b") as file:\n        file.seek(offset)\n        file.write(b"new")\n'
        "    with durable.replacing(_journal(path)) as file:",
    ),
    "that the old tail is void": ("growing", "    durable.sync_directory(os.path.dirname(path))\n", ""),
    "what was put back": ("growing", "        os.fsync(file.fileno())\n", ""),
}


@pytest.mark.parametrize(
    ("name", "mistake"),
    [
        *(("image_receipt", mistake) for mistake in list(NOT_SYNCED)[:-1]),
        ("image_receipt, growing", "what was put back"),
        *((name, mistake) for name in ("experiment", "experiment, opening") for mistake in list(NOT_SYNCED)[:3]),
    ],
)
def test_c19_a_sync_that_is_left_out_is_noticed(name: str, mistake: str, tmp_path: Path) -> None:
    """Power cut after each system call of a collection with one sync left out -> these tests find the loss."""
    collection = tmp_path / "collections" / "ansible_collections" / "wildberryeye" / "orchestrator"
    shutil.copytree(ROOT / "plugins", collection / "plugins", ignore=shutil.ignore_patterns("__pycache__"))
    module, right, wrong = NOT_SYNCED[mistake]
    path = collection / "plugins" / "module_utils" / f"{module}.py"
    assert path.read_text().count(right) == 1
    path.write_text(path.read_text().replace(right, wrong))
    with pytest.raises(AssertionError, match="the power is cut"):
        cut_everywhere(CUT[name], tmp_path / "cut", unsynced, collections=tmp_path / "collections")


@pytest.mark.parametrize("name", CUT_ON_A_CAMERA)
def test_c2_a_power_cut_on_the_camera_loses_no_image(name: str, tmp_path: Path) -> None:
    """Power cut after each system call of the module, all that was not synced lost -> each image is on the card."""
    cuts = cut_everywhere(CUT_ON_A_CAMERA[name], tmp_path)
    print(f"power cuts: {name}: after {cuts.calls} calls, {cuts.states} different disks")
    assert cuts.calls >= 10 and cuts.states > cuts.calls
