# SPDX-License-Identifier: GPL-3.0-or-later
"""What the modules that run on a camera take there, with 50,000 images on its card."""

from __future__ import annotations

import json
from dataclasses import dataclass

import requests

from .fleet import FRAMES, Options, fleet, named, say
from .results import Row

IMAGES = 50_000
IMAGE = 10_000
"""Bytes: what a module holds in memory goes by their number."""
MEMORY = 60.0
"""MB that a module may take on a camera."""
PYTHON = "/usr/local/bin/python-measured"
PEAKS = "/var/lib/wildberryeye-peaks"

# What Ansible starts on the camera in place of Python. Ansible sends a module by standard input.
MEASURED = f"""#!/usr/bin/python3
import json, re, resource, subprocess, sys
source = b"" if sys.argv[1:] else sys.stdin.buffer.read()
status = subprocess.run(["/usr/bin/python3", *sys.argv[1:]], input=source).returncode
usage = resource.getrusage(resource.RUSAGE_CHILDREN)
name = re.search(rb"wildberryeye\\.orchestrator\\.plugins\\.modules\\.(\\w+)", source)
if name:
    cpu = usage.ru_utime + usage.ru_stime
    facts = {{"name": name[1].decode(), "memory": usage.ru_maxrss * 1024 / 1e6, "cpu": cpu}}
    with open("{PEAKS}", "a") as file:
        file.write(json.dumps(facts) + "\\n")
sys.exit(status)
"""


@dataclass(frozen=True)
class Memory:
    """One camera writes 50,000 images that belong to nothing yet; start sets them aside and carries them home."""

    name: str = "memory"
    minutes: float = 4
    about: str = f"memory and CPU of the modules on a camera with {IMAGES:,} images"

    def run(self, options: Options) -> list[Row]:
        """Measure; return the table's rows."""
        images = max(2, round(IMAGES * options.scale))
        rows = []
        with fleet(named(1), link=False, cpus=None) as cameras:
            (camera,) = cameras.cameras
            install = f"cat > {PYTHON} && chmod 755 {PYTHON} && touch {PEAKS} && chmod 666 {PEAKS}"
            camera.exec("sh", "-c", install, input=MEASURED)
            for method in ("zip", "files"):
                cameras.fresh(interval=0.0, image_bytes=IMAGE, frames=FRAMES, detect_limit=images)
                cameras.station.variables(ansible_python_interpreter=PYTHON, wildberryeye_ready_timeout=300)
                camera.exec("truncate", "--size=0", PEAKS)
                camera.restart_service()
                camera.wait_port()
                say(f"{self.name}: {images} images are written")
                requests.post(f"http://{camera.address}:5000/api/start", timeout=60).raise_for_status()
                cameras.fill(images)
                camera.stop_service()
                camera.settings(interval=0.5)
                say(f"{self.name}: start and stop, {method}")
                arguments = ("-e", f"wildberryeye_collection_method={method}")
                cameras.play("start", *arguments)
                cameras.play("stop", *arguments)
                cameras.station.assert_all_home()
                rows += judged(camera.exec("cat", PEAKS).stdout, f"with {images:,} images, {method}")
        return rows


def judged(text: str, what: str) -> list[Row]:
    """Return the rows of what the modules took, each module's greatest."""
    found: dict[str, list[dict[str, float]]] = {}
    for line in text.splitlines():
        facts = json.loads(line)
        found.setdefault(facts["name"], []).append(facts)
    rows = []
    for name in ("recording", "image_batch", "image_cleanup"):
        peak, cpu = (max(facts[key] for facts in found[name]) for key in ("memory", "cpu"))
        rows.append(Row(f"{name} {what}: memory", peak, "MB", most=MEMORY))
        rows.append(Row(f"{name} {what}: CPU", cpu))
    return rows
