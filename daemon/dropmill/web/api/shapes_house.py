"""What is told of the configuration, of what can be changed at runtime, and of the last day."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from dropmill.model.resemblance import Tier
from dropmill.web.api.common import Told
from dropmill.web.api.shapes import Instant, Shown


class Setting(Told):
    key: str = Field(description="With dots: `inboxes.0.path`.")
    value: Any = Field(description="Secrets and headers are withheld.")
    origin: str = Field(description="default, preset NAME, FILE:LINE, environment NAME or option --NAME.")
    secret: bool = Field(description="Whether the value, or a part of it, is withheld.")
    description: str = Field(description="What it is for.")


class Preference(Told):
    """A value that can be changed while the daemon runs."""

    name: str = Field(description="The key of the configuration that it goes before.")
    value: Any = Field(description="What is in force.")
    configured: Any = Field(description="What the configuration says.")
    changed: bool = Field(description="Whether another value than the configured one is in force.")
    changed_at: Instant | None = Field(
        description="Since when it goes before the configuration; null where it does not."
    )
    type: str = Field(description="int, float, bool or str.")
    minimum: float | None = Field(default=None, description="Smallest valid number, where there is one.")
    maximum: float | None = Field(default=None, description="Largest valid number, where there is one.")
    description: str = Field(description="What it is for.")


class Effective(Told):
    """The configuration in force."""

    file: str | None = Field(description="Where there is one; unprintable characters are escaped.")
    applied_at: Instant
    settings: list[Setting] = Field(description="Every value but those of shipped profiles that nobody uses.")
    preferences: list[Preference] = Field(description="What can be changed while the daemon runs.")


class PreferencesPreview(Told):
    """What other preferences would make of the groups."""

    groups_now: int = Field(description="As they are.")
    groups_then: int = Field(description="As they would be.")
    by_tier: dict[str, dict[str, int]] = Field(description="`now` and `then` of each tier.")
    images_now: int = Field(description="In any group.")
    images_then: int = Field(description="That would be in any group.")
    expected_false_pairs_now: float = Field(description="That would be as close by chance, in a library of this size.")
    expected_false_pairs_then: float = Field(description="The same for the other thresholds.")
    compared_anew: bool = Field(description="Whether more may be found once flat pictures have been compared.")
    pairs: int = Field(description="Pairs of pictures that were looked at.")
    complete: bool = Field(
        description="Whether these are all; if not, groups and images are counted among them alone, now as then."
    )


class OtherKeeper(Told):
    """A group in which other rules would keep another file."""

    group: int = Field(description="Its id.")
    tier: Tier = Field(description="That of the group.")
    keeper: int = Field(description="Id of the member that is kept now.")
    keeper_path: Shown
    instead: int = Field(description="Id of the member that would be kept.")
    instead_path: Shown
    reasons: list[str] = Field(description="Why.")


class KeeperPreview(Told):
    """What other rules would keep; nothing was changed."""

    groups: int = Field(
        description="That were looked at: as many open ones as could be in a few seconds, oldest first."
    )
    of: int = Field(description="Open groups.")
    changed: int = Field(description="In so many another file would be kept.")
    chosen: int = Field(description="In so many a person named the keeper, which no rule changes.")
    examples: list[OtherKeeper] = Field(description="At most 20.")


class Minute(Told):
    at: Instant
    published: int = Field(description="Jobs that ended in it with renditions.")
    duplicate: int = Field(description="Jobs that ended as duplicates.")
    unchanged: int = Field(description="Jobs of files that were known already.")
    discarded: int = Field(description="Jobs that cannot be processed.")
    other: int = Field(description="Jobs that were moved, or overtaken by a newer version.")
    retried: int = Field(description="Attempts that failed for a passing reason.")
    downloaded: int = Field(description="URLs that were fetched.")
    source_bytes: int = Field(description="Size of the originals of the jobs that ended.")
    waiting: int | None = Field(description="Jobs in the queue when it was looked at; null where it was not.")
    executing: int | None = Field(description="Jobs that were claimed then.")
    discarded_total: int | None = Field(description="Discarded jobs that there were then.")


class History(Told):
    """The last day, minute by minute; what happened before the daemon started is not in it."""

    started_at: Instant
    step_seconds: int = Field(description="How long a minute is: 60.")
    minutes: list[Minute] = Field(description="Oldest first. Minutes in which nothing happened are there, too.")
