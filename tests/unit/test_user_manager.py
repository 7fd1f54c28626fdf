# SPDX-License-Identifier: GPL-3.0-or-later
"""What is told to the user's systemd, and that nothing is where there is none: a start must not depend on it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ansible_collections.wildberryeye.orchestrator.plugins.module_utils import book, user_manager
from ansible_collections.wildberryeye.orchestrator.plugins.module_utils.errors import Error

FAKE = """#!/bin/sh
echo "$XDG_RUNTIME_DIR $*" >>"$HOME/asked"
eval "$(cat "$HOME/answer" 2>/dev/null)"
"""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home with a systemctl of its own, and with a manager that runs."""
    (tmp_path / "bin").mkdir()
    fake = tmp_path / "bin" / "systemctl"
    fake.write_text(FAKE)
    fake.chmod(0o755)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:{os.environ['PATH']}")
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    monkeypatch.setattr(user_manager, "_runtime_dir", lambda: f"{tmp_path}/run")
    (tmp_path / "run" / "systemd").mkdir(parents=True)
    (tmp_path / "run" / "systemd" / "private").touch()
    return tmp_path


def install(home: Path, where: str = ".config/systemd/user") -> None:
    path = home / where / book.STOP_SERVICE
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()


def asked(home: Path) -> list[str]:
    path = home / "asked"
    return path.read_text().splitlines() if path.exists() else []


def test_a_manager_runs_where_its_socket_is(home: Path) -> None:
    assert user_manager.available()
    (home / "run" / "systemd" / "private").unlink()
    assert not user_manager.available()


@pytest.mark.parametrize("where", [".config/systemd/user", "run/systemd/user"])
def test_a_unit_is_found_where_users_have_theirs(home: Path, where: str) -> None:
    assert not user_manager.installed(book.STOP_SERVICE)
    install(home, where)
    assert user_manager.installed(book.STOP_SERVICE) and not user_manager.installed("other.service")


def test_the_manager_is_found_without_a_login(home: Path) -> None:
    (home / "answer").write_text("echo out; echo err >&2; exit 3")
    done = user_manager.systemctl("stop", "x.service")
    assert (done.returncode, done.stdout, done.stderr) == (3, "out\n", "err\n")
    assert asked(home) == [f"{home}/run --user --no-ask-password stop x.service"]


def test_a_manager_that_hangs_or_is_missing_is_told_in_one_line(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (home / "answer").write_text("exec sleep 60")
    with pytest.raises(Error, match=r"stop x\.service': it did not end within 0\.2 s"):
        user_manager.systemctl("stop", "x.service", timeout=0.2)
    monkeypatch.setenv("PATH", str(home))
    with pytest.raises(Error, match="No such file"):
        user_manager.systemctl("stop", "x.service")


def test_a_start_ends_a_stop_only_where_there_can_be_one(home: Path) -> None:
    assert book.end_stop() == "" and asked(home) == []
    install(home)
    assert book.end_stop() == "" and asked(home) == [f"{home}/run --user --no-ask-password stop {book.STOP_SERVICE}"]
    (home / "run" / "systemd" / "private").unlink()
    assert book.end_stop() == "" and len(asked(home)) == 1


@pytest.mark.parametrize("answer", ["echo Unit is masked >&2; exit 1", "kill $$"])
def test_a_stop_that_cannot_be_ended_keeps_no_day_from_beginning(home: Path, answer: str) -> None:
    install(home)
    (home / "answer").write_text(answer)
    assert book.end_stop().startswith(f"stop {book.STOP_SERVICE}: ")
