# SPDX-License-Identifier: GPL-3.0-or-later
"""One look at a camera: it detects again afterwards, loses no image by it, and no answer holds the heartbeat up."""

from __future__ import annotations

import os
import resource
import shlex
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.wildberryeye.orchestrator.plugins.module_utils import probe
from ansible_collections.wildberryeye.orchestrator.plugins.module_utils.camera_client import CameraClient, CameraError
from ansible_collections.wildberryeye.orchestrator.plugins.module_utils.watch import EXPECTED, FINE, Finding, Look
from lab.emulated import Lab, wait_for
from unit.support import image

UNIT = "wildberryeye.service"
YES: Callable[[], bool] = lambda: True  # noqa: E731


def known(camera: Lab, mode: str = "object", ssh: tuple[str, ...] = ("false",)) -> probe.Camera:
    """What the heartbeat knows of an emulated camera."""
    return probe.Camera("object", mode, CameraClient("127.0.0.1", camera.port), ssh, UNIT)


def look_at(
    camera: Lab,
    pictures: tuple[str, ...] = (),
    patience: float = 2,
    wanted: Callable[[], bool] = YES,
    mode: str = "object",
) -> Finding:
    return probe.probe(known(camera, mode), pictures, 2, patience, False, wanted)


def asked(camera: Lab) -> list[str]:
    return [line["path"] for line in camera.lines("requests") if line["event"] == "answered"]


# --- over the API --------------------------------------------------------------------------------


def test_a_camera_that_was_restarted_detects_again_and_the_restart_is_noticed(camera: Lab) -> None:
    camera.start()
    began = time.monotonic()
    found = look_at(camera)
    assert (found.kind, found.text, found.restarted, found.look) == (FINE, "", True, None)
    assert began <= found.began <= time.monotonic()
    assert camera.detecting()[-1] == (True, "start") and camera.stored("object")
    assert "/api/set-baseline" not in asked(camera)
    assert look_at(camera, found.pictures)._replace(began=0, pictures=()) == Finding(0, FINE)


def test_each_probe_deletes_the_picture_before_it_and_nothing_else(camera: Lab) -> None:
    camera.start()
    mine: tuple[str, ...] = ()
    for _ in range(4):
        mine = look_at(camera, mine).pictures
        assert len(mine) == 1 and (camera.images / mine[0]).exists()
        assert camera.ask("HEAD", "/latest-image").status_code == 200
    deleted = [line["name"] for line in camera.truth("deleted")]
    assert len(deleted) == 3 and all(name.startswith("manual_") for name in deleted) and mine[0] not in deleted
    on_card = {path.name for path in camera.images.iterdir()}
    assert {line["name"] for line in camera.truth("end")} - on_card == set(deleted)


def test_pictures_that_could_not_be_deleted_are_not_forgotten(camera: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    camera.start()
    delete = CameraClient.delete

    def fail(self: CameraClient, names: Any, timeout: float) -> None:
        raise CameraError("timeout", "delete", "no answer")

    monkeypatch.setattr(CameraClient, "delete", fail)
    mine = look_at(camera).pictures
    for number in (2, 3):
        found = look_at(camera, mine)
        assert found.kind == "timeout" and len(found.pictures) == number
        mine = found.pictures
    monkeypatch.setattr(CameraClient, "delete", delete)
    assert len(look_at(camera, mine).pictures) == 1
    assert {line["name"] for line in camera.truth("deleted")} == set(mine)
    # Not without end, when nothing is ever deleted: what is forgotten is collected with the others.
    monkeypatch.setattr(CameraClient, "delete", fail)
    assert len(look_at(camera, tuple(image(number) for number in range(30))).pictures) == 10


def test_one_that_is_not_to_record_any_more_is_not_made_to(camera: Lab) -> None:
    camera.start()
    found = look_at(camera, wanted=lambda: False)
    assert found.kind == FINE and not camera.detecting()[-1][0] and "/api/start" not in asked(camera)


def test_whether_it_is_to_record_is_asked_last_of_all(camera: Lab) -> None:
    camera.start()
    before: list[list[str]] = []

    def wanted() -> bool:
        before.append(asked(camera))
        return True

    look_at(camera, (image(1, "manual"),), wanted=wanted)
    (paths,) = before
    assert "/api/delete-images" in paths and "/api/start" not in paths


def test_a_motion_camera_gets_its_baseline_and_after_a_restart_not_too_early(camera: Lab) -> None:
    camera.start("motion")
    found = look_at(camera, mode="motion")
    assert found.kind == FINE and camera.stored("motion")
    at = {line["path"]: line["at"] for line in camera.lines("requests")}
    assert at["/api/set-baseline"] - at["/api/start"] >= 2.0
    began = time.monotonic()
    look_at(camera, found.pictures, mode="motion")
    assert time.monotonic() - began < 1.5 and asked(camera).count("/api/set-baseline") == 2
    look_at(camera, mode="motion", wanted=lambda: False)
    assert asked(camera).count("/api/set-baseline") == 2


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        ("error500", "answer"),
        ("html", "answer"),
        ("truncated", "answer"),
        ("redirect", "answer"),
        ("odd_name", "answer"),
        ("huge", "answer"),
        ("hang", "timeout"),
        ("no_file", "storage"),
    ],
)
def test_each_way_to_take_no_picture_is_a_failure_of_bounded_time_and_memory(
    camera: Lab, fault: str, kind: str
) -> None:
    camera.start()
    mine = look_at(camera).pictures
    camera.faults(capture=fault)
    memory, began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.monotonic()
    found = look_at(camera, mine, patience=0.5)
    assert found.kind == kind and found.text and "\n" not in found.text and not found.restarted
    assert found.pictures == mine and (camera.images / mine[0]).exists()
    assert time.monotonic() - began < 4
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory < 30_000  # KB


@pytest.mark.parametrize("patience", [0.3, 1.0])
def test_a_wedged_camera_is_given_up_when_patience_ends(camera: Lab, patience: float) -> None:
    camera.start()
    camera.faults(wedged=True)
    began = time.monotonic()
    assert look_at(camera, patience=patience).kind == "timeout"
    assert patience <= time.monotonic() - began < patience + 1


def test_one_that_is_slow_to_its_first_frame_gets_the_patience_that_it_is_asked_with(camera: Lab) -> None:
    camera.start(first_frame_delay=1.0)
    assert probe.probe(known(camera), (), 0.5, 5, False, YES).kind == FINE


def test_a_picture_of_which_the_end_is_missing_says_that_the_card_is_full(camera: Lab) -> None:
    camera.start()
    camera.faults(half_write=True)
    found = look_at(camera)
    assert found.kind == "storage" and "did not store it" in found.text and found.restarted
    assert "/api/start" not in asked(camera)
    camera.faults()
    assert look_at(camera).kind == FINE


def test_a_camera_that_refuses_to_detect_is_a_failure_that_forgets_no_picture(camera: Lab) -> None:
    camera.start()
    camera.faults(start="error500")
    found = look_at(camera)
    assert found.kind == "answer" and len(found.pictures) == 1
    assert look_at(camera, found.pictures).pictures != found.pictures


def test_a_service_that_is_down_refuses(camera: Lab) -> None:
    assert look_at(camera, ("a",))._replace(began=0) == Finding(0, "refused", "connection refused", False, ("a",))


# --- by SSH --------------------------------------------------------------------------------------


class Remote:
    """A camera to log in to: a stand-in for ssh, which runs what it is given on this machine, or anything else."""

    def __init__(self, directory: Path) -> None:
        self.ssh = directory / "ssh"
        self.bin = directory / "bin"
        self.bin.mkdir()
        self.uptime = float(Path("/proc/uptime").read_text().split()[0])
        self.says(f'for script; do :; done; PATH={shlex.quote(str(self.bin))}:$PATH exec sh -c "$script"')
        self.command("sudo", '[ "$1" = -n ] && shift && exec "$@"')
        self.service(started=self.uptime - 50)
        self.journal()

    def says(self, script: str) -> None:
        """Let ssh do this."""
        self._write(self.ssh, script)

    def command(self, name: str, script: str) -> None:
        """Have this command on the camera."""
        self._write(self.bin / name, script)

    def service(self, state: str = "active", started: float = 0, identity: str = "5f") -> None:
        """Have the service in this state; `started` seconds after boot."""
        lines = f"ActiveState={state}\\nActiveEnterTimestampMonotonic={started * 1e6:.0f}\\nInvocationID={identity}\\n"
        self.command(
            "systemctl",
            f'echo "$*" >>{shlex.quote(str(self.bin))}/asked\n'
            f"case \"$*\" in *--value*) echo '{identity}';; *) printf '{lines}';; esac",
        )

    def journal(self, *messages: tuple[float, str]) -> None:
        """Have this in the journal: seconds ago, what."""
        now = time.time()
        lines = "\n".join(f"{text}\t{now - ago:.6f} wildberry01 python3[12]: {text}" for ago, text in messages)
        (self.bin / "journal").write_text(lines + "\n" if lines else "")
        # Of journalctl it does what is asked of it: --grep is a Perl expression on the message alone.
        self.command(
            "journalctl",
            f'while [ "$1" != --grep ]; do shift; done; [ "$3" = _SYSTEMD_INVOCATION_ID=5f ] || exit 1\n'
            f'grep -P "$2" {shlex.quote(str(self.bin))}/journal | tail -n 1 | cut -f 2',
        )

    def look(self, timeout: float = 2, service: str = UNIT, image_dir: str = "/nowhere") -> Look:
        """Log in and look; it ends in time, whatever is there."""
        began = time.monotonic()
        client = CameraClient("127.0.0.1", 1)
        seen = probe.look(
            probe.Camera("object", "object", client, [str(self.ssh), "-o", "x", "--", "y"], service, image_dir),
            timeout,
        )
        assert time.monotonic() - began < 2 * timeout + 1
        assert "\n" not in seen.text and len(seen.text) <= 200 and seen.reached == (not seen.text)
        return seen

    def _write(self, path: Path, script: str) -> None:
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)


@pytest.fixture
def remote(tmp_path: Path) -> Remote:
    return Remote(tmp_path)


def test_a_login_tells_whether_the_service_runs_and_for_how_long(remote: Remote) -> None:
    seen = remote.look()
    assert (seen.reached, seen.active, seen.process, seen.died) == (True, True, "5f", None)
    assert 50 <= seen.age < 55
    remote.service(started=remote.uptime - 50, identity="60")
    assert remote.look().process == "60"


@pytest.mark.parametrize("state", ["inactive", "failed", "activating"])
def test_a_service_that_does_not_run_has_no_age(remote: Remote, state: str) -> None:
    remote.service(state, identity="")
    assert remote.look() == Look(True)


@pytest.mark.parametrize("sudo", ["allowed", "refused"])
def test_a_detection_that_died_shows_in_the_journal(remote: Remote, sudo: str) -> None:
    remote.command("id", "echo eye sudo")
    if sudo == "refused":
        remote.command("sudo", "exit 1")
    remote.journal((30, "Exception in thread Thread-2 (_detect):"), (20, "RuntimeError: no frame"))
    died = remote.look().died
    assert died is not None and 29 <= died <= 32


@pytest.mark.parametrize(("groups", "asked"), [("eye adm", False), ("eye systemd-journal", False), ("eye sudo", True)])
def test_sudo_is_asked_only_where_the_journal_cannot_be_read_without(remote: Remote, groups: str, asked: bool) -> None:
    remote.command("id", f"echo {groups}")
    remote.command("sudo", f'touch {shlex.quote(str(remote.bin))}/sudone; [ "$1" = -n ] && shift && exec "$@"')
    remote.journal((30, "Exception in thread Thread-2 (_detect):"))
    assert remote.look().died is not None
    assert (remote.bin / "sudone").exists() == asked


def test_a_request_that_failed_is_no_death(remote: Remote) -> None:
    remote.journal(
        (10, "Exception in thread Thread-9 (process_request_thread):"), (5, "10.0.0.1 - GET / Exception in thread")
    )
    assert remote.look().died is None


def test_a_death_is_never_older_than_the_service_or_in_the_future(remote: Remote) -> None:
    remote.journal((5000, "Exception in thread Thread-2:"))
    seen = remote.look()
    assert seen.died == seen.age < 60
    remote.journal((-5000, "Exception in thread Thread-2:"))
    assert remote.look().died == 0.0


def test_the_age_of_a_death_is_by_the_cameras_own_clock(remote: Remote) -> None:
    remote.command("date", "echo 1000030")
    remote.command("journalctl", "echo '1000000.5 wildberry01 python3[12]: Exception in thread Thread-2:'")
    assert remote.look().died == 29.5


def test_the_name_of_a_service_is_a_name_and_no_command(remote: Remote, tmp_path: Path) -> None:
    remote.look(service=f"x; touch {tmp_path}/gone")
    assert not (tmp_path / "gone").exists()
    assert f"x; touch {tmp_path}/gone" in (remote.bin / "asked").read_text()


def test_a_login_tells_how_much_room_is_left_on_the_card(remote: Remote, tmp_path: Path) -> None:
    place = tmp_path / "a card; exit 1"
    place.mkdir()
    space = os.statvfs(place)
    free = remote.look(image_dir=str(place)).free
    assert free is not None and abs(free - space.f_bavail * space.f_frsize) < 1 << 30
    assert remote.look().free is None


@pytest.mark.parametrize("said", ["", "-", "-7", "9" * 30, "12 GB", "\\303\\251"])
def test_room_that_is_no_number_is_not_known_and_costs_no_look(remote: Remote, said: str) -> None:
    remote.command("df", f"printf 'Avail\\n{said}\\n'")
    seen = remote.look()
    assert seen.reached and seen.active and seen.free is None


def test_a_card_that_hangs_when_it_is_asked_for_its_room_costs_no_look(remote: Remote) -> None:
    remote.command("df", "exec sleep 60")
    seen = remote.look(timeout=0.5)
    assert seen.reached and seen.active and seen.free is None


def test_an_endless_answer_costs_neither_memory_nor_time(remote: Remote) -> None:
    remote.says("exec yes ActiveState=active")
    memory, began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.monotonic()
    assert not remote.look(timeout=5).reached
    assert time.monotonic() - began < 2
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory < 10_000  # KB


@pytest.mark.parametrize("script", ["exec sleep 61", "sleep 61; true", "sleep 61 & echo UP; wait"])
def test_a_login_that_hangs_is_ended_with_all_that_it_started(remote: Remote, script: str) -> None:
    remote.says(script.replace("sleep", f"{remote.bin}/sleep"))
    (remote.bin / "sleep").symlink_to("/bin/sleep")
    assert not remote.look(timeout=0.3).reached
    wait_for(lambda: not running(f"{remote.bin}/sleep"))


def running(program: str) -> list[str]:
    """Processes of this program, zombies aside."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if program in path.read_text(errors="replace").split("\0")[0]:
                found.append(path.parent.name)
        except OSError:
            continue
    return found


def test_a_login_that_never_answers_says_so(remote: Remote) -> None:
    remote.says("exec sleep 61")
    assert remote.look(timeout=0.3).text == "no answer within 1 s"


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("ssh: connect to host 10.0.0.9 port 22: No route to host", "unreachable by SSH"),
        ("eye@10.0.0.9: Permission denied (publickey).", "SSH refused user or key"),
        ("Host key verification failed.", "its host key is not the one that is known"),
        ("@@@@\n@  WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!  @\n@@@@", "its host key is not the one"),
        ("sh: systemctl: not found", "systemctl: not found"),
    ],
)
def test_a_login_that_is_refused_is_explained(remote: Remote, said: str, words: str) -> None:
    remote.says(f"cat >&2 <<'END'\n{said}\nEND\nexit 255")
    seen = remote.look()
    assert not seen.reached and words in seen.text


def test_without_ssh_there_is_no_login_and_no_traceback(remote: Remote) -> None:
    remote.ssh.unlink()
    assert remote.look() == Look(False, "ssh cannot be run: No such file or directory")


WHOLE = {
    "ActiveState": "active",
    "ActiveEnterTimestampMonotonic": "5",
    "InvocationID": "5f",
    "Uptime": "100.0",
    "Now": "1000000",
    "Died": "999990 x",
}


@pytest.mark.parametrize(
    "changed",
    [
        *({name: None} for name in WHOLE if name != "Died"),
        *({name: value} for name in ("Now", "ActiveEnterTimestampMonotonic") for value in ("x", "9" * 5000)),
        {"Uptime": "x"},
        {"ActiveEnterTimestampMonotonic": "9" * 400},
        {"Now": "9" * 400},
        {"Now": ""},
        {"Died": ""},
        {"Died": " "},
        {"Died": "-- No entries --"},
    ],
)
def test_a_login_that_says_something_else_is_none(remote: Remote, changed: dict[str, str | None]) -> None:
    fields = {name: value for name, value in {**WHOLE, **changed}.items() if value is not None}
    remote.says("cat <<'END'\n" + "\n".join(f"{name}={value}" for name, value in fields.items()) + "\nEND")
    assert not remote.look().reached


@pytest.mark.parametrize(
    "changed",
    [{}, {"Uptime": "nan"}, {"Uptime": "inf"}, {"Uptime": "-1"}, {"Died": "nan x"}, {"Died": "-inf x"}],
    ids=str,
)
def test_numbers_that_are_none_make_no_age_that_is_none(remote: Remote, changed: dict[str, str]) -> None:
    fields = {**WHOLE, **changed}
    remote.says("cat <<'END'\nWelcome\n" + "\n".join(f"{name}={value}" for name, value in fields.items()) + "\nEND")
    seen = remote.look()
    assert seen.reached and seen.age >= 0 and seen.died is not None and 0 <= seen.died <= seen.age


def test_a_probe_logs_in_where_it_is_told_to_whatever_the_api_says(camera: Lab, remote: Remote) -> None:
    for state in ("refused", FINE):
        found = probe.probe(known(camera, ssh=(str(remote.ssh),)), (), 2, 2, True, YES)
        assert found.kind == state and found.look is not None and found.look.process == "5f"
        if state == "refused":
            camera.start()


def test_a_camera_that_was_never_begun_is_only_logged_in_to(camera: Lab, remote: Remote) -> None:
    camera.start()
    there = known(camera, ssh=(str(remote.ssh),))
    found = probe.probe_expected(there, ("a",), 2)
    assert (found.kind, found.pictures) == (EXPECTED, ("a",)) and found.look is not None and found.look.reached
    remote.says("exit 255")
    found = probe.probe_expected(there, ("a",), 2)
    assert (found.kind, found.pictures) == ("unreachable", ("a",)) and found.look is not None
    assert not found.look.reached
    assert camera.lines("requests") == []


def test_no_stand_in_is_left_behind(remote: Remote) -> None:
    descriptors = len(os.listdir("/proc/self/fd"))
    for script in ("exec yes", "exec sleep 61", "exit 3"):
        remote.says(script)
        remote.look(timeout=0.1)
    assert len(os.listdir("/proc/self/fd")) == descriptors
