"""Inboxes: watched folders, each with its own settings."""

from __future__ import annotations

import re
from typing import Any, Final, Literal

from pydantic import Field, field_validator, model_validator

from dropmill.model.extensions import IMAGE_EXTENSIONS, RAW_EXTENSIONS
from dropmill.model.names import junk
from dropmill.settings.dedupe import TierPolicies
from dropmill.settings.findings import Wrong
from dropmill.settings.sections import Number, PathText, Section, Whole
from dropmill.settings.template import DEFAULT_NAMES, Template

COMPANIONS: Final = ("xmp", "aae", "dop", "pp3", "mov", *sorted(raw.decode()[1:] for raw in RAW_EXTENSIONS))
_IMAGES: Final = frozenset(extension.decode()[1:] for extension in IMAGE_EXTENSIONS)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


def safe_name(value: str, what: str) -> str:
    """``value`` if it may name an inbox or a drop-file; raises ``Wrong``."""
    if not _NAME.fullmatch(value):
        raise Wrong(
            f"{value!r} is no name for {what}",
            "use up to 64 letters, digits, dots, dashes and underscores, a letter or digit first",
        )
    return value


class Inbox(Section):
    """A watched folder. A file is moved only where a folder to move it to is named here."""

    name: str = Field(description="Short name, used in metrics, logs and commands. Unique.")
    path: PathText = Field(min_length=1, description="The folder to watch.")
    output: PathText = Field(min_length=1, description="Where renditions appear.")
    profile: str = Field(
        default="web", description="Which renditions to make: a shipped profile or one of [profiles.…]."
    )
    settle_seconds: Number = Field(
        default=2.0, ge=0, le=3600, description="A file is complete when nothing about it changed for that long."
    )
    settle_max_seconds: Number = Field(
        default=0.0,
        ge=0,
        le=3600,
        description="Where files keep changing after settle_seconds, as a scanner's that adds page after page, the inbox "
        "waits longer, up to this; it relaxes after ten minutes without. 0 means five times settle_seconds, and at "
        "settle_seconds or less it never adapts.",
    )
    incomplete_timeout_seconds: Number = Field(
        default=20.0,
        ge=0,
        le=86400,
        description="How long to wait, after the last change, for a file that is empty, that ends before its format says, "
        "or that somebody still has open for writing. Then it is judged as it is.",
    )
    done_suffix: str = Field(
        default="",
        description='With ".done" a picture is taken only once a.jpg.done or a.done is beside a.jpg, however long that '
        "takes. A done-file is a companion: it moves with its picture, and stays where the picture stays or is deleted.",
    )
    recursive: bool = Field(
        default=True, description="Whether folders inside are watched too; they are kept in the output."
    )
    watch: Literal["auto", "events", "poll"] = Field(
        default="auto", description="auto polls where the file system tells nobody of changes (nfs, cifs, fuse, …)."
    )
    poll_seconds: Number = Field(default=2.0, gt=0, le=86400, description="Interval of polling, where polling is done.")
    reconcile_seconds: Number = Field(
        default=300.0,
        gt=0,
        le=604800,
        description="Interval of full scans that find what the watcher missed; varied a little.",
    )
    on_success: Literal["archive", "keep", "delete"] = Field(
        default="keep",
        description="What becomes of a published original. Left out: archive where an archive is named, else keep.",
    )
    archive: PathText = Field(default="", description="Folder for published originals.")
    on_duplicate: Literal["keep", "move", "delete"] = Field(
        default="keep",
        description="What becomes of an original that was seen before. Left out: move where duplicates is named, else keep.",
    )
    duplicates: PathText = Field(default="", description="Folder for originals that were seen before.")
    quarantine: PathText = Field(
        default="",
        description="Folder for broken originals, each with <name>.reason.json. Left out, they stay where they are.",
    )
    on_source_changed: Literal["replace", "version"] = Field(
        default="replace",
        description="New bytes under a known name in a kept inbox: replace swaps its renditions, version adds new ones.",
    )
    on_source_deleted: Literal["keep", "remove"] = Field(
        default="keep", description="Whether renditions of a kept original go when the original is deleted."
    )
    on_unsupported: Literal["ignore", "quarantine"] = Field(
        default="ignore", description="Known kinds that are never published (camera RAW, PSD, SVG, PDF, video)."
    )
    hard_links: Literal["own", "any"] = Field(
        default="own", description="own refuses hard links to files of owners other than the folder's and the daemon's."
    )
    urls: bool = Field(
        default=False,
        description="Whether files named *.urls are lists of URLs, taken as the lines of a drop-file are; what came of "
        "them is told beside them, in <name>.urls.results.jsonl.",
    )
    ignore: tuple[str, ...] = Field(
        default=(),
        description="Further names to ignore, as patterns: *.bak matches names, raw/* matches paths inside the inbox.",
    )
    companions: tuple[str, ...] = Field(
        default=COMPANIONS,
        description="Extensions of files that are no jobs and travel with the picture of the same name.",
    )
    dedupe: TierPolicies = Field(
        default_factory=TierPolicies, description="What becomes of pictures here that resemble earlier ones."
    )
    names: str = Field(
        default=DEFAULT_NAMES,
        description="Names in the output. Fields: {dir} {stem} {rendition} {ext} {sha256} {sha256:2} {inbox} {label} "
        "{line} {date} {date:%Y/%m} (EXIF; 'undated' where there is none).",
    )
    receipts: bool = Field(default=False, description="Write <stem>.json beside the renditions, last of all.")
    priority: Whole = Field(default=3, ge=1, le=5, description="Of its jobs, 5 is most urgent. Waiting raises it.")
    label: str = Field(
        default="", description="Label of everything from here; empty takes the folders inside the inbox."
    )

    @model_validator(mode="before")
    @classmethod
    def _named_folders_are_used(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        implied = {}
        if data.get("archive"):
            implied["on_success"] = "archive"
        if data.get("duplicates"):
            implied["on_duplicate"] = "move"
        return {**implied, **data}

    @field_validator("name")
    @classmethod
    def _safe_name(cls, value: str) -> str:
        return safe_name(value, "an inbox")

    @field_validator("names")
    @classmethod
    def _names_parse(cls, value: str) -> str:
        Template.parse(value)
        return value

    @field_validator("ignore")
    @classmethod
    def _patterns(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for pattern in value:
            if not pattern or pattern.startswith("/"):
                raise Wrong(f"{pattern!r} matches nothing", "patterns are relative to the inbox, as in *.bak or raw/*")
        return value

    @field_validator("companions")
    @classmethod
    def _extensions(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        extensions = tuple(extension.removeprefix(".").lower() for extension in value)
        for extension in extensions:
            if not re.fullmatch(r"[a-z0-9_-]+", extension):
                raise Wrong(f"{extension!r} is no extension", 'write it as "xmp"')
            if extension in _IMAGES:
                raise Wrong(f"{extension!r} is a picture itself", "it would never be processed; take it out")
        return extensions

    @field_validator("done_suffix")
    @classmethod
    def _suffix(cls, value: str) -> str:
        if value and not re.fullmatch(r"\.[A-Za-z0-9_-]{1,18}", value):
            raise Wrong(f"{value!r} is no suffix", 'write it as ".done": a dot, then up to 18 letters or digits')
        if value[1:].lower() in _IMAGES:
            raise Wrong(f"{value!r} is the end of a picture's name", 'choose another, such as ".done"')
        if junk(f"a{value}".encode()):
            raise Wrong(
                f"{value!r} ends the names of files that are never looked at", 'choose another, such as ".done"'
            )
        return value

    @property
    def longest_settle_seconds(self) -> float:
        return self.settle_max_seconds or 5 * self.settle_seconds

    @property
    def travelling(self) -> tuple[str, ...]:
        """Extensions of what moves with a picture: its companions and its done-file."""
        done = self.done_suffix[1:].lower()
        return self.companions if not done or done in self.companions else (*self.companions, done)

    @property
    def template(self) -> Template:
        """The parsed ``names``."""
        return Template.parse(self.names)
