# SPDX-License-Identifier: GPL-3.0-or-later
"""What befalls a collection (rows C): cards, disks and connections that freeze, fill up or change under it."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest

from ansible_collections.wildberryeye.orchestrator.plugins.module_utils.card import Card
from e2e.station import INVENTORY, Run, Station, contents
from lab import Camera, wait_until
from unit.support import ROOT, image

DATA = "/home/decim/wildberryeye/analysis/data"
LEFT = "pgrep -a -u decim -x 'rsync|ssh' | grep -v '\\[mux\\]' || true"


def the_line(run: Run, camera: str, text: str) -> None:
    """A run said once, on one line, what happened to the camera, and said so again in its table."""
    assert re.search(text, run.row(camera)), run.row(camera)
    said = [line for line in run.text.splitlines() if "FAILED" in line]
    assert len(said) == 1 and f"{camera}: FAILED" in said[0], said


# -- C4: the remote end is frozen ------------------------------------------------------------------------


# Stops each rsync, or what carries it: those of its forefathers that are the sshd of one connection, not of all. Says
# what it stopped, and the lines of descent if it was nothing.
FREEZE_TRANSFER = """
import os, signal, subprocess, sys
what = sys.argv[1]
listening = int(os.popen("systemctl show --value --property MainPID ssh").read())
listed = subprocess.run(["ps", "-eo", "pid=,ppid=,comm="], stdout=subprocess.PIPE, text=True).stdout
lines = [line.split(None, 2) for line in listed.splitlines()]
processes = {int(pid): (comm, int(parent)) for pid, parent, comm in lines}
lines = []
for pid, (name, _) in processes.items():
    if name == "rsync":
        lines.append([pid])
        while processes[lines[-1][-1]][1] > 1:
            lines[-1].append(processes[lines[-1][-1]][1])
wanted = {pid for line in lines for pid in line if processes[pid][0].startswith(what) and pid != listening}
for pid in wanted:
    os.kill(pid, signal.SIGSTOP)
    print("stopped", pid, *processes[pid])
if not wanted:
    print([[(pid, processes[pid][0]) for pid in line] for line in lines])
"""


@pytest.mark.slow
@pytest.mark.parametrize("frozen", ["rsync", "sshd"])
def test_c4_a_transfer_whose_other_end_is_frozen_ends_by_itself(station: Station, frozen: str) -> None:
    """kill -STOP of rsync, of its sshd, in mid-transfer -> ends within 2 minutes with one line; the other is home."""
    camera = station.cameras["object"]
    station.begin_day()
    station.wait_for_images("object", more=40)
    camera.shape("2mbit")
    stopping = station.begin("stop")
    wait_until(lambda: bool(list(station.data.glob(".incoming/object/day/*.zip*"))), "the transfer has begun", 60)
    stopped = camera.exec("python3", "-c", FREEZE_TRANSFER, frozen).stdout
    assert "stopped" in stopped, f"nothing was frozen: {stopped}"
    began = time.monotonic()
    run = station.end(stopping, status=2, timeout=150)
    took = time.monotonic() - began
    print(f"ended {took:.1f} s after the other end was frozen")
    print(station.orchestrator.exec("ps", "-u", "decim", "-o", "pid,ppid,stat,etimes,args").stdout)
    assert took < 120
    # With its sshd, ssh itself can notice first.
    the_line(run, "object", "the transfer stalled .*Run it again|unreachable by SSH .*run it again")
    station.assert_all_home("motion")
    assert not station.archives("object")
    wait_until(
        lambda: not station.orchestrator.exec("sh", "-c", LEFT).stdout, "no rsync, no ssh is left of the run", 90, 1
    )
    camera.shape(None)
    if frozen == "sshd":
        camera.exec("pkill", "-CONT", "sshd")
    station.play("stop")
    station.assert_all_home()


# Stops the first module that holds a lock on the card: in the middle of its work.
FREEZE = """
import os, signal
while True:
    for line in open("/proc/locks"):
        pid = int(line.split()[4]) if " FLOCK " in line else 0
        if pid and open(f"/proc/{pid}/comm").read().startswith("python3"):
            os.kill(pid, signal.SIGSTOP)
            raise SystemExit
"""


@pytest.mark.slow
def test_c4_a_card_that_does_not_answer_any_more_holds_nobody_up_for_ever(station: Station) -> None:
    """kill -STOP of the module that reads the card -> given up after the collection's timeout; the other is home."""
    camera = station.cameras["object"]
    station.begin_day()
    station.wait_for_images("object", more=40)
    freezing = camera.popen("python3", "-c", FREEZE)
    began = time.monotonic()
    collecting = station.begin("collect", "-e", "wildberryeye_collection_timeout=15")
    assert freezing.wait(60) == 0
    run = station.end(collecting, status=2, timeout=120)
    print(f"ended after {time.monotonic() - began:.1f} s")
    the_line(
        run, "object", "make batches ready: no answer from the camera within 15 s.*reboot the camera: nothing is lost"
    )
    assert "collected" in run.row("motion") and "not" not in run.row("motion")
    assert not station.orchestrator.exec("sh", "-c", LEFT).stdout
    print(camera.exec("ps", "-eo", "pid,ppid,stat,args").stdout)
    camera.exec("pkill", "-CONT", "-x", "python3")
    station.play("stop")
    station.assert_all_home()


# -- C5: the orchestrator's disk is full -----------------------------------------------------------------


def small_disk(station: Station, size: str) -> None:
    """Keep the data on a disk of this size from now on."""
    station.orchestrator.exec("mkdir", "-p", DATA, user="decim")
    station.orchestrator.mount_small_disk(DATA, size)
    station.orchestrator.exec("chown", "decim:", DATA)


def resize(station: Station, size: str) -> None:
    station.orchestrator.exec("mount", "-o", f"remount,size={size}", DATA, privileged=True)


def fill(station: Station) -> None:
    """Leave not a byte on the disk of the data."""
    station.orchestrator.exec("sh", "-c", f"cat /dev/zero >{DATA}/.filler", check=False)


def take_off(station: Station) -> None:
    """Put what lies on the small disk where the tests look for it."""
    script = f"mkdir {DATA}.kept && cp -a {DATA}/. {DATA}.kept"
    station.orchestrator.exec("sh", "-c", script, user="decim")
    station.orchestrator.unmount(DATA)
    station.orchestrator.exec("sh", "-c", f"rm -rf {DATA} && mv {DATA}.kept {DATA}", user="decim")


@pytest.mark.slow
@pytest.mark.parametrize("method", ["zip", "files"])
def test_c5_a_disk_too_small_for_what_is_on_the_cards_is_found_out_before_anything_is_carried(
    station: Station, method: str
) -> None:
    """A disk with room for one camera's images, then for none -> one line with the bytes; that one is home."""
    try:
        small_disk(station, "66m")
        station.variables(wildberryeye_collection_method=method)
        station.cameras["motion"].settings(detect_limit=15)
        station.begin_day("object")
        station.wait_for_images("object", more=60)
        run = station.play("stop", status=2)
        lacking = r"carry its images to \S+/data: [\d.]+ MB needed there, .*; [\d.]+ MB free\. Free [\d.]+ MB or more"
        for name, camera in station.cameras.items():
            assert re.search(f"not home .*{lacking}", run.row(name)), run.row(name)
            assert station.on_card(name) == station.truth(camera), "nothing is deleted"
        there = station.orchestrator.exec(
            "find", DATA, "-name", "*.jpg", "-o", "-name", "*.zip", "-o", "-path", "*/receipts/*"
        )
        assert there.stdout == ""
        resize(station, "76m" if method == "files" else "72m")
        run = station.play("stop", status=2)
        the_line(run, "object", lacking)
        assert " home " in run.row("motion") and "not" not in run.row("motion")
        resize(station, "256m")
        station.play("stop")
    finally:
        take_off(station)
    station.assert_all_home()


@pytest.mark.slow
def test_c5_a_disk_that_fills_up_under_the_transfer_is_told(station: Station) -> None:
    """Somebody fills the disk while images arrive -> a clear line, nothing receipted; all home when there is room."""
    camera = station.cameras["object"]
    try:
        small_disk(station, "200m")
        station.begin_day()
        station.wait_for_images("object", more=60)
        camera.shape("8mbit")
        stopping = station.begin("stop", "--limit", "object")
        begun = f"find {DATA}/.incoming/object/day -name '*.zip*'"
        wait_until(
            lambda: bool(station.orchestrator.exec("sh", "-c", begun, check=False).stdout), "the transfer has begun", 60
        )
        fill(station)
        run = station.end(stopping, status=2, timeout=120)
        assert re.search("no space left on the device|No space left on device", run.text), run.text
        camera.shape(None)
        assert station.on_card("object") == station.truth(camera)
        station.orchestrator.exec("rm", f"{DATA}/.filler")
        station.play("stop")
    finally:
        camera.shape(None)
        take_off(station)
    station.assert_all_home()


def test_c5_a_start_on_a_full_disk_says_so_in_a_line(station: Station) -> None:
    """Not a byte is free at start -> a line that says so; with room the next start records."""
    try:
        small_disk(station, "1m")
        fill(station)
        run = station.play("start", status=2)
        said = {line.strip() for line in run.text.splitlines() if "FAILED" in line}
        assert len(said) == 1 and "No space left on device" in said.pop()
        station.orchestrator.exec("rm", f"{DATA}/.filler")
        station.begin_day()
    finally:
        take_off(station)
    station.play("stop")
    station.assert_all_home()


# -- C8, C10, C13, C18: the card and the archive change under the collection -----------------------------

# Writes images as a camera does and others than a camera does, until it is told to end: they appear, grow (some in
# the hands of whoever has renamed them), and vanish. What there was at the end goes into the list.
WRITER = """
import hashlib, json, os, random, sys, time, datetime
directory, end, listed = sys.argv[1:]
random.seed(8)
kept, gone, open_files = {}, [], []
def content(size):
    return b"\\xff\\xd8" + random.randbytes(size) + b"\\xff\\xd9"
number = 0
while not os.path.exists(end) or open_files:
    if not os.path.exists(end):
        number += 1
        name = datetime.datetime.now().strftime("object_%Y%m%d-%H%M%S-%f_other_root_CONF55_IOU65.jpg")
        file = open(os.path.join(directory, name), "wb", buffering=0)
        whole, kind = content(40_000), number % 4
        file.write(whole if kind == 3 else whole[:20_000])
        open_files.append((time.monotonic() + random.uniform(0.3, 2.5), kind, name, file, whole))
    time.sleep(0.05)
    for entry in [entry for entry in open_files if time.monotonic() > entry[0]]:
        open_files.remove(entry)
        _, kind, name, file, whole = entry
        if kind == 3:  # it was whole, and is changed in place
            more = content(5_000)
            file.write(more)
            # One that was whole, and home, when it was deleted, cannot be added to any more.
            whole = whole + more if os.fstat(file.fileno()).st_nlink else b""
        else:
            file.write(whole[20_000:])
        file.close()
        kept[name] = hashlib.sha256(whole).hexdigest() if whole else ""
        if kind == 2:
            try:
                os.unlink(os.path.join(directory, name))
                gone.append(name)
                del kept[name]
            except FileNotFoundError:
                pass
with open(listed, "w") as out:
    json.dump({"kept": kept, "gone": gone}, out)
"""


def archived(station: Station, camera: str) -> dict[str, set[str]]:
    """Return name to SHA-256 of all images of a camera that are in archives, of some more than one."""
    found: dict[str, set[str]] = {}
    for images in station.archives(camera).values():
        for name, sha256 in images.items():
            found.setdefault(name, set()).add(sha256)
    return found


@pytest.mark.slow
@pytest.mark.parametrize("method", ["zip", "files"])
def test_c8_images_that_appear_grow_and_vanish_under_a_collection_are_home_in_the_end(
    station: Station, method: str
) -> None:
    """A writer on the card beside camera and heartbeat, three collections -> all that is there at the end is home."""
    camera = station.cameras["object"]
    station.variables(
        wildberryeye_heartbeat_interval=4, wildberryeye_heartbeat_timeout=2, wildberryeye_collection_method=method
    )
    station.begin_day()
    state = "/var/lib/wildberryeye-emulator"
    end, listed = f"{state}/writer.end", f"{state}/writer.json"
    writer = camera.popen("python3", "-c", WRITER, camera.image_dir, end, listed)
    outcomes = []
    try:
        for _ in range(3):
            station.wait_for_images("object")
            run = station.end(station.begin("collect"), status=None)
            # What changed in the hands of the collection comes with the next one; nothing else may keep it.
            changed = re.search("changed while they were carried|did not arrive intact", run.row("object"))
            assert run.status == 0 or changed, run.row("object")
            outcomes.append(run.status)
    finally:
        camera.exec("touch", end)
    assert writer.wait(60) == 0
    station.play("stop")
    made = json.loads((camera.state_dir / "writer.json").read_text())
    home = archived(station, "object")
    print(f"{len(made['kept'])} kept, {len(made['gone'])} vanished, collections ended with {outcomes}")
    assert made["kept"] and made["gone"]
    lost = [name for name, sha256 in made["kept"].items() if name not in home or (sha256 and sha256 not in home[name])]
    lost += [name for name, sha256 in station.truth(camera).items() if sha256 not in home.get(name, set())]
    assert lost == []
    assert camera.listing() == []


def ready(station: Station, camera: Camera, method: str = "zip") -> tuple[str, list[str]]:
    """Set aside and freeze what is finished on the card, as a collection does; return the batch and its images."""
    arguments = f"image_dir={camera.image_dir} set_aside=stable data_dir=~/wildberryeye/analysis/data"
    module = ["-m", "wildberryeye.orchestrator.image_batch", "-a", f"{arguments} purpose=collect method={method}"]
    station.orchestrator.ansible("ansible", camera.name, "-i", INVENTORY, "-b", *module, check=True)
    (batch,) = camera.exec("sh", "-c", 'ls -d "$1"/.wildberryeye/*/*/', "sh", camera.image_dir).stdout.split()
    return batch, camera.exec("ls", batch).stdout.split()


@pytest.mark.slow
def test_c8_an_image_that_vanishes_from_a_batch_is_counted_and_no_error(station: Station) -> None:
    """An image of a frozen batch is removed from the card -> it is home in the zip; no error."""
    camera = station.cameras["object"]
    station.begin_day()
    batch, images = ready(station, camera)
    camera.exec("rm", f"{batch}{images[0]}")
    station.play("stop")
    station.assert_all_home()


@pytest.mark.slow
def test_c8_an_image_that_vanishes_before_it_could_be_fetched_is_named_once(station: Station) -> None:
    """One of a batch that goes home as files is removed from the card -> named; all others home, the next run clean."""
    camera = station.cameras["object"]
    station.begin_day()
    station.variables(wildberryeye_collection_method="files")
    batch, images = ready(station, camera, "files")
    kept = camera.exec("base64", "-w0", f"{batch}{images[0]}").stdout
    camera.exec("rm", f"{batch}{images[0]}")
    run = station.play("stop", status=2)
    assert images[0] in run.row("object")
    station.play("stop")
    assert camera.listing() == []
    assert station.home("object").keys() == station.truth(camera).keys() - {images[0]}
    # Nobody has it any more; the check of what is lost is for what we lose.
    camera.exec("sh", "-c", 'base64 -d >"$1"', "sh", f"{camera.image_dir}/{images[0]}", input=kept)


PYTHON_THAT_WAITS = """#!/bin/sh
# The N-th module that runs on this camera waits until it is killed.
echo x >>/run/modules
[ "$(wc -l </run/modules)" -eq "$(cat /run/wait-at)" ] && exec sleep 600
exec /usr/bin/python3 "$@"
"""


def test_c10_an_image_changed_after_its_receipt_is_not_deleted(station: Station) -> None:
    """An image in the batch is rewritten between receipt and cleanup -> kept, and home with the next run as well."""
    camera = station.cameras["object"]
    camera.exec("sh", "-c", "cat >/usr/local/bin/python-that-waits", input=PYTHON_THAT_WAITS)
    # The third module that a stop runs on a camera is the cleanup.
    camera.exec("sh", "-c", "chmod +x /usr/local/bin/python-that-waits; echo 3 >/run/wait-at; rm -f /run/modules")
    station.begin_day()
    station.variables(ansible_python_interpreter="/usr/local/bin/python-that-waits")
    running = station.begin("stop", "--limit", "object")
    wait_until(
        lambda: len(camera.exec("sh", "-c", "cat /run/modules 2>/dev/null || true").stdout.split()) == 3,
        "the stop comes to its cleanup",
        60,
    )
    assert list(station.data.glob("day/object/receipts/*.json"))
    station.kill_playbooks()
    station.end(running, status=None)
    camera.exec("pkill", "-f", "sleep 600", check=False)
    (batch,) = camera.exec("sh", "-c", 'ls -d "$1"/.wildberryeye/*/*/', "sh", camera.image_dir).stdout.split()
    # Of the same size and time: only when its inode changed tells, and that nobody can set.
    script = 'f=$1$(ls $1 | head -1); touch -r "$f" /run/time; printf X | dd of="$f" bs=1 seek=5000 conv=notrunc; ' + (
        'touch -r /run/time "$f"; sha256sum "$f"'
    )
    sha256, path = camera.exec("sh", "-c", script, "sh", batch).stdout.split()
    station.variables()
    station.play("stop")
    home = archived(station, "object")
    assert home[path.rsplit("/", 1)[1]] == {sha256, station.truth(camera)[path.rsplit("/", 1)[1]]}
    assert {name for name, found in home.items() if len(found) > 1} == {path.rsplit("/", 1)[1]}
    assert camera.listing() == []


STRANGE = r"""
cd "$1"; name() { echo object_20260522-093015-12345$1_strange_root.jpg; }
echo secret >/root/secret; mkdir -p $(name 2); echo inside >$(name 2)/file
ln -s /root/secret $(name 1); mkfifo $(name 3); mknod $(name 4) c 1 5; mknod $(name 5) b 7 0
"""


@pytest.mark.slow
@pytest.mark.parametrize("where", ["the image directory", "a zipped batch", "a batch of files"])
def test_c13_what_only_bears_an_images_name_is_never_followed_nor_deleted(station: Station, where: str) -> None:
    """A link, a directory, a pipe and devices under images' names -> left as they are and reported; all else home."""
    camera = station.cameras["object"]
    station.begin_day()
    method = "files" if where == "a batch of files" else "zip"
    station.variables(wildberryeye_collection_method=method)
    directory = camera.image_dir if where == "the image directory" else ready(station, camera, method)[0]
    camera.exec("sh", "-c", STRANGE, "sh", directory, privileged=True)
    listing = ["find", camera.image_dir, "-name", "*strange*", "-printf", "%f %y %l\\n"]
    before = sorted(camera.exec(*listing).stdout.splitlines())
    assert [line.split()[1] for line in before] == ["l", "d", "p", "c", "b"]
    run = station.play("stop")
    said = r"5 things that are no images left on its card, such as \S*object_20260522"
    assert re.search(said, run.row("object")), run.row("object")
    assert sorted(camera.exec(*listing).stdout.splitlines()) == before
    assert camera.exec("cat", "/root/secret").stdout == "secret\n"
    assert station.home("object") == station.truth(camera)
    station.play("stop")
    assert sorted(camera.exec(*listing).stdout.splitlines()) == before
    station.planted.update(path for path in camera.listing() if "strange" in path)


@pytest.mark.ci
@pytest.mark.parametrize(
    "foreign", ["an archive of another", pytest.param("no archive at all", marks=pytest.mark.slow)]
)
def test_c18_what_bears_the_archives_name_already_is_never_overwritten(station: Station, foreign: str) -> None:
    """A file under the archive's name before the stop -> not a byte of it changes, the images lie beside it."""
    station.begin_day()
    path = station.data / "day" / "object" / "object_day.zip"
    station.orchestrator.exec("mkdir", "-p", f"{DATA}/day/object", user="decim")
    if foreign == "an archive of another":
        content = b"not ours"
        with zipfile.ZipFile(path, "w") as archive:
            name = image(1)
            archive.writestr(name, content)
            archive.writestr("manifest-sha256.txt", f"{hashlib.sha256(content).hexdigest()}  {name}\n")
    else:
        path.write_text("my notes\n")
    before = (path.read_bytes(), path.stat().st_mtime_ns)
    status = 0 if foreign == "an archive of another" else 2
    for _ in range(2):
        run = station.play("stop", status=status)
        assert (path.read_bytes(), path.stat().st_mtime_ns) == before
    beside = path.with_name("object_day_part2.zip")
    assert contents(beside) == station.truth(station.cameras["object"])
    if foreign == "no archive at all":
        assert re.search(r"object_day\.zip: it is damaged, or no archive of ours\. .*move it away", run.row("object"))
    path.unlink()
    run = station.play("stop")
    station.assert_all_home()


@pytest.mark.slow
def test_c18_stopping_again_and_again_writes_no_archive_again(station: Station) -> None:
    """stop, then stop and collect again -> the archives stay byte for byte, with the times they had."""
    station.begin_day()
    station.play("stop")
    archives = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in station.data.glob("day/*/*.zip")}
    assert len(archives) == 2
    station.play("stop")
    station.play("collect")
    assert {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in station.data.glob("day/*/*.zip")} == archives
    station.assert_all_home()


# -- C17: seventy thousand images, five gigabytes --------------------------------------------------------

MODULE = """
import atexit, re, runpy, sys
def peak(path):
    # Not getrusage: a process inherits that peak from the one that started it.
    found = re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())
    open(path, "w").write(found[1])
atexit.register(peak, sys.argv.pop(1))
runpy.run_module(sys.argv.pop(1), run_name="__main__", alter_sys=True)
"""


def run_measured(name: str, tmp_path: Path, **arguments: object) -> tuple[dict[str, object], float]:
    """Run a module in an interpreter of its own; return its result and its peak of memory in MB."""
    peak = tmp_path / "peak"
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            MODULE,
            str(peak),
            f"ansible_collections.wildberryeye.orchestrator.plugins.modules.{name}",
        ],
        input=json.dumps({"ANSIBLE_MODULE_ARGS": {**arguments, "_ansible_remote_tmp": str(tmp_path)}}),
        env={**os.environ, "PYTHONPATH": str(ROOT / "collections")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout), int(peak.read_text()) / 1024


@pytest.mark.slow
def test_c17_seventy_thousand_images_of_five_gigabytes_come_home_in_little_memory(tmp_path: Path) -> None:
    """70,000 images, 5 GB -> each module on the camera below 60 MB; a zip64 that unzip believes; receipted, deleted."""
    if shutil.disk_usage(tmp_path).free < 20 << 30:
        pytest.skip("needs 20 GB of free disk")
    card, data = tmp_path / "card", tmp_path / "data"
    card.mkdir()
    count, size = 70_000, 75_000
    try:
        for number in range(count):
            with open(card / image(number), "wb") as file:
                # Holes on this disk, and read as zeros: only the zip takes up room.
                file.truncate(size - 10)
                file.seek(size - 10)
                file.write(b"%08d\xff\xd9" % number)
        common = {"image_dir": str(card), "timeout": 3600}
        made, batch_peak = run_measured(
            "image_batch", tmp_path, **common, set_aside="stable", data_dir=str(data), purpose="collect"
        )
        assert (made["images"], made["bytes"], made["fell_back"]) == (count - 1, (count - 1) * size, False)
        (batch,) = Card(str(card)).batches()
        assert os.path.getsize(batch.zip) > 5_000_000_000
        if shutil.which("unzip"):
            assert "No errors" in subprocess.run(["unzip", "-tq", batch.zip], capture_output=True, text=True).stdout
        incoming = data / ".incoming" / "object" / batch.experiment
        incoming.mkdir(parents=True)
        shutil.copy(batch.manifest, incoming)
        os.link(batch.zip, incoming / f"{batch.name}.zip")
        received, _ = run_measured(
            "image_receipt", tmp_path, data_dir=str(data), camera="object", batches=made["batches"]
        )
        assert (received["images"], received["receipts"][0]["unproven"]) == (count - 1, [])  # type: ignore[index]
        cleaned, cleanup_peak = run_measured("image_cleanup", tmp_path, **common, receipts=received["receipts"])
        assert (cleaned["deleted"], cleaned["left"]) == (count - 1, 0)
        assert os.listdir(card) == [image(count - 1)], "the newest stays"
        print(f"image_batch {batch_peak:.0f} MB, image_cleanup {cleanup_peak:.0f} MB")
        assert max(batch_peak, cleanup_peak) < 60
        # The way people open it.
        with zipfile.ZipFile(next(data.glob("unclaimed/object/parts/*.zip"))) as archive:
            assert len(archive.namelist()) == count
            assert archive.read(image(count - 2)).endswith(b"%08d\xff\xd9" % (count - 2))
    finally:
        shutil.rmtree(card)
        shutil.rmtree(data, ignore_errors=True)
