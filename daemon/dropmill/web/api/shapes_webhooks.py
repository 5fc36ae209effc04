"""What is told of webhooks."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from dropmill.web.api.common import Told
from dropmill.web.api.shapes import Instant


class Letter(Told):
    """An event that a webhook could not be told, however often it was tried."""

    id: str = Field(description="The `webhook-id` with which it was, and would be, sent.")
    type: str = Field(description="image.published, image.duplicate or image.discarded.")
    job: int = Field(description="Of which it tells.")
    at: Instant
    attempts: int = Field(description="How often it was tried.")
    tried_at: str | None = Field(description="UTC, of the latest attempt.")
    status: int | None = Field(description="What was answered; null where nothing was.")
    reason: str | None = Field(description="Stable code.")
    detail: str = Field(description="The same in words.")


class Webhook(Told):
    """An application that is told what became of pictures."""

    name: str = Field(description="As the configuration calls it.")
    url: str | None = Field(description="Null where it is not configured any more.")
    events: list[str] = Field(description="What it is told of.")
    inboxes: list[str] = Field(description="Of which inboxes and drop-files; empty for all.")
    configured: bool = Field(description="Whether it is in the configuration.")
    state: Literal["ok", "failing", "disabled", "not configured"] = Field(
        description="failing: its latest attempts failed; disabled: it answered 410."
    )
    disabled_at: str | None = Field(description="UTC; null where it is not.")
    failures: int = Field(description="In a row.")
    reason: str | None = Field(description="Stable code of the latest failure.")
    detail: str = Field(description="The same in words.")
    next_attempt_at: str | None = Field(description="UTC; until then it is left in peace.")
    waiting: int = Field(description="Events that it is still to be told.")
    dead_letters: int = Field(description="Events that it could not be told.")
    delivered: int = Field(description="Events that it was told since it was first configured.")
    delivered_at: str | None = Field(description="UTC, of the latest one.")
    remedy: str = Field(description="What can be done about it.")
    letters: list[Letter] = Field(description="The newest 50 dead letters.")


class Resent(Told):
    webhook: str = Field(description="Its name.")
    retried: int = Field(description="Dead letters that are sent again.")


class Forgotten(Told):
    webhook: str = Field(description="Its name.")
    forgotten: int = Field(
        description="Dead letters; of one that is not configured any more, what it was still to be told too."
    )


class Tested(Told):
    """What came of a signed test event."""

    webhook: str = Field(description="Its name.")
    id: str = Field(description="The `webhook-id` that was sent.")
    delivered: bool = Field(description="Whether it was answered with a status from 200 to 299.")
    status: int | None = Field(description="What was answered; null where nothing was.")
    reason: str | None = Field(description="Stable code of what went wrong.")
    detail: str = Field(description="The same in words.")
    remedy: str = Field(description="What can be done about it; empty where there is nothing.")
    seconds: float = Field(description="How long it took.")
