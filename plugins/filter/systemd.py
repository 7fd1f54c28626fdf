# SPDX-License-Identifier: GPL-3.0-or-later
"""A filter that writes words the way systemd reads them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any


def systemd_words(words: Iterable[object]) -> str:
    """Return `words` quoted for a line such as ``ExecStart=`` or ``Environment=`` of a unit file.

    Each word reaches the program as it is: no specifier (``%h``), variable (``$HOME``) or escape in it is expanded,
    see systemd.service(5), "Command lines". In ``Environment=`` a dollar sign is not special and must not be in a word.
    """
    return " ".join(_quoted(str(word)) for word in words)


def _quoted(word: str) -> str:
    plain = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$").replace("\n", "\\n")
    return plain if plain and not set(plain) & set(" \t'\"\\;") else f'"{plain}"'


class FilterModule:
    """The filters by name."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"systemd_words": systemd_words}
