# SPDX-License-Identifier: GPL-3.0-or-later
"""What the live page answers to which path: a handful of them, and to nobody any other. Standard library only.

The only files that it opens for somebody are the page's own and an experiment's report.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Iterable
from typing import IO, Any, NamedTuple

from . import report_file
from .live_station import Station

# What a page may do: nothing but what is named. Our own has no script or style in its markup.
_OWN_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none';"
    " form-action 'none'; frame-ancestors 'none'"
)
# A report is one file, with script and style in it. It gets an origin of its own, and can ask for nothing.
_REPORT_POLICY = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:; font-src data:;"
    " base-uri 'none'; form-action 'none'; frame-ancestors 'none'; sandbox allow-scripts allow-popups"
)
_NO_POLICY = "default-src 'none'; frame-ancestors 'none'; sandbox"

_PICTURE = re.compile(r"/pictures/([A-Za-z0-9._-]{1,63})\.jpg", re.ASCII)
_EXPERIMENT = re.compile(rf"/experiments/([A-Za-z0-9._-]{{1,63}})/{re.escape(report_file.NAME)}", re.ASCII)

_PIECE = 65536
"""Bytes of a file that are read at a time."""

StartResponse = Callable[[str, list[tuple[str, str]]], object]


class Answer(NamedTuple):
    """What a request is answered with."""

    status: str
    content: bytes | IO[bytes]
    size: int
    kind: str
    policy: str = _NO_POLICY
    etag: str = ""
    cache: str = "no-cache"


class App:
    """The page as a WSGI application (PEP 3333).

    Args:
        station: what is known.
        directory: where the page's own files lie.
    """

    def __init__(self, station: Station, directory: str) -> None:
        self._station = station
        self._own = own_files(directory)

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        method = environ["REQUEST_METHOD"]
        if method not in ("GET", "HEAD"):
            answer = said("405 Method Not Allowed", "This page is only to be read.")
        else:
            answer = self._answer(environ["PATH_INFO"])
        headers = [
            ("Content-Type", answer.kind),
            ("Content-Security-Policy", answer.policy),
            ("X-Content-Type-Options", "nosniff"),
            ("Referrer-Policy", "no-referrer"),
            ("Cross-Origin-Resource-Policy", "same-origin"),
            ("Cross-Origin-Opener-Policy", "same-origin"),
            ("Cache-Control", answer.cache),
        ]
        if answer.status.startswith("405"):
            headers.append(("Allow", "GET, HEAD"))
        if answer.etag:
            headers.append(("ETag", answer.etag))
            if environ.get("HTTP_IF_NONE_MATCH") == answer.etag:
                close(answer)
                start_response("304 Not Modified", headers)
                return []
        headers.append(("Content-Length", str(answer.size)))
        start_response(answer.status, headers)
        if method == "HEAD":
            close(answer)
            return []
        if isinstance(answer.content, bytes):
            return [answer.content]
        # Sent from the file, however slowly it is taken: it is never in memory as a whole.
        wrapped: Iterable[bytes] = environ["wsgi.file_wrapper"](answer.content, _PIECE)
        return wrapped

    def _answer(self, path: str) -> Answer:
        own = self._own.get(path)
        if own is not None:
            return own
        if path == "/state.json":
            content = self._station.found().state
            return Answer("200 OK", content, len(content), "application/json", cache="no-store")
        if path == "/history.json":
            _unused, content, version = self._station.found()
            return Answer("200 OK", content, len(content), "application/json", etag=f'"{version}"')
        if match := _PICTURE.fullmatch(path):
            picture = self._station.pictures.get(match[1])
            if picture is not None:
                content, etag = picture.content, f'"{picture.version}"'
                return Answer("200 OK", content, len(content), "image/jpeg", etag=etag)
        elif (match := _EXPERIMENT.fullmatch(path)) and (report := report_file.opened(self._station.layout, match[1])):
            found = os.fstat(report.fileno())
            etag = f'"{found.st_mtime_ns:x}-{found.st_size:x}"'
            return Answer("200 OK", report, found.st_size, "text/html; charset=utf-8", _REPORT_POLICY, etag)
        return said("404 Not Found", "There is nothing here. The station's page is at /")


def said(status: str, text: str) -> Answer:
    """Return an answer in words."""
    content = f"{text}\n".encode()
    return Answer(status, content, len(content), "text/plain; charset=utf-8")


def close(answer: Answer) -> None:
    """Close what an answer would have been sent from."""
    if not isinstance(answer.content, bytes):
        answer.content.close()


def own_files(directory: str) -> dict[str, Answer]:
    """Return the files in `directory` that are the page's own, by path."""
    kinds = {
        "html": "text/html; charset=utf-8",
        "css": "text/css; charset=utf-8",
        "js": "text/javascript; charset=utf-8",
        "svg": "image/svg+xml",
    }
    found = {}
    for name in sorted(os.listdir(directory)):
        kind = kinds.get(name.rpartition(".")[2])
        if kind:
            with open(os.path.join(directory, name), "rb") as file:
                content = file.read()
            etag = f'"{hashlib.sha256(content).hexdigest()[:16]}"'
            path = "/" if name == "index.html" else f"/{name}"
            found[path] = Answer("200 OK", content, len(content), kind, _OWN_POLICY, etag)
    return found
