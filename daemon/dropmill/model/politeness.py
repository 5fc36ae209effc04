"""What a host is owed: when it may be asked again, by how many at a time, and when it is given up. Pure."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Final, TypeGuard

from dropmill.model.attempt import PATIENT
from dropmill.model.backoff import backoff_seconds
from dropmill.model.download import Failed, FetchResult, Host
from dropmill.model.outcome import Reason

# With ``--once`` nobody waits a day for a host: so many failed probes, and its URLs are given up.
ONCE_PROBES: Final = 3
# No date in use is longer, and the parser of dates takes its time with what is.
_LONGEST_DATE: Final = 64
# More digits than these say more seconds than any cap has.
_MOST_DIGITS: Final = 12


@dataclass(frozen=True, slots=True)
class Rules:
    """``requests_per_second``: 0 for no limit. Times in seconds; ``max_rest_seconds`` caps every rest of a host."""

    per_host: int
    requests_per_second: float
    breaker_failures: int
    breaker_rest_seconds: float
    max_rest_seconds: float
    give_up_seconds: float
    retry_base_seconds: float
    retry_cap_seconds: float
    max_attempts: int


@dataclass(frozen=True, slots=True)
class Left:
    """URLs that wait, and of how many hosts; ``first_ms``: when the first of them may be asked for, or None for none."""

    hosts: int
    urls: int
    first_ms: int | None


def retry_after_seconds(value: str, now_ms: int, cap_seconds: float) -> float | None:
    """What a Retry-After header asks for, from 0 to the cap; None where it says nothing that can be followed (U10).

    Source: RFC 9110, section 10.2.3: a whole number of seconds, or a date in one of the three forms of section 5.6.7.
    """
    text = value.strip()
    if text.isascii() and text.isdigit():
        return cap_seconds if len(text) > _MOST_DIGITS else min(float(text), cap_seconds)
    if not text or len(text) > _LONGEST_DATE:
        return None
    try:
        date = parsedate_to_datetime(text)
        if date.tzinfo is None:
            date = date.replace(tzinfo=UTC)
        until_ms = date.timestamp() * 1000
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return min(max(0.0, (until_ms - now_ms) / 1000), cap_seconds)


def asks_for_rest(result: FetchResult) -> TypeGuard[Failed]:
    """Whether the host is well and wants to be asked less: 429, or anything that comes with a Retry-After."""
    if not isinstance(result, Failed) or result.elsewhere:
        return False
    return result.reason is Reason.HTTP_429 or result.retry_after_seconds is not None


def answered(result: FetchResult) -> bool:
    """Whether the host has shown that it is alive, be it by a refusal."""
    if not isinstance(result, Failed) or result.elsewhere:
        return True
    if result.blames_host and not asks_for_rest(result):
        return False
    return result.reason.startswith("http-") or (result.provenance is not None and result.provenance.status > 0)


def after(host: Host, result: FetchResult, now_ms: int, rules: Rules, chance: random.Random) -> Host:
    """What is remembered of a host once a request to it has ended.

    A rest is never cut short, not even by a success: that may have been asked for before the host wanted to be left
    alone. A failure that was begun before the circuit opened tells nothing new.
    """
    if asks_for_rest(result):
        least = backoff_seconds(1, rules.retry_base_seconds, rules.retry_cap_seconds, chance)
        rested = _rest(host, max(result.retry_after_seconds or 0.0, least), now_ms, rules)
        return replace(rested, failures=0, opened_at_ms=None, probes=0, detail=_detail(result))
    if isinstance(result, Failed) and result.blames_host:
        return _failed(host, result, now_ms, rules, chance)
    if answered(result):
        detail = host.detail if host.ready_at_ms > now_ms else ""
        return replace(host, failures=0, opened_at_ms=None, probes=0, detail=detail)
    return host


def _failed(host: Host, result: Failed, now_ms: int, rules: Rules, chance: random.Random) -> Host:
    failures = host.failures + 1
    if host.opened_at_ms is None:
        counted = replace(host, failures=failures, detail=_detail(result))
        if failures < rules.breaker_failures:
            return counted
        opened = replace(counted, opened_at_ms=now_ms, probes=0)
    elif now_ms < host.ready_at_ms:
        return host
    else:
        opened = replace(host, failures=failures, probes=host.probes + 1, detail=_detail(result))
    rest = backoff_seconds(opened.probes + 1, rules.breaker_rest_seconds, rules.max_rest_seconds, chance)
    return _rest(opened, rest, now_ms, rules)


def _rest(host: Host, seconds: float, now_ms: int, rules: Rules) -> Host:
    latest_ms = now_ms + int(rules.max_rest_seconds * 1000)
    return replace(host, ready_at_ms=min(max(host.ready_at_ms, now_ms + int(seconds * 1000)), latest_ms))


def _detail(result: Failed) -> str:
    return f"{result.reason}: {result.detail}" if result.detail else str(result.reason)


def most_at_once(host: Host, proven: bool, rules: Rules) -> int:
    """How many requests a host may have in flight: one until it has answered, and one while it fails.

    So one probe is what a host gets whose circuit was open, and a dead one never holds many connections (U14).
    """
    return rules.per_host if proven and not host.failures else 1


def given_up(host: Host, now_ms: int, rules: Rules, *, once: bool) -> bool:
    """Whether a host has been failing for so long that its URLs are discarded."""
    if host.opened_at_ms is None:
        return False
    return now_ms - host.opened_at_ms >= rules.give_up_seconds * 1000 or (once and host.probes >= ONCE_PROBES)


def after_giving_up(host: Host, rules: Rules) -> Host:
    """A URL that is added later is tried, and the first failure opens the circuit again."""
    return replace(host, opened_at_ms=None, probes=0, failures=max(1, rules.breaker_failures - 1))


def retry_seconds(attempts: int, failed: Failed, rules: Rules, chance: random.Random) -> float | None:
    """How long the URL waits for its next attempt; None where there is none. ``attempts`` counts the one that failed.

    Trouble that only waiting can end, as with a full disk, uses none up.
    """
    if failed.permanent or (attempts >= rules.max_attempts and failed.reason not in PATIENT):
        return None
    wait = backoff_seconds(max(1, attempts), rules.retry_base_seconds, rules.retry_cap_seconds, chance)
    # Whoever the host redirected to may ask for rest too; of its own rests ``after`` takes care.
    asked = min(failed.retry_after_seconds or 0.0, rules.max_rest_seconds) if failed.elsewhere else 0.0
    return max(wait, asked)
