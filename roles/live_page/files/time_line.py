# SPDX-License-Identifier: GPL-3.0-or-later
"""The time line of one experiment so far, as one line of JSON; a process of its own, whose memory goes with it.

It reads the records, and the lists of those images that are home. All times are in seconds since 1970, of the
orchestrator.
"""

from __future__ import annotations

import collections
import datetime as dt
import itertools
import json
import signal
import sys
from typing import Any

from ansible_collections.wildberryeye.orchestrator.plugins.module_utils import (
    coverage,
    events,
    heartbeat_file,
    pictures,
    record,
)
from ansible_collections.wildberryeye.orchestrator.plugins.module_utils.errors import Error, from_os_error
from ansible_collections.wildberryeye.orchestrator.plugins.module_utils.layout import Layout
from ansible_collections.wildberryeye.orchestrator.plugins.module_utils.orchestrator_time import (
    CameraClock,
    Zone,
)

BIN = 300
"""Seconds that detections are counted in."""
HOUR = 3600.0


def time_line(layout: Layout, found: record.Record, interval: float, now: dt.datetime) -> dict[str, Any]:
    """Return an experiment's time line until `now`, or its end.

    Args:
        layout: the data directory.
        found: the experiment.
        interval: seconds between two looks of the heartbeat.
        now: the time, with its offset.

    Raises:
        OSError: if what happened cannot be read.
    """
    opened = dt.datetime.fromisoformat(found.opened)
    happened = events.read(layout.events(found.id))
    seen = heartbeat_file.last_good(layout, found.id)
    cameras = {name: _camera(layout, found, name, happened, seen.get(name), interval, now) for name in found.cameras}
    ends = [span[1] for camera in cameras.values() for span in camera["spans"]]
    end = now.timestamp() if found.state == record.RECORDING else max(ends, default=now.timestamp())
    return {"experiment": found.id, "begin": opened.timestamp(), "end": end, "bin": BIN, "cameras": cameras}


def _camera(
    layout: Layout,
    found: record.Record,
    name: str,
    happened: list[dict[str, Any]],
    seen: dt.datetime | None,
    interval: float,
    now: dt.datetime,
) -> dict[str, Any]:
    opened, entry = dt.datetime.fromisoformat(found.opened), found.cameras[name]
    clock = CameraClock(Zone(opened), happened, name, entry.clock_offset, interval)
    images = pictures.found(layout, found.id, name, clock).pictures
    taken = [each.taken.at.timestamp() for each in images if each.detection and each.taken is not None]
    covered = coverage.coverage(opened, name, entry, happened, images, now, seen, interval)
    bins = collections.Counter(int(at // BIN) * BIN for at in taken)
    # Until it is first made to record it misses nothing that anybody waits for.
    begun = list(itertools.dropwhile(lambda span: span.state == coverage.NOT_RECORDED, covered.spans)) or covered.spans
    whole = sum(span.seconds for span in begun)
    return {
        "spans": [[span.begin.timestamp(), span.end.timestamp(), span.state, span.cause] for span in begun],
        "recorded": covered.seconds(coverage.RECORDED) / whole if whole else None,
        "gaps": sum(span.state == coverage.NOT_RECORDED for span in begun),
        "images": len(taken),
        "bins": sorted(bins.items()),
        # The hour before the last image that is home: later ones may not be.
        "last": taken[-1] if taken else None,
        "per_hour": sum(at > taken[-1] - HOUR for at in taken) if taken else None,
    }


def main() -> int:
    """Print the time line of the experiment that the arguments name: data directory, its id, heartbeat's interval."""
    data_dir, experiment_id, interval = sys.argv[1:]
    # Where the page has ended meanwhile, nobody wants to know any more.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    layout = Layout(data_dir)
    try:
        found = record.load(layout, experiment_id)
        made = time_line(layout, found, float(interval), dt.datetime.now().astimezone()) if found else None
    except Error as error:
        print(error, file=sys.stderr)
        return 1
    except OSError as error:
        print(from_os_error("read the experiment", error), file=sys.stderr)
        return 1
    json.dump(made, sys.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main())
