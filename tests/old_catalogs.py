"""Catalogs as earlier versions of dropmill left them: their schema, with data, written by SQL alone."""

from __future__ import annotations

import contextlib
import hashlib
import os
from pathlib import Path

import apsw

from dropmill.store.catalog import catalog_path
from dropmill.store.migrations import APPLICATION_ID, migrations

DAY_MS = 86_400_000
# Any time will do; this one is in 2026.
NOW_MS = 1_780_000_000_000
KINDS = (
    ("available", None, None),
    ("scheduled", None, "io-error"),
    ("completed", "published", None),
    ("completed", "duplicate", None),
    ("discarded", None, "truncated"),
    ("cancelled", None, None),
)


def digest(number: int) -> str:
    return f"{number:064x}"


def looks(number: int) -> int:
    """A hash, as SQLite stores it, that resembles no other."""
    return int.from_bytes(hashlib.sha256(b"%d" % number).digest()[:8], "big", signed=True)


def old_catalog(
    folder: Path, version: int, *, jobs: int = 0, inbox: Path = Path("/in"), output: Path = Path("/out")
) -> Path:
    """A catalog of schema ``version``. Each state and outcome has its share of ``jobs``; their files are nowhere."""
    folder.mkdir(parents=True, exist_ok=True)
    path = Path(catalog_path(str(folder)))
    with contextlib.closing(apsw.Connection(str(path))) as connection:
        connection.pragma("journal_mode", "wal")
        for number, text in migrations():
            if number <= version:
                connection.execute(text)
        connection.pragma("application_id", APPLICATION_ID)
        connection.pragma("user_version", version)
        with connection:
            _fill(connection, jobs, inbox, output)
    return path


def _fill(connection: apsw.Connection, jobs: int, inbox: Path, output: Path) -> None:
    connection.execute("INSERT INTO boots VALUES ('old', 1, '0.1.0', ?, ?)", (NOW_MS, NOW_MS + 1000))
    connection.execute(
        "INSERT INTO roots (kind, name, path) VALUES ('inbox', 'camera', ?), ('output', 'an-old-output', ?)",
        (os.fsencode(inbox), os.fsencode(output)),
    )
    connection.executemany(
        "INSERT INTO images (sha256, coded_sha256, fingerprint_version, phash, dhash, ahash, phash256, texture, format, "
        "width, height, mode, frames, pages_dropped, orientation, icc, captured_at, copyright, camera, size_bytes, "
        "created_at_ms) VALUES (?, ?, 1, ?, 2, 3, 'cc', 0.5, 'jpeg', 10, 10, 'RGB', 1, 0, 1, '', '', '', '', 9, ?)",
        ((digest(number), f"coded {number}", looks(number), NOW_MS) for number in range(1, jobs // len(KINDS) + 2)),
    )
    connection.executemany(
        "INSERT INTO jobs (root_id, inbox, rel, dev, ino, size_bytes, mtime_ns, ctime_ns, state, outcome, reason, "
        "epoch, priority, rank_ms, found_by, found_at_ms, settled_at_ms, enqueued_at_ms, scheduled_at_ms, finished_at_ms, "
        "sha256, image_id) VALUES (1, 'camera', ?, 1, ?, 10, 5, 5, ?, ?, ?, 1, 3, ?, 'event', 0, 0, ?, ?, ?, ?, ?)",
        (
            (
                b"old/%d.jpg" % number,
                number,
                state,
                outcome,
                reason,
                NOW_MS + number,
                NOW_MS,
                NOW_MS + DAY_MS if state == "scheduled" else None,
                NOW_MS if state in {"completed", "discarded", "cancelled"} else None,
                digest(number // len(KINDS) + 1) if state == "completed" else None,
                number // len(KINDS) + 1 if state == "completed" else None,
            )
            for number in range(1, jobs + 1)
            for state, outcome, reason in [KINDS[number % len(KINDS)]]
        ),
    )
    connection.execute(
        "INSERT INTO sources (root_id, rel, dev, ino, size_bytes, mtime_ns, ctime_ns, verdict, job_id, seen_at_ms) "
        "SELECT root_id, rel, dev, ino, size_bytes, mtime_ns, ctime_ns, 'job', id, 0 FROM jobs"
    )
    connection.execute(
        "INSERT INTO versions SELECT root_id, rel, sha256, ino, size_bytes, mtime_ns, image_id, id, 1, 0 FROM jobs "
        "WHERE outcome IN ('published', 'duplicate')"
    )
    connection.execute(
        "INSERT INTO publications (job_id, image_id, output_id, recipe, rendition, page, staged_name, ino, sha256, "
        "size_bytes, width, height, format, final_name, final_key, state, visible_at_ms) "
        "SELECT id, image_id, 2, 'r', 't', 0, id || '-1-t', ino, 'dd', 1, 1, 1, 'jpeg', CAST(id || '.jpg' AS BLOB), "
        "id || '.jpg', 'visible', 0 FROM jobs WHERE outcome = 'published'"
    )
    connection.execute("INSERT INTO attempts (job_id, epoch, boot, started_at_ms) SELECT id, 1, 'old', 0 FROM jobs")
    connection.execute(
        "INSERT INTO notices (kind, job_id, state) SELECT 'receipt', id, 'done' FROM jobs WHERE outcome = 'published'"
    )
    connection.execute("INSERT INTO pauses VALUES ('camera', 0)")
