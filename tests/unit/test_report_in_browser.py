# SPDX-License-Identifier: GPL-3.0-or-later
"""The report as people see it: in a browser, on a phone and on a desktop, without a network."""

from __future__ import annotations

import datetime as dt
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from ansible_collections.wildberryeye.orchestrator.plugins.module_utils.layout import Layout
from ansible_collections.wildberryeye.orchestrator.plugins.module_utils.report_data import DEFAULTS
from ansible_collections.wildberryeye.orchestrator.plugins.plugin_utils import reporting
from unit.browser import Shown, shown
from unit.reported import ID, Made, a_day, jpeg, name

pytest.importorskip("playwright.sync_api")


@pytest.fixture(scope="module")
def layout(tmp_path_factory: pytest.TempPathFactory) -> Layout:
    return a_day(tmp_path_factory.mktemp("day"), hours=6).write()


def written(layout: Layout, experiment: str = ID) -> str:
    found = reporting.write(layout, experiment, DEFAULTS, check=False)
    assert not found.problem, found
    return Path(found.path).as_uri()


@pytest.fixture(scope="module")
def report(layout: Layout) -> str:
    return written(layout)


@pytest.fixture(params=["phone", "desktop"])
def seen(report: str, request: pytest.FixtureRequest) -> Iterator[Shown]:
    with shown(report, request.param, offline=True) as found:
        found.page.wait_for_selector("#plot[data-drawn]")
        yield found
        found.keep(f"report-{request.param}")


def test_it_draws_without_a_network_and_asks_for_nothing(seen: Shown, report: str) -> None:
    bars = seen.page.eval_on_selector_all("#plot svg path", "all => all.length")
    assert bars > 100 and seen.said == [] and seen.asked == [report]
    assert seen.page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "it must not scroll sideways"


def test_nobody_is_kept_from_reading_it(seen: Shown) -> None:
    assert seen.barriers() == []


def test_nobody_is_kept_from_reading_it_in_the_dark(report: str) -> None:
    with shown(report, "phone", "dark") as seen:
        seen.page.wait_for_selector("#plot[data-drawn]")
        assert seen.barriers() == []
        seen.keep("report-phone-dark")


def test_whether_all_is_well_is_on_a_phones_first_screen(report: str) -> None:
    with shown(report, "phone") as seen:
        assert "home and proven" in seen.page.inner_text(".verdict")
        cards = seen.page.locator(".card")
        assert cards.count() == 2 and cards.nth(1).bounding_box()["y"] < 844 - 100


def test_the_plot_shows_the_orchestrators_time_wherever_the_phone_is_set_to(seen: Shown) -> None:
    labels = seen.page.eval_on_selector_all("#plot svg text", "all => all.map(each => each.textContent)")
    hours = {label for label in labels if re.fullmatch(r"\d\d:\d\d", label)}
    assert (
        {"08:00", "10:00", "12:00"}
        <= hours
        <= {f"{hour:02}:{minute}" for hour in range(7, 14) for minute in ("00", "30")}
    )


def test_a_closer_look_shows_shorter_times(report: str) -> None:
    with shown(report) as seen:
        seen.page.wait_for_selector("#plot[data-drawn]")
        whole = seen.page.text_content("#plot svg text:has-text('images in')")
        zoom = "echarts.getInstanceByDom(plot).dispatchAction({type: 'dataZoom', start: 40, end: 45})"
        seen.page.evaluate(zoom)
        seen.page.wait_for_function(f"() => !document.querySelector('#plot').textContent.includes({whole!r})")
        seen.keep("report-desktop-zoomed")
        assert seen.said == []


def test_names_and_words_from_outside_are_text(tmp_path: Path) -> None:
    evil = "<img src=x onerror=alert(1)>"
    made = Made(tmp_path / "data", 1)
    images = [(name("object", made.ended - dt.timedelta(seconds=number)), jpeg(1)) for number in range(5)]
    made.camera("object", "object", images)
    made.camera(evil, "object", [])
    made.camera("</script><script>alert(2)</script>", "motion", [])
    made.event(made.ended - dt.timedelta(minutes=30), "down", "object", text=f"</td>{evil}{{{{ 7 * 7 }}}}")
    with shown(written(made.write()), "phone") as seen:
        seen.page.wait_for_selector("#plot[data-drawn]")
        assert seen.page.locator("img[src=x]").count() == 0 and seen.said == [] and len(seen.asked) == 1
        assert evil in seen.page.inner_text(".cards") and "{{ 7 * 7 }}" in seen.page.text_content("body")
        seen.page.locator("#plot").hover()
        assert seen.page.locator("#plot img").count() == 0
        seen.keep("report-hostile")


def test_an_experiment_without_anything_in_it_is_shown_as_such(tmp_path: Path) -> None:
    made = Made(tmp_path / "data", 1)
    made.camera("object", "object", [])
    with shown(written(made.write()), "phone") as seen:
        seen.page.wait_for_selector("#plot[data-drawn]")
        assert "no image was taken" in seen.page.inner_text(".verdict").lower()
        assert seen.said == [] and seen.barriers() == []
        seen.keep("report-empty")


def test_forty_cameras_are_shown(tmp_path: Path) -> None:
    made = Made(tmp_path / "data", 2)
    picture = jpeg(1)
    for number in range(40):
        times = [made.ended - dt.timedelta(seconds=90 * each + number) for each in range(60)]
        made.camera(f"camera-{number:02}", "object", [(name("object", each), picture) for each in times])
    with shown(written(made.write())) as seen:
        seen.page.wait_for_selector("#plot[data-drawn]")
        assert seen.page.locator(".card").count() == 40 and seen.said == []
        seen.keep("report-forty")


# -- counted again, by other means -----------------------------------------------------------------------------------


def counted(layout: Layout, camera: str, ahead: float) -> tuple[int, int, int, int]:
    """Images, bytes, visits and single detections of a camera, from its archives alone."""
    times, images, size = [], 0, 0
    for path in Path(layout.data_dir, ID, camera).glob("*.zip"):
        with zipfile.ZipFile(path) as archive:
            for member in archive.infolist():
                if not member.filename.endswith(".jpg"):
                    continue
                images += 1
                size += member.file_size
                kind, shown_at = member.filename.split("_")[:2]
                if kind != "manual":
                    times.append(dt.datetime.strptime(shown_at, "%Y%m%d-%H%M%S-%f") - dt.timedelta(seconds=ahead))
    runs: list[list[dt.datetime]] = []
    for each in sorted(times):
        if runs and (each - runs[-1][-1]).total_seconds() <= 30:
            runs[-1].append(each)
        else:
            runs.append([each])
    return images, size, sum(len(run) > 1 for run in runs), sum(len(run) == 1 for run in runs)


def test_the_numbers_in_the_page_are_those_in_the_archives(layout: Layout, report: str) -> None:
    with shown(report) as seen:
        for camera, ahead in (("object", 0.2), ("motion", -73.5)):
            images, size, visits, singles = counted(layout, camera, ahead)
            row = seen.page.locator("[aria-label='Visits of each camera'] tr", has_text=camera).inner_text().split()
            assert [int(row[1]), int(row[-1])] == [visits, singles]
            row = seen.page.locator("[aria-label='Images and receipts'] tr", has_text=camera).first.inner_text()
            assert row.split()[1] == f"{images:,}"
            assert f"{images:,} images, {size:,} bytes" in seen.page.inner_text(
                f".archives li:has-text('{camera}_{ID}')"
            )
            card = seen.page.locator(".card", has_text=camera).inner_text()
            assert f"{visits}\nvisits" in card.replace("\n\n", "\n") and f"{images:,}\nimages" in card.replace(
                "\n\n", "\n"
            )
