# SPDX-License-Identifier: GPL-3.0-or-later
"""Seventy thousand images, five gigabytes (C17)."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from ansible_collections.wildberryeye.orchestrator.plugins.module_utils.card import Card
from unit.support import ROOT, image

MODULE = """
import atexit, re, runpy, sys
def peak(path):
    # Not getrusage: a process inherits that peak from the one that started it.
    found = re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())
    open(path, "w").write(found[1])
atexit.register(peak, sys.argv.pop(1))
runpy.run_module(sys.argv.pop(1), run_name="__main__", alter_sys=True)
"""


def run_measured(name: str, tmp_path: Path, **arguments: object) -> tuple[dict[str, object], float]:
    """Run a module in an interpreter of its own; return its result and its peak of memory in MB."""
    peak = tmp_path / "peak"
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            MODULE,
            str(peak),
            f"ansible_collections.wildberryeye.orchestrator.plugins.modules.{name}",
        ],
        input=json.dumps({"ANSIBLE_MODULE_ARGS": {**arguments, "_ansible_remote_tmp": str(tmp_path)}}),
        env={**os.environ, "PYTHONPATH": str(ROOT / "collections")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout), int(peak.read_text()) / 1024


@pytest.mark.slow
def test_c17_seventy_thousand_images_of_five_gigabytes_come_home_in_little_memory(tmp_path: Path) -> None:
    """70,000 images, 5 GB -> each module on the camera below 60 MB; a zip64 that unzip believes; receipted, deleted."""
    if shutil.disk_usage(tmp_path).free < 20 << 30:
        pytest.skip("needs 20 GB of free disk")
    card, data = tmp_path / "card", tmp_path / "data"
    card.mkdir()
    count, size = 70_000, 75_000
    try:
        for number in range(count):
            with open(card / image(number), "wb") as file:
                # Holes on this disk, and read as zeros: only the zip takes up room.
                file.truncate(size - 10)
                file.seek(size - 10)
                file.write(b"%08d\xff\xd9" % number)
        common = {"image_dir": str(card), "timeout": 3600}
        made, batch_peak = run_measured(
            "image_batch", tmp_path, **common, set_aside="stable", data_dir=str(data), purpose="collect"
        )
        assert (made["images"], made["bytes"], made["fell_back"]) == (count - 1, (count - 1) * size, False)
        (batch,) = Card(str(card)).batches()
        assert os.path.getsize(batch.zip) > 5_000_000_000
        if shutil.which("unzip"):
            assert "No errors" in subprocess.run(["unzip", "-tq", batch.zip], capture_output=True, text=True).stdout
        incoming = data / ".incoming" / "object" / batch.experiment
        incoming.mkdir(parents=True)
        shutil.copy(batch.manifest, incoming)
        os.link(batch.zip, incoming / f"{batch.name}.zip")
        received, _ = run_measured(
            "image_receipt", tmp_path, data_dir=str(data), camera="object", batches=made["batches"]
        )
        assert (received["images"], received["receipts"][0]["unproven"]) == (count - 1, [])  # type: ignore[index]
        cleaned, cleanup_peak = run_measured("image_cleanup", tmp_path, **common, receipts=received["receipts"])
        assert (cleaned["deleted"], cleaned["left"]) == (count - 1, 0)
        assert os.listdir(card) == [image(count - 1)], "the newest stays"
        print(f"image_batch {batch_peak:.0f} MB, image_cleanup {cleanup_peak:.0f} MB")
        assert max(batch_peak, cleanup_peak) < 60
        # The way people open it.
        with zipfile.ZipFile(next(data.glob("unclaimed/object/parts/*.zip"))) as archive:
            assert len(archive.namelist()) == count
            assert archive.read(image(count - 2)).endswith(b"%08d\xff\xd9" % (count - 2))
    finally:
        shutil.rmtree(card)
        shutil.rmtree(data, ignore_errors=True)
