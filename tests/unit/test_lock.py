# SPDX-License-Identifier: GPL-3.0-or-later
"""Locks name their owner, and a dead owner keeps nobody from working."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.wildberryeye.orchestrator.plugins.module_utils import lock
from ansible_collections.wildberryeye.orchestrator.plugins.module_utils.errors import Error
from ansible_collections.wildberryeye.orchestrator.plugins.module_utils.lock import Owner
from lab.emulated import wait_for


def me(purpose: str = "start") -> Owner:
    return Owner.of(os.getpid(), purpose)


@pytest.fixture
def locks(tmp_path: Path) -> str:
    return str(tmp_path / ".locks")


@pytest.fixture
def other() -> Iterator[subprocess.Popen[bytes]]:
    """Another process."""
    process = subprocess.Popen([sys.executable, "-c", "import time; print(flush=True); time.sleep(60)"], stdout=-1)
    assert process.stdout is not None
    process.stdout.readline()
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def write(locks: str, content: Any) -> None:
    Path(locks).mkdir(exist_ok=True)
    text = content if isinstance(content, str) else json.dumps(content)
    Path(locks, "camera-object.lock").write_text(text)


def takes(locks: str) -> bool:
    """Whether this process gets the lock without waiting."""
    try:
        lock.take(locks, "camera-object", me(), wait=0)
    except Error:
        return False
    return True


def test_a_free_lock_is_taken_and_given_back(locks: str) -> None:
    lock.take(locks, "camera-object", me("stop"), wait=0)
    assert lock.owner(locks, "camera-object") == me("stop")
    lock.release(locks, "camera-object", me("stop"))
    assert lock.owner(locks, "camera-object") is None


def test_its_owner_takes_it_again_for_another_purpose(locks: str) -> None:
    lock.take(locks, "camera-object", me("start"), wait=0)
    lock.take(locks, "camera-object", me("stop"), wait=0)
    assert lock.owner(locks, "camera-object") == me("stop")


def test_a_living_owner_keeps_it_and_is_named(locks: str, other: subprocess.Popen[bytes]) -> None:
    lock.take(locks, "camera-object", Owner.of(other.pid, "collect"), wait=0)
    with pytest.raises(Error) as caught:
        lock.take(locks, "camera-object", me(), wait=0)
    line = str(caught.value)
    assert "a collect that is running" in line and str(other.pid) in line and "\n" not in line


def test_what_another_holds_is_not_given_back(locks: str, other: subprocess.Popen[bytes]) -> None:
    lock.take(locks, "camera-object", Owner.of(other.pid, "collect"), wait=0)
    lock.release(locks, "camera-object", me())
    assert not takes(locks)


def test_giving_back_what_is_free_is_no_error(locks: str) -> None:
    lock.release(locks, "camera-object", me())


def test_an_owner_killed_with_9_holds_nothing(locks: str, other: subprocess.Popen[bytes]) -> None:
    lock.take(locks, "camera-object", Owner.of(other.pid, "collect"), wait=0)
    other.kill()
    other.wait()
    assert takes(locks)


def test_a_zombie_holds_nothing(locks: str, other: subprocess.Popen[bytes]) -> None:
    lock.take(locks, "camera-object", Owner.of(other.pid, "collect"), wait=0)
    os.kill(other.pid, signal.SIGKILL)
    wait_for(lambda: Path(f"/proc/{other.pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z")
    assert takes(locks)


@pytest.mark.parametrize(
    "change",
    [{"boot": "00000000-0000-0000-0000-000000000000"}, {"started": 1}, {"pid": 2**22 + 1}],
    ids=["a reboot since", "process id used again", "process gone"],
)
def test_a_lock_from_before_holds_nobody_up(locks: str, change: dict[str, Any]) -> None:
    parent = Owner.of(os.getppid(), "collect")
    write(locks, parent._asdict())
    assert not takes(locks)
    write(locks, {**parent._asdict(), **change})
    assert takes(locks)


@pytest.mark.parametrize(
    "content",
    ["", "{", "[]", "[1, 2, 3, 4]", "null", '{"boot": "x"}', "[" * 100_000, '{"a": 1}', "\x00" * 60],
)
def test_a_torn_lock_holds_nobody_up(locks: str, content: str) -> None:
    write(locks, content)
    assert takes(locks)


def test_a_lock_without_a_process_holds_nobody_up(locks: str) -> None:
    write(locks, {**me()._asdict(), "pid": 2**22 + 1, "started": None})
    assert takes(locks)


def _compete(directory: str, barrier: Barrier, results: Any) -> None:
    barrier.wait()
    try:
        lock.take(directory, "camera-object", me(), wait=0)
    except Error:
        results.put(None)
    else:
        results.put(os.getpid())
    barrier.wait()


@pytest.mark.parametrize("before", [None, {"boot": "x", "pid": 1, "started": 1, "purpose": "start"}])
def test_of_eight_at_once_only_one_gets_it(locks: str, before: Any) -> None:
    if before:
        write(locks, before)
    fork = multiprocessing.get_context("fork")
    barrier, results = fork.Barrier(8), fork.Queue()
    runs = [fork.Process(target=_compete, args=(locks, barrier, results)) for _ in range(8)]
    for run in runs:
        run.start()
    winners = [winner for winner in (results.get(timeout=20) for _ in runs) if winner]
    for run in runs:
        run.join(20)
    assert len(winners) == 1


def test_a_start_waits_for_the_one_before_and_no_longer(locks: str, other: subprocess.Popen[bytes]) -> None:
    lock.take(locks, "camera-object", Owner.of(other.pid, "restart"), wait=0)
    naps: list[float] = []

    def nap(seconds: float) -> None:
        naps.append(seconds)
        if len(naps) == 3:
            other.kill()
            other.wait()

    lock.take(locks, "camera-object", me(), wait=60, sleep=nap)
    assert len(naps) == 3


def test_waiting_has_an_end(locks: str, other: subprocess.Popen[bytes]) -> None:
    lock.take(locks, "camera-object", Owner.of(other.pid, "restart"), wait=0)
    begun = time.monotonic()
    with pytest.raises(Error):
        lock.take(locks, "camera-object", me(), wait=0.5)
    assert 0.4 < time.monotonic() - begun < 5


def test_a_collection_in_the_way_is_ended_and_its_lock_taken(locks: str, other: subprocess.Popen[bytes]) -> None:
    lock.take(locks, "camera-object", Owner.of(other.pid, "collect"), wait=0)
    lock.take(locks, "camera-object", me(), wait=0, end=lambda held: held.purpose == "collect")
    assert other.wait(5) == -signal.SIGTERM
    assert lock.owner(locks, "camera-object") == me()


def test_one_that_is_not_to_be_ended_lives_on(locks: str, other: subprocess.Popen[bytes]) -> None:
    lock.take(locks, "camera-object", Owner.of(other.pid, "start"), wait=0)
    with pytest.raises(Error):
        lock.take(locks, "camera-object", me(), wait=0, end=lambda held: held.purpose == "collect")
    assert other.poll() is None


def test_one_that_does_not_end_is_named_in_the_end(
    locks: str, other: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock, "_ENDING", 0.5)
    other.send_signal(signal.SIGSTOP)
    lock.take(locks, "camera-object", Owner.of(other.pid, "collect"), wait=0)
    with pytest.raises(Error, match="a collect that is running"):
        lock.take(locks, "camera-object", me(), wait=0, end=lambda held: True)


def test_nobody_is_ended_in_place_of_an_owner_that_is_gone(other: subprocess.Popen[bytes]) -> None:
    lock._end(Owner.of(other.pid, "collect")._replace(started=1))
    lock._end(Owner("x", 2**22 + 1, 1, "collect"))
    time.sleep(0.1)
    assert other.poll() is None


def test_two_runs_are_never_in_an_exclusive_block_together(locks: str) -> None:
    script = (
        "import sys, time\n"
        "from ansible_collections.wildberryeye.orchestrator.plugins.module_utils import lock\n"
        "with lock.exclusive(sys.argv[1], 'record'):\n"
        "    print('in', flush=True); time.sleep(60)\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script, locks], stdout=-1, env={**os.environ, "PYTHONPATH": ":".join(sys.path)}
    )
    assert process.stdout is not None and process.stdout.readline() == b"in\n"
    entered: list[float] = []
    begun = time.monotonic()
    os.posix_spawn(
        sys.executable,
        [sys.executable, "-c", f"import os, time; time.sleep(0.4); os.kill({process.pid}, 9)"],
        os.environ,
    )
    with lock.exclusive(locks, "record"):
        entered.append(time.monotonic() - begun)
    process.wait()
    process.stdout.close()
    assert entered[0] > 0.3
