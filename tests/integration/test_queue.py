"""The durable queue on real SQLite: fencing, rescue, ageing, future jobs, group commit."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import anyio
import apsw
import pytest

from dropmill.errors import StateError
from dropmill.model.attempt import PATIENT, Policy, Retry, judge
from dropmill.model.file import Signature
from dropmill.model.inbox import Inbox, Root
from dropmill.model.job import TRANSITIONS, FoundBy, Job, JobState, NewJob
from dropmill.model.outcome import Ignored, Reason
from dropmill.model.work import Troubled
from dropmill.observe.clock import SystemClock
from dropmill.ports import ALL_INBOXES
from dropmill.store import boot, decisions, queue
from dropmill.store.catalog import Catalog, catalog_path
from dropmill.store.connection import Session, connect
from dropmill.store.migrations import APPLICATION_ID

pytestmark = pytest.mark.anyio
CLOCK = SystemClock()


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def catalog(tmp_path: Path) -> AsyncIterator[Catalog]:
    opened = Catalog(catalog_path(str(tmp_path)))
    await opened.write(lambda session: boot.begin(session, "boot-1", 1, "0", 0))
    await opened.write(lambda session: boot.put_root(session, "inbox", "in", b"/in"))
    yield opened
    opened.close()


def new_job(number: int, priority: int = 3) -> NewJob:
    return NewJob("in", b"%d.jpg" % number, Signature(1, number, 10, 5, 5), FoundBy.EVENT, 0, 0, priority)


async def enqueue(catalog: Catalog, *jobs: NewJob, now_ms: int = 0) -> list[int | None]:
    return await catalog.write(lambda session: queue.enqueue(session, 1, jobs, now_ms))


async def claim(
    catalog: Catalog, limit: int = 1, owner: str = "boot-1", now_ms: int = 0, idle: bool = True
) -> list[Job]:
    return await catalog.write(lambda session: queue.claim(session, owner, ["in"], limit, idle=idle, now_ms=now_ms))


async def states(catalog: Catalog) -> dict[int, str]:
    rows = await catalog.read(lambda session: session.all("jobs_page", before=1 << 40, limit=10**6))
    return {row["id"]: row["state"] for row in rows}


async def test_w21_one_active_job_per_version(catalog: Catalog) -> None:
    first = await enqueue(catalog, new_job(1))
    again = await enqueue(catalog, new_job(1), new_job(1))
    assert first == [1]
    assert again == [None, None]
    assert list(await states(catalog)) == [1]


async def test_w22_a_version_that_was_decided_is_not_queued_again(catalog: Catalog) -> None:
    await enqueue(catalog, new_job(1))
    await catalog.write(lambda session: session.run("job_cancel", id=1, now_ms=0))
    assert await enqueue(catalog, new_job(1)) == [None]


async def test_w25_an_original_that_was_put_back_is_no_new_version_while_it_waits_to_be_moved(catalog: Catalog) -> None:
    """Our own two renames changed its ctime. Once nothing is owed to it, a changed ctime asks for a look again."""
    await enqueue(catalog, new_job(1))
    (job,) = await claim(catalog)
    inbox = cast(Inbox, SimpleNamespace(quarantine=Root(1, b"/in"), root=Root(1, b"/in"), urls=False))
    await catalog.write(
        lambda session: decisions.discard(session, job, inbox, Reason.CORRUPT, "", crashes=0, move=True, now_ms=0)
    )
    put_back = replace(new_job(1), signature=replace(new_job(1).signature, ctime_ns=6))
    rewritten = replace(put_back, signature=replace(put_back.signature, mtime_ns=7))
    assert await enqueue(catalog, put_back) == [None]
    assert await catalog.read(lambda session: queue.known(session, 1, [(put_back.rel, put_back.signature)]))
    (owed_to_it,) = await catalog.read(lambda session: session.all("disposals_of_job", job_id=1))
    await catalog.write(
        lambda session: session.run("disposal_done", id=owed_to_it["id"], result="gone", target_name=None, now_ms=0)
    )
    later = replace(put_back, signature=replace(put_back.signature, ctime_ns=8))
    assert await enqueue(catalog, later) == [2]
    assert await enqueue(catalog, rewritten) == [3]


async def test_w26_a_version_that_was_out_of_reach_is_new_when_it_is_back(catalog: Catalog) -> None:
    """Its disk was gone when the worker looked, and comes back with the same inode and times."""
    await enqueue(catalog, new_job(1))
    (job,) = await claim(catalog)
    assert await catalog.write(lambda session: decisions.supersede(session, job, 0))
    assert await enqueue(catalog, new_job(1)) == [2]


async def test_w24_an_ignored_file_is_journalled_once(catalog: Catalog) -> None:
    why = Ignored(Reason.NOT_AN_IMAGE)
    version = Signature(1, 2, 3, 4, 5)
    journalled = [
        await catalog.write(lambda session: queue.ignore(session, 1, b"a.txt", version, why, 0)) for _ in range(3)
    ]
    assert journalled == [True, False, False]


async def test_q03_a_late_worker_changes_nothing(catalog: Catalog) -> None:
    await enqueue(catalog, new_job(1))
    (late,) = await claim(catalog)
    await catalog.write(lambda session: boot.begin(session, "boot-2", 2, "0", 1))
    await catalog.write(lambda session: queue.rescue(session, "boot-2", 20, 1))
    (current,) = await claim(catalog, owner="boot-2")
    assert current.epoch == late.epoch + 1
    assert not await catalog.write(lambda session: decisions.supersede(session, late, 2))
    assert not await catalog.write(lambda session: queue.release(session, late, 2))
    assert not await catalog.write(
        lambda session: queue.reschedule(
            session, late, at_ms=0, reason=Reason.IO_ERROR, detail="", crashes=0, alone=False, now_ms=2
        )
    )
    assert await states(catalog) == {1: "executing"}
    assert await catalog.write(lambda session: decisions.supersede(session, current, 3))


async def test_q04_rescue_and_completion_race_to_exactly_one_end(catalog: Catalog) -> None:
    """Both orders: whichever transaction comes first wins, and the other one changes nothing."""
    await enqueue(catalog, new_job(1), new_job(2))
    first, second = await claim(catalog, 2)
    await catalog.write(lambda session: boot.begin(session, "boot-2", 2, "0", 1))
    assert await catalog.write(lambda session: decisions.supersede(session, first, 1))
    rescued = await catalog.write(lambda session: queue.rescue(session, "boot-2", 20, 1))
    assert [item.job_id for item in rescued] == [second.id]
    assert not await catalog.write(lambda session: decisions.supersede(session, second, 1))
    assert await states(catalog) == {1: "completed", 2: "available"}


async def test_q06_the_owner_is_the_boot_and_not_the_host(catalog: Catalog) -> None:
    """A second boot on the same host takes over at once what the first one had in hand, and only that."""
    await enqueue(catalog, new_job(1))
    await claim(catalog, owner="boot-1")
    assert await catalog.write(lambda session: queue.rescue(session, "boot-1", 20, 1)) == []
    await catalog.write(lambda session: boot.begin(session, "boot-2", 1, "0", 1))
    assert len(await catalog.write(lambda session: queue.rescue(session, "boot-2", 20, 1))) == 1


async def test_q18_interruptions_are_not_crashes_and_have_a_cap_of_their_own(catalog: Catalog) -> None:
    await enqueue(catalog, new_job(1))
    for number in range(21):
        name = f"again-{number}"
        await catalog.write(lambda session, name=name: boot.begin(session, name, 1, "0", 1))
        (job,) = await claim(catalog, owner=name)
        assert job.crashes == 0
        assert job.interruptions == number
        await catalog.write(lambda session: queue.rescue(session, "later", 20, 1))
        if number == 19:
            assert await states(catalog) == {1: "available"}, "twenty interruptions are borne"
    row = await catalog.read(lambda session: session.one("job_get", id=1))
    assert row is not None
    assert (row["state"], row["reason"], row["crashes"]) == ("discarded", "interrupted", 0)


async def test_an_interrupted_job_runs_alone(catalog: Catalog) -> None:
    await enqueue(catalog, *(new_job(number) for number in range(1, 5)))
    await claim(catalog)
    await catalog.write(lambda session: boot.begin(session, "boot-2", 2, "0", 1))
    await catalog.write(lambda session: queue.rescue(session, "boot-2", 20, 1))
    assert await claim(catalog, 4, owner="boot-2", idle=False) == []
    (alone,) = await claim(catalog, 4, owner="boot-2", idle=True)
    assert alone.alone
    assert len(await claim(catalog, 4, owner="boot-2", idle=False)) == 3


async def test_q09_low_priority_is_claimed_before_later_arrivals_of_high_priority(catalog: Catalog) -> None:
    await enqueue(catalog, new_job(1, priority=1), now_ms=0)
    await enqueue(catalog, *(new_job(number, priority=5) for number in range(2, 50)), now_ms=1000)
    await enqueue(catalog, *(new_job(number, priority=5) for number in range(50, 100)), now_ms=5 * 60_000)
    order = [job.id for job in await claim(catalog, 100)]
    assert order[:48] == list(range(2, 50))
    assert order[48] == 1


async def test_q08_future_jobs_do_not_slow_claiming(catalog: Catalog) -> None:
    """By the query plan, not by the clock: claiming never visits a scheduled row."""
    await enqueue(catalog, *(new_job(number) for number in range(1, 300)))
    for job in await claim(catalog, 299):
        await catalog.write(
            lambda session, job=job: queue.reschedule(
                session, job, at_ms=10**15, reason=Reason.IO_ERROR, detail="", crashes=0, alone=False, now_ms=0
            )
        )
    await enqueue(catalog, new_job(1000))

    def steps(session: Session) -> int:
        visited = 0

        def count() -> bool:
            nonlocal visited
            visited += 1
            return False

        session.connection.set_progress_handler(count, 1)
        try:
            assert [row["id"] for row in session.all("jobs_claimable", inbox="in", limit=10)] == [300]
            assert session.value("jobs_next_due") == 10**15
        finally:
            session.connection.set_progress_handler(None)
        return visited

    assert await catalog.read(steps) < 100


async def test_q14_old_jobs_are_pruned_in_lots_and_what_was_seen_stays_known(catalog: Catalog) -> None:
    await enqueue(catalog, *(new_job(number) for number in range(1, 11)))
    for number in range(1, 9):
        await catalog.write(lambda session, number=number: session.run("job_cancel", id=number, now_ms=1000 * number))
    first = await catalog.write(lambda session: queue.prune(session, 5500, 3))
    second = await catalog.write(lambda session: queue.prune(session, 5500, 3, first.last))
    assert (first, second) == (queue.Pruned(3, 3, (3000, 3)), queue.Pruned(2, 2, (5000, 5)))
    assert await catalog.write(lambda session: queue.prune(session, 5500, 3, second.last)) == queue.Pruned(
        0, 0, (5000, 5)
    )
    assert sorted(await states(catalog)) == [6, 7, 8, 9, 10]
    assert await enqueue(catalog, *(new_job(number) for number in range(1, 11))) == [None] * 10


async def interrupted(catalog: Catalog, number: int) -> Job:
    """The daemon goes down with the job in hand, and the next one claims it again."""
    name = f"again-{number}"
    await catalog.write(lambda session: boot.begin(session, name, 1, "0", 1))
    await catalog.write(lambda session: queue.rescue(session, name, 20, 1))
    (job,) = await claim(catalog, owner=name)
    return job


async def test_q18_interruptions_use_up_no_attempts(catalog: Catalog) -> None:
    """PROTOCOL 14: after any number of them, trouble of the machine still gets all its attempts."""
    await enqueue(catalog, new_job(1))
    (job,) = await claim(catalog)
    for number in range(6):
        job = await interrupted(catalog, number)
    assert (job.attempts, job.interruptions) == (1, 6)
    consequence = judge(job, Troubled(Reason.MEMORY_LIMIT), Policy(5, 2.0, 300.0, 20), random.Random(1))
    assert isinstance(consequence, Retry)


@pytest.mark.parametrize("reason", [*sorted(PATIENT), Reason.IO_ERROR])
async def test_w25_trouble_that_only_waiting_ends_uses_up_no_attempts(catalog: Catalog, reason: Reason) -> None:
    await enqueue(catalog, new_job(1))
    for attempt in range(1, 4):
        (job,) = await claim(catalog, now_ms=attempt)
        assert job.attempts == (1 if reason in PATIENT else attempt)
        await catalog.write(
            lambda session, job=job: queue.reschedule(
                session, job, at_ms=0, reason=reason, detail="", crashes=0, alone=False, now_ms=0
            )
        )


async def test_due_jobs_become_available_by_themselves(catalog: Catalog) -> None:
    await enqueue(catalog, new_job(1))
    (job,) = await claim(catalog)
    await catalog.write(
        lambda session: queue.reschedule(
            session, job, at_ms=500, reason=Reason.IO_ERROR, detail="x", crashes=0, alone=False, now_ms=0
        )
    )
    assert await claim(catalog, now_ms=499) == []
    (again,) = await claim(catalog, now_ms=500)
    assert again.attempts == 2


async def test_a_paused_inbox_is_not_claimed_from(catalog: Catalog, tmp_path: Path) -> None:
    from dropmill.store.engine import EmbeddedEngine

    engine = EmbeddedEngine(catalog, CLOCK, "boot-1", ["in"])
    await enqueue(catalog, new_job(1))
    for inbox in ("in", ALL_INBOXES):
        await engine.pause(inbox)
        assert await engine.claim(1, idle=True) == []
        assert await EmbeddedEngine(catalog, CLOCK, "boot-1", ["in"]).claim(1, idle=True) == []
        await engine.resume(inbox)
    assert len(await engine.claim(1, idle=True)) == 1


async def test_group_commit_keeps_one_failure_to_itself(catalog: Catalog) -> None:
    outcomes: list[object] = []

    async def write(number: int) -> None:
        def action(session: Session) -> int:
            queue.insert(session, 1, new_job(number), 0)
            if number % 3 == 0:
                raise RuntimeError(str(number))
            return number

        try:
            outcomes.append(await catalog.write(action))
        except RuntimeError as error:
            outcomes.append(error)

    async with anyio.create_task_group() as group:
        for number in range(1, 31):
            group.start_soon(write, number)
    assert len([outcome for outcome in outcomes if isinstance(outcome, RuntimeError)]) == 10
    assert len(await states(catalog)) == 20


async def test_a_write_is_finished_even_if_nobody_waits_any_more(catalog: Catalog) -> None:
    with anyio.move_on_after(0):
        await enqueue(catalog, new_job(1))
    assert len(await states(catalog)) == 1


async def test_random_walks_stay_within_the_table_of_transitions(catalog: Catalog) -> None:
    """Every statement that changes a state makes a change that the table in model/job.py has."""
    chance = random.Random(4)
    allowed = {(source, target) for (source, _), target in TRANSITIONS.items()}
    await enqueue(catalog, *(new_job(number) for number in range(1, 8)))
    before: dict[int, str | None] = dict.fromkeys(range(1, 8))

    async def compare() -> None:
        nonlocal before
        after = await states(catalog)
        for job_id, state in after.items():
            was = before.get(job_id)
            if was != state:
                source = JobState(was) if was else None
                assert (source, JobState(state)) in allowed, (was, state)
        before = dict(after)

    await compare()
    for step in range(300):
        now_ms = step * 10
        await catalog.write(lambda session, now_ms=now_ms: session.run("jobs_promote", now_ms=now_ms, limit=1000))
        await compare()
        jobs = await claim(catalog, chance.randint(1, 3), now_ms=step * 10)
        await compare()
        for job in jobs:
            await catalog.write(lambda session, job=job, step=step: _random_end(session, job, step * 10, chance))
        await compare()
        victim = chance.randint(1, 7)
        await catalog.write(
            lambda session, victim=victim: session.run("job_cancel", id=victim) if chance.random() < 0.02 else 0
        )
        await compare()


def _random_end(session: Session, job: Job, now_ms: int, chance: random.Random) -> None:
    match chance.randrange(4):
        case 0:
            queue.release(session, job, now_ms)
        case 1:
            queue.reschedule(
                session, job, at_ms=now_ms + chance.randint(0, 50), reason=Reason.IO_ERROR, detail="",
                crashes=0, alone=chance.random() < 0.3, now_ms=now_ms,
            )  # fmt: skip
        case 2 if chance.random() < 0.05:
            decisions.supersede(session, job, now_ms)
        case _:
            queue.release(session, job, now_ms)


def test_q01_what_was_acknowledged_survives_sigkill(tmp_path: Path) -> None:
    """A process enqueues and says so only after the commit; it is killed at random; what it said is there."""
    script = (
        "import anyio, sys\n"
        "sys.path.insert(0, sys.argv[2])\n"
        "from integration.test_queue import keep_enqueuing\n"
        "anyio.run(keep_enqueuing, sys.argv[1])\n"
    )
    chance = random.Random(11)
    for round_number in range(5):
        state = tmp_path / str(round_number)
        state.mkdir()
        command = [sys.executable, "-c", script, str(state), str(Path(__file__).parents[1])]
        child = subprocess.Popen(command, stdout=subprocess.PIPE)
        assert child.stdout is not None
        acknowledged = [int(child.stdout.readline()) for _ in range(chance.randint(1, 200))]
        child.kill()
        acknowledged += [int(line) for line in child.stdout.read().split() if line.isdigit()][:-1]
        child.wait()
        child.stdout.close()
        connection = connect(catalog_path(str(state)), readonly=True)
        present = {row[0] for row in connection.execute("SELECT id FROM jobs")}
        connection.close()
        assert set(acknowledged) <= present


async def keep_enqueuing(state: str) -> None:
    catalog = Catalog(catalog_path(state))
    await catalog.write(lambda session: boot.put_root(session, "inbox", "in", b"/in"))
    for number in range(1, 10**6):
        for job_id in await enqueue(catalog, new_job(number)):
            os.write(1, b"%d\n" % (job_id or 0))


def test_q11_a_file_of_another_program_or_a_newer_dropmill_is_refused_and_left_alone(tmp_path: Path) -> None:
    foreign = tmp_path / "foreign.db"
    with contextlib.closing(apsw.Connection(str(foreign))) as connection:
        connection.execute("CREATE TABLE t (x)")
    newer = tmp_path / "newer.db"
    with contextlib.closing(apsw.Connection(str(newer))) as connection:
        connection.pragma("application_id", APPLICATION_ID)
        connection.pragma("user_version", 999)
    garbage = tmp_path / "garbage.db"
    garbage.write_bytes(b"not a database at all" * 1000)
    for path in (foreign, newer, garbage):
        before = path.read_bytes()
        with pytest.raises(StateError) as refusal:
            Catalog(str(path))
        assert refusal.value.hint
        assert path.read_bytes() == before


def test_the_schema_is_strict_and_durable(tmp_path: Path) -> None:
    catalog = Catalog(catalog_path(str(tmp_path)))
    catalog.close()
    assert sorted(os.listdir(tmp_path)) == ["catalog.db", "catalog.db-shm", "catalog.db-wal"]
    with contextlib.closing(connect(catalog_path(str(tmp_path)))) as connection:
        assert connection.pragma("journal_mode") == "wal"
        assert connection.pragma("synchronous") == 2
        loose = connection.execute(
            "SELECT name FROM pragma_table_list WHERE schema='main' AND type='table' AND NOT strict AND name NOT LIKE 'sqlite%'"
        )
        assert [row[0] for row in loose] == []


_DIE = (
    "import os, signal, sys\n"
    "from dropmill.store import queue\n"
    "from dropmill.store.connection import Session, connect\n"
    "connection = connect(sys.argv[1])\n"
    "connection.execute('BEGIN IMMEDIATE')\n"
    "connection.set_progress_handler(lambda: os.kill(os.getpid(), signal.SIGKILL), int(sys.argv[3]))\n"
    "session = Session(connection)\n"
    "if sys.argv[2] == 'promote':\n"
    "    queue.claim(session, 'boot-1', ['in'], 8, idle=True, now_ms=10**9)\n"
    "else:\n"
    "    queue.rescue(session, 'boot-2', 20, 10**9)\n"
    "connection.set_progress_handler(None)\n"
    "print('survived')\n"
)


@pytest.mark.parametrize("what", ["promote", "rescue"])
@pytest.mark.parametrize("steps", [50, 2_000, 20_000])
async def test_q07_a_promotion_or_rescue_that_is_killed_is_completed_by_the_next_start(
    catalog: Catalog, tmp_path: Path, what: str, steps: int
) -> None:
    """A process of its own is killed after so many steps of SQLite's machine, within the transaction."""
    await enqueue(catalog, *(new_job(number) for number in range(1, 501)))
    for job in await claim(catalog, 500):
        if what == "promote":
            await catalog.write(
                lambda session, job=job: queue.reschedule(
                    session, job, at_ms=1000, reason=Reason.IO_ERROR, detail="", crashes=0, alone=False, now_ms=0
                )
            )
    await catalog.write(lambda session: boot.begin(session, "boot-2", 2, "0", 1))
    before = await states(catalog)
    catalog.close()
    path = catalog_path(str(tmp_path))
    child = await anyio.run_process([sys.executable, "-c", _DIE, path, what, str(steps)], check=False)
    assert child.returncode == -signal.SIGKILL, child.stderr
    again = Catalog(path)
    try:
        assert await states(again) == before
        if what == "promote":
            assert len(await claim(again, 500, owner="boot-2", now_ms=10**9)) == 500
        else:
            rescued = await again.write(lambda session: queue.rescue(session, "boot-2", 20, 10**9))
            assert len(rescued) == 500
            assert set((await states(again)).values()) == {"available"}
    finally:
        again.close()
