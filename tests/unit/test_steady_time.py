# SPDX-License-Identifier: GPL-3.0-or-later
"""What a heartbeat remembers stays as it was, however often it is read and written again."""

from __future__ import annotations

import datetime as dt

import pytest

from ansible_collections.wildberryeye.orchestrator.plugins.module_utils import steady_time


def test_a_time_that_was_read_is_written_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    text = dt.datetime.fromtimestamp(1_779_000_000).astimezone().isoformat(timespec="seconds")
    at, ahead = steady_time.read(text), steady_time._boot()
    # A time server makes the clock on the wall run slower, or faster, by 0.5 ms a second at most.
    for slewed in (-0.005, -0.0005, 0.0, 0.0005, 0.005):
        monkeypatch.setattr(steady_time, "_boot", lambda slewed=slewed: ahead + slewed)
        assert steady_time.written(at) == text
