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
from e2e.watching import HEARTBEAT, INTERVAL, detects_after, holes, probes, told
from lab import Camera, wait_until
from unit.browser import shown

pytestmark = pytest.mark.ci

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
    path, experiment = on_disk(station), station.experiments()[0]
    written = path.read_bytes()
    path.unlink()
    run = station.play("report", "-e", f"wildberryeye_experiment={experiment}")
    # Closed: it says the same whenever it is written, and is left alone where it says so already.
    assert f"/{experiment}/report.html" in run.text and "wrote " in run.text and path.read_bytes() == written
    before = path.stat().st_mtime_ns
    again = station.play("report", "-e", f"wildberryeye_experiment={experiment}")
    assert "up to date" in again.text and path.stat().st_mtime_ns == before


def test_a_report_that_cannot_be_written_is_a_line_and_costs_no_image(station: Station) -> None:
    station.play("start")
    station.wait_for_images()
    (directory,) = station.data.glob("*/experiment.json")
    (directory.parent / "report.html").mkdir()
    (directory.parent / "report.html" / "in the way").touch()
    run = station.play("stop")
    assert "report: NOT written: " in run.text.splitlines()[-1] and "Traceback" not in run.text
    station.assert_all_home()


def without_detection(camera: Camera) -> list[tuple[float, float]]:
    """Return when detection was off, after it began and before it ended for good."""
    found: list[tuple[float, float]] = []
    off = None
    began = False
    for line in camera.detecting():
        at = float(str(line["at"]))
        if line["detecting"]:
            if off is not None and began:
                found.append((off, at))
            off, began = None, True
        elif off is None:
            off = at
    return found


def test_the_gaps_in_the_report_are_those_that_the_cameras_had(station: Station) -> None:
    station.orchestrator.write_inventory(HEARTBEAT)
    motion, object_ = station.cameras["motion"], station.cameras["object"]
    # A card of its own from the beginning, so that all that is on it comes home.
    object_.stop_service()
    object_.mount_small_disk(object_.image_dir, size="400m")
    station.play("start")
    station.wait_for_images(more=2)
    wait_until(lambda: all(probes(camera) for camera in station.cameras.values()), "both are probed", 20)

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

    # Something else takes what the card has left, but for a last image.
    script = 'dd if=/dev/zero of="$1/.other" bs=64k 2>/dev/null; truncate -s -128K "$1/.other"'
    object_.exec("sh", "-c", script, "sh", object_.image_dir)
    wait_until(lambda: bool(told(station, "object", "storage")), "its card counts as full", 60)
    freed = time.time()

    def stored() -> int:
        return sum(line["event"] == "end" and float(str(line["at"])) > freed + 1 for line in object_.written())

    wait_until(lambda: stored() > 20, "it records on", 60)
    station.wait_for_images(more=20)
    station.play("stop")
    object_.exec("rm", f"{object_.image_dir}/.other")
    station.assert_all_home()

    text = on_disk(station).read_text()
    for name, camera in station.cameras.items():
        (first, *later) = gaps(text, name)
        began = next(float(str(line["at"])) for line in camera.detecting() if line["detecting"])
        assert first[0] == "not recording" and abs(first[2] - began) <= SLACK
        assert not any(state == "unknown" for state, _, _ in later)
        missed = [(begin, end) for _, begin, end in later]
        # Off, or on and storing nothing.
        true = sorted({*without_detection(camera), *holes(camera, 2.5)})
        assert len(true) >= {"motion": 1, "object": 2}[name]
        for begin, end in true:
            near = [gap for gap in missed if abs(gap[0] - begin) <= SLACK and abs(gap[1] - end) <= SLACK]
            assert near, f"{name} did not record from {begin} to {end}; the report says {missed}"
        for begin, end in missed:
            near = [one for one in true if abs(begin - one[0]) <= SLACK and abs(end - one[1]) <= SLACK]
            assert near, f"the report says that {name} did not record from {begin} to {end}; in truth {true}"
    for size in ("phone", "desktop"):
        with shown(on_disk(station).as_uri(), size, offline=True) as seen:
            seen.page.wait_for_selector("#plot[data-drawn]")
            assert seen.said == [] and seen.barriers() == []
            seen.keep(f"report-lab-{size}")


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
