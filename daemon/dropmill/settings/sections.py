"""The sections that each part of the daemon gets, and nothing else: frozen, complete, validated.

The field descriptions are the documentation: the JSON Schema carries them into editors, and a test holds
config/dropmill.example.toml against them.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, field_validator

from dropmill.errors import ConfigurationError
from dropmill.model.image import Limits
from dropmill.settings.findings import Wrong


class Section(BaseModel):
    """Base of all sections: frozen, and unknown keys are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid")


@dataclass(frozen=True, slots=True)
class IsPath:
    """Marks a field whose relative value is taken from the folder of its file (or from the working directory).

    ``but``: a word that stands for itself.
    """

    but: str = ""


def _not_bool(value: Any) -> Any:
    if isinstance(value, bool):
        raise Wrong(f"must be a number, not {str(value).lower()}")
    return value


def path_text(value: str) -> str:
    """``value`` if it may be a path in a configuration; raises ``Wrong``."""
    if value.startswith("~"):
        raise Wrong(f"{value!r}: ~ is not expanded", "write the whole path; the daemon may run as another user")
    if any(ord(char) < 32 for char in value):
        raise Wrong(f"{value!r} has a control character", "take it out")
    return value


PathText = Annotated[str, AfterValidator(path_text), IsPath()]
# Python counts True as 1; a reader of the configuration does not.
Whole = Annotated[int, BeforeValidator(_not_bool)]
Number = Annotated[float, BeforeValidator(_not_bool), Field(allow_inf_nan=False)]


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
    token_file: PathText = Field(
        default="",
        description="File whose first line is the access token. With one, everything but health and metrics needs it.",
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

    @property
    def address(self) -> TcpAddress | UnixAddress:
        return parse_bind(self.bind)

    def read_token(self) -> str:
        """The first line of ``token_file``, or empty where none is named. Raises ``ConfigurationError``."""
        if not self.token_file:
            return ""
        try:
            with open(self.token_file, encoding="utf-8") as file:
                token = file.readline(4096).strip()
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
        return token


class Log(Section):
    """What the daemon says about itself."""

    level: Literal["debug", "info", "warning", "error"] = Field(
        default="info",
        description="Least severity that is written. Not set, `dropmill run --once` in a pipe or script logs warnings only.",
    )
    format: Literal["auto", "json", "console", "journald"] = Field(
        default="auto",
        description="json is one object a line; console is for eyes; journald has structured fields. "
        "auto: console on a terminal, journald under systemd where the extra is installed, else json.",
    )
    file: PathText = Field(default="", description="Write there instead of standard error.")


def _octal(value: Any) -> Any:
    if isinstance(value, int):
        # YAML and TOML turn 0644 and 0o644 into numbers of which nobody can say what was meant.
        raise Wrong("must be text, not a number", 'write it in quotes, as in "0644"')
    return value


Octal = Annotated[str, BeforeValidator(_octal), Field(pattern=r"^[0-7]{3,4}$")]


class Output(Section):
    """Permissions of what appears in output folders, whatever the umask."""

    mode: Octal = Field(default="0644", description="Permission bits of renditions and receipts, octal in quotes.")
    dir_mode: Octal = Field(
        default="0755", description="Permission bits of the folders that dropmill makes, octal in quotes."
    )
    group: str = Field(
        default="", description="Group of renditions and folders, by name or number; empty leaves it alone."
    )

    @field_validator("mode")
    @classmethod
    def _file_bits(cls, value: str) -> str:
        if int(value, 8) > 0o777 or not int(value, 8) & 0o400:
            raise Wrong(
                f"{value!r} does not suit a file", "the owner must be able to read it, as in 0644, 0640 or 0600"
            )
        return value

    @field_validator("dir_mode")
    @classmethod
    def _dir_bits(cls, value: str) -> str:
        if int(value, 8) & 0o700 != 0o700:
            raise Wrong(f"{value!r} locks the daemon out", "the owner needs all three bits, as in 0755, 2775 or 0700")
        return value

    @property
    def mode_bits(self) -> int:
        return int(self.mode, 8)

    @property
    def dir_mode_bits(self) -> int:
        return int(self.dir_mode, 8)

    def gid(self) -> int:
        """The number of ``group``, -1 where none is named. Raises ``ConfigurationError`` for an unknown name."""
        if not self.group:
            return -1
        if self.group.isdecimal():
            return int(self.group)
        import grp  # Only asked for where a group is named.

        try:
            return grp.getgrnam(self.group).gr_gid
        except KeyError:
            raise ConfigurationError(
                f"output.group: there is no group {self.group!r}", hint=f"create it with `groupadd {self.group}`"
            ) from None


_LIMITS = Limits()


class Workers(Section):
    """The processes that decode and render, and what one job may cost."""

    processes: Whole = Field(
        default=0,
        ge=0,
        le=1024,
        description="How many. 0: as many as the CPUs, the control group's CPU quota and its memory allow.",
    )
    job_timeout_seconds: Number = Field(
        default=60.0,
        gt=0,
        description="Base of each job's deadline; waiting for a free worker or for memory does not count.",
    )
    timeout_per_megabyte_seconds: Number = Field(
        default=0.5, ge=0, description="Added to the deadline for each megabyte (10^6 bytes) of the file."
    )
    timeout_per_megapixel_seconds: Number = Field(
        default=0.5,
        ge=0,
        description="Added to the deadline for each megapixel (10^6) that is decoded, in all pages and frames.",
    )
    timeout_per_rendition_seconds: Number = Field(
        default=0.2,
        ge=0,
        description="Added to the deadline for each rendition, of each page, that is made: all are synced to the disk.",
    )
    memory_limit_mb: Whole = Field(
        default=1024,
        ge=64,
        description="Memory that one worker may take for its job, in MiB, beyond what it starts with. "
        "A picture that needs more is streamed where libvips is installed and can, or else waits for room.",
    )
    memory_total_mb: Whole = Field(
        default=0,
        ge=0,
        description="Memory that the pictures in all workers may take together, in MiB; one that finds no room waits. "
        "0: three quarters of what is free at the start, within the control group's limit.",
    )
    max_pixels: Whole = Field(
        default=_LIMITS.max_pixels, ge=1, description="Largest picture, width x height x frames that would be decoded."
    )
    max_bytes: Whole = Field(default=_LIMITS.max_bytes, ge=1, description="Largest file.")
    min_bytes: Whole = Field(
        default=_LIMITS.min_bytes, ge=0, description="Smallest file; anything less is discarded as too small."
    )
    max_frames: Whole = Field(
        default=_LIMITS.max_frames, ge=1, description="Most frames of an animation or pages of a document."
    )
    idle_seconds: Number = Field(default=60.0, gt=0, description="A worker without work for that long goes away.")

    def limits(self) -> Limits:
        return Limits(
            max_pixels=self.max_pixels, max_bytes=self.max_bytes, min_bytes=self.min_bytes, max_frames=self.max_frames
        )


class Queue(Section):
    """How often and how long jobs are tried, and how long finished ones are remembered."""

    max_attempts: Whole = Field(
        default=5,
        ge=1,
        le=1000,
        description="After that many failed attempts, crashes of the worker included, it is discarded.",
    )
    max_interruptions: Whole = Field(
        default=20,
        ge=1,
        le=1000,
        description="How often the daemon may go down under a job before the job is discarded.",
    )
    retry_base_seconds: Number = Field(
        default=2.0, gt=0, description="Wait before the second attempt; doubles each time."
    )
    retry_cap_seconds: Number = Field(default=300.0, gt=0, description="Longest wait between two attempts.")
    retention_days: Number = Field(
        default=30.0,
        ge=0,
        description="Finished jobs are kept that long, those of pictures that stand or are given up for ever; so is what "
        "has been seen.",
    )
    high_water_jobs: Whole = Field(
        default=1_000_000,
        ge=1,
        description="With that many jobs of an inbox waiting, no further files are looked for in it until a tenth of "
        "them is done; meanwhile they wait in their folder.",
    )
