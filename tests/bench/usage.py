# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host takes: memory and CPU of all its processes, from its control group, of either version."""

from __future__ import annotations

import re
import threading
from pathlib import Path
from types import TracebackType

from lab import Host
from lab.podman import podman

GROUPS = Path("/sys/fs/cgroup")
INTERVAL = 0.2
"""Seconds between two looks at the memory. A peak that the kernel keeps counts cached files as well, as they come."""


class Usage:
    """`with Usage(host) as usage:` has watched the host until its end."""

    def __init__(self, host: Host) -> None:
        self.memory = 0.0
        """MB that processes held at one moment, at most: their own, and the parts of files that they had mapped."""
        self.own = 0.0
        """MB of it that were their own, at most."""
        self.cpu = 0.0
        """Seconds of CPU."""
        pid = podman("inspect", "--format", "{{.State.Pid}}", host.container).stdout.strip()
        text = Path(f"/proc/{pid}/cgroup").read_text()
        self._memory = _directory(text, "memory") / "memory.stat"
        self._cpu = _directory(text, "cpuacct")
        self._over = threading.Event()
        self._watcher = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Usage:
        self._began = self._seconds()
        self._watcher.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._watcher.join()
        if kind is None:
            self.cpu = self._seconds() - self._began

    def _watch(self) -> None:
        while not self._over.wait(INTERVAL):
            try:
                own, mapped = held(self._memory.read_text())
            except OSError:  # the host is gone: whoever works with it will say so
                return
            self.memory, self.own = max(self.memory, (own + mapped) / 1e6), max(self.own, own / 1e6)

    def _seconds(self) -> float:
        try:
            return int((self._cpu / "cpuacct.usage").read_text()) / 1e9
        except FileNotFoundError:
            stat = _fields((self._cpu / "cpu.stat").read_text())
            return stat["usage_usec"] / 1e6


def held(text: str) -> tuple[int, int]:
    """Return the bytes that processes hold by a memory.stat: their own, and what they have mapped of files."""
    stat = _fields(text)
    if "total_rss" in stat:
        return stat["total_rss"], stat["total_mapped_file"]
    return stat["anon"], stat["file_mapped"]


def _fields(text: str) -> dict[str, int]:
    return {key: int(value) for key, value in (line.split() for line in text.splitlines())}


def _directory(text: str, controller: str) -> Path:
    """Return where the kernel shows a control group; `text` is a process's /proc/PID/cgroup."""
    first = re.search(rf"^\d+:(?:[\w=]+,)*{controller}(?:,\w+)*:(.*)$", text, re.MULTILINE)
    if first:
        return GROUPS / controller / first[1].lstrip("/")
    unified = re.search(r"^0::(.*)$", text, re.MULTILINE)
    # The host's own systemd is in a group below the host's.
    return GROUPS / (unified[1].removesuffix("/init.scope").lstrip("/") if unified else "")
