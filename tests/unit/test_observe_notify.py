"""sd_notify: plain datagrams to the socket that the service manager named."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from dropmill.model.job import FoundBy
from dropmill.model.outcome import Outcome, Reason
from dropmill.observe import facts
from dropmill.observe.notify_service import STATUS_SECONDS, ServiceManager, sender


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def now_ms(self) -> int:
        return 0

    def monotonic(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        raise AssertionError("nothing here sleeps")


@contextmanager
def manager(address: str) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind("\0" + address[1:] if address.startswith("@") else address)
        sock.settimeout(2.0)
        yield sock


@pytest.fixture(params=["path", "abstract"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return str(tmp_path / "notify") if request.param == "path" else f"@dropmill-test-{os.getpid()}"


def test_ready_and_stopping_are_told_when_they_happen(address: str) -> None:
    with manager(address) as sock:
        send = sender({"NOTIFY_SOCKET": address})
        assert send is not None
        subscriber = ServiceManager(send, Clock())
        subscriber(facts.Ready(2, "http://127.0.0.1:8686/", 0.5))
        assert sock.recv(1000).startswith(b"READY=1\nSTATUS=2 inboxes, http://127.0.0.1:8686/")
        subscriber(facts.Stopping("SIGTERM"))
        assert sock.recv(1000) == b"STOPPING=1\nSTATUS=stopping (SIGTERM)"


def test_counts_are_told_now_and_then_and_only_when_ready(tmp_path: Path) -> None:
    sent: list[str] = []
    clock = Clock()
    subscriber = ServiceManager(sent.append, clock)
    done = facts.Completed(1, "camera", b"a", Outcome.PUBLISHED, 0.1, 1)
    subscriber(done)
    assert sent == []
    subscriber(facts.Ready(1, "", 0.1))
    subscriber(facts.Enqueued(1, "camera", b"a", FoundBy.EVENT, 1))
    for _ in range(50):
        subscriber(done)
    assert len(sent) == 2
    clock.now += STATUS_SECONDS
    subscriber(facts.Discarded(2, "camera", b"b", Reason.EMPTY, "", False))
    assert sent[2] == "STATUS=1 queued since the start: 1 discarded, 51 published"


@pytest.mark.parametrize("environment", [{}, {"NOTIFY_SOCKET": ""}, {"NOTIFY_SOCKET": "vsock:2:9"}])
def test_nobody_is_told_where_nobody_asks(environment: dict[str, str]) -> None:
    assert sender(environment) is None


def test_a_manager_that_went_away_stops_nothing(tmp_path: Path) -> None:
    send = sender({"NOTIFY_SOCKET": str(tmp_path / "gone")})
    assert send is not None
    send("READY=1")


def test_a_reload_is_told_by_its_beginning_and_its_end() -> None:
    sent: list[str] = []
    subscriber = ServiceManager(sent.append, Clock())
    subscriber(facts.Reloading("SIGHUP"))
    subscriber(facts.ReloadRefused(("a.toml:3: log.level: loud is not valid", "another")))
    subscriber(facts.Reloading("SIGHUP"))
    subscriber(facts.Ready(1, "none", 0.1))
    heads = [message.split("\n")[0] for message in sent]
    assert heads == ["RELOADING=1", "READY=1", "RELOADING=1", "READY=1"]
    assert sent[0].split("\n")[1] == "MONOTONIC_USEC=100000000"
    assert "a.toml:3: log.level" in sent[1]
