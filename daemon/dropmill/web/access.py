"""Who may ask for what: host names, origins and tokens, as functions of a request's headers (S05, S06)."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

from dropmill.settings import Http, TcpAddress
from dropmill.web.sessions import Sessions, same

LOOPBACK_NAMES: Final = frozenset({"localhost", "127.0.0.1", "::1"})
SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
API: Final = "/api/"
# Fewer can be tried one by one.
LEAST_TOKEN_CHARACTERS: Final = 16


@dataclass(frozen=True, slots=True)
class Access:
    """The rules of one server. ``token`` is empty where none is needed."""

    token: str
    allowed_hosts: frozenset[str]
    allowed_origins: frozenset[str]
    bound_host: str
    """The address that the server listens on; empty for a socket file."""
    any_host: bool
    """Off loopback behind a token, where no names are configured, the token alone decides."""
    sessions: Sessions = field(repr=False)
    doubt: tuple[str, str] | None = None
    """What is wrong with the token, and the remedy."""

    @classmethod
    def of(cls, settings: Http) -> Access:
        """Raises ``ConfigurationError`` where the token cannot be read."""
        token, exposed = settings.look_at_token()
        address = settings.address
        tcp = address if isinstance(address, TcpAddress) else None
        off_loopback = tcp is not None and not tcp.is_loopback
        return cls(
            token=token,
            allowed_hosts=frozenset(bare_host(host) for host in settings.allowed_hosts),
            allowed_origins=frozenset(settings.allowed_origins),
            bound_host=bare_host(tcp.host) if tcp is not None else "",
            any_host=bool(token) and off_loopback and not settings.allowed_hosts,
            sessions=Sessions(token),
            doubt=_doubt(token, exposed=exposed),
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

    def named_origin(self, path: str, headers: Mapping[str, str]) -> str:
        """The origin of a script of another site that may use the API; empty for all others."""
        origin = headers.get("origin", "")
        return origin if path.startswith(API) and origin in self.allowed_origins else ""

    def origin_allowed(self, path: str, method: str, headers: Mapping[str, str]) -> bool:
        """Whether a request that changes something, or asks the API, came from our own page, from no page at all, or from
        a site that is named. Pages may be opened by links from anywhere, and what a link opens changes nothing."""
        if self.named_origin(path, headers):
            return True
        if method not in SAFE_METHODS:
            return self.same_origin(headers)
        if not path.startswith(API) or headers.get("sec-fetch-mode") == "navigate":
            return True
        return headers.get("sec-fetch-site", "same-origin") in {"same-origin", "none"}

    def same_origin(self, headers: Mapping[str, str]) -> bool:
        """Whether a request came from our own page, or from no page at all."""
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

    @property
    def token_is_long(self) -> bool:
        """Whether it cannot be found by trying, at whatever speed."""
        return len(self.token) >= LEAST_TOKEN_CHARACTERS

    def token_matches(self, given: str) -> bool:
        return bool(self.token) and same(given, self.token)


def bearer(headers: Mapping[str, str]) -> str | None:
    """The token that a request brings (RFC 6750, 2.1); None where it brings nothing of the kind."""
    told = headers.get("authorization")
    if told is None:
        return None
    scheme, _, given = told.partition(" ")
    return given.strip() if scheme.lower() == "bearer" else ""


def bare_host(text: str) -> str:
    """A host name in lower case, without port, brackets and final dot."""
    text = text.strip().lower()
    if text.startswith("["):
        return text[1:].partition("]")[0]
    if text.count(":") <= 1:
        text = text.partition(":")[0]
    return text.removesuffix(".")


def _doubt(token: str, *, exposed: bool) -> tuple[str, str] | None:
    if exposed:
        return "everybody on this machine may read its file", "chmod 0640, and chgrp to the daemon's group"
    if token and len(token) < LEAST_TOKEN_CHARACTERS:
        return (
            "it is short enough to be guessed",
            "write another one with `openssl rand -hex 32`, then: dropmill reload",
        )
    return None


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
