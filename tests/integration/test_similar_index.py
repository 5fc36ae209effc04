"""The process of the index: it follows the catalog, comes back when it is killed, and never answers from the past."""

from __future__ import annotations

import os
import random
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest

from dropmill.errors import Unavailable
from dropmill.model.fingerprint import Looks, Window
from dropmill.model.resemblance import Neighbour
from dropmill.observe.clock import SystemClock
from dropmill.observe.facts import Fact, IndexAnswered, IndexLost, IndexReady
from dropmill.similarity.client import IndexClient
from dropmill.similarity.turns import TURNS, turned_dhash, turned_phash, turned_phash256
from dropmill.store import windows
from dropmill.store.catalog import Catalog, catalog_path
from dropmill.store.connection import Session
from hashed import Hashed, looks, put_images

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def catalog(tmp_path: Path) -> AsyncIterator[Catalog]:
    opened = Catalog(catalog_path(str(tmp_path)))
    yield opened
    opened.close()


@asynccontextmanager
async def index_of(
    catalog: Catalog, hear: Callable[[Fact], None], *, turned: bool = False
) -> AsyncIterator[IndexClient]:
    client = IndexClient(catalog, SystemClock(), hear, turned=turned)
    try:
        yield client
    finally:
        await client.close()


def _deaf(_fact: Fact) -> None:
    """For tests that ask for nothing but answers."""


async def put(catalog: Catalog, *images: Hashed) -> None:
    await catalog.write(lambda session: put_images(session.connection, images))


async def nearest(client: IndexClient, phash: int, dhash: int = 0) -> list[tuple[int, int, int]]:
    [answer] = await client.neighbours([looks(phash, dhash)])
    return [(found.image_id, found.phash_distance, found.dhash_distance) for found in answer.found]


async def test_it_starts_when_it_is_first_needed_and_tells_what_it_costs(catalog: Catalog) -> None:
    facts: list[Fact] = []
    async with index_of(catalog, facts.append) as client:
        assert client.stats().state == "idle"
        await put(catalog, (1, 0b0111, 0b1), (2, 0b0001, 0b11), (3, (1 << 64) - 1, 0))
        assert await nearest(client, 0) == [(2, 1, 2), (1, 3, 1)]
        stats = client.stats()
        assert (stats.state, stats.images, stats.trouble) == ("ready", 3, "")
        assert 1 << 20 < stats.memory_bytes < 120 << 20
        assert [type(fact) for fact in facts] == [IndexReady, IndexAnswered]
        pid = stats.pid
        assert pid is not None
    assert client.stats().state == "idle"
    assert not os.path.exists(f"/proc/{pid}")
    with pytest.raises(Unavailable):
        await client.neighbours([looks(0, 0)])


async def test_it_sees_what_was_added_hashed_anew_and_removed_before_each_answer(catalog: Catalog) -> None:
    async with index_of(catalog, _deaf) as client:
        assert await nearest(client, 0) == []
        await put(catalog, (1, 0, 0), (2, 0b11, 0))
        [answer] = await client.neighbours([looks(0, 0)])
        assert [found.image_id for found in answer.found] == [1, 2]
        assert answer.upto == 2
        await catalog.write(lambda session: session.connection.execute("UPDATE images SET phash = 1 WHERE id = 1"))
        assert await nearest(client, 0) == [(1, 1, 0), (2, 2, 0)]
        await catalog.write(lambda session: session.connection.execute("DELETE FROM images WHERE id = 1"))
        assert await nearest(client, 0) == [(2, 2, 0)]
        # The newest is removed, and its number given to another image.
        await catalog.write(lambda session: session.connection.execute("DELETE FROM images WHERE id = 2"))
        assert await nearest(client, 0) == []
        await put(catalog, (2, 0b1111, 0b1))
        assert await nearest(client, 0) == [(2, 4, 1)]
        assert client.stats().images == 1


async def test_its_answers_are_those_of_a_comparison_with_every_image(catalog: Catalog) -> None:
    """Under additions, changes and removals in lots, asked in lots."""
    chance = random.Random(5)
    images: dict[int, tuple[int, int]] = {}

    def near(value: int, bits: int) -> int:
        for bit in chance.sample(range(64), bits):
            value ^= 1 << bit
        return value

    async with index_of(catalog, _deaf) as client:
        for _ in range(6):
            fresh = {}
            for _ in range(300):
                phash, dhash = chance.getrandbits(64), chance.getrandbits(64)
                if images and chance.random() < 0.7:
                    phash, dhash = chance.choice(list(images.values()))
                    phash, dhash = near(phash, chance.randrange(15)), near(dhash, chance.randrange(15))
                fresh[max(images, default=0) + len(fresh) + 1] = (phash, dhash)
            await put(catalog, *((image_id, *hashes) for image_id, hashes in fresh.items()))
            images |= fresh
            gone = chance.sample(list(images), 40)

            def remove(session: Session, gone: list[int] = gone) -> None:
                session.connection.executemany("DELETE FROM images WHERE id = ?", [(image,) for image in gone])

            await catalog.write(remove)
            for image in gone:
                del images[image]
            asked = [chance.choice(list(images.values())) for _ in range(120)]
            answers = await client.neighbours([looks(*hashes) for hashes in asked])
            for (phash, dhash), answer in zip(asked, answers, strict=True):
                every = (
                    Neighbour(number, "hash", (phash ^ other).bit_count(), (dhash ^ shade).bit_count())
                    for number, (other, shade) in images.items()
                )
                expected = [one for one in every if one.phash_distance <= 12 and one.dhash_distance <= 12]
                expected.sort(key=lambda one: (one.phash_distance, one.dhash_distance, one.image_id))
                assert list(answer.found) == expected
            assert client.stats().images == len(images)


async def test_killed_it_comes_back_at_the_next_question(catalog: Catalog) -> None:
    facts: list[Fact] = []
    await put(catalog, (1, 0, 0))
    async with index_of(catalog, facts.append) as client:
        assert await nearest(client, 0) == [(1, 0, 0)]
        first = client.stats().pid
        assert first is not None
        os.kill(first, signal.SIGKILL)
        await put(catalog, (2, 1, 0))
        assert await nearest(client, 0) == [(1, 0, 0), (2, 1, 0)]
        assert client.stats().pid not in {None, first}
    lost = [fact for fact in facts if isinstance(fact, IndexLost)]
    assert [fact.rest_seconds for fact in lost] == [0.0]


async def test_killed_it_comes_back_though_nobody_asks(catalog: Catalog) -> None:
    pids: list[int] = []
    again = anyio.Event()

    def hear(fact: Fact) -> None:
        if isinstance(fact, IndexReady):
            pids.append(fact.pid)
            if len(pids) == 2:
                again.set()

    async with index_of(catalog, hear) as client, anyio.create_task_group() as tasks:
        tasks.start_soon(client.run)
        await nearest(client, 0)
        os.kill(pids[0], signal.SIGKILL)
        with anyio.fail_after(60):
            await again.wait()
        assert client.stats().pid == pids[1] != pids[0]
        tasks.cancel_scope.cancel()


async def test_stopped_in_the_middle_of_an_answer_it_is_given_another_process(
    catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dropmill.similarity.client.ANSWER_SECONDS", 3.0)
    facts: list[Fact] = []
    await put(catalog, (1, 0, 0))
    async with index_of(catalog, facts.append) as client:
        await nearest(client, 0)
        pid = client.stats().pid
        assert pid is not None
        os.kill(pid, signal.SIGSTOP)
        assert await nearest(client, 0) == [(1, 0, 0)]
        assert not os.path.exists(f"/proc/{pid}")
    assert "did not answer" in next(fact.detail for fact in facts if isinstance(fact, IndexLost))


async def test_what_cannot_start_is_told_with_its_last_words_and_rests_longer_each_time(
    catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "dropmill.similarity.client._command", lambda *_: ["sh", "-c", "echo no numpy here >&2; exit 3"]
    )
    facts: list[Fact] = []
    async with index_of(catalog, facts.append) as client:
        for _ in range(2):
            with pytest.raises(Unavailable, match="no numpy here"):
                await nearest(client, 0)
        stats = client.stats()
        assert (stats.state, stats.pid) == ("down", None)
        # The second loss is followed by a rest, in which nothing is started.
        with pytest.raises(Unavailable, match="no numpy here"):
            await nearest(client, 0)
    assert [fact.rest_seconds for fact in facts if isinstance(fact, IndexLost)] == [0.0, 1.0]


async def test_a_question_that_is_given_up_leaves_its_answer_to_nobody(catalog: Catalog) -> None:
    await put(catalog, (1, 0, 0), (2, (1 << 64) - 1, 0))
    async with index_of(catalog, _deaf) as client:
        await nearest(client, 0)
        for _ in range(20):
            with anyio.move_on_after(0):
                await nearest(client, 0)
            assert await nearest(client, (1 << 64) - 1) == [(2, 0, 0)]


async def test_turned_and_mirrored_pictures_are_found_where_that_is_wanted(catalog: Catalog) -> None:
    """The larger phash has to bear it out; of quarter turns it stands for the dhash, too."""
    phash, dhash = 0x9F3C_6A51_0E77_B2D4, 0x1357_9BDF_0246_8ACE
    phash256 = f"{random.Random(8).getrandbits(256):064x}"
    other = f"{random.Random(9).getrandbits(256):064x}"
    images = [(at, turned_phash(phash, turn), turned_dhash(dhash, turn) or at) for at, turn in enumerate(TURNS, 1)]
    strangers = [(at + len(TURNS), *hashes) for at, *hashes in images]
    await put(catalog, *images, *strangers)

    def tell_larger(session: Session) -> None:
        larger = [turned_phash256(phash256, turn) for turn in TURNS] + [other] * len(strangers)
        rows = [(hexadecimal, at) for at, hexadecimal in enumerate(larger, 1)]
        session.connection.executemany("UPDATE images SET phash256 = ? WHERE id = ?", rows)

    await catalog.write(tell_larger)
    asked = Looks(phash, dhash, 0, phash256, 50.0)
    async with index_of(catalog, _deaf) as plain, index_of(catalog, _deaf, turned=True) as loose:
        assert [list(answer.found) for answer in await plain.neighbours([asked])] == [[]]
        [answer] = await loose.neighbours([asked])
        expected = [Neighbour(image_id, "turned", 0, 0) for image_id in range(1, len(TURNS) + 1)]
        assert list(answer.found) == expected


async def test_a_part_meets_the_whole_of_another_whichever_is_asked_about(catalog: Catalog) -> None:
    whole, part, other = (random.Random(seed).getrandbits(64) for seed in range(3))
    larger = f"{0:064x}"
    await put(catalog, (1, whole, whole), (2, other, other))
    given = [Window(part, part, larger), Window(part ^ 0b111, part, larger)]

    async def cut(image_id: int, *parts: Window) -> None:
        looks = Looks(0, 0, 0, larger, 50.0, 1, parts)
        await catalog.write(lambda session: windows.put(session, image_id, looks))

    async def meets(client: IndexClient, phash: int, *parts: Window) -> list[Neighbour]:
        [answer] = await client.neighbours([Looks(phash, phash, 0, larger, 50.0, windows=parts)])
        return [one for one in answer.found if one.how == "window"]

    await cut(1, *given)
    async with index_of(catalog, _deaf) as plain, index_of(catalog, _deaf, turned=True) as loose:
        assert await meets(plain, part) == []
        assert plain.stats().window_bytes == 0
        met = [Neighbour(1, "window", 1, 1)]
        assert await meets(loose, part ^ 1) == met
        assert loose.stats().memory_bytes > loose.stats().window_bytes > 0
        # The other way round: it is asked what a part of this one is like.
        assert await meets(loose, part, Window(whole ^ 1, whole ^ 1, larger)) == [Neighbour(1, "window", 0, 0)]
        assert await meets(loose, 0, Window(whole ^ 1, whole ^ 1, larger)) == met
        [upright] = await loose.neighbours([looks(part, part)])
        assert list(upright.found) == []
        # Hashed anew, and removed.
        await cut(1, Window(other, other, larger))
        await put(catalog, (3, 0, 0))
        await cut(3, *given)
        assert await meets(loose, part) == [Neighbour(3, "window", 0, 0)]
        assert await meets(loose, other) == [Neighbour(1, "window", 0, 0)]
        await catalog.write(lambda session: session.connection.execute("DELETE FROM images WHERE id = 3"))
        assert await meets(loose, part) == []
