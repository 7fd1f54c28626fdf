# SPDX-License-Identifier: GPL-3.0-or-later
"""Cameras in other hands, secrets, and other users of the orchestrator (rows S1, S3, S4, S5)."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator

import pytest

from e2e.station import Station
from lab import Camera, Orchestrator, wait_until
from lab.host import Host

OTHER_HANDS = """#!/usr/bin/python3
# Our modules run on this camera; then it does and answers what it likes.
import glob, json, os, subprocess, sys, zipfile
done = subprocess.run(["/usr/bin/python3", *sys.argv[1:]], stdout=subprocess.PIPE)
out = done.stdout
if os.path.exists("/run/other-hands") and b'"batches"' in out:
    answer = json.loads(out)
    root = answer["invocation"]["module_args"]["image_dir"] + "/.wildberryeye"
    with open("/run/other-hands") as file:
        exec(file.read())
    out = json.dumps(answer).encode()
sys.stdout.buffer.write(out)
sys.stdout.flush()
sys.exit(done.returncode)
"""
INTERPRETER = "/usr/local/bin/other-hands"

REWRITE_ZIPS = """
for path in glob.glob(root + "/*/*.zip"):
    old = zipfile.ZipFile(path)
    new = zipfile.ZipFile(path + "x", "w")
    infos = [info for info in old.infolist() if info.filename.endswith(".jpg")]
    for info in old.infolist():
{members}
    new.close()
    os.replace(path + "x", path)
"""
ZIPS = {
    "strangers beside the images": (
        """
        new.writestr(info, old.read(info))
        if info is infos[0]:
            for name in ("../../../../evil", "/home/decim/evil", "/etc/evil", "evil.jpg", "-rf", "x/../../evil"):
                new.writestr(zipfile.ZipInfo(name), b"evil")
            link = zipfile.ZipInfo("evil-link")
            link.external_attr = 0o120777 << 16
            new.writestr(link, b"/etc/passwd")
        """,
        "",
    ),
    "an image twice": (
        """
        new.writestr(info, old.read(info))
        if info is infos[0]:
            new.writestr(info.filename, b"evil")
        """,
        "1 image of batch",
    ),
    "links in place of images": (
        """
        link = zipfile.ZipInfo(info.filename)
        link.external_attr = 0o120777 << 16
        new.writestr(link, b"/etc/passwd")
        """,
        "did not arrive intact",
    ),
}

REWRITE_MANIFESTS = """
import re
for path in glob.glob(root + "/*/*.manifest"):
    text = open(path, "rb").read()
    first = re.search(rb'"([^"]+[.]jpg)"', text)[1]
    text = {text}
    open(path, "wb").write(text)
"""
MANIFESTS = {
    "a name that leads elsewhere": 'text.replace(first, b"../../../../" + first, 1)',
    "an absolute name": 'text.replace(first, b"/etc/passwd", 1)',
    "a newline in a name": r'text.replace(first, b"x\\n" + first, 1)',
    "a line of 20 MB": 'text.replace(first, b"x" * 20_000_000, 1)',
    "lists in lists": 'text[: text.index(10) + 1] + b"[" * 4000 + b"]" * 90 + bytes([10])',
    "an image of 10^300 bytes": 'text.replace(b".jpg\\",", b".jpg\\",1" + b"0" * 300, 1)',
    "no end": "text[:-5]",
    "a million lists": 'text[: text.index(10) + 1] + b"[]\\n" * 1_000_000',
}

ANSWERS = {
    "an experiment above": 'answer["batches"][0]["experiment"] = "../.."',
    "an experiment that is a pattern": 'answer["batches"][0]["experiment"] = "**"',
    "a batch that leads elsewhere": 'answer["batches"][0]["batch"] = "../../../.ssh"',
    "a batch that is no text": 'answer["batches"][0]["batch"] = {"a": ["b"]}',
    "no list of batches": 'answer["batches"] = "x"',
    "a size that is none": 'answer["batches"][0]["bytes"] = "many"',
    "a label that leads elsewhere": 'answer["label"] = "../../etc"',
    "a count without a name": "answer.update(foreign_count=3, foreign=[])",
}
CONTROLS = r"""
# What Ansible itself obeys, wherever it stands in a result; and what a terminal obeys.
answer["ansible_facts"] = {
    "wildberryeye_data_dir": "/home/decim/elsewhere",
    "ansible_facts": {"wildberryeye_data_dir": "/home/decim/elsewhere"},
}
answer["ansible_stats"] = {"data": {"evil": 1}}
answer["warnings"] = ["\x1b[2Jevil"]
answer["deprecations"] = [{"msg": "\x1b[2Jevil", "version": "9"}]
answer.update(foreign_count=1, foreign=["\x1b]0;evil\x07\n\x9b2J\u202eevil"])
answer["msg"] = "\x1b[2J\rhome\nobject  home  0"
"""


@pytest.fixture
def other_hands(station: Station) -> Iterator[Camera]:
    """The camera `object`, which does in addition what is written to /run/other-hands."""
    for camera in station.cameras.values():
        script = 'cat >"$1"; chmod 755 "$1"; rm -f /run/other-hands'
        camera.exec("sh", "-c", script, "sh", INTERPRETER, input=OTHER_HANDS)
    station.variables(ansible_python_interpreter=INTERPRETER)
    yield station.cameras["object"]
    for camera in station.cameras.values():
        camera.exec("rm", "-f", "/run/other-hands", INTERPRETER)


def does(camera: Camera, what: str) -> None:
    """Have the camera do something when it has made its batches ready; nothing more if that is empty."""
    camera.exec("sh", "-c", "cat >/run/other-hands" if what else "rm -f /run/other-hands", input=what)


def outside(orchestrator: Orchestrator) -> str:
    """Return all that lies in decim's home and in /etc, but not in the data directory and in Ansible's own."""
    script = """find /etc /home/decim -xdev '(' -path /home/decim/.ansible -o -path /home/decim/.cache \
        -o -path /home/decim/.config -o -path /home/decim/station ')' -prune -o -type d -printf '%p %m\\n' \
        -o -printf '%p %s %T@ %i %m\\n' | sort"""
    return orchestrator.exec("sh", "-c", script).stdout


def assert_only_ours(station: Station) -> None:
    """Nothing lies in the data directory that we do not put there."""
    known = {".incoming", ".locks", ".heartbeat.json", "day", "unclaimed"}
    assert {path.name for path in station.data.iterdir()} <= known
    assert {path.name for path in (station.data / "day").iterdir()} <= {
        *("experiment.json", "events.jsonl", "report.html", "object", "motion")
    }
    assert not [path for path in station.data.rglob("*") if path.is_symlink() or "evil" in path.name]


# -- S1: host keys ---------------------------------------------------------------------------------------

SPY = """#!/bin/sh
# Notes with what it is called, and does it.
printf '%s\\0' "$@" >"/home/decim/said/$(basename "$0")-$$"
exec "/usr/bin/$(basename "$0")" "$@"
"""


@pytest.fixture
def said(station: Station) -> Iterator[str]:
    """A directory in which each ssh and rsync that decim starts leaves its arguments."""
    script = """mkdir -p -m 777 /home/decim/said; rm -f /home/decim/said/*
        cat >/usr/local/bin/ssh; chmod 755 /usr/local/bin/ssh; cp -p /usr/local/bin/ssh /usr/local/bin/rsync"""
    station.orchestrator.exec("sh", "-c", script, input=SPY)
    yield "/home/decim/said"
    station.orchestrator.exec("rm", "-rf", "/home/decim/said", "/usr/local/bin/ssh", "/usr/local/bin/rsync")


def calls(station: Station, said: str, program: str) -> list[list[str]]:
    """Return the arguments of each call of a program so far."""
    script = 'for path in "$1"/"$2"-*; do [ -e "$path" ] && cat "$path" && printf "\\1"; done; true'
    out = station.orchestrator.exec("sh", "-c", script, "sh", said, program).stdout
    return [call.split("\0")[:-1] for call in out.split("\1") if call]


@pytest.mark.slow
def test_s1_no_ssh_of_ours_goes_without_checking_the_host_key(station: Station, said: str) -> None:
    """Each ssh's arguments are noted, rsync's and the heartbeat's too -> none turns the check off, or knows no keys."""
    station.variables(wildberryeye_heartbeat_interval=2)
    station.begin_day()
    wait_until(
        lambda: any("ControlPath=none" in call for call in calls(station, said, "ssh")), "the heartbeat logs in", 60
    )
    station.play("stop", "-e", "wildberryeye_collection_method=files")
    for call in calls(station, said, "rsync"):
        assert not re.search(r"StrictHostKeyChecking=(?!yes)", " ".join(call)), call
    found = calls(station, said, "ssh")
    from_rsync = [call for call in found if "rsync --server" in " ".join(call)]
    assert len(from_rsync) >= 2 and len(found) > len(from_rsync) + 2
    for call in found:
        # What ssh itself makes of these arguments.
        settings = station.orchestrator.exec("/usr/bin/ssh", "-G", *call, user="decim").stdout
        assert re.search(r"^stricthostkeychecking (true|ask)$", settings, re.M), (call, settings)
        assert re.search(r"^userknownhostsfile /home/decim/station/known_hosts$", settings, re.M), (call, settings)
    station.assert_all_home()


@pytest.mark.slow
def test_s1_a_key_that_changes_in_mid_experiment_is_refused_by_all_who_log_in_anew(station: Station) -> None:
    """sshd gets a new host key while a connection is open -> no new login by playbook, rsync or heartbeat."""
    station.variables(wildberryeye_heartbeat_interval=2)
    camera = station.cameras["object"]
    station.begin_day()
    known = station.orchestrator.exec("cat", "/home/decim/station/known_hosts").stdout
    script = """cd /etc/ssh; cp -p ssh_host_ed25519_key /run/key; cp -p ssh_host_ed25519_key.pub /run/key.pub
        rm ssh_host_ed25519_key*; ssh-keygen -q -t ed25519 -N '' -f ssh_host_ed25519_key; systemctl restart ssh"""
    camera.exec("sh", "-c", script)
    try:
        wait_until(
            lambda: any("host key" in line for line in (station.data / "day/events.jsonl").read_text().splitlines()),
            "the heartbeat says that it cannot log in",
            90,
        )
        # The connection that was open belongs to the machine that had the right key, and may serve until it ends.
        station.orchestrator.exec("sh", "-c", "pkill -u decim -x ssh || true")
        # ssh's own words, which are quoted, begin with WARNING.
        run = station.end(station.begin("stop"), status=None)
        assert run.status == 2
        assert "not home" in run.row("object") and "host key" in run.row("object")
        assert "ssh-keygen -R" in run.row("object")
        station.assert_all_home("motion")
        assert not list(station.data.glob(".incoming/object/**/*.*"))
        assert station.orchestrator.exec("cat", "/home/decim/station/known_hosts").stdout == known
    finally:
        back = "cp -p /run/key /etc/ssh/ssh_host_ed25519_key; cp -p /run/key.pub /etc/ssh/ssh_host_ed25519_key.pub"
        camera.exec("sh", "-c", f"{back}; systemctl restart ssh")
    station.play("stop")
    station.assert_all_home()


# -- S3: a camera in other hands -------------------------------------------------------------------------


@pytest.mark.ci
@pytest.mark.parametrize(
    "case", [case if "links" in case else pytest.param(case, marks=pytest.mark.slow) for case in ZIPS]
)
def test_s3_a_zip_made_to_harm_does_none(station: Station, other_hands: Camera, case: str) -> None:
    """A zip with ../, absolute, duplicate or link members is fetched -> none is taken; what is no image's stays out."""
    members, complaint = ZIPS[case]
    station.begin_day()
    before = outside(station.orchestrator)
    does(other_hands, REWRITE_ZIPS.format(members=members))
    run = station.play("stop", status=2 if complaint else 0)
    assert complaint in run.row("object") and "home" in run.row("motion")
    station.assert_nothing_lost()
    if complaint:
        does(other_hands, "")
        station.play("stop")
    station.assert_all_home()
    assert_only_ours(station)
    assert outside(station.orchestrator) == before


@pytest.mark.slow
def test_s3_a_manifest_made_to_harm_is_refused_in_one_line(station: Station, other_hands: Camera) -> None:
    """Manifests with paths, newlines, endless lines, a million entries -> refused, in one line; no image is deleted."""
    station.begin_day()
    before = outside(station.orchestrator)
    for case, text in MANIFESTS.items():
        does(other_hands, REWRITE_MANIFESTS.format(text=text))
        begun = time.monotonic()
        run = station.play("stop", status=2)
        assert time.monotonic() - begun < 60, case
        assert "read the manifest" in run.row("object"), case
        assert "Nothing of it was deleted; run the collection again" in run.row("object"), case
        assert station.on_card("object") == station.truth(other_hands), case
        assert not station.archives("object") and not station.parts("object"), case
        assert_only_ours(station)
    station.assert_all_home("motion")
    does(other_hands, "")
    station.play("stop")
    station.assert_all_home()
    assert outside(station.orchestrator) == before


@pytest.mark.slow
def test_s3_an_answer_made_to_harm_is_refused_in_one_line(station: Station, other_hands: Camera) -> None:
    """The camera's Python answers with batches named ../.. and the like -> refused, one line; nothing is fetched."""
    station.begin_day()
    before = outside(station.orchestrator)
    for case, what in ANSWERS.items():
        does(other_hands, what)
        run = station.play("collect", status=2)
        assert "read what our module on the camera answered" in run.row("object"), case
        assert "collected" in run.row("motion"), case
        assert not (station.data / ".incoming" / "object").exists(), case
        assert_only_ours(station)
    does(other_hands, "")
    station.play("stop")
    station.assert_all_home()
    assert outside(station.orchestrator) == before


def test_s3_an_answer_gives_orders_neither_to_ansible_nor_to_the_terminal(
    station: Station, other_hands: Camera
) -> None:
    """The answer brings variables, hosts, warnings, escape sequences -> none is obeyed or shown; all is home."""
    station.begin_day()
    before = outside(station.orchestrator)
    does(other_hands, CONTROLS)
    run = station.play("stop")
    assert not set(run.text) & set("\x1b\x07\x9b\u202e\r")
    assert "1 things that are no images left on its card" in run.row("object")
    assert run.text.count("\nobject  ") == 1
    station.assert_all_home()
    assert_only_ours(station)
    assert outside(station.orchestrator) == before


@pytest.mark.slow
def test_s3_names_in_the_cameras_own_api_lead_nowhere(station: Station) -> None:
    """/api/capture names ../../etc/passwd -> not recording, in one line; neither machine's files are touched."""
    camera = station.cameras["object"]
    listing = "find /etc -printf '%p %s %T@\\n' | sort"
    before, there = outside(station.orchestrator), camera.exec("sh", "-c", listing).stdout
    station.variables(wildberryeye_ready_timeout=5)
    camera.faults(capture="odd_name")
    run = station.play("start", "-e", "wildberryeye_experiment=day", status=2)
    assert "not recording" in run.row("object") and "which is no image" in run.row("object")
    assert "recording" in run.row("motion") and "not" not in run.row("motion")
    camera.faults()
    assert camera.exec("sh", "-c", listing).stdout == there
    assert outside(station.orchestrator) == before
    station.play("stop")
    station.assert_all_home()


@pytest.mark.slow
def test_s3_links_on_a_card_lead_nowhere(station: Station) -> None:
    """Links to /etc as experiment, batch, zip and image, odd directories -> not followed, not fetched, not deleted."""
    camera = station.cameras["object"]
    station.begin_day()
    station.make_batch("object")
    listing = "find /etc -printf '%p %s %T@ %l\\n' | sort"
    before, there = outside(station.orchestrator), camera.exec("sh", "-c", listing).stdout
    script = r"""cd "$1/.wildberryeye"
        zip=$(ls */*.zip); batch=${zip%.zip}; rm "$zip"; ln -s /etc/passwd "$zip"
        ln -s /etc/passwd "$batch/object_20260522-093015-123456_link_root.jpg"
        ln -s /etc link; ln -s ../../../../../../.. up; mkdir -- ..x -x "$(printf 'a\nb')"
        ln -s /etc day/20260522T050001Z-deadbeef; ln -s /etc/passwd day/20260522T050001Z-deadbeee.manifest"""
    camera.exec("sh", "-c", script, "sh", camera.image_dir)
    planted = ("link", "up", "..x/", "-x/", "a\nb/", "day/20260522T050001Z-deadbeef")
    station.planted |= {f".wildberryeye/{name}" for name in planted}
    station.planted.add(".wildberryeye/day/20260522T050001Z-deadbeee.manifest")
    run = station.play("stop", status=2)
    assert "not home" in run.row("object") and "did not arrive intact" in run.row("object")
    station.assert_nothing_lost()
    station.play("stop")
    assert station.home("object") == station.truth(camera)
    assert camera.exec("sh", "-c", listing).stdout == there
    assert outside(station.orchestrator) == before
    assert_only_ours(station)
    for path in station.data.rglob("*"):
        assert not path.is_file() or b"root:x:0:0" not in path.read_bytes(), path


# -- S4: secrets -----------------------------------------------------------------------------------------

CANARY = "canary-31ef0d"
WATCHER = """
import glob, os, time
seen = set()
kept = "/run/user/1000"
while os.path.exists("/run/watch"):
    paths = glob.glob("/proc/[0-9]*/cmdline") + glob.glob("/proc/[0-9]*/environ")
    # What ansible-runner needs is gone when it ends.
    paths += [os.path.join(where, name) for where, _, names in os.walk(kept) for name in names]
    for path in paths:
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
            seen.add(os.read(descriptor, 1 << 20))
            os.close(descriptor)
        except OSError:
            pass
    time.sleep(0.05)
with open("/run/watched", "wb") as file:
    file.write(b"\\n".join(seen))
"""


@pytest.mark.slow
def test_s4_secrets_of_the_inventory_stay_in_it(station: Station) -> None:
    """A password and a key in the inventory; start, a restart by the heartbeat, stop -> nowhere else, on no machine."""
    camera = station.cameras["object"]
    key = station.orchestrator.exec("sed", "-n", "3p", "/home/decim/station/key").stdout.strip()
    assert len(key) > 40
    station.variables(ansible_become_password=CANARY, camera_token=CANARY, wildberryeye_heartbeat_interval=2)
    hosts: list[Host] = [station.orchestrator, *station.cameras.values()]
    for host in hosts:
        host.exec("sh", "-c", "touch /run/watch; rm -f /run/watched")
    watchers = [host.popen("python3", "-c", WATCHER) for host in hosts]
    said = []
    try:
        said.append(station.play("start", "-e", "wildberryeye_experiment=day").text)
        station.wait_for_images()
        camera.stop_service()
        before = len(station.detected(camera))
        wait_until(lambda: len(station.detected(camera)) > before + 3, "the heartbeat has restarted it", 180)
        said.append(station.play("status").text)
        said.append(station.play("stop").text)
    finally:
        for host in hosts:
            host.exec("rm", "-f", "/run/watch")
        for watcher in watchers:
            watcher.communicate(timeout=60)
    for host in hosts:
        said.append(host.exec("cat", "/run/watched").stdout)
        assert "ansible" in said[-1] or "sshd" in said[-1], "the watcher has seen what runs"
        said.append(host.exec("journalctl", "--no-pager", "--all").stdout)
        script = """find / -xdev '(' -path /proc -o -path /sys -o -path /home/decim/station -o -path /usr \
            -o -path /var/lib -o -path /opt ')' -prune -o -type f ! -path /run/watched -print0 |
                xargs -0 grep -laF -e "$1" -e "$2"
            grep -rlaF -e "$1" -e "$2" /home/decim/wildberryeye /run/user /tmp 2>/dev/null; true"""
        assert host.exec("sh", "-c", script, "sh", CANARY, key).stdout == "", host.name
    assert not [text for text in said if CANARY in text or key in text]
    station.assert_all_home()


# -- S5: other users -------------------------------------------------------------------------------------


@pytest.mark.ci
@pytest.mark.parametrize("umask", ["000", pytest.param("002", marks=pytest.mark.slow)])
def test_s5_nothing_of_ours_can_be_written_by_others(station: Station, umask: str) -> None:
    """start, collect and stop under umask 000 and 002 -> nothing in data, settings, /run and /tmp is world-writable."""
    for name in ("start", "collect", "stop"):
        command = ["sh", "-c", f'umask {umask}; exec "$@"', "sh", *station.command(name)]
        station.judge(station.orchestrator.ansible(*command), 0)
        script = """find -P /home/decim/wildberryeye /home/decim/.config /home/decim/.local /home/decim/.ansible \
            /home/decim/.cache /run/user/1000 /tmp /var/tmp /dev/shm -user decim -perm -002 \
            ! -type l ! -type s 2>/dev/null"""
        assert station.orchestrator.exec("sh", "-c", script, check=False).stdout == "", name
        if name == "start":
            station.wait_for_images()
    station.assert_all_home()
