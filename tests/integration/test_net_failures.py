"""Every way in which a request fails has its reason, from real servers that fail in that way (U19)."""

from __future__ import annotations

import errno
import socket
import ssl

import anyio
import httpcore
import httpx
import pytest
from net_support import Answers, client, policy

from dropmill.model.outcome import Reason
from dropmill.model.url import UrlRefused
from dropmill.net import ClientOptions, Failure, ResolveFailed, classify
from web import WebServer, answer, document, drop, hang, huge_headers, nonsense

RULES = policy("127.0.0.0/8")
IMPATIENT = ClientOptions(read_timeout_seconds=0.2, connect_timeout_seconds=30)


def failure_of(url: str, options: ClientOptions | None = None, resolver: Answers | None = None) -> Failure:
    async def story() -> Failure:
        async with client(RULES, resolver, options) as opened:
            with pytest.raises((httpx.HTTPError, UrlRefused, ResolveFailed)) as caught:
                await opened.get(url)
        return classify(caught.value)

    return anyio.run(story)


@pytest.mark.parametrize(
    ("handler", "reason"),
    [
        (drop(), Reason.CONNECTION_LOST),
        (drop(reset=False), Reason.CONNECTION_LOST),
        (document(b"x" * 100_000, cut_after_bytes=10_000), Reason.CONNECTION_LOST),
        (document(b"x" * 100_000, cut_after_bytes=10_000, reset=False), Reason.CONNECTION_LOST),
        (answer(b"x" * 10, length_bytes=20), Reason.CONNECTION_LOST),
        (nonsense(b"SSH-2.0-OpenSSH_9.6\r\n\r\n"), Reason.PROTOCOL_ERROR),
        (nonsense(b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n"), Reason.PROTOCOL_ERROR),
        (huge_headers(1 << 20), Reason.PROTOCOL_ERROR),
    ],
)
def test_u19_a_broken_answer_is_transient_and_the_hosts(handler: object, reason: Reason) -> None:
    with WebServer() as web:
        failure = failure_of(web.on("/a", handler))  # type: ignore[arg-type]  # Errors of httpx take no request here.
    assert (failure.reason, failure.permanent, failure.blames_host) == (reason, False, True)
    assert failure.detail


def test_u19_a_host_that_says_nothing_times_out() -> None:
    with WebServer() as web:
        failure = failure_of(web.on("/a", hang()), IMPATIENT)
    assert (failure.reason, failure.permanent, failure.blames_host) == (Reason.DOWNLOAD_TIMEOUT, False, True)


def test_u19_a_refused_connection_and_one_that_never_comes_about() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    failure = failure_of(f"http://127.0.0.1:{port}/")
    assert failure == Failure(Reason.CONNECT_FAILED, "Connection refused", blames_host=True)
    several = failure_of(f"http://a.example:{port}/", resolver=Answers(a_example=["127.0.0.1", "127.0.0.2"]))
    assert several == failure

    # A full backlog answers no further connection.
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
        held = [socket.socket() for _ in range(4)]
        for one in held:
            one.setblocking(False)
            one.connect_ex(listener.getsockname())
        quick = ClientOptions(connect_timeout_seconds=0.2)
        failure = failure_of(f"http://127.0.0.1:{listener.getsockname()[1]}/", quick)
        for one in held:
            one.close()
    assert (failure.reason, failure.permanent, failure.blames_host) == (Reason.CONNECT_FAILED, False, True)


def test_u19_names_without_addresses() -> None:
    failure = failure_of("http://none.example/")
    assert (failure.reason, failure.permanent, failure.blames_host) == (Reason.DNS_FAILURE, False, False)
    silent = classify(ResolveFailed("h", "temporary failure in name resolution", missing=False))
    assert (silent.reason, silent.permanent, silent.blames_host) == (Reason.DNS_FAILURE, False, True)


def test_u19_what_is_refused_is_permanent_and_nobodys_fault() -> None:
    failure = failure_of("http://10.0.0.1/")
    assert (failure.reason, failure.permanent, failure.blames_host) == (Reason.BLOCKED_ADDRESS, True, False)


def caused(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "reason", "permanent", "blames_host"),
    [
        (httpx.ConnectTimeout(""), Reason.CONNECT_FAILED, False, True),
        (httpx.ReadTimeout(""), Reason.DOWNLOAD_TIMEOUT, False, True),
        (httpx.WriteTimeout(""), Reason.DOWNLOAD_TIMEOUT, False, True),
        (httpx.PoolTimeout(""), Reason.DOWNLOAD_TIMEOUT, False, False),
        (httpx.ReadError(""), Reason.CONNECTION_LOST, False, True),
        (httpx.WriteError(""), Reason.CONNECTION_LOST, False, True),
        (httpx.CloseError(""), Reason.CONNECTION_LOST, False, True),
        (caused(httpx.ConnectError(""), OSError(errno.ENETUNREACH, "")), Reason.CONNECT_FAILED, False, True),
        (caused(httpx.ConnectError(""), OSError(errno.EMFILE, "")), Reason.IO_ERROR, False, False),
        (
            caused(httpx.ConnectError(""), ExceptionGroup("", [OSError(errno.EMFILE, "")])),
            Reason.IO_ERROR,
            False,
            False,
        ),
        (caused(httpx.ConnectError(""), ssl.SSLEOFError(8, "EOF")), Reason.CONNECT_FAILED, False, True),
        (caused(httpx.ConnectError(""), ssl.SSLError(1, "handshake")), Reason.TLS_FAILURE, True, False),
        (httpx.RemoteProtocolError("<StreamReset stream_id:1>"), Reason.CONNECTION_LOST, False, True),
        (httpx.RemoteProtocolError("illegal header line"), Reason.PROTOCOL_ERROR, False, True),
        (httpx.LocalProtocolError("x"), Reason.PROTOCOL_ERROR, False, False),
        (httpx.ProxyError("403 Forbidden"), Reason.CONNECT_FAILED, False, False),
        (httpx.UnsupportedProtocol("x"), Reason.BLOCKED_SCHEME, True, False),
        (httpx.InvalidURL("x"), Reason.BAD_URL, True, False),
        (httpx.TooManyRedirects("x"), Reason.TOO_MANY_REDIRECTS, True, False),
        (httpx.DecodingError("x"), Reason.PROTOCOL_ERROR, False, False),
        (ssl.SSLCertVerificationError("x"), Reason.TLS_FAILURE, True, False),
        (socket.gaierror(-3, "x"), Reason.DNS_FAILURE, False, True),
        (TimeoutError(), Reason.DOWNLOAD_TIMEOUT, False, True),
        (ConnectionResetError(errno.ECONNRESET, ""), Reason.CONNECTION_LOST, False, True),
        (OSError(errno.EIO, "x"), Reason.IO_ERROR, False, False),
        (ZeroDivisionError("x"), Reason.UNEXPECTED, False, False),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else str(value),
)
def test_u19_every_error_has_its_reason(error: Exception, reason: Reason, permanent: bool, blames_host: bool) -> None:
    failure = classify(error)
    assert (failure.reason, failure.permanent, failure.blames_host) == (reason, permanent, blames_host)


def test_u19_every_error_of_the_library_below_has_a_name_in_the_one_above() -> None:
    """That is how the transport translates them."""
    errors = [value for value in vars(httpcore).values() if isinstance(value, type) and issubclass(value, Exception)]
    untold = [error.__name__ for error in errors if not hasattr(httpx, error.__name__)]
    assert untold == ["ConnectionNotAvailable"]  # Which the pool keeps to itself.
    assert {error.__module__ for error in errors} == {"httpcore"}
