# SPDX-License-Identifier: GPL-3.0-or-later
"""Asks deliver.py, which knows apprise, and gives it no more time than it may take. No URL is in any error."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Sequence
from typing import Any, NamedTuple

from .errors import Error, one_line

TIMEOUT = 60.0
"""Seconds for one message."""
_NO_APPRISE = 3
ADVICE = "run 'pip install -r requirements.txt' with it, then setup.yml"


class NoApprise(Error):
    """apprise is not installed in this Python."""

    def __init__(self) -> None:
        super().__init__("send alerts", f"apprise is not installed in {sys.executable}", f"To have it, {ADVICE}")


class Service(NamedTuple):
    """What apprise makes of a URL."""

    name: str
    """As ``ntfy``."""
    recipients: int
    """How many a message goes to. With more than one, nobody knows who of them has got it."""


def services(script: str, urls: Sequence[str]) -> list[Service | None]:
    """Return what each URL stands for; None if apprise cannot understand it.

    Args:
        script: the path of deliver.py.
        urls: the URLs.

    Raises:
        Error: if apprise is not there, or does not answer.
    """
    answer = _ask(script, {"check": list(urls)}, TIMEOUT)
    if not isinstance(answer, list) or len(answer) != len(urls):
        raise Error("ask apprise about wildberryeye_notify_urls", one_line(str(answer), 60))
    return [None if each is None else Service(one_line(str(each[0]), 40), int(each[1])) for each in answer]


def deliver(script: str, url: str, title: str, body: str, bad: bool, timeout: float = TIMEOUT) -> str:
    """Deliver a message; return what went wrong in a few words, empty if nothing did.

    Args:
        script: the path of deliver.py.
        url: where it goes.
        title, body: the message.
        bad: whether it is about trouble.
        timeout: seconds after which the attempt is ended.

    Raises:
        NoApprise: if apprise is not there.
    """
    try:
        return str(_ask(script, {"url": url, "title": title, "body": body, "bad": bad}, timeout))
    except NoApprise:
        raise
    except Error as error:
        return error.came_back


def name(urls: Sequence[str], number: int) -> str:
    """Return what a URL is called where people may see it: which one it is, and its kind, which is no secret."""
    scheme, separator, _unused = urls[number].partition("://")
    kind = f" ({scheme}://…)" if separator and re.fullmatch(r"[a-z][a-z0-9]{1,15}", scheme) else ""
    return f"wildberryeye_notify_urls, number {number + 1}{kind}"


def _ask(script: str, asked: dict[str, Any], timeout: float) -> Any:
    tried = "send alerts"
    try:
        done = subprocess.run(
            [sys.executable, script],
            input=json.dumps(asked),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            timeout=timeout,
            check=False,
        )
    except subprocess.TimeoutExpired:
        # Not from the error: it holds what was asked.
        raise Error(tried, f"no answer within {timeout:.0f} s") from None
    except OSError as error:
        raise Error(tried, error.strerror or str(error)) from None
    if done.returncode == _NO_APPRISE:
        raise NoApprise
    try:
        return json.loads(done.stdout)
    except ValueError:
        raise Error(tried, f"it ended with status {done.returncode}, and without a word") from None
