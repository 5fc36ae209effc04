"""The one place that dials: it resolves, checks every address, and connects to exactly one that was checked (U05).

Name and TLS stay those of the URL: httpcore takes SNI and the name of the certificate from the URL's host, and the Host
header is in the request already; only the TCP connection goes to the address.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterable, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from itertools import chain, zip_longest
from typing import Any, Final

import httpcore

from dropmill.model.address import Address
from dropmill.model.netpolicy import Policy
from dropmill.model.outcome import Reason
from dropmill.model.url import UrlRefused
from dropmill.net.resolver import Resolver
from dropmill.ports import Clock

MOST_ADDRESSES: Final = 6
"""Of one host are dialled, one after the other, within the time that a connection may take."""
DIALLED: Final = "dropmill_dialled"
"""Name under which a stream tells the address that was dialled (``get_extra_info``)."""


UNANSWERED_BYTES: Final = 256 << 10
"""May come for a request before its answer begins: headers, and interim answers (1xx) without end (U09)."""


@dataclass(slots=True)
class Allowance:
    """What may still come until the answer to a request begins."""

    left_bytes: int = UNANSWERED_BYTES

    def take(self, size_bytes: int) -> None:
        """Raises ``httpcore.RemoteProtocolError``."""
        self.left_bytes -= size_bytes
        if self.left_bytes < 0:
            raise httpcore.RemoteProtocolError(f"more than {UNANSWERED_BYTES} bytes came before an answer")


ALLOWANCE: Final[ContextVar[Allowance | None]] = ContextVar("allowance", default=None)
"""Of the request that the task has sent and that is not answered yet."""


class GuardedBackend(httpcore.AsyncNetworkBackend):
    """Connects to nothing that ``policy`` does not allow.

    ``proxy``: host and port of a configured proxy. Then it is all that is ever dialled, at whatever address it has, for
    it was named on purpose; what the proxy dials on behalf of a request is for the proxy to check.
    """

    def __init__(
        self, policy: Policy, resolver: Resolver, clock: Clock, *, proxy: tuple[str, int] | None = None
    ) -> None:
        self._policy = policy
        self._resolver = resolver
        self._clock = clock
        self._proxy = proxy
        self._dialler = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Raises ``UrlRefused`` before anything is sent, ``ResolveFailed``, or what httpcore's backends raise.

        ``timeout`` (seconds) is for the lookup, all attempts and a TLS handshake together.
        """
        deadline = None if timeout is None else self._clock.monotonic() + timeout
        addresses = await self._checked(host, port, timeout)
        options = tuple(socket_options or ())
        for index, address in enumerate(addresses):
            left = self._left(deadline)
            last = index == len(addresses) - 1
            share = left if last or left is None else left / 2
            try:
                stream = await self._dialler.connect_tcp(str(address), port, share, local_address, options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                if last or self._left(deadline) == 0:
                    raise
            else:
                return _Dialled(stream, str(address), deadline, self._clock)
        raise httpcore.ConnectError(f"{host} has no address")

    async def connect_unix_socket(
        self,
        path: str,
        timeout: float | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        raise UrlRefused(Reason.BLOCKED_ADDRESS, "downloads reach no sockets of this machine")

    async def sleep(self, seconds: float) -> None:
        await self._clock.sleep(seconds)

    async def _checked(self, host: str, port: int, timeout: float | None) -> Sequence[Address]:
        if self._proxy is not None:
            if (host, port) != self._proxy:
                raise UrlRefused(Reason.BLOCKED_HOST, f"{host}:{port} is not the proxy")
            return _in_turn(await self._resolver.resolve(host, timeout_seconds=timeout))
        self._policy.judge_place(host, port).require()
        addresses = await self._resolver.resolve(host, timeout_seconds=timeout)
        self._policy.judge_addresses(host, addresses).require()
        return _in_turn(addresses)

    def _left(self, deadline: float | None) -> float | None:
        return None if deadline is None else max(0.0, deadline - self._clock.monotonic())


class _Dialled(httpcore.AsyncNetworkStream):
    """A connection that remembers the address that was dialled, and when it has to stand, TLS included."""

    def __init__(self, stream: httpcore.AsyncNetworkStream, address: str, deadline: float | None, clock: Clock) -> None:
        self._stream = stream
        self._address = address
        self._deadline = deadline
        self._clock = clock

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        data = await self._stream.read(max_bytes, timeout)
        allowance = ALLOWANCE.get()
        if allowance is not None:
            allowance.take(len(data))
        return data

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        await self._stream.write(buffer, timeout)

    async def aclose(self) -> None:
        await self._stream.aclose()

    async def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.AsyncNetworkStream:
        if self._deadline is not None:
            left = max(0.0, self._deadline - self._clock.monotonic())
            timeout = left if timeout is None else min(left, timeout)
        stream = await self._stream.start_tls(ssl_context, server_hostname, timeout)
        return _Dialled(stream, self._address, self._deadline, self._clock)

    def get_extra_info(self, info: str) -> Any:
        return self._address if info == DIALLED else self._stream.get_extra_info(info)


def _in_turn(addresses: Sequence[Address]) -> Sequence[Address]:
    """A few of them, the families by turns, so that one that leads nowhere costs one attempt (RFC 8305, section 4)."""
    first = [address for address in addresses if address.version == addresses[0].version]
    others = [address for address in addresses if address.version != addresses[0].version]
    mixed: Iterable[Any] = chain.from_iterable(zip_longest(first, others))
    return [address for address in mixed if address is not None][:MOST_ADDRESSES]
