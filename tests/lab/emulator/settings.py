# SPDX-License-Identifier: GPL-3.0-or-later
"""What a camera is like for the life of its process: `settings.json`."""

from __future__ import annotations

import json
import socket
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Settings:
    """Every key is optional; one that does not exist is an error at start, not a healthy camera."""

    port_delay: float = 2.0  # s from process start until the port opens
    first_frame_delay: float = 1.5  # s from process start until the first frame; captures block until then
    interval: float = 0.5  # s between detected images
    image_bytes: int = 190_000  # about; between 10,000 and 290,000
    frames: int | None = None  # pictures that are drawn; more are these with another comment: a card fills in no time
    detect_limit: int | None = None  # detected images per process; then detection goes on but sees nothing
    hostname: str = field(default_factory=socket.gethostname)


def read(state_dir: Path) -> Settings:
    """The settings in `state_dir`; raises TypeError for unknown keys, ValueError for what is not JSON."""
    path = state_dir / "settings.json"
    return Settings(**json.loads(path.read_text())) if path.exists() else Settings()
