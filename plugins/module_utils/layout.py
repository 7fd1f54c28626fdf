# SPDX-License-Identifier: GPL-3.0-or-later
"""Where everything lies on the orchestrator.

<data_dir>/<experiment>/experiment.json, events.jsonl
<data_dir>/<experiment>/<camera>/<camera>_<experiment>.zip, …_part2.zip     what people open
<data_dir>/<experiment>/<camera>/receipts/<batch>.json
<data_dir>/<experiment>/<camera>/parts/together.zip                         verified, takes in each new part
<data_dir>/<experiment>/<camera>/parts/together.zip.tail                    how it ended before what it takes in now
<data_dir>/<experiment>/<camera>/parts/<batch>-<manifest>.zip               verified, not yet taken in
<data_dir>/.incoming/<camera>/<experiment>/<batch>{.manifest,.zip,/}        as it came, unverified
<data_dir>/.locks/<name>
<data_dir>/.heartbeat.json                                                  what the heartbeat thinks of each camera
"""

from __future__ import annotations

import os
import re


class Layout:
    """Paths below one data directory.

    Args:
        data_dir: the directory; ``~`` is expanded.
    """

    def __init__(self, data_dir: str) -> None:
        self.data_dir = os.path.abspath(os.path.expanduser(data_dir))

    def experiment(self, experiment: str) -> str:
        """Return the directory of an experiment."""
        return os.path.join(self.data_dir, experiment)

    def record(self, experiment: str) -> str:
        """Return the path of its record."""
        return os.path.join(self.experiment(experiment), "experiment.json")

    def events(self, experiment: str) -> str:
        """Return the path of its list of events."""
        return os.path.join(self.experiment(experiment), "events.jsonl")

    def camera(self, experiment: str, camera: str) -> str:
        """Return the directory of one camera's images."""
        return os.path.join(self.experiment(experiment), camera)

    def receipt(self, experiment: str, camera: str, batch: str) -> str:
        """Return the path of the receipt of a batch."""
        return os.path.join(self.camera(experiment, camera), "receipts", f"{batch}.json")

    def parts(self, experiment: str, camera: str) -> str:
        """Return the directory of the archives that are not merged yet."""
        return os.path.join(self.camera(experiment, camera), "parts")

    def together(self, experiment: str, camera: str) -> str:
        """Return the path of the one that takes in the others."""
        return os.path.join(self.parts(experiment, camera), "together.zip")

    def archive(self, experiment: str, camera: str, part: int) -> str:
        """Return the path of the camera's archive, or from part 2 on of what came after closing."""
        suffix = f"_part{part}" if part > 1 else ""
        return os.path.join(self.camera(experiment, camera), f"{camera}_{experiment}{suffix}.zip")

    def archives(self, experiment: str, camera: str) -> list[str]:
        """List the camera's public archives, in order of their parts."""
        pattern = re.compile(re.escape(f"{camera}_{experiment}") + r"(?:_part(\d+))?\.zip")
        found = []
        for name in _names(self.camera(experiment, camera)):
            match = pattern.fullmatch(name)
            if match:
                found.append((int(match[1] or 1), os.path.join(self.camera(experiment, camera), name)))
        return [path for _unused, path in sorted(found)]

    def incoming(self, camera: str) -> str:
        """Return the directory where a camera's batches arrive."""
        return os.path.join(self.data_dir, ".incoming", camera)

    def locks(self) -> str:
        """Return the directory of locks."""
        return os.path.join(self.data_dir, ".locks")

    def is_there(self) -> bool:
        """Tell whether the data directory is there, and not only the place where its disk is to be mounted."""
        # Every start leaves this directory.
        return os.path.isdir(self.locks())

    def heartbeat(self) -> str:
        """Return the path of what the heartbeat thinks of each camera."""
        return os.path.join(self.data_dir, ".heartbeat.json")

    def experiments(self) -> list[str]:
        """List the directories that can be experiments, ``unclaimed`` among them."""
        return [
            name
            for name in _names(self.data_dir)
            if not name.startswith(".") and os.path.isdir(os.path.join(self.data_dir, name))
        ]


def _names(directory: str) -> list[str]:
    try:
        return sorted(os.listdir(directory))
    except (FileNotFoundError, NotADirectoryError):
        return []
