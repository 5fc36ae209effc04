"""What a start and an end leave in the catalog: boots and roots."""

from __future__ import annotations

from dataclasses import dataclass

from dropmill.store.connection import Session


@dataclass(frozen=True, slots=True)
class LastBoot:
    id: str
    pid: int
    ended: bool


def last_boot(session: Session) -> LastBoot | None:
    row = session.one("boot_last")
    return LastBoot(row["id"], row["pid"], row["ended_at_ms"] is not None) if row else None


def begin(session: Session, boot: str, pid: int, version: str, now_ms: int) -> None:
    session.run("boot_begin", id=boot, pid=pid, version=version, now_ms=now_ms)


def end(session: Session, boot: str, now_ms: int) -> None:
    session.run("boot_end", id=boot, now_ms=now_ms)


def put_root(session: Session, kind: str, name: str, path: bytes) -> int:
    """The id of a named root; its path is where it is now (W36)."""
    root_id: int = session.value("root_put", kind=kind, name=name, path=path)
    return root_id


def forget_missing_codecs(session: Session, root_id: int) -> None:
    """Files of a known format without a codec are taken up again once it may have come."""
    session.run("sources_codec_missing", root_id=root_id)


def output_at(session: Session, path: bytes) -> str | None:
    """The identity of the output that was last recorded at a path."""
    row = session.one("output_at", path=path)
    return row["name"] if row else None


def has_other_output(session: Session, path: bytes, identity: str) -> bool:
    """Whether another output than the one of this identity was last seen at the path."""
    outputs = [row for row in session.all("roots_all") if row["kind"] == "output" and row["path"] == path]
    return bool(outputs) and all(row["name"] != identity for row in outputs)
