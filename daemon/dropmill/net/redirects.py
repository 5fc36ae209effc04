"""Redirects, one hop at a time, each judged like a URL that somebody wrote (U06), and what is sent along (U07).

Credentials, netrc entries and configured headers belong to the origin (scheme, host and port) of the URL that was asked
for. A hop elsewhere gets none of them, and neither does one from https to http, which is another origin; credentials
that a server puts into a Location are not used at all.
"""

from __future__ import annotations

import base64
import netrc
from collections.abc import Mapping
from typing import Final

import httpx

from dropmill.errors import ConfigurationError
from dropmill.model.netpolicy import Policy
from dropmill.model.outcome import Reason
from dropmill.model.url import Url, UrlRefused, follow

REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
LOCATION: Final = "dropmill_location"
"""Extension of a response under which the client keeps the Location of a redirect, which is not among its headers."""


def is_redirect(response: httpx.Response) -> bool:
    return LOCATION in response.extensions


def next_hop(policy: Policy, url: Url, response: httpx.Response) -> Url:
    """Where a redirect of ``url`` leads. Raises ``UrlRefused`` for what is no URL, or what ``policy`` does not allow.

    That it judges the address only of a host that is one is no gap: the backend judges every address that it dials.
    """
    target = follow(url, response.extensions[LOCATION])
    try:
        policy.judge_url(target).require()
    except UrlRefused as error:
        raise UrlRefused(error.reason, redirected(target, error.detail)) from None
    return target


def redirected(target: Url, detail: str) -> str:
    """What is wrong with a URL that nobody wrote: where it led is told, without credentials."""
    return f"redirected to {target.canonical}: {detail}"


class Hops:
    """The way from a URL through its redirects: at most ``max_redirects`` of them, and none twice."""

    def __init__(self, first: Url, policy: Policy, *, max_redirects: int) -> None:
        self.first = first
        self.url = first
        """The one to ask for now."""
        self._policy = policy
        self._max = max_redirects
        self._chain: list[str] = []

    @property
    def chain(self) -> tuple[str, ...]:
        """Those that redirected, in canonical spelling, the first one first."""
        return tuple(self._chain)

    def next(self, response: httpx.Response) -> Url:
        """Take the redirect. Raises ``UrlRefused``: ``too-many-redirects``, ``bad-url``, ``blocked-…``."""
        if len(self._chain) >= self._max:
            raise UrlRefused(Reason.TOO_MANY_REDIRECTS, f"it redirects more than {self._max} times")
        target = next_hop(self._policy, self.url, response)
        self._chain.append(self.url.canonical)
        if target.canonical in self._chain:
            raise UrlRefused(Reason.TOO_MANY_REDIRECTS, f"the redirects run in a circle, back to {target.canonical}")
        self.url = target
        return target


class Belongings:
    """What is sent along with a request: configured headers, and the credentials of the URL or of the netrc file."""

    def __init__(self, headers: Mapping[str, str], logins: Mapping[str, tuple[str, str]]) -> None:
        self._headers = dict(headers)
        self._logins = dict(logins)

    def headers(self, first: Url, hop: Url) -> dict[str, str]:
        """For the request of ``hop`` on the way from ``first``; empty where that is another origin."""
        if hop.origin != first.origin:
            return {}
        headers = dict(self._headers)
        login = (first.username, first.password) if first.has_credentials else self._logins.get(first.host)
        if login is not None:
            for name in [name for name in headers if name.lower() == "authorization"]:
                del headers[name]
            headers["Authorization"] = "Basic " + base64.b64encode(f"{login[0]}:{login[1]}".encode()).decode()
        return headers


def read_netrc(path: str) -> dict[str, tuple[str, str]]:
    """User and password by host; an entry ``default`` would be for anybody, and is left out. Empty for no path.

    Raises ``ConfigurationError``.
    """
    if not path:
        return {}
    try:
        hosts = netrc.netrc(path).hosts
    except (OSError, UnicodeDecodeError, netrc.NetrcParseError) as error:
        # The parser's message quotes the token that it met, which may be a password.
        why = error.strerror if isinstance(error, OSError) else "it is no netrc file"
        if isinstance(error, netrc.NetrcParseError) and error.lineno:
            why = f"it is no netrc file, as of line {error.lineno}"
        raise ConfigurationError(
            f"the netrc file {path} cannot be read: {why}",
            hint="it holds lines such as: machine HOST login U password P",
        ) from None
    return {host.lower(): (login, password or "") for host, (login, _, password) in hosts.items() if host != "default"}
