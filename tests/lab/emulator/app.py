# SPDX-License-Identifier: GPL-3.0-or-later
"""The camera's HTTP API, as its owners wrote it: no authentication, no status, no checks of names."""

from __future__ import annotations

import html
import itertools
import os
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

from flask import Flask, Response, g, jsonify, redirect, request, send_file, send_from_directory
from werkzeug.http import http_date
from werkzeug.serving import WSGIRequestHandler
from werkzeug.wrappers import Response as AnyResponse

from .camera import Camera
from .faults import Faults, Switchboard
from .ledger import Ledger

HUGE = 1 << 30  # bytes


def create_app(camera: Camera, image_dir: Path, faults: Switchboard, ledger: Ledger) -> Flask:
    """The routes of one camera whose pictures lie in `image_dir`."""
    app = Flask("emulator", static_folder=None)
    numbers = itertools.count(1)

    def note(event: str, status: int | None) -> None:
        facts = {"request": g.number, "method": request.method, "path": request.path, "status": status}
        ledger.request(event, **facts, took=round(time.monotonic() - g.begun, 3), remote=request.remote_addr)

    def hold(held: Callable[[Faults], bool]) -> None:
        """Keep this request's thread, and its client, for as long as the fault lasts (quirk 4)."""
        if held(faults.now()):
            note("begin", None)
            faults.wait_while(held)

    def fail_if(switch: str) -> None:
        if switch == "error500":
            raise RuntimeError("emulated: the camera refuses")

    @app.before_request
    def begin() -> None:
        g.number, g.begun = next(numbers), time.monotonic()
        hold(lambda now: now.wedged)

    @app.after_request
    def end(response: Response) -> Response:
        if "Date" in response.headers:  # Flask dates files itself, and the server all: files have two
            response.headers["Date"] = http_date(camera.clock())
        note("answered", response.status_code)
        return response

    @app.post("/api/capture")
    def capture() -> AnyResponse:
        hold(lambda now: now.capture == "hang")
        fault = faults.now().capture
        fail_if(fault)
        if fault == "html":
            return Response("<!doctype html><title>Sign in to this network</title>", mimetype="text/html")
        if fault == "truncated":
            return Response('{"filename": "manual_2026', mimetype="application/json")
        if fault == "redirect":
            return redirect("/gallery")
        if fault == "huge":
            return Response(_endless_name(), mimetype="application/json")
        if fault == "odd_name":
            return jsonify(filename="../../etc/passwd")
        if not camera.ready.is_set():
            note("begin", None)
            camera.ready.wait()
        return jsonify(filename=camera.store("manual", card_full=fault == "no_file"))

    @app.post("/api/start")
    def start() -> Response:
        fail_if(faults.now().start)
        camera.start()
        return jsonify(running=True)

    @app.post("/api/stop")
    def stop() -> Response:
        hold(lambda now: now.stop == "hang")
        fail_if(faults.now().stop)
        camera.stop()
        return jsonify(running=False)

    @app.post("/api/set-baseline")
    def set_baseline() -> Response:
        camera.set_baseline()
        return jsonify(baseline=True)

    @app.post("/api/delete-images")
    def delete_images() -> Response:
        deleted: list[str] = []
        failed: list[str] = []
        for name in request.get_json().get("filenames", []):
            try:
                os.remove(os.path.join(image_dir, name))  # unchecked on purpose (quirk 9)
            except (OSError, TypeError, ValueError):
                failed.append(name)
            else:
                deleted.append(name)
                ledger.written("deleted", name=name)
        return jsonify(deleted=deleted, failed=failed)

    @app.post("/api/download-images")
    def download_images() -> Response:
        out = tempfile.TemporaryFile()  # noqa: SIM115 - closed by the response
        with zipfile.ZipFile(out, "w") as archive:
            for name in request.get_json().get("filenames", []):
                path = os.path.join(image_dir, name)  # unchecked on purpose (quirk 9)
                if os.path.isfile(path):
                    archive.write(path, arcname=name)
        out.seek(0)
        return send_file(out, mimetype="application/zip", as_attachment=True, download_name="images.zip")

    @app.get("/")
    def index() -> str:
        return '<!doctype html><title>WildBerryEye</title><img src="/latest-image"><a href="/gallery">All</a>'

    @app.get("/gallery")
    def gallery() -> bytes:
        names = sorted(name for name in os.listdir(image_dir) if name.endswith(".jpg"))
        items = "".join(f"<li>{html.escape(name)}" for name in names)
        return f"<!doctype html><title>Gallery</title><ul>{items}</ul>".encode(errors="replace")

    @app.get("/latest-image")
    def latest_image() -> Response:
        if camera.latest is None:
            return Response(status=204)
        return send_file(camera.latest, mimetype="image/jpeg")  # a 500 if it was deleted (quirk 7)

    @app.get("/frontend/images/<path:name>")
    def image(name: str) -> Response:
        return send_from_directory(image_dir, name)

    return app


def handler_for(camera: Camera) -> type[WSGIRequestHandler]:
    """Flask's request handler, with the camera's clock in its Date header."""

    class Handler(WSGIRequestHandler):
        def date_time_string(self, timestamp: float | None = None) -> str:
            return http_date(camera.clock() if timestamp is None else timestamp)

    return Handler


def _endless_name() -> Iterator[bytes]:
    """A JSON answer of 1 GB: well-formed as far as anyone will read."""
    block = b"a" * 65536
    yield b'{"filename": "'
    for _ in range(HUGE // len(block)):
        yield block
    yield b'.jpg"}'
