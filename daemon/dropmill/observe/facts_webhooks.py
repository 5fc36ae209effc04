"""What is told of webhooks. Their names are those of the configuration."""

from __future__ import annotations

from dataclasses import dataclass

from dropmill.observe.fact import Fact


@dataclass(frozen=True, slots=True)
class WebhookDelivered(Fact):
    """``event``: its type. ``attempt`` counts from 1."""

    webhook: str
    event: str
    job_id: int
    attempt: int
    seconds: float


@dataclass(frozen=True, slots=True)
class WebhookFailed(Fact):
    """One attempt. ``after_seconds``: until the next one, None where it was the last."""

    webhook: str
    event: str
    job_id: int
    attempt: int
    reason: str
    detail: str
    after_seconds: float | None


@dataclass(frozen=True, slots=True)
class WebhookDisabled(Fact):
    """It said that it is gone for good (410). Nothing is sent to it until somebody enables it."""

    webhook: str
    detail: str


@dataclass(frozen=True, slots=True)
class WebhookEnabled(Fact):
    """``cause``: a person, or a changed configuration."""

    webhook: str
    cause: str


@dataclass(frozen=True, slots=True)
class WebhookForgot(Fact):
    """So many events that it could not be told are given up, as a person asked."""

    webhook: str
    events: int


@dataclass(frozen=True, slots=True)
class WebhookExpired(Fact):
    """So many events are given up because nobody came for them within the time for which they are kept."""

    webhook: str
    events: int


@dataclass(frozen=True, slots=True)
class WebhookRetried(Fact):
    """So many dead letters are owed again, as a person asked."""

    webhook: str
    letters: int
