"""Moving what waits for a time, after the system clock was set."""

from __future__ import annotations

from dropmill.store.connection import Session

_MOVING = (
    "jobs_move_due",
    "publications_move_due",
    "disposals_move_due",
    "notices_move_due",
    "hosts_move_ready",
    "deliveries_move_due",
    "webhooks_move_ready",
)


def move(session: Session, by_ms: int) -> None:
    """Everything that waits for its next attempt comes so much later (earlier where negative)."""
    for name in _MOVING:
        session.run(name, by_ms=by_ms)


def bound(
    session: Session, jobs_latest_ms: int, fetches_latest_ms: int, owed_latest_ms: int, told_latest_ms: int
) -> None:
    """No job, nothing that is owed, and nothing that applications are to be told waits for longer than until then."""
    session.run("jobs_bound_due", latest_ms=jobs_latest_ms, phase="process")
    session.run("jobs_bound_due", latest_ms=fetches_latest_ms, phase="fetch")
    for name in ("publications_bound_due", "disposals_bound_due", "notices_bound_due"):
        session.run(name, latest_ms=owed_latest_ms)
    for name in ("deliveries_bound_due", "webhooks_bound_ready"):
        session.run(name, latest_ms=told_latest_ms)


def newest_job(session: Session) -> int:
    return session.value("job_newest") or 0


def move_ranks(session: Session, first_id: int, last_id: int, by_ms: int) -> None:
    """Waiting jobs of these ids keep their order and come so much later in the queue."""
    session.run("jobs_move_rank", first_id=first_id, last_id=last_id, by_ms=by_ms)
