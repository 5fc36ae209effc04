"""How URLs are fetched: limits, manners, and what is sent along."""

from __future__ import annotations

import re
from typing import Final, Literal

from pydantic import Field, field_validator

from dropmill.model.url import UrlRefused, parse_url
from dropmill.settings.findings import Wrong
from dropmill.settings.sections import Number, PathText, Section, Whole

MIB: Final = 1 << 20

# What the downloader says itself, and what would let a proxy or a server misread where a request ends.
_OURS: Final = frozenset(
    {
        "accept-encoding",
        "connection",
        "content-length",
        "expect",
        "host",
        "if-match",
        "if-modified-since",
        "if-none-match",
        "if-range",
        "if-unmodified-since",
        "keep-alive",
        "proxy-connection",
        "range",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "user-agent",
    }
)
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_PROXY_HINT: Final = "write http://host:port or https://host:port, and an @ in a password as %40"


class Downloads(Section):
    """Downloads of URLs, from drop-files, `dropmill add` and .urls files."""

    connections: Whole = Field(default=64, ge=1, le=1024, description="How many downloads run at a time, at most.")
    per_host: Whole = Field(default=8, ge=1, le=1024, description="How many of them may be from one host.")
    requests_per_second_per_host: Number = Field(
        default=0.0, ge=0, le=10_000, description="At most so many requests to one host. 0: no limit of its own."
    )
    max_bytes: Whole = Field(
        default=100 * MIB, ge=1, description="The largest download, in bytes; what is larger is too-large."
    )
    timeout_seconds: Number = Field(
        default=300.0,
        gt=0,
        le=86_400,
        description="How long one attempt may take in all. Waiting for max_bytes_per_second does not count.",
    )
    connect_timeout_seconds: Number = Field(
        default=10.0, gt=0, le=600, description="How long a connection may take to come about, TLS included."
    )
    read_timeout_seconds: Number = Field(
        default=30.0, gt=0, le=3600, description="How long a host may send nothing at all."
    )
    min_bytes_per_second: Whole = Field(
        default=1024,
        ge=0,
        description="A download that is slower, over ten seconds, is given up as too-slow and tried again. 0: no limit.",
    )
    max_bytes_per_second: Whole = Field(
        default=0, ge=0, description="All downloads together take at most so many bytes a second. 0: no limit."
    )
    max_redirects: Whole = Field(default=5, ge=0, le=20, description="How many redirects are followed, one by one.")
    max_attempts: Whole = Field(
        default=5, ge=1, le=100, description="A URL that fails so often with passing trouble is discarded."
    )
    retry_base_seconds: Number = Field(
        default=2.0, gt=0, le=86_400, description="Pause after the first failure; it doubles, with jitter."
    )
    retry_cap_seconds: Number = Field(default=300.0, gt=0, le=86_400, description="No such pause is longer.")
    max_rest_seconds: Number = Field(
        default=3600.0,
        gt=0,
        le=604_800,
        description="The longest rest that a host is given, whatever its Retry-After asks for.",
    )
    breaker_failures: Whole = Field(
        default=5, ge=1, le=1000, description="So many failures of a host in a row, and it is left alone for a while."
    )
    breaker_rest_seconds: Number = Field(
        default=15.0,
        gt=0,
        le=86_400,
        description="For how long at first; then one request is let try, and if that fails the rest doubles.",
    )
    give_up_seconds: Number = Field(
        default=86_400.0,
        gt=0,
        description="A host that has been failing for so long: its URLs are discarded as host-unavailable.",
    )
    robots: Literal["off", "respect"] = Field(
        default="off", description="Whether a host's robots.txt is asked for and kept to (RFC 9309)."
    )
    robots_tag: Literal["off", "respect"] = Field(
        default="off",
        description="Whether an answer whose X-Robots-Tag says noai, noimageai, noindex or noimageindex is refused.",
    )
    user_agent: str = Field(
        default="", description="What hosts are told of who asks. Left out: dropmill/<version>. Add how to reach you."
    )
    http2: bool = Field(default=True, description="Speak HTTP/2 with hosts that offer it.")
    headers: dict[str, str] = Field(
        default_factory=dict,
        description="Further headers of each request. They are sent to the host of the line, never to another that it "
        "redirects to.",
    )
    netrc: PathText = Field(
        default="", description="File of users and passwords by host, in the format of netrc. Left out, none is read."
    )
    proxy: str = Field(
        default="",
        description="Proxy that all requests go through, as in http://proxy.example:3128. Variables such as HTTP_PROXY "
        "are not heeded.",
    )
    backlog_files: Whole = Field(
        default=1000,
        ge=1,
        description="When so many downloads wait to be processed, fetching waits, so that they do not fill the disk.",
    )

    @field_validator("user_agent")
    @classmethod
    def _one_line(cls, value: str) -> str:
        if not value.isascii() or any(not char.isprintable() for char in value):
            raise Wrong(f"{value!r} does not suit a header", "use plain ASCII characters, on one line")
        return value.strip()

    @field_validator("headers")
    @classmethod
    def _sendable(cls, value: dict[str, str]) -> dict[str, str]:
        for name, text in value.items():
            if not _TOKEN.fullmatch(name):
                raise Wrong(f"{name!r} is no name of a header", 'write it as in {"X-Api-Key" = "…"}')
            if name.lower() in _OURS:
                raise Wrong(f"{name} is set by dropmill itself", "take it out; user_agent is a setting of its own")
            if not text.isascii() or any(not char.isprintable() for char in text) or text != text.strip():
                hint = "use plain ASCII characters, on one line, without blanks around them"
                raise Wrong(f"the value of {name} does not suit a header", hint)
        return value

    @field_validator("proxy")
    @classmethod
    def _is_proxy(cls, value: str) -> str:
        if not value:
            return value
        try:
            place = parse_url(value)
        except UrlRefused as error:
            raise Wrong(f"this is no proxy: {error.detail}", _PROXY_HINT) from None
        if place.target != "/":
            raise Wrong("this is no proxy: there is a path in it", _PROXY_HINT)
        return value
