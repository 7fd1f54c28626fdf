# SPDX-License-Identifier: GPL-3.0-or-later
"""One look at a camera: over its API, which is made to detect again, and now and then by SSH."""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from typing import IO, NamedTuple, cast

from . import failure
from .camera_client import BASELINE_AFTER, CameraClient, CameraError
from .errors import one_line
from .watch import EXPECTED, FINE, Finding, Look

_MOST = 16 * 1024
"""Bytes of what a login says that are read."""

# What a thread that dies of an exception leaves in the journal, and nowhere else. Requests have threads of their
# own; theirs do not matter. All of the present process is searched: no clock and no cursor has to be right.
_SCRIPT = r"""
unit={unit}
systemctl show --property ActiveState,ActiveEnterTimestampMonotonic,InvocationID "$unit" || exit
echo "Uptime=$(cut -d ' ' -f 1 /proc/uptime)"
echo "Now=$(date +%s)"
id=$(systemctl show --property InvocationID --value "$unit")
[ -n "$id" ] || exit 0
sudo=
case " $(id -nG) " in
*' root '*|*' adm '*|*' systemd-journal '*) ;; # may read it
*) sudo -n true 2>/dev/null && sudo='sudo -n' ;;
esac
$sudo journalctl --quiet --no-pager --output short-unix --lines 1 \
    --grep '^Exception in thread (?!.*process_request)' "_SYSTEMD_INVOCATION_ID=$id" 2>/dev/null | sed 's/^/Died=/'
# Last: what was said before counts, should the card not answer.
echo "Free=$(df --block-size=1 --output=avail -- {directory} 2>/dev/null | tail -n 1)"
exit 0
"""


class Camera(NamedTuple):
    """What the heartbeat must know of a camera."""

    name: str
    mode: str
    """``object`` or ``motion``."""
    client: CameraClient
    ssh: Sequence[str]
    """The command that logs in; what is to be run there is its last argument."""
    service: str
    image_dir: str = "."
    """Where its free space is looked at: as it comes, on the same card as the home directory."""


def probe(
    camera: Camera,
    pictures: tuple[str, ...],
    timeout: float,
    patience: float,
    look_too: bool,
    still_wanted: Callable[[], bool],
    clock: Callable[[], float] = time.monotonic,
) -> Finding:
    """Look whether the camera takes pictures, and make it detect.

    Args:
        camera: the camera.
        pictures: those that earlier probes left on its card; they are deleted.
        timeout: seconds for an answer.
        patience: seconds for the first answer, and for the picture.
        look_too: whether to log in as well.
        still_wanted: tells whether it is still to record; asked just before it is made to.
        clock: returns seconds.
    """
    began = clock()
    client = camera.client
    restarted = False
    try:
        restarted = client.untouched(patience)
        name = client.capture(patience)
        if not client.whole(name, timeout):
            raise CameraError("storage", "", f"it took {name}, and did not store it")
        # Not the newest one: its page would answer with an error until the next.
        older, pictures = pictures, (*pictures, name)[-10:]
        if older:
            client.delete(older, timeout)
            pictures = (name,)
        if still_wanted():
            client.start(timeout)
            if camera.mode == "motion":
                if restarted:
                    time.sleep(BASELINE_AFTER)
                client.set_baseline(timeout)
        kind, text = FINE, ""
    except CameraError as error:
        kind, text = error.kind, error.came_back
    found = look(camera, timeout) if look_too else None
    return Finding(began, kind, text, restarted, pictures, found)


def probe_expected(
    camera: Camera, pictures: tuple[str, ...], timeout: float, clock: Callable[[], float] = time.monotonic
) -> Finding:
    """Look whether a camera that was never made to record can be logged in to; it is not made to record by this.

    What lies on its card has to be set aside first, and that is the business of a restart.
    """
    began = clock()
    found = look(camera, timeout)
    if found.reached:
        return Finding(began, EXPECTED, "", False, pictures, found)
    return Finding(began, "unreachable", "it was never made to record", False, pictures, found)


def look(camera: Camera, timeout: float) -> Look:
    """Log in to the camera and look at its service; takes twice `timeout` seconds at most."""
    words = {"unit": shlex.quote(camera.service), "directory": shlex.quote(camera.image_dir)}
    command = [*camera.ssh, _SCRIPT.format(**words)]
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            # What ssh has started, for a jump host, goes with it.
            start_new_session=True,
        )
    except OSError as error:
        return Look(False, f"ssh cannot be run: {error.strerror}")
    stdout = cast(IO[bytes], process.stdout)

    def end() -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)

    timer = threading.Timer(2 * timeout, end)
    timer.daemon = True
    timer.start()
    try:
        said = stdout.read(_MOST).decode(errors="replace")
        timer.cancel()
        end()
        process.wait()
    finally:
        stdout.close()
    fields = dict(line.partition("=")[::2] for line in said.splitlines() if "=" in line)
    try:
        return _seen(fields)
    except (LookupError, ValueError, OverflowError):
        why = failure.explain(said) if said.strip() else f"no answer within {2 * timeout:.0f} s"
        return Look(False, one_line(why, 200))


def _seen(fields: dict[str, str]) -> Look:
    active = fields["ActiveState"] == "active"
    uptime = float(fields["Uptime"])
    age = max(0.0, uptime - int(fields["ActiveEnterTimestampMonotonic"] or 0) / 1e6) if active else 0.0
    died = None
    if "Died" in fields:
        # Both by the camera's own clock, whatever it shows.
        died = min(age, max(0.0, int(fields["Now"]) - float(fields["Died"].split()[0])))
    free = fields.get("Free", "").strip()
    room = int(free) if free.isdecimal() and len(free) < 20 else None
    return Look(True, "", active, age, fields["InvocationID"], died, room)
