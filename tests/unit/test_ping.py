# SPDX-License-Identifier: GPL-3.0-or-later
"""The dead man's ping: sent without anybody waiting for it, and its failure told once, without its secret."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from ansible_collections.wildberryeye.orchestrator.plugins.module_utils import ping
from lab.emulated import wait_for
from unit.sinks import SECRET, Web, free_port


@pytest.fixture
def web() -> Iterator[Web]:
    sink = Web()
    yield sink
    sink.close()


def test_it_asks_for_the_url(web: Web) -> None:
    said: list[str] = []
    assert ping.Ping(said.append).send(web.ping)
    wait_for(lambda: web.asked)
    assert web.asked[0][1] == f"/{SECRET}" and said == []


def test_nobody_waits_for_one_that_hangs_and_there_is_never_a_second(web: Web) -> None:
    web.hangs = True
    said: list[str] = []
    sender = ping.Ping(said.append)
    began = time.monotonic()
    assert sender.send(web.ping)
    wait_for(lambda: web.asked)
    assert [sender.send(web.ping) for _ in range(20)] == [False] * 20
    assert time.monotonic() - began < 5 and len(web.asked) == 1


def test_without_an_url_nothing_is_sent() -> None:
    assert not ping.Ping(print).send("")


def test_a_failure_is_said_once_and_its_end_too(web: Web) -> None:
    said: list[str] = []
    sender = ping.Ping(said.append)

    def send(url: str) -> None:
        wait_for(lambda: sender.send(url))
        assert sender._thread is not None
        sender._thread.join(10)

    web.status = 404
    for _ in range(3):
        send(web.ping)
    assert said == ["wildberryeye_ping_url: HTTP 404. It is tried again each time; this is said once"]
    web.status = 200
    for _ in range(2):
        send(web.ping)
    assert said[1:] == ["wildberryeye_ping_url: answers again"]


@pytest.mark.parametrize(
    ("url", "words"),
    [
        (f"http://127.0.0.1:{free_port()}/{SECRET}", "no connection"),
        (f"https://127.0.0.1:{free_port()}/{SECRET}", "no connection"),
        (f"{SECRET}", "it cannot be asked for"),
        (f"http://[{SECRET}", "it cannot be asked for"),
        (f"http://{'a' * 300}.{SECRET}/", "it cannot be asked for"),
        (f"file:///{SECRET}", "it cannot be asked for"),
    ],
    # The ports are others each time, and all workers must call a test the same.
    ids=["nobody listens", "nobody listens with TLS", "no URL", "half a host", "a long host", "a file"],
)
def test_whatever_is_wrong_is_said_in_words_that_tell_no_secret(url: str, words: str) -> None:
    assert ping.Ping.ask(url) == words


@pytest.mark.parametrize("status", [301, 302])
def test_one_that_is_sent_elsewhere_has_not_arrived(web: Web, status: int) -> None:
    # By the page at which a hotel's Wi-Fi wants a password, or from http:// to https://.
    web.status = status
    assert ping.Ping.ask(web.ping) == f"HTTP {status}"


def test_one_that_speaks_no_tls_is_not_trusted(web: Web) -> None:
    assert ping.Ping.ask(web.ping.replace("http:", "https:")) == "its certificate is not trusted"
