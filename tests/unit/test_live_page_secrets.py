# SPDX-License-Identifier: GPL-3.0-or-later
"""What the live page never shows: nothing that lies beside the reports, and nothing that can be done but read."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from ansible_collections.wildberryeye.orchestrator.plugins.module_utils import record
from lab.emulated import wait_for
from unit.live_station import SCRIPT, SECRET, TODAY, LiveStation, raw, served_with_secrets, state, with_secrets

pytestmark = pytest.mark.usefixtures("findable")


@pytest.fixture
def station(tmp_path: Path) -> Iterator[LiveStation]:
    found = with_secrets(tmp_path, "object", "motion")
    yield found
    found.end()


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveStation]:
    with served_with_secrets(tmp_path_factory.mktemp("served")) as found:
        yield found


OUTSIDE = [
    "/secret.txt",
    "/../secret.txt",
    "/%2e%2e/secret.txt",
    "/experiments/../secret.txt",
    f"/experiments/{TODAY}/../../secret.txt",
    f"/experiments/{TODAY}/%2e%2e/%2e%2e/secret.txt",
    f"/experiments/{TODAY}/..%2f..%2fsecret.txt",
    f"/experiments/{TODAY}/..%5c..%5csecret.txt",
    f"/experiments/{TODAY}/%252e%252e/secret.txt",
    f"/experiments/{TODAY}/secret.txt",
    f"/experiments/{TODAY}/report.html/../secret.txt",
    f"/experiments/{TODAY}/report.html%00.txt",
    f"/experiments/{TODAY}%00/report.html",
    f"/experiments/{TODAY}/",
    f"/experiments/{TODAY}",
    "/experiments/",
    "/experiments/../report.html",
    "/experiments/%2e%2e/report.html",
    "/experiments/./report.html",
    f"/experiments/{TODAY}/experiment.json",
    f"/experiments/{TODAY}/events.jsonl",
    f"/experiments/{TODAY}/object/object_{TODAY}.zip",
    f"/{TODAY}/report.html",
    "/.heartbeat.json",
    "/.secret",
    "/.locks/",
    "/pictures/",
    "/pictures/../secret.txt",
    "/pictures/..%2fsecret.txt.jpg",
    "/pictures/object.jpg/../../secret.txt",
    "/live_page.py",
    "/page/page.js",
    "/..%2flive_page.py",
    "//etc/passwd",
    "/%2fetc/passwd",
    "/%c3%a9",
    "/%ff%fe",
    "/%",
    "http://elsewhere/secret.txt",
    "*",
    "/" + "a" * 9000,
]


@pytest.mark.parametrize("path", OUTSIDE)
def test_no_path_leads_to_anything_but_the_page_and_the_reports(served: LiveStation, path: str) -> None:
    status, headers, content = raw(served.url, path)
    assert status in (400, 404, 414, 431), content
    assert SECRET.encode() not in content and b"root:" not in content and b"import " not in content
    assert headers["content-type"].startswith("text/plain")


@pytest.mark.parametrize("name", ["../outside", "..%2foutside", ".hidden", "..", ".", "%2ehidden", "unclaimed/..", ""])
def test_only_an_experiment_has_a_report(served: LiveStation, name: str) -> None:
    status, _, content = raw(served.url, f"/experiments/{name}/report.html")
    assert status == 404 and SECRET.encode() not in content


def test_no_link_leads_out_of_an_experiment_and_nothing_but_a_file_is_opened(station: LiveStation) -> None:
    outside = station.directory / "outside"
    outside.mkdir()
    (outside / "report.html").write_text(SECRET)
    (station.data / "linked-report").mkdir()
    (station.data / "linked-report" / "report.html").symlink_to(outside / "report.html")
    (station.data / "linked").symlink_to(outside)
    (station.data / "pipe").mkdir()
    os.mkfifo(station.data / "pipe" / "report.html")
    (station.data / "directory" / "report.html").mkdir(parents=True)
    station.serve()
    began = time.monotonic()
    for name in ("linked-report", "linked", "pipe", "directory"):
        status, _, content = raw(station.url, f"/experiments/{name}/report.html")
        assert status == 404 and SECRET.encode() not in content, name
    assert time.monotonic() - began < 5, "a pipe that nobody writes to holds up nobody"
    station.records("linked-report", "object", state=record.HOME)
    found = wait_for(lambda: [each for each in state(station.url)["experiments"] if each["id"] == "linked-report"], 5)
    assert found[0]["report"] is False, "nothing is promised that is not there"


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT", "PROPFIND", "get"])
@pytest.mark.parametrize("path", ["/", "/state.json", f"/experiments/{TODAY}/report.html"])
def test_nothing_can_be_done_but_read(served: LiveStation, method: str, path: str) -> None:
    before = sorted(served.data.rglob("*"))
    status, headers, content = raw(served.url, path, method)
    if method == "get":  # the server's own parser takes it for GET
        assert status in (200, 400)
    else:
        assert status == 405 and headers["allow"] == "GET, HEAD" and b"only to be read" in content
    assert sorted(served.data.rglob("*")) == before


@pytest.mark.parametrize("path", ["/", "/state.json", "/page.js", f"/experiments/{TODAY}/report.html", "/nothing"])
def test_head_says_what_get_would_without_its_content(served: LiveStation, path: str) -> None:
    status, headers, content = raw(served.url, path)
    same, alike, nothing = raw(served.url, path, "HEAD")
    # A state grows by a digit between two questions.
    unlike = {"date"} | ({"content-length"} if path == "/state.json" else set())
    assert (same, nothing) == (status, b"")
    assert {k: v for k, v in alike.items() if k not in unlike} == {k: v for k, v in headers.items() if k not in unlike}
    assert int(headers["content-length"]) == len(content)


@pytest.mark.parametrize(
    "path", ["/", "/state.json", "/page.js", "/page.css", f"/experiments/{TODAY}/report.html", "/x"]
)
def test_a_browser_is_told_to_trust_nothing_but_the_page_itself(served: LiveStation, path: str) -> None:
    _, headers, _ = raw(served.url, path)
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy and "frame-ancestors 'none'" in policy and "http" not in policy
    if path.endswith("report.html"):
        # Its script runs, in an origin of its own, from which it can ask for nothing.
        assert "sandbox allow-scripts" in policy and "allow-same-origin" not in policy and "connect-src" not in policy
    else:
        assert "unsafe" not in policy
    assert headers["x-content-type-options"] == "nosniff" and headers["referrer-policy"] == "no-referrer"
    assert "server" not in headers and "access-control-allow-origin" not in headers


def test_what_a_browser_has_already_is_not_sent_again(served: LiveStation) -> None:
    for path in ("", "page.js", "history.json", f"experiments/{TODAY}/report.html"):
        first = requests.get(served.url + path, timeout=10)
        again = requests.get(served.url + path, timeout=10, headers={"If-None-Match": first.headers["ETag"]})
        assert (first.status_code, again.status_code, again.content) == (200, 304, b"")


def test_the_page_asks_for_nothing_on_the_internet() -> None:
    for path in (SCRIPT.parent / "page").iterdir():
        found = re.findall(
            r"(?:https?:)?//[a-z][\w.-]+\.\w+", re.sub(r"http://www\.w3\.org/2000/svg", "", path.read_text())
        )
        assert not found, path
