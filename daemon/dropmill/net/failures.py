"""What a failed request means: one reason for each kind, and whether trying again may help (U19)."""

from __future__ import annotations

import errno
import os
import socket
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import httpx

from dropmill.model.outcome import Reason
from dropmill.model.url import UrlRefused
from dropmill.net.resolver import ResolveFailed

# What this machine lacks, whichever host is asked.
_OUR_OWN: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EADDRNOTAVAIL})
# How h11, httpcore and h2 word that the other side left before its answer was complete.
_LEFT: Final = ("peer closed connection", "server disconnected", "connectionterminated", "streamreset")


@dataclass(frozen=True, slots=True)
class Failure:
    """``permanent``: trying again would not help. ``blames_host``: counts against the host, not the URL alone."""

    reason: Reason
    detail: str
    permanent: bool = False
    blames_host: bool = False


def classify(error: BaseException) -> Failure:
    """Whatever a request raises; what is not known is ``unexpected`` and may be tried again."""
    match error:
        case UrlRefused():
            return Failure(error.reason, error.detail, permanent=True)
        case ResolveFailed():
            # A name that does not exist is the line's mistake or a passing one of its owner; silence is the servers'.
            return Failure(Reason.DNS_FAILURE, str(error), blames_host=not error.missing)
        case httpx.TransportError():
            return _transport(error)
        case httpx.InvalidURL():
            return Failure(Reason.BAD_URL, str(error), permanent=True)
        case httpx.TooManyRedirects():
            return Failure(Reason.TOO_MANY_REDIRECTS, str(error), permanent=True)
        case httpx.DecodingError():
            return Failure(Reason.PROTOCOL_ERROR, f"the answer cannot be unpacked: {_first_line(error)}")
        case ssl.SSLError():
            return _tls(error)
        case socket.gaierror():
            return Failure(Reason.DNS_FAILURE, error.strerror or str(error), blames_host=True)
        case TimeoutError():
            return Failure(Reason.DOWNLOAD_TIMEOUT, "no answer in time", blames_host=True)
        case ConnectionError():
            return Failure(Reason.CONNECTION_LOST, _said(error), blames_host=True)
        case OSError():
            return Failure(Reason.IO_ERROR, _said(error))
    return Failure(Reason.UNEXPECTED, f"{type(error).__name__}: {_first_line(error)}")


def _transport(error: httpx.TransportError) -> Failure:
    match error:
        case httpx.PoolTimeout():
            return Failure(Reason.DOWNLOAD_TIMEOUT, "no connection of our own became free in time")
        case httpx.ConnectTimeout():
            return Failure(Reason.CONNECT_FAILED, "no connection came about in time", blames_host=True)
        case httpx.TimeoutException():
            return Failure(Reason.DOWNLOAD_TIMEOUT, "the host sends nothing", blames_host=True)
        case httpx.ConnectError():
            return _connect(error)
        case httpx.NetworkError():
            return Failure(Reason.CONNECTION_LOST, _said(error) or "the connection broke off", blames_host=True)
        case httpx.ProxyError():
            return Failure(Reason.CONNECT_FAILED, f"the proxy refused it: {_first_line(error)}")
        case httpx.UnsupportedProtocol():
            return Failure(Reason.BLOCKED_SCHEME, str(error), permanent=True)
        case httpx.LocalProtocolError():
            return Failure(Reason.PROTOCOL_ERROR, _first_line(error))
        case httpx.RemoteProtocolError() if any(word in str(error).lower() for word in _LEFT):
            return Failure(Reason.CONNECTION_LOST, "the host broke the connection off", blames_host=True)
    return Failure(Reason.PROTOCOL_ERROR, _first_line(error), blames_host=True)


def _connect(error: httpx.ConnectError) -> Failure:
    for cause in _causes(error):
        if isinstance(cause, ssl.SSLError):
            return _tls(cause)
        if isinstance(cause, OSError) and cause.errno in _OUR_OWN:
            return Failure(Reason.IO_ERROR, _said(cause))
    return Failure(Reason.CONNECT_FAILED, _said(error) or "the host broke the connection off", blames_host=True)


def _tls(error: ssl.SSLError) -> Failure:
    if isinstance(error, ssl.SSLCertVerificationError):
        why = getattr(error, "verify_message", error)
        return Failure(Reason.TLS_FAILURE, f"the certificate is not valid for it: {why}", permanent=True)
    if isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError):
        return Failure(Reason.CONNECT_FAILED, "the host broke the connection off", blames_host=True)
    said = (getattr(error, "reason", None) or "").replace("_", " ").lower() or _first_line(error)
    return Failure(Reason.TLS_FAILURE, f"no secure connection: {said}", permanent=True)


def _said(error: BaseException) -> str:
    """What the system says of it, such as ``Connection refused``; empty where it says nothing."""
    for cause in _causes(error):
        if isinstance(cause, OSError) and cause.errno and not isinstance(cause, ssl.SSLError):
            return os.strerror(cause.errno) if cause.errno in errno.errorcode else _first_line(cause)
    return _first_line(error)


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error and all that it came of: named causes, groups (several addresses), and what wraps it."""
    waiting, seen = [error], set()
    while waiting:
        cause = waiting.pop(0)
        if id(cause) in seen:
            continue
        seen.add(id(cause))
        yield cause
        if isinstance(cause, BaseExceptionGroup):
            waiting.extend(cause.exceptions)
        waiting.extend(one for one in (cause.__cause__, cause.__context__) if one is not None)


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).splitlines()), "")[:300]
