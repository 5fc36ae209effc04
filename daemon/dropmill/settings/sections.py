"""The sections that each part of the daemon gets, and nothing else: frozen, complete, validated.

The field descriptions are the documentation: the JSON Schema carries them into editors, and a test holds
config/dropmill.example.toml against them.
"""

from __future__ import annotations

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


def not_bool(value: Any) -> Any:
    """``value``, unless it is true or false; raises ``Wrong``."""
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
Whole = Annotated[int, BeforeValidator(not_bool)]
Number = Annotated[float, BeforeValidator(not_bool), Field(allow_inf_nan=False)]


class Log(Section):
    """What the daemon says about itself."""

    level: Literal["debug", "info", "warning", "error"] = Field(
        default="info",
        description="Least severity that is written. Not set, `dropmill run --once` in a pipe or script logs warnings only.",
    )
    format: Literal["auto", "json", "console", "journald"] = Field(
        default="auto",
        description="json is one object a line; console is for eyes; journald writes entries with fields such as DROPMILL_JOB_ID. "
        "auto: console on a terminal, journald where standard error leads into the journal and the extra is installed, else json.",
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
