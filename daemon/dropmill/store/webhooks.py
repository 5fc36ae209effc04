"""The outbox of webhooks: what is owed to whom, written by triggers in the transaction that decides a job."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from dropmill.model.webhook import Posted
from dropmill.store import views
from dropmill.store.connection import Row, Session

LOT: Final = 50
MOST_DEAD_TOLD: Final = 50
FORGET_LOT: Final = 500


@dataclass(frozen=True, slots=True)
class Wanted:
    """A configured webhook. ``digest`` changes with its configuration; ``wants``: pairs of inbox and type of event."""

    name: str
    digest: str
    wants: frozenset[tuple[str, str]]


def configure(session: Session, webhooks: Iterable[Wanted]) -> list[str]:
    """What is decided from now on is owed to these and no others. Returns those that are enabled again by a change."""
    session.run("webhooks_forget_configuration")
    session.run("webhook_wants_clear")
    again = []
    for webhook in webhooks:
        before = session.one("webhook_get", name=webhook.name)
        session.run("webhook_put", name=webhook.name, configuration=webhook.digest)
        changed = session.value("webhook_changed", name=webhook.name, configuration=webhook.digest) is not None
        if changed and before is not None and before["disabled_at_ms"] is not None:
            again.append(webhook.name)
        for inbox, kind in sorted(webhook.wants):
            session.run("webhook_want_put", inbox=inbox, type=kind, webhook=webhook.name)
    return again


@dataclass(frozen=True, slots=True)
class Event:
    id: int
    type: str
    job_id: int
    at_ms: int


def unwritten(session: Session, limit: int) -> list[Event]:
    """Events of which all can be said by now, up to ``limit``."""
    rows = session.all("webhook_events_unwritten", limit=limit)
    return [Event(row["id"], row["type"], row["job_id"], row["at_ms"]) for row in rows]


def any_left(session: Session) -> bool:
    """Whether anything is kept for anybody, be it one that is configured no more."""
    return bool(session.value("webhook_events_any"))


def any_unwritten(session: Session) -> bool:
    """Whether there is anything to ``write``."""
    return bool(unwritten(session, 1))


def write(session: Session, body_of: Callable[[Event, views.ToldJob], str]) -> int:
    """Write down what is to be sent, of a lot of events of which all can be said. Returns how many there were."""
    events = unwritten(session, LOT)
    jobs = {job.row["id"]: job for job in views.told(session, [event.job_id for event in events])}
    for event in events:
        session.run("webhook_event_write", id=event.id, body=body_of(event, jobs[event.job_id]))
    return len(events)


def forget(session: Session, before_ms: int) -> Counter[str]:
    """A lot of what nobody came for since then, and events of jobs that are no more.

    Returns how many of the lot were of which webhook. What is owed to one that is configured and enabled stays.
    """
    session.run("webhook_events_orphaned")
    rows = session.all("webhook_events_forget", before_ms=before_ms, limit=FORGET_LOT)
    return Counter(str(row["webhook"]) for row in rows)


@dataclass(frozen=True, slots=True)
class State:
    """``ready_at_ms``: until then it is left in peace."""

    disabled: bool
    failures: int
    ready_at_ms: int


@dataclass(frozen=True, slots=True)
class Delivery:
    """``attempts`` that were made before."""

    id: int
    attempts: int
    webhook_id: str
    type: str
    job_id: int
    body: bytes


def state(session: Session, name: str) -> State:
    row = session.one("webhook_get", name=name)
    if row is None:
        return State(False, 0, 0)
    return State(row["disabled_at_ms"] is not None, row["failures"], row["ready_at_ms"])


def due(session: Session, name: str, now_ms: int, limit: int = LOT) -> list[Delivery]:
    """What may be sent now, in the order in which it came about; what failed comes when its pause is over."""
    rows = session.all("deliveries_due", webhook=name, now_ms=now_ms, limit=limit)
    return [
        Delivery(row["id"], row["attempts"], row["webhook_id"], row["type"], row["job_id"], row["body"].encode())
        for row in rows
    ]


def fresh(session: Session, name: str, now_ms: int) -> bool:
    """Whether anything is owed to it that was never tried, what is not written down yet included."""
    return bool(session.value("deliveries_fresh", webhook=name, now_ms=now_ms))


def next_due_ms(session: Session, name: str, now_ms: int) -> int | None:
    """When the first of what is not due yet will be; None where there is nothing."""
    at_ms: int | None = session.value("deliveries_next_due", webhook=name, now_ms=now_ms)
    return at_ms


def delivered(session: Session, name: str, delivery: Delivery, now_ms: int) -> None:
    session.run("delivery_done", id=delivery.id)
    session.run("webhook_delivered", name=name, now_ms=now_ms)
    attempts = delivery.attempts + 1
    session.run(
        "telling_put", job_id=delivery.job_id, webhook=name, type=delivery.type, now_ms=now_ms, attempts=attempts
    )


def failed(
    session: Session,
    name: str,
    delivery: Delivery,
    posted: Posted,
    *,
    failures: int,
    ready_at_ms: int,
    next_at_ms: int | None,
    now_ms: int,
) -> None:
    """``next_at_ms`` None makes a dead letter of it."""
    word: Literal["owed", "dead"] = "dead" if next_at_ms is None else "owed"
    session.run(
        "delivery_later",
        id=delivery.id,
        attempts=delivery.attempts + 1,
        next_attempt_at_ms=next_at_ms or 0,
        now_ms=now_ms,
        state=word,
        **_how(posted),
        status=posted.status,
    )
    session.run("webhook_failed", name=name, failures=failures, ready_at_ms=ready_at_ms, **_how(posted))


def disable(session: Session, name: str, posted: Posted, now_ms: int) -> bool:
    """False where it is disabled already. What is owed to it stays."""
    return session.run("webhook_disable", name=name, now_ms=now_ms, **_how(posted)) == 1


def enable(session: Session, name: str) -> bool:
    """Also one that only rests is tried at once. False where it was not disabled."""
    before = session.one("webhook_get", name=name)
    session.run("webhook_enable", name=name)
    return before is not None and before["disabled_at_ms"] is not None


def retry(session: Session, name: str, now_ms: int) -> int:
    """Its dead letters are owed again, as if they had never been tried; returns how many."""
    return session.run("deliveries_retry", webhook=name, now_ms=now_ms)


def all_of(session: Session) -> Sequence[Row]:
    """Every webhook that is known, with how much waits for it and how many dead letters it has."""
    return session.all("webhooks_all")


def dead_letters(session: Session, name: str) -> Sequence[Row]:
    """The newest ones."""
    return session.all("deliveries_dead", webhook=name, limit=MOST_DEAD_TOLD)


def forget_dead(session: Session, name: str) -> int:
    """Its dead letters are never sent; returns how many there were."""
    return session.run("deliveries_forget_dead", webhook=name)


def forget_all(session: Session, name: str) -> int:
    """As ``forget_dead``, and what is owed to it: of one that is configured no more."""
    return session.run("deliveries_forget_owed", webhook=name) + forget_dead(session, name)


def _how(posted: Posted) -> dict[str, Any]:
    return {"reason": str(posted.reason or ""), "detail": posted.detail}
