# SPDX-License-Identifier: GPL-3.0-or-later
"""The report: what it says is so, whatever state the files are in, and nothing hangs on it."""

from __future__ import annotations

import builtins
import datetime as dt
import hashlib
import io
import json
import os
import re
import subprocess
import sys
import time
import zipfile
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from ansible_collections.wildberryeye.orchestrator.plugins.action.report import ActionModule
from ansible_collections.wildberryeye.orchestrator.plugins.module_utils import report_data, verdict
from ansible_collections.wildberryeye.orchestrator.plugins.module_utils.layout import Layout
from ansible_collections.wildberryeye.orchestrator.plugins.module_utils.report_data import DEFAULTS, Experiment, gather
from ansible_collections.wildberryeye.orchestrator.plugins.plugin_utils import reporting, thumbnails
from lab.emulated import wait_for
from unit.acting import action_for
from unit.reported import ID, OPENED, Made, a_day, jpeg, name, pack
from unit.support import ROOT

MINUTE = dt.timedelta(minutes=1)


def burst(kind: str, minute: float, count: int = 3, picture: bytes = b"") -> list[tuple[str, bytes]]:
    begin = OPENED + minute * MINUTE
    content = picture or jpeg(1, 64, 48)
    return [(name(kind, begin + dt.timedelta(seconds=number)), content) for number in range(count)]


def an_hour(path: Path) -> Made:
    """Two cameras, an hour, two visits that both saw and one each that one saw."""
    made = Made(path / "data", 1)
    for camera, alone in (("object", 40), ("motion", 50)):
        made.camera(camera, camera, [image for at in (10, 20, alone) for image in burst(camera, at)])
    return made


def page(layout: Layout, experiment: str = ID) -> str:
    found = reporting.write(layout, experiment, DEFAULTS, check=False)
    assert found.problem == "", found
    return Path(found.path).read_text()


def plotted(text: str) -> dict[str, Any]:
    (found,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', text)
    return dict(json.loads(found))


def said(layout: Layout) -> verdict.Verdict:
    return verdict.of_all(gather(layout, ID))


# -- what it says --------------------------------------------------------------------------------------------------


def test_a_good_hour_is_called_so(tmp_path: Path) -> None:
    layout = an_hour(tmp_path).write()
    assert said(layout) == (
        "well",
        "All is well: all 18 images are home and proven; both cameras recorded all the time",
    )
    assert [verdict.of_camera(camera).words for camera in gather(layout, ID).cameras] == ["", ""]


def test_every_detection_is_in_the_plot_once_and_as_what_it_is(tmp_path: Path) -> None:
    data = plotted(page(an_hour(tmp_path).write()))
    for camera in data["cameras"]:
        sums = [sum(piece[column] for piece in camera["pieces"]) for column in (1, 2, 3)]
        assert sums == [6, 3, 0], camera["name"]


def test_nothing_that_a_script_could_be_is_in_the_data_of_the_plot(tmp_path: Path) -> None:
    made = an_hour(tmp_path)
    made.camera("</script><!--", "object", [])
    text = page(made.write())
    assert plotted(text)["cameras"][0]["name"] == "</script><!--"
    assert "</script><!--" not in text


def test_a_camera_that_was_never_started_is_named(tmp_path: Path) -> None:
    made = Made(tmp_path / "data", 1)
    made.camera("motion", "motion", burst("motion", 10))
    made.camera("object", "object", []).since = None
    made.events = [each for each in made.events if not (each["camera"] == "object" and each["event"] == "recording")]
    assert said(made.write()) == ("bad", "All 3 images are home and proven; object did not record for 1 h")


def test_an_archive_that_is_gone_or_damaged_is_named_and_costs_no_other(tmp_path: Path) -> None:
    made = an_hour(tmp_path)
    layout = made.write()
    path = Path(layout.archive(ID, "object", 1))
    path.write_bytes(path.read_bytes()[:5000])
    text = page(layout)
    assert "it is damaged" in text and said(layout).level == "bad" and "images of object" in said(layout).words
    assert sum(piece[1] + piece[2] for piece in plotted(text)["cameras"][1]["pieces"]) == 9
    path.unlink()
    assert f"object_{ID}.zip with 9 images is not there" in page(layout)


def test_images_that_came_home_twice_are_not_called_missing(tmp_path: Path) -> None:
    made = an_hour(tmp_path)
    made.receipt("object", 4, 4, made.ended + 5 * MINUTE)
    assert said(made.write()).level == "well"


def test_images_that_were_proven_and_are_not_there_are_named_before_the_archives_are_known(tmp_path: Path) -> None:
    made = an_hour(tmp_path)
    made.record.cameras["object"].archives = []
    made.receipt("object", 4, 4, made.ended + 5 * MINUTE)
    (found, _) = gather(made.write(), ID).cameras
    assert found.complaints == ["13 images were proven to be home, and 9 are in the archives"]


def test_an_archive_with_fewer_images_than_its_list_names_is_named(tmp_path: Path) -> None:
    layout = an_hour(tmp_path).write()
    with zipfile.ZipFile(layout.archive(ID, "object", 2), "w") as archive:
        archive.writestr("manifest-sha256.txt", f"{'0' * 64}  {name('object', OPENED)}\n")
    assert "its list names 1 images, and 0 are in it" in page(layout)


def test_images_that_are_not_home_yet_are_told(tmp_path: Path) -> None:
    made = an_hour(tmp_path)
    made.record.cameras["motion"].state = "closing"
    made.event(made.ended, "closing")
    level, words = said(made.write())
    assert level == "look" and "18 images are home, and motion has more" in words


def test_an_experiment_that_goes_on_says_so(tmp_path: Path) -> None:
    made = an_hour(tmp_path)
    for entry in made.record.cameras.values():
        entry.state = "recording"
    layout = made.write()
    heartbeat = {
        "cameras": {name: {"experiment": ID, "last_good": made.ended.isoformat()} for name in ("object", "motion")},
    }
    Path(layout.heartbeat()).write_text(json.dumps(heartbeat))
    found = gather(layout, ID, now=made.ended)
    assert (
        verdict.of_all(found).words
        == "All is well: it goes on, 18 images are home so far; both cameras recorded all the time"
    )
    assert found.until == made.ended


def test_a_visit_is_what_the_user_says_it_is(tmp_path: Path) -> None:
    layout = an_hour(tmp_path).write()
    counts = [
        [len(camera.visits) for camera in gather(layout, ID, report_data.Settings(gap, minimum)).cameras]
        for gap, minimum in ((30, 2), (30, 4), (0.5, 1), (660, 1))
    ]
    assert counts == [[3, 3], [0, 0], [9, 9], [2, 2]]


def test_the_least_room_and_the_highest_temperature_are_shown(tmp_path: Path) -> None:
    made = an_hour(tmp_path)
    for minute, measured in (
        (10, {"free": 9_000_000_000, "temperature": 61.8}),
        (20, {"free": 4_000_000_000, "temperature": 58.0}),
        (30, {"free": 8_000_000_000}),
        (40, {"free": "none", "temperature": True}),
    ):
        made.event(OPENED + dt.timedelta(minutes=minute), "card", "object", **measured)
    layout = made.write()
    object_, motion = gather(layout, ID).cameras
    assert object_.room == (OPENED + dt.timedelta(minutes=20), 4_000_000_000)
    assert object_.warmest == (OPENED + dt.timedelta(minutes=10), 61.8)
    assert motion.room is None and motion.warmest is None
    text = page(layout)
    assert "4.0 GB" in text and "62 °C" in text and "not known" in text


def test_images_without_a_time_are_counted(tmp_path: Path) -> None:
    made = Made(tmp_path / "data", 1)
    made.camera("object", "object", [*burst("object", 5), ("object_20260522-240060-000000_a_b.jpg", b"x")])
    (camera,) = gather(made.write(), ID).cameras
    assert (len(camera.pictures), camera.timeless, len(camera.detections)) == (4, 1, 3)


def test_a_camera_that_keeps_another_time_zone_is_named(tmp_path: Path) -> None:
    made = Made(tmp_path / "data", 1)
    made.camera("object", "object", [*burst("object", 5 - 120), *burst("object", 20 - 120)])
    layout = made.write()
    (camera,) = gather(layout, ID).cameras
    assert camera.outside == 6 and "time zone" in verdict.of_camera(camera).words
    assert plotted(page(layout))["cameras"][0]["pieces"] == []


def test_a_camera_whose_time_zone_is_the_next_is_named_though_few_of_its_images_show_it(tmp_path: Path) -> None:
    made = Made(tmp_path / "data", 12)
    hourly = [image for hour in range(12) for image in burst("object", 60 * hour + 30 - 60)]
    made.camera("object", "object", hourly)
    layout = made.write()
    (camera,) = gather(layout, ID).cameras
    assert camera.outside == 3 and said(layout).level == "look"
    assert "3 images bear times outside the experiment" in verdict.of_camera(camera).words


def test_a_time_that_is_known_to_the_second_only_is_not_called_outside(tmp_path: Path) -> None:
    made = Made(tmp_path / "data", 1)
    made.camera("object", "object", [*burst("object", 5), *burst("object", 60.2)])
    assert [camera.outside for camera in gather(made.write(), ID).cameras] == [0]


def test_a_day_with_everything_in_it_has_its_gaps(tmp_path: Path) -> None:
    found = gather(a_day(tmp_path / "data", pictures=1).write(), ID)
    assert [[(span.cause, round(span.seconds)) for span in camera.gaps[1:]] for camera in found.cameras] == [
        [("its service was restarted", 95), ("it did not answer", 420)],
        [("it did not store its pictures", pytest.approx(1330, abs=60))],
    ]


# -- pictures ------------------------------------------------------------------------------------------------------


def shown(found: Experiment) -> dict[int, thumbnails.Thumbnail]:
    return thumbnails.made([visit for camera in found.cameras for visit in camera.visits])


def test_a_visit_is_shown_by_one_of_its_images(tmp_path: Path) -> None:
    made = Made(tmp_path / "data", 1)
    made.camera("object", "object", burst("object", 5, picture=jpeg(3)))
    (only,) = shown(gather(made.write(), ID)).values()
    header, _, content = only.uri.partition(",")
    assert header == "data:image/jpeg;base64" and (only.width, only.height) == (320, 240)
    import base64

    with Image.open(io.BytesIO(base64.b64decode(content))) as image:
        assert image.size == (320, 240)


def test_a_half_written_image_is_not_the_one_that_is_shown(tmp_path: Path) -> None:
    made = Made(tmp_path / "data", 1)
    images = burst("object", 5, picture=jpeg(3))
    images[1] = (images[1][0], images[1][1][:4000])
    made.camera("object", "object", images)
    (only,) = shown(gather(made.write(), ID)).values()
    assert only.name != images[1][0]


@pytest.mark.parametrize("harm", [b"", b"\xff\xd8\xff", b"GIF89a" + b"\0" * 50, jpeg(1)[:200]])
def test_a_visit_whose_images_cannot_be_read_has_no_picture(tmp_path: Path, harm: bytes) -> None:
    made = Made(tmp_path / "data", 1)
    made.camera("object", "object", [(each, harm) for each, _ in burst("object", 5)])
    layout = made.write()
    assert shown(gather(layout, ID)) == {} and "<figure>" not in page(layout)


def test_an_image_that_would_take_all_memory_is_not_opened(tmp_path: Path) -> None:
    out = io.BytesIO()
    Image.new("L", (12_000, 9_000)).save(out, "JPEG", quality=1)
    made = Made(tmp_path / "data", 1)
    made.camera("object", "object", [(each, out.getvalue()) for each, _ in burst("object", 5)])
    assert shown(gather(made.write(), ID)) == {}


def test_no_more_pictures_are_shown_than_a_phone_has_room_for(tmp_path: Path) -> None:
    made = Made(tmp_path / "data", 12)
    made.camera("object", "object", [image for at in range(5, 700, 5) for image in burst("object", at)])
    (camera,) = gather(made.write(), ID).cameras
    chosen = thumbnails.chosen(camera.visits)
    assert len(camera.visits) == 139 and len(chosen) == thumbnails.MOST
    hours = {camera.visits[index].begin.hour for index in chosen}
    assert hours == set(range(7, 19)), "each part of the day is to be seen"
    assert page(made.layout).count("<figure>") == thumbnails.MOST


def test_without_pillow_there_is_a_report_that_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *args: Any, **more: Any) -> Any:
        if name == "PIL":
            raise ImportError(name)
        return real(name, *args, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    found = reporting.write(an_hour(tmp_path).write(), ID, DEFAULTS, check=False)
    assert found.problem == "" and "Pillow is not installed" in found.note
    text = Path(found.path).read_text()
    assert "Pillow is not installed" in text and "<figure>" not in text


# -- nothing hangs on it -------------------------------------------------------------------------------------------


def test_what_cannot_be_written_is_one_line_and_the_report_before_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    layout = an_hour(tmp_path).write()
    Path(layout.experiment(ID), "report.html").write_text("the one before")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    found = reporting.write(layout, ID, DEFAULTS, check=False)
    assert "No space left on device" in found.problem and "\n" not in found.problem
    assert Path(found.path).read_text() == "the one before" and not Path(f"{found.path}.tmp").exists()


def test_whatever_goes_wrong_inside_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("one\ntwo")

    monkeypatch.setattr(report_data, "gather", broken)
    found = reporting.write(an_hour(tmp_path).write(), ID, DEFAULTS, check=False)
    assert found.problem == f"write the report of {ID}: RuntimeError: one two. Nothing is lost"


@pytest.mark.parametrize("experiment", ["2026-01-01", "unclaimed", "..", "../x", "a/b", ""])
def test_a_directory_that_is_no_experiment_gets_no_report(tmp_path: Path, experiment: str) -> None:
    layout = an_hour(tmp_path).write()
    found = reporting.write(layout, experiment, DEFAULTS, check=False)
    assert "has no record of it" in found.problem
    assert not list(tmp_path.rglob("report.html*"))


def test_a_torn_record_is_one_line(tmp_path: Path) -> None:
    layout = an_hour(tmp_path).write()
    Path(layout.record(ID)).write_text("{")
    assert "torn" in reporting.write(layout, ID, DEFAULTS, check=False).problem


def act(layout: Layout, check: bool = False, experiments: tuple[str, ...] = (ID,)) -> dict[str, Any]:
    action = action_for(ActionModule, check, data_dir=layout.data_dir, experiments=list(experiments))
    return dict(action.run(None, {}))


def test_in_check_mode_it_says_what_it_would_write(tmp_path: Path) -> None:
    layout = an_hour(tmp_path).write()
    result = act(layout, check=True)
    path = f"{layout.experiment(ID)}/report.html"
    assert (result["msg"], result["lines"]) == (f"would write {path}", [f"report: would be {path}"])
    assert result["changed"] and not os.path.exists(path)


def test_a_report_that_says_the_same_as_before_is_not_written_again(tmp_path: Path) -> None:
    layout = an_hour(tmp_path).write()
    assert act(layout)["changed"]
    before = os.stat(f"{layout.experiment(ID)}/report.html").st_ino
    second = int(time.time())
    wait_for(lambda: int(time.time()) > second)
    again = act(layout)
    assert not again["changed"] and again["msg"] == f"up to date: {layout.experiment(ID)}/report.html"
    assert os.stat(f"{layout.experiment(ID)}/report.html").st_ino == before


def test_one_report_that_cannot_be_written_keeps_no_other_from_being(tmp_path: Path) -> None:
    layout = an_hour(tmp_path).write()
    result = act(layout, experiments=("2026-01-01", ID, ID))
    assert result["failed"] and result["paths"] == [f"{layout.experiment(ID)}/report.html"]
    assert [line[:20] for line in result["lines"]] == [f"report: {layout.data_dir}"[:20], "report: NOT written:"]
    assert act(layout, experiments=())["problems"] == [
        "no experiment is open. Name one: -e wildberryeye_experiment=2026-05-22"
    ]


# -- what it takes -------------------------------------------------------------------------------------------------

_MEASURED = """
import sys, time
from ansible_collections.wildberryeye.orchestrator.plugins.module_utils.layout import Layout
from ansible_collections.wildberryeye.orchestrator.plugins.module_utils.report_data import DEFAULTS
from ansible_collections.wildberryeye.orchestrator.plugins.plugin_utils import reporting
from unit.support import most_memory
problem = reporting.write(Layout(sys.argv[1]), sys.argv[2], DEFAULTS, False).problem
print(time.process_time(), most_memory(), problem)
"""


@pytest.mark.ci
def test_fifty_thousand_images_of_each_camera_are_reported_in_a_minute_300_mb_and_15_mb(tmp_path: Path) -> None:
    made = Made(tmp_path / "data", 18)
    for camera in ("object", "motion"):
        times = [OPENED + dt.timedelta(seconds=1.2 * number) for number in range(50_000)]
        made.camera(camera, camera, [(name(camera, at), b"") for at in times])
    layout = made.write()
    done = subprocess.run(
        [sys.executable, "-c", _MEASURED, layout.data_dir, ID],
        env={**os.environ, "PYTHONPATH": ":".join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
    )
    took, memory, *problem = done.stdout.split()
    assert problem == [] and float(took) < 60 and int(memory) < 300e6, done.stdout
    assert Path(layout.experiment(ID), "report.html").stat().st_size < 15e6


def test_the_plotting_library_is_the_one_that_was_published() -> None:
    directory = ROOT / "roles" / "report" / "files" / "echarts"
    (told,) = re.findall(r"`(\w+\.common\.min\.js)` \| `([0-9a-f]{64})`", (directory / "README.md").read_text())
    assert hashlib.sha256((directory / told[0]).read_bytes()).hexdigest() == told[1]
    assert (directory / "LICENSE").exists() and (directory / "NOTICE").exists()


def test_an_archive_is_opened_only_to_be_read(tmp_path: Path) -> None:
    layout = an_hour(tmp_path).write()
    pack(layout.together(ID, "object"), burst("object", 30))
    paths = [path for path in Path(layout.data_dir).rglob("*") if path.is_file()]
    before = {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in paths}
    page(layout)
    assert {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in paths} == before
    assert [path.name for path in Path(layout.data_dir).rglob("*") if path.is_file() and path not in before] == [
        "report.html"
    ]
