"""Webhooks: how each stands, what could not be told, and what a person can do about it."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from typing import Any, Final

from dropmill.control.describe import counted, iso
from dropmill.control.doctor.finding import Found
from dropmill.control.house import House
from dropmill.errors import ConfigurationError, NotFound
from dropmill.model.outcome import Reason
from dropmill.model.webhook import Posted
from dropmill.observe.facts import WebhookEnabled, WebhookForgot, WebhookRetried
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
        else f"put it back into the configuration, or let it go: dropmill webhooks forget {name}",
    }


def _remedy(name: str, state: str, reason: str, dead: int) -> str:
    if state == "disabled":
        return f"correct its url, or take it out; if it is back: dropmill webhooks enable {name}"
    if dead:
        return f"once the receiver is well: dropmill webhooks retry {name}; or let them go: dropmill webhooks forget {name}"
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
    _wake(house, name)
    return await _now(house, name)


async def retry(house: House, name: str) -> Json:
    webhook = _configured(house, name)
    now_ms = house.clock.now_ms()
    letters = await house.catalog.write(lambda session: webhooks.retry(session, webhook.name, now_ms))
    if letters:
        house.emit(WebhookRetried(name, letters))
    _wake(house, name)
    return {"webhook": name, "retried": letters}


async def forget(house: House, name: str) -> Json:
    """Dead letters; of one that is configured no more, also what is owed to it."""
    known = {webhook.name for webhook in house.settings.webhooks}
    gone = name not in known and any(one["name"] == name for one in await at_a_glance(house))
    if not gone:
        _configured(house, name)
    action = webhooks.forget_all if gone else webhooks.forget_dead
    letters = await house.catalog.write(lambda session: action(session, name))
    if letters:
        house.emit(WebhookForgot(name, letters))
    return {"webhook": name, "forgotten": letters}


def _wake(house: House, name: str) -> None:
    if house.live is not None:
        house.live.mail.wake(name)


async def trial(house: House, name: str) -> Json:
    """Sent as its events are: by the daemon, with the secrets that are in force; by the command where none runs.

    Raises as ``Desk.test_webhook``.
    """
    from dropmill.fetch.bulletin import trial_body  # Brings the HTTP libraries, which few commands need.

    webhook = _configured(house, name)
    webhook_id, body = f"msg_{uuid.uuid4().hex}", trial_body(name, house.clock.now_ms()).encode()
    if house.live is not None:
        posted = await house.live.mail.post(name, webhook_id, body)
    else:
        posted = await _post_alone(house, webhook, webhook_id, body)
    remedy = _NAME_ITS_NETWORK if posted.reason is Reason.BLOCKED_ADDRESS else _another_secret(house, webhook)
    return {
        "webhook": name,
        "id": webhook_id,
        "delivered": posted.reason is None,
        "status": posted.status or None,
        "reason": posted.reason.value if posted.reason is not None else None,
        "detail": posted.detail,
        "remedy": remedy,
        "seconds": round(posted.seconds, 3),
    }


async def _post_alone(house: House, webhook: Webhook, webhook_id: str, body: bytes) -> Posted:
    from dropmill.fetch.posting import open_poster

    poster = open_poster(webhook, house.settings, webhook.read_secrets(os.environ), house.clock)
    try:
        return await poster.post(webhook_id, body)
    finally:
        await poster.close()


def _another_secret(house: House, webhook: Webhook) -> str:
    """Where the secrets have changed since the configuration was applied."""
    if house.live is None:
        return ""
    try:
        same = tuple(house.live.mail.keys(webhook.name)) == webhook.read_secrets(os.environ)
    except ConfigurationError as error:
        return f"the earlier secret stays in force: {error.public_message}"
    return "" if same else "its secret was changed, and the earlier one is still in force; then: dropmill reload"


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
