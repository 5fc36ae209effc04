"""Who asks: the address of a client, also behind proxies that are trusted, and by what its limits are counted."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from starlette.types import Scope

UNIX: Final = "unix"
# Where a request's scope has its ``Client``.
CLIENT: Final = "dropmill.client"
# A household or a machine has at least so much of IPv6, and an address in it for every request (RFC 6177).
IPV6_PREFIX: Final = 64

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address


@dataclass(frozen=True, slots=True)
class Client:
    """``name``: as logs tell it, ``192.0.2.7`` or ``unix uid=1000``. ``key``: what its limits are counted by."""

    name: str
    key: str
    local: bool
    """Of this machine itself, with no proxy in between: it could do worse than ask often."""
    https: bool
    """As a trusted proxy says."""
    unnamed_proxy: bool = False
    """Something speaks for others, and is not trusted."""


class Clients:
    def __init__(self, trusted: Iterable[str]) -> None:
        """``trusted``: as in ``http.trusted_proxies``."""
        texts = set(trusted)
        self._unix_trusted = UNIX in texts
        self._networks = [ipaddress.ip_network(text) for text in texts - {UNIX}]

    def of(self, scope: Scope) -> Client:
        """From the connection and, where that is a trusted proxy's, its headers."""
        peer: str = (scope.get("client") or (UNIX, 0))[0]
        forwarded = _values(scope, b"x-forwarded-for")
        if not self.trusts(peer):
            speaks_for_others = bool(forwarded)
            key = f"{_key(peer)} for others" if speaks_for_others else _key(peer)
            return Client(peer, key, is_local(peer) and not speaks_for_others, False, speaks_for_others)
        found = self._behind(peer, forwarded)
        https = _values(scope, b"x-forwarded-proto")[-1:] == ["https"]
        return Client(found, _key(found), found == peer and is_local(peer), https)

    def counted(self, peer: str) -> str:
        """By what connections from there are counted; empty where one address stands for many clients."""
        return "" if is_local(peer) or self.trusts(peer) else _key(peer)

    def trusts(self, peer: str) -> bool:
        if peer.startswith(UNIX):
            return self._unix_trusted
        address = _address(peer)
        return address is not None and any(address in network for network in self._networks)

    def _behind(self, peer: str, forwarded: Sequence[str]) -> str:
        """Each proxy appends whom it heard it from, so the list is believed from its end, as far as those are trusted."""
        found = peer
        for text in reversed(forwarded):
            address = _address(text)
            if address is None:
                break
            found = str(address)
            if not self.trusts(found):
                break
        return found


def is_local(peer: str) -> bool:
    address = _address(peer)
    return peer.startswith(UNIX) or (address is not None and address.is_loopback)


def _values(scope: Scope, name: bytes) -> list[str]:
    """What all headers of that name list, in their order."""
    told = b",".join(value for key, value in scope["headers"] if key == name).decode("latin-1")
    return [text for text in map(str.strip, told.split(",")) if text]


def _address(text: str) -> _Address | None:
    """None for what is none. Proxies write IPv6 with or without brackets, and some of them a port."""
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        found = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    # A socket that takes both families shows IPv4 like this.
    return found.ipv4_mapped or found if isinstance(found, ipaddress.IPv6Address) else found


def _key(peer: str) -> str:
    address = _address(peer)
    if isinstance(address, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((address, IPV6_PREFIX), strict=False))
    # Users of a socket file are told apart; the processes of one are not.
    return peer.partition(" pid=")[0] if peer.startswith(UNIX) else str(address or peer)
