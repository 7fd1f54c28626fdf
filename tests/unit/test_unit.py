# SPDX-License-Identifier: GPL-3.0-or-later
"""The camera's service is looked at before it is touched, and what systemd says reaches the person."""

from __future__ import annotations

import time

import pytest

from ansible_collections.wildberryeye.orchestrator.plugins.module_utils.errors import Error
from ansible_collections.wildberryeye.orchestrator.plugins.module_utils.unit import Unit

NAME = "wildberryeye.service"
EXEC = "{{ path=/usr/bin/python3 ; argv[]=/usr/bin/python3 {} ; ignore_errors=no ; start_time=[n/a] }}"


class Systemd:
    """Answers `show` with properties, and everything else with `answer`."""

    def __init__(self, answer: tuple[int, str, str] = (0, "", ""), **properties: str) -> None:
        self.answer = answer
        self.shown = {"LoadState": "loaded", "ActiveState": "active", **properties}
        self.asked: list[list[str]] = []

    def __call__(self, command: list[str]) -> tuple[int, str, str]:
        self.asked.append(command)
        if command[1] == "show":
            return 0, "".join(f"{name}={value}\n" for name, value in self.shown.items()), ""
        return self.answer

    def unit(self) -> Unit:
        return Unit(NAME, self)

    @property
    def verbs(self) -> list[str]:
        return [command[1] for command in self.asked if command[1] != "show"]


@pytest.mark.parametrize("mode", ["object", "motion"])
@pytest.mark.parametrize("argv", ["main.py --mode {}", "main.py {}", "main.py '{}'", 'main.py "{}"'])
def test_a_unit_in_the_inventorys_mode_is_accepted(mode: str, argv: str) -> None:
    Systemd(ExecStart=EXEC.format(argv.format(mode))).unit().check(mode)


@pytest.mark.parametrize("argv", ["main.py", "motion_object.py", ""])
def test_a_unit_that_does_not_say_its_mode_is_accepted(argv: str) -> None:
    Systemd(ExecStart=EXEC.format(argv)).unit().check("object")
    Systemd().unit().check("object")


def test_a_camera_that_would_detect_with_the_wrong_eye_is_refused() -> None:
    with pytest.raises(Error) as caught:
        Systemd(ExecStart=EXEC.format("main.py motion")).unit().check("object")
    assert str(caught.value) == (
        "look at wildberryeye.service: it runs the camera in motion mode, the inventory says object. "
        "Put the camera into the group motion_cameras, or change the unit"
    )


@pytest.mark.parametrize("state", ["not-found", "masked", "bad-setting"])
def test_a_unit_that_is_not_there_says_what_to_do(state: str) -> None:
    with pytest.raises(Error, match=f"^look at {NAME}: systemd says {state}. Install WildBerryEye"):
        Systemd(LoadState=state).unit().check("object")


@pytest.mark.parametrize(
    "state, active",
    [("active", True), ("activating", True), ("reloading", True), ("inactive", False), ("failed", False)],
)
def test_a_unit_that_systemd_brings_back_by_itself_counts_as_active(state: str, active: bool) -> None:
    assert Systemd(ActiveState=state).unit().active() is active


def test_a_service_that_has_just_been_started_is_young() -> None:
    now = time.clock_gettime(time.CLOCK_MONOTONIC)
    found = Systemd(ActiveEnterTimestampMonotonic=str(int((now - 5) * 1e6))).unit().age()
    assert 4.9 < found < 30
    assert Systemd(ActiveEnterTimestampMonotonic="0").unit().age() == 0
    assert Systemd(ActiveEnterTimestampMonotonic="").unit().age() == 0
    assert Systemd(ActiveState="failed", ActiveEnterTimestampMonotonic="1").unit().age() == 0
    assert Systemd(ActiveEnterTimestampMonotonic=str(int((now + 1e6) * 1e6))).unit().age() == 0


def test_a_service_that_crashed_too_often_is_started_all_the_same() -> None:
    systemd = Systemd()
    systemd.unit().start()
    systemd.unit().restart()
    systemd.unit().stop()
    assert systemd.verbs == ["reset-failed", "start", "reset-failed", "restart", "stop"]
    assert all(command[0] == "systemctl" and command[-1] == NAME for command in systemd.asked)


@pytest.mark.parametrize("verb", ["start", "stop", "restart"])
@pytest.mark.parametrize(
    "answer, said",
    [
        ((1, "", "Job for it failed.\nSee the journal.\n"), "Job for it failed. See the journal"),
        ((5, "out only", ""), "out only"),
        ((4, "", ""), "systemctl ended with status 4"),
    ],
)
def test_what_systemd_says_reaches_the_person_in_one_line(verb: str, answer: tuple[int, str, str], said: str) -> None:
    with pytest.raises(Error) as caught:
        getattr(Systemd(answer=answer).unit(), verb)()
    assert str(caught.value) == f"{verb} {NAME}: {said}. Look at 'systemctl status {NAME}' on the camera"


@pytest.mark.parametrize("said", ["Interactive authentication required.", "Access denied"])
def test_a_user_who_may_not_is_sent_to_setup(said: str) -> None:
    with pytest.raises(Error, match=r"Run setup\.yml$"):
        Systemd(answer=(1, "", f"Failed to stop {NAME}: {said}\n")).unit().stop()


@pytest.mark.parametrize("answer", [(1, "", "Failed to connect to bus"), (0, "", ""), (0, "LoadState=loaded\n", "")])
def test_a_camera_without_systemd_says_so(answer: tuple[int, str, str]) -> None:
    with pytest.raises(Error, match=f"^look at {NAME}: .*Check on the camera that systemd runs$"):
        Unit(NAME, lambda command: answer).active()
