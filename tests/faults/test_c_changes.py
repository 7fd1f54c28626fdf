# SPDX-License-Identifier: GPL-3.0-or-later
"""What changes under a collection (C8, C10, C13, C18), on the card or in place of the archive."""

from __future__ import annotations

import hashlib
import json
import re
import zipfile

import pytest

from e2e.station import DATA, Station, contents
from lab import Camera, wait_until
from unit.support import image

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
    station.make_batch(camera.name, method)
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
