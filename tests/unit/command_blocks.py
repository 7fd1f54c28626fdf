# SPDX-License-Identifier: GPL-3.0-or-later
"""The fenced blocks of the README and of all pages: commands, settings, and what their commands need to be run."""

from __future__ import annotations

import re
import shlex
import textwrap
from pathlib import Path
from typing import NamedTuple

from unit.support import ROOT

PAGES = [ROOT / "README.md", ROOT / "tests" / "README.md", *sorted((ROOT / "docs").glob("*.md"))]

NEEDS = {
    "network": {"apt", "pip", "ansible-galaxy", "git", "ansible-builder", "podman", "frictionless"},
    "hardware": {"ssh", "ssh-copy-id", "ssh-keygen", "nmcli", "reboot", "bash"},
    "station": {"systemctl", "journalctl", "mkdir", "cp"},
}
"""Programs that a unit test cannot run as they are documented, by what they need."""
CHECKED = {"ansible-playbook", "make"}
"""Programs that it can ask whether they would do as documented."""

_FENCE = re.compile(
    r"(?:^ *<!-- needs: (?P<needs>\S+) -->\n)?^(?P<indent> *)```(?P<language>\w*)\n(?P<text>.*?)^(?P=indent)```$",
    re.MULTILINE | re.DOTALL,
)
_BETWEEN_COMMANDS = {"&&", ";", "|", "do", "then"}


class Block(NamedTuple):
    """A fenced block of a page."""

    page: Path
    line: int
    language: str
    needs: str
    """The word of its mark: what it needs to be run; empty where there is no mark."""
    text: str

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"

    def commands(self) -> list[list[str]]:
        """Return its commands as words; `sudo` and variables that are set for one are left out."""
        found: list[list[str]] = [[]]
        # A comment or a line's end ends a command; a quoted text may have several lines.
        lexer = shlex.shlex(self.text.replace("\\\n", " "), posix=True, punctuation_chars="&;|\n")
        lexer.whitespace = " \t"
        lexer.commenters = ""
        comment = False
        for word in lexer:
            if set(word) <= set("&;|\n") or word in _BETWEEN_COMMANDS:
                comment = comment and "\n" not in word
                found.append([])
            elif word.startswith("#"):
                comment = True
            elif not comment and not (word == "sudo" and not found[-1]):
                found[-1].append(word)
        return [command for command in found if command]

    def programs(self) -> set[str]:
        """Return the programs that its commands call."""
        return {command[0] for command in self.commands()}


def blocks(*languages: str) -> list[Block]:
    """Return all blocks in one of `languages`, in the order of the pages."""
    found = []
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for match in _FENCE.finditer(text):
            if match["language"] in languages:
                line = text.count("\n", 0, match.start("language")) + 1
                found.append(Block(page, line, match["language"], match["needs"] or "", textwrap.dedent(match["text"])))
    return found


def shell_blocks() -> list[Block]:
    """Return all blocks of commands."""
    return blocks("console", "bash", "sh", "shell")
