"""Pairs become groups, in a real catalog: stars that stay what they are, and decisions that stick."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from alike_support import Library, bits
from dropmill.errors import Unavailable
from dropmill.model.errand import Compare, Compared, Errand, ErrandResult, Inspect, Inspected
from dropmill.model.keeping import KeeperRules
from dropmill.model.outcome import Reason
from dropmill.model.resemblance import Border, Evidence, Relation
from dropmill.model.work import Superseded, WorkerLost
from dropmill.store import drawing, judgements, preferences

pytestmark = pytest.mark.anyio
A = 0x0F0F_3355_0FF0_C3A5


@pytest.fixture
async def library(tmp_path: Path) -> AsyncIterator[Library]:
    made = Library(tmp_path)
    yield made
    made.close()


async def test_a_chain_of_three_never_merges_strangers(library: Library) -> None:
    """The middle one resembles both others, which do not resemble each other."""
    await library.put("a.jpg", A)
    await library.put("b.jpg", A ^ bits(*range(8)))
    await library.put("c.jpg", A ^ bits(*range(16)))
    await library.settle()
    found = list((await library.groups()).values())
    assert len(found) == 1
    assert len(found[0]) == 2
    assert "b.jpg" in found[0]


async def test_copies_of_the_same_bytes_and_of_the_same_coded_image_are_exact(library: Library) -> None:
    image, _ = await library.put("a.jpg", A, coded="same")
    await library.file(image, "a.jpg", kind="duplicates")
    await library.put("stripped.jpg", A, coded="same")
    await library.settle()
    group = await library.group()
    assert (group["tier"], group["relation"], group["members"], group["reclaimable_bytes"]) == (
        "exact",
        "identical",
        3,
        2000,
    )


async def test_hard_links_take_no_room_and_are_no_copies(library: Library) -> None:
    image = await library.image(A)
    for name in ("a.jpg", "b.jpg"):
        await library.file(image, name, ino=7)
    await library.settle()
    assert not await library.groups()
    await library.file(image, "c.jpg", ino=8)
    await library.file(image, "d.jpg", ino=8)
    await library.settle()
    group = await library.group()
    assert (group["members"], group["reclaimable_bytes"]) == (3, 1000)


async def test_groups_keep_their_ids_whatever_else_comes_and_goes(library: Library) -> None:
    await library.put("a.jpg", A)
    await library.put("b.jpg", A ^ bits(1, 2))
    await library.settle()
    before = await library.groups()
    await library.put("unrelated.jpg", ~A & (1 << 64) - 1)
    await library.settle()
    assert await library.groups() == before
    ((changed_at, count),) = await library.ask("SELECT changed_at_ms, count(*) FROM groups")
    await library.do("INSERT OR REPLACE INTO regroup (image_id) SELECT id FROM images")
    await library.settle()
    assert await library.ask("SELECT changed_at_ms, count(*) FROM groups") == [(changed_at, count)]
    # A better one takes over, and it is the same group all the same.
    await library.put("large.jpg", A, size=(4000, 3000))
    await library.settle()
    ((group_id, paths),) = (await library.groups()).items()
    assert [group_id] == list(before)
    assert paths[0] == "large.jpg"
    assert "detail" in (await library.group())["reasons"]


async def test_a_group_that_ended_comes_back_under_its_id(library: Library) -> None:
    """As after an undo: a link that somebody kept leads to it again."""
    await library.put("a.jpg", A)
    _, other = await library.put("b.jpg", A ^ bits(1, 2))
    await library.settle()
    before = await library.groups()
    (row,) = await library.ask("SELECT * FROM holdings WHERE id = ?", other)
    await library.do("DELETE FROM holdings WHERE id = ?", other)
    await library.put("c.jpg", ~A & (1 << 64) - 1)
    await library.put("d.jpg", ~A & (1 << 64) - 1)
    await library.settle()
    assert len(await library.groups()) == 1 and not before.keys() & (await library.groups()).keys()
    await library.do(f"INSERT INTO holdings VALUES ({', '.join('?' * len(row))})", *row)
    await library.settle()
    after = await library.groups()
    assert len(after) == 2 and before.items() <= after.items()


async def test_an_id_is_never_given_to_other_pictures(library: Library) -> None:
    """Whoever remembers it would decide about files that he never saw."""
    await library.put("a.jpg", A)
    _, other = await library.put("b.jpg", A ^ bits(1, 2))
    await library.settle()
    before = await library.groups()
    await library.do("DELETE FROM holdings WHERE id = ?", other)
    await library.settle()
    assert await library.groups() == {}
    await library.put("c.jpg", A ^ bits(3))
    await library.settle()
    after = await library.groups()
    assert len(after) == 1 and not before.keys() & after.keys()


async def test_a_file_that_a_batch_has_moved_is_in_no_group_until_that_is_taken_back(library: Library) -> None:
    await library.put("a.jpg", A)
    image, other = await library.put("doubtful/b.jpg", A ^ bits(1, 2))
    await library.do("INSERT INTO batches (id, action, state, created_at_ms) VALUES (1, 'move', 'done', 1)")
    await library.do(
        "INSERT INTO deeds (batch_id, group_id, action, holding_id, image_id, sha256, root_id, rel, size_bytes, keeper_root_id,"
        " keeper_rel, keeper_sha256, target_root_id, target_name, state)"
        " SELECT 1, 1, 'move', 0, ?, '', root_id, x'62', 1000, root_id, x'61', '', root_id, rel, 'done'"
        " FROM holdings WHERE id = ?",
        image,
        other,
    )
    await library.settle()
    assert not await library.groups()
    # A further copy is told beside the one that was kept.
    await library.put("c.jpg", A ^ bits(3))
    await library.settle()
    assert [sorted(paths) for paths in (await library.groups()).values()] == [["a.jpg", "c.jpg"]]
    # Somebody has moved it on: nobody has decided about it there.
    await library.do("UPDATE holdings SET rel = CAST('b.jpg' AS BLOB) WHERE id = ?", other)
    await library.settle()
    assert [sorted(paths) for paths in (await library.groups()).values()] == [["a.jpg", "b.jpg", "c.jpg"]]


async def test_a_bordered_copy_is_not_suggested_over_its_original(library: Library) -> None:
    """Which of the two came first into the catalog, and is the keeper until pixels are compared, says nothing."""
    for number, phash in enumerate((A, ~A & (1 << 64) - 1)):
        sizes = {"plain": (1200, 900), "bordered": (1320, 1020)}
        names = sorted(sizes, reverse=bool(number))
        for name in names:
            await library.put(f"{name}{number}.jpg", phash, size=sizes[name])

        def answer(errand: Errand, names: list[str] = names) -> ErrandResult:
            told = Border(names[0] == "bordered", 1200 * 900 / (1320 * 1020)).told
            return Compared(Relation.BORDERED, told) if isinstance(errand, Compare) else library.measured(errand)

        library.answer = answer
        await library.settle()
    keepers = sorted(paths[0] for paths in (await library.groups()).values())
    assert keepers == ["plain0.jpg", "plain1.jpg"]
    for (told,) in await library.ask("SELECT reasons FROM groups"):
        assert "It has no border: of another one with 1320x1020 pixels 80% are the picture." in str(told)


async def test_a_change_is_later_than_all_before_however_the_clock_is_set(library: Library) -> None:
    """Else a decision about many groups could not tell what has changed since they were looked at."""
    await library.put("a.jpg", A)
    await library.put("b.jpg", A ^ bits(1, 2))
    await library.settle()
    ahead = 99_999_999_999_999
    await library.do("UPDATE groups SET changed_at_ms = ?", ahead)
    await library.put("c.jpg", A ^ bits(3))
    await library.settle()
    assert await library.ask("SELECT members, changed_at_ms > ? FROM groups", ahead) == [(3, 1)]


async def test_a_file_that_goes_shrinks_its_group_and_a_lone_one_ends_it(library: Library) -> None:
    holdings = [(await library.put(f"{number}.jpg", A ^ bits(number)))[1] for number in range(3)]
    await library.settle()
    assert len(next(iter((await library.groups()).values()))) == 3
    await library.do("DELETE FROM holdings WHERE id = ?", holdings[2])
    await library.settle()
    assert [len(paths) for paths in (await library.groups()).values()] == [2]
    # What replaces a file takes its place, and the group goes.
    other = await library.image(~A & (1 << 64) - 1)
    await library.do(
        "INSERT OR REPLACE INTO holdings (image_id, root_id, rel, ino, size_bytes, mtime_ns, seen_at_ms) "
        "SELECT ?, root_id, rel, 99, 10, 6, 1 FROM holdings WHERE id = ?",
        other,
        holdings[1],
    )
    await library.settle()
    assert not await library.groups()
    assert await library.ask("SELECT count(*) FROM members") == [(0,)]
    assert await library.ask("SELECT coalesce(sum(groups), 0), coalesce(sum(members), 0) FROM group_counts") == [(0, 0)]


async def judge(library: Library, kind: judgements.Kind, *image_ids: int) -> None:
    digests = [await library.sha256(image_id) for image_id in image_ids]
    await library.catalog.write(lambda session: judgements.put(session, kind, *digests, now_ms=5))


async def test_what_is_different_never_shares_a_group_again(library: Library) -> None:
    """Whatever moves, is renamed, is rescanned, and at other thresholds."""
    ids = [(await library.put(f"{number}.jpg", A ^ bits(number)))[0] for number in range(3)]
    await library.settle()
    await judge(library, "different", ids[1], ids[0])
    await library.settle()

    async def apart() -> bool:
        return not any({"0.jpg", "1.jpg"} <= set(paths) for paths in (await library.groups()).values())

    assert await apart()
    assert await library.groups()
    await library.do("UPDATE holdings SET rel = CAST('moved/' || rel AS BLOB) WHERE image_id = ?", ids[2])
    await library.do("DELETE FROM holdings WHERE image_id = ?", ids[0])
    await library.settle()
    await library.file(ids[0], "0.jpg", kind="archive")
    await library.settle()
    assert await apart()
    for value in (12, 2):
        await library.catalog.write(
            lambda session, value=value: preferences.put(session, "dedupe.similar_phash", value, 1)  # type: ignore[misc]  # The default binds it.
        )
        await library.settle()
        assert await apart()


async def test_keep_both_settles_a_group_and_what_comes_later_opens_another(library: Library) -> None:
    one, _ = await library.put("a.jpg", A)
    other, _ = await library.put("b.jpg", A ^ bits(1))
    await library.settle()
    await judge(library, "both", one, other)
    await library.settle()
    assert not await library.groups()
    assert [sorted(paths) for paths in (await library.groups("settled")).values()] == [["a.jpg", "b.jpg"]]
    await library.put("c.jpg", A)
    await library.settle()
    assert all("c.jpg" in paths for paths in (await library.groups()).values())
    assert await library.groups()


async def test_copies_that_are_to_stay_are_not_offered_again(library: Library) -> None:
    image, _ = await library.put("a.jpg", A)
    await library.file(image, "b.jpg")
    await library.settle()
    await judge(library, "both", image, image)
    await library.settle()
    assert not await library.groups()
    assert await library.groups("settled")
    await judge(library, "different", image, image)
    await library.settle()
    assert not await library.groups("settled")


async def test_the_keeper_that_a_person_names_is_kept(library: Library) -> None:
    await library.put("a.jpg", A, size=(4000, 3000))
    small, _ = await library.put("b.jpg", A ^ bits(1), size=(200, 150))
    await library.settle()
    assert next(iter((await library.groups()).values()))[0] == "a.jpg"
    await judge(library, "keeper", small)
    await library.settle()
    assert next(iter((await library.groups()).values()))[0] == "b.jpg"
    assert (await library.group())["chosen"] == 1


async def test_other_thresholds_redraw_everything_and_other_keeper_rules_too(library: Library) -> None:
    await library.put("a.jpg", A)
    await library.put("b.jpg", A ^ bits(*range(8)))
    await library.settle()
    assert (await library.group())["tier"] == "similar"
    for name, value, tiers in (
        ("dedupe.similar_phash", 6, []),
        ("dedupe.similar_phash", 10, ["similar"]),
        ("dedupe.near_phash", 8, ["near"]),
    ):
        await library.catalog.write(
            lambda session, name=name, value=value: preferences.put(session, name, value, 1)  # type: ignore[misc]  # The defaults bind them.
        )
        await library.settle()
        assert [row[0] for row in await library.ask("SELECT tier FROM groups")] == tiers
    first = next(iter((await library.groups()).values()))[0]
    other = "b.jpg" if first == "a.jpg" else "a.jpg"
    await library.do("UPDATE holdings SET rel = CAST('good/' || rel AS BLOB) WHERE rel = ?", other.encode())
    await library.settle()
    await library.catalog.write(
        lambda session: preferences.put(session, "keeper.prefer_folders", ["/srv/inbox/camera/good"], 1)
    )
    await library.settle()
    assert next(iter((await library.groups()).values()))[0] == f"good/{other}"


async def test_less_texture_that_is_believed_has_pictures_compared_that_were_not(library: Library) -> None:
    await library.put("a.jpg", A, texture=5.0)
    await library.put("b.jpg", A ^ bits(1, 2), texture=5.0)
    await library.settle()
    assert not await library.groups()
    await library.catalog.write(lambda session: preferences.put(session, "dedupe.min_texture", 2.0, 1))
    await library.settle()
    assert len(await library.groups()) == 1


async def test_flat_pictures_are_a_pair_only_where_every_pixel_is_the_same(library: Library) -> None:
    pixels = {b"one.png": "same", b"two.png": "same", b"other.png": "another"}
    for rel in pixels:
        await library.put(rel.decode(), 0, texture=0.5)
    await library.put("smaller.png", 0, texture=0.5, size=(80, 60))

    def answer(errand: Errand) -> ErrandResult:
        assert isinstance(errand, Inspect)
        return Inspected(Evidence(pixels[errand.rel], 800, 600, 800, 600, 0.5, 0, 0, 0, ""))

    library.answer = answer
    await library.settle()
    assert [sorted(paths) for paths in (await library.groups()).values()] == [["one.png", "two.png"]]
    group = await library.group()
    assert (group["tier"], group["relation"]) == ("near", "identical")


async def test_a_burst_is_no_duplicate(library: Library) -> None:
    """Pictures of the same scene form groups of their own, and only of what resembles nothing more."""
    await library.put("a.jpg", A)
    await library.put("frame.jpg", A ^ bits(*range(6)))
    library.answer = lambda errand: (
        Compared(Relation.BURST) if isinstance(errand, Compare) else library.measured(errand)
    )
    await library.settle()
    assert (await library.group())["relation"] == "burst"
    library.answer = library.measured
    await library.put("smaller.jpg", A ^ bits(60), size=(400, 300))
    await library.settle()
    assert [set(paths) for paths in (await library.groups()).values()] == [{"a.jpg", "smaller.jpg"}]


async def test_what_cannot_be_measured_is_left_at_that_until_another_file_holds_it(library: Library) -> None:
    lost, _ = await library.put("a.jpg", A)
    await library.put("b.jpg", A ^ bits(1))

    def answer(errand: Errand) -> ErrandResult | WorkerLost:
        if isinstance(errand, Inspect) and errand.rel == b"a.jpg":
            return WorkerLost(Reason.WORKER_CRASHED, "killed by signal 11")
        return library.measured(errand)

    library.answer = answer
    await library.settle()
    assert (await library.group())["relation"] == "unknown"
    assert await library.ask("SELECT reason FROM evidence WHERE image_id = ?", lost) == [("worker-crashed",)]
    asked = len(library.errands)
    await library.settle()
    assert len(library.errands) == asked
    await library.file(lost, "copy.jpg", kind="archive")
    library.answer = lambda errand: (
        Superseded() if isinstance(errand, Inspect) and errand.rel == b"a.jpg" else library.measured(errand)
    )
    await library.settle()
    assert await library.ask("SELECT reason FROM evidence WHERE image_id = ?", lost) == [("",)]
    assert await library.ask("SELECT relation FROM pairs") == [("re-encoded",)]


async def test_images_wait_for_the_index_and_nothing_is_lost(library: Library) -> None:
    library.index.away = True
    await library.put("a.jpg", A)
    await library.put("b.jpg", A ^ bits(1))
    with pytest.raises(Unavailable):
        await library.comparer.turn()
    assert await library.ask("SELECT count(*) FROM uncompared") == [(2,)]
    library.index.away = False
    await library.settle()
    assert len(await library.groups()) == 1


async def test_a_wish_made_while_groups_are_drawn_is_not_taken_away(library: Library) -> None:
    image, _ = await library.put("a.jpg", A)
    await library.put("b.jpg", A ^ bits(1))
    await library.comparer.turn()
    seen = await library.catalog.read(lambda session: drawing.component(session, [image], 100))
    await library.do("DELETE FROM holdings WHERE image_id = ?", image)
    await library.catalog.write(lambda session: drawing.apply(session, seen, [image], [], 5))
    assert await library.ask("SELECT image_id FROM regroup") == [(image,)]


async def test_keeper_rules_are_those_of_the_configuration(tmp_path: Path) -> None:
    library = Library(tmp_path, rules=KeeperRules(prefer_folders=(b"/srv/inbox/camera/best",)))
    try:
        await library.put("a.jpg", A)
        await library.put("best/z.jpg", A ^ bits(1))
        await library.settle()
        assert next(iter((await library.groups()).values()))[0] == "best/z.jpg"
    finally:
        library.close()
