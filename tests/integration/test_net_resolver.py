"""The resolver: what hangs holds back nobody else, and a failure is never told for longer than it is one."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable
from ipaddress import ip_address

import anyio
import anyio.lowlevel
import pytest

from dropmill.model.address import Address
from dropmill.net import ResolveFailed, SystemResolver
from dropmill.net.resolver import KEPT_MISSING_SECONDS, KEPT_SECONDS, system_lookup
from dropmill.observe.clock import SystemClock

PATIENT = 60.0


class HandClock(SystemClock):
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now


class Names:
    """A name server with a script."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.answers: dict[str, Callable[[], tuple[Address, ...]]] = {}
        self.hanging = threading.Event()
        self.free = threading.Event()

    def __call__(self, host: str) -> tuple[Address, ...]:
        self.asked.append(host)
        if host.startswith("hangs"):
            self.hanging.set()
            assert self.free.wait(PATIENT)
            return (ip_address("192.0.2.1"),)
        return self.answers[host]()

    def says(self, host: str, *addresses: str) -> None:
        self.answers[host] = lambda: tuple(ip_address(text) for text in addresses)

    def fails(self, host: str, *, missing: bool) -> None:
        def fail() -> tuple[Address, ...]:
            raise ResolveFailed(host, "said the script", missing=missing)

        self.answers[host] = fail


def with_resolver(story: Callable[[SystemResolver, Names, HandClock], object], **options: object) -> None:
    names, clock = Names(), HandClock()
    resolver = SystemResolver({}, clock, lookup=names, **options)  # type: ignore[arg-type]  # A stand-in for getaddrinfo.
    try:
        anyio.run(story, resolver, names, clock)
    finally:
        names.free.set()
        resolver.close()


def test_a_name_server_that_hangs_holds_back_its_own_names_only() -> None:
    async def story(resolver: SystemResolver, names: Names, clock: HandClock) -> None:
        names.says("good.example", "192.0.2.7")
        with pytest.raises(ResolveFailed) as caught:
            await resolver.resolve("hangs.example", timeout_seconds=0.01)
        assert not caught.value.missing and "no answer" in str(caught.value)
        assert await resolver.resolve("good.example", timeout_seconds=PATIENT) == (ip_address("192.0.2.7"),)
        # Whoever asks for it again waits for the lookup that is under way.
        with pytest.raises(ResolveFailed):
            await resolver.resolve("hangs.example", timeout_seconds=0.01)
        assert names.asked.count("hangs.example") == 1
        names.free.set()
        assert await resolver.resolve("hangs.example", timeout_seconds=PATIENT) == (ip_address("192.0.2.1"),)

    with_resolver(story)


def test_names_that_nobody_waits_for_any_more_are_in_nobodys_way() -> None:
    async def story(resolver: SystemResolver, names: Names, clock: HandClock) -> None:
        names.says("good.example", "192.0.2.7")
        async with anyio.create_task_group() as group:
            group.start_soon(_resolved, resolver, "hangs.example")
            while not names.hanging.is_set():
                await anyio.lowlevel.checkpoint()
            for number in range(20):
                with pytest.raises(ResolveFailed):
                    await resolver.resolve(f"dead{number}.example", timeout_seconds=0.001)
            names.says("dead7.example", "192.0.2.8")
            group.start_soon(_resolved, resolver, "good.example")
            group.start_soon(_resolved, resolver, "dead7.example")
            await anyio.lowlevel.checkpoint()
            names.free.set()
        assert names.asked == ["hangs.example", "good.example", "dead7.example"]

    with_resolver(story, max_threads=1)


def test_threads_are_bounded_and_what_waits_for_one_gets_its_turn() -> None:
    async def story(resolver: SystemResolver, names: Names, clock: HandClock) -> None:
        before = threading.active_count()
        async with anyio.create_task_group() as group:
            for number in range(20):
                group.start_soon(_resolved, resolver, f"hangs{number}.example")
            while not names.hanging.is_set():
                await anyio.lowlevel.checkpoint()
            assert threading.active_count() - before <= 2
            names.free.set()
        assert len(names.asked) == 20

    with_resolver(story, max_threads=2)


async def _resolved(resolver: SystemResolver, host: str) -> None:
    assert await resolver.resolve(host, timeout_seconds=PATIENT)


def test_answers_are_kept_for_a_while_and_one_lookup_serves_all_who_wait() -> None:
    async def story(resolver: SystemResolver, names: Names, clock: HandClock) -> None:
        names.says("a.example", "192.0.2.7")
        async with anyio.create_task_group() as group:
            for _ in range(5):
                group.start_soon(_resolved, resolver, "a.example")
        names.says("a.example", "192.0.2.8")
        assert await resolver.resolve("a.example", timeout_seconds=PATIENT) == (ip_address("192.0.2.7"),)
        assert names.asked == ["a.example"]
        clock.now += KEPT_SECONDS
        assert await resolver.resolve("a.example", timeout_seconds=PATIENT) == (ip_address("192.0.2.8"),)

    with_resolver(story)


def test_u19_that_a_name_is_missing_is_kept_shortly_and_silence_not_at_all() -> None:
    async def story(resolver: SystemResolver, names: Names, clock: HandClock) -> None:
        names.fails("missing.example", missing=True)
        names.fails("silent.example", missing=False)
        for _ in range(2):
            for host in ("missing.example", "silent.example"):
                with pytest.raises(ResolveFailed) as caught:
                    await resolver.resolve(host, timeout_seconds=PATIENT)
                assert caught.value.missing == (host == "missing.example")
        assert sorted(names.asked) == ["missing.example", "silent.example", "silent.example"]
        names.says("missing.example", "192.0.2.7")
        names.says("silent.example", "192.0.2.7")
        assert await resolver.resolve("silent.example", timeout_seconds=PATIENT)
        clock.now += KEPT_MISSING_SECONDS
        assert await resolver.resolve("missing.example", timeout_seconds=PATIENT)

    with_resolver(story)


def test_a_name_without_addresses_is_missing() -> None:
    async def story(resolver: SystemResolver, names: Names, clock: HandClock) -> None:
        names.says("empty.example")
        with pytest.raises(ResolveFailed) as caught:
            await resolver.resolve("empty.example", timeout_seconds=PATIENT)
        assert caught.value.missing

    with_resolver(story)


def test_configured_addresses_and_literals_are_not_looked_up() -> None:
    async def story() -> None:
        names = Names()
        resolver = SystemResolver({"a.example": (ip_address("192.0.2.7"),)}, HandClock(), lookup=names)
        assert await resolver.resolve("a.example", timeout_seconds=0) == (ip_address("192.0.2.7"),)
        assert await resolver.resolve("::1", timeout_seconds=0) == (ip_address("::1"),)
        assert names.asked == []
        resolver.close()

    anyio.run(story)


def test_the_system_says_what_it_knows_and_what_it_does_not() -> None:
    assert ip_address("127.0.0.1") in system_lookup("localhost") or ip_address("::1") in system_lookup("localhost")
    with pytest.raises(ResolveFailed):
        system_lookup("no-such-name.invalid")


def test_a_lookup_that_hangs_does_not_keep_the_process_from_ending() -> None:
    program = """
import anyio, threading
from dropmill.net import ResolveFailed, SystemResolver
from dropmill.observe.clock import SystemClock

async def main():
    resolver = SystemResolver({}, SystemClock(), lookup=lambda host: threading.Event().wait())
    try:
        await resolver.resolve("a.example", timeout_seconds=0.01)
    except ResolveFailed:
        print("left")

anyio.run(main)
"""
    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=PATIENT, check=False
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "left\n", "")
