# SPDX-License-Identifier: GPL-3.0-or-later
"""What is fuzzed: each target takes bytes that a camera may send, and raises if they come to anything but a refusal."""

from __future__ import annotations

import base64
import contextlib
import datetime as dt
import functools
import hashlib
import io
import json
import os
import socket
import tempfile
import threading
import warnings
import zipfile
from collections.abc import Callable
from typing import Any

from ansible_collections.wildberryeye.orchestrator.plugins.module_utils import (
    answer,
    archive,
    known_hosts,
    manifest,
    names,
    outcome,
    overview,
)
from ansible_collections.wildberryeye.orchestrator.plugins.module_utils.camera_client import CameraClient, CameraError
from ansible_collections.wildberryeye.orchestrator.plugins.module_utils.errors import Error
from ansible_collections.wildberryeye.orchestrator.plugins.module_utils.manifest import Entry
from ansible_collections.wildberryeye.orchestrator.plugins.module_utils.receipt import Receipt
from ansible_collections.wildberryeye.orchestrator.plugins.module_utils.transfer import rsync_options

Target = Callable[[bytes], None]

EXPERIMENT, BATCH = "2026-05-22", "20260522T050001Z-3fa91c02"
IMAGES = {f"object_20260522-093015-00000{n}_wildberry01_root.jpg": bytes([n]) * 9 + b"\xff\xd9" for n in range(3)}
SHA256 = {name: hashlib.sha256(content).hexdigest() for name, content in IMAGES.items()}
_LEADS_ELSEWHERE = set("/\\ \"'`$;&|<>*?()[]{}!#~\0\n\r\t")


def safe(name: str) -> str:
    """Return `name` if it is one component of a path, safe wherever we put one; raise AssertionError otherwise."""
    assert name.isascii() and name.isprintable() and 0 < len(name) <= 255, ascii(name)
    assert name[0] not in ".-" and not set(name) & _LEADS_ELSEWHERE, ascii(name)
    assert os.path.normpath(os.path.join("/x", name)) == f"/x/{name}", ascii(name)
    return name


def shown(text: str) -> str:
    """Return `text` if it can be shown to a person on one line; raise AssertionError otherwise."""
    assert text.isprintable(), ascii(text)
    return text


def read_manifest(data: bytes) -> None:
    """The manifest of a batch, as it was fetched."""
    try:
        found = list(manifest.entries(io.BytesIO(data), EXPERIMENT, BATCH))
    except Error as error:
        shown(str(error))
        return
    listed = [safe(entry.name) for entry in found]
    assert listed == sorted(set(listed)) and all(names.is_image(name) for name in listed)
    assert all(0 <= entry.size < 1 << 63 and len(entry.sha256) == 64 for entry in found)
    again = io.BytesIO()
    writer = manifest.Writer(again, EXPERIMENT, BATCH)
    for entry in found:
        writer.add(entry)
    writer.close()
    assert list(manifest.entries(io.BytesIO(again.getvalue()), EXPERIMENT, BATCH)) == found


def read_receipt(data: bytes) -> None:
    """A receipt: all that licenses a deletion."""
    given = _json(data)
    if not isinstance(given, dict):
        return
    try:
        found = Receipt.parse(given)
    except Error as error:
        shown(str(error))
        return
    assert names.is_batch(safe(found.batch)) and names.is_experiment(safe(found.experiment))
    assert all(names.is_image(safe(name)) for name in found.unproven)
    assert Receipt.parse(json.loads(json.dumps(found._asdict()))) == found


def read_archive(data: bytes) -> None:
    """A zip, as it was fetched: what is said to be proven has the right content, and survives being taken over."""
    with tempfile.TemporaryDirectory(dir="/dev/shm" if os.path.isdir("/dev/shm") else None) as directory:
        came, ours = os.path.join(directory, "came.zip"), os.path.join(directory, "ours.zip")
        with open(came, "wb") as file:
            file.write(data)
        found, whole = archive.intact(came, SHA256)
        assert found <= SHA256.keys()
        with contextlib.suppress(Error):
            assert all(names.is_image(safe(name)) for name in archive.contents(came))
        with contextlib.suppress(Error):
            archive.figures(came)
        sources = [archive.Source(name, SHA256[name], came, member=True) for name in sorted(found)]
        written = archive.write(ours, sources)
        assert written.keys() <= found and (not whole or written == SHA256)
        assert sorted(os.listdir(directory)) == ["came.zip", "ours.zip"]
        with zipfile.ZipFile(ours) as proven:
            assert {*written, manifest.MEMBER} == set(proven.namelist())
            assert all(proven.read(name) == IMAGES[name] for name in written)
        if whole:
            # It gets a public name as it is: whoever unpacks it must find what we found.
            with zipfile.ZipFile(came) as public:
                assert {*SHA256, manifest.MEMBER} == set(public.namelist())
                assert all(public.read(name) == IMAGES[name] for name in SHA256)


def read_answer(data: bytes) -> None:
    """What a module answers from a camera, up to rsync's command line and what a person reads last."""
    given = _json(data)
    if not isinstance(given, dict):
        return
    try:
        found = answer.sound(given)
    except Error as error:
        shown(str(error))
        return
    assert not found.keys() & {
        "add_host",
        "add_group",
        "ansible_facts",
        "ansible_stats",
        "warnings",
        "_ansible_verbose",
    }
    for option in rsync_options(found.get("batches", []), "", 60):
        path = option.partition("=/")[2].rstrip("/").removesuffix("/*.jpg")
        assert shown(option).startswith("--") and all(safe(part) for part in path.split("/") if path)
    collection = {"batch": found, "cleanup": found}
    steps = outcome.results({"wildberryeye_recording_result": found, "wildberryeye_collection_result": collection})
    for asked in ("start", "stop", "collect"):
        for check in (False, True):
            rows = [outcome.outcome("object", steps, asked, {}, check)]
            assert len(outcome.table(rows).splitlines()) == 2 and all(map(shown, outcome.table(rows).splitlines()))
    if {"service", "card", "clock", "label", "uptime"} <= found.keys():
        thought: dict[str, Any] = {"running": False, "pid": None, "written": None, "cameras": {}}
        station = {"experiments": [], "heartbeat": thought, "problems": []}
        now = dt.datetime(2026, 5, 22, 12, tzinfo=dt.UTC)
        looked = {"object": {**found, "reachable": True, "looked": now.timestamp()}}
        facts = overview.facts(looked, {"object": "object"}, station, now)
        assert all(map(shown, overview.table(facts).splitlines())) and json.loads(json.dumps(facts)) == facts


def read_api(data: bytes) -> None:
    """Bytes in place of an HTTP answer."""
    server = _server()
    server.answer = data
    client = CameraClient("127.0.0.1", server.port)
    try:
        assert names.is_image(safe(client.capture(5.0)))
    except CameraError as error:
        shown(str(error))
    finally:
        client._session.close()


def read_host_keys(data: bytes) -> None:
    """What ssh-keyscan passes on of what a host says its keys are."""
    target = known_hosts.Target("10.0.0.1", 22, "10.0.0.1", "/nonexistent", (), False)
    try:
        keys = target.scan(lambda command: (0, data.decode(errors="replace"), "no key"))
    except Error as error:
        shown(str(error))
        return
    for key in keys:
        shown(str(key))
        assert target.line(key).split() == ["10.0.0.1", key.type, key.blob, known_hosts.COMMENT]
        assert target.line(key).count("\n") == 1


TARGETS: dict[str, Target] = {
    "manifest": read_manifest,
    "receipt": read_receipt,
    "archive": read_archive,
    "answer": read_answer,
    "api": read_api,
    "host_keys": read_host_keys,
}


def seeds(target: str) -> list[bytes]:
    """Return what a sound camera says, and some of what a hostile one would: where the search begins."""
    return _SEEDS[target]()


def _json(data: bytes) -> Any:
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        return None


class _Server:
    """Answers each request with the same bytes."""

    def __init__(self) -> None:
        self.answer = b""
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = int(self._socket.getsockname()[1])
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            connection, _ = self._socket.accept()
            with contextlib.suppress(OSError), connection:
                connection.settimeout(5)
                connection.recv(4096)
                connection.sendall(self.answer)


@functools.cache
def _server() -> _Server:
    return _Server()


def _manifests() -> list[bytes]:
    file = io.BytesIO()
    writer = manifest.Writer(file, EXPERIMENT, BATCH)
    for name, content in IMAGES.items():
        writer.add(Entry(name, len(content), 1, 2, SHA256[name], True))
    writer.close()
    sound = file.getvalue()
    return [sound, sound.replace(b"object_", b"../"), sound.replace(b":33", b":1e9"), sound[:100], b"[" * 3000 + b"\n"]


def _receipts() -> list[bytes]:
    sound = Receipt(EXPERIMENT, BATCH, "0" * 64, list(IMAGES))._asdict()
    hostile = [{**sound, "batch": "../../etc"}, {**sound, "unproven": ["../x"]}, {**sound, "experiment": ".."}]
    return [json.dumps(each).encode() for each in (sound, *hostile)]


def _archives() -> list[bytes]:
    found = []
    for extra in ((), ("../x",), ("/etc/passwd",), (next(iter(IMAGES)),)):
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w") as made, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of a name that is there twice
            for name, content in IMAGES.items():
                made.writestr(zipfile.ZipInfo(name), content)
            for name in extra:
                made.writestr(zipfile.ZipInfo(name), b"evil")
            made.writestr(zipfile.ZipInfo(manifest.MEMBER), manifest.sums(iter(sorted(SHA256.items()))))
        found.append(file.getvalue())
    return found


def _answers() -> list[bytes]:
    batch = {"experiment": EXPERIMENT, "batch": BATCH, "images": 3, "bytes": 33, "zipped": True}
    carried = {
        "changed": True,
        "msg": "3 images",
        "batches": [batch],
        "foreign": ["x"],
        "foreign_count": 1,
        "label": "",
    }
    cleaned = {"changed": True, "deleted": 1, "kept": 0, "vanished": 0, "left": 0, "waiting": 0, "set_aside_for": "x"}
    card: dict[str, Any] = dict.fromkeys(("images", "bytes", "batches", "set_aside", "foreign_count", "free_bytes"), 1)
    card |= {
        "last": next(iter(IMAGES)),
        "last_taken": "2026-05-22T09:30:15+00:00",
        "last_age": 1.5,
        "free_inodes": None,
    }
    service = {"state": "active", "age": 1.5, "restarts": 0}
    looked = {"service": service, "card": card, "clock": 1779442200.0, "uptime": 9.5, "label": "", "temperature": 48.5}
    control = {"add_host": {"host_name": "localhost"}, "ansible_facts": {"ansible_host": "x"}, "foreign": ["\x1b[2J"]}
    hostile = {**carried, "batches": [{**batch, "experiment": "../.."}]}
    return [json.dumps(each).encode() for each in (carried, cleaned, looked, {**carried, **control}, hostile)]


def _api_answers() -> list[bytes]:
    found = []
    for name in (next(iter(IMAGES)), "../../etc/passwd", "x" * 999):
        body = json.dumps({"status": "success", "filename": name}).encode()
        head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        found.append(head.encode() + b"Date: Fri, 22 May 2026 07:30:15 GMT\r\nConnection: close\r\n\r\n" + body)
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Encoding: gzip\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
    return [*found, chunked, b"HTTP/1.1 302 Found\r\nLocation: http://10.0.0.1/\r\n\r\n"]


def _host_keys() -> list[bytes]:
    blob = base64.b64encode(b"\0\0\0\x0bssh-ed25519\0\0\0 " + bytes(32))
    return [b"10.0.0.1 ssh-ed25519 " + blob + b"\n", b"# x\n10.0.0.1 ssh-rsa \xff\n@cert-authority * ssh-rsa AAAA x\n"]


_SEEDS: dict[str, Callable[[], list[bytes]]] = {
    "manifest": _manifests,
    "receipt": _receipts,
    "archive": _archives,
    "answer": _answers,
    "api": _api_answers,
    "host_keys": _host_keys,
}
