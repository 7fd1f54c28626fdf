# SPDX-License-Identifier: GPL-3.0-or-later
"""A disk of which a power cut takes whatever nobody synced: a model, made of a module's system calls."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from faults.system_calls import CHANGES, Call
from unit.support import tree


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
            assert call.name not in CHANGES | {"copy_file_range", "sendfile"}, f"the model does not know {call}"

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
