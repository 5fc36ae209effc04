"""The whole configuration as one frozen value."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import Field
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, InitSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict

from dropmill.model.duplicates import Policy
from dropmill.model.resemblance import Tier
from dropmill.settings.dedupe import Dedupe
from dropmill.settings.downloads import Downloads
from dropmill.settings.dropfiles import Dropfile
from dropmill.settings.http import Http
from dropmill.settings.inboxes import Inbox
from dropmill.settings.keeper import Keeper
from dropmill.settings.net import Net
from dropmill.settings.presets import PROFILES
from dropmill.settings.profiles import Profile
from dropmill.settings.review import Review
from dropmill.settings.sections import IsPath, Log, Number, Output, PathText, Queue, Whole, Workers
from dropmill.settings.url_inboxes import UrlInbox, url_inboxes
from dropmill.settings.webhooks import Webhook

# Given instead of values, these two say "merge those layers, highest first, and tell me the result".
LAYERS = "_layers_"
MERGED = "_merged_"


class _Layer(PydanticBaseSettingsSource):
    """One layer of the configuration, already read."""

    def __init__(self, settings_cls: type[BaseSettings], data: Mapping[str, Any]) -> None:
        super().__init__(settings_cls)
        self._data = dict(data)

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        return self._data.get(field_name), field_name, False

    def __call__(self) -> dict[str, Any]:
        return self._data


class _Result(PydanticBaseSettingsSource):
    """The last source: adds nothing, and copies out what the others made together."""

    def __init__(self, settings_cls: type[BaseSettings], merged: dict[str, Any]) -> None:
        super().__init__(settings_cls)
        self._merged = merged

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        return None, field_name, False

    def __call__(self) -> dict[str, Any]:
        self._merged.update(copy.deepcopy(self.current_state))
        return {}


def _shipped_profiles() -> dict[str, Profile]:
    return {name: Profile.model_validate(profile) for name, profile in PROFILES.items()}


class Settings(BaseSettings):
    """Everything that can be configured. Built by ``load``; built directly, it reads no file and no environment."""

    model_config = SettingsConfigDict(frozen=True, extra="forbid", title="dropmill configuration")

    preset: Literal["", "web", "thumbs", "archive", "dataset", "seo", "fast"] = Field(
        default="", description="Shipped starting point for all inboxes; anything said in the file goes before it."
    )
    state_dir: PathText = Field(
        default="/var/lib/dropmill", min_length=1, description="Folder of the catalog and the queue; local disk only."
    )
    shutdown_timeout_seconds: Number = Field(
        default=25.0,
        gt=0,
        le=3600,
        description="How long running jobs may take to finish when the daemon is asked to stop.",
    )
    min_free_mb: Whole = Field(
        default=64,
        ge=0,
        description="Room to keep free beside the catalog and in every output and archive, in MiB; with less, "
        "nothing new is begun there until there is more. 0: work goes on until the disk is full.",
    )
    library_roots: Annotated[tuple[PathText, ...], IsPath()] = Field(
        default=(),
        description="Folders below which a running daemon may catalogue libraries and move files, as it is asked to over "
        "HTTP. `dropmill index` without a daemon takes any folder.",
    )
    http: Http = Field(default_factory=Http, description="The status page, the API, health and metrics.")
    log: Log = Field(default_factory=Log, description="What the daemon says about itself.")
    output: Output = Field(default_factory=Output, description="Permissions of what appears in output folders.")
    inboxes: tuple[Inbox, ...] = Field(default=(), description="The watched folders.")
    dropfiles: tuple[Dropfile, ...] = Field(default=(), description="The text files of URLs.")
    profiles: dict[str, Profile] = Field(
        default_factory=_shipped_profiles,
        description="Sets of renditions by name; shipped ones can be changed in part.",
    )
    workers: Workers = Field(default_factory=Workers, description="The processes that decode and render.")
    dedupe: Dedupe = Field(default_factory=Dedupe, description="What becomes of a picture that was seen before.")
    keeper: Keeper = Field(
        default_factory=Keeper, description="Which of several pictures that resemble each other is rather kept."
    )
    review: Review = Field(default_factory=Review, description="What the review of duplicates may do to files.")
    queue: Queue = Field(default_factory=Queue, description="How often and how long jobs are tried.")
    downloads: Downloads = Field(default_factory=Downloads, description="How URLs are fetched.")
    net: Net = Field(default_factory=Net, description="Which hosts, ports and networks downloads may reach.")
    webhooks: tuple[Webhook, ...] = Field(
        default=(), description="The applications that are told what became of pictures."
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        # The environment comes in as an argument of `load`, read with a name for each value: it is one of the layers.
        given = init_settings.init_kwargs if isinstance(init_settings, InitSettingsSource) else {}
        if LAYERS not in given:
            return (init_settings,)
        layers = (_Layer(settings_cls, data) for data in given[LAYERS])
        return (*layers, _Result(settings_cls, given[MERGED]))

    @classmethod
    def from_layers(cls, layers: Sequence[Mapping[str, Any]], merged: dict[str, Any]) -> Settings:
        """Merge the layers, highest first, into ``merged`` (filled even where it does not hold) and validate it.

        Raises pydantic's ``ValidationError``.
        """
        given: dict[str, Any] = {LAYERS: layers, MERGED: merged}
        return cls(**given)

    @property
    def url_inboxes(self) -> tuple[UrlInbox, ...]:
        """Those that hold downloads: one for each drop-file, one beside each inbox."""
        return url_inboxes(self)

    @property
    def every_inbox(self) -> tuple[Inbox, ...]:
        return (*self.inboxes, *self.url_inboxes)

    @property
    def tiers(self) -> frozenset[Tier]:
        """Those that are looked for: identical pictures, and what any inbox, or the library, does not leave off."""
        policies = [self.dedupe.policies()]
        policies += [self.dedupe.policies(item.dedupe, self.profiles[item.profile].dedupe) for item in self.every_inbox]
        wanted = {tier for each in policies for tier, policy in each.by_tier.items() if policy is not Policy.OFF}
        return frozenset({Tier.EXACT, *wanted})

    def inbox(self, name: str) -> Inbox:
        """Of either kind. Raises ``KeyError`` for a name that is not configured."""
        for inbox in self.every_inbox:
            if inbox.name == name:
                return inbox
        raise KeyError(name)
