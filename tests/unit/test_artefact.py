# SPDX-License-Identifier: GPL-3.0-or-later
"""The tarball that users install: all that a station needs is in it, and nothing that was only lying about."""

from __future__ import annotations

import json
import os
import re
import subprocess
import tarfile
from pathlib import Path

import pytest

from ecosystem import artefact
from unit.support import ROOT

NAME = "[a-z0-9_]+"
BELONGS = [
    r"(MANIFEST|FILES)\.json|LICENSE|README\.md|ansible\.cfg|requirements\.txt",
    r"changelogs/(config|changelog)\.yaml|changelogs/fragments/[0-9]{4}-[a-z0-9-]+\.yml",
    r"docs/[a-z-]+\.(md|png|svg)",
    rf"inventory/(hosts|group_vars/{NAME})\.yml",
    r"meta/(runtime|execution-environment)\.yml",
    rf"playbooks/{NAME}\.yml",
    rf"plugins/(action|callback|doc_fragments|module_utils|modules|plugin_utils)/{NAME}\.py",
    rf"plugins/(filter|lookup)/{NAME}\.(py|yml)",
    rf"roles/{NAME}/(README\.md|(defaults|handlers|meta|tasks|vars)/{NAME}\.yml|templates/[a-z0-9_.-]+\.(j2|css|js))",
    rf"roles/{NAME}/files/{NAME}(\.py)?",
    # Pages, and what they are drawn with.
    r"roles/live_page/files/page/[a-z]+\.(css|html|js|svg)",
    r"roles/report/files/echarts/(LICENSE|NOTICE|README\.md|echarts\.common\.min\.js)",
    # What ansible-test must know of the collection to judge it.
    r"tests/config\.yml|tests/sanity/ignore-2\.[0-9]+\.txt",
]
PRODUCT = ("meta", "playbooks", "plugins", "roles")


@pytest.fixture(scope="module")
def tarball(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return artefact.build(tmp_path_factory.mktemp("artefact") / "built")


@pytest.fixture(scope="module")
def installed(tarball: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return artefact.install(tarball, tmp_path_factory.mktemp("collections with spaces"))


def files(tarball: Path) -> dict[str, int]:
    """Return the tarball's files with their permissions."""
    with tarfile.open(tarball) as archive:
        return {each.name: each.mode for each in archive.getmembers() if not each.isdir()}


def test_nothing_is_in_it_that_does_not_belong_there(tarball: Path) -> None:
    strange = [name for name in files(tarball) if not any(re.fullmatch(each, name) for each in BELONGS)]
    assert strange == []


def test_nothing_of_the_product_is_missing(tarball: Path) -> None:
    found = [path for top in PRODUCT for path in (ROOT / top).rglob("*") if path.is_file()]
    wanted = {str(path.relative_to(ROOT)) for path in found if path.parent.name != "__pycache__"}
    assert wanted and wanted <= files(tarball).keys()


def test_it_carries_no_link_and_what_is_to_be_run_can_be_run(installed: Path, tarball: Path) -> None:
    with tarfile.open(tarball) as archive:
        assert not [each.name for each in archive.getmembers() if each.issym() or each.islnk()]
    runs = {name for name in files(tarball) if os.access(ROOT / name, os.X_OK)}
    assert "roles/image_collection/files/in_turn" in runs
    assert {name for name in files(tarball) if os.access(installed / name, os.X_OK)} == runs


def test_no_page_in_it_leads_to_what_is_not_in_it(tarball: Path) -> None:
    names, lost = files(tarball).keys(), []
    for page in [name for name in names if name.endswith(".md")]:
        for target in re.findall(r"\]\(([^)#:]+)[^):]*\)", (ROOT / page).read_text()):
            path = os.path.normpath(os.path.join(os.path.dirname(page), target))
            if not any(name == path or name.startswith(f"{path}/") for name in names):
                lost.append(f"{page}: {target}")
    assert lost == []


def test_every_module_is_documented_where_it_is_installed(installed: Path) -> None:
    command = [artefact.tool("ansible-doc"), "--type", "module", "--json", "--list", artefact.NAME]
    env = artefact.environment(installed.parents[2])
    done = subprocess.run(command, env=env, cwd=installed, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    modules = {path.stem for path in (ROOT / "plugins" / "modules").glob("*.py")}
    assert json.loads(done.stdout).keys() == {f"{artefact.NAME}.{name}" for name in modules}


def test_every_playbook_is_found_by_its_name_with_all_that_it_needs(installed: Path, tmp_path: Path) -> None:
    files = sorted((installed / "playbooks").glob("*.yml"))
    names = [f"{artefact.NAME}.{path.stem}" for path in files]
    inventory = tmp_path / "hosts.yml"
    inventory.write_text("cameras:\n  children:\n    object_cameras:\n      hosts:\n        object:\n")
    command = [artefact.tool("ansible-playbook"), "--syntax-check", "-i", str(inventory), *names]
    env = artefact.environment(installed.parents[2])
    done = subprocess.run(command, env=env, cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.split("\n") == [line for path in files for line in ("", f"playbook: {path}")] + [""]
