# SPDX-License-Identifier: GPL-3.0-or-later
"""Start, and stop with full cards: by both methods, and by hand."""

from __future__ import annotations

from dataclasses import dataclass

from .fleet import BASELINE, FRAMES, IMAGE, Fleet, Options, fleet, named, room, say
from .results import Row
from .usage import Usage

ORCHESTRATOR_MEMORY = 400.0
"""MB that it may take with forty cameras."""
HAND = "by hand"


@dataclass(frozen=True)
class Carry:
    """So many cameras record so much each, and stop."""

    name: str
    minutes: float
    cameras: int
    megabytes: int
    """Of images on each card."""
    shared: bool = False
    methods: tuple[str, ...] = ("zip", "files")
    times: float | None = None
    """A stop may take so many times its floor."""
    start: bool = False
    """Whether the start is measured as well."""
    start_plus: float | None = None
    """It may take its floor and so many seconds more."""

    @property
    def about(self) -> str:
        """What it does, in a line."""
        link = "one link shared by all" if self.shared else "a link each"
        return (
            f"{'start and ' if self.start else ''}stop ({', '.join(self.methods)}): {self._what(self.cameras)}, {link}"
        )

    def _what(self, cameras: int, scale: float = 1.0) -> str:
        return f"{cameras} cameras, {self.megabytes * scale:g} MB each"

    def run(self, options: Options) -> list[Row]:
        """Measure; return the table's rows."""
        count = options.cameras or self.cameras if self.cameras > 2 else self.cameras
        images = max(2, round(self.megabytes * 1e6 * options.scale / IMAGE))
        rows = []
        room(count * images * IMAGE)
        with fleet(named(count), shared=self.shared) as cameras:
            speed = cameras.speed(options.scale)
            say(f"{self.name}: one ssh takes {speed * 8 / 1e6:.1f} Mbit/s through the link")
            own = cameras.own_time() + BASELINE if self.start else 0.0
            usage = Usage(cameras.orchestrator)
            with usage:
                for method in self.methods:
                    cameras.fresh(interval=0.0, image_bytes=IMAGE, frames=FRAMES, detect_limit=images)
                    what = f"{method}: {self._what(count, options.scale)}"
                    rows += self._round(cameras, method, what, own, speed, images)
            if self.start:
                rows.append(Row("orchestrator: memory, at most", usage.memory, "MB", most=ORCHESTRATOR_MEMORY))
                rows.append(Row("orchestrator: memory, less what is mapped of files", usage.own, "MB"))
        return rows

    def _round(self, cameras: Fleet, method: str, what: str, own: float, speed: float, images: int) -> list[Row]:
        """Start, wait, stop by one method; return its rows."""
        rows = []
        say(f"{self.name}: start, {method}")
        if method == HAND:
            started = cameras.by_hand("start")
            if self.start:
                rows.append(Row(f"start, {what}", started, floor=own))
        else:
            with Usage(cameras.orchestrator) as usage:
                started, detecting = cameras.start()
            if self.start:
                rows += [
                    Row(f"start until all record, {what}", detecting, floor=own),
                    Row(f"start, {what}", started, floor=own, plus=self.start_plus),
                    Row(f"orchestrator: CPU of start, {method}", usage.cpu),
                ]
        cameras.fill(images)
        sizes = cameras.sizes()
        floor, bare = cameras.floor(sizes), cameras.bare(sizes, speed)
        say(f"{self.name}: stop, {method}; at least {floor:.0f} s")
        if method == HAND:
            rows.append(Row(f"stop, {what}", cameras.by_hand("stop"), floor=floor, bare=bare))
            cameras.assert_home_by_hand()
            return rows
        with Usage(cameras.orchestrator) as usage:
            stopped = cameras.play("stop", "-e", f"wildberryeye_collection_method={method}")
        rows.append(Row(f"stop, {what}", stopped, floor=floor, bare=bare, times=self.times))
        rows.append(Row(f"orchestrator: CPU of stop, {method}", usage.cpu))
        cameras.station.assert_all_home()
        return rows
