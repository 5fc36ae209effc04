"""The section ``[http]``: where the page listens, who may ask, and how much."""

from __future__ import annotations

import ipaddress
import os
import re
import stat
from dataclasses import dataclass
from typing import Final

from pydantic import Field, field_validator

from dropmill.errors import ConfigurationError
from dropmill.settings.findings import Wrong
from dropmill.settings.sections import Number, Octal, PathText, Section, Whole, path_text

MOST_TOKEN_CHARACTERS: Final = 1024
# What a browser says of where a script came from (RFC 6454, section 6.1): no path, and no default port.
_ORIGIN: Final = re.compile(r"https?://(?:[a-z0-9._-]+|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?")


@dataclass(frozen=True, slots=True)
class TcpAddress:
    """Where the page listens; port 0 lets the system choose one."""

    host: str
    port: int

    @property
    def is_loopback(self) -> bool:
        if self.host.lower() == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False


@dataclass(frozen=True, slots=True)
class UnixAddress:
    """A socket file; who may connect is told by its permissions."""

    path: str


_TCP = re.compile(r"(?:\[(?P<six>[0-9A-Fa-f:.]+)\]|(?P<host>[A-Za-z0-9._-]+)):(?P<port>[0-9]{1,5})")


def parse_bind(text: str) -> TcpAddress | UnixAddress:
    """``host:port``, ``[IPv6]:port`` or ``unix:/path``. Raises ``Wrong`` for anything else."""
    if text.startswith("unix:"):
        path = text.removeprefix("unix:")
        if not path.startswith("/"):
            raise Wrong(f"{text!r} has no absolute path", "write it as unix:/run/dropmill/dropmill.sock")
        path_text(path)
        if len(path.encode()) > 107:  # sun_path of sockaddr_un is 108 bytes with its terminating zero.
            raise Wrong("the socket path is longer than 107 bytes", "choose a shorter one")
        return UnixAddress(path)
    match = _TCP.fullmatch(text)
    if not match or int(match["port"]) > 65535:
        raise Wrong(f"{text!r} is no address", "write host:port, [IPv6]:port or unix:/path, as in 127.0.0.1:8686")
    if match["six"]:
        try:
            ipaddress.IPv6Address(match["six"])
        except ValueError:
            raise Wrong(f"{match['six']!r} is no IPv6 address", "write it as [::1]:8686") from None
    return TcpAddress(match["six"] or match["host"], int(match["port"]))


class Http(Section):
    """The status page, the API, health and metrics."""

    bind: str = Field(
        default="127.0.0.1:8686",
        description="Where to listen: host:port, [IPv6]:port, or unix:/path of a socket. Port 0 lets the system choose. "
        "Off loopback a token_file is required.",
    )
    socket_mode: Octal = Field(
        default="0660",
        description="Permission bits of the socket file, octal in quotes: who may write to it may use the page and the API.",
    )
    token_file: PathText = Field(
        default="",
        description="File whose first line is the access token. With one, everything but health and metrics needs it. "
        "A reload reads it again, and ends the sessions of the earlier token.",
    )
    allowed_hosts: tuple[str, ...] = Field(
        default=(),
        description="Further host names under which the page may be asked for, beside the address it listens on. "
        "Requests under any other name are refused (DNS rebinding).",
    )
    base_path: str = Field(
        default="",
        description="Path prefix behind a reverse proxy, such as /dropmill: starts with a slash, ends without one.",
    )
    trusted_proxies: tuple[str, ...] = Field(
        default=(),
        description="Addresses or networks of reverse proxies whose X-Forwarded-For and X-Forwarded-Proto are believed, "
        "such as 127.0.0.1 or 10.0.0.0/8; unix is whoever connects to the socket file.",
    )
    allowed_origins: tuple[str, ...] = Field(
        default=(),
        description="Origins such as https://app.example.com whose scripts may use the API (CORS). They need the token, if "
        "there is one; cookies do not count for them. None: scripts of other sites are refused.",
    )
    requests_per_second: Number = Field(
        default=200.0,
        ge=0,
        description="At most so many requests of one client in the long run, ten seconds' worth at once. What comes from this "
        "machine itself is not counted. 0: no limit.",
    )
    audit_file: PathText = Field(
        default="",
        description="Write what clients changed, or were refused to, there too, one JSON object a line, each synced to the disk.",
    )

    previews_mb: Whole = Field(
        default=2048,
        ge=16,
        description="Room that previews may take in state_dir, in MiB. Those that nobody looked at for longest go first, "
        "and are made anew when they are asked for.",
    )

    @field_validator("bind")
    @classmethod
    def _bind_parses(cls, value: str) -> str:
        parse_bind(value)
        return value

    @field_validator("socket_mode")
    @classmethod
    def _socket_bits(cls, value: str) -> str:
        if int(value, 8) > 0o777 or int(value, 8) & 0o600 != 0o600:
            raise Wrong(f"{value!r} does not suit a socket", "its owner needs to read and write, as in 0660 or 0666")
        return value

    @property
    def socket_mode_bits(self) -> int:
        return int(self.socket_mode, 8)

    @field_validator("base_path")
    @classmethod
    def _base_path_shape(cls, value: str) -> str:
        if value and not re.fullmatch(r"(/[A-Za-z0-9._~-]+)+", value):
            raise Wrong(f"{value!r} is no path prefix", "write it as /dropmill, without a slash at the end")
        return value

    @field_validator("allowed_hosts")
    @classmethod
    def _bare_hosts(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for host in value:
            if not re.fullmatch(r"[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\]", host):
                raise Wrong(f"{host!r} is no host name", "write the name alone, without scheme, port or path")
        return value

    @field_validator("trusted_proxies")
    @classmethod
    def _networks(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for text in value:
            try:
                wide = text != "unix" and ipaddress.ip_network(text).prefixlen == 0
            except ValueError:
                raise Wrong(
                    f"{text!r} is no address or network", "write it as 127.0.0.1, 10.0.0.0/8, fd00::/8 or unix"
                ) from None
            if wide:
                raise Wrong(f"{text!r} is everybody", "then any client could say what it likes; name the proxies")
        return value

    @field_validator("allowed_origins")
    @classmethod
    def _origins(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for origin in value:
            if not _ORIGIN.fullmatch(origin):
                raise Wrong(
                    f"{origin!r} is no origin", "write scheme, host and port as browsers do: https://app.example.com"
                )
        return value

    @property
    def address(self) -> TcpAddress | UnixAddress:
        return parse_bind(self.bind)

    def read_token(self) -> str:
        """The first line of ``token_file``, or empty where none is named. Raises ``ConfigurationError``."""
        return self.look_at_token()[0]

    def look_at_token(self) -> tuple[str, bool]:
        """The token, and whether everybody on this machine may read its file. Raises ``ConfigurationError``."""
        if not self.token_file:
            return "", False
        try:
            with open(self.token_file, encoding="utf-8") as file:
                exposed = bool(os.fstat(file.fileno()).st_mode & stat.S_IROTH)
                token = file.readline(MOST_TOKEN_CHARACTERS + 2).strip()
        except (OSError, UnicodeDecodeError) as error:
            why = error.strerror if isinstance(error, OSError) else "it is not text"
            raise ConfigurationError(
                f"the token file {self.token_file} cannot be read: {why}",
                hint="make it readable for the daemon's user, for instance mode 0640 with the daemon's group",
            ) from None
        if not token:
            raise ConfigurationError(
                f"the token file {self.token_file} is empty", hint="write one with `openssl rand -hex 32`"
            )
        if len(token) > MOST_TOKEN_CHARACTERS or not (token.isascii() and token.isprintable()):
            raise ConfigurationError(
                f"the token file {self.token_file} holds what cannot be sent in a header",
                hint=f"use up to {MOST_TOKEN_CHARACTERS} printable ASCII characters, as `openssl rand -hex 32` writes them",
            )
        return token, exposed
