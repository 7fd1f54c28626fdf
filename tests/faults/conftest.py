# SPDX-License-Identifier: GPL-3.0-or-later
"""The one invariant, checked after every row that had a station."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from e2e.station import Station
from faults.table import INVARIANT


@pytest.fixture(autouse=True)
def invariant(request: pytest.FixtureRequest) -> Iterator[None]:
    """Nothing lost, nothing left: against the emulators' own record of what they wrote."""
    if "station" not in request.fixturenames:
        yield
        return
    station: Station = request.getfixturevalue("station")
    yield
    try:
        station.assert_nothing_lost()
        station.assert_only_ours_on_the_cards()
    except AssertionError:
        request.node.user_properties.append((INVARIANT, "BROKEN"))
        raise
    request.node.user_properties.append((INVARIANT, "held"))
