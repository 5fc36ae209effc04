"""Pages of groups, by every filter and sort, against going through all of them; and what a hundred thousand of them cost."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from dropmill.store import groups
from dropmill.store.catalog import Catalog
from dropmill.store.connection import Row, Session, connect
from dropmill.store.groups import Filter, Place

TIERS = ("exact", "near", "similar")
RELATIONS = ("resized", "re-encoded", "")


def filled(folder: Path, count: int, few: int = 7) -> str:
    """So many groups of two; ``few`` of them are loose, in a library and in a small folder."""
    path = str(folder / "catalog.db")
    Catalog(path).close()
    chance = random.Random(3)
    with contextlib.closing(connect(path)) as connection, connection:
        connection.execute(
            "INSERT INTO roots (kind, name, path) VALUES ('inbox', 'camera', ?), ('library', 'old', ?)",
            (b"/in", b"/lib"),
        )
        connection.executemany(
            "INSERT INTO images (id, sha256, coded_sha256, fingerprint_version, phash, dhash, ahash, phash256, texture, "
            "format, width, height, mode, frames, pages_dropped, orientation, icc, captured_at, copyright, camera, "
            "size_bytes, created_at_ms) VALUES (?, ?, '', 2, 1, 2, 3, 'c', 9, 'jpeg', 1, 1, '', 1, 0, 1, '', '', '', '', 9, 1)",
            ((number, f"{number:064x}") for number in range(1, 2 * count + 1)),
        )
        connection.executemany(
            "INSERT INTO holdings (id, image_id, root_id, rel, ino, size_bytes, mtime_ns, seen_at_ms) "
            "VALUES (?, ?, ?, ?, ?, 100, 0, 0)",
            (
                (number, number, 2 if number <= few else 1, _folder(number, few) + b"/%d.jpg" % number, number)
                for number in range(1, 2 * count + 1)
            ),
        )
        connection.executemany(
            "INSERT INTO groups (id, keeper_holding_id, keeper_image_id, tier, relation, phash_distance, members, "
            "reclaimable_bytes, roots, state, changed_at_ms) VALUES (?, ?, ?, ?, ?, ?, 2, ?, ?, 'open', ?)",
            (
                (
                    number,
                    number,
                    number,
                    "loose" if number <= few else chance.choice(TIERS),
                    chance.choice(RELATIONS),
                    chance.choice((0, 2, 4, 6)),
                    chance.randrange(50),
                    ",1,2," if number <= few else ",1,",
                    chance.randrange(50),
                )
                for number in range(1, count + 1)
            ),
        )
        connection.executemany(
            "INSERT INTO members VALUES (?, ?, ?, 'near', '', 2, 2, 2)",
            ((number, holding, holding) for number in range(1, count + 1) for holding in (number, number + count)),
        )
    return path


def _folder(number: int, few: int) -> bytes:
    return b"small" if number <= few else b"large/%d" % (number % 3)


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    path = filled(tmp_path_factory.mktemp("paged"), 400)
    with contextlib.closing(connect(path)) as connection:
        yield Session(connection)


FILTERS = {
    "all": Filter(),
    "settled": Filter(state="settled"),
    "rare tier": Filter(tier="loose"),
    "tier": Filter(tier="near"),
    "tier and relation": Filter(tier="near", relation="resized"),
    "threshold": Filter(threshold=2),
    "inbox": Filter(places=(Place(1),)),
    "library": Filter(places=(Place(2),)),
    "nowhere": Filter(places=()),
    "small folder": Filter(places=(Place(2, b"small"),)),
    "large folder": Filter(places=(Place(1, b"large"),)),
    "part of a name": Filter(places=(Place(1, b"larg"),)),
    "folder and root": Filter(tier="near", places=(Place(1, b"large/1"), Place(2))),
}


def fits(session: Session, row: Row, wanted: Filter) -> bool:
    """By the files themselves."""
    if not (
        row["state"] == wanted.state
        and wanted.tier in {None, row["tier"]}
        and wanted.relation in {None, row["relation"]}
        and (wanted.threshold is None or row["phash_distance"] <= wanted.threshold)
    ):
        return False
    files = groups.members(session, [row["id"]], 10)[row["id"]]
    return wanted.places is None or any(
        file["root_id"] == place.root_id and file["rel"].startswith(place.folder + b"/" if place.folder else b"")
        for file in files
        for place in wanted.places
    )


@pytest.mark.parametrize("few", [0, 2000])
@pytest.mark.parametrize("sort", groups.SORTS)
@pytest.mark.parametrize("name", FILTERS)
def test_pages_hold_what_fits_in_order_each_once(
    session: Session, monkeypatch: pytest.MonkeyPatch, name: str, sort: str, few: int
) -> None:
    """Whichever way they are found: all at once, or along the order."""
    monkeypatch.setattr(groups, "FEW", few)
    wanted, by = FILTERS[name], groups.SORTS[sort]
    rows = [
        dict(zip(_columns(session), values, strict=True))
        for values in session.connection.execute("SELECT * FROM groups")
    ]
    expected = [row for row in rows if fits(session, row, wanted)]
    expected.sort(key=lambda row: by.place(row[by.column], row["id"]))
    found: list[Row] = []
    after = None
    while True:
        page = groups.page(session, wanted, sort, after, 60)
        assert page.total == groups.Total(
            len(expected), 2 * len(expected), sum(row["reclaimable_bytes"] for row in expected)
        )
        found += page.rows
        if len(page.rows) < 60:
            break
        after = page.rows[-1][by.column], page.rows[-1]["id"]
    assert [row["id"] for row in found] == [row["id"] for row in expected]


def _columns(session: Session) -> list[str]:
    return [row[1] for row in session.connection.execute("PRAGMA table_info(groups)")]


def steps(session: Session, wanted: Filter, sort: str) -> int:
    """Instructions of SQLite's machine for a first page."""
    taken = 0

    def count() -> bool:
        nonlocal taken
        taken += 1
        return False

    session.connection.set_progress_handler(count, 10)
    try:
        groups.page(session, wanted, sort, None, 50)
    finally:
        session.connection.set_progress_handler(None)
    return taken


@pytest.fixture(scope="module")
def sizes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[int, Session]]:
    """Catalogs of many groups and of few."""
    with contextlib.ExitStack() as stack:
        paths = {count: filled(tmp_path_factory.mktemp(str(count)), count) for count in (3000, 12_000)}
        opened = {
            count: stack.enter_context(contextlib.closing(connect(path, readonly=True)))
            for count, path in paths.items()
        }
        yield {count: Session(connection) for count, connection in opened.items()}


@pytest.mark.parametrize(
    "name", ["all", "rare tier", "tier", "threshold", "inbox", "library", "nowhere", "small folder"]
)
def test_a_page_takes_as_many_steps_of_many_groups_as_of_few(sizes: dict[int, Session], name: str) -> None:
    taken = {
        count: max(steps(session, FILTERS[name], sort) for sort in groups.SORTS) for count, session in sizes.items()
    }
    assert taken[12_000] < taken[3000] * 1.5 + 100
