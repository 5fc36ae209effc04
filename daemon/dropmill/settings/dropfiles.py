"""Drop-files: text files of URLs, each with its own settings."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import AfterValidator, Field, field_validator

from dropmill.settings.dedupe import TierPolicies
from dropmill.settings.inboxes import safe_name
from dropmill.settings.sections import IsPath, Number, PathText, Section, Whole, path_text
from dropmill.settings.template import Template

DEFAULT_NAMES: Final = "{sha256:2}/{sha256}-{rendition}.{ext}"
DISCARD: Final = "discard"
RESULTS_SUFFIX: Final = ".results.jsonl"


class Dropfile(Section):
    """A text file of URLs. Each line that is appended becomes one job."""

    name: str = Field(description="Short name, used in metrics, logs and commands. Unique, also among the inboxes.")
    path: PathText = Field(min_length=1, description="The text file, UTF-8. It need not be there yet.")
    output: PathText = Field(min_length=1, description="Where renditions appear.")
    profile: str = Field(
        default="web", description="Which renditions to make: a shipped profile or one of [profiles.…]."
    )
    originals: Annotated[str, AfterValidator(path_text), IsPath(but=DISCARD)] = Field(
        default=DISCARD,
        min_length=1,
        description='Folder for the downloads themselves, once they are published; "discard" keeps none.',
    )
    names: str = Field(default=DEFAULT_NAMES, description="Names in the output, with the fields of an inbox's names.")
    quarantine: PathText = Field(
        default="",
        description="Folder for downloads that begin like a picture and are broken, each with <name>.reason.json. Left "
        "out, they are deleted; so is always what is no picture by its first bytes, for it is not downloaded further.",
    )
    results: PathText = Field(
        default="",
        description="File that says what came of each line, in JSON lines. Left out: <path>.results.jsonl.",
    )
    dedupe: TierPolicies = Field(
        default_factory=TierPolicies, description="What becomes of its pictures that resemble earlier ones."
    )
    on_repeat: Literal["skip", "revalidate", "fetch"] = Field(
        default="skip",
        description="A line whose URL was fetched before: skip answers with what came of it then, revalidate asks the "
        "host whether it has changed, fetch fetches it anew.",
    )
    quiet_seconds: Number = Field(
        default=2.0,
        ge=0.1,
        le=3600,
        description="A last line without newline is taken when nothing about the file changed for that long; so is "
        "a file that was renamed away read on until then.",
    )
    poll_seconds: Number = Field(default=0.5, ge=0.01, le=3600, description="How often the file is looked at.")
    receipts: bool = Field(default=False, description="Write <stem>.json beside the renditions, last of all.")
    priority: Whole = Field(default=3, ge=1, le=5, description="Of its jobs, 5 is most urgent. Waiting raises it.")
    label: str = Field(default="", description="Label of the lines that give none.")

    @field_validator("name")
    @classmethod
    def _safe_name(cls, value: str) -> str:
        return safe_name(value, "a drop-file")

    @field_validator("names")
    @classmethod
    def _names_parse(cls, value: str) -> str:
        Template.parse(value)
        return value

    @property
    def originals_folder(self) -> str:
        """Empty where originals are discarded."""
        return "" if self.originals == DISCARD else self.originals

    @property
    def results_path(self) -> str:
        return self.results or self.path + RESULTS_SUFFIX

    @property
    def template(self) -> Template:
        """The parsed ``names``."""
        return Template.parse(self.names)
