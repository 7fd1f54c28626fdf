# SPDX-License-Identifier: GPL-3.0-or-later
"""A lock's owner that has ended is known to have, and what is to be ended is exactly what was started."""

from __future__ import annotations

import os
import subprocess
import sys

from ansible_collections.wildberryeye.orchestrator.plugins.module_utils import processes

ODD = "import ctypes, sys\nctypes.CDLL(None).prctl(15, b'a) Z 1 (b\\xff')\nprint(flush=True)\nsys.stdin.read()"
"""A process with a name like what /proc says of another."""


def test_a_process_is_known_while_it_runs_and_is_nobody_once_it_has_ended() -> None:
    with subprocess.Popen([sys.executable, "-c", ODD], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as odd:
        assert odd.stdin is not None and odd.stdout is not None and odd.stdout.readline()
        began = processes.started(odd.pid)
        assert began is not None and began == processes.started(odd.pid)
        assert odd.pid in processes.children() and os.getpid() not in processes.children()
        odd.stdin.close()
        os.waitid(os.P_PID, odd.pid, os.WEXITED | os.WNOWAIT)
        # Its parent has not looked yet.
        assert processes.started(odd.pid) is None
    assert processes.started(odd.pid) is None and odd.pid not in processes.children()
