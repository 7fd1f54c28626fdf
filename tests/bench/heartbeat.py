# SPDX-License-Identifier: GPL-3.0-or-later
"""What the heartbeat costs with forty cameras of which half are in a black hole.

The heartbeat runs as it is shipped. What it does to the others is read from the emulators' own lists of requests, what
it costs from /proc. What a probe costs depends on the machine: compare figures of the same one, idle but for this.
"""

from __future__ import annotations

import json
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from e2e.station import Station
from e2e.watching import heartbeat_pid, probes, processes, told
from lab import CameraSpec, Lab, LabError, wait_until
from lab.__main__ import table

from .fleet import Options
from .results import Row

INTERVAL = 60.0
"""Seconds between two probes of a camera, as shipped."""
MEMORY = 80.0
"""MB that the heartbeat may take."""
CPU = 2.0
"""Per cent of one core that it and what it runs may take."""
OFF = 10.0
"""Per cent of the interval that a probe may be off its camera's phase."""
LEAST = 4.0
"""At least, and by default: minutes that three failures in a row, and two intervals to count in, take."""

# Arguments: process, seconds. Looks four times a second at all that is in the process's control group; a login lives
# for a few of these moments. What ran and ended is in the CPU time of who waited for it.
SAMPLER = """
import json, os, sys, time

main, seconds = sys.argv[1], float(sys.argv[2])

def read(process, name):
    with open(f"/proc/{process}/{name}") as file:
        return file.read()

def status(process):
    return dict(line.split(":", 1) for line in read(process, "status").splitlines())

def size(found, *fields):
    return sum(int(found.get(field, "0").split()[0]) for field in fields) * 1024

def cpu():
    own, system, child, child_system = map(int, read(main, "stat").rpartition(")")[2].split()[11:15])
    return own + system, own + system + child + child_system

unit = read(main, "cgroup")
ticks = os.sysconf("SC_CLK_TCK")
peak, once = (0, 0), 0
began, before = time.monotonic(), cpu()
while time.monotonic() < began + seconds:
    held = []
    for process in filter(str.isdigit, os.listdir("/proc")):
        try:
            if read(process, "cgroup") == unit:
                held.append(status(process))
        except OSError:
            pass
    files = {}
    for each in held:
        files[each["Name"]] = max(files.get(each["Name"], 0), size(each, "RssFile"))
    peak = max(peak, (sum(size(each, "VmRSS") for each in held), len(held)))
    once = max(once, sum(size(each, "RssAnon", "RssShmem") for each in held) + sum(files.values()))
    time.sleep(0.25)
took = (time.monotonic() - began) * ticks
own, whole = (100 * (after - at) / took for at, after in zip(before, cpu()))
held = {"own": size(status(main), "VmHWM"), "unit": peak[0], "once": once, "processes": peak[1]}
print(json.dumps({**held, "cpu": own, "cpu_all": whole}))
"""


class Cost(NamedTuple):
    """What the heartbeat took."""

    own: int
    """Bytes of memory that it held itself, at most."""
    unit: int
    """Bytes that it and what it ran held at one moment, at most; what they share is counted for each."""
    once: int
    """The same, but what is of a file is counted once for each program."""
    processes: int
    """How many they were at the moment of `unit`."""
    cpu: float
    """Per cent of one core that it took itself."""
    cpu_all: float
    """The same with what it ran."""


class Beat(NamedTuple):
    """How a camera was probed."""

    counts: list[int]
    """How often, in each whole interval."""
    off: float
    """How far two of its probes were from the same phase, in per cent of the interval."""


@dataclass(frozen=True)
class Heartbeat:
    """Forty cameras, of which half fall into a black hole."""

    name: str = "heartbeat"
    minutes: float = 7
    about: str = "what the heartbeat of 40 cameras costs, half of them out of reach; --minutes: for how long"

    def run(self, options: Options) -> list[Row]:
        """Measure; return the table's rows."""
        return bench(options.cameras or 40, options.minutes * 60)


def bench(count: int, seconds: float) -> list[Row]:
    """Bring the cameras up, lose half of them, and measure; return the table."""
    names = [f"{mode}-{number:02}" for mode in ("motion", "object") for number in range(1, count // 2 + 1)]
    specs = [CameraSpec(name, name.partition("-")[0]) for name in names]
    with (
        tempfile.TemporaryDirectory() as scratch,
        Lab(specs, orchestrator="bookworm", directory=Path(scratch), name="bench-heartbeat") as lab,
    ):
        for camera in lab.cameras.values():
            # Read when start.yml starts the service. The cameras' own work must leave this machine idle.
            camera.settings(interval=INTERVAL / 2, image_bytes=10_000)
        station = Station(lab)
        # Forty logins at once take longer on one machine than sudo is waited for; on forty cameras they do not.
        station.play("start", "--forks", "10")
        started = time.time()
        for camera in lab.cameras.values():
            what = f"{camera.name} is probed"
            wait_until(lambda c=camera: max(probes(c), default=0) > started, what, 2 * INTERVAL, 1)  # type: ignore[misc]
        # Every second one in the order of their phases, so that each that is left comes after one that is lost.
        lost = names[::2]
        blackholed = time.time()
        with ThreadPoolExecutor(max_workers=4) as pool:
            list(pool.map(lambda name: lab.cameras[name].blackhole(station.orchestrator.address), lost))
        time.sleep(max(0.0, blackholed + INTERVAL - time.time()))
        cost = measure(station, seconds - INTERVAL)
        counted = blackholed + INTERVAL, time.time()
        beats = {name: beat(probes(lab.cameras[name]), *counted) for name in names if name not in lost}
        restarted = sum(
            processes(lab.cameras[name], blackholed) > 0 or bool(told(station, name, "restarting")) for name in lost
        )
        once = sum(len(told(station, name, "unreachable")) == 1 for name in lost)
    return [*judged_beats(beats), *judged_cost(cost), *judged_lost(len(lost), restarted, once)]


def measure(station: Station, seconds: float) -> Cost:
    """Watch the heartbeat for so many seconds; return what it took.

    Raises:
        LabError: if it did not run all the while.
    """
    pid = heartbeat_pid(station)
    arguments = ["python3", "-c", SAMPLER, str(pid), f"{seconds:g}"]
    said = station.orchestrator.exec(*arguments, user="decim", timeout=seconds + 60).stdout
    if pid == 0 or heartbeat_pid(station) != pid:
        raise LabError("the heartbeat was started again meanwhile")
    return Cost(**json.loads(said))


def beat(at: list[float], began: float, ended: float) -> Beat:
    """Return how a camera was probed between two moments; `at` says when, and goes back further.

    Its intervals are laid so that its first probe is in the middle of the first of them.
    """
    first = min((each for each in at if began <= each < ended), default=began)
    counts = [0] * int((ended - first) / INTERVAL + 0.5)
    offs = []
    for each in at:
        number = round((each - first) / INTERVAL)
        if 0 <= number < len(counts):
            counts[number] += 1
            offs.append(each - first - number * INTERVAL)
    return Beat(counts, 100 * (max(offs) - min(offs)) / INTERVAL if offs else 100.0)


def judged_beats(beats: dict[str, Beat]) -> list[Row]:
    """Return what the table says of the cameras that are left, after a table of each of them."""
    each = [(name, " ".join(map(str, found.counts)), f"{found.off:.2f} %") for name, found in beats.items()]
    table([("camera", "probes in each interval", "off its phase"), *each])
    print()
    counts = [count for found in beats.values() for count in found.counts]
    off = max(found.off for found in beats.values())
    other = sum(count != 1 for count in counts)
    return [
        Row(
            f"intervals of healthy cameras with another number of probes than one, of {len(counts)}", other, "", most=0
        ),
        Row("largest distance of a probe from its camera's phase", off, "% of the interval", most=OFF),
    ]


def judged_cost(cost: Cost) -> list[Row]:
    """Return what the table says of what the heartbeat took."""
    # The sum of what is resident; most of a login's is shared by all logins.
    unit = f"memory of its unit, at most: {cost.processes} processes"
    return [
        Row("memory of the heartbeat, at most", cost.own / 1e6, "MB", most=MEMORY),
        Row(unit, cost.unit / 1e6, "MB"),
        Row("the same, shared pages counted once", cost.once / 1e6, "MB"),
        Row("CPU of the heartbeat", cost.cpu, "% of a core"),
        Row("CPU of it and what it runs", cost.cpu_all, "% of a core", most=CPU),
    ]


def judged_lost(lost: int, restarted: int, once: int) -> list[Row]:
    """Return what the table says of the cameras in the black hole."""
    return [
        Row(f"black-holed cameras that were restarted, of {lost}", restarted, "", most=0),
        Row(f"black-holed cameras that were not told unreachable once, of {lost}", lost - once, "", most=0),
    ]
