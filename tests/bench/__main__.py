# SPDX-License-Identifier: GPL-3.0-or-later
"""`make bench`: start and stop of two cameras like a Pi Zero 2 W, beside the floors that no software can go below.

Two cameras with 0.4 of a core, 512 MB and a link of 40 Mbit/s each, 80 MB of images on each. All figures of a table
come from one run, on one machine; compare ratios, not seconds from different machines.
"""

from __future__ import annotations

import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import requests

from e2e.station import Station
from lab import Camera, CameraSpec, Lab, wait_until

from . import heartbeat

LINK = 40e6
"""Bits per second of each camera's link."""
IMAGES = 80_000_000
"""Bytes of images on each card, about."""
IMAGE = 190_000


def main() -> int:
    """Run the benchmark; return the exit status."""
    specs = [
        CameraSpec(mode, mode, cpus=0.4, memory="512m", link=f"{LINK / 1e6:.0f}mbit") for mode in ("object", "motion")
    ]
    rows: list[tuple[str, str, str, str]] = [("what", "took", "floor", "ratio")]
    with (
        tempfile.TemporaryDirectory() as scratch,
        Lab(specs, orchestrator="bookworm", directory=Path(scratch), name="bench") as lab,
    ):
        station = Station(lab)
        for method in ("zip", "files"):
            station.fresh()
            own = own_time(list(station.cameras.values())) + 2
            # Empty cards again: a start that carries nothing is what is measured.
            station.fresh()
            for camera in station.cameras.values():
                camera.settings(interval=0.0, image_bytes=IMAGE, detect_limit=IMAGES // IMAGE)
            took, detecting = start(station)
            rows.append(
                (f"start, until both record ({method})", seconds(detecting), seconds(own), ratio(detecting, own))
            )
            rows.append((f"start, to its last line ({method})", seconds(took), seconds(own), ratio(took, own)))
            size = filled(station)
            floor = size * 8 / LINK
            took = stop(station, method)
            rows.append(
                (f"stop, {method}, {size / 1e6:.0f} MB each", seconds(took), seconds(floor), ratio(took, floor))
            )
            station.assert_all_home()
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    print("floor of a start: 'systemctl start' to the first picture, plus the 2 s before a baseline is worth taking")
    print("floor of a stop: bytes over link speed")
    return 0


def own_time(cameras: list[Camera]) -> float:
    """Return seconds from `systemctl start` to the first picture: the slower camera's, both at once."""

    def one(camera: Camera) -> float:
        camera.stop_service()
        began = time.monotonic()
        camera.exec("systemctl", "start", camera.spec.unit)

        def answers() -> bool:
            try:
                return requests.post(f"http://{camera.address}:5000/api/capture", timeout=30).status_code == 200
            except requests.exceptions.RequestException:
                return False

        wait_until(answers, f"{camera.name} takes a picture", 60)
        return time.monotonic() - began

    with ThreadPoolExecutor() as pool:
        return max(pool.map(one, cameras))


def start(station: Station) -> tuple[float, float]:
    """Return how long a start took, and how long until both cameras were detecting, in seconds."""
    began, at = time.monotonic(), time.time()
    station.play("start")
    took = time.monotonic() - began
    since = [
        float(str(line["at"]))
        for camera in station.cameras.values()
        for line in camera.detecting()
        if line["detecting"]
    ]
    return took, max(since) - at


def filled(station: Station) -> int:
    """Wait until the cards hold what a stop has to carry; return the bytes on the fuller one."""

    def full(camera: Camera) -> bool:
        return len(station.detected(camera)) >= IMAGES // IMAGE

    for camera in station.cameras.values():
        wait_until(lambda camera=camera: full(camera), f"{camera.name} has its images", 300)  # type: ignore[misc]
    return max(
        sum(int(str(line["size"])) for line in camera.written() if line["event"] == "end")
        for camera in station.cameras.values()
    )


def stop(station: Station, method: str) -> float:
    """Return how long a stop took, in seconds."""
    began = time.monotonic()
    station.play("stop", "-e", f"wildberryeye_collection_method={method}")
    return time.monotonic() - began


def seconds(value: float) -> str:
    """Return a time as people read it."""
    return f"{value:.1f} s"


def ratio(value: float, floor: float) -> str:
    """Return how many times the floor."""
    return f"{value / floor:.2f}"


if __name__ == "__main__":
    sys.exit(heartbeat.main(sys.argv[2:]) if sys.argv[1:2] == ["heartbeat"] else main())
