# SPDX-License-Identifier: GPL-3.0-or-later
"""A station under test: an orchestrator and its cameras in the lab, and the truth about every image."""

from __future__ import annotations

import contextlib
import datetime as dt
import fcntl
import hashlib
import io
import json
import re
import shutil
import subprocess
import zipfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from lab import Camera, Lab, Orchestrator, wait_until
from unit.support import as_mended

# Takes off the orchestrator whatever setup, start and the tests put there.
REMOVE = """
systemctl --user stop 'wildberryeye_*'
systemctl --user reset-failed
systemctl --user disable wildberryeye_heartbeat.service
rm -rf ~/.config/systemd/user/wildberryeye_* ~/.config/systemd/user/*.wants/wildberryeye_* ~/.config/wildberryeye \\
    ~/.local/share/systemd/timers/stamp-wildberryeye_* /run/user/$(id -u)/systemd/user/wildberryeye_*
systemctl --user daemon-reload
"""
# What is on the orchestrator besides the data: files of the user's home, told by when they last changed in any way, the
# state of his units, and who lingers.
AROUND = r"""
cd; find . \( -path ./.ansible -o -path ./wildberryeye-orchestrator -o -path ./wildberryeye \) -prune -o \
    \( -type d -printf '%p/ %m\n' -o -printf '%p %m %s %C@ %l\n' \) | sort
systemctl --user show --property=Id,ActiveState,UnitFileState,InvocationID 'wildberryeye_*'
ls /var/lib/systemd/linger
"""
# The same of a camera, less its images; what sudo leaves in a home when it is first used is not ours.
AROUND_CAMERA = r"""
find /etc /root "/home/$2" \( -path "$1" -o -name .ansible -o -name .sudo_as_admin_successful \) -prune -o \
    \( -type d -printf '%p/ %u %m\n' -o -printf '%p %u %m %s %C@ %l\n' \) | sort
systemctl show --property=Id,ActiveState,UnitFileState,InvocationID "$3" 'wildberryeye_*' polkit.service
"""
INVENTORY = "/home/decim/station/inventory/hosts.yml"
DATA = "/home/decim/wildberryeye/analysis/data"
"""Where the orchestrator keeps its data, as it calls it; `Station.data` is the same from outside."""
WAITING = re.compile(
    # The label, and what is set aside: experiments, their batches, what lies beside a batch and in it.
    r"\.wildberryeye/(recording(\.tmp)?|[^/]+/(\d{8}T\d{6}Z-[0-9a-f]{8}(/|/[^/]+\.jpg|\.(zip|manifest)(\.tmp)?))?)?"
)
IMAGE = re.compile(r"(?:object|motion|manual)_\d{8}-\d{6}-\d{6}_[^/]*\.jpg")


@dataclass
class Run:
    """How a playbook ended, and what a person saw of it."""

    status: int
    text: str

    def row(self, camera: str) -> str:
        """Return the camera's line of the table at the end."""
        table = self.text[self.text.rindex("camera  ") :]
        (line,) = [line for line in table.splitlines() if line.startswith(f"{camera} ")]
        return line


class Station:
    """Runs playbooks as the user decim on the orchestrator, and knows what the cameras wrote.

    Args:
        lab: the lab, up, with an orchestrator.
    """

    def __init__(self, lab: Lab) -> None:
        assert lab.orchestrator is not None
        self.lab = lab
        self.orchestrator: Orchestrator = lab.orchestrator
        self.cameras = lab.cameras
        self.data = lab.home_data / "analysis" / "data"
        self.planted: set[str] = set()
        """Paths below image directories that a test has put there."""
        self.taken_away: set[str] = set()
        """Images that a test has deleted itself."""

    def fresh(self) -> None:
        """Make everything as it was before the first experiment."""
        self.orchestrator.exec("sh", "-c", REMOVE, user="decim", check=False)
        self.orchestrator.exec("pkill", "-9", "-u", "decim", "-f", "ansible|rsync|ssh", check=False)
        with ThreadPoolExecutor() as pool:
            list(pool.map(lambda camera: camera.reset(), self.cameras.values()))
        for path in self.lab.home_data.iterdir():
            shutil.rmtree(path)
        self.variables()

    def variables(self, **variables: object) -> None:
        """Set variables of all cameras, as a user does in the inventory."""
        self.orchestrator.write_inventory({"wildberryeye_ready_timeout": 20, **variables})

    def begin_day(self, *names: str) -> None:
        """Record some images with all cameras, or with those named, in an experiment `day`."""
        self.play("start", "-e", "wildberryeye_experiment=day")
        self.wait_for_images(*names)

    def play(self, name: str, *arguments: str, status: int = 0, env: dict[str, str] | None = None) -> Run:
        """Run a playbook to its end; it must end with `status`, and without a word that alarms for nothing."""
        return self.judge(self.orchestrator.ansible(*self.command(name, *arguments), env=env), status)

    def begin(self, name: str, *arguments: str) -> subprocess.Popen[str]:
        """Start a playbook that the test does something with before it ends."""
        return self.orchestrator.popen(
            *self.command(name, *arguments), user="decim", cwd="/home/decim/wildberryeye-orchestrator"
        )

    def end(self, running: subprocess.Popen[str], status: int | None = 0, timeout: float = 120) -> Run:
        """Wait for a playbook that was begun."""
        out, err = running.communicate(timeout=timeout)
        return self.judge(subprocess.CompletedProcess(running.args, running.returncode, out, err), status)

    def command(self, name: str, *arguments: str) -> list[str]:
        """Return the command line of a playbook."""
        return ["ansible-playbook", "-i", INVENTORY, f"playbooks/{name}.yml", *arguments]

    @staticmethod
    def judge(done: subprocess.CompletedProcess[str], status: int | None) -> Run:
        """Check what holds for every run, and return it."""
        text = done.stdout + done.stderr
        print(text)
        if status is not None:
            assert done.returncode == status, text
            for alarm in ("WARNING", "DEPRECATION", "Traceback", "MODULE FAILURE", '{"'):
                assert alarm not in text, text
        return Run(done.returncode, text)

    def at(self, time: str, name: str, *arguments: str, status: int = 0) -> Run:
        """Run a playbook while the orchestrator's clock shows `time`, local."""
        command = ["faketime", "-f", f"@{time}", *self.command(name, *arguments)]
        return self.judge(self.orchestrator.ansible(*command), status)

    def kill_playbooks(self) -> None:
        """kill -9 of everything that runs for decim: what a power cut leaves of a run."""
        self.orchestrator.exec("pkill", "-9", "-u", "decim", "-f", "ansible|rsync|ssh", check=False)

    def make_batch(self, camera: str, method: str = "zip") -> None:
        """Have a camera set aside and freeze what is finished on its card, as a collection does."""
        image_dir = self.cameras[camera].image_dir
        arguments = f"image_dir={image_dir} set_aside=stable data_dir={DATA}"
        module = ["-m", "wildberryeye.orchestrator.image_batch", "-a", f"{arguments} purpose=collect method={method}"]
        self.orchestrator.ansible("ansible", camera, "-i", INVENTORY, "-b", *module, check=True)

    def stop_in_mid_transfer(self, camera: str, rate: str) -> subprocess.Popen[str]:
        """Begin a stop whose transfer from a camera, at this rate, has brought some of the day's images and not all."""
        self.cameras[camera].shape(rate)
        stopping = self.begin("stop", "-e", "wildberryeye_collection_method=files")
        wait_until(lambda: len(self.arrived(camera)) > 3, "images arrive", 60)
        return stopping

    def arrived(self, camera: str) -> list[Path]:
        """Return the day's images of a camera that lie here and have no receipt yet, where they come one by one."""
        return list(self.data.glob(f".incoming/{camera}/day/*/*.jpg"))

    def wait_for_images(self, *names: str, more: int = 5) -> None:
        """Wait until each camera has written so many more detected images."""
        cameras = [self.cameras[name] for name in names] or list(self.cameras.values())
        for camera in cameras:
            before = len(self.detected(camera))
            what = f"{camera.name} writes {more} more images"
            wait_until(lambda c=camera, n=before: len(self.detected(c)) >= n + more, what, 30)  # type: ignore[misc]

    @staticmethod
    def detected(camera: Camera) -> list[str]:
        """Return the names of the images that the camera's detection wrote."""
        return [str(line["name"]) for line in camera.written() if line["event"] == "end" and line["kind"] != "manual"]

    @staticmethod
    def truth(camera: Camera) -> dict[str, str]:
        """Return name to SHA-256 of every image that the camera wrote to its end.

        Less the heartbeat's own pictures that it has deleted again: no other may be deleted over the API.
        """
        lines = camera.written()
        deleted = {str(line["name"]) for line in lines if line["event"] == "deleted"}
        assert all(name.startswith("manual_") for name in deleted)
        written = {str(line["name"]): str(line["sha256"]) for line in lines if line["event"] == "end"}
        return {name: sha256 for name, sha256 in written.items() if name not in deleted}

    def record(self, experiment: str) -> dict[str, Any]:
        """Return an experiment's record."""
        found: dict[str, Any] = json.loads((self.data / experiment / "experiment.json").read_text())
        return found

    def experiments(self) -> list[str]:
        """Return the ids of all experiments."""
        return sorted(path.parent.name for path in self.data.glob("*/experiment.json"))

    def archives(self, camera: str) -> dict[str, dict[str, str]]:
        """Return, for each public archive of a camera, name to SHA-256 of the images in it."""
        found = {}
        for path in sorted(self.data.glob(f"*/{camera}/{camera}_*.zip")):
            found[path.name] = contents(path)
        return found

    def home(self, camera: str) -> dict[str, str]:
        """Return name to SHA-256 of the camera's images in all of its archives, each of them once."""
        images: dict[str, str] = {}
        for archive in self.archives(camera).values():
            assert not images.keys() & archive.keys(), "an image was archived twice"
            images.update(archive)
        return images

    def on_card(self, camera: str) -> dict[str, str]:
        """Return name to SHA-256 of every image on the camera's card, wherever it lies."""
        script = 'cd "$1" && find . -type f -name "*.jpg" -exec sha256sum {} +'
        host = self.cameras[camera]
        out = host.exec("sh", "-c", script, "sh", host.image_dir).stdout
        pairs = [line.split("  ", 1) for line in out.splitlines()]
        return {path.rsplit("/", 1)[1]: sha256 for sha256, path in pairs}

    def assert_nothing_lost(self) -> None:
        """Each image that a camera ever wrote is intact on the camera or in an archive."""
        for name, camera in self.cameras.items():
            truth = self.truth(camera)
            held: dict[str, set[str]] = {}
            for images in (self.on_card(name), *self.archives(name).values(), *self.parts(name)):
                for image, sha256 in images.items():
                    held.setdefault(image, set()).add(sha256)
            missing = [image for image, sha256 in truth.items() if sha256 not in held.get(image, set())]
            # The heartbeat may have deleted a picture of its own meanwhile.
            lost = [image for image in missing if image in self.truth(camera) and image not in self.taken_away]
            assert not lost, f"{name} lost {lost[:3]} and {len(lost)} in all"

    def assert_only_ours_on_the_cards(self) -> None:
        """The cameras' directories hold their own images, what waits to go home, and what tests have put there."""
        for name, camera in self.cameras.items():
            listed = camera.listing()
            # After the listing: a camera that still records begins its next image meanwhile.
            begun = {str(line["name"]) for line in camera.written() if line["event"] == "begin"}
            left = [path for path in listed if path not in begun and not WAITING.fullmatch(path)]
            strange = [path for path in left if path not in self.planted]
            assert not strange, f"{name}: {strange[:3]} and {len(strange)} in all"

    def parts(self, camera: str) -> list[dict[str, str]]:
        """Return the images of archives that are not merged yet; one that was cut off while it grew counts mended."""
        guard = self.data / ".locks" / f"merge-{camera}.guard"
        with contextlib.ExitStack() as stack:
            if guard.exists():
                # None of them grows, or goes, meanwhile.
                fcntl.flock(stack.enter_context(guard.open("rb")), fcntl.LOCK_EX)
            return [contents(io.BytesIO(as_mended(path))) for path in self.data.glob(f"*/{camera}/parts/*.zip")]

    def assert_all_home(self, *names: str) -> None:
        """All that the cameras wrote is in their archives, and their cards are as before the first experiment."""
        for name in names or tuple(self.cameras):
            camera = self.cameras[name]
            truth, home = self.truth(camera), self.home(name)
            # An image that a kill cut off in the middle comes home as it is.
            begun = {str(line["name"]) for line in camera.written() if line["event"] == "begin"}
            extra = [image for image in home if image not in truth and image not in begun]
            wrong = [image for image, sha256 in truth.items() if home.get(image) != sha256]
            assert (extra, wrong) == ([], []), name
            assert camera.listing() == [], name
        assert not list(self.data.glob("*/*/*.jpg"))
        if not names:
            assert not (self.data / ".incoming").exists()

    def footprint(self) -> dict[str, str]:
        """Return every file below the data directory and on the cards, with its SHA-256."""
        found = {}
        for path in sorted(self.data.rglob("*")):
            if path.is_file() and ".locks" not in path.parts:
                found[str(path)] = hashlib.sha256(path.read_bytes()).hexdigest()
        for name in self.cameras:
            found.update({f"{name}:{image}": sha256 for image, sha256 in self.on_card(name).items()})
            found.update({f"{name}/{path}": "" for path in self.cameras[name].listing()})
        return found

    def everything(self) -> dict[str, str]:
        """Return the footprint, what else a run could touch on both sides, and what the cameras were asked for."""
        found = self.footprint()
        found["orchestrator"] = self.orchestrator.exec("sh", "-c", AROUND, user="decim").stdout
        for name, camera in self.cameras.items():
            words = (camera.image_dir, camera.spec.user, camera.spec.unit)
            found[f"{name} around"] = camera.exec("sh", "-c", AROUND_CAMERA, "sh", *words).stdout
            asked = camera.state_dir / "requests.jsonl"
            found[f"{name} asked"] = asked.read_text(encoding="utf-8") if asked.exists() else ""
            found[f"{name} detects"] = str(camera.detecting())
        return found


def today() -> str:
    """Return the id of an experiment that begins now: the lab's hosts are in UTC."""
    return dt.datetime.now(dt.UTC).date().isoformat()


def contents(path: Path | IO[bytes]) -> dict[str, str]:
    """Return name to SHA-256 of the images in an archive, proven by the list that it carries."""
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        assert {info.compress_type for info in archive.infolist()} == {zipfile.ZIP_STORED}
        images = {
            name: hashlib.sha256(archive.read(name)).hexdigest()
            for name in archive.namelist()
            if name != "manifest-sha256.txt"
        }
        listed = archive.read("manifest-sha256.txt").decode().splitlines()
    assert listed == [f"{sha256}  {name}" for name, sha256 in sorted(images.items())]
    assert all(IMAGE.fullmatch(name) for name in images)
    return images
