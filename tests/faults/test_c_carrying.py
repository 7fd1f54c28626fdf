# SPDX-License-Identifier: GPL-3.0-or-later
"""What goes wrong on the way home (rows C): nothing is lost, and the next run completes."""

from __future__ import annotations

import json
import re

import pytest

from e2e.station import Station, today
from lab import wait_until

PYTHON_THAT_WAITS = """#!/bin/sh
# The N-th module that runs on this camera waits until it is killed.
echo x >>/run/modules
[ "$(wc -l </run/modules)" -eq "$(cat /run/wait-at)" ] && exec sleep 600
exec /usr/bin/python3 "$@"
"""


@pytest.mark.slow
def test_c3_a_link_that_is_cut_in_mid_transfer_resumes_and_costs_the_other_camera_nothing(station: Station) -> None:
    """The link goes down while images arrive -> one line; the other is home; run again, it resumes."""
    camera = station.cameras["object"]
    station.begin_day()
    station.wait_for_images("object", more=60)
    stopping = station.stop_in_mid_transfer("object", "4mbit")
    camera.link_down()
    run = station.end(stopping, status=2, timeout=180)
    assert "not home" in run.row("object") and re.search(r"Run it again|run it again", run.row("object"))
    station.assert_all_home("motion")
    assert not station.archives("object")
    camera.link_up()
    camera.shape(None)
    assert len(station.arrived("object")) > 3, "what had arrived is not fetched again"
    station.play("stop")
    station.assert_all_home()


@pytest.mark.slow
def test_c6_a_card_too_full_for_its_zip_sends_the_images_one_by_one(station: Station) -> None:
    """A card of 24 MB, half full -> falls back to files and says so; all home."""
    camera = station.cameras["object"]
    camera.stop_service()
    camera.mount_small_disk(camera.image_dir, size="24m")
    station.begin_day()
    run = station.play("stop")
    assert "no room on its card for a zip, fetched as files" in run.row("object")
    assert "fetched as files" not in run.row("motion")
    station.assert_all_home()


@pytest.mark.ci
@pytest.mark.parametrize(
    "damage",
    ["a byte flipped", *(pytest.param(each, marks=pytest.mark.slow) for each in ("cut short", "a member missing"))],
)
def test_c7_a_damaged_archive_licenses_only_what_is_intact_and_the_next_run_mends_it(
    station: Station, damage: str
) -> None:
    """The zip is damaged before it is fetched -> the rest is licensed, the image named, kept, and mended next time."""
    station.begin_day()
    camera = station.cameras["object"]
    script = {
        "a byte flipped": (
            "import sys; f=open(sys.argv[1],'r+b'); f.seek(5000); b=f.read(1); f.seek(5000); f.write(bytes([b[0]^1]))"
        ),
        "cut short": "import sys, os; os.truncate(sys.argv[1], os.path.getsize(sys.argv[1]) * 2 // 3)",
        "a member missing": (
            "import sys, zipfile, os; old=zipfile.ZipFile(sys.argv[1]); new=zipfile.ZipFile(sys.argv[1]+'x','w');"
            "[new.writestr(i, old.read(i)) for i in old.infolist()[1:]]; new.close();"
            "os.replace(sys.argv[1]+'x', sys.argv[1])"
        ),
    }[damage]
    # The zip is made on the card, and damaged there before it is fetched.
    station.make_batch("object")
    found = camera.exec("sh", "-c", 'ls "$1"/.wildberryeye/*/*.zip', "sh", camera.image_dir).stdout.split()
    assert len(found) == 1
    camera.exec("python3", "-c", script, found[0])
    run = station.play("stop", status=2)
    station.assert_nothing_lost()
    assert "not home" in run.row("object") and "home" in run.row("motion")
    if damage != "cut short":
        assert "1 image of batch" in run.row("object")
        assert len(station.on_card("object")) == 1
    assert not station.archives("object")
    station.play("stop")
    station.assert_all_home()


@pytest.mark.slow
def test_c9_a_half_written_image_comes_home_and_is_named(station: Station) -> None:
    """Images without their last bytes -> collected, and one of them named."""
    station.begin_day()
    station.cameras["object"].faults(half_write=True)
    station.wait_for_images("object")
    run = station.play("stop")
    assert re.search(r"of the images half-written, such as object_", run.row("object"))
    station.assert_all_home()


@pytest.mark.ci
def test_c11_a_second_collection_ends_at_once_and_a_start_takes_over(station: Station) -> None:
    """A collect and then a start while a stop carries -> the first ends with a line, the second takes over."""
    camera = station.cameras["object"]
    station.begin_day()
    station.wait_for_images("object", more=60)
    camera.shape("2mbit")
    stopping = station.begin("stop", "--limit", "object")
    wait_until(lambda: bool(list(station.data.glob(".incoming/object/day/*.zip"))), "the transfer has begun", 60)
    second = station.play("collect", "--limit", "object", status=2)
    assert re.search(r"held by a stop that is running \(process \d+\)", second.row("object"))
    starting = station.begin("start", "--limit", "object", "-e", "wildberryeye_experiment=dawn")
    wait_until(lambda: stopping.poll() is not None, "the start has ended the stop's transfer", 60)
    assert camera.detecting_now(), "recording must not wait for a transfer"
    station.end(stopping, status=None)
    camera.shape(None)
    station.end(starting)
    station.play("stop")
    station.assert_all_home()
    assert list(station.archives("object")) == ["object_dawn.zip", "object_day.zip"]


@pytest.mark.slow
def test_c12_what_is_no_image_is_left_alone_and_reported(station: Station) -> None:
    """Newlines, $(…), dashes, bytes, links, directories as names -> left alone, counted, one shown."""
    camera = station.cameras["object"]
    station.begin_day()
    script = r"""
        cd "$1"; touch .DONE notes.txt "$(printf 'object_20260522-093015-123456_x\n_root.jpg')" -- '-rf' '$(reboot).jpg'
        mkdir object_20260522-093015-123456_dir_root.jpg; mkfifo motion_20260522-093015-123456_fifo_root.jpg
        ln -s /etc/passwd object_20260522-093015-123456_link_root.jpg; touch "$(printf 'object_\377.jpg')"
    """
    camera.exec("sh", "-c", script, "sh", camera.image_dir)
    planted = [path for path in camera.listing() if re.search(r"20260522|DONE|notes|rf|reboot|\udcff", path)]
    station.planted.update(planted)
    run = station.play("stop")
    assert "9 things that are no images left on its card" in run.row("object")
    assert camera.listing() == planted and len(planted) == 9
    assert station.home("object") == station.truth(camera)


@pytest.mark.slow
def test_c15_a_camera_whose_api_refuses_to_stop_is_stopped_all_the_same(station: Station) -> None:
    """/api/stop answers 500, or nothing -> the service is stopped instead; all home."""
    station.begin_day()
    station.cameras["object"].faults(stop="error500")
    station.cameras["motion"].faults(wedged=True)
    station.play("stop")
    for camera in station.cameras.values():
        camera.faults()
    assert not any(camera.detecting_now() for camera in station.cameras.values())
    station.assert_all_home()


@pytest.mark.ci
def test_c16_stopping_again_and_again_changes_nothing(station: Station) -> None:
    """stop three times -> exit 0, not a byte changed, no service touched."""
    station.play("start")
    station.wait_for_images()
    station.play("stop")
    before = station.footprint()
    processes = [str(camera.detecting()[-1]) for camera in station.cameras.values()]
    for _ in range(2):
        run = station.play("stop")
        assert "idle" in run.row("object")
    assert station.footprint() == before
    assert [str(camera.detecting()[-1]) for camera in station.cameras.values()] == processes
    assert station.experiments() == [today()]


@pytest.mark.slow
def test_c16_an_empty_day_has_a_receipt_and_no_archive(station: Station) -> None:
    """A day without an image -> a receipt, no zip, closed."""
    station.play("start")
    for camera in station.cameras.values():
        camera.stop_service()
        camera.exec("sh", "-c", 'rm "$1"/*.jpg', "sh", camera.image_dir)
        station.taken_away.update(station.truth(camera))
    run = station.play("stop")
    assert "home" in run.row("object")
    assert not any(station.archives(name) for name in station.cameras)
    for name in station.cameras:
        assert (station.data / today() / name / "receipts" / "empty.json").is_file()
    assert station.record(today())["state"] == "closed"


@pytest.mark.slow
@pytest.mark.parametrize("what", ["torn", "lost"])
def test_c20_a_torn_or_lost_record_loses_no_image(station: Station, what: str) -> None:
    """experiment.json cut to 100 bytes, or gone; a torn last event -> all home in the right experiment."""
    station.begin_day()
    path = station.data / "day" / "experiment.json"
    events = path.with_name("events.jsonl")
    with events.open("ab") as file:
        file.write(b'{"at": "2026-')
    if what == "torn":
        path.write_bytes(path.read_bytes()[:100])
    else:
        path.unlink()
    run = station.play("stop")
    torn = "experiment.json: it is torn or of another version. Move it away" in run.text
    assert torn == (what == "torn")
    # What came after the torn line stands on lines of its own.
    whole = [line for line in events.read_text().splitlines() if line.endswith("}")]
    assert any(json.loads(line)["event"] == "receipt" for line in whole)
    station.assert_all_home()
    assert list(station.archives("object")) == ["object_day.zip"]


@pytest.mark.slow
def test_c21_killed_between_receipt_and_cleanup_nothing_is_archived_twice(station: Station) -> None:
    """kill -9 of all when the receipt is written and nothing deleted -> run again, nothing twice."""
    camera = station.cameras["object"]
    camera.exec("sh", "-c", "cat >/usr/local/bin/python-that-waits", input=PYTHON_THAT_WAITS)
    # The third module that a stop runs on a camera is the cleanup.
    camera.exec("sh", "-c", "chmod +x /usr/local/bin/python-that-waits; echo 3 >/run/wait-at; rm -f /run/modules")
    station.begin_day()
    command = ["stop", "--limit", "object"]
    station.variables(ansible_python_interpreter="/usr/local/bin/python-that-waits")
    running = station.begin(*command)
    wait_until(
        lambda: len(camera.exec("sh", "-c", "cat /run/modules 2>/dev/null || true").stdout.split()) == 3,
        "the stop comes to its cleanup",
        60,
    )
    assert len(list(station.data.glob("day/object/receipts/*.json"))) == 1
    station.kill_playbooks()
    station.end(running, status=None)
    camera.exec("pkill", "-f", "sleep 600", check=False)
    assert len(station.on_card("object")) == len(station.truth(camera))
    station.assert_nothing_lost()
    station.variables()
    station.play("stop")
    station.assert_all_home()
    assert len(list(station.data.glob("day/object/receipts/*.json"))) == 1


@pytest.mark.slow
def test_c22_parts_of_the_day_and_the_tail_at_night_become_one_archive(station: Station) -> None:
    """collect three times by both methods, then stop -> one archive with all that was written."""
    station.play("start")
    collected = dict.fromkeys(station.cameras, 0)
    for method in ("zip", "files", "zip"):
        station.wait_for_images()
        before = [camera.detecting()[-1] for camera in station.cameras.values()]
        station.play("collect", "-e", f"wildberryeye_collection_method={method}")
        assert [camera.detecting()[-1] for camera in station.cameras.values()] == before
        # The newest is left: without it the camera's page answers 500.
        assert all(station.on_card(name) for name in station.cameras)
        assert not any(station.archives(name) for name in station.cameras)
        for name in station.cameras:
            (together,) = station.parts(name)
            assert len(together) > collected[name]
            collected[name] = len(together)
    station.play("stop")
    station.assert_all_home()
    for name in station.cameras:
        assert list(station.archives(name)) == [f"{name}_{today()}.zip"]
        assert not (station.data / today() / name / "parts").exists()
