# SPDX-License-Identifier: GPL-3.0-or-later
"""The hosts of a scenario, for its create and destroy: `python3 -m scenarios.hosts up DIRECTORY`, `down DIRECTORY`.

A lab goes with the process that it belongs to, and neither a playbook nor, after Ctrl-C, Molecule itself would be there
to remove it. So `up` leaves a keeper behind: a process that has the lab and removes it when it is told to by `down`, or
when `molecule test` has ended, in whatever way. After `molecule create` or `converge` it stays until `molecule
destroy`.

Where `make molecule` runs, its lab is taken instead, and `down` leaves it alone.
"""

from __future__ import annotations

import argparse
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from e2e.station import Station
from lab import CameraSpec, Lab, LabError
from lab.command import terminating
from lab.lab import started, yaml
from lab.podman import root

SHARED = "WILDBERRYEYE_SCENARIO_LAB"
"""Environment variable that names the directory of a lab that is there already."""
CAMERAS = (CameraSpec("object", "object"), CameraSpec("motion", "motion", release="trixie", user="station-2"))
RELEASE = "bookworm"
BOOT = 600.0
"""Seconds for a lab to be there. It takes ten, and some minutes where its images are built first."""

# For the few things that only root can do to the orchestrator, such as having its user's lingering turned off.
ADMIT_ROOT = "install -d -m 700 /root/.ssh && install -m 600 /home/decim/.ssh/authorized_keys /root/.ssh/"
# What a scenario may have left that is not a camera's, and that the tests of whole days do not touch.
TIDY = """
cat >~/station/known_hosts
rm -rf ~/.local/state/wildberryeye ~/sink* ~/.ansible/tmp
systemctl --user stop sink.service
true
"""
LINGER = """
ln -sfn /dev/null /etc/systemd/system/polkit.service
systemctl stop polkit.service
touch /var/lib/systemd/linger/decim
"""


def main(argv: list[str] | None = None) -> int:
    """Run one command; return the exit status."""
    options = parser().parse_args(argv)
    directory = options.directory.resolve()
    try:
        if options.command == "up":
            print("\n".join(str(path) for path in up(directory)))
        elif options.command == "down":
            down(directory)
        else:
            with terminating():
                keep(directory, options.process)
    except (LabError, OSError) as error:
        print(f"scenarios: {error}", file=sys.stderr)
        return 1
    return 0


def parser() -> argparse.ArgumentParser:
    """Return the command line's grammar."""
    top = argparse.ArgumentParser(prog="scenarios.hosts", description=__doc__)
    commands = top.add_subparsers(dest="command", required=True)
    for name in ("up", "down", "keep"):
        command = commands.add_parser(name)
        command.add_argument("directory", type=Path, help="where the lab keeps keys, inventories, cameras' states")
        if name == "keep":
            command.add_argument("--process", type=int, help="whose end is the lab's end; `down` alone, without it")
    return top


# -- a lab for one scenario --------------------------------------------------------------------------


def up(directory: Path) -> list[Path]:
    """Bring up a lab, or take the one that is there; return the inventories that name its hosts.

    Raises:
        LabError: if it does not come up.
    """
    if SHARED in os.environ:
        return inventories(Path(os.environ[SHARED]))
    if keeper(directory):
        return inventories(directory)
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True, exist_ok=True)
    ends_with = molecule_test()
    command = [sys.executable, "-m", "scenarios.hosts", "keep", str(directory)]
    with (directory / "keeper.log").open("wb") as log:
        process = subprocess.Popen(
            [*command, *(["--process", str(ends_with)] if ends_with else [])],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,  # Ctrl-C is for Molecule; the lab goes when that has gone
        )
    end = time.monotonic() + BOOT
    while not (directory / "ready").exists():
        if process.poll() is not None or time.monotonic() > end:
            process.terminate()
            said = (directory / "keeper.log").read_text(encoding="utf-8").strip().splitlines()
            raise LabError(said[-1] if said else f"the lab is not up after {BOOT:g} s")
        time.sleep(0.1)
    return inventories(directory)


def keep(directory: Path, process: int | None) -> None:
    """Have a lab until `process` ends, or this one is told to."""
    (directory / "keeper").write_text(f"{os.getpid()}:{started(os.getpid())}", encoding="utf-8")
    with boot(directory):
        (directory / "ready").touch()
        if process is None:
            signal.pause()
        else:
            wait_for_end(process, None)
            # It would take its hosts for created, and prepared, the next time.
            Path(os.environ["MOLECULE_STATE_FILE"]).unlink(missing_ok=True)


def down(directory: Path) -> None:
    """Have the lab removed, and wait until it is.

    Raises:
        LabError: if its keeper does not end.
    """
    process = None if SHARED in os.environ else keeper(directory)
    if process is None:
        return
    os.kill(process, signal.SIGTERM)
    if not wait_for_end(process, 60):
        raise LabError(f"the lab's keeper, process {process}, does not end")
    (directory / "keeper").unlink()


def keeper(directory: Path) -> int | None:
    """Return the process that has the lab in `directory`, if it is alive."""
    try:
        pid, _, start = (directory / "keeper").read_text(encoding="utf-8").partition(":")
    except FileNotFoundError:
        return None
    return int(pid) if start and started(int(pid)) == start else None


def wait_for_end(process: int, timeout: float | None) -> bool:
    """Wait until a process that need not be ours has ended; tell whether it has, within `timeout` seconds."""
    try:
        descriptor = os.pidfd_open(process)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([descriptor], [], [], timeout)[0])
    finally:
        os.close(descriptor)


def molecule_test() -> int | None:
    """Return the process of the `molecule test` that we are called by; None if it is another command of Molecule's."""
    process = os.getppid()
    while process > 1:
        try:
            words = Path(f"/proc/{process}/cmdline").read_text(encoding="utf-8", errors="replace").split("\0")
            stat = Path(f"/proc/{process}/stat").read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            return None
        if "molecule" in (Path(word).name for word in words[:2]):
            return process if "test" in words and not {"never", "--destroy=never"} & set(words) else None
        process = int(stat.rpartition(")")[2].split()[1])
    return None


# -- any lab of scenarios ----------------------------------------------------------------------------


def boot(directory: Path) -> Lab:
    """Return a lab that comes up, ready for a scenario, when it is entered."""
    return _Lab(list(CAMERAS), orchestrator=RELEASE, directory=directory)


class _Lab(Lab):
    def up(self) -> None:
        # What a scenario that failed, or was broken off, had at home is in no other's way.
        root("rm", "-rf", str(self.home_data))
        super().up()
        try:
            assert self.orchestrator is not None
            self.orchestrator.exec("sh", "-c", ADMIT_ROOT)
            write_inventories(self)
            Station(self).variables()
        except BaseException:
            self.down()
            raise


def renew(lab: Lab) -> None:
    """Make a lab as it was before the scenario that ran on it."""
    assert lab.orchestrator is not None
    lab.orchestrator.exec("sh", "-c", LINGER)
    known = lab.known_hosts.read_text(encoding="utf-8")
    lab.orchestrator.exec("sh", "-c", TIDY, user="decim", input=known)
    Station(lab).fresh()


def write_inventories(lab: Lab) -> None:
    """Write who the hosts are, as this machine sees them."""
    lab.write_inventory(lab.directory)
    assert lab.orchestrator is not None
    host: Mapping[str, object] = {
        "ansible_host": lab.orchestrator.address,
        "ansible_user": "decim",
        "ansible_ssh_private_key_file": str(lab.key),
        "ansible_ssh_common_args": f"-o 'UserKnownHostsFile={lab.known_hosts}'",
        "ansible_python_interpreter": "/usr/bin/python3",
    }
    text = yaml({"all": {"hosts": {"orchestrator": host}}})
    (lab.directory / "orchestrator.yml").write_text(f"---\n{text}", encoding="utf-8")


def inventories(directory: Path) -> list[Path]:
    """Return the inventories of the lab in `directory`."""
    return [directory / "hosts.yml", directory / "orchestrator.yml"]


if __name__ == "__main__":
    sys.exit(main())
