# SPDX-License-Identifier: GPL-3.0-or-later
"""Every point at which a module can be killed, and what a power cut leaves of it: from the system calls that it makes.

A module runs as Ansible runs it, `python3 -m …` with its arguments on standard input, and strace is attached to it
once it waits for them: so nothing is patched, and the calls are counted from there on, whatever the imports before
took. strace kills on entry to a call, before the call is done; "after" a call is therefore the entry to the very next
one that has to do with files, whichever: between two calls a process leaves nothing behind. (With `--seccomp-bpf`,
strace 6.1 does not deliver an injected signal at all; and a call is counted by its name.)
"""

from __future__ import annotations

import abc
import contextlib
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from unit.support import PACKAGE, ROOT, Outcome, run_module, tree

STRACE = "strace"
"""Debian's package of the same name."""
_TRACED = (
    *("open", "openat", "creat", "close", "read", "write", "pread64", "pwrite64", "readv", "writev", "lseek"),
    *(
        "truncate",
        "ftruncate",
        "fallocate",
        "rename",
        "renameat",
        "renameat2",
        "unlink",
        "unlinkat",
        "mkdir",
        "mkdirat",
    ),
    *("rmdir", "link", "linkat", "symlink", "symlinkat", "fsync", "fdatasync", "sync_file_range", "copy_file_range"),
    *("sendfile", "stat", "lstat", "fstat", "newfstatat", "getdents64", "flock", "fcntl", "ioctl", "readlink", "chmod"),
    *("fchmod", "utimensat", "exit_group"),
)
_CHANGES = {
    *("rename", "renameat", "renameat2", "unlink", "unlinkat", "mkdir", "mkdirat", "rmdir", "fsync", "fdatasync"),
    *("truncate", "ftruncate", "link", "linkat", "symlink", "symlinkat", "chmod", "fchmod"),
}
_WRITES = {"write", "pwrite64", "writev"}
_LINE = re.compile(r"(\w+)\((.*)\) += (\?|-?\d+)(.*)")
_TOKEN = re.compile(r'(AT_FDCWD|\d+)<((?:\\x[0-9a-f]{2})*)>|"((?:\\x[0-9a-f]{2})*)"')
_RANDOM = re.compile(r"\d{8}T\d{6}Z-[0-9a-f]{8}(?:-[0-9a-f]{16})?|(?<=-)\d{6}(?=_)")
"""What differs between two runs that do the same: names of batches and parts, the order in which images are listed."""


class Call(NamedTuple):
    """One system call of a module."""

    name: str
    ordinal: int
    """Which one of its name, from 1."""
    descriptor: int
    """The first descriptor that it was given; -1 without one."""
    paths: tuple[str, ...]
    data: bytes
    """What it wrote."""
    arguments: str
    result: int | None
    """None if it never returned."""

    def likeness(self, root: Path) -> tuple[str, ...]:
        """What is the same in every run that does the same below another `root`."""
        return (self.name, *(_RANDOM.sub("…", path.replace(str(root), "")) for path in self.paths))

    def changes(self, root: Path, writes: bool) -> bool:
        """Whether it changes or syncs something below `root`."""
        opened = self.name in ("open", "openat", "creat") and re.search("O_WRONLY|O_RDWR|O_CREAT", self.arguments)
        kind = self.name in _CHANGES or bool(opened) or (writes and self.name in _WRITES)
        # One that failed has changed nothing: before it is before the next.
        failed = self.result is not None and self.result < 0
        return kind and not failed and any(path.startswith(f"{root}/") or path == str(root) for path in self.paths)


class Case(abc.ABC):
    """A starting state, the module that is run on it, and what must hold whenever that is killed."""

    module = ""

    @abc.abstractmethod
    def prepare(self, root: Path) -> None:
        """Make the state below `root`."""

    @abc.abstractmethod
    def arguments(self, root: Path) -> dict[str, Any]:
        """The module's arguments."""

    def environment(self, root: Path) -> dict[str, str]:
        """What is added to its environment."""
        return {}

    @abc.abstractmethod
    def files(self, root: Path) -> Path:
        """The directory whose changes count."""

    @abc.abstractmethod
    def held(self, root: Path) -> None:
        """Check that nothing is lost, whatever happened."""

    @abc.abstractmethod
    def done(self, root: Path, outcome: Outcome) -> None:
        """Check that a run that came to its end has done all of its work, and left nothing unfinished."""

    def reported(self, root: Path) -> None:  # noqa: B027 - not every module reports something
        """Check that whatever the power cut took, what the module has reported is there."""

    def again(self, root: Path) -> Outcome:
        """Run the module undisturbed."""
        return run_module(self.module, self.arguments(root), env=self.environment(root))


# --- runs under strace ----------------------------------------------------------------------------


def traced(
    case: Case, root: Path, inject: str = "", collections: Path = ROOT / "collections"
) -> tuple[int, list[Call]]:
    """Run the case's module under strace.

    Args:
        case: the case, prepared at `root`.
        root: where.
        inject: what strace injects, as it writes it.
        collections: where the module comes from.

    Returns:
        How it ended, and its calls since it got its arguments.
    """
    assert shutil.which(STRACE), "sudo apt install strace"
    given = json.dumps({"ANSIBLE_MODULE_ARGS": {**case.arguments(root), "_ansible_remote_tmp": "/tmp"}}).encode()
    environment = {"PYTHONPATH": str(collections), "PYTHONDONTWRITEBYTECODE": "1", **case.environment(root)}
    log = root.parent / f"{root.name}.strace"
    traces = ",".join(f"?{name}" for name in _TRACED)
    with contextlib.ExitStack() as stack:
        process = stack.enter_context(
            subprocess.Popen(
                [sys.executable, "-m", f"{PACKAGE}.modules.{case.module}"],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env={**os.environ, **environment},
                cwd="/",
            )
        )
        stack.callback(process.kill)
        _wait_for_its_arguments(process)
        command = [
            STRACE,
            "-p",
            str(process.pid),
            "-y",
            "-xx",
            "-s",
            "10000000",
            "-o",
            str(log),
            "-e",
            f"trace={traces}",
        ]
        tracer = stack.enter_context(
            subprocess.Popen([*command, *(["-e", f"inject={inject}"] if inject else [])], stderr=subprocess.PIPE)
        )
        stack.callback(tracer.kill)
        assert tracer.stderr is not None and process.stdin is not None
        said = tracer.stderr.readline()
        assert b"attached" in said, said
        process.stdin.write(given)
        process.stdin.close()
        tracer.wait(60)
        return process.wait(10), _parse(log)


def _wait_for_its_arguments(process: subprocess.Popen[bytes]) -> None:
    """Wait until the process does nothing but read its standard input."""
    before: list[str] = []
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        # Number of the call, then its arguments: the first is the descriptor.
        found = Path(f"/proc/{process.pid}/syscall").read_text().split()
        if len(found) > 2 and found[1] == "0x0" and found == before:
            return
        before = found
        time.sleep(0.01)
    raise AssertionError("the module does not ask for its arguments")


def _parse(log: Path) -> list[Call]:
    calls = []
    seen: Counter[str] = Counter()
    for line in log.read_text().splitlines():
        match = _LINE.fullmatch(line)
        if match is None:
            assert line.startswith(("+++", "---")) or "resumed>" in line, line
            continue
        name, arguments, result, _ = match.groups()
        seen[name] += 1
        paths: list[str] = []
        descriptor, directory, data = -1, "", b""
        for token in _TOKEN.finditer(arguments):
            number, of, text = token.groups()
            if number is not None:
                directory = _text(of).decode()
                if number != "AT_FDCWD" and descriptor < 0:
                    descriptor = int(number)
                if '"' not in arguments or name in (*_WRITES, "read", "pread64"):
                    paths.append(directory)
            elif name in (*_WRITES, "read", "pread64"):
                data = _text(text)
            else:
                paths.append(os.path.join(directory, _text(text).decode(errors="surrogateescape")))
        calls.append(
            Call(name, seen[name], descriptor, tuple(paths), data, arguments, None if result == "?" else int(result))
        )
    return calls


def _text(hexadecimal: str) -> bytes:
    return bytes.fromhex(hexadecimal.replace("\\x", ""))


# --- killing at every point -----------------------------------------------------------------------


class _Kill(NamedTuple):
    root: Path
    point: Call
    at: Call
    """The call at whose entry it dies: the point itself, or the next one."""

    def __str__(self) -> str:
        side = "before" if self.at is self.point else "after"
        return f"killed {side} {self.point.name} {self.point.ordinal} {self.point.paths}"


def kill_everywhere(case: Case, where: Path, both_sides: bool = False) -> int:
    """Kill the case's module at each of its points in turn, each time on a fresh state, and run it again.

    Args:
        case: the case.
        where: an empty directory for all that.
        both_sides: kill after each point as well, and around each write; otherwise before each point, which is
            after the one before.

    Returns:
        How many kills there were.

    Raises:
        AssertionError: if a kill missed its point, lost something, or could not be mended by another run.
    """
    recorded = where / "recorded"
    recorded.mkdir(parents=True)
    case.prepare(recorded)
    files = case.files(recorded)
    code, calls = traced(case, recorded)
    assert code == 0, f"{case.module} itself failed: see {recorded}.strace"
    case.held(recorded)
    points = [index for index, call in enumerate(calls) if call.changes(files, both_sides)]
    assert points, f"{case.module} has no point at which it could be killed"
    kills: list[_Kill] = []
    for index in points:
        for side in (0, 1) if both_sides else (0,):
            root = where / f"{len(kills):03}"
            root.mkdir()
            case.prepare(root)
            # How often it read until it had its arguments differs from run to run: reads are not counted on.
            following = next((call for call in calls[index + 1 :] if call.name != "read"), calls[index])
            kills.append(_Kill(root, calls[index], following if side else calls[index]))
    # Only killing takes time; what comes after it runs in copies of this process, which must have no threads then.
    with ThreadPoolExecutor(2) as pool:
        for _ in pool.map(lambda kill: _kill(case, kill, recorded), kills):
            pass
    for kill in kills:
        try:
            case.held(kill.root)
            outcome = case.again(kill.root)
            case.held(kill.root)
            case.done(kill.root, outcome)
        except Exception as error:
            raise AssertionError(f"{case.module} {kill} (see {kill.root}): {error}") from error
        shutil.rmtree(kill.root)
    return len(kills)


def _kill(case: Case, kill: _Kill, recorded: Path) -> None:
    code, calls = traced(case, kill.root, f"{kill.at.name}:signal=KILL:when={kill.at.ordinal}")
    assert code == -signal.SIGKILL, f"{case.module} was not {kill}: it ended with {code}"
    last = calls[-1]
    assert last.result is None and last.likeness(kill.root) == kill.at.likeness(recorded), f"not {kill}, but at {last}"
    if kill.at is kill.point:
        assert _done(last) is not True, f"{kill}, but it was done"
    else:
        point = next(call for call in reversed(calls[:-1]) if call.name != "read")
        assert (point.name, point.ordinal) == (kill.point.name, kill.point.ordinal)
        assert point.result is not None and _done(point) is not False, f"{kill}, but it was not done"


def _done(call: Call) -> bool | None:
    """Tell by the files whether a call was done; None where they do not say."""
    if call.name.startswith("rename"):
        return not os.path.lexists(call.paths[0])
    if call.name.startswith(("unlink", "rmdir")):
        return not os.path.lexists(call.paths[0])
    if call.name.startswith("mkdir"):
        return os.path.isdir(call.paths[0])
    if call.name.startswith("open") and "O_EXCL" in call.arguments:
        return os.path.lexists(call.paths[0])
    return None


# --- power cuts -----------------------------------------------------------------------------------


class _Change(NamedTuple):
    """An entry of a directory that was made (`to` is its file) or taken away (`to` is None)."""

    directory: int
    name: str
    to: int | None


class _Write(NamedTuple):
    """What was written into a file; or, where `data` is None, that it was cut off, or stretched, at `offset`."""

    offset: int
    data: bytes | None

    def apply(self, content: bytearray) -> None:
        """Write it."""
        content.extend(bytes(max(0, self.offset - len(content))))
        if self.data is None:
            del content[self.offset :]
        else:
            content[self.offset : self.offset + len(self.data)] = self.data

    def halves(self) -> list[_Write]:
        """It takes two steps to reach the disk."""
        if self.data is None or len(self.data) < 2:
            return [self]
        middle = len(self.data) // 2
        return [_Write(self.offset, self.data[:middle]), _Write(self.offset + middle, self.data[middle:])]


@dataclass
class Disk:
    """A disk that may have lost whatever nobody synced: what of it a power cut can leave.

    The content of a file is safe when the file was synced; a name, made or taken away, when its directory was
    synced thereafter, and syncing a file does not make its name safe. What was not synced may have reached the disk
    all the same, in any order: where a file was synced and is then written to where it lies, each half of each write,
    and each truncation, for itself. A rename is one step, as POSIX says of processes and every file system with a
    journal keeps in a crash: it never takes the old name without giving the new one.
    """

    root: Path
    directories: dict[int, dict[str, int]] = field(default_factory=dict)
    content: dict[int, bytearray] = field(default_factory=dict)
    safe_names: dict[int, dict[str, int]] = field(default_factory=dict)
    safe_content: dict[int, bytes] = field(default_factory=dict)
    pending: list[list[_Change]] = field(default_factory=list)
    unsynced: dict[int, list[_Write]] = field(default_factory=dict)
    """What was written to each file since it was synced."""
    _open: dict[int, list[int]] = field(default_factory=dict)
    """Descriptor to file and offset."""

    @classmethod
    def of(cls, root: Path, unsafe: Callable[[str], bool]) -> Disk:
        """The disk as it is now, all of it safe but the paths relative to `root` that are `unsafe`."""
        disk = cls(root, {0: {}}, {}, {0: {}})
        for path in sorted(root.rglob("*")):
            relative = str(path.relative_to(root))
            node = disk._make(relative, None if path.is_dir() else path.read_bytes())
            if not unsafe(relative):
                disk.pending.pop()
                directory, name = disk._place(relative)
                disk.safe_names[directory][name] = node
                if not path.is_dir():
                    disk.safe_content[node] = bytes(disk.content[node])
        return disk

    def replay(self, call: Call) -> None:
        """Do what the module did."""
        if call.result is None or call.result < 0:
            return
        inside = [self._relative(path) for path in call.paths]
        if call.name in ("open", "openat"):
            if inside[0] is not None:
                self._opened(call, inside[0])
        elif call.name == "fcntl" and "F_DUPFD" in call.arguments and call.descriptor in self._open:
            self._open[call.result] = self._open[call.descriptor]
        elif call.descriptor in self._open:
            self._on_open(call, self._open[call.descriptor])
        elif all(path is not None for path in inside) and inside:
            self._on_names(call, [path for path in inside if path is not None])

    def _opened(self, call: Call, path: str) -> None:
        node = self._find(path)
        if node is None:
            node = self._make(path, b"")
        elif "O_TRUNC" in call.arguments:
            self._write(node, _Write(0, None))
        assert call.result is not None
        self._open[call.result] = [node, len(self.content[node]) if "O_APPEND" in call.arguments else 0]

    def _on_open(self, call: Call, opened: list[int]) -> None:
        node, offset = opened
        assert call.result is not None
        if call.name == "close":
            del self._open[call.descriptor]
        elif call.name == "lseek":
            opened[1] = call.result
        elif call.name == "read":
            opened[1] += call.result
        elif call.name == "write":
            self._write(node, _Write(offset, call.data[: call.result]))
            opened[1] += call.result
        elif call.name == "ftruncate":
            self._write(node, _Write(int(call.arguments.rpartition(",")[2]), None))
        elif call.name in ("fsync", "fdatasync"):
            self._sync(node)
        else:
            known = ("newfstatat", "fstat", "ioctl", "fcntl", "getdents64", "flock", "pread64", "unlinkat")
            assert call.name in known, f"the model does not know {call}"
            if call.name == "unlinkat":
                self._take(self._inside(call.paths[0]))

    def _write(self, node: int, write: _Write) -> None:
        write.apply(self.content[node])
        self.unsynced.setdefault(node, []).extend(write.halves())

    def _on_names(self, call: Call, paths: list[str]) -> None:
        if call.name.startswith("rename"):
            node = self._find(paths[0])
            assert node is not None
            (directory, name), (target, new) = self._place(paths[0]), self._place(paths[1])
            del self.directories[directory][name]
            self.directories[target][new] = node
            self.pending.append([_Change(target, new, node), _Change(directory, name, None)])
        elif call.name.startswith(("unlink", "rmdir")):
            self._take(paths[0])
        elif call.name.startswith("mkdir"):
            self._make(paths[0], None)
        else:
            assert call.name not in _CHANGES | {"copy_file_range", "sendfile"}, f"the model does not know {call}"

    def _sync(self, node: int) -> None:
        if node not in self.directories:
            self.safe_content[node] = bytes(self.content[node])
            self.unsynced.pop(node, None)
            return
        left = []
        for step in self.pending:
            if any(change.directory == node for change in step):
                for change in step:
                    # With a name that was taken away by a rename, the one that it gave is safe.
                    if change.to is not None:
                        self.safe_names[change.directory][change.name] = change.to
                step = [change for change in step if change.directory != node and change.to is None]
            if step:
                left.append(step)
        self.pending = left
        self.safe_names[node] = dict(self.directories[node])

    def survivors(self) -> Iterator[dict[str, bytes | None]]:
        """Yield what a power cut now can leave: path to content, None for a directory; the worst of it first."""
        steps = self.pending
        for content in self._contents():
            for chosen in _some_of(len(steps)):
                names = {directory: dict(entries) for directory, entries in self.safe_names.items()}
                for number in sorted(chosen):
                    for change in steps[number]:
                        if change.to is not None:
                            names[change.directory][change.name] = change.to
                        else:
                            names[change.directory].pop(change.name, None)
                found: dict[str, bytes | None] = {}
                self._walk(0, "", names, content, found)
                yield found

    def _contents(self) -> Iterator[Mapping[int, bytes | bytearray]]:
        """Yield what the files can hold; the worst first."""
        safe: dict[int, bytes | bytearray] = {**dict.fromkeys(self.content, b""), **self.safe_content}
        yield safe
        yield self.content
        for node, writes in self.unsynced.items():
            if node in self.safe_content:
                for chosen in _some_of(len(writes)):
                    written = bytearray(self.safe_content[node])
                    for number in sorted(chosen):
                        writes[number].apply(written)
                    yield {**safe, node: written}

    def _walk(
        self,
        directory: int,
        path: str,
        names: Mapping[int, Mapping[str, int]],
        content: Mapping[int, bytes | bytearray],
        found: dict[str, bytes | None],
    ) -> None:
        for name, node in sorted(names[directory].items()):
            below = os.path.join(path, name)
            found[below] = None if node in self.directories else bytes(content[node])
            if node in self.directories:
                self._walk(node, below, names, content, found)

    def assert_true(self) -> None:
        """What was replayed is what really lies there: otherwise this model has missed a call."""
        found: dict[str, bytes | None] = {}
        self._walk(0, "", self.directories, self.content, found)
        real = tree(self.root)
        assert {path: _digest(content) for path, content in found.items()} == real

    def _make(self, path: str, content: bytes | None) -> int:
        directory, name = self._place(path)
        node = len(self.directories) + len(self.content)
        if content is None:
            self.directories[node], self.safe_names[node] = {}, {}
        else:
            self.content[node] = bytearray(content)
        self.directories[directory][name] = node
        self.pending.append([_Change(directory, name, node)])
        return node

    def _take(self, path: str) -> None:
        directory, name = self._place(path)
        del self.directories[directory][name]
        self.pending.append([_Change(directory, name, None)])

    def _place(self, path: str) -> tuple[int, str]:
        directory = self._find(os.path.dirname(path))
        assert directory is not None, path
        return directory, os.path.basename(path)

    def _find(self, path: str) -> int | None:
        node: int | None = 0
        for name in path.split("/") if path else ():
            node = self.directories[node].get(name) if node is not None else None
        return node

    def _relative(self, path: str) -> str | None:
        path = os.path.normpath(path)
        if path == str(self.root):
            return ""
        return path.removeprefix(f"{self.root}/") if path.startswith(f"{self.root}/") else None

    def _inside(self, path: str) -> str:
        found = self._relative(path)
        assert found is not None, path
        return found


def _some_of(count: int) -> Iterable[frozenset[int]]:
    """Which of `count` things can have reached the disk: none, all, one alone, all before it, all but it."""
    some = [set[int](), set(range(count))]
    for number in range(count):
        some += [{number}, set(range(number)), set(range(count)) - {number}]
    return {frozenset(each): None for each in some}


def _digest(content: bytes | None) -> str:
    return "" if content is None else hashlib.sha256(content).hexdigest()


class Cuts(NamedTuple):
    """What was tried."""

    calls: int
    """After each of which the power was cut."""
    states: int
    """Different states of the disk that this could leave."""


def cut_everywhere(
    case: Case,
    where: Path,
    unsafe: Callable[[str], bool] = lambda path: False,
    collections: Path = ROOT / "collections",
    again: Callable[[Path], None] | None = None,
) -> Cuts:
    """Cut the power after each call of the case's module, and check what the disk can have kept.

    Args:
        case: the case.
        where: an empty directory for all that.
        unsafe: the paths that nobody had synced before the module began.
        collections: where the module comes from.
        again: runs what comes after a power cut on such a disk, and checks that it completes.

    Raises:
        AssertionError: if something is lost; or if what the module has reported as done is not there after it.
    """
    root = where / "recorded"
    root.mkdir(parents=True)
    case.prepare(root)
    files = case.files(root)
    disk = Disk.of(files, unsafe)
    code, calls = traced(case, root, collections=collections)
    assert code == 0, f"{case.module} itself failed: see {root}.strace"
    seen: set[int] = set()
    cuts = 0
    for call in [*calls, None]:
        if call is not None:
            disk.replay(call)
            if not call.changes(files, writes=True):
                continue
        else:
            disk.assert_true()
        cuts += 1
        for number, found in enumerate(disk.survivors()):
            # What the module has said when it ended must be true of every one of these disks.
            state = hash((call is None, frozenset(found.items())))
            if state in seen:
                continue
            seen.add(state)
            survived = where / f"{cuts:03}-{number}"
            lay_out(case, root, survived, found)
            at = f"after {call.name} {call.paths}" if call else "after the module has ended"
            try:
                case.held(survived)
                if call is None:
                    case.reported(survived)
                if again is not None:
                    again(survived)
            except Exception as error:
                raise AssertionError(f"{case.module}: the power is cut {at} (see {survived}): {error}") from error
            shutil.rmtree(survived)
    return Cuts(cuts, len(seen))


def lay_out(case: Case, recorded: Path, survived: Path, found: Mapping[str, bytes | None]) -> None:
    """Lay out what survived as it lay before, and beside it what the case has put there."""
    files = case.files(recorded).relative_to(recorded)
    for path in _beside(recorded, recorded / files):
        target = survived / path.relative_to(recorded)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, target)
    top = survived / files
    top.mkdir(parents=True)
    for name, content in found.items():
        if content is None:
            (top / name).mkdir()
        else:
            (top / name).write_bytes(content)


def _beside(root: Path, files: Path) -> Iterable[Path]:
    return [path for path in root.rglob("*") if path.is_file() and files not in path.parents]
