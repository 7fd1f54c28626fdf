# SPDX-License-Identifier: GPL-3.0-or-later
"""What unit tests share: modules run as Ansible runs them, cards and arrivals made of bytes."""

from __future__ import annotations

import ast
import hashlib
import importlib
import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

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
) -> Outcome:
    """Run the module `name` in a process of its own, as Ansible does.

    Args:
        name: e.g. ``image_batch``.
        args: its arguments.
        check: whether in check mode.
        under: what runs it, e.g. ``["faketime", "-f", "@2026-05-22 07:00:00"]``.
        env: added to the environment.
        timeout: seconds.
    """
    given = {"ANSIBLE_MODULE_ARGS": {**args, "_ansible_check_mode": check, "_ansible_remote_tmp": "/tmp"}}
    done = subprocess.run(
        [*under, sys.executable, "-m", f"{PACKAGE}.modules.{name}"],
        input=json.dumps(given),
        env={**os.environ, "PYTHONPATH": str(ROOT / "collections"), "PYTHONDONTWRITEBYTECODE": "1", **(env or {})},
        cwd="/",
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    try:
        result = json.loads(done.stdout)
    except ValueError:
        raise AssertionError(f"{name} answered {done.stdout!r}; {done.stderr}") from None
    return Outcome(done.returncode, result, done.stderr)


def documented(name: str) -> dict[str, dict[str, Any]]:
    """The options that a module's DOCUMENTATION describes."""
    tree = ast.parse((ROOT / "plugins" / "modules" / f"{name}.py").read_text())
    for node in tree.body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "DOCUMENTATION":
            text = ast.literal_eval(node.value)
            return dict(yaml.safe_load(text).get("options") or {})
    raise AssertionError(f"{name} has no DOCUMENTATION")


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


def read_archive(path: Path) -> dict[str, bytes]:
    """The images in an archive; fails where it does not agree with its own list."""
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        assert len(names) == len(set(names))
        found = {name: archive.read(name) for name in names if name != manifest.MEMBER}
        assert archive.read(manifest.MEMBER) == sums(found)
    return found


def public(data_dir: Path, camera: str = "object", experiment: str = EXPERIMENT) -> list[dict[str, bytes]]:
    """What a camera's public archives hold, in order of their parts."""
    return [read_archive(Path(path)) for path in Layout(str(data_dir)).archives(experiment, camera)]
