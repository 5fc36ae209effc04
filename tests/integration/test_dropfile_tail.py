"""The reader of a drop-file: every line becomes a job, a share in one, or a refusal, exactly once (U15 to U18)."""

from __future__ import annotations

import os
import tempfile
import threading
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dropfile_rig import POLL_SECONDS, QUIET_SECONDS, Killed, Rig
from dropmill.fetch import reach
from dropmill.files import dropfile as calls
from dropmill.model.tailing import LINE_BYTES, LOT_LINES, Look, Mark
from dropmill.observe.facts import DropfileBegun, DropfileTrouble, DropfileWell, Enqueued, LineRefused, LinesTaken
from parts import modes_hold_for_root

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    made = Rig(tmp_path)
    await made.open()
    yield made
    made.close()


def url(number: int) -> str:
    return f"http://example.com/{number}.jpg"


def lines(*numbers: int) -> str:
    return "".join(f"{url(number)}\n" for number in numbers)


async def test_u15_a_last_line_without_newline_waits_for_a_quiet_time(rig: Rig) -> None:
    rig.path.write_text(lines(1) + url(2))
    await rig.read(turns=3)
    assert await rig.urls() == [url(1)]
    began = rig.clock.now
    await rig.read()
    assert await rig.urls() == [url(1), url(2)]
    assert rig.clock.now - began <= QUIET_SECONDS + 2


async def test_u15_a_line_that_grows_is_taken_whole(rig: Rig) -> None:
    rig.path.write_text("http://exam")
    for part in ("ple.com/", "1", ".jpg"):
        await rig.read(turns=2)
        assert await rig.urls() == []
        with rig.path.open("a") as file:
            file.write(part)
    await rig.read()
    assert await rig.urls() == [url(1)]


@pytest.mark.parametrize("restart", [False, True])
async def test_u15_what_is_written_behind_a_line_that_was_taken_is_told_and_not_fetched(
    rig: Rig, restart: bool
) -> None:
    rig.path.write_text("http://example.com/1")
    await rig.read()
    if restart:
        rig.start()
    with rig.path.open("a") as file:
        file.write(".jpg\n" + lines(2))
    await rig.read()
    assert [row[1:3] + row[4:] for row in await rig.lines()] == [
        (1, "http://example.com/1", None),
        (1, ".jpg", "bad-line"),
        (2, url(2), None),
    ]
    assert len(await rig.jobs()) == 2


async def test_u15_a_newline_that_comes_later_is_no_line(rig: Rig) -> None:
    rig.path.write_text(url(1))
    await rig.read()
    with rig.path.open("a") as file:
        file.write("\n" + lines(2))
    await rig.read()
    assert [row[1:3] for row in await rig.lines()] == [(1, url(1)), (2, url(2))]


async def test_u16_appended_lines_are_read_from_where_it_was_left_also_by_another_run(rig: Rig) -> None:
    rig.path.write_text(lines(1, 2))
    await rig.read()
    rig.start()
    with rig.path.open("a") as file:
        file.write(lines(3))
    await rig.read()
    assert await rig.urls() == [url(1), url(2), url(3)]
    assert [fact.found_by.value for fact in rig.facts if isinstance(fact, Enqueued)] == ["startup"] * 3
    with rig.path.open("a") as file:
        file.write(lines(4))
    await rig.read(lambda: any(isinstance(fact, Enqueued) and fact.found_by == "event" for fact in rig.facts))
    assert rig.woken >= 3


async def test_u16_a_rotated_file_is_read_to_its_end_before_the_new_one(rig: Rig) -> None:
    rig.path.write_text(lines(1))
    await rig.read()
    with rig.path.open("a") as held:
        held.write(lines(2))
        held.flush()
        rig.path.rename(rig.path.with_name("urls.txt.1"))
        rig.path.write_text(lines(4))
        await rig.read(turns=2)
        # A writer that keeps its file open goes on in the one that was renamed.
        held.write(lines(3))
    await rig.read()
    assert [row[0::2][:2] for row in await rig.lines()] == [(1, url(1)), (1, url(2)), (1, url(3)), (2, url(4))]


async def test_u16_a_file_that_was_rotated_while_nobody_ran_is_found_and_read_to_its_end(rig: Rig) -> None:
    rig.path.write_text(lines(1))
    await rig.read()
    with rig.path.open("a") as file:
        file.write(lines(2))
    rig.path.rename(rig.path.with_name("urls.txt.1"))
    (rig.path.parent / "other.txt").write_text(lines(9))
    rig.path.write_text(lines(3))
    rig.start()
    await rig.read()
    assert await rig.urls() == [url(1), url(2), url(3)]


async def test_u16_a_file_that_is_gone_is_waited_for_without_trouble(rig: Rig) -> None:
    await rig.read(turns=3)
    assert (rig.tail.watch, rig.tail.missing, rig.tail.trouble, rig.tail.quiet) == ("missing", True, "", True)
    rig.path.write_text(lines(1))
    await rig.read(lambda: rig.tail.watch == "poll" and rig.tail.quiet)
    rig.path.unlink()
    await rig.read(lambda: rig.tail.missing)
    assert rig.tail.quiet
    rig.path.write_text(lines(2))
    await rig.read(lambda: not rig.tail.missing and rig.tail.quiet)
    assert await rig.urls() == [url(1), url(2)]
    assert not any(isinstance(fact, DropfileTrouble) for fact in rig.facts)


async def test_u16_truncated_and_rewritten_is_read_from_its_start(rig: Rig) -> None:
    rig.path.write_text(lines(1, 2, 3))
    await rig.read()
    rig.path.write_text(lines(4))
    await rig.read()
    rig.path.write_text(lines(5, 6, 7, 8))  # Longer than before, so that only its content tells.
    await rig.read()
    found = await rig.lines()
    assert [row[2] for row in found] == [url(number) for number in range(1, 9)]
    assert [row[0] for row in found] == [1, 1, 1, 2, 3, 3, 3, 3]
    assert [row[1] for row in found] == [1, 2, 3, 1, 1, 2, 3, 4]


def test_u16_what_is_rewritten_while_it_is_read_gives_no_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "urls.txt"
    path.write_bytes(b"http://a.test/1\n")
    reading = calls.Reading(os.fsencode(path))
    opened = reading.look(None).open
    assert opened is not None
    pread = os.pread

    def and_rewritten(fd: int, size_bytes: int, offset_bytes: int) -> bytes:
        data = pread(fd, size_bytes, offset_bytes)
        path.write_bytes(b"http://a.test/2\n")
        return data

    try:
        with monkeypatch.context() as patched:
            patched.setattr(os, "pread", and_rewritten)
            assert reading.read(Mark(opened, 1), last=False) is None
        lot = reading.read(Mark(opened, 1), last=False)
        assert lot is not None
        assert [line.said.url for line in lot.lines] == ["http://a.test/2"]
    finally:
        reading.close()


async def test_u16_a_line_corrected_in_place_is_taken_though_its_head_is_the_same(rig: Rig) -> None:
    head = "".join(f"{url(number)}\n" for number in range(200))
    rig.path.write_text(head + "http://example.com/tpyo.jpg\n")
    await rig.read()
    rig.path.write_text(head + "http://example.com/typo.jpg\n")
    await rig.read()
    assert Counter(row[1] for row in await rig.jobs())["http://example.com/typo.jpg"] == 1
    assert len(await rig.jobs()) == 202


async def test_u16_lines_that_are_cut_off_before_they_were_read_are_told_of(rig: Rig) -> None:
    rig.path.write_text(lines(1))
    await rig.read()
    with rig.path.open("a") as file:
        file.write("http://example.com/unfin")
    await rig.read(turns=2)
    rig.path.write_text("")
    await rig.read()
    begun = [fact for fact in rig.facts if isinstance(fact, DropfileBegun)]
    assert [(fact.rewritten, fact.unread_bytes > 0) for fact in begun] == [(False, False), (True, True)]


async def test_u16_replaced_by_rename_with_the_old_lines_in_it_fetches_none_twice(rig: Rig) -> None:
    rig.path.write_text(lines(1, 2))
    await rig.read()
    await rig.end(1, "published", reason=None)
    aside = rig.path.with_name("urls.new")
    aside.write_text(lines(1, 2, 3))
    aside.replace(rig.path)
    await rig.read()
    assert await rig.urls() == [url(1), url(2), url(1), url(2), url(3)]
    assert [row[3] for row in await rig.lines()] == [1, 2, 1, 2, 3]
    assert [row[1] for row in await rig.jobs()] == [url(1), url(2), url(3)]


async def test_u16_another_file_with_the_inode_of_the_one_that_was_read_is_another_file(rig: Rig) -> None:
    rig.path.write_text(lines(1, 2))
    await rig.read()
    rig.tail.close()
    await rig.lane.call(lambda: None)
    rig.path.unlink()
    rig.path.write_text(lines(3, 4, 5))
    # Whether a file system gives the number again is its own affair, so the catalog is made to say so.
    ino = rig.path.stat().st_ino
    await rig.catalog.write(
        lambda session: session.connection.execute("UPDATE dropfiles SET ino = ?", (ino,)).fetchall()
    )
    rig.start()
    await rig.read()
    assert await rig.urls() == [url(number) for number in range(1, 6)]


async def test_u16_a_stranger_in_the_folder_is_not_taken_for_the_rotated_file(rig: Rig) -> None:
    rig.path.write_text("")
    await rig.read()
    rig.tail.close()
    await rig.lane.call(lambda: None)
    stranger = rig.path.with_name("notes.txt")
    stranger.write_text(lines(9))
    ino = stranger.stat().st_ino
    await rig.catalog.write(
        lambda session: session.connection.execute("UPDATE dropfiles SET ino = ?", (ino,)).fetchall()
    )
    rig.start()
    with rig.path.open("a") as file:
        file.write(lines(1))
    await rig.read()
    assert await rig.urls() == [url(1)]


async def test_u16_more_lines_than_a_lot_are_taken_in_lots(rig: Rig) -> None:
    count = 2 * LOT_LINES + 7
    rig.path.write_text(lines(*range(count)))
    await rig.read()
    assert await rig.urls() == [url(number) for number in range(count)]
    taken = [fact.lines for fact in rig.facts if isinstance(fact, LinesTaken)]
    assert taken == [LOT_LINES, LOT_LINES, 7]


async def test_u16_reading_waits_while_too_many_jobs_wait(rig: Rig) -> None:
    rig.pressure.room = False
    rig.path.write_text(lines(1))
    await rig.read(turns=5)
    assert await rig.urls() == []
    assert (rig.tail.waits, rig.tail.trouble) == ("waits", "")
    rig.pressure.room = True
    await rig.read()
    assert await rig.urls() == [url(1)]


async def test_u16_a_file_that_may_not_be_read_is_told_once_with_a_remedy_and_read_later(rig: Rig) -> None:
    def forbidden() -> None:
        rig.path.write_text(lines(1))
        rig.path.chmod(0)

    # The lane's thread is the one that opens.
    guard = modes_hold_for_root()
    await rig.lane.call(guard.__enter__)
    try:
        forbidden()
        await rig.read(turns=4)
        told = [fact for fact in rig.facts if isinstance(fact, DropfileTrouble)]
        assert len(told) == 1 and "user read" in told[0].remedy and not rig.tail.quiet
        assert (rig.tail.trouble, rig.tail.remedy) == (told[0].detail, told[0].remedy)
        rig.path.chmod(0o644)
        await rig.read()
    finally:
        await rig.lane.call(guard.__exit__, None, None, None)
    assert await rig.urls() == [url(1)]
    assert (rig.tail.trouble, isinstance(rig.facts[-1], DropfileWell | LinesTaken)) == ("", True)


@pytest.mark.parametrize("kind", ["folder", "pipe"])
async def test_u16_what_is_no_file_is_told_and_does_not_hang(rig: Rig, kind: str) -> None:
    rig.path.mkdir() if kind == "folder" else os.mkfifo(rig.path)
    await rig.read(turns=3)
    assert "is no file but a" in rig.tail.trouble
    rig.path.rmdir() if kind == "folder" else rig.path.unlink()
    rig.path.write_text(lines(1))
    await rig.read()
    assert await rig.urls() == [url(1)]


async def test_u16_a_drop_file_may_be_a_link_that_is_pointed_elsewhere(rig: Rig) -> None:
    first, second = rig.path.with_name("monday"), rig.path.with_name("tuesday")
    first.write_text(lines(1))
    second.write_text(lines(2))
    rig.path.symlink_to(first)
    await rig.read()
    rig.path.unlink()
    rig.path.symlink_to(second)
    await rig.read()
    assert await rig.urls() == [url(1), url(2)]


async def test_u17_bom_crlf_comments_invalid_utf8_and_fields(rig: Rig) -> None:
    rig.path.write_bytes(
        b"\xef\xbb\xbfhttp://example.com/1.jpg\r\n"
        b"# comment\r\n"
        b"\r\n"
        b"http://example.com/2.jpg\tcats\r\n"
        b"http://example.com/\xff.jpg\r\n"
        b"http://example.com/3.jpg\tpriority=5\tlabel=dogs\tsize=12\n"
        b"http://example.com/4.jpg\tcolour=red\n"
    )
    await rig.read()
    assert [(row[1], row[4]) for row in await rig.lines()] == [
        (1, None),
        (4, None),
        (5, "bad-line"),
        (6, None),
        (7, "bad-line"),
    ]
    refused = [fact for fact in rig.facts if isinstance(fact, LineRefused)]
    assert [(fact.line, "UTF-8" in fact.detail) for fact in refused] == [(5, True), (7, False)]
    wanted = await rig.rows(
        "SELECT label, priority, expected_size_bytes FROM jobs JOIN downloads ON job_id = jobs.id ORDER BY jobs.id"
    )
    assert wanted == [("", 3, None), ("cats", 3, None), ("dogs", 5, 12)]


async def test_u17_a_line_of_ten_megabytes_is_refused_by_its_number_and_not_held(rig: Rig) -> None:
    with rig.path.open("wb") as file:
        file.write(lines(1).encode())
        file.write(b"http://example.com/" + b"x" * 10_000_000 + b"\n")
        file.write(lines(2).encode())
    await rig.read()
    found = await rig.lines()
    assert [(row[1], row[4]) for row in found] == [(1, None), (2, "bad-line"), (3, None)]
    assert len(found[1][2]) <= LINE_BYTES


@pytest.mark.parametrize(
    "other", ["HTTP://EXAMPLE.com/1.jpg", "http://example.com:80/1.jpg", "http://example.com/1.jpg#top"]
)
async def test_u18_other_spellings_of_a_url_are_fetched_once_and_each_line_is_known(rig: Rig, other: str) -> None:
    rig.path.write_text(f"{url(1)}\tfirst\n{other}\tsecond\n")
    await rig.read()
    assert await rig.jobs() == [(1, url(1), "available")]
    assert [(row[1], row[2], row[3]) for row in await rig.lines()] == [(1, url(1), 1), (2, other, 1)]
    assert await rig.rows("SELECT label FROM lines ORDER BY id") == [("first",), ("second",)]


@pytest.mark.parametrize(
    ("on_repeat", "state", "fresh"),
    [
        ("skip", "published", False),
        ("skip", "duplicate", False),
        ("skip", "discarded", True),
        ("skip", "cancelled", True),
        ("revalidate", "published", True),
        ("fetch", "published", True),
    ],
)
async def test_u18_a_url_that_was_fetched_before_is_repeated_as_configured(
    tmp_path: Path, on_repeat: str, state: str, fresh: bool
) -> None:
    rig = Rig(tmp_path, on_repeat=on_repeat)
    await rig.open()
    try:
        rig.path.write_text(lines(1))
        await rig.read()
        await rig.catalog.write(
            lambda session: session.connection.execute(
                "UPDATE downloads SET etag = 'e', last_modified = 'm'"
            ).fetchall()
        )
        await rig.end(1, state, reason="http-404" if state == "discarded" else None)
        with rig.path.open("a") as file:
            file.write(lines(1))
        rig.start()
        await rig.read()
        assert [row[3] for row in await rig.lines()] == [1, 2 if fresh else 1]
        if fresh:
            kept = ("e", "m") if on_repeat == "revalidate" else ("", "")
            assert await rig.rows("SELECT etag, last_modified FROM downloads WHERE job_id = 2") == [kept]
    finally:
        rig.close()


@pytest.mark.parametrize("on_repeat", ["skip", "revalidate"])
@pytest.mark.parametrize(
    ("fields", "fresh"),
    [
        (f"\tsha256={'ab' * 32}\tsize=7\ttype=png", False),
        (f"\tsha256={'cd' * 32}", True),
        ("\tsize=8", True),
        ("\ttype=jpeg", True),
    ],
    ids=["as it was", "digest", "size", "type"],
)
async def test_u18_a_line_that_asks_for_other_bytes_than_were_fetched_is_not_answered_with_them(
    tmp_path: Path, on_repeat: str, fields: str, fresh: bool
) -> None:
    rig = Rig(tmp_path, on_repeat=on_repeat)
    await rig.open()
    try:
        rig.path.write_text(lines(1).rstrip("\n") + "\ttype=png\n")
        await rig.read()
        fetched = f"UPDATE downloads SET etag = 'e', size_bytes = 7, sha256 = '{'ab' * 32}'"
        await rig.catalog.write(lambda session: session.connection.execute(fetched).fetchall())
        await rig.end(1, "published", reason=None)
        with rig.path.open("a") as file:
            file.write(lines(1).rstrip("\n") + fields + "\n")
        rig.start()
        await rig.read()
        jobs = await rig.rows("SELECT job_id, etag FROM downloads WHERE job_id > 1")
        if on_repeat == "skip":
            assert jobs == ([(2, "")] if fresh else [])
        else:  # What the host calls unchanged would not be looked at.
            assert jobs == [(2, "" if fresh else "e")]
    finally:
        rig.close()


async def test_u07_what_is_shown_of_a_line_has_no_credentials(rig: Rig) -> None:
    rig.path.write_text("http://user:secret@example.com/1.jpg\nhttp://user:secret@[bad\n")
    await rig.read()
    assert "secret" not in str(await rig.lines()) + str(rig.facts) + str(await rig.jobs())
    assert await rig.rows("SELECT url FROM downloads") == [("http://user:secret@example.com/1.jpg",)]


async def test_u16_a_file_system_that_hangs_is_told_of_and_read_on_when_it_answers(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = threading.Event()
    look = calls.Reading.look

    def hangs(reading: calls.Reading, mark: Mark | None) -> Look:
        gate.wait(30)
        return look(reading, mark)

    monkeypatch.setattr(reach, "HANG_SECONDS", 0.05)
    monkeypatch.setattr(calls.Reading, "look", hangs)
    rig.path.write_text(lines(1))
    async with anyio.create_task_group() as group:
        group.start_soon(rig.read)
        while not rig.tail.trouble:  # noqa: ASYNC110  # What is waited for is that it is told, whoever tells.
            await anyio.sleep(0.01)
        # Others go on meanwhile: the event loop, and whoever asks the catalog.
        assert await rig.urls() == []
        assert "has not answered" in rig.tail.trouble and "share" in rig.tail.remedy and not rig.tail.quiet
        gate.set()
    assert await rig.urls() == [url(1)]
    assert rig.tail.trouble == ""
    assert [type(fact) for fact in rig.facts if isinstance(fact, DropfileTrouble | DropfileWell)] == [
        DropfileTrouble,
        DropfileWell,
    ]


# Random histories.

STEP = st.one_of(
    st.tuples(st.just("append"), st.integers(1, 4)),
    st.tuples(st.just("append to the renamed"), st.integers(1, 2)),
    st.tuples(st.just("append without newline"), st.just(1)),
    st.tuples(st.just("run"), st.integers(1, 8)),
    st.tuples(st.just("rotate"), st.booleans()),
    st.tuples(st.just("truncate"), st.integers(0, 3)),
    st.tuples(st.just("replace"), st.booleans()),
    st.tuples(st.just("die at a write"), st.tuples(st.integers(1, 3), st.booleans())),
    st.tuples(st.just("restart"), st.just(0)),
)


class History:
    """What people do to a drop-file, and which lines are owed for it."""

    def __init__(self, rig: Rig) -> None:
        self.rig = rig
        self.owed: Counter[str] = Counter()
        self.now: list[str] = []
        self.made = 0
        self.rotated = 0
        self.renamed: Path | None = None
        self.quiet_turns = 0
        self.ended = True

    def fresh(self, count: int) -> list[str]:
        self.made += count
        return [url(number) for number in range(self.made - count, self.made)]

    def append(self, count: int, *, newline: bool = True) -> None:
        text = "" if self.ended else "\n"
        found = self.fresh(count)
        text += "".join(f"{item}\n" for item in found)
        with self.rig.path.open("a") as file:
            file.write(text if newline else text.removesuffix("\n"))
        self.ended = newline
        self.now += found
        self.owed.update(found)

    def append_to_renamed(self, count: int) -> None:
        if self.renamed is not None:
            found = self.fresh(count)
            with self.renamed.open("a") as file:
                file.write("".join(f"{item}\n" for item in found))
            self.owed.update(found)
            self.quiet_turns = 0

    async def rotate(self, again: bool) -> None:
        # Of two rotations at once only one is made good: the file in the middle was never seen.
        await self.settle()
        if not self.rig.path.exists():
            return
        self.rotated += 1
        self.renamed = self.rig.path.with_name(f"urls.txt.{self.rotated}")
        if not self.ended:
            with self.rig.path.open("a") as file:
                file.write("\n")
        self.rig.path.rename(self.renamed)
        self.now, self.ended, self.quiet_turns = [], True, 0
        if again:
            self.rig.path.touch()

    async def truncate(self, count: int) -> None:
        await self.settle()  # What is cut off before it was read is lost by whoever cuts it off.
        self.now, self.ended = [], True
        self.rig.path.write_text("")
        if count:
            self.append(count)

    async def replace(self, with_old: bool) -> None:
        await self.settle()
        aside = self.rig.path.with_name("aside")
        self.now = (self.now if with_old else []) + self.fresh(1)
        aside.write_text("".join(f"{item}\n" for item in self.now))
        aside.replace(self.rig.path)
        self.renamed, self.ended = None, True
        self.owed.update(self.now)

    async def run(self, turns: int) -> None:
        # A renamed file that nobody wrote to for quiet_seconds is done with; what comes later is not read.
        self.quiet_turns += turns
        if (self.quiet_turns + 1) * POLL_SECONDS >= QUIET_SECONDS:
            self.renamed = None
        try:
            await self.rig.read(turns=turns)
        except Killed:
            self.restart()

    def restart(self) -> None:
        self.rig.tail.close()  # Its thread goes with the process; here the file would stay open.
        self.rig.mortal.dies_at = 0
        self.rig.start()

    async def settle(self) -> None:
        """All is read, and the reader has met the file that is at the path."""
        self.rig.mortal.dies_at = 0
        await self.rig.read(lambda: self.rig.tail.quiet, turns=500)
        self.renamed = None

    async def step(self, what: str, how: object) -> None:
        match what, how:
            case "append", int(count):
                self.append(count)
            case "append without newline", _:
                self.append(1, newline=False)
                await self.settle()
            case "append to the renamed", int(count):
                self.append_to_renamed(count)
            case "run", int(turns):
                await self.run(turns)
            case "rotate", bool(again):
                await self.rotate(again)
            case "truncate", int(count):
                await self.truncate(count)
            case "replace", bool(with_old):
                await self.replace(with_old)
            case "die at a write", (int(number), bool(after)):
                self.rig.mortal.dies_at, self.rig.mortal.after_commit = number, after
            case "restart", _:
                self.restart()


async def _live(steps: list[tuple[str, object]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        rig = Rig(Path(folder))
        await rig.open()
        try:
            history = History(rig)
            for what, how in steps:
                await history.step(what, how)
            await history.settle()
            assert Counter(await rig.urls()) == history.owed
            assert Counter(row[1] for row in await rig.jobs()) == Counter(set(history.owed))
        finally:
            rig.close()


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(STEP, max_size=14))
def test_u16_every_line_once_in_random_histories(steps: list[tuple[str, object]]) -> None:
    anyio.run(_live, steps)


@pytest.mark.long
@settings(max_examples=600, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(STEP, max_size=40))
def test_u16_every_line_once_in_long_random_histories(steps: list[tuple[str, object]]) -> None:
    anyio.run(_live, steps)
