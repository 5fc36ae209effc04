"""A million jobs cost a question no more than a thousand: by query plans and SQLite's own steps, not by the clock."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Callable, Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import apsw
import pytest

from dropmill.store import queue, times, views, webhooks
from dropmill.store.catalog import Catalog
from dropmill.store.connection import Session, connect
from old_catalogs import NOW_MS, old_catalog

URLS = ("hosts", "downloads", "lines")
TOLD = ("webhook_events", "deliveries", "tellings")
# Tables that grow with every picture, or with every URL.
ALIKE = ("holdings", "pairs", "evidence", "groups", "members", "judgements")
LARGE = (
    "jobs",
    "sources",
    "versions",
    "images",
    "publications",
    "disposals",
    "notices",
    "attempts",
    *URLS,
    *ALIKE,
    *TOLD,
)
# What may visit a whole table. Searching for a name in the middle of paths is a person's question, asked seldom; the
# newest ids of a page are read from the end of the table and stop at the limit.
MAY_SCAN = {
    "paths_named": "a person asks for a bare file name",
    "outputs_named": "a person asks for a bare file name",
    "jobs_page": "from the newest backwards, up to the limit",
    "job_newest": "one row",
    "publications_named": "a person asks for a file of the output",
    "jobs_discarded": "a person replays all",
    "hosts_bound_ready": "once at each start",
    "hosts_move_ready": "once where a person sets the clock",
    "image_put": "foreign keys, looked at only where an id changes",
    "root_put": "foreign keys, looked at only where an id changes",
    "host_meet": "foreign keys, looked at only where an id changes",
    "exports_renditions": "a person asks for everything",
    "lines_counted": "a person asks for a list in an inbox",
    **dict.fromkeys(
        ("forget_anchors", "forget_image", "forget_owed", "forget_publications", "forget_replaced"),
        "a person has one picture forgotten; foreign keys",
    ),
    "uncompared_put_between": "once where a person lowers the texture that is believed",
}
# Walks an index from its beginning up to the limit, or one that holds no more than is owed.
_BY_INDEX = re.compile(r"USING (COVERING )?(INDEX|INTEGER PRIMARY KEY)")


def statements() -> dict[str, str]:
    folder = files("dropmill.store") / "sql"
    return {
        entry.name.removesuffix(".sql"): entry.read_text("utf-8")
        for entry in folder.iterdir()
        if entry.name.endswith(".sql")
    }


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    path = old_catalog(tmp_path_factory.mktemp("state"), 1, jobs=6000)
    Catalog(str(path)).close()
    with contextlib.closing(connect(str(path))) as connection:
        yield Session(connection)


def plan(connection: apsw.Connection, text: str) -> list[str]:
    names = set(re.findall(r":([a-z_0-9]+)", re.sub(r"--[^\n]*", "", text)))
    values = {name: "[]" if name.endswith("s") and "ms" not in name else 1 for name in names}
    return [str(row[3]) for row in connection.execute(f"EXPLAIN QUERY PLAN {text}", values)]


@pytest.mark.parametrize("name", sorted(statements()))
def test_q08_no_statement_visits_a_whole_large_table(catalog: Session, name: str) -> None:
    details = plan(catalog.connection, statements()[name])
    aliases = dict(re.findall(r"\b(?:FROM|JOIN)\s+(\w+)\s+AS\s+(\w+)", statements()[name]))
    large = set(LARGE) | {alias for table, alias in aliases.items() if table in LARGE}
    scans = [line for line in details if line.startswith("SCAN ") and line.split()[1] in large]
    bad = [line for line in scans if not _BY_INDEX.search(line)]
    assert not bad or name in MAY_SCAN, details


def steps(session: Session, action: Callable[[Session], Any]) -> int:
    """How many instructions SQLite's machine takes for it."""
    visited = 0

    def count() -> bool:
        nonlocal visited
        visited += 1
        return False

    session.connection.set_progress_handler(count, 1)
    try:
        action(session)
    finally:
        session.connection.set_progress_handler(None)
    return visited


QUESTIONS: dict[str, Callable[[Session], Any]] = {
    "counts": views.counts,
    "waiting": lambda session: queue.any_waiting(session, ["camera"], NOW_MS),
    "page": lambda session: views.page(session, None, None, 50, None),
    "discarded page": lambda session: views.page(session, "discarded", None, 50, None),
    "page of an inbox": lambda session: views.page(session, None, "camera", 50, 900),
    "told": lambda session: views.told(session, range(1, 50)),
    "webhooks": lambda session: (
        webhooks.due(session, "app", NOW_MS),
        webhooks.next_due_ms(session, "app", NOW_MS),
        webhooks.fresh(session, "app", NOW_MS),
        webhooks.any_unwritten(session),
        webhooks.all_of(session),
    ),
    "next due": lambda session: session.value("jobs_next_due"),
    "of a digest": lambda session: views.of_sha256(session, "nowhere"),
    "digests beginning with": lambda session: views.sha256_beginning(session, "00", 2),
    "life": lambda session: views.life(session, 500),
    "newest": times.newest_job,
    "left": lambda session: session.value("jobs_hopeful", inboxes='["camera"]', patient=json.dumps(["disk-full"])),
}


@pytest.mark.parametrize("name", QUESTIONS)
def test_q08_a_question_takes_as_many_steps_of_a_large_catalog_as_of_a_small_one(tmp_path: Path, name: str) -> None:
    taken = []
    for jobs in (1200, 12_000):
        path = old_catalog(tmp_path / str(jobs), 1, jobs=jobs)
        Catalog(str(path)).close()
        with contextlib.closing(connect(str(path), readonly=True)) as connection:
            taken.append(steps(Session(connection), QUESTIONS[name]))
    assert taken[1] < taken[0] * 1.3 + 50


def claimed(session: Session) -> int:
    with session.connection:
        return len(queue.claim(session, "old", ["camera"], 4, idle=True, now_ms=NOW_MS))


def pruned(session: Session) -> int:
    with session.connection:
        return queue.prune(session, NOW_MS + 1, 100).looked_at


@pytest.mark.parametrize("action", [claimed, pruned])
def test_q14_a_claim_and_a_lot_of_pruning_do_not_grow_with_the_table(
    tmp_path: Path, action: Callable[[Session], int]
) -> None:
    taken = []
    for jobs in (1200, 12_000):
        path = old_catalog(tmp_path / str(jobs), 1, jobs=jobs)
        Catalog(str(path)).close()
        with contextlib.closing(connect(str(path))) as connection:
            session = Session(connection)
            done: list[int] = []
            taken.append(steps(session, lambda session, done=done: done.append(action(session))))
            assert done == [4 if action is claimed else 100]
    assert taken[1] < taken[0] * 1.3 + 50


def test_q14_counts_follow_every_change(tmp_path: Path) -> None:
    """Also those made with a conflict clause, which triggers inherit, and by forgetting rows."""
    path = old_catalog(tmp_path, 1, jobs=600)
    Catalog(str(path)).close()
    with contextlib.closing(connect(str(path))) as connection:
        session = Session(connection)

        def compare() -> None:
            real = connection.execute(
                "SELECT inbox, state, coalesce(outcome, ''), count(*) FROM jobs GROUP BY 1, 2, 3 ORDER BY 1, 2, 3"
            ).fetchall()
            kept = [tuple(row.values()) for row in session.all("job_counts")]
            assert sorted(kept) == real

        compare()
        duplicates = [row[0] for row in connection.execute("SELECT id FROM jobs WHERE outcome = 'duplicate'")]
        assert session.run("job_reopen", id=duplicates[0]) == 1
        compare()
        queue.claim(session, "old", ["camera"], 10, idle=True, now_ms=NOW_MS + 10 * 86_400_000)
        compare()
        assert session.run("job_cancel", id=duplicates[0], now_ms=0) == 1
        compare()
        lot = queue.prune(session, NOW_MS + 1, 50)
        forgotten = lot.forgotten
        while lot.looked_at:
            compare()
            lot = queue.prune(session, NOW_MS + 1, 50, lot.last)
            forgotten += lot.forgotten
        assert forgotten


def test_a_statement_is_planned_once_whatever_values_it_is_given(catalog: Session) -> None:
    """With plans that follow the values SQLite parses these at each run, which costs more than to run them."""
    planned: list[int] = []
    catalog.connection.trace_v2(
        apsw.SQLITE_TRACE_PROFILE,
        lambda event: planned.append(event["stmt_status"]["SQLITE_STMTSTATUS_REPREPARE"]),
    )
    try:
        for number in range(3):
            names = json.dumps([f"inbox-{number}"])
            catalog.all("publications_due", outputs=json.dumps([number]), now_ms=number, limit=10)
            catalog.all("disposals_due", inboxes=names, now_ms=number, limit=10)
            catalog.all("notices_due", inboxes=names, now_ms=number, limit=10)
            place = {"root_id": number, "rel": b"a.jpg", "sha256": f"{number}", "output_id": number}
            catalog.all("version_homes", **place)
    finally:
        catalog.connection.trace_v2(0)
    assert planned and not any(planned)
