"""What applications are told, how it is signed, and what follows from an attempt to tell it. Pure.

Source: Standard Webhooks, https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import random
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from dropmill.model.backoff import backoff_seconds
from dropmill.model.outcome import Reason

SECRET_PREFIX: Final = "whsec_"  # noqa: S105  # What a secret begins with is none.
LEAST_SECRET_BYTES: Final = 24
MOST_SECRET_BYTES: Final = 64
"""As the specification bounds them."""
LONGEST_REST_SECONDS: Final = 86_400.0
"""No Retry-After is followed beyond it."""
# One picture may be what a receiver stumbles over; so many in a row are the receiver's own trouble, whatever it answers.
_FAILURES_IN_A_ROW: Final = 5


class EventType(StrEnum):
    PUBLISHED = "image.published"
    DUPLICATE = "image.duplicate"
    DISCARDED = "image.discarded"


TEST_TYPE: Final = "webhook.test"
"""Of what ``dropmill webhooks test`` sends; never of a picture."""


def read_secret(text: str) -> bytes:
    """The key of a secret such as ``whsec_MfKQ…``. Raises ``ValueError`` with what is wrong, never with the secret."""
    if not text.startswith(SECRET_PREFIX):
        raise ValueError(f"it does not begin with {SECRET_PREFIX}")
    try:
        key = base64.b64decode(text.removeprefix(SECRET_PREFIX), validate=True)
    except ValueError:
        raise ValueError(f"what follows {SECRET_PREFIX} is not base64") from None
    if not LEAST_SECRET_BYTES <= len(key) <= MOST_SECRET_BYTES:
        raise ValueError(f"it has {len(key)} bytes, and {LEAST_SECRET_BYTES} to {MOST_SECRET_BYTES} are asked for")
    return key


def signatures(keys: Sequence[bytes], webhook_id: str, timestamp_seconds: int, body: bytes) -> str:
    """The header ``webhook-signature``: one for each key, so that a receiver may know either while they are rotated."""
    content = b".".join((webhook_id.encode(), str(timestamp_seconds).encode(), body))
    digests = (hmac.new(key, content, hashlib.sha256).digest() for key in keys)
    return " ".join(f"v1,{base64.b64encode(digest).decode()}" for digest in digests)


@dataclass(frozen=True, slots=True)
class Posted:
    """How one attempt ended. ``reason`` is None where the receiver took it; ``status`` is 0 where none came.

    ``blames_host``: nobody else's event would fare better. ``seconds``: how long it took.
    """

    status: int
    reason: Reason | None = None
    detail: str = ""
    retry_after_seconds: float | None = None
    blames_host: bool = False
    seconds: float = 0.0

    @property
    def gone(self) -> bool:
        """The receiver asks never to be told anything again."""
        return self.reason is Reason.HTTP_410


@dataclass(frozen=True, slots=True)
class Rules:
    """How often and how patiently it is tried."""

    max_attempts: int
    retry_base_seconds: float
    retry_cap_seconds: float


@dataclass(frozen=True, slots=True)
class Next:
    """What follows from a failure. ``after_seconds``: until this event is tried again, None where it never is.

    ``rest_seconds``: until the endpoint is asked for anything, 0 where it goes on.
    """

    after_seconds: float | None
    rest_seconds: float
    failures: int


def after_failure(posted: Posted, attempts: int, failures: int, rules: Rules, chance: random.Random) -> Next:
    """``attempts`` of the event count the one that failed; ``failures`` of the endpoint are those in a row before it.

    What its Retry-After asks for goes before our own shorter wait.
    """
    failures += 1
    asked = min(posted.retry_after_seconds or 0.0, LONGEST_REST_SECONDS)
    rest = asked
    if posted.blames_host or failures >= _FAILURES_IN_A_ROW:
        rest = max(asked, backoff_seconds(failures, rules.retry_base_seconds, rules.retry_cap_seconds, chance))
    if attempts >= rules.max_attempts:
        return Next(None, rest, failures)
    own = backoff_seconds(attempts, rules.retry_base_seconds, rules.retry_cap_seconds, chance)
    return Next(max(own, asked), rest, failures)
