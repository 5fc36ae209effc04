"""Webhooks: how each stands, what could not be told, and what a person can do about it."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from typing import Any, Final

from dropmill.control.describe import counted, iso
from dropmill.control.house import House
from dropmill.control.trials import Found
from dropmill.errors import ConfigurationError, NotFound
from dropmill.model.outcome import Reason
from dropmill.observe.facts import WebhookEnabled, WebhookRetried
from dropmill.settings import Settings, Webhook
from dropmill.store import webhooks
from dropmill.store.connection import Row, Session

Json = dict[str, Any]
_NAME_ITS_NETWORK: Final = 'if it is meant, name its network in allow_networks of the webhook, as in ["127.0.0.0/8"]'


async def all_of(house: House) -> list[Json]:
    """As ``Desk.webhooks``."""

    def read(session: Session) -> list[tuple[Row, list[Row]]]:
        return [(row, list(webhooks.dead_letters(session, row["name"]))) for row in webhooks.all_of(session)]

    found = await house.catalog.read(read)
    return [{**one, "letters": [_letter(row) for row in letters]} for one, letters in _told(house, found)]


async def at_a_glance(house: House) -> list[Json]:
    """Without the dead letters themselves: for status, health and metrics."""
    found = await house.catalog.read(lambda session: [(row, list[Row]()) for row in webhooks.all_of(session)])
    return [one for one, _ in _told(house, found)]


def _told(house: House, found: list[tuple[Row, list[Row]]]) -> Iterator[tuple[Json, list[Row]]]:
    """Those of the configuration in its order, then those that something is still owed to."""
    configured = {webhook.name: webhook for webhook in house.settings.webhooks}
    rows = {row["name"]: (row, letters) for row, letters in found}
    now_ms = house.clock.now_ms()
    for name in dict.fromkeys([*configured, *rows]):
        row, letters = rows.get(name, (_NEVER_RUN, []))
        if name in configured or row["waiting"] or row["dead"]:
            yield _one(name, configured.get(name), row, now_ms), letters


_NEVER_RUN: Row = dict.fromkeys(("failures", "ready_at_ms", "delivered", "waiting", "dead"), 0) | {
    "disabled_at_ms": None,
    "delivered_at_ms": None,
    "reason": "",
    "detail": "",
}


def _one(name: str, webhook: Webhook | None, row: Row, now_ms: int) -> Json:
    resting = row["ready_at_ms"] > now_ms
    state = "disabled" if row["disabled_at_ms"] is not None else "failing" if row["failures"] else "ok"
    return {
        "name": name,
        "url": webhook.url if webhook else None,
        "events": list(webhook.events) if webhook else [],
        "inboxes": list(webhook.inboxes) if webhook else [],
        "configured": webhook is not None,
        "state": state if webhook else "not configured",
        "disabled_at": iso(row["disabled_at_ms"]),
        "failures": row["failures"],
        "reason": row["reason"] or None,
        "detail": row["detail"],
        "next_attempt_at": iso(row["ready_at_ms"]) if resting and webhook else None,
        "waiting": row["waiting"],
        "dead_letters": row["dead"],
        "delivered": row["delivered"],
        "delivered_at": iso(row["delivered_at_ms"]),
        "remedy": _remedy(name, state, row["reason"], row["dead"])
        if webhook
        else "put it back into the configuration, or leave it",
    }


def _remedy(name: str, state: str, reason: str, dead: int) -> str:
    if state == "disabled":
        return f"correct its url, or take it out; if it is back: dropmill webhooks enable {name}"
    if dead:
        return f"once the receiver is well: dropmill webhooks retry {name}"
    if state == "failing" and reason == Reason.BLOCKED_ADDRESS:
        return _NAME_ITS_NETWORK
    if state == "failing":
        return f"look at the receiver; dropmill webhooks test {name} tries it; it is tried again by itself"
    return ""


def _letter(row: Row) -> Json:
    return {
        "id": row["webhook_id"],
        "type": row["type"],
        "job": row["job_id"],
        "at": iso(row["at_ms"]),
        "attempts": row["attempts"],
        "tried_at": iso(row["tried_at_ms"]),
        "status": row["status"] or None,
        "reason": row["reason"] or None,
        "detail": row["detail"],
    }


async def enable(house: House, name: str) -> Json:
    webhook = _configured(house, name)
    if await house.catalog.write(lambda session: webhooks.enable(session, webhook.name)):
        house.emit(WebhookEnabled(name, "a person"))
    return await _now(house, name)


async def retry(house: House, name: str) -> Json:
    webhook = _configured(house, name)
    now_ms = house.clock.now_ms()
    letters = await house.catalog.write(lambda session: webhooks.retry(session, webhook.name, now_ms))
    if letters:
        house.emit(WebhookRetried(name, letters))
    return {"webhook": name, "retried": letters}


async def trial(house: House, name: str) -> Json:
    """Sent from where this runs: by the daemon, or by the command where none does. Raises as ``Desk.test_webhook``."""
    from dropmill.fetch.bulletin import trial_body
    from dropmill.fetch.posting import open_poster  # Brings the HTTP libraries, which few commands need.

    webhook = _configured(house, name)
    poster = open_poster(webhook, house.settings, webhook.read_secrets(os.environ), house.clock)
    webhook_id = f"msg_{uuid.uuid4().hex}"
    try:
        posted = await poster.post(webhook_id, trial_body(name, house.clock.now_ms()).encode())
    finally:
        await poster.close()
    return {
        "webhook": name,
        "id": webhook_id,
        "delivered": posted.reason is None,
        "status": posted.status or None,
        "reason": posted.reason.value if posted.reason is not None else None,
        "detail": posted.detail,
        "remedy": _NAME_ITS_NETWORK if posted.reason is Reason.BLOCKED_ADDRESS else "",
        "seconds": round(posted.seconds, 3),
    }


async def _now(house: House, name: str) -> Json:
    return next(one for one in await all_of(house) if one["name"] == name)


def _configured(house: House, name: str) -> Webhook:
    for webhook in house.settings.webhooks:
        if webhook.name == name:
            return webhook
    known = ", ".join(webhook.name for webhook in house.settings.webhooks) or "none is configured"
    raise NotFound(f"there is no webhook {name!r}", hint=f"webhooks: {known}")


async def health(house: House) -> list[Json]:
    """Names no URL: anybody may ask."""
    parts = []
    for one in await at_a_glance(house):
        told = []
        if one["state"] == "disabled":
            told.append("disabled: it says that it is gone for good")
        elif one["state"] == "failing":
            told.append(f"failed {counted(one['failures'], 'time')} in a row ({one['reason']})")
        if one["dead_letters"]:
            told.append(counted(one["dead_letters"], "dead letter"))
        bad = bool(told) and one["configured"]
        if one["waiting"]:
            told.append(f"{one['waiting']:,} waiting")
        if one["configured"]:
            status = "degraded" if bad else "ok"
            parts.append(
                {
                    "name": f"webhook {one['name']}",
                    "status": status,
                    "detail": ", ".join(told),
                    "remedy": one["remedy"] if bad else "",
                }
            )
    return parts


def trials(settings: Settings) -> Iterator[Found]:
    """For ``dropmill check``: secrets, and hosts and addresses that the network policy forbids. Nothing is sent."""
    from dropmill.model.url import parse_url

    for index, webhook in enumerate(settings.webhooks):
        key = f"webhooks.{index}.{'secret_file' if webhook.secret_file else 'secret_variable'}"
        try:
            webhook.read_secrets(os.environ)
        except ConfigurationError as error:
            yield "error", key, error.public_message, error.hint
        verdict = webhook.policy(settings.net).judge_url(parse_url(webhook.url))
        if not verdict.allowed:
            what = f"{webhook.url} is not reached: {verdict.rule}"
            yield "error", f"webhooks.{index}.url", what, _NAME_ITS_NETWORK


def tried(settings: Settings) -> list[tuple[str, str]]:
    return [
        (f"webhooks.{index}.url", f"webhook {webhook.name} {webhook.url}: its secret is there, the policy allows it")
        for index, webhook in enumerate(settings.webhooks)
    ]
