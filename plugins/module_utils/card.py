# SPDX-License-Identifier: GPL-3.0-or-later
"""What lies on a camera's card, and setting it aside. Runs on the camera: standard library only.

    <image_dir>/object_….jpg                                      loose: written by the camera
    <image_dir>/.wildberryeye/recording                           the label: whose images the loose ones are
    <image_dir>/.wildberryeye/<experiment>/<batch>/               set aside, out of the camera's reach
    <image_dir>/.wildberryeye/<experiment>/<batch>.manifest       what lies in it; from then on it is frozen
    <image_dir>/.wildberryeye/<experiment>/<batch>.zip            all of it, where there was room

The label is written while the camera's service is stopped, together with setting aside what lay there
before. So whatever happens to the orchestrator, each image lies under the experiment that it was taken
for: no clock and no variable has a say in it.

A module can outlive the run that sent it, out of reach of any lock on the orchestrator. So what changes the
card holds a lock of the kernel's here, which leaves no file and ends with its process, however that ends.
There are two, as a restart must not wait while a collection reads 50,000 images:

    the image directory      service, label, loose images: held for seconds
    the directory above it   batches: held while they are hashed or deleted

Whoever needs both takes the one above first. It stands in for .wildberryeye, which comes and goes with what
lies in it, so that a lock there could be one of a directory that is gone.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import stat
import time
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from . import durable
from .errors import Error
from .names import LABEL, UNCLAIMED, experiment_id, is_batch, is_experiment, is_image

_STABLE_AFTER = 60.0
"""Seconds between a file's last change and the newest image's after which it counts as finished."""
_WAIT = 120.0
"""Seconds that another process may hold the card: systemd alone gives a service 90 s to stop."""
_WAIT_FOR_BATCHES = 600.0
"""Seconds that another process may hold the batches: what it reads meanwhile need not be read again."""


class Batch(NamedTuple):
    """A batch on the card."""

    experiment: str
    name: str
    path: str
    """The directory of its images; manifest and zip lie beside it."""

    @property
    def manifest(self) -> str:
        return f"{self.path}.manifest"

    @property
    def zip(self) -> str:
        return f"{self.path}.zip"


class Loose(NamedTuple):
    """What lies directly in the image directory."""

    images: list[str]
    foreign: list[str]
    """What is not an image: other names, links, directories. Left alone."""


class SetAside(NamedTuple):
    """What setting aside came to."""

    experiment: str
    images: int


class Card:
    """The image directory of one camera.

    Args:
        image_dir: the directory that the camera's service writes into.
    """

    def __init__(self, image_dir: str) -> None:
        self.image_dir = image_dir
        self.root = os.path.join(image_dir, ".wildberryeye")
        self._label = os.path.join(self.root, LABEL)

    def exists(self) -> bool:
        """Tell whether the image directory is there."""
        return os.path.isdir(self.image_dir)

    def wait_for(self, timeout: float) -> None:
        """Wait until the image directory is there, at most `timeout` seconds."""
        deadline = time.monotonic() + timeout
        while not self.exists() and time.monotonic() < deadline:
            time.sleep(0.2)

    def check(self) -> None:
        """Raise `Error` unless the image directory is there."""
        if not self.exists():
            raise Error(
                f"open the image directory {self.image_dir}",
                "no such directory",
                "Start the camera's service once, or correct wildberryeye_image_dir",
            )
        if os.path.islink(self.root):
            raise Error(f"open {self.root}", "it is a link", "Remove the link: nothing of ours makes one")

    def exclusive(self, wait: float = _WAIT) -> contextlib.AbstractContextManager[None]:
        """Keep other processes from service, label and loose images within the block.

        Args:
            wait: seconds to wait for one that is at work.

        Raises:
            Error: if it is still at work then, or if there is no image directory.
        """
        return self._locked(os.curdir, wait)

    def exclusive_batches(self, wait: float = _WAIT_FOR_BATCHES) -> contextlib.AbstractContextManager[None]:
        """Keep other processes from the batches within the block; see `exclusive`."""
        return self._locked(os.pardir, wait)

    @contextlib.contextmanager
    def _locked(self, which: str, wait: float) -> Iterator[None]:
        deadline = time.monotonic() + wait
        while True:
            self.check()
            # Opened anew each time: a card can be mounted there meanwhile.
            descriptor = _flocked(os.path.join(self.image_dir, which))
            if descriptor is not None:
                break
            if time.monotonic() >= deadline:
                raise Error(
                    f"work on the card {self.image_dir}",
                    f"another run is still at work there after {wait:.0f} s",
                    "Run it again in some minutes; if it says the same then, reboot the camera",
                )
            time.sleep(0.2)
        try:
            yield
        finally:
            os.close(descriptor)

    def label(self) -> str | None:
        """Return the experiment that the loose images belong to, or None where the card does not say."""
        try:
            with open(self._label, "rb") as file:
                name = file.read(256).decode("ascii", "replace").strip()
        except (FileNotFoundError, NotADirectoryError):
            return None
        return name if is_experiment(name) else None

    def write_label(self, experiment: str) -> None:
        """Say that what is recorded from now on belongs to `experiment`; raise `Error` if that cannot be one."""
        experiment_id(experiment)

        def write() -> None:
            with durable.replacing(self._label) as file:
                file.write(experiment.encode() + b"\n")

        self._below(self.root, write)

    def clear_label(self) -> bool:
        """Say that no experiment is being recorded; tell whether one was."""
        removed = durable.remove(self._label)
        durable.remove(f"{self._label}.tmp")
        # Not beside a collection: to us, what it has not finished yet is what a killed one left.
        with contextlib.suppress(Error), self.exclusive_batches(wait=0):
            self.tidy()
        return removed

    def loose(self) -> Loose:
        """List what lies directly in the image directory."""
        images, foreign = [], []
        with os.scandir(self.image_dir) as listing:
            for item in listing:
                if is_image(item.name) and item.is_file(follow_symlinks=False):
                    images.append(item.name)
                elif item.name != ".wildberryeye":
                    foreign.append(item.name)
        return Loose(images, sorted(foreign))

    def size(self, images: Iterable[str]) -> int:
        """Return the size of loose images in bytes."""
        size = 0
        for name in images:
            with contextlib.suppress(FileNotFoundError):
                size += os.lstat(os.path.join(self.image_dir, name)).st_size
        return size

    def stable(self, images: list[str]) -> list[str]:
        """Return those of `images` that the camera has finished, never the newest.

        The camera writes in place, and answers 500 when its newest image vanishes. Its clock may be
        wrong, so ages are measured against the newest image; and where it was set back, images of the
        future lie there, and what is written now is not the newest of all.
        """
        changed = []
        for name in images:
            with contextlib.suppress(FileNotFoundError):
                changed.append((os.lstat(os.path.join(self.image_dir, name)).st_mtime, name))
        changed.sort()
        if not changed:
            return []
        now = time.time()
        newest = {changed[-1], *[each for each in changed if each[0] <= now][-1:]}
        old = changed[-1][0] - _STABLE_AFTER
        return [
            name
            for mtime, name in changed
            if (mtime, name) not in newest
            and ((mtime < old and abs(now - mtime) > _STABLE_AFTER) or ends_as_jpeg(os.path.join(self.image_dir, name)))
        ]

    def set_aside(self, images: list[str], fallback: str) -> SetAside:
        """Rename `images` into a new batch of the experiment on the label.

        Args:
            images: names of loose images; one that has vanished meanwhile is passed over.
            fallback: the experiment that they belong to where the card bears no label.
        """
        experiment = self.label() or fallback
        moved = 0
        left = images
        while left:
            batch = self._new_batch(experiment)
            before, left = left, self._move(left, batch)
            moved += len(before) - len(left)
            # A collection that runs beside us can take the batch for finished, and move it away; what is
            # still loose goes into one more.
            left = [name for name in left if os.path.lexists(os.path.join(self.image_dir, name))]
            with contextlib.suppress(FileNotFoundError):
                durable.sync_directory(batch)
            durable.sync_directory(self.image_dir)
        return SetAside(experiment, moved)

    def _move(self, images: list[str], batch: str) -> list[str]:
        """Rename `images` into `batch`; return those that could not be, as they or the batch are gone."""
        left = []
        for name in images:
            try:
                os.rename(os.path.join(self.image_dir, name), os.path.join(batch, name))
            except FileNotFoundError:
                left.append(name)
        return left

    def batches(self) -> list[Batch]:
        """List all batches on the card, in order of experiment and age.

        A directory in which nothing is left but what somebody else has put there is none any more.
        """
        found = set()
        for experiment in self._subdirectories(self.root):
            if not is_experiment(experiment):
                continue
            directory = os.path.join(self.root, experiment)
            for name in os.listdir(directory):
                name, dot, suffix = name.partition(".")
                path = os.path.join(directory, name)
                if not is_batch(name) or os.path.islink(path):
                    continue
                batch = Batch(experiment, name, path)
                if suffix in ("manifest", "zip") if dot else self.images_of(batch) or not self._others(path):
                    found.add(batch)
        return sorted(found)

    def strange(self) -> list[str]:
        """List what lies in batches and is no image, by its path below the image directory. It is left alone."""
        found = []
        for experiment in self._subdirectories(self.root):
            for name in self._subdirectories(os.path.join(self.root, experiment)):
                if is_batch(name):
                    path = os.path.join(self.root, experiment, name)
                    found += [
                        os.path.relpath(os.path.join(path, other), self.image_dir) for other in self._others(path)
                    ]
        return found

    @staticmethod
    def _others(path: str) -> list[str]:
        try:
            with os.scandir(path) as listing:
                return sorted(
                    item.name for item in listing if not (is_image(item.name) and item.is_file(follow_symlinks=False))
                )
        except (FileNotFoundError, NotADirectoryError):
            return []

    def images_of(self, batch: Batch) -> list[str]:
        """List the images of a batch, sorted: regular files with an image's name."""
        try:
            with os.scandir(batch.path) as listing:
                return sorted(
                    item.name for item in listing if is_image(item.name) and item.is_file(follow_symlinks=False)
                )
        except FileNotFoundError:
            return []

    def renew(self, batch: Batch) -> Batch | None:
        """Give what is left of a batch a new name, so that the next manifest is another batch's.

        Returns:
            What is left; None if nothing was.
        """
        with contextlib.suppress(OSError):
            os.rmdir(batch.path)
        if not os.path.isdir(batch.path):
            return None
        renewed = self._new_batch(batch.experiment)
        os.rename(batch.path, renewed)
        durable.sync_directory(os.path.dirname(batch.path))
        return Batch(batch.experiment, os.path.basename(renewed), renewed)

    def tidy(self) -> None:
        """Remove our own directories and unfinished files, as far as they hold nothing.

        For the one that keeps others from the batches.
        """
        for experiment in self._subdirectories(self.root):
            directory = os.path.join(self.root, experiment)
            for name in os.listdir(directory):
                path = os.path.join(directory, name)
                if is_batch(name.partition(".")[0]) and name.endswith(".tmp"):
                    durable.remove(path)
                elif is_batch(name):
                    with contextlib.suppress(OSError):
                        os.rmdir(path)
            with contextlib.suppress(OSError):
                os.rmdir(directory)
        with contextlib.suppress(OSError):
            os.rmdir(self.root)

    def free(self) -> int:
        """Return the free space of the card in bytes."""
        space = os.statvfs(self.image_dir)
        return space.f_bavail * space.f_frsize

    def _new_batch(self, experiment: str) -> str:
        if experiment != UNCLAIMED:
            experiment_id(experiment)
        directory = os.path.join(self.root, experiment)
        path = os.path.join(directory, f"{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}-{secrets.token_hex(4)}")

        def make() -> None:
            os.mkdir(path, 0o755)
            durable.sync_directory(directory)

        self._below(directory, make)
        return path

    @staticmethod
    def _below(directory: str, make: Callable[[], None]) -> None:
        """Make something in `directory`, which a run that tidies up beside us may remove while it is empty."""
        for _unused in range(5):
            durable.make_directories(directory)
            with contextlib.suppress(FileNotFoundError):
                return make()
        return make()

    @staticmethod
    def _subdirectories(path: str) -> list[str]:
        try:
            with os.scandir(path) as listing:
                return sorted(item.name for item in listing if item.is_dir(follow_symlinks=False))
        except (FileNotFoundError, NotADirectoryError):
            return []


def _flocked(path: str) -> int | None:
    """Return a descriptor of the directory `path` that locks it until it is closed, or None where another does."""
    # Closed in systemctl and whatever else is started: the lock must not outlive this process in a child.
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        if isinstance(error, BlockingIOError):
            return None
        raise
    return descriptor


def ends_as_jpeg(path: str) -> bool:
    """Tell whether the file ends in FF D9, as a JPEG that was written to its end does."""
    try:
        with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                return False
            file.seek(-2, os.SEEK_END)
            return file.read(2) == b"\xff\xd9"
    except OSError:
        return False
