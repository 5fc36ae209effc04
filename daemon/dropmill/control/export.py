"""The catalog as a table for other tools: one row for each job, oldest first.

Every page of it is a snapshot of its own, so that an export of a large catalog keeps no log from being written back; a
job is told of once, as it is when its page is read. Reads the catalog's file, whether or not a daemon runs.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any, BinaryIO, Final

from dropmill.control.describe import joined, original_of, source
from dropmill.control.formats import Column, Format, sink
from dropmill.control.whole import refuse_place, whole
from dropmill.errors import ConfigurationError, NotFound
from dropmill.model.file import shown
from dropmill.model.fingerprint import from_int64, to_hex
from dropmill.model.job import JobState
from dropmill.model.url import redact
from dropmill.settings import Settings
from dropmill.store import exports
from dropmill.store.catalog import ReadOnlyCatalog, catalog_path
from dropmill.store.connection import Row, Session
from dropmill.store.exports import Exported, Extent

Json = dict[str, Any]
LOT: Final = 1000
_MODE: Final = 0o666

COLUMNS: Final = (
    Column("id", "whole"),
    # The absolute path of the file, or the URL in its canonical form.
    Column("source", "text"),
    # The URL as it was asked for first, without credentials; nothing for a file.
    Column("url", "free"),
    Column("inbox", "text"),
    Column("state", "text"),
    Column("outcome", "text"),
    Column("reason", "text"),
    Column("label", "free"),
    Column("sha256", "text"),
    Column("coded_sha256", "text"),
    Column("phash", "text"),
    Column("dhash", "text"),
    Column("width", "whole"),
    Column("height", "whole"),
    Column("format", "text"),
    Column("size_bytes", "whole"),
    Column("captured_at", "text"),
    Column("original", "text"),
    Column("duplicate_of", "whole"),
    Column("found_at", "time"),
    Column("finished_at", "time"),
    Column("final_url", "free"),
    Column("status", "whole"),
    Column("etag", "free"),
    Column("fetched_at", "time"),
)


@dataclass(frozen=True, slots=True)
class Wish:
    """``inbox`` and ``state``: only jobs of these; None for all."""

    format: Format
    inbox: str | None = None
    state: str | None = None


def export(settings: Settings, wish: Wish, out: BinaryIO) -> int:
    """Blocking. Write the table to ``out`` as it is read, in constant memory; returns the number of rows.

    Raises ``NotFound`` for a state or an inbox that is not known, ``ConfigurationError`` where the format needs what is
    not installed, ``StateError`` where the catalog cannot be read, and OSError.
    """
    with _table(settings, wish) as (extent, pages):
        written = 0
        with closing(sink(wish.format, COLUMNS, extent.renditions, out)) as to:
            for rows in pages:
                to.write(rows)
                written += len(rows)
    return written


def export_to(settings: Settings, wish: Wish, target: bytes, *, replace: bool) -> int:
    """As ``export``, into the file ``target`` (absolute), which gets its name once it is whole.

    Raises what ``export`` raises; ``Conflict`` where the file exists and may not be replaced or is in an inbox;
    ``ConfigurationError`` where it cannot be written.
    """
    refuse_place(settings, target, replace=replace, outputs_too=False)
    try:
        with whole(target, replace=replace, mode=_MODE) as partial, open(partial, "wb") as out:
            return export(settings, wish, out)
    except OSError as error:
        raise ConfigurationError(
            f"{shown(target)}: the export cannot be written: {error.strerror}",
            hint="name a folder that you may write, with room for it",
        ) from error


@contextmanager
def _table(settings: Settings, wish: Wish) -> Iterator[tuple[Extent, Iterator[list[Json]]]]:
    if wish.state is not None and wish.state not in set(JobState):
        raise NotFound(f"there is no job state {wish.state!r}", hint=f"states: {', '.join(JobState)}")
    catalog = ReadOnlyCatalog(catalog_path(settings.state_dir))
    try:
        extent = catalog.look(exports.extent)
        if wish.inbox is not None:
            _refuse_unknown(settings, catalog, wish.inbox)
        yield extent, _pages(catalog, wish, extent.newest)
    finally:
        catalog.close()


def _refuse_unknown(settings: Settings, catalog: ReadOnlyCatalog, inbox: str) -> None:
    """An inbox that is configured no more may still have jobs."""
    configured = {known.name for known in settings.every_inbox}
    known = configured | set(catalog.look(exports.inboxes))
    if inbox not in known:
        raise NotFound(f"there is no inbox {inbox!r}", hint=f"inboxes: {', '.join(sorted(known)) or 'none'}")


def _pages(catalog: ReadOnlyCatalog, wish: Wish, newest: int) -> Iterator[list[Json]]:
    after = 0

    def page(session: Session) -> list[Exported]:
        return exports.page(session, wish.inbox, wish.state, after, newest, LOT)

    while found := catalog.look(page):
        yield [row(exported) for exported in found]
        after = found[-1].told.row["id"]


def row(exported: Exported) -> Json:
    """One row by the names of ``COLUMNS``, times in milliseconds of UTC, and ``renditions`` as ``formats.Sink`` wants
    them; None for what is not known."""
    job, picture = exported.told.row, exported.picture
    own = exported.told.own
    original = original_of(job)
    return {
        "id": job["id"],
        "source": source(job),
        "url": None if picture["given"] is None else redact(picture["given"]),
        "inbox": job["inbox"],
        "state": job["state"],
        "outcome": job["outcome"],
        "reason": job["reason"],
        "label": job["label"] or None,
        "sha256": job["sha256"],
        "coded_sha256": picture["coded_sha256"],
        "phash": _hash(picture["phash"]),
        "dhash": _hash(picture["dhash"]),
        "width": picture["width"],
        "height": picture["height"],
        "format": picture["format"],
        "size_bytes": job["size_bytes"] if job["phase"] == "process" else None,
        "captured_at": picture["captured_at"] or None,
        "original": joined(*original) if original else None,
        "duplicate_of": own[0]["job_id"] if job["outcome"] == "duplicate" and own else None,
        "found_at": job["found_at_ms"],
        "finished_at": job["finished_at_ms"],
        "final_url": job["final_url"] or None,
        "status": job["status"] or None,
        "etag": job["etag"] or None,
        "fetched_at": job["fetched_at_ms"] or None,
        "renditions": [_rendition(one) for one in own],
    }


def _rendition(row: Row) -> Json:
    return {
        "name": row["rendition"],
        "page": row["page"],
        "path": joined(row["output_path"], row["final_name"]),
        "format": row["format"],
        "width": row["width"],
        "height": row["height"],
        "size_bytes": row["size_bytes"],
        "sha256": row["sha256"],
    }


def _hash(signed: int | None) -> str | None:
    return None if signed is None else to_hex(from_int64(signed))
