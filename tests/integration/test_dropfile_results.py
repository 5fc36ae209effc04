"""The results file beside a drop-file: one line for each end of each line, also across deaths at any moment."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from dropfile_rig import Killed, Rig
from dropmill.fetch.results import result_line
from dropmill.files import dropfile as calls
from dropmill.observe.facts import DropfileTrouble, DropfileWell, ResultsTold
from dropmill.store import queue
from dropmill.store.connection import Session
from dropmill.store.dropfiles import Rendition, Result
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


async def taken(rig: Rig, count: int) -> None:
    rig.path.write_text("".join(f"{url(number)}\tlabel {number}\n" for number in range(1, count + 1)))
    await rig.read()


async def publish(rig: Rig, job_id: int, state: str = "visible") -> None:
    """The job has put out two renditions, which are in that state."""
    image = (
        "INSERT INTO images VALUES (NULL, ?, '', 1, 0, 0, 0, '', 0.0, 'jpeg', 1, 1, 'RGB', 1, 0, 1, '', '', '', '', 1, 0)"
        " RETURNING id"
    )
    rendition = (
        "INSERT INTO publications (job_id, image_id, output_id, recipe, rendition, page, staged_name, ino, sha256,"
        " size_bytes, width, height, format, final_name, final_key, state, visible_at_ms)"
        " VALUES (?, ?, ?, '', ?, 1, '', 1, '', 1, 1, 1, 'jpeg', ?, ?, ?, NULL)"
    )

    def put(session: Session) -> None:
        run = session.connection.execute
        image_id = run(image, (f"{job_id:064x}",)).fetchall()[0][0]
        for name in ("large", "thumb"):
            final = f"{job_id}-{name}.jpg"
            run(rendition, (job_id, image_id, rig.inbox.output.id, name, final.encode(), final, state)).fetchall()
        run("UPDATE jobs SET image_id = ? WHERE id = ?", (image_id, job_id)).fetchall()

    await rig.catalog.write(put)


async def test_what_came_of_each_line_is_told_in_order_of_its_end(rig: Rig) -> None:
    rig.path.write_text(f"{url(1)}\tcats\nnonsense\n{url(2)}\n{url(1)}#again\tdogs\n")
    await rig.read()
    await rig.tell()
    assert rig.told() == [
        {
            "line": 2,
            "url": "nonsense",
            "outcome": "refused",
            "reason": "bad-url",
            "detail": "it begins with no scheme such as https://",
            "at": rig.told()[0]["at"],
            "id": 2,
        }
    ]
    rig.clock.now += 10
    await rig.end(2)
    await rig.tell()
    rig.clock.now += 10
    await publish(rig, 1)
    await rig.end(1, "published", reason=None)
    await rig.tell()
    first, second, third = rig.told()[1:]
    assert (first["line"], first["outcome"], first["reason"], first["job"]) == (3, "discarded", "http-404", 2)
    assert (second["line"], second["outcome"], second["label"], second["sha256"]) == (1, "published", "cats", "ab" * 32)
    assert second["renditions"] == [
        {"name": "large", "path": "/out/1-large.jpg"},
        {"name": "thumb", "path": "/out/1-thumb.jpg"},
    ]
    assert (third["line"], third["label"], third["job"], third["renditions"]) == (4, "dogs", 1, second["renditions"])
    assert first["at"] < second["at"] and second["at"].endswith("Z")
    assert await rig.results.finished()
    assert sum(fact.lines for fact in rig.facts if isinstance(fact, ResultsTold)) == 4


async def test_pages_are_told_where_a_picture_has_several() -> None:
    def pages_of(*pages: int) -> list[int | None]:
        renditions = tuple(Rendition("large", page, b"/out/x.jpg") for page in pages)
        result = Result(1, 1, url(1), "", "published", None, "", 1, "", renditions, 0)
        return [one.get("page") for one in json.loads(result_line(result))["renditions"]]

    assert pages_of(1) == [None]
    assert pages_of(1, 2) == [1, 2]


async def test_nothing_is_told_before_its_renditions_can_be_seen(rig: Rig) -> None:
    await taken(rig, 1)
    await publish(rig, 1, "owed")
    await rig.end(1, "published", reason=None)
    await rig.tell()
    assert rig.told() == []
    await rig.catalog.write(
        lambda session: session.connection.execute("UPDATE publications SET state = 'visible'").fetchall()
    )
    assert not await rig.results.finished()
    await rig.tell()
    assert [item["outcome"] for item in rig.told()] == ["published"]


async def test_a_rendition_that_was_given_up_is_told(rig: Rig) -> None:
    await taken(rig, 1)
    await publish(rig, 1, "failed")
    await rig.end(1, "published", reason=None)
    await rig.tell()
    assert [(item["reason"], "renditions" in item) for item in rig.told()] == [("publish-failed", False)]


async def test_a_job_that_is_taken_up_again_has_another_end_which_is_told_too(rig: Rig) -> None:
    await taken(rig, 1)
    await rig.end(1)
    await rig.tell()
    await rig.catalog.write(
        lambda session: session.connection.execute("UPDATE jobs SET state = 'available', reason = NULL").fetchall()
    )
    await rig.tell()
    assert len(rig.told()) == 1
    rig.clock.now += 1
    await rig.end(1, "published", reason=None)
    await rig.tell()
    assert [item["outcome"] for item in rig.told()] == ["discarded", "published"]


@pytest.mark.parametrize("deaths", [1, 2, 3])
@pytest.mark.parametrize("after_commit", [False, True])
async def test_u16_each_result_is_told_once_also_across_sigkill(rig: Rig, deaths: int, after_commit: bool) -> None:
    await taken(rig, 3)
    for job_id in (1, 2, 3):
        await rig.end(job_id)
        died = 0
        for _ in range(deaths):
            rig.mortal.dies_at, rig.mortal.after_commit = 1, after_commit
            try:
                await rig.tell()
            except Killed:
                died += 1
                rig.start()
        assert died >= 1
        rig.mortal.dies_at = 0
        await rig.tell()
    assert [item["line"] for item in rig.told()] == [1, 2, 3]


@pytest.mark.parametrize(("kept", "zeros"), [(0, 0), (1, 0), (40, 0), (-1, 0), (0, 9), (4, 100), (40, 9)])
async def test_u16_a_line_that_was_torn_by_a_kill_is_cut_off_and_written_again(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, kept: int, zeros: int
) -> None:
    """``zeros``: of a size that a power failure let stand while the data behind it were lost."""
    await taken(rig, 3)
    await rig.end(1)
    await rig.tell()
    whole = rig.results_path.read_bytes()
    await rig.end(2)
    await rig.end(3)

    def torn(fd: int, data: bytes) -> None:
        first = data.index(b"\n") + 1
        os.write(fd, data[: first + kept if kept >= 0 else -1] + b"\0" * zeros)
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(calls, "write_all", torn)
        with pytest.raises(Killed):
            await rig.tell()
    assert rig.results_path.read_bytes().startswith(whole)
    rig.start()
    await rig.tell()
    assert rig.results_path.read_bytes().startswith(whole)
    assert sorted(item["line"] for item in rig.told()) == [1, 2, 3]


@pytest.mark.parametrize("running", [False, True])
@pytest.mark.parametrize("how", ["removed", "renamed", "emptied"])
async def test_a_results_file_that_was_rotated_is_begun_anew(rig: Rig, running: bool, how: str) -> None:
    await taken(rig, 4)
    await rig.end(1)
    await rig.end(2)
    await rig.tell()
    match how:
        case "removed":
            rig.results_path.unlink()
        case "renamed":
            rig.results_path.rename(rig.results_path.with_suffix(".1"))
        case "emptied":
            os.truncate(rig.results_path, 0)
    if not running:
        rig.start()
    await rig.end(3)
    # A death between writing and committing, in the new file.
    rig.mortal.dies_at, rig.mortal.after_commit = 2, False
    with pytest.raises(Killed):
        await rig.tell()
    rig.start()
    await rig.end(4)
    await rig.tell()
    assert [item["line"] for item in rig.told()] == [3, 4]


async def test_what_others_wrote_into_the_results_file_stays(rig: Rig) -> None:
    await taken(rig, 2)
    rig.results_path.write_text('# mine\n{"id": "x"}\n[1]\n{"id": 1, "at": "yesterday"}\n')
    mine = rig.results_path.read_bytes()
    await rig.end(1)
    await rig.end(2)
    await rig.tell()
    told = rig.results_path.read_bytes()
    assert told.startswith(mine)
    assert [json.loads(line)["line"] for line in told[len(mine) :].splitlines()] == [1, 2]


@pytest.mark.parametrize(
    "mine", [b"no newline at its end", b"x\n{", b"\1" * (17 << 20)], ids=["text", "brace", "large"]
)
async def test_s01_nothing_of_a_file_of_somebody_else_that_is_named_for_results_is_cut_off(
    rig: Rig, mine: bytes
) -> None:
    await taken(rig, 1)
    rig.results_path.write_bytes(mine)
    await rig.end(1)
    await rig.tell()
    told = rig.results_path.read_bytes()
    if mine.endswith(b"{"):  # Just that could be a torn line of ours.
        mine = mine[:-1]
    assert told.startswith(mine)
    assert [json.loads(line)["line"] for line in told[len(mine) :].splitlines() if line] == [1]


async def test_a_results_file_that_cannot_be_written_holds_nothing_back_and_is_tried_again(rig: Rig) -> None:
    await taken(rig, 1)
    await rig.end(1)
    guard = modes_hold_for_root()
    await rig.lane.call(guard.__enter__)
    try:
        rig.results_path.touch(0)
        rig.results_path.chmod(0)
        await rig.tell()
        told = [fact for fact in rig.facts if isinstance(fact, DropfileTrouble)]
        assert len(told) == 1 and "nothing is lost" in told[0].remedy
        assert rig.results.trouble and await rig.results.finished()
        rig.results_path.chmod(0o600)
    finally:
        await rig.lane.call(guard.__exit__, None, None, None)
    await rig.tell()
    assert [item["line"] for item in rig.told()] == [1]
    assert not rig.results.trouble and any(isinstance(fact, DropfileWell) for fact in rig.facts)


@pytest.mark.parametrize("kind", ["link", "folder", "pipe"])
async def test_s01_a_results_file_that_is_none_is_not_written_to(rig: Rig, kind: str, tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.write_text("")
    match kind:
        case "link":
            rig.results_path.symlink_to(target)
        case "folder":
            rig.results_path.mkdir()
        case "pipe":
            os.mkfifo(rig.results_path)
    await taken(rig, 1)
    await rig.end(1)
    await rig.tell()
    assert rig.results.trouble
    assert target.read_text() == ""


async def test_the_results_file_has_the_modes_of_outputs(rig: Rig) -> None:
    await taken(rig, 1)
    await rig.end(1)
    await rig.tell()
    assert rig.results_path.stat().st_mode & 0o777 == 0o640


async def test_jobs_whose_end_was_not_told_are_not_forgotten(rig: Rig) -> None:
    await taken(rig, 2)
    await rig.end(1)
    await rig.tell()
    await rig.end(2)
    pruned = await rig.catalog.write(lambda session: queue.prune(session, 1 << 50, 100))
    assert (pruned.looked_at, pruned.forgotten) == (2, 1)
    await rig.tell()
    assert [item["line"] for item in rig.told()] == [1, 2]
