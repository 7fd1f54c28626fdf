# SPDX-License-Identifier: GPL-3.0-or-later
"""The report of an experiment in which a camera was rebooted, one was wedged, and a card was full."""

from __future__ import annotations

import datetime as dt
import itertools
import re
import time
from pathlib import Path

import pytest

from e2e.station import Run, Station
from e2e.test_heartbeat import HEARTBEAT, INTERVAL, detects_after, holes, probes, told
from lab import wait_until
from unit.browser import shown

SLACK = INTERVAL + 1  # times are told to the second


def report_of(run: Run) -> Path:
    """The report that a run names at its end."""
    (path,) = re.findall(r"^report: (.*/report\.html)$", run.text, re.MULTILINE)
    return Path(path)


def on_disk(station: Station) -> Path:
    (path,) = station.data.glob("*/report.html")
    return path


def gaps(text: str, camera: str) -> list[tuple[str, float, float]]:
    """The gaps of a camera in the page: state, begin, end."""
    (section,) = re.findall(rf"<h3>{camera}</h3>\n(?:(?!<h3>).)*?</section>|<h3>{camera}</h3>\n.*?(?=<h3>)", text, re.S)
    rows = re.findall(r'<tr data-state="([^"]+)" data-begin="([^"]+)" data-end="([^"]+)">', section)
    return [
        (state, dt.datetime.fromisoformat(begin).timestamp(), dt.datetime.fromisoformat(end).timestamp())
        for state, begin, end in rows
    ]


def test_a_stop_and_a_collection_name_the_report_that_they_wrote(station: Station) -> None:
    station.play("start")
    station.wait_for_images()
    for name in ("collect", "stop"):
        run = station.play(name)
        assert report_of(run).name == "report.html" and run.text.rstrip().endswith(str(report_of(run)))
        text = on_disk(station).read_text()
        assert "object" in text and ("All is well" in text or name == "collect"), text[:3000]
    before = on_disk(station).stat().st_mtime_ns
    station.play("report", "-e", f"wildberryeye_experiment={station.experiments()[0]}")
    assert on_disk(station).stat().st_mtime_ns > before


def test_a_report_that_cannot_be_written_is_a_line_and_costs_no_image(station: Station) -> None:
    station.play("start")
    station.wait_for_images()
    (directory,) = station.data.glob("*/experiment.json")
    (directory.parent / "report.html").mkdir()
    (directory.parent / "report.html" / "in the way").touch()
    run = station.play("stop")
    assert "report: NOT written: " in run.text.splitlines()[-1] and "Traceback" not in run.text
    station.assert_all_home()


@pytest.mark.slow
def test_the_gaps_in_the_report_are_those_that_the_cameras_had(station: Station) -> None:
    station.orchestrator.write_inventory(HEARTBEAT)
    station.play("start")
    station.wait_for_images(more=2)
    wait_until(lambda: all(probes(camera) for camera in station.cameras.values()), "both are probed", 20)
    motion, object_ = station.cameras["motion"], station.cameras["object"]

    rebooted = time.time()
    motion.reboot()
    motion.wait_port()
    wait_until(detects_after(motion, rebooted), "motion detects again", INTERVAL + 4)
    wait_until(lambda: bool(told(station, "motion", "gap")), "the gap is told", 10)

    hung = time.time()
    object_.faults(capture="hang", cured_by_restart=True)
    wait_until(detects_after(object_, hung), "object detects again", 60)
    wait_until(lambda: bool(told(station, "object", "gap")), "the gap is told", 10)
    station.wait_for_images(more=20)

    object_.mount_small_disk(object_.image_dir, size="4m")
    wait_until(lambda: bool(told(station, "object", "storage")), "its card counts as full", 60)
    freed = time.time()

    def stored() -> int:
        return sum(line["event"] == "end" and float(str(line["at"])) > freed + 1 for line in object_.written())

    wait_until(lambda: stored() > 20, "it records on", 60)
    station.wait_for_images(more=20)
    station.play("stop", status=0)

    text = on_disk(station).read_text()
    for name, camera in station.cameras.items():
        missed = [(begin, end) for state, begin, end in gaps(text, name)[1:] if state == "not recording"]
        for begin, end in holes(camera, 2.5):
            near = [gap for gap in missed if abs(gap[0] - begin) <= SLACK and abs(gap[1] - end) <= SLACK]
            assert near, f"{name} wrote nothing from {begin} to {end}; the report says {missed}"
        some = holes(camera, 0.5)
        for begin, end in missed:
            assert any(abs(begin - one) <= SLACK and abs(end - two) <= SLACK for one, two in some), (
                name,
                begin,
                end,
                some,
            )
        first = gaps(text, name)[0]
        began = next(float(str(line["at"])) for line in camera.detecting() if line["detecting"])
        assert first[0] == "not recording" and abs(first[2] - began) <= SLACK
        assert not any(state == "unknown" for state, _, _ in gaps(text, name))
    for size in ("phone", "desktop"):
        with shown(on_disk(station).as_uri(), size, offline=True) as seen:
            seen.page.wait_for_selector("#plot[data-drawn]")
            assert seen.said == [] and seen.barriers() == []
            seen.keep(f"report-lab-{size}")


@pytest.mark.slow
def test_time_without_a_heartbeat_is_unknown_in_the_report(station: Station) -> None:
    station.orchestrator.write_inventory(HEARTBEAT)
    station.play("start")
    station.wait_for_images(more=2)
    wait_until(lambda: all(probes(camera) for camera in station.cameras.values()), "both are probed", 20)
    for camera in station.cameras.values():
        # Nothing comes by, so that no image proves that it recorded.
        camera.settings(detect_limit=1)
        camera.restart_service()
    wait_until(lambda: all(told(station, name, "gap") for name in station.cameras), "both detect again", 30)
    gone = time.time()
    station.orchestrator.exec(
        "systemctl", "--user", "kill", "-s", "KILL", "wildberryeye_heartbeat.service", user="decim"
    )
    station.orchestrator.exec(
        "systemctl", "--user", "stop", "wildberryeye_heartbeat.service", user="decim", check=False
    )
    time.sleep(4 * INTERVAL)
    station.play("stop")
    text = on_disk(station).read_text()
    for name in station.cameras:
        (unknown,) = [(begin, end) for state, begin, end in gaps(text, name) if state == "unknown"]
        assert abs(unknown[0] - gone) <= 2 * SLACK and unknown[1] - unknown[0] >= 2 * INTERVAL
        assert all(one[2] <= two[1] for one, two in itertools.pairwise(gaps(text, name)))
