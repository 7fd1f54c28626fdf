# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tests of the camera's side share: cards full of images, a process that is killed, a systemctl."""

from __future__ import annotations

import contextlib
import hashlib
import os
import signal
import subprocess
import sys
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.wildberryeye.orchestrator.plugins.module_utils import batch, manifest
from ansible_collections.wildberryeye.orchestrator.plugins.module_utils.card import Batch, Card
from ansible_collections.wildberryeye.orchestrator.plugins.module_utils.receipt import Receipt
from unit.support import EXPERIMENT, images

OURS = ".wildberryeye"


def make_card(path: Path, found: Mapping[str, bytes] | None = None, label: str = "") -> Card:
    """A card at `path` with these loose images, and a label if one is given."""
    path.mkdir(exist_ok=True)
    for name, content in (found or {}).items():
        (path / name).write_bytes(content)
    card = Card(str(path))
    if label:
        card.write_label(label)
    return card


def make_batch(path: Path, found: Mapping[str, bytes], experiment: str = EXPERIMENT) -> tuple[Card, Batch]:
    """A card at `path` with these images set aside, not frozen."""
    card = make_card(path, found)
    before = set(card.batches())
    card.set_aside(sorted(found), experiment)
    (new,) = set(card.batches()) - before
    return card, new


def make_frozen(path: Path, found: Mapping[str, bytes], zipped: bool = True) -> tuple[Card, Batch, Receipt]:
    """A card at `path` with a frozen batch of these images, and the receipt that proves all of them."""
    card, new = make_batch(path, found)
    assert batch.freeze(card, new, zipped).zipped == zipped
    return card, new, receipt_of(new)


def receipt_of(of: Batch, unproven: list[str] | None = None) -> Receipt:
    """The receipt of a frozen batch."""
    return Receipt(of.experiment, of.name, manifest.digest(of.manifest), unproven or [])


def images_below(path: Path) -> Counter[tuple[str, str]]:
    """Name and SHA-256 of every JPEG on a card, loose or in a batch, and how often it is there."""
    return Counter(
        (item.name, hashlib.sha256(item.read_bytes()).hexdigest())
        for item in path.rglob("*.jpg")
        if item.is_file() and not item.is_symlink()
    )


def counted(found: Mapping[str, bytes]) -> Counter[tuple[str, str]]:
    """What `images_below` finds where each of `found` is there exactly once."""
    return Counter((name, hashlib.sha256(content).hexdigest()) for name, content in found.items())


def assert_sound(card: Card) -> None:
    """Whatever has a public name on the card is whole: manifests, zips, the label."""
    for found in card.batches():
        if os.path.exists(found.manifest):
            manifest.load(found.manifest, found.experiment, found.name)
        if os.path.exists(found.zip):
            with zipfile.ZipFile(found.zip) as archive:
                assert archive.testzip() is None
                assert manifest.MEMBER in archive.namelist()
    label = Path(card.root, "recording")
    assert not label.exists() or card.label() is not None


_AT_WORK = """
import subprocess, sys, time
from ansible_collections.wildberryeye.orchestrator.plugins.module_utils.card import Card
with getattr(Card(sys.argv[1]), sys.argv[2])():
    # As the system starts it, without Python's care: what may be left open is.
    child = subprocess.Popen(["sleep", "60"], close_fds=False, stdout=subprocess.DEVNULL)
    print(child.pid, flush=True)
    time.sleep(60)
"""


@contextlib.contextmanager
def at_work(card: Card, lock: str = "exclusive") -> Iterator[subprocess.Popen[bytes]]:
    """Within the block, a process of another run holds the card's `lock`, and has a child that outlives it."""
    process = subprocess.Popen(
        [sys.executable, "-c", _AT_WORK, card.image_dir, lock],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": ":".join(sys.path)},
    )
    with process:
        assert process.stdout is not None
        child = int(process.stdout.readline())
        try:
            yield process
        finally:
            process.kill()
            os.kill(child, signal.SIGKILL)


def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let nobody wait for another run on a card for more than 0.3 s."""
    for lock in (Card.exclusive, Card.exclusive_batches):
        monkeypatch.setattr(lock, "__defaults__", (0.3,))


_CALLS = ("rename", "unlink", "fsync", "mkdir", "rmdir")


def killed_at(number: int, work: Callable[[], object]) -> bool:
    """Run `work` in a process that is killed at its call `number` (from 1) to rename, unlink, fsync, mkdir, rmdir.

    The process is gone at once: no `finally` runs, and what it had not yet handed to the system is lost.

    Returns:
        Whether it was killed; it had fewer such calls otherwise, and ended well.
    """
    child = os.fork()
    if child == 0:
        left = number

        def deadly(real: Callable[..., Any]) -> Callable[..., Any]:
            def call(*args: Any, **kwargs: Any) -> Any:
                nonlocal left
                left -= 1
                if left == 0:
                    os.kill(os.getpid(), signal.SIGKILL)
                return real(*args, **kwargs)

            return call

        for name in _CALLS:
            setattr(os, name, deadly(getattr(os, name)))
        try:
            work()
            os._exit(0)
        finally:
            os._exit(1)
    status = os.waitpid(child, 0)[1]
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL
        return True
    assert os.WEXITSTATUS(status) == 0, "the work itself failed"
    return False


def every_kill(path: Path, prepare: Callable[[Path], Callable[[], object]]) -> Iterator[Path]:
    """Kill a piece of work at each of its steps in turn, on a fresh card each time.

    Args:
        path: below which the cards are made.
        prepare: makes a card at a path and returns the work.

    Yields:
        The path of the card after each kill.
    """
    number = 1
    while True:
        where = path / f"killed-{number}"
        where.mkdir()
        if not killed_at(number, prepare(where)):
            assert number > 1, "the work had no step at which it can be killed"
            return
        yield where
        number += 1


def steps_of(monkeypatch: pytest.MonkeyPatch, work: Callable[[], object]) -> list[str]:
    """Run `work`; return its fsyncs, renames and unlinks in order, e.g. ``sync images``, ``unlink x.zip``."""
    steps: list[str] = []
    fsync, rename, unlink = os.fsync, os.rename, os.unlink

    def synced(descriptor: int) -> None:
        steps.append("sync " + os.path.basename(os.readlink(f"/proc/self/fd/{descriptor}")))
        fsync(descriptor)

    def renamed(source: str, target: str) -> None:
        steps.append(f"rename {os.path.basename(source)}")
        rename(source, target)

    def unlinked(path: str) -> None:
        steps.append(f"unlink {os.path.basename(path)}")
        unlink(path)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", synced)
        patch.setattr(os, "rename", renamed)
        patch.setattr(os, "unlink", unlinked)
        work()
    return steps


@contextlib.contextmanager
def unreadable(monkeypatch: pytest.MonkeyPatch, *names: str, error: int) -> Iterator[None]:
    """Within the block, opening a file of one of `names` fails as a worn card does."""
    real = os.open

    def failing(path: Any, *args: Any, **kwargs: Any) -> int:
        if os.path.basename(os.fspath(path)) in names:
            raise OSError(error, os.strerror(error), path)
        return real(path, *args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", failing)
        yield


SYSTEMCTL = """#!/bin/sh
# A systemctl that keeps its unit in files: state, mode, load, fail (verbs that fail), log (verbs asked for).
dir=$(dirname "$0")
read_file() { cat "$dir/$1" 2>/dev/null; }
verb=$1
case $verb in
show)
    [ -e "$dir/fail" ] && grep -qx show "$dir/fail" && { echo "Failed to connect to bus" >&2; exit 1; }
    echo "LoadState=$(read_file load)"
    echo "ActiveState=$(read_file state)"
    echo "ExecStart={ path=/usr/bin/python3 ; argv[]=/usr/bin/python3 main.py $(read_file mode) ; ignore_errors=no }"
    echo "ActiveEnterTimestampMonotonic=1000000"
    exit 0 ;;
esac
echo "$verb $(ls "$dir/images" 2>/dev/null | wc -l)" >> "$dir/log"
mv "$dir/hold-$verb" "$dir/held" 2>/dev/null && while [ -e "$dir/held" ]; do sleep 0.05; done
[ -e "$dir/fail" ] && grep -qx "$verb" "$dir/fail" && { echo "Job for $2 failed." >&2; exit 1; }
case $verb in
stop)
    echo inactive > "$dir/state"
    [ -e "$dir/late" ] && mv "$dir"/late/*.jpg "$dir/images/" ;;
start | restart)
    echo active > "$dir/state"
    mkdir -p "$dir/images" ;;
esac
exit 0
"""


TIMEDATECTL = """#!/bin/sh
# A timedatectl of a camera whose time server has the state that `synchronised` says; without that file there is no bus.
dir=$(dirname "$0")
echo "timedatectl $*" >> "$dir/clock-log"
if [ "$1" = show ] && [ -e "$dir/synchronised" ]; then
    printf 'NTP=yes\\nNTPSynchronized=%s\\n' "$(cat "$dir/synchronised")"
    exit
fi
echo "Failed to query server: no bus" >&2
exit 1
"""
DATE = """#!/bin/sh
# A date that sets nothing, and says so only where `denied` is.
dir=$(dirname "$0")
echo "date $* $(cat "$dir/state")" >> "$dir/clock-log"
[ -e "$dir/denied" ] && { echo "date: cannot set date: Operation not permitted" >&2; exit 1; }
exit 0
"""


class Systemctl:
    """A directory with a fake `systemctl`, its state, and the image directory of the camera that it runs.

    Images in `late` appear while the service is being stopped, as the last one of a camera does. `hold-stop` makes
    the next stop take until `held` is removed, so for other verbs.
    """

    def __init__(self, path: Path, mode: str = "object", state: str = "active", load: str = "loaded") -> None:
        path.mkdir()
        self.path = path
        self.images = path / "images"
        # The clock of this machine is nobody's to set.
        for name, script in (("systemctl", SYSTEMCTL), ("timedatectl", TIMEDATECTL), ("date", DATE)):
            tool = path / name
            tool.write_text(script)
            tool.chmod(0o755)
        self.set(mode=mode, state=state, load=load)

    @property
    def env(self) -> dict[str, str]:
        """The environment in which it is found first."""
        return {"PATH": f"{self.path}:{os.environ['PATH']}"}

    def set(self, **facts: str) -> None:
        """Change its files."""
        for name, content in facts.items():
            (self.path / name).write_text(f"{content}\n")

    @property
    def state(self) -> str:
        """ActiveState."""
        return (self.path / "state").read_text().strip()

    def late(self, found: Mapping[str, bytes]) -> None:
        """Let images appear while the service is being stopped."""
        (self.path / "late").mkdir()
        for name, content in found.items():
            (self.path / "late" / name).write_bytes(content)

    @property
    def clock(self) -> list[str]:
        """What its clock was asked, or set to, in order."""
        log = self.path / "clock-log"
        return log.read_text().splitlines() if log.exists() else []

    @property
    def verbs(self) -> list[str]:
        """What it was asked to do, in order; looking does not count."""
        log = self.path / "log"
        return [line.split()[0] for line in log.read_text().splitlines()] if log.exists() else []


def three() -> dict[str, bytes]:
    """Three images."""
    return images(3)
