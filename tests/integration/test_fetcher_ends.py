"""What becomes of a download's job, whatever happens meanwhile: kills, late answers, people, full disks, a locked catalog."""

from __future__ import annotations

import errno
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import anyio
import pytest
from fetch_support import BOUNDS, RULES, Mill, busy, file_of, not_modified, takes, then

from dropmill.errors import StateError
from dropmill.model.download import Failed, Fetch, FetchResult, Provenance
from dropmill.model.file import Signature
from dropmill.model.job import Job
from dropmill.model.outcome import Outcome, Reason
from dropmill.observe.facts import ClockSet, Completed, Discarded, Downloaded, DownloadFailed, Rescheduled, StateTrouble
from dropmill.store import queue, requests, times
from dropmill.store.connection import Session
from dropmill.store.rows import job_of

T = TypeVar("T")

HOST = "https://host.test:443"
OTHER = "https://other.test:443"


async def fetched(mill: Mill, ids: list[int], count: int) -> None:
    async with mill.running():
        await mill.until(lambda: mill.states(ids)["fetched"] == count)


def test_a_kill_costs_a_download_no_attempt_and_no_turn(tmp_path: Path) -> None:
    mill = Mill(tmp_path)
    mill.net.hosts[HOST] = takes(100.0)
    jobs = mill.add(HOST, 30)

    async def killed() -> None:
        async with mill.running(killed=True):
            await anyio.sleep(60)

    mill.run(killed)
    assert mill.states(jobs)["executing"] >= 8
    mill.net.hosts[HOST] = takes(0.1)
    mill.run(lambda: fetched(mill, jobs, 30))
    rows = mill.jobs(jobs).values()
    assert {(row["interruptions"], row["alone"], row["crashes"]) for row in rows} == {(0, 0, 0)}


def test_a_stop_cuts_downloads_at_once_and_gives_all_back_uncounted(tmp_path: Path) -> None:
    mill = Mill(tmp_path)
    mill.net.hosts[HOST] = takes(1000.0)
    jobs = mill.add(HOST, 30)

    async def stopped() -> int:
        async with mill.running() as fetcher:
            await anyio.sleep(600)
            held = len(fetcher.in_hand)
            began = mill.time.seconds
            assert await fetcher.close() == held
            assert mill.time.seconds == began
            return held

    assert mill.run(stopped) > 8
    assert mill.states(jobs) == {"available": 30}
    assert {row["attempts"] for row in mill.jobs(jobs).values()} == {0}
    assert mill.net.forgotten == [], "what is there is for the next attempt to go on with"


LATE = ("fetched", "discard", "reschedule", "release", "unchanged")


@pytest.mark.parametrize("word", LATE)
def test_q03_a_late_word_about_a_download_changes_nothing_of_its_job(tmp_path: Path, word: str) -> None:
    mill = Mill(tmp_path)
    mill.net.hosts[HOST] = takes(100.0)
    (job_id,) = mill.add(HOST, 1)

    async def killed() -> Job:
        async with mill.running(killed=True):
            await anyio.sleep(10)
            row = mill.jobs()[job_id]
        return job_of(row)

    late = mill.run(killed)

    async def again() -> None:
        async with mill.running():
            await anyio.sleep(10)
            assert mill.jobs()[job_id]["epoch"] == late.epoch + 1
            before = mill.catalog.rows("SELECT * FROM jobs JOIN downloads ON job_id = id JOIN attempts USING (job_id)")
            await say(mill, word, late)
            after = mill.catalog.rows("SELECT * FROM jobs JOIN downloads ON job_id = id JOIN attempts USING (job_id)")
            assert after == before

    mill.run(again)


async def say(mill: Mill, word: str, late: Job) -> None:
    provenance, signature, inbox = Provenance("https://late.test/"), Signature(9, 9, 9, 9, 9), mill.inboxes["list"]
    port = mill.port("late")
    match word:
        case "fetched":
            assert await port.fetched(late, signature, provenance, None) is False
        case "discard":
            assert await port.discard(late, inbox, Reason.HTTP_404, "late", provenance, None) is False
        case "reschedule":
            assert await port.reschedule(late, 5.0, Reason.HTTP_500, "late", None) is False
        case "release":
            assert await port.release([late]) == 0
        case "unchanged":
            assert await port.unchanged(late, inbox, provenance, None) is None


def test_a_person_cancels_a_download_and_it_ends_and_is_forgotten(tmp_path: Path) -> None:
    mill = Mill(tmp_path)
    mill.net.hosts[HOST] = takes(50.0)
    jobs = mill.add(HOST, 12)

    async def main() -> None:
        async with mill.running() as fetcher:
            await anyio.sleep(60)
            running = {told["job_id"] for told in fetcher.progress()}
            first, ahead = min(running), next(job for job in fetcher.in_hand if job not in running)
            for job in (first, ahead):
                await mill.catalog.write(lambda session, job=job: requests.cancel(session, job, mill.clock.now_ms()))
                fetcher.cancel(job)
            await anyio.sleep(0.1)
            assert not {first, ahead} & set(fetcher.in_hand)
            assert first in mill.net.forgotten
            await mill.until(lambda: mill.states(jobs) == {"fetched": 10, "cancelled": 2})

    mill.run(main)
    assert len(mill.net.asked) == 11, "what was only claimed was never asked for"


def test_a_pause_holds_for_what_was_claimed_and_others_go_on(tmp_path: Path) -> None:
    mill = Mill(tmp_path, "list", "second")
    mill.net.hosts = {HOST: takes(10.0), OTHER: takes(10.0)}
    paused, going = mill.add(HOST, 100), mill.add(OTHER, 40, "second")

    async def main() -> None:
        async with mill.running() as fetcher:
            await anyio.sleep(12)
            mill.closed = {"list"}
            await fetcher.give_back("list")
            asked = len(mill.net.times(HOST))
            await mill.until(lambda: mill.states(going)["fetched"] == 40)
            await anyio.sleep(100)
            assert len(mill.net.times(HOST)) == asked
            assert mill.states(paused)["executing"] == 0
            mill.closed = set()
            fetcher.wake()
            await mill.until(lambda: mill.states(paused)["fetched"] == 100)

    mill.run(main)


def test_a_pause_that_comes_while_a_claim_is_under_way_holds_for_what_it_brings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mill = Mill(tmp_path)
    jobs = mill.add(HOST, 10)
    write = mill.catalog.write

    async def paused_by_then(action: Callable[[Session], T]) -> T:
        result = await write(action)
        if mill.states(jobs)["executing"]:
            mill.closed = {"list"}
        return result

    monkeypatch.setattr(mill.catalog, "write", paused_by_then)

    async def main() -> None:
        async with mill.running():
            await mill.until(lambda: mill.closed == {"list"} and mill.states(jobs) == {"available": 10})
            await anyio.sleep(100)

    mill.run(main)
    assert mill.net.asked == []
    assert mill.states(jobs) == {"available": 10}


@pytest.mark.parametrize(("reason", "left"), [(Reason.DISK_FULL, False), (Reason.CONNECTION_LOST, True)])
def test_with_once_what_waits_for_room_on_the_disk_is_left_for_another_run(
    tmp_path: Path, reason: Reason, left: bool
) -> None:
    mill = Mill(tmp_path, rules=replace(RULES, retry_base_seconds=50.0), bounds=replace(BOUNDS, once=True))
    mill.net.hosts[HOST] = takes(1.0, Failed(reason, "it broke off", permanent=False))
    jobs = mill.add(HOST, 1)

    async def main() -> None:
        async with mill.running() as fetcher:
            await mill.until(lambda: mill.states(jobs)["scheduled"] == 1 and not fetcher.in_hand)
            assert await fetcher.left() is left

    mill.run(main)


def test_w40_of_a_folder_that_hangs_everything_is_given_back(tmp_path: Path) -> None:
    mill = Mill(tmp_path)
    mill.net.hosts[HOST] = takes(1000.0)
    jobs = mill.add(HOST, 20)

    async def main() -> None:
        async with mill.running() as fetcher:
            await anyio.sleep(600)
            mill.closed = {"list"}
            await fetcher.take_back("list")
            await anyio.sleep(10)
            assert fetcher.in_hand == []
            assert mill.states(jobs) == {"available": 20}

    mill.run(main)


def test_s12_a_full_disk_holds_all_downloads_and_costs_no_attempt(tmp_path: Path) -> None:
    mill = Mill(tmp_path)
    full = Failed(Reason.DISK_FULL, "no space left", permanent=False)
    room_at = 300.0

    async def until_there_is_room(fetch: Fetch, note: object) -> FetchResult:
        await anyio.sleep(0.1)
        return full if mill.time.seconds < room_at else file_of(fetch)

    mill.net.hosts = {HOST: until_there_is_room, OTHER: until_there_is_room}
    jobs = [*mill.add(HOST, 20), *mill.add(OTHER, 20)]

    async def main() -> None:
        async with mill.running() as fetcher:
            await anyio.sleep(20)
            assert fetcher.waits == "the disk is full"
            await mill.until(lambda: mill.states(jobs)["fetched"] == 40)
            assert fetcher.waits == ""

    mill.run(main)
    before = [seconds for seconds, _, _ in mill.net.asked if seconds < room_at]
    assert len(before) < 60, "it is tried now and then, not all the time"
    assert mill.time.seconds < room_at + 100
    assert not mill.told(Discarded)
    assert mill.host(HOST)["failures"] == 0


def test_fetching_waits_while_too_many_downloads_wait_to_be_processed(tmp_path: Path) -> None:
    mill = Mill(tmp_path, bounds=replace(BOUNDS, backlog_files=25))
    jobs = mill.add(HOST, 60)

    async def main() -> None:
        async with mill.running() as fetcher:
            await anyio.sleep(60)
            assert mill.states(jobs) == {"fetched": 25, "available": 35}
            assert "25 downloads wait" in fetcher.waits
            now_ms = mill.clock.now_ms()
            await mill.catalog.write(lambda s: queue.claim(s, "boot-1", ["list"], 10, idle=True, now_ms=now_ms))
            await mill.until(lambda: mill.states(jobs)["fetched"] == 25 and mill.states(jobs)["executing"] == 10)
            assert mill.states(jobs)["available"] == 25

    mill.run(main)


def _published(mill: Mill, job_id: int) -> None:
    """As if the file of a job had been processed and what it gave were visible."""
    connection = mill.catalog._session.connection
    row = mill.jobs()[job_id]
    connection.execute(
        "INSERT INTO images VALUES (7, 'cd', 'cd', 1, 0, 0, 0, '', 0.0, 'jpeg', 1, 1, 'RGB', 1, 0, 1, '', '', '', '', 10, 0)"
    )
    connection.execute(
        "INSERT INTO versions VALUES (:root, :rel, 'cd', 1, 10, 5, 7, :job, 0, 0)",
        {"root": row["root_id"], "rel": row["rel"], "job": job_id},
    )
    connection.execute(
        "UPDATE jobs SET state = 'completed', outcome = 'published', finished_at_ms = 1, image_id = 7, sha256 = 'cd' WHERE id = ?",
        (job_id,),
    )
    connection.execute(
        "INSERT INTO publications (id, job_id, image_id, output_id, recipe, rendition, page, staged_name, ino, sha256,"
        " size_bytes, width, height, format, final_name, final_key, state)"
        " VALUES (1, ?, 7, ?, 'r', 'large', 1, 's', 1, 'ef', 1, 1, 1, 'jpeg', x'61', 'a', 'visible')",
        (job_id, mill.inboxes["list"].output.id),
    )


@pytest.mark.parametrize("stands", [True, False])
def test_not_modified_is_unchanged_where_the_renditions_stand_and_else_fetched_in_any_case(
    tmp_path: Path, stands: bool
) -> None:
    mill = Mill(tmp_path)
    (first,) = mill.add(HOST, 1)
    mill.run(lambda: fetched(mill, [first], 1))
    _published(mill, first)
    if not stands:
        mill.catalog._session.connection.execute("UPDATE publications SET state = 'retired'")
    (second,) = mill.add(HOST, 1)
    assert second != first
    mill.catalog._session.connection.execute("UPDATE downloads SET etag = '\"1\"' WHERE job_id = ?", (second,))
    mill.net.hosts[HOST] = then(takes(0.1, not_modified), takes(0.1))

    async def main() -> None:
        async with mill.running():
            await mill.until(lambda: mill.states([second])["completed" if stands else "fetched"] == 1)

    mill.run(main)
    row = mill.jobs()[second]
    if stands:
        assert (row["outcome"], row["image_id"], row["sha256"]) == ("unchanged", 7, "cd")
        assert mill.net.validators[1:] == [('"1"', "")]
        assert mill.catalog.rows("SELECT * FROM downloads WHERE job_id = :id", id=second)[0]["etag"] == '"1"'
        assert [fact.outcome for fact in mill.told(Completed)] == [Outcome.UNCHANGED]
    else:
        assert mill.net.validators[1:] == [('"1"', ""), ("", "")]
        assert row["attempts"] == 0


def test_s12_an_end_that_cannot_be_written_is_written_once_it_can(tmp_path: Path) -> None:
    mill = Mill(tmp_path)
    (job,) = mill.add(HOST, 1)
    mill.net.hosts[HOST] = takes(5.0)

    async def main() -> None:
        async with mill.running() as fetcher:
            await anyio.sleep(3)
            mill.catalog.locked = StateError("the disk is full", hint="", reason="disk-full", retryable=True)
            await anyio.sleep(30)
            assert fetcher.in_hand == [job]
            assert mill.told(StateTrouble)
            assert not mill.told(Downloaded)
            mill.catalog.locked = None
            await mill.until(lambda: mill.states() == {"fetched": 1})

    mill.run(main)
    assert len(mill.net.asked) == 1


def test_an_end_that_the_catalog_refuses_is_another_failed_attempt_and_no_endless_loop(tmp_path: Path) -> None:
    mill = Mill(tmp_path)
    (job,) = mill.add(HOST, 1)
    mill.catalog._session.connection.execute(
        "CREATE TEMP TRIGGER no BEFORE UPDATE OF phase ON jobs WHEN new.phase = 'process' BEGIN SELECT raise(ABORT, 'no'); END"
    )

    async def main() -> None:
        async with mill.running():
            await mill.until(lambda: mill.states()["discarded"] == 1)

    mill.run(main)
    assert mill.jobs()[job]["reason"] == "unexpected"
    assert len(mill.net.asked) == 5


def test_a_defect_or_a_disk_error_of_the_downloader_costs_one_attempt(tmp_path: Path) -> None:
    mill = Mill(tmp_path)

    async def broken(fetch: Fetch, note: object) -> FetchResult:
        raise OSError(errno.EIO, "the disk")

    mill.net.hosts[HOST] = then(broken, takes(0.1))
    (job,) = mill.add(HOST, 1)
    mill.run(lambda: fetched(mill, [job], 1))
    (failed,) = mill.told(DownloadFailed)
    assert failed.reason is Reason.UNEXPECTED
    assert [fact.attempt for fact in mill.told(Rescheduled)] == [1]


def test_progress_says_how_far_and_how_fast(tmp_path: Path) -> None:
    mill = Mill(tmp_path)

    async def slow(fetch: Fetch, note: Callable[[int, int | None], None]) -> FetchResult:
        for piece in range(101):
            note(500 + piece * 10, 1500)
            await anyio.sleep(0.1)
        return file_of(fetch)

    mill.net.hosts[HOST] = slow
    (job,) = mill.add(HOST, 1)

    async def main() -> None:
        async with mill.running() as fetcher:
            await anyio.sleep(5.05)
            (told,) = fetcher.progress()
            assert told["job_id"] == job
            assert (told["inbox"], told["url"], told["host"]) == ("list", "https://host.test/0.jpg", HOST)
            assert told["total_bytes"] == 1500
            assert 980 <= told["size_bytes"] <= 1010
            assert 95 <= told["bytes_per_second"] <= 105
            await mill.until(lambda: mill.states() == {"fetched": 1})
            assert fetcher.progress() == []

    mill.run(main)
    assert mill.told(Downloaded)[0].received_bytes == 1000, "what an earlier attempt had left is not counted twice"


@pytest.mark.parametrize("by_seconds", [-86_400, 86_400], ids=["back", "forward"])
def test_w34_a_host_rests_as_long_as_it_asked_for_when_the_clock_is_set(tmp_path: Path, by_seconds: int) -> None:
    mill = Mill(tmp_path)
    mill.net.hosts[HOST] = then(takes(0.1, busy(600.0)), takes(0.1))
    jobs = mill.add(HOST, 5)

    async def main() -> None:
        async with mill.running() as fetcher:
            await anyio.sleep(100)
            by_ms = by_seconds * 1000
            mill.clock.set(by_ms)
            await mill.catalog.write(lambda session: times.move(session, by_ms))
            fetcher.heard(ClockSet(by_seconds))
            await mill.until(lambda: mill.states(jobs)["fetched"] == 5)

    mill.run(main)
    first, second = mill.net.times(HOST)[:2]
    assert 600 <= second - first <= 610


def test_w34_a_rest_that_was_written_when_the_clock_was_wrong_is_cut_at_the_start(tmp_path: Path) -> None:
    mill = Mill(tmp_path, rules=replace(RULES, max_rest_seconds=60))
    jobs = mill.add(HOST, 3)
    mill.catalog._session.connection.execute(
        "UPDATE hosts SET ready_at_ms = :then, served_at_ms = :then", {"then": mill.clock.now_ms() + 10**12}
    )
    mill.run(lambda: fetched(mill, jobs, 3))
    assert 55 <= mill.time.seconds <= 70
