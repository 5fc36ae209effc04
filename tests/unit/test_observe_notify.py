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
from dropmill.observe.notify_service import MOST_START_SECONDS, STATUS_SECONDS, ServiceManager, sender


class Told(list[str]):
    """What was sent. While ``full``, nothing gets through."""

    full = False

    def send(self, message: str) -> bool:
        if not self.full:
            self.append(message)
        return not self.full


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
        assert sock.recv(1000) == b"READY=1\nSTATUS=2 inboxes, http://127.0.0.1:8686/; 0 queued since the start"
        subscriber(facts.Stopping("SIGTERM"))
        assert sock.recv(1000) == b"STOPPING=1\nSTATUS=stopping (SIGTERM)"


def test_counts_are_told_now_and_then_and_only_when_ready(tmp_path: Path) -> None:
    sent = Told()
    clock = Clock()
    subscriber = ServiceManager(sent.send, clock)
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
    assert send("READY=1"), "there is nobody to tell it to later"


def test_a_reload_is_told_by_its_beginning_and_its_end() -> None:
    sent = Told()
    subscriber = ServiceManager(sent.send, Clock())
    subscriber(facts.Reloading("SIGHUP"))
    subscriber(facts.ReloadRefused(("a.toml:3: log.level: loud is not valid", "another")))
    subscriber(facts.Reloading("SIGHUP"))
    subscriber(facts.Ready(1, "none", 0.1))
    heads = [message.split("\n")[0] for message in sent]
    assert heads == ["RELOADING=1", "READY=1", "RELOADING=1", "READY=1"]
    assert sent[0].split("\n")[1] == "MONOTONIC_USEC=100000000"
    assert "a.toml:3: log.level" in sent[1]


def test_a_refused_configuration_stays_in_the_status_until_another_one_is_read() -> None:
    sent, clock = Told(), Clock()
    subscriber = ServiceManager(sent.send, clock)
    subscriber(facts.ReloadRefused(("a.toml:3: log.level: loud is not valid",)))
    subscriber(facts.Enqueued(1, "camera", b"a", FoundBy.EVENT, 100))
    assert sent[-1] == (
        "STATUS=1 queued since the start; the configuration is refused: a.toml:3: log.level: loud is not valid"
    )
    subscriber(facts.Reloading("SIGHUP"))
    subscriber(facts.Ready(1, "none", 0.5))
    clock.now += STATUS_SECONDS
    subscriber(facts.Enqueued(2, "camera", b"b", FoundBy.EVENT, 100))
    assert sent[-1] == "STATUS=2 queued since the start"


def test_a_start_that_takes_long_asks_for_patience_but_not_for_ever() -> None:
    sent = Told()
    subscriber = ServiceManager(sent.send, Clock())
    subscriber(facts.Beginning("opening the catalog", 2.0))
    subscriber(facts.Beginning("opening the catalog", MOST_START_SECONDS))
    assert sent == [
        "EXTEND_TIMEOUT_USEC=30000000\nSTATUS=starting: opening the catalog",
        "STATUS=starting: opening the catalog",
    ]


def test_what_is_in_hand_at_the_end_is_told_and_waited_for() -> None:
    sent = Told()
    subscriber = ServiceManager(sent.send, Clock())
    subscriber(facts.Ready(1, "none", 0.1))
    subscriber(facts.Reloading("SIGHUP"))
    subscriber(facts.Draining(1, 0, 25.0))
    subscriber(facts.Beginning("looking at the folders of camera", 1.0))
    subscriber(facts.Ready(1, "none", 0.1))
    subscriber(facts.Stopping("SIGTERM"))
    subscriber(facts.Draining(2, 3, 12.4))
    left = "EXTEND_TIMEOUT_USEC=30000000\nSTATUS={}: {} in hand, {} to be recorded, at most {} s"
    assert sent[2] == left.format("reloading", 1, 0, 25)
    assert sent[3].startswith("WATCHDOG=1\nEXTEND_TIMEOUT_USEC=") and "reloading: looking at" in sent[3]
    assert sent[6] == left.format("stopping", 2, 3, 12)


def test_s11_what_is_stuck_is_in_the_status_until_it_is_not() -> None:
    sent = Told()
    subscriber = ServiceManager(sent.send, Clock())
    subscriber(facts.Ready(1, "none", 0.1))
    subscriber(facts.Stuck("the catalog: a\nREADY=1"))
    subscriber(facts.Enqueued(1, "camera", b"a", FoundBy.EVENT, 1))
    subscriber(facts.Alive())
    assert sent[1:] == ["STATUS=stuck: the catalog: a READY=1", "WATCHDOG=1", "STATUS=1 queued since the start"]


def test_what_the_manager_waits_for_is_told_again_where_its_queue_was_full(tmp_path: Path) -> None:
    with manager(str(tmp_path / "notify")) as sock:
        send = sender({"NOTIFY_SOCKET": str(tmp_path / "notify")})
        assert send is not None
        while send("STATUS=of no use"):
            pass
        subscriber = ServiceManager(send, Clock())
        subscriber(facts.Ready(1, "none", 0.1))
        while (told := sock.recv(1000)) == b"STATUS=of no use":
            subscriber(facts.Alive())
        assert told.startswith(b"READY=1\n")
