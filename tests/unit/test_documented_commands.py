# SPDX-License-Identifier: GPL-3.0-or-later
"""What a page tells people to type is what can be typed.

**Run in full** here: every block without a mark that calls neither `ansible-playbook` nor `make` (`unzip`, `sha256sum`,
`find`, `python3`, loops), on an archive that the product's own code has written.

**Run in full** in the lab, by `e2e/test_documented_commands.py`: every block marked `needs: station`.

**Only checked**: `ansible-playbook`, wherever it stands, is run with its arguments and `--list-hosts --list-tasks`,
against the example inventory: playbook, roles, flags and `--limit` exist, nothing is done. Variables given by `-e`, and
in blocks of YAML, are judged by the argument specification of the role `common`: name, type, choices. Inventories are
read by `ansible-inventory`. Of `make`, that there is such a target (`make demo` is run by `lab/test_demo.py`, and CI
runs others). `execution-environment.yml` is taken in by `ansible-builder create`; no image is built.

**Not run at all**, but read by `bash -n`: blocks marked `needs: network` or `needs: hardware`. A mark must be needed: a
block bears one if, and only if, one of its programs asks for it.
"""

from __future__ import annotations

import itertools
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

from ansible_collections.wildberryeye.orchestrator.plugins.module_utils import archive, events
from ansible_collections.wildberryeye.orchestrator.plugins.module_utils.archive import Source
from ansible_collections.wildberryeye.orchestrator.plugins.module_utils.layout import Layout
from ansible_collections.wildberryeye.orchestrator.plugins.module_utils.receipt import Receipt
from unit.command_blocks import CHECKED, NEEDS, PAGES, Block, blocks, shell_blocks
from unit.support import ROOT, images, sha256

SPECS = yaml.safe_load((ROOT / "roles" / "common" / "meta" / "argument_specs.yml").read_text())
OPTIONS: dict[str, dict[str, Any]] = SPECS["argument_specs"]["main"]["options"]
EXPERIMENT = "2026-05-22"
BIN = Path(sys.executable).parent


def calls(program: str) -> list[str]:
    """Return the documented calls of `program`, each once, as a line."""
    words = {tuple(words) for block in shell_blocks() for words in block.commands() if words[0] == program}
    return sorted(" ".join(call) for call in words)


def spoken_of() -> list[str]:
    """Return the targets of make that pages speak of in their text."""
    return [name for page in PAGES for name in re.findall(r"`make ([a-z-]+)", page.read_text())]


def settings(found: object) -> dict[str, Any]:
    """Return the variables of a user, wherever they stand in a document."""
    if isinstance(found, list):
        return {name: value for each in found for name, value in settings(each).items()}
    if not isinstance(found, dict):
        return {}
    inside = {name: value for each in found.values() for name, value in settings(each).items()}
    return inside | {name: value for name, value in found.items() if str(name).startswith("wildberryeye_")}


def judge(given: dict[str, Any]) -> None:
    """Let the argument specification judge variables: name, type, choices."""
    spec = {name: {k: v for k, v in option.items() if k in ("type", "choices")} for name, option in OPTIONS.items()}
    judged = ArgumentSpecValidator(spec).validate(given)
    assert not judged.error_messages, judged.error_messages


def run(*command: str, cwd: Path = ROOT, **env: str) -> str:
    """Run a command; it must succeed and warn of nothing."""
    path = f"{BIN}:{os.environ['PATH']}"
    done = subprocess.run(
        command,
        cwd=cwd,
        env={**os.environ, "PATH": path, **env},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    said = done.stdout + done.stderr
    assert done.returncode == 0 and "WARNING" not in said, said
    return done.stdout


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home directory with the data of a day, as the product writes them, and copies of them where it is."""
    layout = Layout(str(tmp_path / "wildberryeye" / "analysis" / "data"))
    for camera in ("object", "motion"):
        path = Path(layout.archive(EXPERIMENT, camera, 1))
        path.parent.mkdir(parents=True)
        sources = []
        for name, content in sorted(images(3).items()):
            (tmp_path / name).write_bytes(content)
            sources.append(Source(name, sha256(content), str(tmp_path / name), member=False))
        assert len(archive.write(str(path), sources)) == 3
        (tmp_path / path.name).write_bytes(path.read_bytes())
    events.append(layout.events(EXPERIMENT), "gap", "motion", **{"from": "09:00", "to": "09:01", "seconds": 60})
    (tmp_path / "events.jsonl").write_bytes(Path(layout.events(EXPERIMENT)).read_bytes())
    return tmp_path


def test_there_are_blocks_to_check() -> None:
    assert len(shell_blocks()) > 20 and len(blocks("yaml")) > 8
    assert {"ansible-playbook", "make", "sha256sum"} <= {name for block in shell_blocks() for name in block.programs()}


@pytest.mark.parametrize("block", shell_blocks(), ids=str)
def test_a_block_that_is_not_run_says_what_it_needs_and_no_other_does(block: Block) -> None:
    needs = {word for word, programs in NEEDS.items() if programs & block.programs()}
    if block.needs == "station":
        assert needs <= {"station"} and (needs or "ansible-playbook" in block.programs())
    else:
        # What cannot be run here cannot be run in the lab either.
        assert block.needs in needs - {"station"} or (not block.needs and not needs), needs
    run("bash", "-n", "-c", block.text)


@pytest.mark.parametrize(
    "block", [each for each in shell_blocks() if not each.needs and not CHECKED & each.programs()], ids=str
)
def test_commands_on_data_do_what_the_page_says(block: Block, home: Path) -> None:
    said = run("bash", "-euo", "pipefail", "-c", block.text, cwd=home, HOME=str(home))
    if "sha256sum" in block.programs():
        assert said.count(": OK") == 3
    if "events.jsonl" in block.text:
        assert said == "motion 09:00 09:01 60\n"
    if "unzip" in block.programs():
        assert len(list(home.rglob("manifest-sha256.txt"))) >= 1


def test_an_archive_that_was_tampered_with_does_not_pass_the_documented_check(home: Path) -> None:
    block = next(each for each in shell_blocks() if not each.needs and "sha256sum" in each.programs())
    damaged = block.text.replace("sha256sum -c", "for name in *.jpg; do echo >> $name; done; sha256sum -c")
    with pytest.raises(AssertionError, match="FAILED"):
        run("bash", "-euo", "pipefail", "-c", damaged, cwd=home, HOME=str(home))


@pytest.mark.parametrize("call", calls("ansible-playbook"))
def test_a_playbook_is_there_and_takes_what_it_is_given(call: str) -> None:
    if "install_receptor.yml" in call:
        pytest.skip("comes with AWX")
    words = call.split()
    judge(dict(word.split("=", 1) for before, word in itertools.pairwise(words) if before == "-e"))
    # As a person has it; ansible-test has an inventory of its own.
    listed = run(*words, "--list-hosts", "--list-tasks", ANSIBLE_INVENTORY=str(ROOT / "inventory" / "hosts.yml"))
    assert "hosts (" in listed and "hosts (0)" not in listed


@pytest.mark.parametrize("target", sorted({call.split()[1] for call in calls("make")} | set(spoken_of())))
def test_a_target_of_make_is_there(target: str) -> None:
    # A directory of that name would do for make.
    assert re.search(rf"^\.PHONY:.* {target}\b", (ROOT / "Makefile").read_text(), re.M)
    run("make", "--dry-run", target)


@pytest.mark.parametrize("block", blocks("yaml"), ids=str)
def test_settings_are_named_and_valued_as_the_product_takes_them(block: Block) -> None:
    judge(settings(yaml.safe_load(block.text)))


@pytest.mark.parametrize("block", [each for each in blocks("yaml") if each.text.startswith("cameras:")], ids=str)
def test_an_inventory_is_read_as_one_of_object_and_motion_cameras(block: Block, tmp_path: Path) -> None:
    (tmp_path / "hosts.yml").write_text(block.text)
    read = json.loads(run("ansible-inventory", "-i", str(tmp_path / "hosts.yml"), "--list"))
    assert set(read["cameras"]["children"]) == {"object_cameras", "motion_cameras"}
    assert all(host["ansible_host"].startswith("192.168.") for host in read["_meta"]["hostvars"].values())


@pytest.mark.parametrize("block", blocks("json"), ids=str)
def test_json_is_json_and_a_receipt_is_one(block: Block) -> None:
    read = json.loads(block.text)
    if "manifest_sha256" in read:
        assert Receipt.parse(read).experiment == EXPERIMENT


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_page_speaks_of_no_variable_that_there_is_not(page: Path) -> None:
    files = {path.name.split(".")[0] for path in (ROOT / "roles").glob("*/templates/wildberryeye_*")}
    # Units, and what setup puts on a camera.
    known = {*OPTIONS, *files}
    used = set(re.findall(r"\bwildberryeye_[a-z_]*[a-z]\b(?![\w*])", page.read_text()))
    assert used - known == set()


def test_the_page_of_settings_tells_the_defaults_as_they_are() -> None:
    told: dict[str, str] = {}
    for line in (ROOT / "docs" / "settings.md").read_text().splitlines():
        if line.startswith("| `wildberryeye_"):
            names, defaults, _ = line[2:].split(" | ", 2)
            told |= dict(zip(names.replace("`", "").split(", "), defaults.replace("`", "").split(", "), strict=True))
    plain = {True: "true", False: "false", "": "none"}
    have = {name: OPTIONS[name]["default"] for name in told}
    assert len(told) > 15
    assert told == {name: "none" if value == [] else plain.get(value, str(value)) for name, value in have.items()}


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as they are made of their words."""
    headings = re.findall(r"^#+ (.+)$", re.sub(r"^```.*?^```", "", page.read_text(), flags=re.M | re.S), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_link_leads_to_a_file_and_a_heading_that_are_there(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", re.sub(r"```.*?```", "", page.read_text(), flags=re.S)):
        if "://" in target:
            continue
        path, _, anchor = target.partition("#")
        other = (page.parent / path).resolve() if path else page
        assert other.exists(), target
        assert not anchor or anchor in anchors(other), target


def test_every_page_is_in_the_list_of_pages() -> None:
    listed = set(re.findall(r"^\| \[[^]]+\]\(([^)]+)\)", (ROOT / "README.md").read_text(), re.M))
    assert listed == {str(page.relative_to(ROOT)) for page in PAGES} - {"README.md", "tests/README.md"}
