# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab by hand: `PYTHONPATH=tests python3 -m lab up`, `down`, `status`, `images`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from . import images
from .command import run_command
from .host import CameraSpec
from .lab import PERSISTENT, PREFIX, Lab, labs, remove
from .podman import LabError, podman


def main(argv: list[str] | None = None) -> int:
    """Run one command; return the exit status."""
    options = parser().parse_args(argv)

    def work() -> int:
        {"up": up, "down": down, "status": status, "images": build}[options.command](options)
        return 0

    return run_command("lab", work)


def parser() -> argparse.ArgumentParser:
    """Return the command line's grammar."""
    top = argparse.ArgumentParser(prog="lab", description=__doc__)
    commands = top.add_subparsers(dest="command", required=True)
    up = commands.add_parser("up", help="start cameras and perhaps an orchestrator; they stay up until `down`")
    which = up.add_mutually_exclusive_group()
    which.add_argument("--cameras", type=int, default=2, metavar="N", help="so many, by turns object and motion")
    which.add_argument("--camera", action="append", metavar="NAME:MODE[:RELEASE]", help="one camera; repeatable")
    up.add_argument("--orchestrator", metavar="RELEASE", help=f"with an orchestrator: {', '.join(images.RELEASES)}")
    up.add_argument("--cpus", type=float, help="of each camera; a Zero 2 W is about 0.4")
    up.add_argument("--memory", help="of each camera; a Zero 2 W has 512m")
    up.add_argument("--link", metavar="RATE", help="what each camera can send, such as 40mbit")
    up.add_argument("--shared-link", metavar="RATE", help="what all cameras together can send the orchestrator")
    up.add_argument("--directory", type=Path, default=Path("build/lab"), help="keys, inventory, cameras' states")
    down = commands.add_parser("down", help="remove a lab")
    for command in (up, down):
        command.add_argument("--name", default="lab", help="the lab's name, where there is more than one")
    commands.add_parser("status", help="show what is up")
    build = commands.add_parser("images", help="build the images only")
    build.add_argument("releases", nargs="*", metavar="RELEASE", help="default: " + " ".join(images.RELEASES))
    return top


def up(options: argparse.Namespace) -> None:
    """Start a lab that stays."""
    specs = [specify(text, options) for text in options.camera or numbered(options.cameras)]
    if options.name in labs():
        raise LabError(f"lab {options.name!r} is already up; `python3 -m lab down` removes it")
    lab = Lab(
        specs,
        orchestrator=options.orchestrator,
        shared_link=options.shared_link,
        directory=options.directory,
        name=options.name,
        persistent=True,
    )
    images.say(f"starting {len(specs)} cameras{' and an orchestrator' if options.orchestrator else ''}")
    lab.up()
    try:
        inventory = lab.write_inventory(lab.directory)
    except BaseException:
        lab.down()
        raise
    ssh = f"ssh -i {lab.key} -o UserKnownHostsFile={lab.known_hosts}"
    rows: list[tuple[str, ...]] = [
        (c.name, c.address, f"{ssh} {c.spec.user}@{c.address}") for c in lab.cameras.values()
    ]
    if lab.orchestrator is not None:
        rows.append(("orchestrator", lab.orchestrator.address, f"{ssh} decim@{lab.orchestrator.address}"))
    table(rows)
    print(f"inventory: {inventory}")


def numbered(count: int) -> list[str]:
    """Return names and modes of `count` cameras: object, motion, object2, motion2, …"""
    modes = ["object" if index % 2 == 0 else "motion" for index in range(count)]
    return [f"{mode}{index // 2 + 1 if index > 1 else ''}:{mode}" for index, mode in enumerate(modes)]


def specify(text: str, options: argparse.Namespace) -> CameraSpec:
    """Return the camera that NAME:MODE[:RELEASE] asks for."""
    words = text.split(":")
    if len(words) not in (2, 3):
        raise LabError(f"--camera {text}: write NAME:MODE or NAME:MODE:RELEASE")
    name, mode, release = words if len(words) == 3 else [*words, "bookworm"]
    return CameraSpec(name, mode, release, cpus=options.cpus, memory=options.memory, link=options.link)


def down(options: argparse.Namespace) -> None:
    """Remove a lab, whosoever it is."""
    if not remove(options.name):
        images.say(f"no lab {options.name!r} is up")


def status(options: argparse.Namespace) -> None:
    """Show all labs' containers."""
    rows: list[tuple[str, ...]] = []
    form = "{{.State.Status}} {{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}"
    for name, remains in sorted(labs().items()):
        owner = "stays" if remains.owner == PERSISTENT else f"of process {remains.owner.partition(':')[0]}"
        owner = "abandoned" if remains.orphaned else owner
        for container in sorted(remains.containers):
            state, _, address = podman("inspect", "--format", form, container).stdout.strip().partition(" ")
            rows.append((name, container.removeprefix(f"{PREFIX}{name}-"), address, state, owner))
        if not remains.containers:
            rows.append((name, "-", "-", "only its network is left", owner))
    if rows:
        table(rows)
    else:
        images.say("nothing is up")


def build(options: argparse.Namespace) -> None:
    """Build images that are missing, for all releases or those that are named."""
    requirements = Path(__file__).parents[2] / "requirements.txt"
    for release in options.releases or images.RELEASES:
        print(images.ensure_host(release))
        print(images.ensure_orchestrator(release, requirements))


def table(rows: list[tuple[str, ...]]) -> None:
    """Print rows in columns."""
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


if __name__ == "__main__":
    sys.exit(main())
