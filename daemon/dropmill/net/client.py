"""The client that everything which makes a request uses: httpx over a pool that only the guarded backend feeds (U08).

Nothing is taken from the environment: no proxy variables, no netrc. Redirects are not followed, because each hop is to
be judged (``redirects``), and cookies are not kept, because one download is none of another's business.
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Final

import httpcore
import httpx

from dropmill import __version__
from dropmill.model.netpolicy import Policy
from dropmill.model.url import DEFAULT_PORTS, Url, parse_url
from dropmill.net.guard import ALLOWANCE, DIALLED, Allowance, GuardedBackend
from dropmill.net.pool import SinglePool
from dropmill.net.redirects import LOCATION, REDIRECTS
from dropmill.net.resolver import Resolver
from dropmill.ports import Clock

USER_AGENT: Final = f"dropmill/{__version__}"
KEEPALIVE_SECONDS: Final = 15.0


@dataclass(frozen=True, slots=True)
class ClientOptions:
    """``proxy``: ``http://[user:password@]host:port`` or https, empty for none.

    ``tls``: whom to trust; None is what the system trusts and the list of Mozilla.
    """

    connections: int = 64
    connect_timeout_seconds: float = 10.0
    read_timeout_seconds: float = 30.0
    http2: bool = True
    user_agent: str = ""
    proxy: str = ""
    tls: ssl.SSLContext | None = None


def open_client(
    policy: Policy, resolver: Resolver, clock: Clock, options: ClientOptions | None = None
) -> httpx.AsyncClient:
    """To be closed by ``aclose``. A request for what ``policy`` does not allow raises ``UrlRefused``, a name without
    addresses ``ResolveFailed``, both before anything is sent; everything else is httpx's own (``failures.classify``).
    """
    options = options or ClientOptions()
    cookies = CookieJar(policy=DefaultCookiePolicy(allowed_domains=[]))
    wait = httpx.Timeout(
        connect=options.connect_timeout_seconds,
        read=options.read_timeout_seconds,
        write=options.read_timeout_seconds,
        pool=None,
    )
    return httpx.AsyncClient(
        transport=GuardedTransport(policy, resolver, clock, options),
        headers={"User-Agent": options.user_agent or USER_AGENT, "Accept-Encoding": "identity"},
        cookies=cookies,
        timeout=wait,
        follow_redirects=False,
        trust_env=False,
    )


def peer_address(response: httpx.Response) -> str:
    """The address that was dialled for it, or that of the proxy; empty for a response that came over no network."""
    stream = response.extensions.get("network_stream")
    return str(stream.get_extra_info(DIALLED) or "") if stream is not None else ""


class GuardedTransport(httpx.AsyncBaseTransport):
    """Judges each request, whichever connection it goes over, and asks for the URL that was judged and no other."""

    def __init__(self, policy: Policy, resolver: Resolver, clock: Clock, options: ClientOptions) -> None:
        self._policy = policy
        proxy = parse_url(options.proxy) if options.proxy else None
        place = (proxy.host, proxy.port) if proxy else None
        self._pool = SinglePool(
            _trusted,
            ssl_context=options.tls,
            proxy=_proxy(proxy, options.tls or _trusted()) if proxy else None,
            max_connections=options.connections,
            max_keepalive_connections=options.connections,
            keepalive_expiry=KEEPALIVE_SECONDS,
            http1=True,
            http2=options.http2,
            network_backend=GuardedBackend(policy, resolver, clock, proxy=place),
        )

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        url = parse_url(str(request.url))
        self._policy.judge_url(url).require()
        asked = httpcore.Request(
            method=request.method,
            url=_core_url(url),
            headers=request.headers.raw,
            content=request.stream,
            extensions=request.extensions,
        )
        allowed = ALLOWANCE.set(Allowance())
        try:
            with _as_httpx():
                answer = await self._pool.handle_async_request(asked)
        finally:
            ALLOWANCE.reset(allowed)
        headers, extensions = list(answer.headers), dict(answer.extensions)
        if answer.status in REDIRECTS:
            # httpx would read the target itself, in its own way, and fail the request where it cannot.
            found = [value for name, value in headers if name.lower() == b"location"]
            headers = [(name, value) for name, value in headers if name.lower() != b"location"]
            if found:
                extensions[LOCATION] = _text(found[0])
        return httpx.Response(status_code=answer.status, headers=headers, stream=_Body(answer), extensions=extensions)

    async def aclose(self) -> None:
        with _as_httpx():
            await self._pool.aclose()


class _Body(httpx.AsyncByteStream):
    def __init__(self, answer: httpcore.Response) -> None:
        self._answer = answer

    async def __aiter__(self) -> AsyncIterator[bytes]:
        with _as_httpx():
            async for piece in self._answer.aiter_stream():
                yield piece

    async def aclose(self) -> None:
        with _as_httpx():
            await self._answer.aclose()


@contextmanager
def _as_httpx() -> Iterator[None]:
    """httpcore's errors under httpx's names, which are the same, and what it lets through of an HTTP/2 connection."""
    try:
        yield
    except Exception as error:
        for kind in type(error).__mro__:
            named = getattr(httpx, kind.__name__, None)
            if kind.__module__ == "httpcore" and isinstance(named, type) and issubclass(named, httpx.TransportError):
                raise named(str(error)) from error
        no_number = isinstance(error, ValueError) and not isinstance(error, OSError)
        if no_number or type(error).__module__.startswith("h2."):
            # A status that is no number, or frames that are none behind the headers.
            raise httpx.RemoteProtocolError(str(error)) from error
        raise


def _text(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")


def _core_url(url: Url) -> httpcore.URL:
    port = None if url.port == DEFAULT_PORTS[url.scheme] else url.port
    return httpcore.URL(scheme=url.scheme.encode(), host=url.host.encode(), port=port, target=url.target.encode())


def _proxy(url: Url, tls: ssl.SSLContext) -> httpcore.Proxy:
    return httpcore.Proxy(
        _core_url(url),
        auth=(url.username, url.password) if url.has_credentials else None,
        ssl_context=tls if url.scheme == "https" else None,
    )


def _trusted() -> ssl.SSLContext:
    """What the system trusts, which is where an own authority is put, and Mozilla's list for systems that have none."""
    context = httpx.create_ssl_context(verify=True, trust_env=False)
    context.load_default_certs(ssl.Purpose.SERVER_AUTH)
    return context
