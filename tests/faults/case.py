# SPDX-License-Identifier: GPL-3.0-or-later
"""What is killed, and what must hold thereafter: a starting state, a module, and checks."""

from __future__ import annotations

import abc
from pathlib import Path
from typing import Any

from unit.support import Outcome, images, run_module

BEFORE = "2026-05-21"
OPENED, WINDOW_END = "2026-05-22T07:00:00+02:00", "2026-05-23T01:00:00+02:00"
FIRST, SECOND, LOOSE = images(3), images(3, start=10), images(3, start=20)
BOTH = {**FIRST, **SECOND}


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
