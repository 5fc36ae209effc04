"""What the catalog does not let happen: an answer before COMMIT, a late worker's word, a wait that a set clock changes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import apsw
import pytest

from bench.cycles import INBOX
from dropmill.errors import StateError
from dropmill.files.naming import name_for
from dropmill.model.file import Signature
from dropmill.model.fingerprint import Content, Looks
from dropmill.model.image import Picture
from dropmill.model.inbox import Inbox, Root
from dropmill.model.job import FoundBy, Job, NewJob
from dropmill.model.outcome import Outcome, Reason
from dropmill.model.verdict import Decided
from dropmill.model.work import Processed, Rendered
from dropmill.store import boot, decisions, owed, queue, times
from dropmill.store.catalog import Catalog, catalog_path
from dropmill.store.connection import Session, Writer, connect
from dropmill.store.engine import CatalogDecisions

pytestmark = pytest.mark.anyio
DAY_MS = 86_400_000


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def catalog(tmp_path: Path) -> AsyncIterator[Catalog]:
    opened = Catalog(catalog_path(str(tmp_path)))
    await opened.write(lambda session: boot.begin(session, "boot-1", 1, "0", 0))
    for name in ("in", "out", "archive"):
        await opened.write(lambda session, name=name: boot.put_root(session, "inbox", name, b"/" + name.encode()))
    yield opened
    opened.close()


def inbox() -> Inbox:
    """One that owes everything there is: renditions, a move of the original, a receipt."""
    return replace(
        INBOX, on_success="archive", archive=Root(3, b"/archive"), quarantine=Root(3, b"/archive"), receipts=True
    )


def result(job: Job) -> Processed:
    digest = "ab" * 32
    rendition = Rendered("large", 1, f"{job.id}-{job.epoch}-large", 5, digest, 100, 16, 12, "jpeg")
    looks = Looks(1, 2, 3, digest, 50.0)
    return Processed(Content(digest, digest), looks, Picture("jpeg", 40, 30, "RGB"), (rendition,))


async def enqueue(catalog: Catalog) -> None:
    job = NewJob("in", b"a.jpg", Signature(1, 2, 10, 5, 5), FoundBy.EVENT, 0, 0, 3)
    assert await catalog.write(lambda session: queue.enqueue(session, 1, [job], 0)) == [1]


async def claim(catalog: Catalog, owner: str = "boot-1") -> Job:
    (job,) = await catalog.write(lambda session: queue.claim(session, owner, ["in"], 1, idle=True, now_ms=0))
    return job


async def everything(catalog: Catalog) -> dict[str, list[tuple[Any, ...]]]:
    """All rows of all tables that a decision writes to."""
    tables = ("jobs", "attempts", "images", "publications", "versions", "sources", "disposals", "notices")

    def read(session: Session) -> dict[str, list[tuple[Any, ...]]]:
        return {
            name: sorted(session.connection.execute(f"SELECT * FROM {name}").fetchall(), key=repr) for name in tables
        }

    return await catalog.read(read)


def count(session: Session) -> int:
    rows = session.connection.execute("SELECT count(*) FROM t").fetchall()
    return int(rows[0][0])


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[tuple[Writer, apsw.Connection]]:
    connection = connect(str(tmp_path / "t.db"))
    connection.execute("CREATE TABLE t (x)")
    made = Writer(connection)
    yield made, connection
    made.close()


@pytest.mark.parametrize(
    ("problem", "reason"),
    [(apsw.FullError("database or disk is full"), "disk-full"), (apsw.IOError("disk I/O error"), "")],
    ids=["full", "io-error"],
)
async def test_q01_what_cannot_be_committed_is_not_acknowledged(
    writer: tuple[Writer, apsw.Connection], problem: apsw.Error, reason: str
) -> None:
    """The statements succeed and only COMMIT fails, as on a disk that fills up or fails under the log."""
    made, connection = writer
    answers: list[object] = []

    def fail() -> bool:
        raise problem

    async def write(number: int) -> None:
        def insert(session: Session) -> int:
            session.connection.execute("INSERT INTO t VALUES (?)", (number,))
            return number

        try:
            answers.append(await made.write(insert))
        except StateError as error:
            answers.append(error)

    connection.set_commit_hook(fail)
    async with anyio.create_task_group() as group:
        for number in range(5):
            group.start_soon(write, number)
    assert len(answers) == 5
    for answer in answers:
        assert isinstance(answer, StateError), f"{answer} was acknowledged"
        assert answer.retryable
        assert not reason or answer.reason == reason
    connection.set_commit_hook(None)
    assert await made.write(count) == 0
    answers.clear()
    await write(7)
    assert answers == [7]
    assert await made.write(count) == 1


Late = Callable[[Session, Job], Any]
LATE: dict[str, tuple[Late, object]] = {
    "discard": (
        lambda session, job: decisions.discard(
            session, job, inbox(), Reason.CORRUPT, "late", crashes=9, move=True, now_ms=9
        ),
        False,
    ),
    "interrupt": (lambda session, job: queue.interrupt(session, job, "late", 9), False),
    "conclude": (lambda session, job: decisions.conclude(session, job, inbox(), result(job), {}, _name_for, 9), None),
}


def _name_for(rendered: Rendered, suffix: str) -> bytes:
    return f"late-{rendered.name}{suffix}.jpg".encode()


@pytest.mark.parametrize("word", LATE)
@pytest.mark.parametrize("meanwhile", ["executing again", "available", "cancelled"])
async def test_q03_the_word_of_a_late_worker_changes_no_job_and_nothing_that_is_owed(
    catalog: Catalog, word: str, meanwhile: str
) -> None:
    """Its daemon was taken for dead; the job is in other hands, or waits for them, or was cancelled."""
    await enqueue(catalog)
    late = await claim(catalog)
    await catalog.write(lambda session: boot.begin(session, "boot-2", 2, "0", 1))
    assert len(await catalog.write(lambda session: queue.rescue(session, "boot-2", 20, 1))) == 1
    if meanwhile == "executing again":
        assert (await claim(catalog, "boot-2")).epoch == late.epoch + 1
    elif meanwhile == "cancelled":
        assert await catalog.write(lambda session: session.run("job_cancel", id=late.id, now_ms=2)) == 1
    before = await everything(catalog)
    action, refusal = LATE[word]
    assert await catalog.write(lambda session: action(session, late)) is refusal
    assert await everything(catalog) == before


@pytest.mark.parametrize("jump_ms", [DAY_MS, -DAY_MS], ids=["forward", "back"])
async def test_w34_what_is_owed_and_was_put_off_moves_with_the_clock(catalog: Catalog, jump_ms: int) -> None:
    """A rendition, a move and a receipt, each put off after a trouble; those of another job are due at once and stay so."""
    await enqueue(catalog)
    job = await claim(catalog)
    decided = await CatalogDecisions(catalog, _Clock(), name_for).conclude(job, inbox(), result(job), {})
    assert isinstance(decided, Decided)
    assert decided.outcome is Outcome.PUBLISHED
    due_ms = 2 * DAY_MS
    tables = ("publications", "disposals", "notices")

    def due(session: Session) -> list[tuple[int]]:
        return [
            row
            for name in tables
            for row in session.connection.execute(f"SELECT next_attempt_at_ms FROM {name}").fetchall()
        ]

    await catalog.write(lambda session: times.move(session, jump_ms))
    assert await catalog.read(due) == [(0,)] * 3
    await catalog.write(lambda session: owed.publication_later(session, 1, due_ms, "no room"))
    await catalog.write(lambda session: owed.disposal_later(session, 1, due_ms + 1, "no room"))
    await catalog.write(lambda session: owed.notice_later(session, 1, due_ms + 2, "no room"))
    await catalog.write(lambda session: times.move(session, jump_ms))
    assert await catalog.read(due) == [(due_ms + jump_ms,), (due_ms + jump_ms + 1,), (due_ms + jump_ms + 2,)]


class _Clock:
    """Stands still."""

    def now_ms(self) -> int:
        return 0

    def monotonic(self) -> float:
        return 0.0

    async def sleep(self, seconds: float) -> None:
        raise AssertionError("nothing here waits")
