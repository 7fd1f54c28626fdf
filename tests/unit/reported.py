# SPDX-License-Identifier: GPL-3.0-or-later
"""Experiments as they lie on an orchestrator's disk, made for tests of what shows them: real archives, real JPEGs."""

from __future__ import annotations

import datetime as dt
import hashlib
import io
import json
import math
import random
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw

from ansible_collections.wildberryeye.orchestrator.plugins.module_utils import record
from ansible_collections.wildberryeye.orchestrator.plugins.module_utils.layout import Layout
from ansible_collections.wildberryeye.orchestrator.plugins.module_utils.record import CameraRecord, Record

OPENED = dt.datetime.fromisoformat("2026-05-22T07:00:00+02:00")
ID = "2026-05-22"


def jpeg(seed: int, width: int = 640, height: int = 480) -> bytes:
    """A picture of a flower on a meadow, and of who visits it."""
    chance = random.Random(seed)
    image = Image.new("RGB", (width, height), (96 + chance.randrange(24), 132, 70))
    draw = ImageDraw.Draw(image)
    for _ in range(90):
        x, y = chance.randrange(width), chance.randrange(height)
        draw.line((x, y, x + chance.randrange(-14, 14), y - 60), fill=(70, 110 + chance.randrange(50), 50), width=2)
    for number in range(8):
        across, down = width / 2 + 90 * math.cos(number * 0.785), height / 2 + 90 * math.sin(number * 0.785)
        draw.ellipse((across - 55, down - 55, across + 55, down + 55), fill=(244, 240, 250), outline=(200, 190, 214))
    draw.ellipse((width / 2 - 50, height / 2 - 50, width / 2 + 50, height / 2 + 50), fill=(228, 178, 40))
    x, y = width // 2 + chance.randrange(-90, 90), height // 2 + chance.randrange(-70, 70)
    draw.ellipse((x - 26, y - 18, x + 26, y + 18), fill=(52, 40, 24))
    draw.ellipse((x - 4, y - 40, x + 30, y - 6), fill=(214, 220, 230))
    out = io.BytesIO()
    image.save(out, "JPEG", quality=80)
    return out.getvalue()


def name(kind: str, at: dt.datetime, offset: float = 0.0) -> str:
    """The name that a camera whose clock is `offset` seconds ahead gives to an image."""
    return f"{kind}_{at + dt.timedelta(seconds=offset):%Y%m%d-%H%M%S-%f}_berry-{kind}_root_CONF55.jpg"


def visits(seed: int, hours: float, each_hour: float) -> list[list[dt.datetime]]:
    """When visitors were seen: most about noon, each for some seconds."""
    chance = random.Random(seed)
    found = []
    for _ in range(int(hours * each_hour)):
        begin = OPENED + dt.timedelta(hours=min(hours - 0.1, max(0.1, chance.gauss(hours * 0.5, hours / 5))))
        found.append([begin + dt.timedelta(seconds=0.8 * number) for number in range(chance.randrange(1, 30))])
    return sorted(found)


def pack(path: str, images: Iterable[tuple[str, bytes]]) -> int:
    """Write an archive as the product writes it; return the bytes of its images."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    sums, size = [], 0
    with zipfile.ZipFile(path, "w") as archive:
        for member, content in sorted(images):
            archive.writestr(member, content)
            sums.append(f"{hashlib.sha256(content).hexdigest()}  {member}\n")
            size += len(content)
        archive.writestr("manifest-sha256.txt", "".join(sums))
    return size


class Made:
    """An experiment on disk, to which cameras and events are added, and which is then written.

    Args:
        data_dir: where.
        hours: how long it lasts.
        identity: its id.
    """

    def __init__(self, data_dir: Path, hours: float = 12, identity: str = ID) -> None:
        self.layout = Layout(str(data_dir))
        self.id = identity
        self.ended = OPENED + dt.timedelta(hours=hours)
        self.record = Record(identity, OPENED.isoformat(), (OPENED + dt.timedelta(hours=18)).isoformat())
        self.events: list[dict[str, Any]] = []
        self.event(OPENED, "opened")

    def event(self, at: dt.datetime, event: str, camera: str | None = None, **details: Any) -> None:
        """Add a line to its events."""
        written = {key.rstrip("_"): v.isoformat() if isinstance(v, dt.datetime) else v for key, v in details.items()}
        self.events.append({"at": at.isoformat(), "camera": camera, "event": event, **written})

    def camera(
        self, camera: str, mode: str, images: Iterable[tuple[str, bytes]], offset: float = 0.0, state: str = "home"
    ) -> CameraRecord:
        """Add a camera that recorded `images` all the time."""
        images = list(images)
        begun = OPENED + dt.timedelta(seconds=40)
        self.event(OPENED, "watched", camera)
        self.event(begun, "recording", camera)
        self.event(begun, "clock", camera, by="start", offset=offset, uncertainty=0.4)
        entry = CameraRecord(mode, state, begun.isoformat(), [], offset)
        self.record.cameras[camera] = entry
        at = self.ended + dt.timedelta(minutes=3)
        size = 0
        if images:
            path = self.layout.archive(self.id, camera, 1)
            size = pack(path, images)
            entry.archives = [{"name": Path(path).name, "images": len(images), "bytes": size}]
            self.receipt(camera, len(images), size, at)
        return entry

    def receipt(self, camera: str, images: int, size: int, at: dt.datetime, **more: Any) -> None:
        """Add a receipt of a camera's batch."""
        path = Path(self.layout.receipt(self.id, camera, f"{at:%Y%m%dT%H%M%S}Z-0123abcd"))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"images": images, "bytes": size, "at": at.isoformat(), **more}))

    def write(self) -> Layout:
        """Write record and events; return the data directory."""
        if all(entry.state in ("home", "given_up") for entry in self.record.cameras.values()):
            self.record.closed = (self.ended + dt.timedelta(minutes=5)).isoformat()
            self.event(self.ended, "closing", cameras=sorted(self.record.cameras))
            for camera in self.record.cameras:
                self.event(self.ended + dt.timedelta(seconds=1), "unwatched", camera)
        record.save(self.layout, self.record)
        lines = [json.dumps(each) for each in sorted(self.events, key=lambda each: str(each["at"]))]
        Path(self.layout.events(self.id)).write_text("\n".join(lines) + "\n")
        return self.layout


def a_day(data_dir: Path, hours: float = 12, each_hour: float = 12, pictures: int = 12) -> Made:
    """A day with two cameras: a restart, a wedge, a full card, a time out of reach, a clock that is wrong.

    Args:
        data_dir: where.
        hours: how long it lasted.
        each_hour: visitors.
        pictures: how many different pictures there are.
    """
    made = Made(data_dir, hours)
    drawn = [jpeg(seed) for seed in range(pictures)]

    def at(share: float, seconds: float = 0.0) -> dt.datetime:
        return OPENED + dt.timedelta(hours=hours * share, seconds=seconds)

    missed = {"object": [(at(0.3), at(0.3, 95)), (at(0.6), at(0.6, 420))], "motion": [(at(0.45), at(0.45, 1300))]}
    came = visits(1, hours, each_hour)
    for camera, offset in (("object", 0.2), ("motion", -73.5)):
        alone = visits(len(camera) + 7 * (camera == "motion"), hours, each_hour / 3)
        seen = [visit for number, visit in enumerate(came) if number % 4 or camera == "object"] + alone
        times = sorted({moment for visit in seen for moment in visit})
        times = [each for each in times if not any(begin <= each <= end for begin, end in missed[camera])]
        images = [(name(camera, each, offset), drawn[number % pictures]) for number, each in enumerate(times)]
        images.append((name("manual", at(0.99), offset), drawn[0]))
        made.camera(camera, camera, images, offset)
    gap = {"from_": missed["object"][0][0], "to": missed["object"][0][1], "seconds": 95}
    made.event(at(0.3, 95), "gap", "object", **gap, text="records again after 95 s: its service was restarted")
    made.event(at(0.6, 130), "wedged", "object", text="POST /api/capture: no answer within 15 s")
    made.event(at(0.6, 140), "restarting", "object", text="POST /api/capture: no answer within 15 s")
    gap = {"from_": missed["object"][1][0], "to": missed["object"][1][1], "seconds": 420}
    made.event(at(0.6, 420), "gap", "object", **gap, text="records again after 7 min: no answer within 15 s")
    made.event(at(0.45, 90), "storage", "motion", text="it took manual_….jpg, and did not store it")
    made.event(at(0.45, 91), "collecting", "motion", text="it took manual_….jpg, and did not store it")
    made.event(at(0.45, 1300), "receipt", "motion", batch="b", images=10, bytes=10)
    made.event(at(0.75, 60), "unreachable", "motion", text="no route to host; by SSH: connection timed out")
    back = {"from_": at(0.75), "to": at(0.75, 500), "seconds": 500}
    made.event(at(0.75, 500), "back", "motion", **back, text="answers again after 8 min; it recorded on meanwhile")
    return made
