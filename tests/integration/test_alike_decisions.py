"""What a picture resembles, decided inside the commit: exact whatever the index has read, and only where it counts."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bench.cycles import INBOX
from dropmill.files.naming import name_for
from dropmill.model.bearing import Bearing, Changed
from dropmill.model.duplicates import Policies, Policy
from dropmill.model.file import Signature
from dropmill.model.fingerprint import Content, Looks, Window
from dropmill.model.image import Picture
from dropmill.model.inbox import Inbox
from dropmill.model.job import FoundBy, Job, NewJob
from dropmill.model.resemblance import Neighbour, Neighbours, hamming
from dropmill.model.verdict import Decided
from dropmill.model.work import Processed, Rendered
from dropmill.observe.clock import SystemClock
from dropmill.store import boot, likeness, pairs, preferences, queue, windows
from dropmill.store.catalog import Catalog, catalog_path
from dropmill.store.connection import Session
from dropmill.store.engine import CatalogDecisions

pytestmark = pytest.mark.anyio

HASH = 0x1234_5678_9ABC_DEF0
NEAR, SIMILAR, FAR = 0b11, 0b1111_1111, 0xFFFF
NOTHING_READ = Neighbours((), 0)
NEAR_SKIPPED = Policies(near=Policy.SKIP)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Bench:
    """Commits pictures that differ in the bits that they are given."""

    def __init__(self, catalog: Catalog) -> None:
        self.catalog = catalog
        self.decisions = CatalogDecisions(catalog, SystemClock(), name_for)
        self.inbox: Inbox = replace(INBOX, archive=None, on_success="archive", policies=NEAR_SKIPPED)
        self.drops = 0

    async def drop(self, name: str) -> Job:
        self.drops += 1
        new = NewJob("in", name.encode(), Signature(1, self.drops, 10, 5, 5), FoundBy.EVENT, 0, 0, 3)

        def claimed(session: Session) -> Job:
            queue.enqueue(session, 1, [new], 0)
            return queue.claim(session, "boot-1", ["in"], 1, idle=True, now_ms=0)[0]

        return await self.catalog.write(claimed)

    def result(self, job: Job, bits: int, **changes: Any) -> Processed:
        digest = f"{bits:064x}"
        looks = Looks(
            HASH ^ bits, HASH ^ bits, 3, "0" * 64, changes.pop("texture", 50.0), windows=changes.pop("windows", None)
        )
        staged = Rendered("large", 1, f"{job.id}-{job.epoch}-large", 5, digest, 100, 16, 12, "jpeg")
        picture = Picture("jpeg", changes.pop("width", 40), 30, "RGB")
        return Processed(Content(digest, digest), looks, picture, (staged,), **changes)

    async def commit(
        self, name: str, bits: int, neighbours: Neighbours | None = NOTHING_READ, **changes: Any
    ) -> tuple[Any, dict[str, Any]]:
        """The decision, and what the job says of resemblance."""
        job = await self.drop(name)
        result = self.result(job, bits, **changes)
        decided = await self.decisions.conclude(job, self.inbox, result, {}, neighbours)
        row = await self.catalog.read(lambda session: session.one("job_get", id=job.id))
        assert row is not None
        return decided, likeness.from_json(row["resemblance"])


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    opened = Catalog(catalog_path(str(tmp_path)))
    await opened.write(lambda session: boot.begin(session, "boot-1", 1, "0", 0))
    for name in ("in", "out"):
        await opened.write(lambda session, name=name: boot.put_root(session, "inbox", name, b"/" + name.encode()))
    yield Bench(opened)
    opened.close()


def outcome(decided: Any) -> tuple[str, str | None, str]:
    assert isinstance(decided, Decided)
    return decided.outcome.value, decided.tier, decided.policy.value


async def test_what_the_index_has_not_read_yet_is_found_in_the_transaction(bench: Bench) -> None:
    await bench.commit("a.jpg", 0)
    decided, told = await bench.commit("b.jpg", NEAR, width=20)
    assert outcome(decided) == ("duplicate", "near", "skip")
    assert told["resembles"] == [
        {"path": "/in/a.jpg", "job": 1, "tier": "near", "phash_distance": 2, "dhash_distance": 2, "size": "smaller"}
    ]


async def test_what_the_index_has_found_is_believed_and_completed(bench: Bench) -> None:
    first, _ = await bench.commit("a.jpg", 0)
    read = Neighbours((Neighbour(first.image_id, "hash", 2, 2),), first.image_id)
    decided, _ = await bench.commit("b.jpg", NEAR, read)
    assert outcome(decided) == ("duplicate", "near", "skip")
    decided, _ = await bench.commit("c.jpg", FAR, Neighbours((), first.image_id + 1))
    assert outcome(decided) == ("published", None, "off")


@pytest.mark.parametrize(
    ("bits", "tier", "policy"), [(NEAR, "near", "skip"), (SIMILAR, "similar", "flag"), (FAR, None, "off")]
)
async def test_the_distance_says_the_tier(bench: Bench, bits: int, tier: str | None, policy: str) -> None:
    await bench.commit("a.jpg", 0)
    decided, _ = await bench.commit("b.jpg", bits)
    assert outcome(decided)[1:] == (tier, policy)


async def test_thresholds_that_were_chosen_at_runtime_hold(bench: Bench) -> None:
    await bench.commit("a.jpg", 0)
    await bench.catalog.write(lambda session: preferences.put(session, "dedupe.near_phash", 0, 0))
    decided, _ = await bench.commit("b.jpg", NEAR)
    assert outcome(decided) == ("published", "similar", "flag")


@pytest.mark.parametrize("flat", [0, 1])
async def test_flat_pictures_are_never_near(bench: Bench, flat: int) -> None:
    textures = [50.0, 50.0]
    textures[flat] = 0.5
    await bench.commit("a.jpg", 0, texture=textures[0])
    decided, told = await bench.commit("b.jpg", NEAR, texture=textures[1])
    assert outcome(decided) == ("published", None, "off")
    assert told == {}


async def test_what_was_left_out_is_nothing_to_resemble(bench: Bench) -> None:
    """Near to one that is near is not near: no chains, and whoever is left out has renditions to look at."""
    await bench.commit("a.jpg", 0)
    second, _ = await bench.commit("b.jpg", 0b1111)
    third, _ = await bench.commit("c.jpg", 0b1111_1111 << 2)
    assert outcome(second)[0] == "duplicate"
    assert hamming(0b1111, 0b1111_1111 << 2) <= 8
    assert outcome(third)[0] == "published"


async def test_a_new_version_of_a_path_never_resembles_the_one_before(bench: Bench) -> None:
    bench.inbox = replace(bench.inbox, on_success="keep")
    await bench.commit("a.jpg", 0)
    decided, told = await bench.commit("a.jpg", NEAR)
    assert (outcome(decided), told) == (("published", None, "off"), {})


async def test_every_scope_is_kept_to(bench: Bench) -> None:
    await bench.commit("a.jpg", 0)
    bench.inbox = replace(bench.inbox, recipe_digest="another")
    decided, _ = await bench.commit("b.jpg", NEAR)
    assert outcome(decided)[0] == "published"
    bench.inbox = replace(bench.inbox, recipe_digest="a third", dedupe_scope="global")
    decided, _ = await bench.commit("c.jpg", NEAR << 2)
    assert outcome(decided)[0] == "duplicate"


async def test_pairs_are_kept_of_all_that_is_near_and_what_was_not_compared_is_remembered(bench: Bench) -> None:
    bench.inbox = replace(bench.inbox, policies=Policies())
    first, _ = await bench.commit("a.jpg", 0)
    second, _ = await bench.commit("b.jpg", NEAR)
    third, told = await bench.commit("c.jpg", NEAR << 2, None)
    assert (outcome(third), told) == (("published", None, "off"), {})
    found = await bench.catalog.read(lambda session: pairs.of_images(session, [first.image_id, second.image_id]))
    assert [(pair.a, pair.b, pair.phash_distance) for pair in found] == [(first.image_id, second.image_id, 2)]
    left = await bench.catalog.read(lambda session: [row["id"] for row in pairs.uncompared(session, 10)])
    assert left == [third.image_id]


async def test_what_is_looked_for_loosely_is_compared_again_after_its_commit(bench: Bench) -> None:
    """The transaction itself sees nothing turned or cut that was committed since the index was asked."""
    window = (Window(1, 2, "0" * 64),)
    first, _ = await bench.commit("a.jpg", 0, windows=window)
    second, _ = await bench.commit("b.jpg", FAR, windows=window)
    duplicate, _ = await bench.commit("c.jpg", NEAR, windows=window)
    assert duplicate.outcome.value == "duplicate"
    left = await bench.catalog.read(lambda session: pairs.uncompared(session, 10))
    assert [row["id"] for row in left] == [first.image_id, second.image_id, second.image_id + 1]
    kept = await bench.catalog.read(lambda session: windows.of_images(session, [row["id"] for row in left]))
    assert kept == {row["id"]: window for row in left}


async def test_what_is_left_out_is_catalogued_by_itself_and_held_where_it_is(bench: Bench) -> None:
    bench.inbox = replace(bench.inbox, on_success="keep")
    first, _ = await bench.commit("a.jpg", 0)
    await bench.commit("b.jpg", NEAR)

    def read(session: Session) -> list[tuple[bytes, str]]:
        return session.connection.execute(
            "SELECT h.rel, i.sha256 FROM holdings AS h JOIN images AS i ON i.id = h.image_id ORDER BY h.rel"
        ).fetchall()

    held = await bench.catalog.read(read)
    assert held == [(b"a.jpg", f"{0:064x}"), (b"b.jpg", f"{NEAR:064x}")]
    again, _ = await bench.commit("b.jpg", NEAR)
    assert outcome(again)[0] == "unchanged"
    assert again.image_id == first.image_id


async def test_a_copy_has_to_keep_away_from_what_was_committed_while_it_was_made(bench: Bench) -> None:
    bench.inbox = replace(bench.inbox, policies=Policies(near=Policy.UNIQUIFY))
    await bench.commit("a.jpg", 0)
    job = await bench.drop("b.jpg")
    result = bench.result(job, NEAR)
    bearing = await bench.decisions.bearing(job, bench.inbox, result.content, result.looks, {}, NOTHING_READ)
    assert isinstance(bearing, Bearing) and bearing.changes is not None
    assert bearing.changes.avoid == ((HASH, HASH),)
    too_near = Changed(("crop",), 1, 2.0, True, HASH ^ 1, HASH ^ 1)
    assert await bench.decisions.conclude(job, bench.inbox, replace(result, changed=too_near), {}, NOTHING_READ) is None
    (job,) = await bench.catalog.write(lambda session: queue.claim(session, "boot-1", ["in"], 1, idle=True, now_ms=0))
    away = Changed(("crop",), 3, 6.0, True, HASH ^ FAR, HASH ^ FAR)
    made = replace(bench.result(job, NEAR), changed=away)
    decided = await bench.decisions.conclude(job, bench.inbox, made, {}, NOTHING_READ)
    assert outcome(decided) == ("published", "near", "uniquify")
    job = await bench.drop("c.jpg")
    other = bench.result(job, NEAR << 2)
    bearing = await bench.decisions.bearing(job, bench.inbox, other.content, other.looks, {}, NOTHING_READ)
    assert bearing is not None and bearing.changes is not None
    assert (HASH ^ FAR, HASH ^ FAR) in bearing.changes.avoid
