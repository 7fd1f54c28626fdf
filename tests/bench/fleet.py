# SPDX-License-Identifier: GPL-3.0-or-later
"""Cameras like a Pi Zero 2 W, an orchestrator, the links between them; and what one measures there."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import shutil
import tempfile
import time
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import requests

from e2e.station import Station
from lab import Camera, CameraSpec, Lab, LabError, wait_until
from lab.host import CHECKOUT, ORCHESTRATOR_USER, STATION

LINK = 40e6
"""Bits per second of a link."""
CPUS = 0.4
"""What a camera may take of a core."""
IMAGE = 190_000
"""Bytes of an image, about."""
FRAMES = 16
"""Pictures that a camera draws before it repeats them: a Zero's CPU is for the transfer."""
BASELINE = 2.0
"""Seconds that a camera runs before a baseline is worth taking."""
MANY = 10
"""More cameras than that share too few cores with the orchestrator: it is given FORKS."""
FORKS = 6
"""Forty logins at once take longer on one machine than sudo is waited for; on forty cameras they do not."""
BARE = 40_000_000
"""Bytes that each of two cameras sends to tell what a link carries."""
BY_HAND = "/home/decim/wildberryeye/by-hand"
"""Where the script puts what it brings home."""
PATIENCE = 3600.0
"""Seconds that a playbook may take: a slow machine is to be measured as well."""

# Prints when it began, by the camera's clock, which is this machine's.
SWITCH_ON = 'date +%s.%N && systemctl start "$1"'

# Arguments: bytes, key, known_hosts, logins. Prints bytes per second and login, from the first byte on: a login costs
# the same for one byte and for many.
TAKE = """
import json, os, subprocess, sys, threading, time

size, key, known_hosts, *logins = sys.argv[1:]
spans = []

def take(login):
    options = ["-i", key, "-o", f"UserKnownHostsFile={known_hosts}", "-o", "BatchMode=yes"]
    with subprocess.Popen(["ssh", *options, login, f"head -c {size} /dev/zero"], stdout=subprocess.PIPE) as ssh:
        got, began = len(os.read(ssh.stdout.fileno(), 1 << 16)), time.monotonic()
        while data := os.read(ssh.stdout.fileno(), 1 << 16):
            got += len(data)
    assert got == int(size), f"{login}: {got} bytes of {size}"
    spans.append((began, time.monotonic()))

threads = [threading.Thread(target=take, args=[login]) for login in logins]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(json.dumps(spans))
"""


@dataclass(frozen=True)
class Options:
    """What may be made smaller."""

    scale: float = 1.0
    """Of all that is carried."""
    cameras: int | None = None
    """In place of ten or forty."""
    minutes: float = 4.0
    """That the heartbeat is watched."""


class Fleet:
    """Cameras and an orchestrator that are up.

    Args:
        shared: whether one link is shared by all cameras; else each has its own.
    """

    def __init__(self, lab: Lab, shared: bool) -> None:
        self.station = Station(lab)
        self.lab, self.shared = lab, shared
        self.cameras = list(lab.cameras.values())
        self.orchestrator = self.station.orchestrator

    def fresh(self, **settings: object) -> None:
        """Make everything as it was before the first experiment; the cameras' settings hold from their next start."""
        self.station.fresh()
        self.station.variables(wildberryeye_ready_timeout=300)
        for camera in self.cameras:
            camera.settings(**settings)

    # -- floors --------------------------------------------------------------------------------------

    def own_time(self) -> float:
        """Return seconds from `systemctl start` to the first picture: the slowest camera's, all at once.

        Both moments are taken on the camera, so that what it costs to ask is not in it.
        """
        # Asking costs CPU that the cameras share with us.
        interval = 0.01 * len(self.cameras)

        def one(camera: Camera) -> float:
            began = float(camera.exec("sh", "-c", SWITCH_ON, "sh", camera.spec.unit).stdout.split()[0])

            def answers() -> bool:
                try:
                    return requests.post(f"http://{camera.address}:5000/api/capture", timeout=60).status_code == 200
                except requests.exceptions.RequestException:
                    return False

            wait_until(answers, f"{camera.name} takes a picture", 180, interval)
            taken = [float(str(line["at"])) for line in camera.written() if line["event"] == "end"]
            return min(at for at in taken if at > began) - began

        with ThreadPoolExecutor(max_workers=len(self.cameras)) as pool:
            list(pool.map(Camera.stop_service, self.cameras))
            return max(pool.map(one, self.cameras))

    def floor(self, sizes: dict[str, int]) -> float:
        """Return the seconds that so many bytes of each camera take at the speed of the link, with no overhead."""
        return self._through(sizes) * 8 / LINK

    def bare(self, sizes: dict[str, int], speed: float) -> float:
        """Return the seconds that they take at the `speed` (bytes per second) that one ssh reaches."""
        return self._through(sizes) / speed

    def _through(self, sizes: dict[str, int]) -> int:
        return sum(sizes.values()) if self.shared else max(sizes.values())

    def speed(self, scale: float) -> float:
        """Return the bytes per second that the link carries through ssh: of two cameras at once, as in a `stop`."""
        size = int(BARE * scale)
        logins = [f"{camera.spec.user}@{camera.address}" for camera in self.cameras[:2]]
        arguments = [str(size), f"{STATION}/key", f"{STATION}/known_hosts", *logins]
        said = self.orchestrator.exec("python3", "-c", TAKE, *arguments, user=ORCHESTRATOR_USER, timeout=PATIENCE)
        spans: list[tuple[float, float]] = json.loads(said.stdout)
        if self.shared:
            speed = size * len(spans) / (max(end for _, end in spans) - min(begin for begin, _ in spans))
        else:
            speed = size / max(end - begin for begin, end in spans)
        if speed * 8 > LINK * 1.1:
            raise LabError(f"the link carries {speed * 8 / 1e6:.1f} Mbit/s: it is not limited, and no floor holds")
        return speed

    # -- what is measured ----------------------------------------------------------------------------

    def play(self, name: str, *arguments: str) -> float:
        """Run a playbook; return its seconds."""
        forks = ["--forks", str(FORKS)] if len(self.cameras) > MANY else []
        began = time.monotonic()
        running = self.station.begin(name, *forks, *arguments)
        with contextlib.redirect_stdout(io.StringIO()):  # what goes wrong is in the error
            self.station.end(running, timeout=PATIENCE)
        return time.monotonic() - began

    def start(self) -> tuple[float, float]:
        """Return how many seconds `start.yml` took, and how many until all cameras were detecting."""
        at = time.time()
        took = self.play("start")
        since = [next(float(str(line["at"])) for line in c.detecting() if line["detecting"]) for c in self.cameras]
        return took, max(since) - at

    def fill(self, images: int) -> None:
        """Wait until each camera has so many images of its detection, on its disk as those of a day are."""
        for camera in self.cameras:
            what = f"{camera.name} has {images} images"
            wait_until(lambda c=camera: detected(c) >= images, what, PATIENCE, 1)  # type: ignore[misc]
        for camera in self.cameras:
            camera.exec("sync", "--file-system", camera.image_dir, timeout=PATIENCE)

    def sizes(self) -> dict[str, int]:
        """Return for each camera the bytes of all that it has to send."""
        return {camera.name: size(camera) for camera in self.cameras}

    def by_hand(self, step: str) -> float:
        """Do what people do without this project, `start` or `stop`; return its seconds."""
        logins = [f"{camera.spec.mode}:{camera.spec.user}@{camera.address}" for camera in self.cameras]
        script = [f"{CHECKOUT}/tests/bench/by_hand.sh", step, f"{STATION}/key", f"{STATION}/known_hosts", BY_HAND]
        began = time.monotonic()
        self.orchestrator.exec(*script, *logins, user=ORCHESTRATOR_USER, timeout=PATIENCE)
        return time.monotonic() - began

    def assert_home_by_hand(self) -> None:
        """All that the cameras wrote is in the zips that the script has brought."""
        for camera in self.cameras:
            with zipfile.ZipFile(self.lab.home_data / Path(BY_HAND).name / f"{camera.address}.zip") as file:
                home = {Path(name).name: hashlib.sha256(file.read(name)).hexdigest() for name in file.namelist()}
            assert home.items() >= self.station.truth(camera).items(), f"{camera.name}: not all is home"


@contextmanager
def fleet(names: list[str], *, shared: bool = False, link: bool = True, cpus: float | None = CPUS) -> Iterator[Fleet]:
    """Have cameras for as long as the context lasts; a camera's mode is in its name.

    Args:
        shared: one link for all of them, of what the orchestrator receives; what it sends is not limited.
        link: whether there are limits at all.
        cpus: what each may take of a core.
    """
    rate = f"{LINK / 1e6:g}mbit" if link else None
    own = None if shared else rate
    specs = [CameraSpec(name, name.partition("-")[0], cpus=cpus, memory="512m", link=own) for name in names]
    with (
        tempfile.TemporaryDirectory() as scratch,
        Lab(
            specs, orchestrator="bookworm", shared_link=rate if shared else None, directory=Path(scratch), name="bench"
        ) as lab,
    ):
        yield Fleet(lab, shared)


def room(carried: int) -> None:
    """See that there is room for so many bytes of images.

    Raises:
        LabError: if there is not.
    """
    # On the card and in its zip, as they arrive, in the part and in the archive.
    where, need = tempfile.gettempdir(), 5 * carried
    if (free := shutil.disk_usage(where).free) < need:
        raise LabError(f"{where} has {free / 1e9:.1f} GB free, {need / 1e9:.1f} are needed: set TMPDIR, or use --scale")


def named(count: int) -> list[str]:
    """Return the names of so many cameras, by turns of each mode."""
    if count <= 2:
        return ["object", "motion"][:count]
    return [f"{('object', 'motion')[index % 2]}-{index // 2 + 1:02}" for index in range(count)]


def detected(camera: Camera) -> int:
    """Return how many images the camera's detection has written. Reads no JSON: there may be 50,000."""
    try:
        with (camera.state_dir / "written.jsonl").open(encoding="utf-8") as file:
            return sum('"event": "end"' in line and '"kind": "manual"' not in line for line in file)
    except FileNotFoundError:
        return 0


def size(camera: Camera) -> int:
    """Return the bytes of all images that the camera has written and that the heartbeat did not delete again."""
    lines = camera.written()
    deleted = {line["name"] for line in lines if line["event"] == "deleted"}
    return sum(int(str(line["size"])) for line in lines if line["event"] == "end" and line["name"] not in deleted)


def say(text: str) -> None:
    """Tell who waits how far it is."""
    print(f"bench {time.strftime('%H:%M:%S')}  {text}", flush=True)
