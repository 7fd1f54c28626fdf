# SPDX-License-Identifier: GPL-3.0-or-later
"""Forty cameras' workers share what one process has loaded."""

from __future__ import annotations

import subprocess
import sys

from unit.support import ROOT


def test_what_a_day_needs_is_loaded_at_once() -> None:
    script = (
        "import sys\n"
        "from ansible.plugins.loader import init_plugin_loader\n"
        f"init_plugin_loader([{str(ROOT / 'collections')!r}])\n"
        "from ansible_collections.wildberryeye.orchestrator.plugins.plugin_utils import preload\n"
        "preload.load_actions()\n"
        "print(*sorted(name for name in sys.modules if '.plugins.action.' in name))\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert not done.stderr
    loaded = {name.rpartition(".")[2] for name in done.stdout.split()}
    assert {"experiment", "heartbeat", "recording", "image_collection", "synchronize"} <= loaded
    assert {"image_batch", "image_cleanup"} <= loaded
