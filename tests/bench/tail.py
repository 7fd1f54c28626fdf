# SPDX-License-Identifier: GPL-3.0-or-later
"""What a stop costs when the day is home already: as much as the same tail alone."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path

from lab import wait_until

from .fleet import FRAMES, IMAGE, PATIENCE, Fleet, Options, detected, fleet, named, say, size
from .results import Row

COLLECTIONS = 12
"""Every 5 minutes for an hour."""
MEGABYTES = 44
"""Of images between two collections: 5 minutes of a busy day, 50,000 images in 18 hours."""
INTERVAL = 0.06
"""Seconds between two images, in place of 1.3: as many come during a collection as it carries."""
TIMES = 1.2
"""What the stop may take of what the same tail takes alone: "bound by the tail alone", and some noise."""


@dataclass(frozen=True)
class Tail:
    """Twelve collections while the cameras record, then a stop; beside a stop of the same tail alone."""

    name: str = "tail"
    minutes: float = 5
    about: str = (
        f"{COLLECTIONS} collections of {MEGABYTES} MB while 2 cameras record, then stop; a stop of the last alone"
    )

    def run(self, options: Options) -> list[Row]:
        """Measure; return the table's rows."""
        images = max(2, round(MEGABYTES * 1e6 * options.scale / IMAGE))
        interval = INTERVAL / options.scale
        settings: dict[str, object] = {"interval": interval, "image_bytes": IMAGE, "frames": FRAMES}
        with fleet(named(2)) as cameras:
            speed = cameras.speed(options.scale)
            cameras.fresh(**settings)
            say(f"{self.name}: start")
            cameras.start()
            took = 0.0
            for number in range(COLLECTIONS):
                pile_up(cameras, images)
                say(f"{self.name}: collection {number + 1} of {COLLECTIONS}")
                took += cameras.play("collect")
            home = sent_home(cameras)
            row = beside(cameras, f"{COLLECTIONS} x collect while recording", took, home, speed)
            pile_up(cameras, images)
            left = max(piled(cameras))
            after = stop(cameras, f"stop after that, {mega(home)} MB are home", home, speed)
            cameras.fresh(**settings)
            say(f"{self.name}: start, with nothing collected")
            cameras.start()
            pile_up(cameras, left)
            alone = stop(cameras, "stop of such a tail alone", {}, speed)
        # They go on recording until they are idle: the tails differ by some images.
        assert after.floor and alone.floor
        same = alone.figure + after.floor - alone.floor
        last = Row("stop after collections, beside the same tail alone", after.figure, floor=same, times=TIMES)
        return [row, after, alone, last]


def pile_up(cameras: Fleet, images: int) -> None:
    """Wait until each camera has so many images that are not home."""
    wait_until(lambda: min(piled(cameras)) >= images, f"{images} images more on each camera", PATIENCE, 0.25)


def piled(cameras: Fleet) -> list[int]:
    """Return for each camera how many images are not home."""
    data = cameras.station.data
    home = [sum(map(images_in, data.glob(f"*/{camera.name}/parts/*.zip"))) for camera in cameras.cameras]
    return [detected(camera) - number for camera, number in zip(cameras.cameras, home, strict=True)]


def images_in(path: Path) -> int:
    """Return how many images of the camera's detection an archive holds."""
    with zipfile.ZipFile(path) as archive:
        return sum(name.endswith(".jpg") and not name.startswith("manual_") for name in archive.namelist())


def sent_home(cameras: Fleet) -> dict[str, int]:
    """Return for each camera the bytes that are home."""
    return {
        camera.name: sum(path.stat().st_size for path in cameras.station.data.glob(f"*/{camera.name}/parts/*.zip"))
        for camera in cameras.cameras
    }


def stop(cameras: Fleet, what: str, home: dict[str, int], speed: float) -> Row:
    """Stop, check that all is home, and return the row; `home`: the bytes of each camera that were home before."""
    say(f"tail: {what}")
    took = cameras.play("stop")
    cameras.station.assert_all_home()
    # Of what the camera had until it was idle.
    tail = {camera.name: size(camera) - home.get(camera.name, 0) for camera in cameras.cameras}
    return beside(cameras, f"{what}, a tail of {mega(tail)} MB", took, tail, speed)


def beside(cameras: Fleet, what: str, took: float, sizes: dict[str, int], speed: float) -> Row:
    """Return a row with its floors."""
    return Row(what, took, floor=cameras.floor(sizes), bare=cameras.bare(sizes, speed))


def mega(sizes: dict[str, int]) -> str:
    """Return the most of what a camera has, in MB."""
    return f"{max(sizes.values()) / 1e6:.0f}"
