# SPDX-License-Identifier: GPL-3.0-or-later
"""The live page in a real browser, on a phone and on a desk: what a person sees in ten seconds is so.

What it looked like is left in build/screenshots/.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

axe = pytest.importorskip("axe_playwright_python.sync_playwright")

from ansible_collections.wildberryeye.orchestrator.plugins.module_utils import events, record  # noqa: E402
from ansible_collections.wildberryeye.orchestrator.plugins.module_utils.report_data import DEFAULTS  # noqa: E402
from ansible_collections.wildberryeye.orchestrator.plugins.plugin_utils import reporting  # noqa: E402
from lab.emulated import Lab, wait_for  # noqa: E402
from unit.browser import SCREENSHOTS, SIZES, shown  # noqa: E402
from unit.live_station import LiveStation, at  # noqa: E402
from unit.reported import ID, a_day  # noqa: E402
from unit.support import write_archive  # noqa: E402

TODAY = at()[:10]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A headless Chromium."""
    with shown("about:blank") as blank:
        yield blank.page.context.browser


@pytest.fixture(scope="module")
def cameras(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Lab]]:
    """Two emulated cameras that have taken a picture."""
    made = {}
    for name in ("object", "motion"):
        made[name] = Lab(tmp_path_factory.mktemp(name)).start(name)
        made[name].capture()
    yield made
    for each in made.values():
        each.end()


@pytest.fixture
def station(tmp_path: Path, cameras: dict[str, Lab]) -> Iterator[LiveStation]:
    """A station that has recorded for six hours, with a day or two before that; served."""
    found = LiveStation(tmp_path)
    found.knows({name: (name, camera.port) for name, camera in cameras.items()})
    for days in (1, 2):
        earlier = found.records(at(-86400 * days)[:10], *cameras, opened=-86400 * days, state=record.HOME)
        for each in earlier.cameras.values():
            each.archives = [{"name": "x.zip", "images": 12_345 * days, "bytes": 2_345_678_901 * days}]
        record.save(found.layout, earlier)
        found.report(earlier.id, b"<!doctype html><title>a report</title><h1>A report</h1>")
    found.records(TODAY, *cameras, opened=-6 * 3600)
    happened(found)
    for name in cameras:
        write_archive(Path(found.layout.together(TODAY, name)), detections(name))
        found.thinks(name, free=21_000_000_000, card={"most": 0, "seen": []})
    found.serve("--start", "00:00", "--stop", "00:00")
    yield found
    assert "Traceback" not in found.end()


def happened(station: LiveStation) -> None:
    """Let things have happened to the cameras today."""
    told: list[tuple[float, str, str | None, dict[str, Any]]] = [
        (-21_600, "opened", None, {}),
        (-21_580, "recording", "object", {}),
        (-21_578, "recording", "motion", {}),
        (-14_000, "wedged", "motion", {"text": "no answer within 15 s"}),
        (-13_990, "restarting", "motion", {"text": "no answer within 15 s"}),
        (
            -13_400,
            "gap",
            "motion",
            {"text": "records again after 12 min: no answer within 15 s", "from": at(-14_140), "to": at(-13_400)},
        ),
        (-3600, "receipt", "object", {"images": 1432, "bytes": 1}),
    ]
    with open(station.layout.events(TODAY), "a") as file:
        for seconds, event, camera, details in told:
            file.write(json.dumps({"at": at(seconds), "camera": camera, "event": event, **details}) + "\n")


def detections(camera: str) -> dict[str, bytes]:
    """Images of six hours, more about noon; none while the camera was wedged, and the last hour is not home."""
    import datetime as dt

    found, now = {}, dt.datetime.now()
    for number in range(900):
        ago = 21_500 - number * 20 - (number % 7) * 130
        if ago < 3700 or (camera == "motion" and 13_400 < ago < 14_140):
            continue
        taken = now - dt.timedelta(seconds=ago)
        found[f"{camera}_{taken:%Y%m%d-%H%M%S-%f}_wildberry01_root_CONF55_IOU65.jpg"] = b""
    return found


class Tab:
    """A tab of the browser, and what was complained of in it."""

    def __init__(self, browser: Any, size: str, scheme: str = "light", script: str = "") -> None:
        wide, high = SIZES[size]
        self.high = high
        self.context = browser.new_context(
            viewport={"width": wide, "height": high},
            color_scheme=scheme,
            device_scale_factor=2 if size == "phone" else 1,
            is_mobile=size == "phone",
            has_touch=size == "phone",
            reduced_motion="reduce",
        )
        self.page = self.context.new_page()
        self.complaints: list[str] = []
        self.asked: list[str] = []
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("dialog", lambda dialog: self.complaints.append(f"dialog: {dialog.message}"))
        self.page.on("request", lambda request: self.asked.append(request.url))
        if script:
            self.page.add_init_script(script)

    def open(self, url: str) -> Any:
        self.page.goto(url)
        self.page.wait_for_selector("#verdict[data-level]:not([data-level=idle]), .camera, td")
        return self.page

    def keep(self, name: str) -> None:
        """Keep a picture of the whole page."""
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=SCREENSHOTS / f"live-page-{name}.png", full_page=True)

    def assert_readable(self) -> None:
        """Nobody is kept from reading it, and nobody has to move it sideways."""
        found = axe.Axe().run(self.page)
        assert found.violations_count == 0, found.generate_report()
        assert self.page.evaluate("document.documentElement.scrollWidth <= innerWidth")

    def questions(self) -> int:
        return sum(url.endswith("/state.json") for url in self.asked)


@pytest.fixture
def tab(browser: Any) -> Iterator[Any]:
    """Opens tabs; none of them may have complained of anything."""
    opened: list[Tab] = []

    def make(size: str = "phone", scheme: str = "light", script: str = "") -> Tab:
        opened.append(Tab(browser, size, scheme, script))
        return opened[-1]

    yield make
    for each in opened:
        each.context.close()
        assert each.complaints == []


def lasting(page: Any, text: str, seconds: float = 20) -> None:
    """Wait until the page shows this text."""
    page.get_by_text(text).first.wait_for(timeout=seconds * 1000)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", SIZES)
def test_at_a_glance_all_is_well_and_everybody_can_read_it(
    station: LiveStation, tab: Any, size: str, scheme: str
) -> None:
    here = tab(size, scheme)
    page = here.open(station.url)
    page.wait_for_selector(".camera:nth-child(2) img", timeout=15_000)
    page.wait_for_selector("#time-line .row", timeout=20_000)
    page.wait_for_function("[...document.images].every((image) => image.complete && image.naturalWidth)")
    assert page.locator("h1").inner_text() == "All is well"
    assert page.locator(".camera .state").all_inner_texts()[0].startswith("recording")
    # Before anybody scrolls: how all is, and how each camera is.
    for part in ("#verdict", ".camera:nth-child(1)", ".camera:nth-child(2)"):
        box = page.locator(part).bounding_box()
        assert box["y"] + box["height"] <= here.high, f"{part} is below the fold"
    here.assert_readable()
    assert all(url.startswith(station.url) for url in here.asked), "it asks for something elsewhere"
    here.keep(f"well-{size}-{scheme}")


@pytest.mark.parametrize("size", SIZES)
def test_a_camera_that_fails_is_said_without_a_touch(station: LiveStation, tab: Any, size: str) -> None:
    here = tab(size)
    page = here.open(station.url)
    page.wait_for_selector(".camera img", timeout=15_000)
    station.thinks("motion", "unreachable", text="no connection within 10 s; by SSH: No route to host", since=at(-60))
    lasting(page, "motion: out of reach")
    card = page.locator("#camera-motion")
    assert "out of reach" in card.inner_text() and "No route to host" in card.inner_text()
    assert page.title().startswith("✕ motion: out of reach")
    assert page.locator(".camera").first.get_attribute("id") == "camera-motion", "trouble comes first"
    here.assert_readable()
    here.keep(f"trouble-{size}")
    station.thinks("motion")
    lasting(page, "All is well")


def test_a_station_that_is_away_is_said_with_the_age_of_what_is_shown(station: LiveStation, tab: Any) -> None:
    here = tab()
    page = here.open(station.url)
    port = station.url.rstrip("/").rpartition(":")[2]
    page.wait_for_selector(".camera img", timeout=15_000)
    station.end()
    lasting(page, "The station does not answer", 40)
    assert "What you see here is how it was at " in page.locator("#verdict").inner_text()
    assert "“All is well”" in page.locator("#verdict").inner_text() and page.title().startswith("! The station")
    assert page.locator("#fresh").inner_text().endswith("s ago") and page.locator(".camera").count() == 2
    here.assert_readable()
    here.keep("away-phone")
    station.serve("--port", port)
    page.get_by_role("heading", name="All is well").wait_for(timeout=20_000)
    # The browser itself tells of each question that nobody answered.
    here.complaints = [line for line in here.complaints if "ERR_CONNECTION_REFUSED" not in line]


def test_nothing_is_read_out_again_and_nothing_flickers_while_nothing_changes(station: LiveStation, tab: Any) -> None:
    here = tab()
    page = here.open(station.url)
    page.wait_for_selector("#time-line .row", timeout=20_000)
    page.wait_for_selector(".camera:nth-child(2) img", timeout=15_000)
    page.evaluate("""() => {
        window.changes = [];
        const watch = (id) => new MutationObserver(() => window.changes.push(id))
            .observe(document.getElementById(id), {childList: true, subtree: true, characterData: true});
        ["verdict", "experiments", "time-line"].forEach(watch);
        document.querySelectorAll(".camera").forEach((each) => { each.known = true; });
    }""")
    before, age = here.questions(), page.locator("#camera-object dd").first.inner_text()
    wait_for(lambda: page.wait_for_timeout(200) or here.questions() >= before + 2, 20)
    assert page.evaluate("window.changes") == []
    assert page.evaluate("[...document.querySelectorAll('.camera')].every((each) => each.known)")
    assert page.locator("#camera-object dd").first.inner_text() != age, "ages go on"


def test_nobody_is_asked_while_nobody_looks(station: LiveStation, tab: Any) -> None:
    here = tab(script="Object.defineProperty(document, 'hidden', {get: () => window.covered ?? false})")
    page = here.open(station.url)
    page.evaluate("window.covered = true")
    page.wait_for_timeout(500)
    before = here.questions()
    page.wait_for_timeout(6000)  # longer than from one question to the next
    assert here.questions() == before
    page.evaluate("window.covered = false; document.dispatchEvent(new Event('visibilitychange'))")
    wait_for(lambda: page.wait_for_timeout(100) or here.questions() > before, 3)


def test_a_phone_whose_clock_is_wrong_shows_the_same_ages(station: LiveStation, tab: Any) -> None:
    # Of a Date, only what the station said may count.
    script = "const real = Date.now; Date.now = () => real() + 5 * 365 * 86400e3"
    page = tab(script=script).open(station.url)
    page.wait_for_selector(".camera dd")
    ages = page.locator("[data-at]").all_inner_texts()
    assert ages and all(" s ago" in age for age in ages), ages


NASTY = "<img src=x onerror=alert(1)>\"'&amp;{{7*7}}"


def test_hostile_words_are_shown_as_text(station: LiveStation, tab: Any) -> None:
    path = Path(station.layout.record(TODAY))
    content = json.loads(path.read_text())
    content["cameras"][NASTY] = dict(content["cameras"]["object"])
    path.write_text(json.dumps(content))
    station.thinks(NASTY, "</script><script>alert(2)</script>", text=f"{NASTY} \u202e\x1b[31m")
    station.thinks("object", "down", text=NASTY)
    events.append(station.layout.events(TODAY), f"{NASTY}", NASTY, text=NASTY)
    station.records("<b>bold<b>", "object", opened=-99_999, state=record.HOME)
    (station.data / "<svg onload=alert(3)>").mkdir()
    (station.data / "<svg onload=alert(3)>" / "experiment.json").write_text("{")
    here = tab()
    page = here.open(station.url)
    page.wait_for_selector("#time-line .row", timeout=20_000)
    text = page.locator("main").inner_text()
    assert NASTY in text and "<b>bold<b>" in text and "<svg onload=alert(3)>" in text
    assert page.locator("b, main script, img[onerror], svg[onload]").count() == 0
    here.assert_readable()
    here.keep("hostile-phone")


@pytest.mark.parametrize("size", SIZES)
def test_forty_cameras_fit_and_the_one_in_trouble_is_the_first(tmp_path: Path, tab: Any, size: str) -> None:
    names = [f"camera{number:02}" for number in range(40)]
    many = LiveStation(tmp_path)
    many.knows(dict.fromkeys(names, ("object", 9)))
    many.records(TODAY, *names)
    for name in names:
        many.thinks(name, "wedged" if name == "camera33" else "recording", text="")
    try:
        here = tab(size)
        page = here.open(many.serve())
        lasting(page, "camera33: does not answer")
        assert page.locator(".camera").count() == 40
        assert page.locator(".camera").first.get_attribute("id") == "camera-camera33"
        here.assert_readable()
        here.keep(f"forty-{size}")
    finally:
        many.end()


def test_a_report_opens_from_the_list(station: LiveStation, tab: Any) -> None:
    here = tab()
    page = here.open(station.url)
    page.get_by_role("link", name=at(-86400)[:10]).click()
    lasting(page, "A report")


def test_a_real_report_draws_its_plot_in_the_cage_that_it_is_served_in(tmp_path: Path, tab: Any) -> None:
    station = LiveStation(tmp_path)
    station.layout = a_day(tmp_path / "day", hours=2).write()
    station.data = Path(station.layout.data_dir)
    assert not reporting.write(station.layout, ID, DEFAULTS, check=False).problem
    try:
        page = tab().open(station.serve())
        page.get_by_role("link", name=ID).click()
        page.wait_for_selector("#plot[data-drawn]", timeout=20_000)
        page.wait_for_function("[...document.images].every((image) => image.complete && image.naturalWidth)")
        # Not the page's own origin: it could read nothing of it.
        assert page.evaluate("origin") == "null"
    finally:
        station.end()


def test_at_night_it_says_when_it_goes_on(tmp_path: Path, tab: Any) -> None:
    night = LiveStation(tmp_path)
    night.knows({"object": ("object", 9)})
    night.records("2026-05-21", "object", opened=-86_400, state=record.HOME)
    soon = time.strftime("%H:%M", time.localtime(time.time() + 7200))
    later = time.strftime("%H:%M", time.localtime(time.time() + 10_800))
    try:
        here = tab()
        page = here.open(night.serve("--start", soon, "--stop", later))
        lasting(page, f"The next experiment begins at {soon}.")
        assert "at rest" in page.locator(".camera").inner_text()
        here.keep("night-phone")
    finally:
        night.end()
