"""Runs of ``dropmill index``, and what they found: holdings of libraries, files that are no pictures, hashes taken anew."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from dropmill.model.file import Signature
from dropmill.model.fingerprint import FINGERPRINT_VERSION, STREAMED_VERSION, Content, Looks, to_int64
from dropmill.model.image import Picture
from dropmill.store import images
from dropmill.store.boot import put_root
from dropmill.store.connection import Row, Session

By = Literal["daemon", "command"]
Known = tuple[int, int, int]
"""Inode, size in bytes and mtime in nanoseconds of a file that was read."""
_PAGE: Final = 500
# A part of a path has 255 bytes at most, and a slash behind it is less than any of these.
_BEYOND: Final = b"\xff" * 256


@dataclass(frozen=True, slots=True)
class Found:
    """A file that holds a picture. ``looks`` and ``picture`` are None where the catalog knew its bytes."""

    rel: bytes
    signature: Signature
    content: Content
    looks: Looks | None
    picture: Picture | None


@dataclass(frozen=True, slots=True)
class Why:
    """Why a file holds no picture. ``ignored``: nobody would expect one in it, by its name and content."""

    reason: str
    detail: str
    ignored: bool


@dataclass(frozen=True, slots=True)
class Turned:
    """A file that holds none. ``rules``: under which limits and codecs; empty where no others would help."""

    rel: bytes
    signature: Signature
    why: Why
    rules: str


def begin(session: Session, folders: Sequence[bytes], rehash: bool, workers: int, by: By, now_ms: int) -> int:
    texts = json.dumps([os.fsdecode(folder) for folder in folders])
    scan_id: int = session.value("scan_begin", folders=texts, rehash=int(rehash), workers=workers, by=by, now_ms=now_ms)
    return scan_id


def end_cut_off(session: Session, now_ms: int) -> None:
    """Where nobody else has the state directory, a scan that a command carried out has died with it."""
    for row in running(session, "command"):
        end(session, row["id"], "failed", "it was cut off; run it again, and it goes on where it was", now_ms)


def folders_of(row: Row) -> list[bytes]:
    return [os.fsencode(folder) for folder in json.loads(row["folders"])]


def get(session: Session, scan_id: int) -> Row | None:
    return session.one("scan_get", id=scan_id)


def page(session: Session, limit: int) -> list[Row]:
    """Newest first."""
    return session.all("scans_page", limit=limit)


def running(session: Session, by: By) -> list[Row]:
    return [row for row in session.all("scans_running") if row["by"] == by]


def under_way(session: Session) -> list[Row]:
    """Whoever carries them out."""
    return session.all("scans_running")


def progress(session: Session, scan_id: int, counts: Mapping[str, int], told: Mapping[str, object]) -> None:
    session.run("scan_progress", id=scan_id, told=json.dumps(told), **counts)


def end(session: Session, scan_id: int, state: str, detail: str, now_ms: int) -> bool:
    """Whether it was still running."""
    return session.run("scan_end", id=scan_id, state=state, detail=detail, now_ms=now_ms) == 1


def put_library(session: Session, path: bytes) -> int:
    """The id of the library at a path. Its name is the path itself, which is all that people know it by."""
    try:
        name = path.decode("utf-8")
    except UnicodeDecodeError:
        name = f"hex:{path.hex()}"
    return put_root(session, "library", name, path)


def known(
    session: Session, roots: Sequence[int], rels: Sequence[bytes], rules: str
) -> dict[tuple[bytes, Known], Why | None]:
    """As which versions these paths were read, and why those hold no picture that do not, as far as ``rules`` would say
    the same again."""
    wanted = json.dumps([rel.hex() for rel in rels])
    rows = session.all("library_known", roots=json.dumps(list(roots)), rels=wanted, rules=rules)
    return {
        (row["rel"], (row["ino"], row["size_bytes"], row["mtime_ns"])): Why(
            row["reason"], row["detail"], bool(row["ignored"])
        )
        if row["reason"]
        else None
        for row in rows
    }


def as_known(signature: Signature) -> Known:
    return to_int64(signature.ino), signature.size_bytes, signature.mtime_ns


def version_of(session: Session, sha256: str) -> int | None:
    """Of the hashes that the catalog has of these bytes; None where it does not know them."""
    row = session.one("image_by_sha256", sha256=sha256)
    return row["fingerprint_version"] if row is not None else None


def put(session: Session, roots: Sequence[int], items: Iterable[Found | Turned], now_ms: int) -> list[bytes]:
    """Record a lot of one part of a library; ``roots[0]`` is for what is new. Returns the paths of those whose bytes the
    catalog knew, but does not any more."""
    unknown = []
    for item in items:
        if isinstance(item, Turned):
            _turn(session, roots, item, now_ms)
        elif not _hold(session, roots, item, now_ms):
            unknown.append(item.rel)
    return unknown


def _turn(session: Session, roots: Sequence[int], item: Turned, now_ms: int) -> None:
    for root_id in roots:
        session.run("library_holding_remove", root_id=root_id, rel=item.rel)
    ino, size_bytes, mtime_ns = as_known(item.signature)
    session.run(
        "library_refusal_put",
        root_id=roots[0],
        rel=item.rel,
        ino=ino,
        size_bytes=size_bytes,
        mtime_ns=mtime_ns,
        reason=item.why.reason,
        detail=item.why.detail,
        ignored=int(item.why.ignored),
        rules=item.rules,
        now_ms=now_ms,
    )


def _hold(session: Session, roots: Sequence[int], item: Found, now_ms: int) -> bool:
    image_id = _image(session, item, now_ms)
    if image_id is None:
        return False
    ino, size_bytes, mtime_ns = as_known(item.signature)
    version = {"ino": ino, "size_bytes": size_bytes, "mtime_ns": mtime_ns, "now_ms": now_ms}
    for root_id in roots:
        session.run("library_refusal_remove", root_id=root_id, rel=item.rel)
        row = session.one("library_holding_get", root_id=root_id, rel=item.rel)
        if row is not None and row["image_id"] == image_id:
            session.run("library_holding_seen", id=row["id"], **version)
            return True
        if row is not None:  # Other bytes are another holding: whoever decides about the earlier one means those.
            session.run("library_holding_remove", root_id=root_id, rel=item.rel)
    session.run("library_holding_put", image_id=image_id, root_id=roots[0], rel=item.rel, **version)
    return True


def _image(session: Session, item: Found, now_ms: int) -> int | None:
    row = session.one("image_by_sha256", sha256=item.content.sha256)
    if item.looks is None or item.picture is None:
        return row["id"] if row is not None else None
    if row is not None and row["fingerprint_version"] in {FINGERPRINT_VERSION, item.looks.version}:
        image_id: int = row["id"]
        return image_id
    image_id = images.put(session, item.content, item.looks, item.picture, item.signature.size_bytes, now_ms)
    if row is not None:
        session.run("image_pairs_remove", image_id=image_id)
        session.run("image_candidates_remove", image_id=image_id)
    session.run("uncompared_put", ids=json.dumps([image_id]))
    return image_id


def rehash(
    session: Session, content: Content, looks: Looks, picture: Picture, size_bytes: int, now_ms: int
) -> int | None:
    """Replace the hashes of a known image, and have it compared anew. None where it was forgotten meanwhile."""
    row = session.one("image_by_sha256", sha256=content.sha256)
    if row is None:
        return None
    image_id = images.put(session, content, looks, picture, size_bytes, now_ms)
    if (row["phash"], row["dhash"], row["phash256"]) != (to_int64(looks.phash), to_int64(looks.dhash), looks.phash256):
        session.run("image_pairs_remove", image_id=image_id)
    session.run("image_candidates_remove", image_id=image_id)
    session.run("uncompared_put", ids=json.dumps([image_id]))
    return image_id


def paths(session: Session, root_id: int, top: bytes, after: bytes, *, refused: bool) -> list[bytes]:
    """A page of the paths below ``top`` that hold a picture, or that were ``refused``, after one of them."""
    name = "library_refusals_page" if refused else "library_holdings_page"
    # All that begins with the folder's name and a slash; the first character beyond a slash is a zero.
    first, beyond = (top + b"/", top + b"0") if top else (b"", _BEYOND)
    rows = session.all(name, root_id=root_id, after=max(after, first), beyond=beyond, limit=_PAGE)
    return [row["rel"] for row in rows]


def drop(session: Session, root_id: int, rels: Iterable[bytes], *, refused: bool) -> int:
    """Forget which files hold what; the images stay known. Returns how many there were."""
    name = "library_refusal_remove" if refused else "library_holding_remove"
    return sum(session.run(name, root_id=root_id, rel=rel) for rel in rels)


def mounts(session: Session, root_id: int) -> list[bytes]:
    return [row["rel"] for row in session.all("library_mounts", root_id=root_id)]


def put_mounts(session: Session, root_id: int, met: Iterable[bytes]) -> None:
    for rel in met:
        session.run("library_mount_put", root_id=root_id, rel=rel)


def older(session: Session, after: int, *, windows: bool = False, limit: int = _PAGE) -> list[Row]:
    """``id`` and ``sha256`` of images with hashes of another recipe than ours, in order, after one of them; with ``windows``
    also of those without hashes of their parts.
    """
    versions = {"version": FINGERPRINT_VERSION, "streamed": STREAMED_VERSION}
    return session.all("images_older", after=after, windows=int(windows), limit=limit, **versions)


def count_older(session: Session, *, windows: bool = False) -> int:
    """As many as ``older`` would tell of."""
    count: int = session.value("images_older_count", version=FINGERPRINT_VERSION, streamed=STREAMED_VERSION)
    if windows:
        count += session.value("images_windowless_count", version=FINGERPRINT_VERSION, streamed=STREAMED_VERSION)
    return count


def holdings_of(session: Session, image_id: int, limit: int = 20) -> list[Row]:
    """With ``root_kind``, ``root_name`` and ``root_path``."""
    return session.all("holdings_of_image", image_id=image_id, limit=limit)


def image(session: Session, sha256: str) -> Row | None:
    return session.one("image_by_sha256", sha256=sha256)


def image_of(session: Session, image_id: int) -> Row | None:
    return session.one("image_get", id=image_id)


def refusal(session: Session, root_id: int, rel: bytes) -> Row | None:
    return session.one("library_refusal_get", root_id=root_id, rel=rel)


def refused(session: Session, after: tuple[int, bytes], limit: int) -> list[Row]:
    """Files that should be pictures and are not catalogued, with ``root_path``, after ``(root id, path below it)``."""
    return session.all("library_refusals_told", root_id=after[0], after=after[1], limit=limit)


def count_refused(session: Session) -> int:
    count: int = session.value("library_refusals_count")
    return count


def holding(session: Session, root_id: int, rel: bytes) -> Row | None:
    return session.one("library_holding_get", root_id=root_id, rel=rel)
