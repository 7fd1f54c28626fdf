# SPDX-License-Identifier: GPL-3.0-or-later
"""The station's live page: serves what is known of the cameras and the experiments' reports, read-only.

What it knows stands in live_station.py, what it answers in live_answers.py; here is who may ask, and how slowly.
"""

from __future__ import annotations

import argparse
import errno
import ipaddress
import os
import signal
import socket
import sys
from typing import Any

from waitress.channel import HTTPChannel
from waitress.server import BaseWSGIServer, create_server

from ansible_collections.wildberryeye.orchestrator.plugins.module_utils import experiment, live_facts
from ansible_collections.wildberryeye.orchestrator.plugins.module_utils.errors import Error
from ansible_collections.wildberryeye.orchestrator.plugins.module_utils.live_answers import App
from ansible_collections.wildberryeye.orchestrator.plugins.module_utils.live_station import Settings, Station
from ansible_collections.wildberryeye.orchestrator.plugins.module_utils.sd_notify import notify

HERE = os.path.dirname(os.path.abspath(__file__))
OWN = os.path.join(HERE, "page")
TIME_LINE = os.path.join(HERE, "time_line.py")
_SLOW = 20.0
"""Seconds that a client has for a whole request, and for taking a bit of the answer."""
_CLIENTS = 96
"""Connections at once."""
_PER_CLIENT = 12
"""Of one address; a browser opens six."""
_PIECE = 65536
"""Bytes of an answer that are read, and handed to the kernel, at a time."""


class Channel(HTTPChannel):
    """A connection that cannot be held open by sending a request bit by bit, nor by opening many of them."""

    def __init__(self, server: Any, sock: Any, addr: Any, adj: Any, map: Any = None) -> None:
        mine = sum(channel.addr[:1] == addr[:1] for channel in server.active_channels.values())
        super().__init__(server, sock, addr, adj, map=map)
        self.will_close = mine >= _PER_CLIENT
        # So much of a file is read at a time: what the kernel would take is megabytes, for each client.
        self.sendbuf_len = min(self.sendbuf_len, _PIECE)

    def handle_read(self) -> None:
        """Read what has come; half a request is no activity."""
        before = self.last_activity
        super().handle_read()
        if self.request is not None:
            self.last_activity = before


def listening(address: str, port: int) -> socket.socket:
    """Return a socket that is bound.

    Raises:
        Error: if it cannot be.
    """
    tried = f"serve the live page on {address}, port {port}"
    try:
        family = socket.AF_INET6 if ipaddress.ip_address(address).version == 6 else socket.AF_INET
    except ValueError:
        raise Error(
            tried, "that is no address", "Correct wildberryeye_live_page_address: 127.0.0.1, or one of this machine's"
        ) from None
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((address, port))
    except (OSError, OverflowError) as error:
        sock.close()
        advice = {
            errno.EADDRNOTAVAIL: "This machine does not have that address, or not yet: correct"
            " wildberryeye_live_page_address, or wait for its network",
            errno.EADDRINUSE: "Something else has that port: choose another wildberryeye_live_page_port",
            errno.EACCES: "Choose a wildberryeye_live_page_port from 1024 on",
        }
        number = error.errno if isinstance(error, OSError) else 0
        text = (error.strerror if isinstance(error, OSError) else None) or str(error)
        raise Error(tried, text, advice.get(number or 0, "")) from None
    return sock


def schedule(start: str, stop: str) -> live_facts.Schedule | None:
    """Return when the timers begin and end an experiment.

    Raises:
        Error: if one of these is no time of day.
    """
    if not start or not stop:
        return None
    return live_facts.Schedule(
        experiment.time_of_day(start, "wildberryeye_start_time"), experiment.time_of_day(stop, "wildberryeye_stop_time")
    )


def server(app: App, sock: socket.socket, slow: float = _SLOW) -> BaseWSGIServer:
    """Return what serves `app` on `sock` once it is run.

    Args:
        app: the page.
        sock: bound.
        slow: seconds that a client has for a whole request, and for taking a bit of the answer.
    """
    made = create_server(
        app,
        sockets=[sock],
        threads=4,
        connection_limit=_CLIENTS,
        channel_timeout=slow,
        cleanup_interval=min(5.0, slow),
        asyncore_loop_timeout=min(5.0, slow),
        asyncore_use_poll=True,
        max_request_header_size=16384,
        max_request_body_size=1024,
        ident=None,
        log_socket_errors=False,
    )
    assert isinstance(made, BaseWSGIServer)
    made.channel_class = Channel
    return made


def say(line: str) -> None:
    """Write a line to the journal."""
    print(line, flush=True)


def end(*_unused: object) -> None:
    """End: a handler of signals."""
    raise SystemExit(0)


def main() -> int:
    """Serve the page until SIGTERM."""
    parser = argparse.ArgumentParser(description="Serve the station's live page.")
    parser.add_argument("--data-dir", required=True, help="where the experiments are")
    parser.add_argument("--heartbeat", required=True, help="the file that start.yml writes for the heartbeat")
    parser.add_argument("--address", default="127.0.0.1", help="IP address to listen on")
    parser.add_argument("--port", type=int, default=8080, help="TCP port to listen on")
    parser.add_argument("--start", default="", help="time of day at which the timer begins an experiment")
    parser.add_argument("--stop", default="", help="time of day at which the timer ends it")
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)
    try:
        settings = Settings(given.data_dir, given.heartbeat, schedule(given.start, given.stop), TIME_LINE)
        sock = listening(given.address, given.port)
    except Error as error:
        say(str(error))
        notify(f"STATUS={error}")
        return 1
    page = server(App(Station(settings), OWN), sock)
    address, port = sock.getsockname()[:2]
    say(f"serving http://{f'[{address}]' if ':' in address else address}:{port}/")
    notify("READY=1")
    page.run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
