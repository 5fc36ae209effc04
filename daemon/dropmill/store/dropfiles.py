"""URLs on their way into the queue, how far drop-files were read, and what is to be told of their lines."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from dropmill.model.download import Wanted
from dropmill.model.dropline import Bad, Line
from dropmill.model.file import NO_SIGNATURE
from dropmill.model.fingerprint import from_int64, to_int64
from dropmill.model.inbox import Inbox
from dropmill.model.job import ACTIVE, FoundBy, JobState, NewJob
from dropmill.model.outcome import Outcome, Reason
from dropmill.model.tailing import Dropfile, FileId, Mark, Midline, OnRepeat
from dropmill.model.url import redact
from dropmill.store import likeness, queue
from dropmill.store.connection import Row, Session

# What a line that needs no job of its own is answered with, besides jobs that are under way.
_ANSWERS: Final = frozenset({JobState.COMPLETED})


@dataclass(frozen=True, slots=True)
class Taken:
    """The job that answers for a URL. ``fresh``: it was made for it just now. ``state``: of the job."""

    job_id: int
    fresh: bool
    state: JobState


@dataclass(frozen=True, slots=True)
class Position:
    """How far a drop-file was read, and the size of its results file after what was told last."""

    mark: Mark | None
    results_bytes: int


def take_urls(
    session: Session,
    inbox: Inbox,
    asked: Sequence[Wanted],
    found_by: FoundBy,
    now_ms: int,
    on_repeat: OnRepeat = "skip",
) -> list[Taken]:
    """For each URL the job that answers for it, made where none does: under way, or completed and not to be repeated.

    ``inbox``: one of downloads. All in the caller's transaction.
    """
    hosts: dict[str, int] = {}
    return [_take(session, inbox, item, found_by, now_ms, on_repeat, hosts) for item in asked]


def _take(
    session: Session,
    inbox: Inbox,
    asked: Wanted,
    found_by: FoundBy,
    now_ms: int,
    on_repeat: OnRepeat,
    hosts: dict[str, int],
) -> Taken:
    rel = asked.canonical.encode()
    known = session.one("job_of_url", root_id=inbox.root.id, rel=rel)
    validators = None
    if known is not None:
        state = JobState(known["state"])
        answers = state in _ANSWERS and _is_as_asked(session, known["id"], asked)
        if state in ACTIVE or (on_repeat == "skip" and answers):
            return Taken(known["id"], False, state)
        if on_repeat == "revalidate" and answers:
            validators = session.one("download_get", job_id=known["id"])
    if asked.origin not in hosts:
        hosts[asked.origin] = session.value("host_meet", origin=asked.origin)
    job = NewJob(
        inbox=inbox.name,
        rel=rel,
        signature=NO_SIGNATURE,
        found_by=found_by,
        found_at_ms=now_ms,
        settled_at_ms=now_ms,
        priority=asked.priority or inbox.priority,
        label=asked.label or inbox.label,
    )
    job_id = queue.insert(session, inbox.root.id, job, now_ms, host_id=hosts[asked.origin])
    if job_id is None:
        raise AssertionError("a job of this URL is under way, and was not found")
    session.run(
        "download_put",
        job_id=job_id,
        url=asked.url,
        canonical=asked.canonical,
        hint=asked.hint,
        directory=asked.directory,
        expected_size_bytes=asked.expected_size_bytes,
        expected_type=asked.expected_type,
        expected_sha256=asked.expected_sha256,
        etag=validators["etag"] if validators else "",
        last_modified=validators["last_modified"] if validators else "",
    )
    return Taken(job_id, True, JobState.AVAILABLE)


def _is_as_asked(session: Session, job_id: int, asked: Wanted) -> bool:
    """Whether what a job fetched is known to have the size, type and digest that are asked for now."""
    if asked.expected_size_bytes is None and not asked.expected_type and not asked.expected_sha256:
        return True
    got = session.one("download_get", job_id=job_id)
    return (
        got is not None
        and asked.expected_size_bytes in {None, got["size_bytes"]}
        and asked.expected_type in {"", got["expected_type"]}
        and asked.expected_sha256 in {"", got["sha256"]}
    )


def take_lines(
    session: Session,
    inbox: Inbox,
    dropfile: Dropfile,
    lines: Sequence[Line],
    mark: Mark,
    found_by: FoundBy,
    now_ms: int,
) -> list[Taken | None]:
    """The lines of one lot and the mark behind them, together: None for each that was refused."""
    hosts: dict[str, int] = {}
    answers: list[Taken | None] = []
    for line in lines:
        said = line.said
        taken = None
        if isinstance(said, Wanted):
            taken = _take(session, inbox, said, found_by, now_ms, dropfile.on_repeat, hosts)
        _put_line(session, inbox, dropfile.name, mark.generation, line, taken, now_ms)
        answers.append(taken)
    put_mark(session, dropfile, mark, now_ms)
    return answers


def _put_line(
    session: Session, inbox: Inbox, dropfile: str, generation: int, line: Line, taken: Taken | None, now_ms: int
) -> None:
    said = line.said
    if isinstance(said, Bad):
        text: Row = {"url": said.url, "label": "", "reason": said.reason, "detail": said.detail}
    else:
        text = {"url": redact(said.url), "label": said.label or inbox.label, "reason": None, "detail": ""}
    session.run(
        "line_put",
        dropfile=dropfile,
        generation=generation,
        offset_bytes=line.offset_bytes,
        line=line.number,
        now_ms=now_ms,
        job_id=taken.job_id if taken else None,
        made=int(taken is not None and taken.fresh),
        ended=int(taken is None or taken.state not in ACTIVE),
        **text,
    )


def position(session: Session, name: str) -> Position:
    row = session.one("dropfile_get", name=name)
    return Position(_mark_of(row), row["results_bytes"]) if row else Position(None, 0)


def _mark_of(row: Row) -> Mark:
    return Mark(
        file=FileId(from_int64(row["dev"]), from_int64(row["ino"])),
        generation=row["generation"],
        offset_bytes=row["offset_bytes"],
        line=row["line"],
        midline=Midline(row["midline"]),
        head_bytes=row["head_bytes"],
        head_sha256=row["head_sha256"],
        tail_sha256=row["tail_sha256"],
    )


def put_mark(session: Session, dropfile: Dropfile, mark: Mark, now_ms: int) -> None:
    session.run(
        "dropfile_put",
        name=dropfile.name,
        path=dropfile.path,
        dev=to_int64(mark.file.dev),
        ino=to_int64(mark.file.ino),
        offset_bytes=mark.offset_bytes,
        line=mark.line,
        midline=int(mark.midline),
        head_bytes=mark.head_bytes,
        head_sha256=mark.head_sha256,
        tail_sha256=mark.tail_sha256,
        generation=mark.generation,
        now_ms=now_ms,
    )


# What is told of lines.


@dataclass(frozen=True, slots=True)
class Rendition:
    name: str
    page: int
    path: bytes


@dataclass(frozen=True, slots=True)
class Result:
    """What came of one line. ``id`` is of the line and used once; ``at_ms`` is when it came."""

    id: int
    line: int
    url: str
    label: str
    outcome: str
    """An ``Outcome``, or ``discarded``, ``cancelled`` or ``refused``."""
    reason: Reason | None
    detail: str
    job_id: int | None
    sha256: str
    renditions: tuple[Rendition, ...]
    at_ms: int
    resembles: tuple[dict[str, Any], ...] = ()
    """As ``store/likeness.py`` keeps it."""


@dataclass(frozen=True, slots=True)
class Page:
    """``results`` can be told. ``last``: the last line looked at, to go on from; None at the end."""

    results: tuple[Result, ...]
    last: int | None


def to_tell(session: Session, inbox: Inbox, dropfile: str, after: int, limit: int) -> Page:
    """Lines that have ended and were not told, in the order in which they ended, the next ``limit`` of them."""
    rows = session.all("lines_to_tell", dropfile=dropfile, output_id=inbox.output.id, after=after, limit=limit)
    ready = [row for row in rows if not row["owing"]]
    images = sorted({row["image_id"] for row in ready if row["image_id"] is not None})
    shown: dict[int, list[Row]] = {}
    for rendition in session.all("renditions_of_images", image_ids=json.dumps(images)) if images else ():
        shown.setdefault(rendition["image_id"], []).append(rendition)
    results = [_result(row, shown.get(row["image_id"], []), inbox.output.id) for row in ready]
    results.sort(key=lambda result: (result.at_ms, result.id))
    return Page(tuple(results), rows[-1]["id"] if len(rows) == limit else None)


def _result(row: Row, renditions: Sequence[Row], output_id: int) -> Result:
    if row["job_id"] is None:
        outcome, reason, detail = "refused", row["refused"], row["refused_detail"]
    else:
        outcome, reason, detail = row["outcome"] or row["state"], row["reason"], row["detail"]
        if row["failed"] and reason is None:
            reason = Reason.PUBLISH_FAILED
    # What the job put out itself; for a duplicate what stands of its picture, in this output if there.
    mine = [item for item in renditions if item["job_id"] == row["job_id"]] if outcome == Outcome.PUBLISHED else []
    near = mine or [item for item in renditions if item["output_id"] == output_id] or renditions
    return Result(
        id=row["id"],
        line=row["line"],
        url=row["url"],
        label=row["label"],
        outcome=outcome,
        reason=Reason(reason) if reason else None,
        detail=detail,
        job_id=row["job_id"],
        sha256=row["sha256"] or "",
        renditions=tuple(_rendition(item) for item in near) if outcome in set(Outcome) else (),
        at_ms=max(row["taken_at_ms"], row["finished_at_ms"] or 0),
        resembles=tuple(likeness.from_json(row["resemblance"] or "").get("resembles", ())),
    )


def _rendition(row: Row) -> Rendition:
    path = row["output_path"].rstrip(b"/") + b"/" + row["final_name"]
    return Rendition(row["rendition"], row["page"], path)


def lists_to_tell(session: Session, inbox: str) -> list[tuple[str, bytes]]:
    """``(name, path)`` of the lists of an inbox of URLs of which some line has ended and was not told."""
    # In the order of their names, and "0" is what comes behind "/".
    rows = session.all("lists_to_tell", start=f"{inbox}/", end=f"{inbox}0")
    return [(row["name"], row["path"]) for row in rows]


def counted(session: Session, dropfile: str) -> dict[str, int]:
    """Lines of a drop-file, or of a list by its name, by the state of their job, or ``refused``."""
    return {row["state"]: row["lines"] for row in session.all("lines_counted", dropfile=dropfile)}


def ended(session: Session, ids: Sequence[int]) -> dict[int, int]:
    """Of the given lines those that are still to be told, with when they ended (ms)."""
    return {row["id"]: row["at_ms"] for row in session.all("lines_ended", ids=json.dumps(list(ids)))}


def told(session: Session, dropfile: str, ids: Sequence[int], results_bytes: int) -> None:
    """``results_bytes``: the size of the results file with them in it."""
    if ids:
        session.run("lines_told", ids=json.dumps(list(ids)))
    session.run("dropfile_results", name=dropfile, results_bytes=results_bytes)
