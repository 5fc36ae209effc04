"""Everything that a request passes before the application sees it: host, token, origin, size; and headers on the way out."""

from __future__ import annotations

from http.cookies import CookieError, SimpleCookie
from typing import Final
from urllib.parse import unquote

from starlette.datastructures import MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dropmill.web.access import SAFE_METHODS, Access, bare_host
from dropmill.web.problem import problem

# Open to everybody; they never show paths.
OPEN_PATHS: Final = frozenset({"/livez", "/readyz", "/healthz", "/metrics"})
LOGIN_PATH: Final = "/login"
NO_PAGES: Final = ("/api/", "/static/")
MOST_BODY_BYTES: Final = 2 << 20

_HEADERS: Final = {
    "content-security-policy": "default-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    # With "no-referrer" browsers say "Origin: null" when our own login form is sent, which is refused as another site's.
    "referrer-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cache-control": "no-store",
}


class _TooLarge(Exception):
    """The request's body is longer than we read."""


class Gate:
    """Pure ASGI. ``login`` answers browsers that have no token yet."""

    def __init__(self, app: ASGIApp, access: Access, base_path: str, login: ASGIApp) -> None:
        self._app = app
        self._access = access
        self._base_path = base_path
        self._login = login

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return  # Neither lifespan nor websockets are spoken here.
        scope = self._below_base(scope)
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        body = _Body(receive)

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                body.answered = True
                out = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    out.setdefault(name, value)
            await send(message)

        async def send_unless_too_large(message: Message) -> None:
            # The application makes an answer of its own out of a body that broke off.
            if not body.too_large or body.answered:
                await send_with_headers(message)

        refusal = self._refuse(scope, headers)
        if refusal is not None:
            await refusal(scope, receive, send_with_headers)
            return
        try:
            await self._app(scope, body.receive, send_unless_too_large)
        except _TooLarge:
            pass  # Answered below.
        if body.too_large and not body.answered:
            await _too_large()(scope, receive, send_with_headers)

    def _below_base(self, scope: Scope) -> Scope:
        """Proxies may hand on the prefix or take it away; both are understood."""
        path: str = scope["path"]
        if self._base_path and (path == self._base_path or path.startswith(self._base_path + "/")):
            return {**scope, "path": path[len(self._base_path) :] or "/"}
        return scope

    def _refuse(self, scope: Scope, headers: dict[str, str]) -> ASGIApp | None:
        """The answer to a request that does not come in, or None."""
        path, method = scope["path"], scope["method"]
        if path in OPEN_PATHS:
            return None
        server = scope.get("server")
        if not self._access.host_allowed(headers.get("host"), server[0] if server else ""):
            host = bare_host(headers.get("host", ""))
            return problem(
                403,
                f"this server does not answer to the name {host!r}",
                reason="host-not-allowed",
                hint="ask for it by the address it listens on, or add the name to http.allowed_hosts",
            )
        if path != LOGIN_PATH and not self._access.authorised(headers, _cookies(headers)):
            return self._unauthorised(scope, headers)
        if method not in SAFE_METHODS and not self._access.same_origin(headers):
            return problem(
                403,
                "requests that change something must come from this server's own page",
                reason="cross-site",
                hint="open the page itself, or call the API from a program; behind a proxy, name its host in http.allowed_hosts",
            )
        length = headers.get("content-length", "0")
        if not length.isdecimal() or int(length) > MOST_BODY_BYTES:
            return _too_large()
        return None

    def _unauthorised(self, scope: Scope, headers: dict[str, str]) -> ASGIApp:
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


def _too_large() -> Response:
    return problem(
        413,
        f"the request is longer than {MOST_BODY_BYTES >> 20} MiB",
        reason="request-too-large",
        hint="send it in smaller parts",
    )


class _Body:
    """Hands on a request's body until it is longer than we read."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._size_bytes = 0
        self.too_large = False
        self.answered = False

    async def receive(self) -> Message:
        message = await self._receive()
        self._size_bytes += len(message.get("body", b""))
        if self._size_bytes > MOST_BODY_BYTES:
            self.too_large = True
            raise _TooLarge
        return message


def _cookies(headers: dict[str, str]) -> dict[str, str]:
    try:
        jar = SimpleCookie(headers.get("cookie", ""))
    except CookieError:
        return {}
    return {name: unquote(morsel.value) for name, morsel in jar.items()}
