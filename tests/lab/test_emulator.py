# SPDX-License-Identifier: GPL-3.0-or-later
"""The camera emulator does what the camera does. Each test names what tests of the rest could not trust."""

from __future__ import annotations

import email.utils
import hashlib
import io
import os
import re
import signal
import threading
import time
import zipfile
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import requests
from PIL import Image

from lab.emulated import Lab, wait_for

NAME = re.compile(r"(object|motion|manual)_\d{8}-\d{6}-\d{6}_wildberry01_[^_]+(_CONF55_IOU65|_THRESH25_AREA500|)\.jpg")


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    camera = Lab(tmp_path)
    yield camera
    if camera.process is not None and camera.process.poll() is None:
        camera.end()


def test_images_are_real_jpegs_and_the_truth_has_their_hashes(lab: Lab) -> None:
    lab.start()
    lab.post("/api/start")
    for line in lab.stored("object", 3):
        data = (lab.images / line["name"]).read_bytes()
        assert (hashlib.sha256(data).hexdigest(), len(data)) == (line["sha256"], line["size"])
        assert 170_000 < len(data) < 210_000 and data.endswith(b"\xff\xd9")
        with Image.open(io.BytesIO(data)) as image:
            image.load()
            assert (image.format, image.size) == ("JPEG", (640, 480))
    assert len({line["sha256"] for line in lab.truth("end")}) == len(lab.truth("end"))


def test_every_begin_is_in_the_truth_before_its_end(lab: Lab) -> None:
    lab.start()
    lab.capture()
    begin, end = lab.lines("written")
    assert (begin["event"], end["event"]) == ("begin", "end")
    assert all(begin[key] == end[key] for key in ("name", "sha256", "size", "kind"))
    assert begin["at"] <= end["at"]


@pytest.mark.parametrize("mode", ["object", "motion"])
def test_image_names_follow_the_grammar(lab: Lab, mode: str) -> None:
    lab.start(mode)
    for call in ("start", "set-baseline", "capture"):
        lab.post(f"/api/{call}")
    lab.stored(mode)
    lab.stored("manual")
    names = os.listdir(lab.images)
    suffixes = {match[1]: match[2] for match in map(NAME.fullmatch, names) if match}
    assert suffixes == {"manual": "", mode: {"object": "_CONF55_IOU65", "motion": "_THRESH25_AREA500"}[mode]}
    assert all(NAME.fullmatch(name) for name in names)


def test_image_size_can_be_chosen_for_full_card_tests(lab: Lab) -> None:
    lab.start(image_bytes=20_000)
    assert 15_000 < (lab.images / lab.capture()).stat().st_size < 25_000


def test_pictures_that_repeat_differ_all_the_same_and_are_real_jpegs(lab: Lab) -> None:
    """Cards of a thousand images are filled so; were two of them equal, one that is lost would not be missed."""
    lab.start(image_bytes=20_000, interval=0, frames=2, detect_limit=30).post("/api/start")
    lines = lab.stored("object", 30)
    assert len({line["sha256"] for line in lines}) == 30
    for line in lines:
        with Image.open(lab.images / line["name"]) as image:
            image.load()
            assert image.info["comment"] == line["name"].encode()


def test_nothing_is_recorded_before_start_nor_long_after_stop(lab: Lab) -> None:
    lab.start()
    lab.capture()
    assert lab.quiet()
    assert [lab.post("/api/start") for _ in range(2)] == [{"running": True}] * 2
    lab.stored("object")
    assert [lab.post("/api/stop") for _ in range(2)] == [{"running": False}] * 2
    wait_for(lambda: lab.quiet(0.3))
    assert lab.detecting() == [(False, "process start"), (True, "start"), (False, "stop")]


def test_one_image_per_interval_until_the_limit(lab: Lab) -> None:
    lab.start(detect_limit=4, interval=0.2)
    lab.post("/api/start")
    times = [line["at"] for line in lab.stored("object", 4)]
    assert 0.5 < times[-1] - times[0] < 2
    assert lab.quiet() and len(lab.truth("end")) == 4


def test_motion_records_nothing_without_a_baseline(lab: Lab) -> None:
    lab.start("motion")
    lab.capture()
    assert lab.post("/api/start") == {"running": True}
    assert lab.quiet()
    assert lab.post("/api/set-baseline") == {"baseline": True}
    lab.stored("motion")
    assert lab.detecting() == [(False, "process start"), (True, "baseline")]


def test_restart_leaves_detection_off_baseline_unset_and_latest_image_empty(lab: Lab) -> None:
    lab.start("motion")
    lab.post("/api/set-baseline")
    lab.post("/api/start")
    lab.stored("motion")
    lab.end(signal.SIGKILL)
    lab.start("motion")
    assert lab.ask("GET", "/latest-image").status_code == 204
    before = len(lab.lines("written"))
    lab.post("/api/start")
    lab.capture()
    assert lab.quiet() and len(lab.lines("written")) == before + 2
    assert lab.detecting()[-1] == (False, "process start")
    lab.post("/api/set-baseline")
    assert lab.detecting()[-1] == (True, "baseline")


def test_port_stays_shut_for_its_delay(lab: Lab) -> None:
    lab.start(wait=False, port_delay=0.7)
    begun = wait_for(lambda: lab.lines("detecting"))[0]["at"]
    assert not lab.port_is_open()
    wait_for(lab.port_is_open)
    assert time.time() - begun >= 0.7


def test_capture_blocks_until_the_first_frame(lab: Lab) -> None:
    lab.faults(ready_delay=0.5)
    lab.start(first_frame_delay=0.5)
    begun = lab.lines("detecting")[0]["at"]
    lab.post("/api/start")
    lab.capture()
    assert lab.truth("begin", "manual")[0]["at"] - begun >= 1.0
    assert lab.detecting() == [(False, "process start"), (True, "first frame")]
    assert [line["event"] for line in lab.lines("requests") if line["path"] == "/api/capture"] == [
        "begin",
        "answered",
    ]


def test_capture_answers_although_detection_is_dead_and_only_a_restart_revives_it(lab: Lab) -> None:
    lab.start()
    lab.post("/api/start")
    lab.stored("object")
    lab.faults(detection_dies=True)
    wait_for(lambda: lab.detecting()[-1] == (False, "detection died"))
    wait_for(lambda: b"Traceback" in lab.errors.read_bytes())
    lab.faults()
    assert lab.post("/api/start") == {"running": True}
    assert (lab.images / lab.capture()).exists()
    before = len(lab.truth("begin", "object"))
    assert lab.quiet() and lab.detecting()[-1] == (False, "detection died")
    lab.end(signal.SIGTERM)
    lab.start()
    lab.post("/api/start")
    lab.stored("object", before + 1)


def test_hanging_capture_stores_its_picture_when_it_wakes(lab: Lab) -> None:
    lab.start()
    lab.faults(capture="hang")
    for _ in range(2):
        with pytest.raises(requests.ReadTimeout):
            lab.ask("POST", "/api/capture", timeout=0.2)
    assert [line["event"] for line in lab.lines("requests")] == ["begin", "begin"]
    assert lab.ask("GET", "/").status_code == 200 and not lab.lines("written")
    lab.faults()
    lab.stored("manual", 2)


def test_wedged_camera_accepts_and_never_answers_anything(lab: Lab) -> None:
    lab.start()
    lab.faults(wedged=True)
    for method, path in (("GET", "/"), ("POST", "/api/start"), ("GET", "/nowhere")):
        assert lab.port_is_open()
        with pytest.raises(requests.ReadTimeout):
            lab.ask(method, path, timeout=0.2)
    lab.faults()
    assert lab.ask("GET", "/").status_code == 200


def test_fault_cured_by_restart_is_gone_after_one(lab: Lab) -> None:
    lab.start()
    lab.faults(capture="error500", cured_by_restart=True)
    assert lab.ask("POST", "/api/capture").status_code == 500
    lab.end()
    lab.start()
    lab.capture()
    lab.faults(capture="error500", cured_by_restart=True)
    assert lab.ask("POST", "/api/capture").status_code == 500


def test_misspelt_fault_is_refused_and_said(lab: Lab) -> None:
    lab.start()
    lab.faults(capture="error500")
    assert lab.ask("POST", "/api/capture").status_code == 500
    for wrong in ({"captur": "ok"}, {"capture": "of"}):
        lab.faults(**wrong)
        assert lab.ask("POST", "/api/capture").status_code == 500
    assert lab.errors.read_bytes().count(b"not taken") == 2


@pytest.mark.parametrize(
    ("fault", "status", "kind", "body"),
    [
        ("error500", 500, "text/html", "Internal Server Error"),
        ("html", 200, "text/html", "<!doctype html>"),
        ("truncated", 200, "application/json", '{"filename": "manual_'),
        ("redirect", 302, "text/html", "/gallery"),
        ("odd_name", 200, "application/json", "../../etc/passwd"),
    ],
)
def test_garbage_answers_store_nothing(lab: Lab, fault: str, status: int, kind: str, body: str) -> None:
    lab.start()
    lab.faults(capture=fault)
    answer = lab.ask("POST", "/api/capture", allow_redirects=False)
    assert (answer.status_code, answer.headers["Content-Type"].split(";")[0]) == (status, kind)
    assert body in answer.text and not os.listdir(lab.images)
    lab.faults()
    lab.capture()


def test_huge_answer_goes_on_for_as_long_as_one_reads(lab: Lab) -> None:
    lab.start()
    lab.faults(capture="huge")
    with lab.ask("POST", "/api/capture", stream=True) as answer:
        assert "Content-Length" not in answer.headers
        assert len(answer.raw.read(20_000_000)) == 20_000_000
    assert lab.ask("GET", "/").status_code == 200


def test_no_file_answers_with_a_name_that_has_no_file(lab: Lab) -> None:
    lab.start()
    lab.faults(capture="no_file")
    name = lab.capture()
    assert NAME.fullmatch(name) and not (lab.images / name).exists()
    assert [line["event"] for line in lab.lines("written")] == ["begin", "lost"]


def test_full_card_loses_images_without_a_word_and_detection_lives_on(lab: Lab) -> None:
    lab.start(max_file=100_000)
    name = lab.capture()
    lab.post("/api/start")
    wait_for(lambda: len(lab.truth("lost", "object")) >= 2)
    assert lab.truth("lost")[0]["name"] == name and not lab.truth("end")
    lab.post("/api/stop")
    wait_for(lambda: not os.listdir(lab.images))


def test_stop_that_fails_leaves_it_recording(lab: Lab) -> None:
    lab.start()
    lab.capture()
    lab.post("/api/start")
    lab.faults(stop="error500")
    assert lab.ask("POST", "/api/stop").status_code == 500
    lab.faults(stop="hang")
    with pytest.raises(requests.ReadTimeout):
        lab.ask("POST", "/api/stop", timeout=0.2)
    assert lab.detecting()[-1] == (True, "start")
    lab.faults()
    wait_for(lambda: lab.detecting()[-1] == (False, "stop"))


def test_start_that_fails_starts_nothing(lab: Lab) -> None:
    lab.start()
    lab.faults(start="error500")
    assert lab.ask("POST", "/api/start").status_code == 500
    assert lab.detecting() == [(False, "process start")]


def test_late_images_come_after_the_stop(lab: Lab) -> None:
    lab.start()
    lab.faults(late_images=2)
    lab.post("/api/start")
    lab.stored("object")
    lab.post("/api/stop")
    stopped = lab.lines("detecting")[-1]["at"]

    def late() -> list[dict[str, Any]]:
        return [line for line in lab.truth("begin") if line["at"] > stopped + 0.9]

    wait_for(lambda: len(late()) == 2)
    lab.post("/api/stop")
    assert lab.quiet(1.2) and len(late()) == 2


def test_half_written_image_is_in_the_truth_as_it_lies_on_the_card(lab: Lab) -> None:
    lab.start()
    lab.faults(half_write=True)
    data = (lab.images / lab.capture()).read_bytes()
    assert data.startswith(b"\xff\xd8") and not data.endswith(b"\xff\xd9")
    assert lab.truth("end")[0]["sha256"] == hashlib.sha256(data).hexdigest()


def test_slow_write_shows_a_growing_file_under_its_final_name(lab: Lab) -> None:
    lab.start()
    lab.faults(slow_write=1)
    waiting = threading.Thread(target=lab.capture)
    waiting.start()
    begin = wait_for(lambda: lab.truth("begin"))[0]
    path = lab.images / begin["name"]
    wait_for(lambda: path.exists() and path.stat().st_size)
    assert path.stat().st_size < begin["size"] and not lab.truth("end")
    waiting.join()
    assert path.stat().st_size == begin["size"]
    assert 0.9 < lab.truth("end")[0]["at"] - begin["at"] < 2.5


def test_wrong_clock_shows_in_names_and_date_headers_but_not_in_the_truth(lab: Lab) -> None:
    lab.start()
    for offset in (-1_500_000_000, 86_400):
        lab.faults(clock_offset=offset)
        name = lab.capture()
        taken = datetime.strptime(name.split("_")[1], "%Y%m%d-%H%M%S-%f")
        assert abs(taken.timestamp() - time.time() - offset) < 5
        for path in ("/latest-image", "/nowhere", f"/frontend/images/{name}"):
            for date in lab.ask("HEAD", path).raw.headers.getlist("Date"):
                said = email.utils.parsedate_to_datetime(date).timestamp()
                assert abs(said - time.time() - offset) < 5
    assert all(abs(line["at"] - time.time()) < 10 for line in lab.lines("written"))


def test_latest_image_is_204_then_200_then_500_when_the_newest_is_deleted(lab: Lab) -> None:
    lab.start()
    statuses = [lab.ask(method, "/latest-image").status_code for method in ("GET", "HEAD")]
    older, newest = lab.capture(), lab.capture()
    lab.post("/api/delete-images", json={"filenames": [older]})
    answer = lab.ask("GET", "/latest-image")
    assert answer.content == (lab.images / newest).read_bytes()
    statuses += [answer.status_code, lab.ask("HEAD", "/latest-image").status_code]
    lab.post("/api/delete-images", json={"filenames": [newest]})
    statuses += [lab.ask(method, "/latest-image").status_code for method in ("GET", "HEAD")]
    lab.capture()
    statuses.append(lab.ask("GET", "/latest-image").status_code)
    assert statuses == [204, 204, 200, 200, 500, 500, 200]


def test_delete_follows_any_name_and_the_truth_knows_what_went(lab: Lab) -> None:
    lab.start()
    name = lab.capture()
    (lab.images.parent / "treasure").write_text("outside")
    answer = lab.post("/api/delete-images", json={"filenames": [name, "../treasure", "missing.jpg"]})
    assert answer == {"deleted": [name, "../treasure"], "failed": ["missing.jpg"]}
    assert not (lab.images.parent / "treasure").exists()
    assert [line["name"] for line in lab.truth("deleted")] == [name, "../treasure"]


def test_download_zips_any_name(lab: Lab) -> None:
    lab.start()
    name = lab.capture()
    (lab.images.parent / "secret").write_text("outside")
    answer = lab.ask("POST", "/api/download-images", json={"filenames": [name, "../secret", "missing.jpg"]})
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        assert archive.namelist() == [name, "../secret"]
        assert archive.read(name) == (lab.images / name).read_bytes()


def test_stored_images_are_served_with_lengths_and_ranges(lab: Lab) -> None:
    lab.start()
    name = lab.capture()
    data = (lab.images / name).read_bytes()
    assert lab.ask("HEAD", f"/frontend/images/{name}").headers["Content-Length"] == str(len(data))
    part = lab.ask("GET", f"/frontend/images/{name}", headers={"Range": "bytes=-2"})
    assert (part.status_code, part.content) == (206, b"\xff\xd9")
    assert lab.ask("HEAD", "/frontend/images/manual_missing.jpg").status_code == 404


def test_pages_are_html_even_with_odd_files_in_the_directory(lab: Lab) -> None:
    lab.start()
    name = lab.capture()
    Path(os.fsdecode(os.fsencode(lab.images) + b"/<\xff>.jpg")).touch()
    (lab.images / "a directory").mkdir()
    for path in ("/", "/gallery"):
        assert lab.ask("GET", path).headers["Content-Type"].startswith("text/html")
    assert name in lab.ask("GET", "/gallery").text


def test_sigterm_ends_it_at_once_although_requests_hang(lab: Lab) -> None:
    lab.start()
    lab.post("/api/start")
    lab.faults(capture="hang")
    with pytest.raises(requests.ReadTimeout):
        lab.ask("POST", "/api/capture", timeout=0.2)
    asked = time.monotonic()
    assert lab.end(signal.SIGTERM) == 0
    assert time.monotonic() - asked < 2
    assert lab.detecting()[-1] == (False, "process end")


def test_requests_are_in_the_ledger_with_their_status(lab: Lab) -> None:
    lab.start()
    lab.post("/api/start")
    lab.ask("GET", "/nowhere")
    seen = [(line["method"], line["path"], line["status"], line["event"]) for line in lab.lines("requests")]
    assert seen == [("POST", "/api/start", 200, "answered"), ("GET", "/nowhere", 404, "answered")]
    assert all(abs(line["at"] - time.time()) < 10 for line in lab.lines("requests"))
