# SPDX-License-Identifier: GPL-3.0-or-later
"""One camera's batch that has arrived, and what receiving has made of it."""

from __future__ import annotations

import os
from pathlib import Path

from ansible_collections.wildberryeye.orchestrator.plugins.module_utils import receiving
from ansible_collections.wildberryeye.orchestrator.plugins.module_utils.layout import Layout
from ansible_collections.wildberryeye.orchestrator.plugins.module_utils.receiving import Received
from unit.support import BATCH, EXPERIMENT, images, read_archive

IMAGES = images(4)
FIRST, *REST = sorted(IMAGES)


def receive(layout: Layout) -> Received:
    """Receive the batch BATCH of the camera `object`."""
    return receiving.receive(layout, "object", EXPERIMENT, BATCH)


def parts(layout: Layout) -> list[dict[str, bytes]]:
    """The images in each archive that is not public yet."""
    return [read_archive(path) for path in sorted(Path(layout.parts(EXPERIMENT, "object")).glob("*.zip"))]


def on_disk(layout: Layout) -> bool:
    """Whether the batch has a receipt."""
    return os.path.exists(layout.receipt(EXPERIMENT, "object", BATCH))
