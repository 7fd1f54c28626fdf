# SPDX-License-Identifier: GPL-3.0-or-later
"""One message to one URL through apprise, or a look at what apprise makes of some URLs.

A process of its own, so that a delivery that hangs can be ended, and apprise takes memory only as long as there is
something to deliver. It is asked through its standard input, as nobody can see that; no URL is in anything it says.

    {"check": [URL, …]}                           answers with a list: [name of the service, recipients], or null
    {"url": …, "title": …, "body": …, "bad": …}   answers with "", or with what went wrong
"""

from __future__ import annotations

import json
import logging
import re
import sys
from typing import Any

NO_APPRISE = 3
"""The exit status where apprise is not installed."""


class Heard(logging.Handler):
    """Keeps the HTTP status that a service refused a message with; the rest of what apprise says may tell secrets."""

    status = ""

    def emit(self, record: logging.LogRecord) -> None:
        found = re.search(r"error=(\d{3})\b", record.getMessage())
        self.status = found[1] if found else self.status


def main() -> int:
    """Do what standard input asks for; return the exit status."""
    asked = json.load(sys.stdin)
    try:
        import apprise
    except ImportError:
        return NO_APPRISE
    heard = Heard(logging.WARNING)
    logger = logging.getLogger("apprise")
    logger.handlers, logger.propagate = [heard], False
    answer = check(apprise, asked["check"]) if "check" in asked else deliver(apprise, asked, heard)
    json.dump(answer, sys.stdout)
    return 0


def check(apprise: Any, urls: list[str]) -> list[tuple[str, int] | None]:
    """Return for each URL the name of its service and how many it goes to, None if it cannot be understood."""
    found = (apprise.Apprise.instantiate(url, suppress_exceptions=True) for url in urls)
    return [None if each is None else (str(each.service_name), len(each)) for each in found]


def deliver(apprise: Any, asked: dict[str, Any], heard: Heard) -> str:
    """Deliver a message; return what went wrong, empty if nothing did."""
    service = apprise.Apprise.instantiate(asked["url"], suppress_exceptions=True)
    if service is None:
        return "it cannot be understood"
    if service.overflow_mode == apprise.OverflowMode.UPSTREAM:
        # A message that is too long for a service would be refused, today and whenever it is tried again.
        service.overflow_mode = apprise.OverflowMode.SPLIT
    sender = apprise.Apprise()
    sender.add(service)
    kind = apprise.NotifyType.WARNING if asked["bad"] else apprise.NotifyType.SUCCESS
    # Whatever stands in it is text, and no markup.
    done = sender.notify(
        title=asked["title"], body=asked["body"], notify_type=kind, body_format=apprise.NotifyFormat.TEXT
    )
    if done:
        return ""
    return f"refused with HTTP {heard.status}" if heard.status else "not delivered"


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Exception as error:  # whatever it is: a traceback might show a URL
        json.dump(f"not delivered ({type(error).__name__})", sys.stdout)
        sys.exit(0)
