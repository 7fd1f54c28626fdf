# SPDX-License-Identifier: GPL-3.0-or-later
"""Pages in a real browser: Debian's Chromium, without a window and without a network."""

from __future__ import annotations

import atexit
import contextlib
import functools
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from unit.support import ROOT

SCREENSHOTS = ROOT / "build" / "screenshots"
SIZES = {"phone": (390, 844), "desktop": (1280, 800)}


class Shown(NamedTuple):
    """A page as somebody sees it."""

    page: Any
    """The page, of Playwright."""
    said: list[str]
    """What the page wrote to the console, and errors that nothing caught."""
    asked: list[str]
    """Addresses that it asked for, its own first."""

    def keep(self, name: str) -> Path:
        """Keep a screenshot of the whole page under `build/screenshots`; return its path."""
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        path = SCREENSHOTS / f"{name}.png"
        self.page.screenshot(path=path, full_page=True)
        return path

    def barriers(self) -> list[str]:
        """Return what axe finds that keeps some people from using the page, all of it unfolded."""
        from axe_playwright_python.sync_playwright import Axe

        self.page.evaluate("document.querySelectorAll('details').forEach(each => each.open = true)")
        found = Axe().run(self.page)
        return [
            f"{each['id']}: {node['html'][:200]}" for each in found.response["violations"] for node in each["nodes"]
        ]


@contextlib.contextmanager
def shown(url: str, size: str = "desktop", scheme: str = "light", offline: bool = False) -> Iterator[Shown]:
    """Open a page.

    Args:
        url: its address.
        size: ``phone`` or ``desktop``.
        scheme: ``light`` or ``dark``, as the device is set.
        offline: whether there is no network at all.
    """
    width, height = SIZES[size]
    context = _browser().new_context(
        viewport={"width": width, "height": height},
        has_touch=size == "phone",
        is_mobile=size == "phone",
        color_scheme="dark" if scheme == "dark" else "light",
        reduced_motion="reduce",
        timezone_id="Pacific/Auckland",
        offline=offline,
        # For axe, which the tests bring in; what the page asks for is seen all the same.
        bypass_csp=True,
    )
    page = context.new_page()
    found = Shown(page, [], [])
    page.on("console", lambda message: found.said.append(f"{message.type}: {message.text}"))
    page.on("pageerror", lambda error: found.said.append(str(error)))
    page.on("request", lambda request: found.asked.append(request.url))
    try:
        page.goto(url)
        yield found
    finally:
        context.close()


@functools.cache
def _browser() -> Any:
    """One for all tests of this process: starting it takes seconds."""
    from playwright.sync_api import sync_playwright

    chromium = shutil.which("chromium")
    assert chromium is not None, "chromium is not installed: run 'make setup'"
    tool = sync_playwright().start()
    atexit.register(tool.stop)
    # As root, which containers are, it refuses to run in a sandbox of its own.
    return tool.chromium.launch(executable_path=chromium, args=["--no-sandbox"] if os.geteuid() == 0 else [])
