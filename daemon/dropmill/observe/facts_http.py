"""What is told of clients of the page and the API. Nothing here holds a token or a cookie."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from dropmill.observe.fact import Fact

# Results of ``Audited``, and causes of ``HttpRefused``: the labels of metrics.
AUDIT_RESULTS = frozenset({"done", "refused", "failed"})
REFUSALS = frozenset({"host", "token", "attempts", "origin", "rate", "crowd", "size", "left"})


@dataclass(frozen=True, slots=True)
class Audited(Fact):
    """A request that was to change something, or that brought a wrong token, and what became of it."""

    client: str
    """Its address, or ``unix uid=… pid=…``."""
    by: str
    """``token``, ``session …``, ``open`` (no token is needed), or ``nobody``."""
    agent: str
    method: str
    path: str
    given: dict[str, Any]
    """The request's parameters, shortened and without secrets."""
    status: int
    result: str
    reason: str
    """The problem's, where there was one."""
    left_out: int = 0
    """So many refusals before this one were not told, because there were too many."""


@dataclass(frozen=True, slots=True)
class AuditCutShort(Fact):
    """At the end of a run, or of a configuration, the disk had not taken the last ``lines`` of the file."""

    path: str
    lines: int


@dataclass(frozen=True, slots=True)
class HttpRefused(Fact):
    """A request did not come in. ``cause`` is one of ``REFUSALS``."""

    client: str
    cause: str
    path: str


@dataclass(frozen=True, slots=True)
class ClientHasty(Fact):
    """A client is refused because it asks too often, or too much at once; told once in a while."""

    client: str
    per_second: float
    at_once: int


@dataclass(frozen=True, slots=True)
class ProxyUnnamed(Fact):
    """Somebody says for whom it asks, and is not among ``http.trusted_proxies``; told once a run."""

    client: str


@dataclass(frozen=True, slots=True)
class TokenExposed(Fact):
    """Everybody on this machine may read the token's file, or the token is short enough to be guessed."""

    path: str
    detail: str
    remedy: str
