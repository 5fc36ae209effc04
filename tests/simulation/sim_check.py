"""What must hold, whatever happened: looked at while things become visible, and when everything has come to rest."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from typing import TYPE_CHECKING, Any

import apsw

from dropmill.model.fingerprint import from_int64
from dropmill.observe.facts import Completed, Enqueued, Fact
from dropmill.store.connection import Session, connect

if TYPE_CHECKING:
    from simulation.sim_run import Run

_PRIVATE = re.compile(rb"\.dropmill-(\d+)")
_KEEPING = ("in", "archive", "duplicates", "quarantine")


def rows(connection: apsw.Connection | None, statement: str, *values: object) -> list[Any]:
    return connection.execute(statement, values).fetchall() if connection is not None else []


def files_below(folder: bytes, prefix: bytes = b"") -> Iterator[tuple[bytes, os.stat_result]]:
    """(path below the folder, lstat) of every plain file."""
    with os.scandir(folder) as found:
        for entry in found:
            if entry.is_dir(follow_symlinks=False):
                yield from files_below(entry.path, prefix + entry.name + b"/")
            else:
                yield prefix + entry.name, entry.stat(follow_symlinks=False)


def content_of(path: bytes) -> bytes:
    with open(path, "rb") as file:
        return file.read()


def on_rename(run: Run, source: bytes, target: bytes, ino: int) -> str | None:
    """What is wrong with this change of names, if anything, by what is committed at this moment."""
    out = run.base + b"/out/"
    if target.startswith(out) and not target.startswith(out + b".dropmill/"):
        return _visible(run, target[len(out) :], target, ino)
    private = _PRIVATE.fullmatch(os.path.basename(target))
    if private is not None and target.startswith(run.base + b"/in/"):
        owed = rows(
            run.committed, "SELECT final_name FROM publications WHERE job_id = ? AND state = 'owed'", int(private[1])
        )
        if owed:
            return f"the original of job {int(private[1])} is taken away before {owed[0][0]!r} is visible"
    return None


def _visible(run: Run, name: bytes, path: bytes, ino: int) -> str | None:
    if any(ino == theirs for theirs, _ in run.people.foreign.values()):
        return None
    content = content_of(path)
    digest = hashlib.sha256(content).hexdigest()
    decided = rows(run.committed, "SELECT 1 FROM publications WHERE final_name = ? AND sha256 = ?", name, digest)
    if decided or _is_receipt(content) or path.rpartition(b"/")[2].startswith(b".dropmill-"):
        return None
    return f"{name!r} is visible and nothing that is committed says so ({content[:60]!r})"


def _is_receipt(content: bytes) -> bool:
    try:
        return "dropmill" in json.loads(content)
    except ValueError:
        return False


def at_rest(run: Run) -> list[str]:
    """Everything that is wrong once nothing is left to do."""
    with closing(connect(os.fsdecode(run.base + b"/state/catalog.db"), readonly=True)) as connection:
        session = Session(connection)
        found = [*_owed(connection), *_told(run.facts, connection), *_renditions(run, connection)]
        found += [*_folders(run, connection), *_originals(run, connection), *_inbox(run, connection)]
        del session
    return found


def _owed(connection: apsw.Connection) -> Iterator[str]:
    for job, state, reason in rows(
        connection, "SELECT id, state, reason FROM jobs WHERE state NOT IN ('completed', 'discarded', 'cancelled')"
    ):
        yield f"job {job} is still {state} ({reason})"
    for table in ("publications", "disposals", "notices"):
        for row, job, state, detail in rows(
            connection, f"SELECT id, job_id, state, detail FROM {table} WHERE state IN ('owed', 'retiring')"
        ):
            yield f"{table} {row} of job {job} is still {state}: {detail}"


def _told(facts: list[Fact], connection: apsw.Connection) -> Iterator[str]:
    """What was said must be so: a job that was acknowledged exists, and one that completed did so once."""
    jobs = {job: (state, outcome) for job, state, outcome in rows(connection, "SELECT id, state, outcome FROM jobs")}
    for fact in facts:
        if isinstance(fact, Enqueued) and fact.job_id not in jobs:
            yield f"job {fact.job_id} ({fact.rel!r}) was acknowledged and is not in the catalog"
    published = Counter(fact.job_id for fact in facts if isinstance(fact, Completed) and fact.outcome == "published")
    for job, times in published.items():
        if times > 1:
            yield f"job {job} was published {times} times"
        if jobs.get(job) != ("completed", "published"):
            yield f"job {job} was said to be published and is {jobs.get(job)}"
    for job, state, outcome in rows(
        connection, "SELECT job_id, count(*), group_concat(result) FROM attempts WHERE ended_at_ms IS NULL GROUP BY 1"
    ):
        yield f"job {job} has {state} attempts that never ended ({outcome})"


def _renditions(run: Run, connection: apsw.Connection) -> Iterator[str]:
    visible = rows(
        connection,
        "SELECT job_id, final_name, sha256, ino, ownership, rendition FROM publications WHERE state = 'visible'",
    )
    for job, name, sha256, ino, ownership, _ in visible:
        path = run.base + b"/out/" + name
        if not os.path.lexists(path):
            yield f"{name!r} of job {job} is said to be visible and is not there"
        elif hashlib.sha256(content_of(path)).hexdigest() != sha256:
            yield f"{name!r} of job {job} does not hold its rendition: {content_of(path)[:60]!r}"
        elif ownership == "owned" and os.lstat(path).st_ino != from_int64(ino):
            yield f"{name!r} of job {job} is not the file that the catalog calls ours"
    for image, rendition, times in rows(
        connection,
        "SELECT image_id, rendition, count(*) FROM publications WHERE state = 'visible' GROUP BY 1, 2 HAVING count(*) > 1",
    ):
        yield f"image {image} has {times} visible renditions {rendition!r}"
    for (job,) in rows(
        connection,
        "SELECT id FROM jobs AS j WHERE outcome = 'published' AND "
        "(SELECT count(*) FROM publications AS p WHERE p.job_id = j.id) <> ?",
        run.renditions,
    ):
        yield f"job {job} has not all of its renditions"
    known = {name for _, name, *_ in visible}
    for name, _ in files_below(run.base + b"/out"):
        path = run.base + b"/out/" + name
        if name.startswith(b".dropmill/"):
            if name != b".dropmill/root-id":
                yield f"{name!r} is left in staging"
        elif name not in known and path not in run.people.foreign and not _is_receipt(content_of(path)):
            yield f"{name!r} is in the output and nobody knows it: {content_of(path)[:60]!r}"


def _folders(run: Run, connection: apsw.Connection) -> Iterator[str]:
    for path, (ino, content) in run.people.foreign.items():
        if not os.path.lexists(path):
            yield f"a file of theirs is gone: {path!r}"
        elif os.lstat(path).st_ino != ino or content_of(path) != content:
            yield f"a file of theirs was changed: {path!r}"
    for area in _KEEPING:
        for name, _ in files_below(run.base + b"/" + area.encode()):
            if os.path.basename(name).startswith(b".dropmill"):
                yield f"{name!r} is left in {area}"
    for job, target, name, sha256 in rows(
        connection,
        "SELECT d.job_id, r.path, d.target_name, d.sha256 FROM disposals AS d JOIN roots AS r ON r.id = d.target_root_id "
        "WHERE d.result = 'moved'",
    ):
        path = target + b"/" + name
        if not os.path.lexists(path):
            yield f"the original of job {job} is said to be at {path!r} and is not"
        elif sha256 is not None and hashlib.sha256(content_of(path)).hexdigest() != sha256:
            yield f"{path!r} does not hold the original of job {job}"


def _originals(run: Run, connection: apsw.Connection) -> Iterator[str]:
    kept: set[str] = set()
    where: dict[int, bytes] = {}
    for area in _KEEPING:
        folder = run.base + b"/" + area.encode() + b"/"
        for name, seen in files_below(folder):
            kept.add(hashlib.sha256(content_of(folder + name)).hexdigest())
            where[seen.st_ino] = folder + name
    rendered = {
        sha256
        for (sha256,) in rows(
            connection,
            "SELECT i.sha256 FROM images AS i JOIN publications AS p ON p.image_id = i.id WHERE p.state = 'visible'",
        )
    }
    decided = {sha256 for (sha256,) in rows(connection, "SELECT sha256 FROM jobs WHERE state = 'completed'")}
    inodes = {from_int64(ino) for (ino,) in rows(connection, "SELECT ino FROM jobs WHERE state = 'discarded'")}
    inodes |= {from_int64(ino) for (ino,) in rows(connection, "SELECT ino FROM sources WHERE verdict = 'ignored'")}
    by_inode = {id(original): ino for ino, original in run.people.originals.items()}
    for original in run.people.all_originals:
        if original.given_up or original.sha256 is None:
            continue
        ino = by_inode.get(id(original), 0)
        if original.sha256 not in kept and not (run.deletes and original.sha256 in rendered):
            yield f"an original is lost: {original.sha256[:8]}, inode {ino}"
        elif original.sha256 not in decided and ino not in inodes:
            yield f"an original has no outcome: {original.sha256[:8]}, inode {ino}, at {where.get(ino)!r}"


def _inbox(run: Run, connection: apsw.Connection) -> Iterator[str]:
    known = {
        rel: (from_int64(ino), size, mtime)
        for rel, ino, size, mtime in rows(connection, "SELECT rel, ino, size_bytes, mtime_ns FROM sources")
    }
    for rel, seen in files_below(run.base + b"/in"):
        if known.get(rel) != (seen.st_ino, seen.st_size, seen.st_mtime_ns):
            yield f"{rel!r} is in the inbox and the ledger does not know it: {known.get(rel)}"
