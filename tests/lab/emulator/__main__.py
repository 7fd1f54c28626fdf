# SPDX-License-Identifier: GPL-3.0-or-later
"""The command line of the camera emulator."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
from pathlib import Path
from types import FrameType

from werkzeug.serving import make_server

from . import settings as settings_file
from .app import create_app, handler_for
from .camera import Camera
from .faults import Switchboard
from .ledger import Ledger


def main() -> None:
    """Run one camera until a signal ends it."""
    parser = argparse.ArgumentParser(prog="emulator", description="A WildBerryEye camera for tests.")
    parser.add_argument("mode", choices=("object", "motion"))
    parser.add_argument("--image-dir", type=Path, required=True)
    parser.add_argument("--state-dir", type=Path, required=True)
    parser.add_argument("--port", type=int, default=5000)
    parser.add_argument("--host", default="0.0.0.0")
    options = parser.parse_args()

    image_dir, state_dir = options.image_dir.resolve(), options.state_dir.resolve()
    image_dir.mkdir(parents=True, exist_ok=True)
    settings = settings_file.read(state_dir)
    faults, ledger = Switchboard(state_dir), Ledger(state_dir)
    camera = Camera(options.mode, image_dir, settings, faults, ledger)

    def end(signum: int, frame: FrameType | None) -> None:
        """Leave at once: hanging requests would keep an orderly exit waiting."""
        camera.power_off()
        os._exit(0)

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)
    camera.power_on()
    time.sleep(settings.port_delay)
    app = create_app(camera, image_dir, faults, ledger)
    handler = handler_for(camera)
    server = make_server(options.host, options.port, app, threaded=True, request_handler=handler)
    print(f"emulator: {options.mode} camera on port {options.port}", file=sys.stderr, flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
