# SPDX-License-Identifier: GPL-3.0-or-later
"""An experiment's report on the disk: what it is called, and how it is opened for somebody. Standard library only."""

from __future__ import annotations

import os
import stat
from typing import IO

from . import names
from .layout import Layout

NAME = "report.html"
"""In the experiment's directory."""


def opened(layout: Layout, experiment_id: str) -> IO[bytes] | None:
    """Open an experiment's report, None if there is none: a file of its own directory, reached over no link."""
    if not names.is_experiment(experiment_id):
        return None
    try:
        directory = os.open(
            layout.experiment(experiment_id), os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
        )
        try:
            # Not waiting: a pipe of that name would never be opened.
            report = os.open(NAME, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=directory)
        finally:
            os.close(directory)
    except OSError:
        return None
    if not stat.S_ISREG(os.fstat(report).st_mode):
        os.close(report)
        return None
    return os.fdopen(report, "rb")
