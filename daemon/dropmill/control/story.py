"""The life of one job in sentences, from the catalog alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any, Final

from dropmill.control import describe, likeness
from dropmill.control.describe import counted, iso, joined
from dropmill.model.file import shown
from dropmill.model.inbox import URLS_SUFFIX
from dropmill.model.job import FoundBy
from dropmill.model.outcome import with_detail
from dropmill.store.connection import Row
from dropmill.store.decisions import FETCHED_AGAIN
from dropmill.store.views import Life

Json = dict[str, Any]

_FOUND: Final = {
    FoundBy.EVENT: "found at once: the watcher was told of it",
    FoundBy.STARTUP: "found by the scan at start",
    FoundBy.RECONCILE: "found by a regular scan; the watcher had missed it",
    FoundBy.OVERFLOW: "found by the scan after the system's event queue had overflowed",
    FoundBy.MANUAL: "added by hand (dropmill add, retry or reprocess)",
}
_ORDER_LAST: Final = 1 << 62
_NOT_MODIFIED: Final = 304


def story(life: Life, held: str = "") -> list[Json]:
    """``[{at, text}]`` in order of time; what is still to come has no time and stands last.

    ``held``: why nothing of the inbox is begun now, as ``House.held`` tells it.
    """
    told = [*_arrival(life), *_attempts(life), *_end(life, held), *_publications(life), *_disposals(life)]
    told += [(None, text) for text in _notices(life)]
    told += _tellings(life)
    if was_forgotten(life.job.row):
        told.append((None, "the picture was forgotten since (dropmill forget); dropped again, it is new"))
    told.sort(key=lambda entry: _ORDER_LAST if entry[0] is None else entry[0])
    return [{"at": iso(at_ms), "text": text} for at_ms, text in told]


def was_forgotten(row: Row) -> bool:
    """Whether a person had the picture of a finished job taken from the catalog."""
    return row["image_id"] is None and row["outcome"] in {"published", "duplicate", "moved"}


_Entry = tuple[int | None, str]


def _arrival(life: Life) -> Iterator[_Entry]:
    row, queued_ms = life.job.row, life.job.row["enqueued_at_ms"]
    if life.attempts and life.attempts[0]["started_at_ms"] < queued_ms:
        yield queued_ms, "queued once more, to be tried again by hand"
        queued_ms = min(row["found_at_ms"], life.attempts[0]["started_at_ms"])
    if row["reprocess_of"] is not None:
        yield queued_ms, f"asked for by hand: job {row['reprocess_of']} is processed again"
    elif row["url"] is not None:
        yield queued_ms, f"asked for by {row['asked_by'] or 'dropmill add'}"
    else:
        yield row["found_at_ms"], _FOUND.get(FoundBy(row["found_by"]), "found")
        yield (
            row["settled_at_ms"],
            f"settled: {counted(row['size_bytes'], 'byte')}, and nothing about it changed any more",
        )
    label = f", label {shown(row['label'])}" if row["label"] else ""
    yield queued_ms, f"queued as job {row['id']} of {_taker(row)}, priority {row['priority']}{label}"
    if row["url"] is not None:
        yield from _download(row)


def _taker(row: Row) -> str:
    """What took it in: a drop-file, or an inbox, whose URLs go by a name of their own."""
    is_list = row["url"] is not None and not row["inbox"].endswith(URLS_SUFFIX)
    return f"{'drop-file' if is_list else 'inbox'} {row['inbox'].removesuffix(URLS_SUFFIX)}"


def _download(row: Row) -> Iterator[_Entry]:
    told = describe.download(row)
    if told is None or told["fetched_at"] is None:
        return
    hops = f", by way of {counted(len(told['redirects']), 'redirect')}" if told["redirects"] else ""
    came = row["fetched_bytes"] and told["status"] != _NOT_MODIFIED
    size = f", {counted(row['fetched_bytes'], 'byte')}" if came else ""
    yield (
        row["fetched_at_ms"],
        f"{'downloaded from' if came else 'asked for at'} {shown(told['final_url'] or row['url'])}{hops} "
        f"at {told['address']}: status {told['status']}{size}",
    )


def _attempts(life: Life) -> Iterator[_Entry]:
    decided = life.job.row["state"] in {"completed", "discarded", "cancelled"}
    for number, (name, attempt) in enumerate(_named_attempts(life), start=1):
        yield attempt["started_at_ms"], f"{name} began"
        result = attempt["result"]
        if result is None and not decided:
            yield None, "it is being downloaded" if _downloads(life.job.row) else "a worker is at it"
        elif result is not None and (result.startswith("retry") or result in {"released", "interrupted"}):
            detail = f": {shown(attempt['detail'])}" if attempt["detail"] else ""
            yield attempt["ended_at_ms"], f"{name} ended, to be tried again ({result}{detail})"
        elif result is not None and result.startswith("discarded") and number < len(life.attempts):
            yield attempt["ended_at_ms"], f"{name} ended, {result}; it was retried by hand later"


def _named_attempts(life: Life) -> Iterator[tuple[str, Row]]:
    """Attempts at processing are numbered apart from those at downloading, which come before them."""
    fetches = life.job.row["url"] is not None and life.job.row["read_root_id"] is None
    numbers: Counter[bool] = Counter()
    for attempt in life.attempts:
        numbers[fetches] += 1
        number, result = numbers[fetches], attempt["result"] or ""
        yield (f"download{f' {number}' if number > 1 else ''}" if fetches else f"attempt {number}"), attempt
        if life.job.row["url"] is not None and (result == "fetched" or result.startswith("discarded")):
            fetches = result != "fetched"  # Who retries a URL asks for it anew.
        elif result == "released" and attempt["detail"] == FETCHED_AGAIN:
            fetches = True


def _downloads(row: Row) -> bool:
    return row["url"] is not None and row["phase"] == "fetch"


def _end(life: Life, held: str) -> Iterator[_Entry]:
    row = life.job.row
    at_ms = row["finished_at_ms"]
    match row["state"]:
        case "available" | "scheduled" if held and not life.paused:
            yield None, f"waits: {held}"
        case "scheduled":
            yield None, f"waits until {iso(row['scheduled_at_ms'])} to be tried again: {because(row)}"
        case "available" if life.paused:
            yield (
                None,
                f"waits: inbox {row['inbox']} is paused; dropmill resume {row['inbox'].removesuffix(URLS_SUFFIX)}",
            )
        case "available":
            yield None, _waits(row)
        case "discarded":
            yield at_ms, f"discarded: {because(row)}"
        case "cancelled":
            yield at_ms, "cancelled by hand"
        case "completed":
            yield at_ms, _outcome(life)


def _waits(row: Row) -> str:
    if row["url"] is None or row["phase"] == "process":
        return "waits in the queue for a free worker"
    rest = row["host_ready_at_ms"]
    if rest:
        return f"waits to be downloaded; {row['host']} is left in peace until {iso(rest)}: {row['host_detail']}"
    return "waits to be downloaded"


def because(row: Row) -> str:
    """The reason of a job in words, with its remedy."""
    why = describe.explain(row)
    if why is None:
        detail = f" ({shown(row['detail'])})" if row["detail"] else ""
        return f"{row['reason'] or 'no reason is known'}{detail}"
    return f"{row['reason']}: {with_detail(row['reason'], why.cause, shown(row['detail']))}; {why.remedy}"


def _outcome(life: Life) -> str:
    row = life.job.row
    match row["outcome"]:
        case "published" if was_forgotten(row):
            return "published; what is known of its renditions was forgotten with the picture"
        case "published":
            resembles = likeness.sentence(likeness.of_row(row))
            found = f"; {resembles}" if resembles else ""
            return f"published: {counted(len(life.publications), 'rendition')} decided{found}{_in_library(life)}"
        case "duplicate" if row["duplicate_tier"] not in {"bytes", "coded"}:
            return f"duplicate: {likeness.sentence(likeness.of_row(row))}, so no renditions were made"
        case "duplicate":
            same = "the same bytes" if row["duplicate_tier"] == "bytes" else "the same picture under other metadata"
            anchor = life.job.own[0] if life.job.own else None
            source = describe.anchor_source(anchor) if anchor is not None else None
            if anchor is None or source is None:
                return f"duplicate: {same} had been published before"
            return f"duplicate: {same} as {source} (job {anchor['job_id']}), so no renditions were made"
        case "unchanged":
            return "unchanged: this path was published with these very bytes before"
        case "moved":
            return (
                f"moved: these bytes were at {joined(row['root_path'], row['moved_from'])} before; its renditions stand"
            )
        case _:
            return "superseded: the version that had settled was gone or changed before it could be read"


def _in_library(life: Life) -> str:
    """Why it was not skipped although a library has it, as who has catalogued one may expect."""
    if not life.in_libraries:
        return ""
    first = life.in_libraries[0]
    path = joined(first["root_path"], first["rel"])
    return (
        f"; the library file {path} has the same bytes, but no renditions, so it is no reason to skip (see its group)"
    )


def _publications(life: Life) -> Iterator[_Entry]:
    for row in life.publications:
        path = joined(row["output_path"], row["final_name"])
        what = f"{row['rendition']} ({row['format']}, {row['width']}x{row['height']}, {row['size_bytes']} bytes)"
        match row["state"]:
            case "visible":
                adopted = "; the same bytes were there already" if row["ownership"] == "adopted" else ""
                yield row["visible_at_ms"], f"rendition {what} is {path}{adopted}"
            case "owed":
                yield None, f"rendition {what} is still to appear as {path}{_tried(row)}"
            case "failed":
                yield None, f"rendition {what} could not be put out as {path}: {row['detail']}"
            case _:
                yield row["visible_at_ms"], f"rendition {what} was {path}, until a later job replaced or removed it"


def _tried(row: Row) -> str:
    if not row["attempts"]:
        return ""
    return f" (tried {counted(row['attempts'], 'time')}: {shown(row['detail'])}; it is tried again by itself)"


def _disposals(life: Life) -> Iterator[_Entry]:
    of_url = life.job.row["url"] is not None
    what = "the download" if of_url else "the original"
    for row in life.disposals:
        word = row["disposition"]
        if row["state"] == "owed":
            to = "deleted" if word == "delete" else f"moved to {shown(row['target_path'] or b'')}"
            yield None, f"{what} is still to be {to}{_tried(row)}"
            continue
        target = joined(row["target_path"], row["target_name"]) if row["target_name"] is not None else ""
        kept = of_url and word in {"archive", "duplicates"}  # In one folder, whatever it came to.
        text = {
            "moved": f"{what} was {'kept as' if kept else f'moved to the {word} folder:'} {target}",
            "deleted": f"{what} was deleted{' here' if of_url else ''}, as the configuration says",
            "gone": f"{what} had been taken away by somebody else before it could be moved",
            "put back": f"{what} was put back into the inbox for another try",
        }.get(row["result"], f"{what} stayed: {row['result']}")
        if row["result"] == "gone" and word == "delete":
            text = f"{what}, which was to be deleted, was not there any more"
        yield row["done_at_ms"], text


def _notices(life: Life) -> Iterator[str]:
    for row in life.notices:
        if row["state"] == "owed":
            yield f"its {row['kind']} is still to be written{_tried(row)}"


def _tellings(life: Life) -> Iterator[_Entry]:
    """To applications, by webhook."""
    for row in life.tellings:
        again = f", at attempt {row['attempts']}" if row["attempts"] > 1 else ""
        yield row["at_ms"], f"webhook {row['webhook']} was told: {row['type']}{again}"
    for row in life.deliveries:
        what = f"webhook {row['webhook']}"
        tried = f" (tried {counted(row['attempts'], 'time')}: {shown(row['detail'])})" if row["attempts"] else ""
        if row["state"] == "dead":
            gave_up = f"{what} could not be told: {row['type']}{tried}; dropmill webhooks retry {row['webhook']}"
            yield row["tried_at_ms"], gave_up
        else:
            yield None, f"{what} is still to be told: {row['type']}{tried}; {_next_telling(row)}"


def _next_telling(row: Row) -> str:
    if not row["configured"]:
        return "it is not in the configuration any more"
    if row["disabled_at_ms"] is not None:
        return f"it is disabled; dropmill webhooks enable {row['webhook']}"
    if row["unwritten"]:
        return "once everything of it is visible"
    return f"tried again at {iso(row['next_at_ms'])}" if row["attempts"] else "at once"


def verdict(life: Life, held: str = "") -> str:
    """One line. ``held`` as for ``story``."""
    row = life.job.row
    match row["state"]:
        case "completed":
            anchor = life.job.own[0] if row["outcome"] == "duplicate" and life.job.own else None
            source = describe.anchor_source(anchor) if anchor is not None else None
            if anchor is not None and row["duplicate_tier"] not in {"bytes", "coded"}:
                return likeness.likeness(likeness.of_row(row)["resembles"][0])
            if source is not None:
                return f"duplicate of {source}"
            return f"{row['outcome']}{_unfinished(life)}"
        case "discarded":
            return f"discarded: {row['reason']}"
        case "executing":
            return "being downloaded" if _downloads(row) else "being processed"
        case "available" | "scheduled" if held and not life.paused:
            return f"waits: {held.partition(';')[0]}"
        case "scheduled":
            return "waits to be tried again"
        case "available":
            return f"waits: inbox {row['inbox']} is paused" if life.paused else "waits in the queue"
        case _:
            return "cancelled"


def _unfinished(life: Life) -> str:
    """What a decided job's renditions still lack, or nothing."""
    states = Counter(row["state"] for row in life.publications)
    whole = len(life.publications)
    if states["failed"]:
        return f", but {states['failed']} of {counted(whole, 'rendition')} could not be put out"
    if states["owed"]:
        return f", but {states['owed']} of {counted(whole, 'rendition')} still to be put into place"
    return ""
