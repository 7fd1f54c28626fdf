# SPDX-License-Identifier: GPL-3.0-or-later
"""Whoever is told: a web server on the orchestrator's loopback that keeps what it is sent, a line each."""

from __future__ import annotations

import http.server
import sys
from pathlib import Path

KEPT = Path.home() / "sink.jsonl"


class Sink(http.server.BaseHTTPRequestHandler):
    """Says yes to everything."""

    def do_POST(self) -> None:
        """Keep a message."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        with KEPT.open("ab") as file:
            file.write(body + b"\n")
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing: the path is a secret."""


if __name__ == "__main__":
    http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Sink).serve_forever()
