# SPDX-License-Identifier: GPL-3.0-or-later
"""The blocks of commands that a page marks `needs: station`, run as they stand, on an emulated station.

Each is given to `bash` as the orchestrator's user, in a directory with `ansible.cfg`, in the order of the pages. The
station's inventory stands in for the example's, whose addresses nobody has here; no word of a command is changed.
Commands that stand in the same order in a block before are not run again.
"""

from __future__ import annotations

import pytest

from e2e.station import INVENTORY, Station
from lab.host import CHECKOUT
from unit.command_blocks import Block, shell_blocks


def once(blocks: list[Block]) -> list[Block]:
    """Return those of `blocks` whose commands do not follow each other in one before."""
    found: list[Block] = []
    for block in blocks:
        words = [tuple(command) for command in block.commands()]
        before = [[tuple(command) for command in each.commands()] for each in found]
        if not any(words == each[at : at + len(words)] for each in before for at in range(len(each))):
            found.append(block)
    return found


BLOCKS = once([each for each in shell_blocks() if each.needs == "station"])
HOME = "/home/decim/newcomer"
# The collection as ansible-galaxy leaves it, but for the link, in a home directory that is new.
NEWCOMER = """
rm -rf "$1"
mkdir -p "$1/.ansible/collections/ansible_collections/wildberryeye"
ln -s "$2" "$1/.ansible/collections/ansible_collections/wildberryeye/orchestrator"
"""


def test_there_are_blocks_to_run() -> None:
    assert len(BLOCKS) >= 5
    assert sum("ansible-playbook" in block.programs() for block in BLOCKS) >= 4


@pytest.mark.ci
@pytest.mark.parametrize("block", [each for each in BLOCKS if "mkdir" in each.programs()], ids=str)
def test_a_users_own_directory_is_made_as_the_page_says(station: Station, block: Block) -> None:
    run = station.orchestrator.exec
    run("sh", "-ec", NEWCOMER, "sh", HOME, CHECKOUT, user="decim")
    run("bash", "-euo", "pipefail", "-c", block.text, user="decim", cwd=HOME, env={"HOME": HOME})
    found = run("find", ".", "-type", "f", user="decim", cwd=f"{HOME}/station").stdout.split()
    assert {"./ansible.cfg", "./inventory/hosts.yml", "./inventory/group_vars/cameras.yml"} <= set(found)
    graph = run("ansible-inventory", "--graph", user="decim", cwd=f"{HOME}/station", env={"HOME": HOME}).stdout
    assert "@object_cameras" in graph and "@motion_cameras" in graph


@pytest.mark.ci
@pytest.mark.parametrize("block", [each for each in BLOCKS if "mkdir" not in each.programs()], ids=str)
def test_commands_of_a_station_do_what_the_page_says(station: Station, block: Block) -> None:
    done = station.orchestrator.ansible(
        "bash", "-euo", "pipefail", "-c", block.text, env={"ANSIBLE_INVENTORY": INVENTORY}, timeout=300
    )
    said = Station.judge(done, None).text
    assert done.returncode == 0, said
    assert not any(alarm in said for alarm in ("WARNING", "DEPRECATION", "Traceback", "MODULE FAILURE")), said
    if "orchestrator.stop" in block.text and "orchestrator.start" in block.text:
        station.assert_nothing_lost()
        station.assert_only_ours_on_the_cards()
