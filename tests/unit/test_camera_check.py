# SPDX-License-Identifier: GPL-3.0-or-later
"""What a camera lacks is named before the morning on which it would cost a day, and how to mend it."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from ansible.errors import AnsibleConnectionFailure

from ansible_collections.wildberryeye.orchestrator.plugins.action import camera_check
from ansible_collections.wildberryeye.orchestrator.plugins.filter.readiness import readiness
from unit.acting import There, act
from unit.support import run_module

UNIT = "wildberryeye.service"
EXEC = "{{ path=/usr/bin/python3 ; argv[]=/usr/bin/python3 main.py {} ; ignore_errors=no }}"
SYSTEMCTL = """#!/bin/sh
echo "$@" >>"$(dirname "$0")/asked"
cat "$(dirname "$0")/unit"
"""
HEALTHY = {
    "LoadState": "loaded",
    "UnitFileState": "enabled",
    "ActiveState": "active",
    "ExecStart": EXEC.format("object"),
    "WantedBy": "multi-user.target",
    "RequiredBy": "",
}


class Camera:
    """A camera that consists of a few programs; the script that looks at it runs for real."""

    def __init__(self, path: Path) -> None:
        self.bin = path / "bin"
        self.bin.mkdir()
        for name in ("sh", "tr", "sed", "cat", "dirname"):
            (self.bin / name).symlink_to(f"/bin/{name}" if name == "sh" else f"/usr/bin/{name}")
        self.program("sudo", '#!/bin/sh\n[ "$*" = "-n true" ]\n')
        self.program("python3", "#!/bin/sh\necho 3.11\n")
        self.program("rsync", "#!/bin/sh\n")
        self.program("systemctl", SYSTEMCTL)
        self.unit()
        self.noise = ""
        self.error: Exception | None = None

    def program(self, name: str, text: str) -> None:
        # Some are links to this machine's own programs.
        (self.bin / name).unlink(missing_ok=True)
        (self.bin / name).write_text(text)
        (self.bin / name).chmod(0o755)

    def without(self, name: str) -> None:
        (self.bin / name).unlink()

    def unit(self, **properties: str) -> None:
        shown = {**HEALTHY, **properties}
        (self.bin / "unit").write_text("".join(f"{name}={value}\n" for name, value in shown.items()))

    def execute(self, command: str, sudoable: bool = True, **_: Any) -> dict[str, Any]:
        """As Ansible does by ssh."""
        assert not sudoable
        if self.error:
            raise self.error
        done = subprocess.run(
            ["/bin/sh", "-c", command], env={"PATH": str(self.bin)}, capture_output=True, text=True, check=False
        )
        return {"rc": done.returncode, "stdout": done.stdout + self.noise, "stderr": done.stderr}

    def check(self, check: bool = False, **given: Any) -> dict[str, Any]:
        def action(*words: Any) -> Any:
            found = camera_check.ActionModule(*words)
            found._low_level_execute_command = self.execute
            return found

        action.__module__ = camera_check.__name__
        python = str(self.bin / "python3")
        return act(action, There(), check, **{"mode": "object", "python": python, **given})

    def problems(self, **given: Any) -> list[str]:
        result = self.check(**given)
        assert result["failed"] and result["reached"] and result["msg"] == "; ".join(result["problems"])
        return list(result["problems"])


@pytest.fixture
def camera(tmp_path: Path) -> Camera:
    return Camera(tmp_path)


@pytest.mark.parametrize("check", [False, True])
def test_a_camera_that_has_everything_is_ready(camera: Camera, check: bool) -> None:
    result = camera.check(check)
    assert not result.get("failed") and not result.get("changed") and result["reached"]
    assert result["msg"] == f"ssh, sudo, python3 3.11, rsync, {UNIT} (object): all there" and result["problems"] == []


def test_it_only_reads(camera: Camera) -> None:
    before = sorted(os.listdir(camera.bin))
    camera.check(service="my.service")
    asked = (camera.bin / "asked").read_text().splitlines()
    assert len(asked) == 1 and asked[0].startswith("show ") and asked[0].endswith(" -- my.service")
    assert sorted(os.listdir(camera.bin)) == sorted([*before, "asked"])


def test_everything_that_is_missing_is_named_at_once_and_without_python(camera: Camera) -> None:
    camera.program("sudo", "#!/bin/sh\necho 'sudo: a password is required' >&2; exit 1\n")
    camera.without("python3")
    camera.without("rsync")
    camera.unit(UnitFileState="disabled", ExecStart=EXEC.format("motion"), ActiveState="failed")
    assert camera.problems() == [
        "sudo asks for a password or is not allowed (sudo: a password is required)."
        " Let that user use sudo without a password on the camera",
        f"{camera.bin}/python3 does not run on the camera. Run 'sudo apt install python3' there, or correct"
        " ansible_python_interpreter",
        "rsync is not installed on the camera. Run 'sudo apt install rsync' there",
        f"look at {UNIT}: it runs the camera in motion mode, the inventory says object."
        " Put the camera into the group motion_cameras, or change the unit",
        f"{UNIT} does not come back after a power cut: it is disabled."
        f" Run 'sudo systemctl enable {UNIT}' on the camera",
        f"{UNIT} has failed. Look at 'systemctl status {UNIT}' on the camera",
    ]


def test_sudo_that_is_not_installed_or_refuses_without_a_word_is_named(camera: Camera) -> None:
    camera.program("sudo", "#!/bin/sh\nexit 1\n")
    assert "sudo asks for a password or is not allowed" in camera.problems()[0]
    camera.without("sudo")
    assert "sudo: command not found" in camera.problems()[0]


@pytest.mark.parametrize(("version", "fits"), [("3.8", False), ("2.7", False), ("3.9", True), ("3.13", True)])
def test_a_python_that_is_too_old_is_named(camera: Camera, version: str, fits: bool) -> None:
    camera.program("python3", f"#!/bin/sh\necho {version}\n")
    if fits:
        assert f"python3 {version}," in camera.check()["msg"]
    else:
        assert f"is {version}, 3.9 is needed. " in camera.problems()[0]


def test_a_unit_that_is_not_there_is_named_once(camera: Camera) -> None:
    camera.unit(LoadState="not-found", UnitFileState="", ActiveState="inactive", ExecStart="", WantedBy="")
    (line,) = camera.problems()
    assert line.startswith(f"look at {UNIT}: systemd says not-found. Install WildBerryEye")


@pytest.mark.parametrize("state", ["disabled", "enabled-runtime", "linked", "static", ""])
def test_a_unit_that_a_power_cut_would_end_for_good_is_named(camera: Camera, state: str) -> None:
    camera.unit(UnitFileState=state, WantedBy="")
    (line,) = camera.problems()
    assert f"does not come back after a power cut: it is {state or 'not enabled'}. Run 'sudo systemctl enable" in line


def test_a_unit_that_another_brings_with_it_comes_back(camera: Camera) -> None:
    camera.unit(UnitFileState="static")
    assert camera.check()["problems"] == []


@pytest.mark.parametrize("state", ["inactive", "activating"])
def test_a_service_that_is_stopped_to_save_the_battery_is_no_problem(camera: Camera, state: str) -> None:
    camera.unit(ActiveState=state)
    assert camera.check()["problems"] == []


def test_a_camera_without_systemd_is_named(camera: Camera) -> None:
    camera.without("systemctl")
    assert camera.problems() == ["systemctl does not answer on the camera. Check there that systemd runs"]


def test_a_login_that_talks_is_not_mistaken_for_the_answer(camera: Camera) -> None:
    camera.noise = "Welcome!\nrsync=\nLoadState=not-found\n"
    assert camera.check()["problems"] == []


def test_names_with_blanks_and_quotes_are_names(camera: Camera) -> None:
    camera.check(service="$(touch pwned) 'a.service")
    assert (camera.bin / "asked").read_text().endswith("-- $(touch pwned) 'a.service\n")


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (
            "Failed to connect to the host via ssh: ssh: connect to host x port 22: No route to host",
            "unreachable by SSH",
        ),
        ("Failed to connect to the host via ssh: eye@x: Permission denied (publickey).", "SSH refused user or key"),
    ],
)
def test_a_camera_that_cannot_be_reached_is_told_in_one_line(camera: Camera, error: str, words: str) -> None:
    camera.error = AnsibleConnectionFailure(error)
    result = camera.check()
    assert result["failed"] and result["reached"] is False and result["msg"].startswith(words)


def test_a_login_that_runs_nothing_counts_as_out_of_reach(camera: Camera) -> None:
    camera.without("sh")
    camera.execute = lambda *_, **__: {"rc": 1, "stdout": "This account is locked\n", "stderr": ""}  # type: ignore[method-assign]
    result = camera.check()
    assert result["failed"] and result["reached"] is False and result["msg"] == "This account is locked"


def test_the_module_itself_says_that_it_is_an_action() -> None:
    assert "action plugin" in run_module("camera_check", {"mode": "object"}).failed()


# -- without sudo ------------------------------------------------------------------------------------------

ANSWERS = """#!/bin/sh
case "$*" in
*"--value -- polkit.service") cat "$(dirname "$0")/polkit" ;;
*"--value -- wildberryeye_port.service") cat "$(dirname "$0")/port" ;;
*--value*) sed -n 's/^ActiveState=//p' "$(dirname "$0")/unit" ;;
show*) cat "$(dirname "$0")/unit" ;;
*) echo "$@" >>"$(dirname "$0")/asked"; cat "$(dirname "$0")/refusal" >&2; [ ! -s "$(dirname "$0")/refusal" ] ;;
esac
"""


@pytest.fixture
def bare(camera: Camera, tmp_path: Path) -> Camera:
    """A camera whose user was given all that is needed, and has no sudo."""
    camera.program("sudo", "#!/bin/sh\necho 'sudo: a password is required' >&2; exit 1\n")
    camera.program("systemctl", ANSWERS)
    camera.program("nft", "#!/bin/sh\n")
    camera.program("id", '#!/bin/sh\ncase "$1" in -un) /usr/bin/id -un ;; *) echo eye adm ;; esac\n')
    (camera.bin / "find").symlink_to("/usr/bin/find")
    for name, text in (("polkit", "loaded"), ("port", "active"), ("refusal", "")):
        (camera.bin / name).write_text(text)
    (tmp_path / "images" / ".wildberryeye" / "day" / "batch").mkdir(parents=True)
    (tmp_path / "images" / "object_1.jpg").touch()
    return camera


def without_sudo(camera: Camera, **given: Any) -> dict[str, Any]:
    images = str(camera.bin.parent / "images")
    return camera.check(**{"sudo": False, "limited": True, "image_dir": images, **given})


def test_a_user_who_was_given_everything_needs_no_sudo(bare: Camera) -> None:
    result = without_sudo(bare)
    assert result["problems"] == [] and result["msg"].startswith("ssh, no sudo, python3 3.11")
    # What is asked of systemd changes nothing: nothing has failed, or it is stopped already.
    assert (bare.bin / "asked").read_text() == f"--no-ask-password reset-failed -- {UNIT}\n"
    bare.unit(ActiveState="failed")
    without_sudo(bare)
    assert (bare.bin / "asked").read_text().endswith(f"--no-ask-password stop -- {UNIT}\n")


def test_a_camera_that_is_only_looked_at_is_not_asked_for_anything(bare: Camera) -> None:
    bare.unit(ActiveState="failed")
    result = without_sudo(bare, required=False)
    assert not result.get("failed") and not (bare.bin / "asked").exists()
    assert result["found"]["journal"] and not result["found"]["sudo"] and result["found"]["foreign_directories"] == []


@pytest.mark.parametrize(
    ("file", "text", "words"),
    [
        ("polkit", "not-found", "polkit is not-found. Run 'sudo apt install polkitd' there, then setup.yml; or set "),
        ("refusal", "Access denied", f"may not start and stop {UNIT} without sudo (Access denied). Let "),
        ("port", "inactive", "everybody may call the camera's port: nftables does not keep strangers out. Let "),
        ("id", "#!/bin/sh\necho eye\n", f"eye may not read the journal of {UNIT}. Let eye use sudo there"),
    ],
)
def test_what_a_user_without_sudo_lacks_is_named(bare: Camera, file: str, text: str, words: str) -> None:
    (bare.bin / file).write_text(text)
    lines = without_sudo(bare)["problems"]
    assert any(words in line for line in lines) and (len(lines) == 1 or file == "id")


def test_directories_of_another_and_images_out_of_reach_are_named(bare: Camera) -> None:
    bare.program("id", '#!/bin/sh\ncase "$1" in -un) echo nobody ;; *) echo nobody adm ;; esac\n')
    images = bare.bin.parent / "images"
    (line,) = without_sudo(bare)["problems"]
    assert line.startswith(f"{images} does not belong to nobody. Let nobody use sudo there")
    found = without_sudo(bare, required=False)["found"]
    below = [images, images / ".wildberryeye", images / ".wildberryeye" / "day"]
    assert found["foreign_directories"] == [*map(str, below), f"{below[-1]}/batch"]
    missing = without_sudo(bare, image_dir=str(images / "gone"))["problems"]
    assert missing[0].endswith("Start its service once, then run setup.yml, or correct wildberryeye_image_dir")
    bare.program("find", '#!/bin/sh\ncase "$*" in *readable*) echo /x/object_1.jpg ;; esac\n')
    (line,) = without_sudo(bare)["problems"]
    assert "may not read /x/object_1.jpg. Take UMask= out of" in line


def test_in_check_mode_what_setup_would_give_is_not_called_missing(bare: Camera) -> None:
    (bare.bin / "refusal").write_text("Access denied")
    bare.program("sudo", "#!/bin/sh\n")
    images = str(bare.bin.parent / "images")
    assert not bare.check(check=True, sudo=False, image_dir=images).get("failed")
    (line,) = bare.check(sudo=False, image_dir=images)["problems"]
    assert line.endswith("Look at 'systemctl status polkit' there")


# -- what a person reads last ----------------------------------------------------------------------------

KNOWN = {"changed": False, "msg": "known: ED25519 SHA256:x"}
READY = {"changed": False, "problems": [], "msg": "all there"}


def table(asked: str = "setup", check: bool = False, lingering: Any = None, **cameras: Any) -> tuple[bool, list[str]]:
    hostvars = {
        name: {
            "wildberryeye_host_key_result": key,
            "wildberryeye_check_result": found,
            "wildberryeye_lingering_result": lingering or {"skipped": True},
            "ansible_check_mode": check,
        }
        for name, (key, found) in cameras.items()
    }
    result = readiness(hostvars, hostvars, asked, ["start at 07:00"])
    return result["failed"], result["table"].splitlines()


def test_ready_is_said_in_a_line_each() -> None:
    assert table(object=(KNOWN, READY)) == (
        False,
        ["camera        outcome  next", "object        ready", "orchestrator  ready    start at 07:00"],
    )


def test_each_thing_to_mend_has_a_line_and_fails_the_run() -> None:
    broken = {"failed": True, "reached": True, "problems": ["no rsync. Install it", "no sudo. Allow it"], "msg": "x"}
    failed, lines = table(object=(KNOWN, READY), motion=(KNOWN, broken))
    assert failed and lines[1:4] == [
        "object        ready",
        "motion        not ready  no rsync. Install it",
        "                         no sudo. Allow it",
    ]


def test_a_key_that_was_refused_is_the_reason_and_not_that_nothing_was_checked() -> None:
    refused = {"failed": True, "reached": True, "msg": "its host key has changed"}
    assert table(object=(refused, {"skipped": True})) == (
        True,
        [
            "camera        outcome    next",
            "object        not ready  its host key has changed",
            "orchestrator  ready      start at 07:00",
        ],
    )


def test_in_check_mode_a_camera_without_a_pinned_key_is_not_called_ready() -> None:
    failed, lines = table(check=True, object=({"changed": True}, {"skipped": True, "changed": False}))
    assert not failed and "not checked  it is looked at once its host key is pinned" in lines[1]
    assert "nothing was changed" in lines[2]


@pytest.mark.parametrize("asked", ["setup", "remove"])
def test_lingering_that_was_refused_fails_the_run_with_the_command_that_helps(asked: str) -> None:
    failed, lines = table(asked, lingering={"rc": 1, "stderr": "Access denied"}, object=(KNOWN, READY))
    verb = {"setup": "enable", "remove": "disable"}[asked]
    assert failed and f"run 'sudo loginctl {verb}-linger " in lines[2] and "not re" in lines[2]


def test_a_key_that_cannot_be_removed_fails_a_removal() -> None:
    failed, lines = table("remove", object=({"failed": True, "reached": True, "msg": "no"}, {}), motion=(KNOWN, {}))
    assert failed and lines[1:3] == ["object        not removed  no", "motion        removed"]


@pytest.mark.parametrize("asked", ["setup", "remove"])
def test_what_could_not_be_given_or_taken_fails_the_run_and_says_why(asked: str) -> None:
    hostvars = {"object": {"wildberryeye_check_result": READY, "wildberryeye_access_failure": "no sudo. Allow it"}}
    result = readiness(hostvars, hostvars, asked, "")
    assert result["failed"] and "no sudo. Allow it" in result["table"]
    assert ("-e wildberryeye_camera_sudo=true" in result["table"]) == (asked == "remove")
