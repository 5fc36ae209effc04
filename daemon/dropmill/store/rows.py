"""Rows of the catalog as values of the model, and back."""

from __future__ import annotations

from typing import Any

from dropmill.model.file import Signature
from dropmill.model.fingerprint import from_int64, to_int64
from dropmill.model.job import FoundBy, Job

Row = dict[str, Any]


def signature_values(signature: Signature) -> Row:
    """Column values; devices and inodes are unsigned 64-bit numbers, which SQLite keeps as signed ones."""
    return {
        "dev": to_int64(signature.dev),
        "ino": to_int64(signature.ino),
        "size_bytes": signature.size_bytes,
        "mtime_ns": signature.mtime_ns,
        "ctime_ns": signature.ctime_ns,
    }


def signature_of(row: Row) -> Signature:
    return Signature(
        from_int64(row["dev"]), from_int64(row["ino"]), row["size_bytes"], row["mtime_ns"], row["ctime_ns"]
    )


def job_of(row: Row) -> Job:
    return Job(
        id=row["id"],
        epoch=row["epoch"],
        inbox=row["inbox"],
        rel=row["rel"],
        signature=signature_of(row),
        found_by=FoundBy(row["found_by"]),
        label=row["label"],
        attempts=row["attempts"],
        crashes=row["crashes"],
        interruptions=row["interruptions"],
        alone=bool(row["alone"]),
        reprocess_of=row["reprocess_of"],
        read_root_id=row["read_root_id"],
        read_rel=row["read_rel"],
        enqueued_at_ms=row["enqueued_at_ms"],
    )
