# SPDX-License-Identifier: GPL-3.0-or-later
"""`make demo`: a day's experiment in two minutes, with two emulated cameras on real systemd hosts.

Runs the very commands that a person with real cameras runs, then checks the archives with unzip and
sha256sum, and against the emulators' own lists of what they wrote.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

from .command import run_command
from .host import Camera, CameraSpec
from .lab import Lab

ROOT = Path(__file__).parents[2]
WORK = ROOT / "build" / "demo"
RECORD_FOR = 20
"""Seconds between start and stop."""


def main() -> int:
    """Run the demo; return the exit status."""
    return run_command("demo", demo, removed="the cameras are removed")


def demo() -> int:
    """Bring two cameras up, start, wait, stop, verify."""
    shutil.rmtree(WORK, ignore_errors=True)
    WORK.mkdir(parents=True)
    cameras = [CameraSpec("object", "object"), CameraSpec("motion", "motion")]
    say("two emulated cameras are starting")
    with Lab(cameras, directory=WORK / "lab", name="demo") as lab:
        for camera in lab.cameras.values():
            camera.settings(interval=0.5)
            camera.restart_service()
        inventory = lab.write_inventory(WORK / "inventory", extra={"wildberryeye_data_dir": str(WORK / "data")})
        shown = inventory.relative_to(ROOT)
        if not playbook("start", shown):
            return 1
        say(f"the cameras record for {RECORD_FOR} s, as they would from 07:00 to 01:00")
        time.sleep(RECORD_FOR)
        if not playbook("stop", shown):
            return 1
        wrong = verify(list(lab.cameras.values()))
        (report,) = (WORK / "data").glob("*/report.html")
        say(f"what was recorded, to look at in a browser: {report.relative_to(ROOT)}")
        return wrong


def playbook(name: str, inventory: Path) -> bool:
    """Run one of the playbooks, as a person would; tell whether it succeeded."""
    command = ["ansible-playbook", "-i", str(inventory), f"playbooks/{name}.yml"]
    say(" ".join(command))
    command[0] = str(Path(sys.executable).with_name(command[0]))
    return subprocess.run(command, cwd=ROOT, check=False).returncode == 0


def verify(cameras: list[Camera]) -> int:
    """Check each archive with what everybody has, and against what the camera says that it wrote."""
    wrong = 0
    say("the archives, checked with unzip and 'sha256sum -c manifest-sha256.txt':")
    for camera in cameras:
        (archive,) = (WORK / "data").glob(f"*/{camera.name}/*.zip")
        with tempfile.TemporaryDirectory() as scratch:
            subprocess.run(["unzip", "-q", str(archive), "-d", scratch], check=True)
            agrees = subprocess.run(["sha256sum", "-c", "--quiet", "manifest-sha256.txt"], cwd=scratch, check=False)
        with zipfile.ZipFile(archive) as members:
            found = {
                name: hashlib.sha256(members.read(name)).hexdigest()
                for name in members.namelist()
                if name.endswith(".jpg")
            }
        written = {str(line["name"]): line["sha256"] for line in camera.written() if line["event"] == "end"}
        complete = agrees.returncode == 0 and found == written
        wrong += not complete
        verdict = "sha256sum agrees, and it is all that the camera wrote" if complete else "DOES NOT AGREE"
        print(f"  {archive.relative_to(ROOT)}  {len(found)} images  {verdict}")
    return 1 if wrong else 0


def say(text: str) -> None:
    """Tell the person who watches what happens next."""
    mark = "\x1b[1m==>\x1b[0m" if sys.stdout.isatty() else "==>"
    print(f"{mark} {text}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
