"""The perceptual hashes of all images, for an index that follows them."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any, Final

from dropmill.store.connection import Session, sql

Row = tuple[int, int, int]
"""Image id, phash, dhash; hashes signed, as SQLite stores them."""

# So many rows are in memory as Python's objects at once.
LOT_ROWS: Final = 4_000


def after(session: Session, image_id: int) -> Iterator[list[Row]]:
    """Lots of what has a higher id, by id."""
    return _lots(session, "hashes_after", image_id)


def changed_after(session: Session, seq: int) -> Iterator[list[tuple[int, int, int | None, int | None]]]:
    """Lots of (number of the change, image id, phash, dhash): what was hashed anew or, with None, removed since then."""
    return _lots(session, "hashes_changed", seq)


def latest_change(session: Session) -> int:
    """The number of the latest change; 0 for none."""
    return int(session.value("hashes_latest_change") or 0)


def latest_image(session: Session) -> int:
    """The highest id; 0 for none. The next image has a higher one."""
    return int(session.value("hashes_latest_image") or 0)


def phash256(session: Session, image_id: int) -> str | None:
    """The 16 x 16 phash of an image; None where it is not there any more."""
    found: str | None = session.value("hashes_phash256", image_id=image_id)
    return found


def forget_changes(session: Session) -> None:
    """While nobody follows: whoever begins to reads everything."""
    session.run("hashes_forget_changes")


def _lots(session: Session, name: str, after_number: int) -> Iterator[list[Any]]:
    cursor = session.connection.execute(sql(name), {"after": after_number})
    while lot := list(islice(cursor, LOT_ROWS)):
        yield lot
