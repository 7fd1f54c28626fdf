# SPDX-License-Identifier: GPL-3.0-or-later
"""What unit tests share: modules, scripts and playbooks run as Ansible runs them, cards and arrivals made of bytes."""

from __future__ import annotations

import contextlib
import datetime
import hashlib
import importlib
import importlib.util
import json
import os
import re
import select
import signal
import subprocess
import sys
import tempfile
import time
import traceback
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, NamedTuple, NoReturn

import ansible.plugins.action  # noqa: F401  or each copy of this process would import half of it again
import pytest
import yaml  # type: ignore[import-untyped]

from ansible_collections.wildberryeye.orchestrator.plugins.module_utils import manifest
from ansible_collections.wildberryeye.orchestrator.plugins.module_utils.layout import Layout

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = "ansible_collections.wildberryeye.orchestrator.plugins"


class Outcome(NamedTuple):
    """How a module ended."""

    code: int
    result: dict[str, Any]
    stderr: str

    @property
    def msg(self) -> str:
        """What it says to a person."""
        return str(self.result.get("msg", ""))

    def ok(self) -> dict[str, Any]:
        """The result of a module that did not fail."""
        assert self.code == 0 and not self.result.get("failed"), (self.result, self.stderr)
        return self.result

    def failed(self) -> str:
        """The one line of a module that failed: a traceback is no answer to a person."""
        assert self.result.get("failed") and self.code == 1, (self.result, self.stderr)
        assert "Traceback" not in self.stderr + self.msg and self.msg and "\n" not in self.msg, self.stderr
        return self.msg


def run_module(
    name: str,
    args: Mapping[str, Any],
    check: bool = False,
    under: Iterable[str] = (),
    env: Mapping[str, str] | None = None,
    timeout: float = 60,
    real: bool = False,
    when: str = "",
) -> Outcome:
    """Run the module `name` in a process of its own.

    A copy of this process takes 20 ms, an interpreter as Ansible starts it 300 ms: each module is run so at least once.

    Args:
        name: e.g. ``image_batch``.
        args: its arguments.
        check: whether in check mode.
        under: what runs it, e.g. ``["faketime", "-f", "@2026-05-22 07:00:00"]``; in an interpreter of its own.
        env: added to the environment.
        timeout: seconds.
        real: whether in an interpreter of its own.
        when: what its clock shows, local time; only for a copy of this process.
    """
    given = json.dumps(
        {"ANSIBLE_MODULE_ARGS": {**args, "_ansible_check_mode": check, "_ansible_remote_tmp": "/tmp"}}
    ).encode()
    env = {"PYTHONPATH": str(ROOT / "collections"), "PYTHONDONTWRITEBYTECODE": "1", **(env or {})}
    if real or under:
        assert not when, "a clock of its own takes faketime"
        command = [*under, sys.executable, "-m", f"{PACKAGE}.modules.{name}"]
        done = subprocess.run(
            command, input=given, env={**os.environ, **env}, cwd="/", capture_output=True, timeout=timeout, check=False
        )
        code, out, err = done.returncode, done.stdout.decode(), done.stderr.decode()
    else:
        code, out, err = _run_copy(name, given, env, timeout, when)
    try:
        result = json.loads(out)
    except ValueError:
        raise AssertionError(f"{name} answered {out!r}; {err}") from None
    return Outcome(code, result, err)


def begin_module(name: str, args: Mapping[str, Any], env: Mapping[str, str]) -> subprocess.Popen[bytes]:
    """Begin to run the module `name` in an interpreter of its own; `ended` says how it ended."""
    process = subprocess.Popen(
        [sys.executable, "-m", f"{PACKAGE}.modules.{name}"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT / "collections"), "PYTHONDONTWRITEBYTECODE": "1", **env},
        cwd="/",
    )
    assert process.stdin is not None
    process.stdin.write(json.dumps({"ANSIBLE_MODULE_ARGS": {**args, "_ansible_remote_tmp": "/tmp"}}).encode())
    process.stdin.close()
    process.stdin = None
    return process


def ended(process: subprocess.Popen[bytes], timeout: float = 60) -> Outcome:
    """How the module ended that was begun with `begin_module`."""
    out, err = process.communicate(timeout=timeout)
    return Outcome(process.returncode, json.loads(out), err.decode())


def _run_copy(name: str, given: bytes, env: Mapping[str, str], timeout: float, when: str) -> tuple[int, str, str]:
    """Run the module in a copy of this process; its exit status, what it said, what it complained of."""
    module = importlib.import_module(f"{PACKAGE}.modules.{name}")
    with contextlib.ExitStack() as stack:
        files = [stack.enter_context(tempfile.TemporaryFile()) for _ in range(3)]
        files[0].write(given)
        for file in files:
            file.seek(0)
        child = os.fork()
        if child == 0:
            _be_module(module, files, env, when)
        descriptor = os.pidfd_open(child)
        stack.callback(os.close, descriptor)
        ended = bool(select.select([descriptor], [], [], timeout)[0])
        if not ended:
            os.kill(child, signal.SIGKILL)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        assert ended, f"{name} did not end within {timeout} s"
        for file in files:
            file.seek(0)
        return code, files[1].read().decode(), files[2].read().decode()


def _be_module(module: Any, files: Sequence[IO[bytes]], env: Mapping[str, str], when: str) -> NoReturn:
    """Become the module: standard files, environment and clock are its own."""
    code = 1
    try:
        for number, file in enumerate(files):
            os.dup2(file.fileno(), number)
        sys.stdin, sys.stdout, sys.stderr = open(0), open(1, "w"), open(2, "w")  # noqa: SIM115
        sys.argv = [module.__file__]
        os.environ.update(env)
        time.tzset()
        os.chdir("/")
        if when:
            _set_clock(when)
        module.main()
        code = 0
    except SystemExit as ended:
        code = int(ended.code or 0)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _set_clock(when: str) -> None:
    class Clock(datetime.datetime):
        @classmethod
        def now(cls, tz: datetime.tzinfo | None = None) -> Clock:
            return cls.fromisoformat(when).astimezone(tz) if tz else cls.fromisoformat(when)

    datetime.datetime = Clock  # type: ignore[misc]


def load_script(path: Path) -> Any:
    """A script that a role brings along, as a module: its parts are tested without a process."""
    spec = importlib.util.spec_from_file_location(f"{path.stem}_script", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # Where its dataclasses look for what their annotations mean.
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def run_playbook(
    *arguments: str | Path, cwd: Path = ROOT, alarms: str = "Traceback|WARNING|DEPRECAT", **env: str
) -> tuple[int, str]:
    """Run `ansible-playbook` with nothing set for Ansible but the project's own configuration.

    Args:
        arguments: the playbook, and options.
        cwd: from where.
        alarms: what it must not say, a regular expression.
        env: added to the environment.

    Returns:
        Its exit status, and all that it said.
    """
    own = {name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")}
    done = subprocess.run(
        [Path(sys.executable).with_name("ansible-playbook"), *arguments],
        cwd=cwd,
        env={**own, "ANSIBLE_LOCALHOST_WARNING": "0", **env},
        capture_output=True,
        text=True,
        check=False,
    )
    text = done.stdout + done.stderr
    assert not re.search(alarms, text), text
    return done.returncode, text


def documented(name: str) -> dict[str, dict[str, Any]]:
    """The options that a module's documentation describes, those of the fragments that it names among them."""
    said = yaml.safe_load(importlib.import_module(f"{PACKAGE}.modules.{name}").DOCUMENTATION)
    options: dict[str, dict[str, Any]] = {}
    for fragment in said["extends_documentation_fragment"]:
        file, part = [*fragment.removeprefix("wildberryeye.orchestrator.").split("."), "documentation"][:2]
        found = importlib.import_module(f"{PACKAGE}.doc_fragments.{file}").ModuleDocFragment
        options.update(yaml.safe_load(getattr(found, part.upper())).get("options") or {})
    for option, own in (said.get("options") or {}).items():
        options[option] = {**options.get(option, {}), **own}
    return options


def arguments(name: str) -> dict[str, dict[str, Any]]:
    """The ARGUMENTS that a module gives to Ansible."""
    return dict(importlib.import_module(f"{PACKAGE}.modules.{name}").ARGUMENTS)


def tree(path: Path) -> dict[str, str]:
    """Everything below `path`, name to SHA-256, link target or nothing: to see that nothing was written."""
    found = {}
    for item in sorted(path.rglob("*")):
        if item.is_symlink():
            found[str(item.relative_to(path))] = f"-> {os.readlink(item)}"
        elif item.is_file():
            found[str(item.relative_to(path))] = hashlib.sha256(item.read_bytes()).hexdigest()
        else:
            found[str(item.relative_to(path))] = ""
    return found


# --- images and what arrives of them -------------------------------------------------------------

EXPERIMENT = "2026-05-22"
BATCH = "20260522T050001Z-3fa91c02"
BY_EITHER_METHOD = pytest.mark.parametrize("zipped", [True, False], ids=["zip", "files"])
"""A batch goes home as a zip, or file by file."""


def batch_name(number: int) -> str:
    """The name of the batch number `number`."""
    return f"20260522T{number:06d}Z-{number:08x}"


def image(number: int, kind: str = "object") -> str:
    """The name of the image number `number`."""
    return f"{kind}_20260522-093015-{number:06d}_wildberry01_root_CONF55_IOU65.jpg"


def jpeg(seed: object, size: int = 600) -> bytes:
    """Bytes that begin and end as a JPEG does, others for every `seed`."""
    middle = hashlib.sha256(repr(seed).encode()).digest() * (size // 32 + 1)
    return b"\xff\xd8" + middle[: size - 4] + b"\xff\xd9"


def images(count: int, start: int = 1) -> dict[str, bytes]:
    """`count` images, name to bytes."""
    return {image(number): jpeg(number) for number in range(start, start + count)}


def sha256(content: bytes) -> str:
    """In hex digits."""
    return hashlib.sha256(content).hexdigest()


def sums(found: Mapping[str, bytes]) -> bytes:
    """The list that `sha256sum -c` reads."""
    return manifest.sums((name, sha256(found[name])) for name in sorted(found))


def write_manifest(path: Path, experiment: str, batch: str, found: Mapping[str, bytes]) -> None:
    """The manifest that a camera makes of these images."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        writer = manifest.Writer(file, experiment, batch)
        for name in sorted(found):
            content = found[name]
            whole = content.endswith(b"\xff\xd9")
            writer.add(manifest.Entry(name, len(content), 1, 1, sha256(content), whole))
        writer.close()


def write_zip(
    path: Path, members: Iterable[tuple[str | zipfile.ZipInfo, bytes]], kind: int = zipfile.ZIP_STORED
) -> None:
    """A zip of these members, whatever they are called, and even twice."""
    path.parent.mkdir(parents=True, exist_ok=True)
    import warnings

    with zipfile.ZipFile(path, "w", kind) as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        for name, content in members:
            archive.writestr(name, content)


def write_archive(path: Path, found: Mapping[str, bytes]) -> None:
    """A good archive of these images."""
    ordered: list[tuple[str | zipfile.ZipInfo, bytes]] = [(name, found[name]) for name in sorted(found)]
    write_zip(path, [*ordered, (manifest.MEMBER, sums(found))])


def arrive(
    data_dir: Path,
    found: Mapping[str, bytes],
    camera: str = "object",
    experiment: str = EXPERIMENT,
    batch: str = BATCH,
    zipped: bool = True,
) -> Path:
    """Let a batch arrive from a camera; the path without suffix under which it lies."""
    arrived = Path(Layout(str(data_dir)).incoming(camera)) / experiment / batch
    write_manifest(arrived.with_name(f"{batch}.manifest"), experiment, batch, found)
    if zipped:
        write_archive(arrived.with_name(f"{batch}.zip"), found)
    else:
        arrived.mkdir(parents=True, exist_ok=True)
        for name, content in found.items():
            (arrived / name).write_bytes(content)
    return arrived


def read_archive(path: Path | IO[bytes]) -> dict[str, bytes]:
    """The images in an archive; fails where it does not agree with its own list."""
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        assert len(names) == len(set(names))
        found = {name: archive.read(name) for name in names if name != manifest.MEMBER}
        assert archive.read(manifest.MEMBER) == sums(found)
    return found


def cut_off(path: Path) -> None:
    """Leave the archive as one that was killed while it grew: its tail is overwritten, and lies in its journal."""
    content = path.read_bytes()
    with zipfile.ZipFile(path) as archive:
        offset = archive.getinfo(manifest.MEMBER).header_offset
    kept = offset.to_bytes(8, "little") + content[offset:]
    path.with_name(f"{path.name}.tail").write_bytes(hashlib.sha256(kept).digest() + kept)
    path.write_bytes(content[:offset] + b"half of an image" * 100)


def as_mended(path: Path) -> bytes:
    """What the archive holds; where it was cut off while it grew, what its journal makes of it."""
    content, journal = path.read_bytes(), path.with_name(f"{path.name}.tail")
    if not journal.exists():
        return content
    digest, kept = journal.read_bytes()[:32], journal.read_bytes()[32:]
    assert hashlib.sha256(kept).digest() == digest, f"{journal} is damaged"
    return content[: int.from_bytes(kept[:8], "little")] + kept[8:]


def public(data_dir: Path, camera: str = "object", experiment: str = EXPERIMENT) -> list[dict[str, bytes]]:
    """What a camera's public archives hold, in order of their parts."""
    return [read_archive(Path(path)) for path in Layout(str(data_dir)).archives(experiment, camera)]


def most_memory() -> int:
    """Return the most memory, in bytes, that this process ever had; getrusage(2) counts what its parent had, too."""
    with open("/proc/self/status", encoding="ascii") as file:
        (line,) = [line for line in file if line.startswith("VmHWM:")]
    return 1024 * int(line.split()[1])
