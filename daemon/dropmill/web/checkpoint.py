"""Who comes in: the checks that a request passes before the application sees it, in their order."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie
from typing import Final, Literal
from urllib.parse import unquote

from starlette.responses import Response
from starlette.types import ASGIApp, Scope

from dropmill.ports import Clock
from dropmill.settings import Http
from dropmill.web.access import API, SAFE_METHODS, Access, bare_host, bearer
from dropmill.web.clients import Client
from dropmill.web.limits import Attempts, Rates
from dropmill.web.problem import problem

# Open to everybody; they never show paths.
OPEN_PATHS: Final = frozenset({"/livez", "/readyz", "/healthz", "/metrics"})
# Whether the daemon lives is answered whatever else its prober asks for.
NEVER_COUNTED: Final = "/livez"
LOGIN_PATH: Final = "/login"
# Who is let in to sign in, and is nobody until then.
FORM: Final = "form"
NO_PAGES: Final = (API, "/static/")
MOST_BODY_BYTES: Final = 2 << 20
# The page's forms have one field or two.
MOST_FORM_BYTES: Final = 16 << 10
FORMS: Final = ("/login", "/logout", "/act/")
MOST_DIGITS: Final = 20
MOST_TARGET_BYTES: Final = 8 << 10
MOST_HEADERS: Final = 100
MOST_HEADER_BYTES: Final = 16 << 10

Cause = Literal["host", "token", "attempts", "origin", "rate", "crowd", "size"]


@dataclass(frozen=True, slots=True)
class Refusal:
    cause: Cause
    answer: ASGIApp
    guessed: bool = False
    """It brought a token that is wrong, or was not looked at."""


@dataclass(frozen=True, slots=True)
class Entry:
    """Let in. ``by``: on what grounds, as an audit tells it."""

    by: str


class Checkpoint:
    def __init__(
        self, access: Access, settings: Http, clock: Clock, login: ASGIApp, login_later: Callable[[int], Response]
    ) -> None:
        """``login`` answers browsers that have no token yet, and ``login_later`` those that have to wait so many seconds."""
        self.access = access
        self.rates = Rates(settings.requests_per_second)
        self.attempts = Attempts(clock.monotonic())
        self._clock = clock
        self._login = login
        self._login_later = login_later

    def check(self, scope: Scope, headers: Mapping[str, str], client: Client) -> Entry | Refusal:
        path = scope["path"]
        now = self._clock.monotonic()
        too_much = _too_much(scope)
        if too_much is not None:
            return Refusal("size", too_much)
        if counts(scope, client) and (wait := self.rates.wait(client.key, now)):
            return Refusal("rate", _later(wait, "this client asks too often", "too-many-requests"))
        if path in OPEN_PATHS:
            return Entry("open")
        server = scope.get("server")
        if not self.access.host_allowed(headers.get("host"), server[0] if server else ""):
            return Refusal("host", _wrong_host(headers))
        if is_preflight(scope, headers) and self.access.named_origin(path, headers):
            return Entry("preflight")
        entry = self._identify(scope, headers, client, now)
        if isinstance(entry, Refusal):
            return entry
        if not self.access.origin_allowed(path, scope["method"], headers):
            return Refusal("origin", _cross_site())
        length = headers.get("content-length", "0")
        if not length.isdecimal() or len(length) > MOST_DIGITS or int(length) > most_body_bytes(path):
            return Refusal("size", too_large(path))
        return entry

    def failed(self, client: Client) -> None:
        self.attempts.failed(client.key, self._clock.monotonic())

    def _identify(self, scope: Scope, headers: Mapping[str, str], client: Client, now: float) -> Entry | Refusal:
        if not self.access.token:
            return Entry("open")
        # A cookie goes along with whatever a site has the browser ask; that counts for our own pages alone.
        if not self.access.named_origin(scope["path"], headers):
            session = self.access.sessions.known(
                cookies(headers).get(self.access.sessions.cookie, ""), self._clock.now_ms()
            )
            if session:
                return Entry(f"session {session[:8]}")
        given = bearer(headers)
        right = given is not None and self.access.token_matches(given)
        if right and self.access.token_is_long:
            return Entry("token")  # No pause is needed to protect what nobody guesses.
        guesses = given is not None or (scope["path"] == LOGIN_PATH and scope["method"] == "POST")
        if guesses and (wait := self.attempts.wait(client.key, now)):
            return Refusal("attempts", self._too_many(wait, scope["path"], headers), guessed=True)
        if right:
            return Entry("token")
        if given is not None:
            self.attempts.failed(client.key, now)
        if scope["path"] == LOGIN_PATH:
            return Entry(FORM)
        return Refusal("token", self._unauthorised(scope, headers), guessed=given is not None)

    def _too_many(self, wait: float, path: str, headers: Mapping[str, str]) -> Response:
        if path == LOGIN_PATH and "text/html" in headers.get("accept", ""):
            return self._login_later(_whole(wait))
        return _later(wait, "too many wrong tokens came from here", "too-many-attempts")

    def _unauthorised(self, scope: Scope, headers: Mapping[str, str]) -> ASGIApp:
        # Whatever a browser asks for to show it, there or not, is answered with the form.
        page = not scope["path"].startswith(NO_PAGES) and scope["method"] in SAFE_METHODS
        if page and "text/html" in headers.get("accept", ""):
            return self._login
        response: Response = problem(
            401,
            "a token is needed",
            reason="unauthorised",
            hint="send Authorization: Bearer TOKEN; it is in the file that http.token_file names",
        )
        response.headers["www-authenticate"] = 'Bearer realm="dropmill"'
        return response


def counts(scope: Scope, client: Client) -> bool:
    """Whether there are limits to how often the client may ask this."""
    return not client.local and scope["path"] != NEVER_COUNTED


def is_preflight(scope: Scope, headers: Mapping[str, str]) -> bool:
    """Whether a browser asks what a script may ask for (https://fetch.spec.whatwg.org/#cors-preflight-request)."""
    return scope["method"] == "OPTIONS" and "access-control-request-method" in headers


def most_body_bytes(path: str) -> int:
    return MOST_FORM_BYTES if path.startswith(FORMS) else MOST_BODY_BYTES


def too_large(path: str) -> Response:
    return problem(
        413,
        f"the request is longer than {most_body_bytes(path) >> 10} KiB",
        reason="request-too-large",
        hint="send it in smaller parts",
    )


def crowded() -> Response:
    return _later(1.0, "too many requests of this client are being answered", "too-many-requests")


def cookies(headers: Mapping[str, str]) -> dict[str, str]:
    try:
        jar = SimpleCookie(headers.get("cookie", ""))
    except CookieError:
        return {}
    return {name: unquote(morsel.value) for name, morsel in jar.items()}


def _too_much(scope: Scope) -> Response | None:
    if len(scope["raw_path"]) + len(scope["query_string"]) > MOST_TARGET_BYTES:
        return problem(414, "the address is too long", reason="request-too-large", hint="send less in the query")
    told = scope["headers"]
    if len(told) > MOST_HEADERS or sum(len(name) + len(value) for name, value in told) > MOST_HEADER_BYTES:
        return problem(431, "there are too many headers", reason="request-too-large", hint="send fewer cookies")
    return None


def _wrong_host(headers: Mapping[str, str]) -> Response:
    return problem(
        403,
        f"this server does not answer to the name {bare_host(headers.get('host', ''))!r}",
        reason="host-not-allowed",
        hint="ask for it by the address it listens on, or add the name to http.allowed_hosts",
    )


def _cross_site() -> Response:
    return problem(
        403,
        "requests that change something must come from this server's own page, and scripts of other sites read nothing",
        reason="cross-site",
        hint="open the page itself, or call the API from a program; behind a proxy, name its host in http.allowed_hosts; "
        "for an application of yours in the browser, name its origin in http.allowed_origins",
    )


def _later(seconds: float, detail: str, reason: str) -> Response:
    response = problem(429, detail, reason=reason, hint="wait as long as Retry-After says", retryable=True)
    response.headers["retry-after"] = str(_whole(seconds))
    return response


def _whole(seconds: float) -> int:
    return max(1, math.ceil(seconds))
