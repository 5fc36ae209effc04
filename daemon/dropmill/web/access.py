"""Who may ask for what: host names, origins and tokens, as pure functions of a request's headers (S05, S06)."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from dropmill.settings import Http, TcpAddress

COOKIE: Final = "dropmill"
LOOPBACK_NAMES: Final = frozenset({"localhost", "127.0.0.1", "::1"})
SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})


@dataclass(frozen=True, slots=True)
class Access:
    """The rules of one server. ``token`` is empty where none is needed."""

    token: str
    allowed_hosts: frozenset[str]
    bound_host: str
    """The address that the server listens on; empty for a socket file."""
    any_host: bool
    """Off loopback behind a token, where no names are configured, the token alone decides."""

    @classmethod
    def of(cls, settings: Http) -> Access:
        """Raises ``ConfigurationError`` where the token cannot be read."""
        token = settings.read_token()
        address = settings.address
        tcp = address if isinstance(address, TcpAddress) else None
        off_loopback = tcp is not None and not tcp.is_loopback
        return cls(
            token=token,
            allowed_hosts=frozenset(bare_host(host) for host in settings.allowed_hosts),
            bound_host=bare_host(tcp.host) if tcp is not None else "",
            any_host=bool(token) and off_loopback and not settings.allowed_hosts,
        )

    def host_allowed(self, host_header: str | None, local_address: str) -> bool:
        """``local_address``: the address on which this connection came in, for a server bound to all of them."""
        if self.any_host:
            return True
        if not host_header:
            return False
        host = bare_host(host_header)
        if host in LOOPBACK_NAMES or host in self.allowed_hosts or host == self.bound_host:
            return True
        return host == local_address and _is_address(host)

    def same_origin(self, headers: Mapping[str, str]) -> bool:
        """Whether a request that changes something came from our own page, or from no page at all."""
        if headers.get("sec-fetch-site", "same-origin") not in {"same-origin", "none"}:
            return False
        origin = headers.get("origin")
        if origin is None:
            return True
        try:
            parts = urlsplit(origin)
            name = parts.hostname or ""
        except ValueError:
            return False
        if parts.netloc and parts.netloc.lower() == headers.get("host", "").lower():
            return True
        # A proxy in front may give us another Host than the browser sees; a configured name is trusted.
        return name in self.allowed_hosts

    def authorised(self, headers: Mapping[str, str], cookies: Mapping[str, str]) -> bool:
        if not self.token:
            return True
        scheme, _, given = headers.get("authorization", "").partition(" ")
        by_header = scheme.lower() == "bearer" and _equal(given.strip(), self.token)
        by_cookie = _equal(cookies.get(COOKIE, ""), self.cookie)
        return by_header or by_cookie

    def token_matches(self, given: str) -> bool:
        return bool(self.token) and _equal(given, self.token)

    @property
    def cookie(self) -> str:
        """What a browser carries after the login form: made from the token, which it does not give away."""
        return hmac.new(self.token.encode(), b"dropmill status page", hashlib.sha256).hexdigest()


def bare_host(text: str) -> str:
    """A host name in lower case, without port, brackets and final dot."""
    text = text.strip().lower()
    if text.startswith("["):
        return text[1:].partition("]")[0]
    if text.count(":") <= 1:
        text = text.partition(":")[0]
    return text.removesuffix(".")


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _equal(given: str, expected: str) -> bool:
    return hmac.compare_digest(given.encode("utf-8", "surrogateescape"), expected.encode())
