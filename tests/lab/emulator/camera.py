# SPDX-License-Identifier: GPL-3.0-or-later
"""The camera behind the API: its first frame, its detection thread, and how it stores pictures."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import pwd
import threading
import time
from datetime import datetime
from pathlib import Path

from .faults import Switchboard
from .ledger import Ledger
from .scene import Scene
from .settings import Settings

SUFFIX = {"object": "_CONF55_IOU65", "motion": "_THRESH25_AREA500", "manual": ""}
CHUNK = 4096  # bytes per write, as OpenCV's JPEG encoder does it


class Camera:
    """One camera process; after every restart detection is off and the baseline unset (quirk 2)."""

    def __init__(self, mode: str, image_dir: Path, settings: Settings, faults: Switchboard, ledger: Ledger) -> None:
        """`mode`: object or motion."""
        self.latest: Path | None = None  # the last picture since process start, stored or not (quirk 7)
        self.ready = threading.Event()  # set with the first frame
        self._mode, self._image_dir, self._settings = mode, image_dir, settings
        self._faults, self._ledger = faults, ledger
        self._started = time.monotonic()
        self._lock = threading.RLock()  # re-entrant: the signal handler may interrupt its holder
        self._running = self._baseline = self._detecting = False
        self._alive = True
        self._late, self._late_at = 0, 0.0

    def power_on(self) -> None:
        """Start the background threads and return at once."""
        self._note("process start", always=True)
        threading.Thread(target=self._start_up, name="camera", daemon=True).start()
        threading.Thread(target=self._detect, name="detection", daemon=True).start()

    def power_off(self) -> None:
        """Say that it ended; the threads go with the process."""
        with self._lock:
            self._running = False
            self._note("process end", always=True)

    def clock(self) -> float:
        """The time that the camera believes it is, in seconds since the epoch (quirk 10)."""
        return time.time() + self._faults.now().clock_offset

    def start(self) -> None:
        """Run detection; says nothing about whether its thread still lives (quirk 1)."""
        with self._lock:
            self._running = True
            self._note("start")

    def stop(self) -> None:
        """Run detection no longer; an image in flight, or `late_images`, may still come (quirk 11)."""
        with self._lock:
            if self._detecting:
                self._late, self._late_at = self._faults.now().late_images, time.monotonic() + 1
            self._running = False
            self._note("stop")

    def set_baseline(self) -> None:
        """Take the motion reference, without which motion mode records nothing (quirk 3)."""
        with self._lock:
            self._baseline = True
            self._note("baseline")

    def store(self, kind: str, card_full: bool = False) -> str:
        """Take a picture, write it in place (quirk 8) and return its name, even if no file came of it."""
        faults = self._faults.now()
        name = self._name(kind)
        path = self._image_dir / name
        data = self._scene.picture(name)
        if faults.half_write:
            data = data[: len(data) // 2].rstrip(b"\xd9")
        digest = hashlib.sha256(data).hexdigest()
        facts: dict[str, object] = {"name": name, "sha256": digest, "size": len(data), "kind": kind}
        self._ledger.written("begin", **facts)
        try:
            if card_full:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            _write_in_place(path, data, faults.slow_write)
        except OSError as error:  # cv2.imwrite removes what it could not complete, and raises nothing
            with contextlib.suppress(OSError):
                path.unlink()
            self._ledger.written("lost", **facts, error=str(error))
        else:
            self._ledger.written("end", **facts)
        self.latest = path
        return name

    def _start_up(self) -> None:
        """Bring the first frame, after the delay that the sensor needs."""
        self._scene = Scene(self._settings.image_bytes, self._settings.frames)
        delay = self._settings.first_frame_delay + self._faults.now().ready_delay
        time.sleep(max(0.0, self._started + delay - time.monotonic()))
        with self._lock:
            self.ready.set()
            self._note("first frame")

    def _detect(self) -> None:
        """The detection thread: one image per interval while detecting."""
        try:
            self.ready.wait()
            self._detect_forever()
        except BaseException:
            with self._lock:
                self._alive = False
                self._note("detection died", always=True)
            raise  # to stderr, and so to the journal: the only sign of it

    def _detect_forever(self) -> None:
        interval, limit = self._settings.interval, self._settings.detect_limit
        due, seen = 0.0, 0
        while True:
            if self._faults.now().detection_dies:
                raise RuntimeError("emulated: the detection thread meets an exception")
            if self._late and time.monotonic() >= self._late_at:
                self._late -= 1
                self.store(self._mode)
            elif self._detecting and time.monotonic() >= due and (limit is None or seen < limit):
                late = time.monotonic() - due
                due += interval if late < interval else late + interval  # keep the beat, make up for nothing
                seen += 1
                time.sleep(min(0.05, interval / 4))  # inference: a stop in here comes too late (quirk 11)
                self.store(self._mode)
            else:
                time.sleep(min(0.02, max(0.001, interval / 4)))

    def _name(self, kind: str) -> str:
        taken = datetime.fromtimestamp(self.clock()).strftime("%Y%m%d-%H%M%S-%f")
        return f"{kind}_{taken}_{self._settings.hostname}_{_user()}{SUFFIX[kind]}.jpg"

    def _note(self, reason: str, always: bool = False) -> None:
        """Record whether images are produced from now on, if that changed."""
        with self._lock:
            based = self._mode == "object" or self._baseline
            detecting = self._running and self._alive and based and self.ready.is_set()
            if always or detecting != self._detecting:
                self._ledger.detecting(detecting, reason)
            self._detecting = detecting


def _user() -> str:
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())


def _write_in_place(path: Path, data: bytes, seconds: float) -> None:
    """Write `data` under its final name, spread over `seconds`; raises OSError."""
    rest = memoryview(data)
    with path.open("wb", buffering=0) as file:
        while rest:
            written = file.write(rest[:CHUNK])
            rest = rest[written:]
            if seconds:
                time.sleep(seconds * written / len(data))
