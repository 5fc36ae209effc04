"""URLs: one spelling for each, and a refusal for what is none (U01, U07, U08, U18). Pure.

What is checked is what is asked for: only the canonical text, made here, ever reaches a resolver or a request. Its rules
are those of RFC 3986 section 6.2.2 (normal form), of the WHATWG URL standard for hosts that are numbers and for the
characters that are percent-encoded, and of UTS 46 for international names.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, field
from ipaddress import IPv6Address
from typing import Final
from urllib.parse import unquote, unquote_to_bytes, urljoin

from dropmill.errors import DropmillError
from dropmill.model.address import Address, read_address, read_inet_aton
from dropmill.model.outcome import EXPLANATIONS, Reason

MAX_URL_BYTES: Final = 8192
MAX_HOST_LENGTH: Final = 253
DEFAULT_PORTS: Final = {"http": 80, "https": 443}

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):(.*)", re.DOTALL)
_AUTHORITY = re.compile(r"//([^/?#]*)([^?#]*)(\?[^#]*)?(?:#.*)?", re.DOTALL)
_HOST_PORT = re.compile(r"(\[[^\]]*\]|[^:\[\]]*)(?::([0-9]*))?")
_LABEL = re.compile(r"[a-z0-9_-]{1,63}")
# Whatever a number, a delimiter or a blank in a host would mean to somebody else who reads it.
_HOST_FORBIDDEN = re.compile(r"[\x00-\x20\x7f/?#@:\[\]\\%<>^|\"`{}]")
_NUMBER = re.compile(r"0[xX][0-9A-Fa-f]*|[0-9]+")
_UNRESERVED = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
# What is left as it is besides unreserved ones; the WHATWG standard's path and query sets, the other way round.
_TO_ENCODE_IN_PATH = re.compile(r"%[0-9A-Fa-f]{2}|[^A-Za-z0-9._~!$&'()*+,;=:@/\[\]|-]")
_TO_ENCODE_IN_QUERY = re.compile(r"%[0-9A-Fa-f]{2}|[^A-Za-z0-9._~!$&'()*+,;=:@/?\[\]|^`{}-]")
# The colon of a scheme may have been forgotten, as in https//user:pass@host.
_CREDENTIALS = re.compile(r"^([A-Za-z][A-Za-z0-9+.-]*(?::|(?=[/\\]{2})))?([/\\]*)[^/\\?#]*@", re.DOTALL)
# user:pass@host with a delimiter in the password: no URL, and yet nothing to show. A port is digits up to the path.
_LIKELY_CREDENTIALS = re.compile(
    r"^(?>([A-Za-z][A-Za-z0-9+.-]*(?::(?=[/\\])|(?=[/\\]{2})))?)([/\\]*)[^/\\?#@:\[]*:(?![0-9]+(?:[/\\?#]|$)).*@",
    re.DOTALL,
)


class UrlRefused(DropmillError):
    """A URL of which nothing is sent. ``reason`` is a ``Reason``; ``detail`` says why, and holds no credentials."""

    reason: Reason = Reason.BAD_URL

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(detail, hint=EXPLANATIONS[reason].remedy, reason=reason, retryable=False)
        self.detail = detail


@dataclass(frozen=True, slots=True)
class Url:
    """A URL that can be asked for. Equal canonical texts name the same thing (U18)."""

    canonical: str
    """The one spelling: no credentials, no fragment, ASCII only."""
    scheme: str
    """``http`` or ``https``."""
    host: str
    """Lower case, IDNA in ASCII; an address in its usual spelling, IPv6 without brackets."""
    port: int
    target: str
    """Path and query, as they stand in the request line."""
    given: str = field(repr=False, compare=False)
    """As it was written; may hold credentials, so it is never shown."""
    username: str = field(default="", repr=False, compare=False)
    password: str = field(default="", repr=False, compare=False)

    @property
    def origin(self) -> str:
        """``scheme://host:port``, the port always said."""
        return f"{self.scheme}://{_in_url(self.host)}:{self.port}"

    @property
    def authority(self) -> str:
        """Host and port as the header Host says them: without the port that goes without saying."""
        return _in_url(self.host) + ("" if self.port == DEFAULT_PORTS[self.scheme] else f":{self.port}")

    @property
    def address(self) -> Address | None:
        """The address that the host is, or None for a name."""
        return read_address(self.host)

    @property
    def has_credentials(self) -> bool:
        return bool(self.username or self.password)

    @property
    def redacted(self) -> str:
        """As it was written, without credentials."""
        return redact(self.given)


def parse_url(text: str) -> Url:
    """Raises ``UrlRefused`` (``bad-url``, ``blocked-scheme``) and nothing else, whatever the text is."""
    _check_text(text)
    match = _SCHEME.fullmatch(text)
    if match is None:
        raise UrlRefused(Reason.BAD_URL, "it begins with no scheme such as https://")
    scheme, rest = match[1].lower(), match[2]
    if scheme not in DEFAULT_PORTS:
        raise UrlRefused(Reason.BLOCKED_SCHEME, f"the scheme {scheme!r} is not fetched, only http and https")
    parts = _AUTHORITY.fullmatch(rest)
    if parts is None:
        raise UrlRefused(Reason.BAD_URL, f"there is no // behind {scheme}:")
    userinfo, at, place = parts[1].rpartition("@")
    if "@" in userinfo:
        # Programs disagree about which of them ends the credentials, which is how checks are led astray.
        raise UrlRefused(Reason.BAD_URL, "there is more than one @ before the host")
    username, password = _credentials(userinfo) if at else ("", "")
    host, port = _place(place, scheme)
    path = _without_dots(_encoded(_TO_ENCODE_IN_PATH, parts[2] or "/"))
    target = path + _encoded(_TO_ENCODE_IN_QUERY, parts[3] or "")
    behind = "" if port == DEFAULT_PORTS[scheme] else f":{port}"
    canonical = f"{scheme}://{_in_url(host)}{behind}{target}"
    if len(canonical) > MAX_URL_BYTES:
        raise UrlRefused(Reason.BAD_URL, f"it is longer than {MAX_URL_BYTES} bytes")
    return Url(canonical, scheme, host, port, target, text, username, password)


def follow(base: Url, location: str) -> Url:
    """The target of a redirect, whose ``Location`` may be relative to ``base``. Raises ``UrlRefused``.

    Blanks within it are encoded, as browsers do; everything else is held to the same rules as any URL. Credentials in
    ``base`` are not taken over.
    """
    text = location.strip(" \t").replace(" ", "%20")
    _check_text(text)
    try:
        joined = urljoin(base.canonical, text)
    except ValueError as error:
        raise UrlRefused(Reason.BAD_URL, "the redirect leads to something that is no URL") from error
    return parse_url(joined)


def canonical_host(text: str) -> str:
    """A name in ASCII and lower case, or an IPv4 address in any of its spellings as four decimal numbers (U01).

    Raises ``UrlRefused``.
    """
    try:
        decoded = unquote_to_bytes(text).decode()
    except UnicodeError as error:
        raise UrlRefused(Reason.BAD_URL, "the host is not UTF-8") from error
    plain = unicodedata.normalize("NFKC", decoded).replace("\u3002", ".").lower()
    plain = plain.removesuffix(".")
    if len(plain) > 4 * MAX_HOST_LENGTH or _HOST_FORBIDDEN.search(plain):
        raise UrlRefused(Reason.BAD_URL, "the host is too long, or has a character that is in no name")
    if not plain.isascii():
        import idna  # Large tables, which few hosts need.

        try:
            plain = idna.encode(plain, uts46=True).decode("ascii").lower()
        except (idna.IDNAError, ValueError) as error:
            raise UrlRefused(Reason.BAD_URL, "the host is no valid international name") from error
    if not plain:
        raise UrlRefused(Reason.BAD_URL, "there is no host")
    labels = plain.split(".")
    if _NUMBER.fullmatch(labels[-1]):
        address = read_inet_aton(plain)
        if address is None:
            raise UrlRefused(Reason.BAD_URL, "the host ends in a number, and is no IPv4 address")
        return str(address)
    if len(plain) > MAX_HOST_LENGTH or not all(_LABEL.fullmatch(label) for label in labels):
        raise UrlRefused(Reason.BAD_URL, "the host is no name: parts of 1 to 63 letters, digits and hyphens")
    return plain


def is_url(source: bytes | str) -> bool:
    """Whether what a job is of, a path or a URL, is a URL. No path is: neither of a file in an inbox nor from the root."""
    start = source if isinstance(source, str) else source[:8].decode("latin-1")
    return start.startswith(("http://", "https://"))


def redact(text: str) -> str:
    """Any text that is meant as a URL, for logs and results: credentials replaced, control characters escaped."""
    plain = text
    for pattern in (_LIKELY_CREDENTIALS, _CREDENTIALS):
        plain = pattern.sub(lambda match: f"{match[1] or ''}{match[2]}***@", plain)
    plain = plain[:MAX_URL_BYTES]
    if plain.isascii() and plain.isprintable():
        return plain
    return "".join(char if _visible(char) else _escaped(char) for char in plain)


def _escaped(char: str) -> str:
    if "\udc80" <= char <= "\udcff":  # A byte that is not UTF-8, as os.fsdecode carries it.
        return f"\\x{ord(char) - 0xDC00:02x}"
    return char.encode("unicode_escape").decode()


def _visible(char: str) -> bool:
    return char == " " or unicodedata.category(char) not in {"Cc", "Cs", "Zl", "Zp", "Zs"}


def _check_text(text: str) -> None:
    if not text:
        raise UrlRefused(Reason.BAD_URL, "it is empty")
    if len(text) > MAX_URL_BYTES:
        raise UrlRefused(Reason.BAD_URL, f"it is longer than {MAX_URL_BYTES} bytes")
    for char in text:
        if char == "\\":
            raise UrlRefused(Reason.BAD_URL, "there is a backslash in it; write %5C if it is meant")
        if char == " " or not _visible(char):
            name = unicodedata.name(char, f"U+{ord(char):04X}").lower()
            raise UrlRefused(Reason.BAD_URL, f"there is a blank or control character in it ({name})")


def _credentials(userinfo: str) -> tuple[str, str]:
    username, _, password = userinfo.partition(":")
    try:
        return unquote(username, errors="strict"), unquote(password, errors="strict")
    except UnicodeDecodeError as error:
        raise UrlRefused(Reason.BAD_URL, "user or password is not UTF-8") from error


def _place(text: str, scheme: str) -> tuple[str, int]:
    match = _HOST_PORT.fullmatch(text)
    if match is None:
        raise UrlRefused(Reason.BAD_URL, "host and port are not host:port, with an IPv6 address in brackets")
    host = _six(match[1][1:-1]) if match[1].startswith("[") else canonical_host(match[1])
    digits = match[2] or ""
    port = int(digits) if digits and len(digits) <= 5 else DEFAULT_PORTS[scheme] if not digits else 0
    if not 1 <= port <= 65535:
        raise UrlRefused(Reason.BAD_URL, f"{digits[:10]} is no port, which are 1 to 65535")
    return host, port


def _six(text: str) -> str:
    if "%" in text:
        raise UrlRefused(Reason.BAD_URL, "an IPv6 address with a zone means nothing in a URL")
    address = read_address(text)
    if not isinstance(address, IPv6Address):
        raise UrlRefused(Reason.BAD_URL, "there is no IPv6 address in the brackets")
    return _text_of(address)


def _text_of(address: IPv6Address) -> str:
    mapped = address.ipv4_mapped
    if mapped is None:
        return str(address)
    # Versions of Python differ in how they write these.
    number = int(mapped)
    return f"::ffff:{number >> 16:x}:{number & 0xFFFF:x}"


def _in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _encoded(to_encode: re.Pattern[str], text: str) -> str:
    if text.startswith("?"):
        return "?" + to_encode.sub(_encode_one, text[1:])
    return to_encode.sub(_encode_one, text)


def _encode_one(match: re.Match[str]) -> str:
    found = match[0]
    if len(found) == 3:
        byte = int(found[1:], 16)
        return chr(byte) if byte in _UNRESERVED else found.upper()
    return "".join(f"%{byte:02X}" for byte in found.encode())


def _without_dots(path: str) -> str:
    """RFC 3986 section 5.2.4 for a path that begins with a slash."""
    kept: list[str] = []
    segments = path.split("/")[1:]
    for segment in segments:
        if segment == "..":
            del kept[-1:]
        elif segment != ".":
            kept.append(segment)
    if segments[-1] in {".", ".."}:
        kept.append("")
    return "/" + "/".join(kept)
