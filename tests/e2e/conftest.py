# SPDX-License-Identifier: GPL-3.0-or-later
"""A station on which nothing is set up yet."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from e2e.setting_up import KNOWN_HOSTS, LOGINCTL, MARKER, cat, run_sh
from e2e.station import Station

CLEAR = f"""
cat >{KNOWN_HOSTS}; chmod 644 {KNOWN_HOSTS}
# What has ended with lingering takes a moment to come back.
until systemctl --user is-active --quiet basic.target 2>/dev/null; do sleep 0.1; done
systemctl --user disable --quiet --now 'wildberryeye_*' 2>/dev/null
rm -rf ~/.config ~/.local/share/systemd
systemctl --user daemon-reload
"""


@pytest.fixture
def fresh(station: Station) -> Iterator[Station]:
    """A station that knows no camera; afterwards, one as the other tests want it."""
    known = cat(station, KNOWN_HOSTS)
    run_sh(station, f"rm -rf {KNOWN_HOSTS} {MARKER}")
    yield station
    run_sh(station, f"rm -f {LOGINCTL} /etc/sudoers.d/setup; loginctl enable-linger decim")
    station.orchestrator.exec("sh", "-c", CLEAR, user="decim", input=known)
