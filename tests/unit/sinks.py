# SPDX-License-Identifier: GPL-3.0-or-later
"""Where alerts arrive: a real mail server, and a real web server, both on loopback."""

from __future__ import annotations

import email
import email.policy
import json
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.handlers import Message as Handler


class Web:
    """A web server that notes what it is sent.

    Args:
        port: its port; 0 for any.
        status: what it answers with.
        hangs: whether it takes a request and never answers.
        most: bytes of a request, above which it refuses it.
    """

    def __init__(self, port: int = 0, status: int = 200, hangs: bool = False, most: int = 1 << 20) -> None:
        self.got: list[dict[str, Any]] = []
        """The JSON of each POST."""
        self.tries: list[float] = []
        """When each POST came, whatever became of it."""
        self.asked: list[tuple[float, str]] = []
        """When, and the path, of each GET."""
        self.status, self.hangs = status, hangs
        self._over = threading.Event()
        sink = self

        class Requests(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                sink.tries.append(time.monotonic())
                body = self.rfile.read(int(self.headers["Content-Length"]))
                too_long = len(body) > most
                if not sink.hangs and sink.status < 300 and not too_long:
                    sink.got.append(json.loads(body))
                self._answer(413 if too_long else 0)

            def do_GET(self) -> None:
                sink.asked.append((time.time(), self.path))
                self._answer()

            def _answer(self, status: int = 0) -> None:
                if sink.hangs:
                    sink._over.wait(60)
                    return
                self.send_response(status or sink.status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", port), Requests)
        self._server.daemon_threads = True
        self.port = self._server.server_port
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    @property
    def url(self) -> str:
        """Where alerts go: a URL of apprise, with a secret in it."""
        return f"json://field:{SECRET}@127.0.0.1:{self.port}/{SECRET}"

    @property
    def ping(self) -> str:
        return f"http://127.0.0.1:{self.port}/{SECRET}"

    def texts(self) -> list[str]:
        return [each["message"] for each in self.got]

    def close(self) -> None:
        self._over.set()
        self._server.shutdown()
        self._server.server_close()


class Mail:
    """A mail server that keeps what it is sent."""

    def __init__(self) -> None:
        self.got: list[email.message.EmailMessage] = []
        keep = self.got

        class Keep(Handler):
            def prepare_message(self, session: Any, envelope: Any) -> Any:
                return email.message_from_bytes(envelope.content, policy=email.policy.default)

            def handle_message(self, message: Any) -> None:
                keep.append(message)

        self.port = free_port()
        self._controller = Controller(Keep(), hostname="127.0.0.1", port=self.port)
        self._controller.start()

    @property
    def url(self) -> str:
        return (
            f"mailto://127.0.0.1:{self.port}?smtp=127.0.0.1&mode=insecure&from=station@field.example&to=me@lab.example"
        )

    def close(self) -> None:
        self._controller.stop()


SECRET = "hunter2-s3cret"


def free_port() -> int:
    """Return a port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
