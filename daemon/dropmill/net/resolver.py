"""Names to addresses, in threads of its own: a name server that hangs holds back its own names and nothing else."""

from __future__ import annotations

import asyncio
import queue
import socket
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Protocol

import anyio

from dropmill.files.lane import deliver
from dropmill.model.address import Address, read_address
from dropmill.ports import Clock

# Lookups that hang take a thread each, for as long as the C library's own limits (5 s a server, twice, by default).
MAX_THREADS: Final = 64
IDLE_SECONDS: Final = 10.0
# Long enough that the downloads of one host share a lookup. What is dialled was checked, however old the answer is.
KEPT_SECONDS: Final = 30.0
KEPT_MISSING_SECONDS: Final = 5.0
KEPT_MOST: Final = 4096

Lookup = Callable[[str], tuple[Address, ...]]
Answer = tuple[Address, ...]


class ResolveFailed(Exception):
    """A name without addresses. ``missing``: the name servers say that there is no such name; else they said nothing."""

    def __init__(self, host: str, said: str, *, missing: bool) -> None:
        super().__init__(f"{host}: {said}")
        self.host = host
        self.said = said
        self.missing = missing


class Resolver(Protocol):
    async def resolve(self, host: str, *, timeout_seconds: float | None) -> Answer:
        """The addresses of a host in canonical spelling, most wanted first, never none. Raises ``ResolveFailed``.

        A host that is an address is its own answer.
        """
        ...


def system_lookup(host: str) -> Answer:
    """What getaddrinfo(3) says. Raises ``ResolveFailed``."""
    try:
        found = socket.getaddrinfo(host.encode("ascii"), None, type=socket.SOCK_STREAM)
    except socket.gaierror as error:
        missing = error.errno in {socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME)}
        raise ResolveFailed(host, (error.strerror or str(error)).lower(), missing=missing) from error
    except (OSError, UnicodeError) as error:
        raise ResolveFailed(host, str(error), missing=False) from error
    addresses = [read_address(str(place[0])) for *_, place in found]
    return tuple(dict.fromkeys(address for address in addresses if address is not None))


@dataclass(frozen=True, slots=True)
class _Kept:
    until: float
    answer: Answer
    failed: ResolveFailed | None


@dataclass(slots=True, eq=False)
class _Asked:
    host: str
    loop: asyncio.AbstractEventLoop
    future: asyncio.Future[Answer]
    waiting: int = 0
    begun: bool = False


class SystemResolver:
    """``static``: hosts that are not looked up, in canonical spelling. Use it on one event loop, and ``close`` it there."""

    def __init__(
        self,
        static: Mapping[str, Answer],
        clock: Clock,
        *,
        lookup: Lookup = system_lookup,
        max_threads: int = MAX_THREADS,
    ) -> None:
        self._static = dict(static)
        self._clock = clock
        self._lookup = lookup
        self._max_threads = max_threads
        self._kept: dict[str, _Kept] = {}
        self._under_way: dict[str, _Asked] = {}
        self._asked: queue.SimpleQueue[_Asked | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._threads = 0
        self._open = 0
        """Lookups that were asked for and have not ended: more than there are threads need another thread."""

    async def resolve(self, host: str, *, timeout_seconds: float | None) -> Answer:
        """As the port says. What is kept of an answer is its outcome: a failure is told again for a few seconds only
        where the name is said not to exist, and never where the name servers were silent."""
        address = read_address(host)
        if address is not None:
            return (address,)
        if host in self._static:
            return self._static[host]
        kept = self._kept.get(host)
        if kept is not None and self._clock.monotonic() < kept.until:
            if kept.failed is not None:
                raise ResolveFailed(host, kept.failed.said, missing=True)
            return kept.answer
        asked = self._under_way.get(host) or self._ask(host)
        asked.waiting += 1
        try:
            with anyio.move_on_after(timeout_seconds):
                # Others may wait for the same answer, so whoever leaves does not take it along.
                return await asyncio.shield(asked.future)
        finally:
            asked.waiting -= 1
            if not asked.waiting and not asked.begun:
                # Behind names that hang there may be many that nobody waits for any more.
                self._under_way.pop(host, None)
                asked.future.cancel()
        raise ResolveFailed(host, f"no answer from the name servers in {timeout_seconds:g} s", missing=False)

    def close(self) -> None:
        """Let the threads end; those in a lookup when it returns, without anybody waiting for it."""
        with self._lock:
            threads = self._threads
        for _ in range(threads):
            self._asked.put(None)

    def _ask(self, host: str) -> _Asked:
        loop = asyncio.get_running_loop()
        asked = self._under_way[host] = _Asked(host, loop, loop.create_future())
        asked.future.add_done_callback(lambda _: self._ended(asked))
        with self._lock:
            self._open += 1
            start = self._threads < min(self._open, self._max_threads)
            self._threads += start
        self._asked.put(asked)
        if start:
            threading.Thread(target=self._work, name="dropmill-dns", daemon=True).start()
        return asked

    def _ended(self, asked: _Asked) -> None:
        host, future = asked.host, asked.future
        if future.cancelled():
            return
        self._under_way.pop(host, None)
        error = future.exception()
        if error is None:
            self._keep(host, _Kept(self._clock.monotonic() + KEPT_SECONDS, future.result(), None))
        elif isinstance(error, ResolveFailed) and error.missing:
            self._keep(host, _Kept(self._clock.monotonic() + KEPT_MISSING_SECONDS, (), error))

    def _keep(self, host: str, kept: _Kept) -> None:
        self._kept.pop(host, None)
        while len(self._kept) >= KEPT_MOST:
            del self._kept[next(iter(self._kept))]
        self._kept[host] = kept

    def _work(self) -> None:
        while True:
            try:
                asked = self._asked.get(timeout=IDLE_SECONDS)
            except queue.Empty:
                with self._lock:
                    if self._open >= self._threads:
                        continue  # Something was asked just now, and counts on this thread.
                    self._threads -= 1
                return
            if asked is None:
                with self._lock:
                    self._threads -= 1
                return
            if asked.future.cancelled():
                with self._lock:
                    self._open -= 1
                continue
            asked.begun = True
            try:
                answer = self._lookup(asked.host)
                if not answer:
                    raise ResolveFailed(asked.host, "the name has no address", missing=True)
            except BaseException as error:  # noqa: BLE001  # Whoever waits, not the thread, is to see it.
                self._done(asked, (), error)
            else:
                self._done(asked, answer, None)

    def _done(self, asked: _Asked, answer: Answer, error: BaseException | None) -> None:
        with self._lock:
            self._open -= 1
        deliver(asked.loop, asked.future, answer, error)
