"""What a start and an end leave in the catalog: boots and roots."""

from __future__ import annotations

import json
from dataclasses import dataclass

from dropmill.model.inbox import Inbox
from dropmill.model.outcome import Reason
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


def reconsider_ignored(session: Session, inbox: Inbox, *, heif: bool) -> None:
    """Forget the ignored files that the inbox, as it is configured now, would not ignore, so that scans take them up.

    ``heif``: whether there is a codec for HEIC files.
    """
    changed = {
        Reason.CODEC_MISSING: heif,
        Reason.FOREIGN_HARD_LINK: inbox.hard_links == "any",
        Reason.UNSUPPORTED_FORMAT: inbox.takes_unsupported,
        Reason.URL_LIST: not inbox.takes_lists,
    }
    session.run(
        "sources_reconsider",
        root_id=inbox.root.id,
        reasons=json.dumps([reason for reason, forget in changed.items() if forget]),
        companions=json.dumps([extension.casefold().lstrip(".") for extension in inbox.companions]),
        done=inbox.done_suffix.casefold().lstrip("."),
        companion=Reason.COMPANION,
        not_an_image=Reason.NOT_AN_IMAGE,
        lists=int(inbox.takes_lists),
        done_file=Reason.DONE_FILE,
    )


def output_at(session: Session, path: bytes) -> str | None:
    """The identity of the output that was last recorded at a path."""
    row = session.one("output_at", path=path)
    return row["name"] if row else None


def standings(session: Session, kind: str, path: bytes) -> list[tuple[str, str]]:
    """``(name, standing)`` of the roots that were recorded at a path, the newest first."""
    rows = [row for row in session.all("roots_all") if row["kind"] == kind and row["path"] == path]
    return [(row["name"], row["identity"]) for row in sorted(rows, key=lambda row: -row["id"])]


def put_standing(session: Session, root_id: int, standing: str) -> None:
    """Record which directory an output or a folder for originals is. Nothing is ever missed in those, so since when
    does not matter."""
    session.run("root_identify", id=root_id, identity=standing, now_ms=0)


def has_other_output(session: Session, path: bytes, identity: str) -> bool:
    """Whether another output than the one of this identity was last seen at the path."""
    outputs = [row for row in session.all("roots_all") if row["kind"] == "output" and row["path"] == path]
    return bool(outputs) and all(row["name"] != identity for row in outputs)
