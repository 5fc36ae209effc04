"""What facts of URLs are called in a log."""

from __future__ import annotations

from typing import Final

from dropmill.model.file import shown
from dropmill.model.outcome import EXPLANATIONS, Reason
from dropmill.observe import facts
from dropmill.observe.words import Fields, Level, Line, reason_fields, words

# A rest that is no longer than this is told to those who look closely only: hosts that slow others down ask for many.
_SHORT_REST_SECONDS: Final = 10.0


@words(facts.FetchStarted, detail=True)
def _fetch_started(fact: facts.FetchStarted) -> Line:
    fields: Fields = {"job_id": fact.job_id, "inbox": fact.inbox, "path": fact.path, "attempt": fact.attempt}
    return Line("debug", "downloading", fields)


@words(facts.Downloaded)
def _downloaded(fact: facts.Downloaded) -> Line:
    fields: Fields = {"job_id": fact.job_id, "inbox": fact.inbox, "path": fact.path, "status": fact.status}
    seconds = round(fact.seconds, 3)
    if fact.not_modified:
        return Line("info", "not modified at its host", {**fields, "seconds": seconds})
    fields["size_bytes"] = fact.size_bytes
    if fact.received_bytes < fact.size_bytes:
        fields["received_bytes"] = fact.received_bytes
    return Line("info", "downloaded", {**fields, "seconds": seconds})


@words(facts.DownloadFailed)
def _download_failed(fact: facts.DownloadFailed) -> Line:
    fields: Fields = {"job_id": fact.job_id, "inbox": fact.inbox, "path": fact.path}
    fields |= {"reason": fact.reason.value, "detail": fact.detail, "received_bytes": fact.received_bytes}
    return Line("debug", "a download failed", {**fields, "seconds": round(fact.seconds, 3)})


@words(facts.HostResting)
def _host_resting(fact: facts.HostResting) -> Line:
    fields: Fields = {"host": fact.origin, "seconds": round(fact.seconds, 3), "detail": shown(fact.detail)}
    if fact.failing:
        hint = "its URLs wait, those of others go on; it is tried again with one request then"
        level: Level = "info" if fact.probes else "warning"
        return Line(level, "a host fails and is left alone", {**fields, "hint": hint})
    return Line("debug" if fact.seconds < _SHORT_REST_SECONDS else "info", "a host asks for rest", fields)


@words(facts.HostBack)
def _host_back(fact: facts.HostBack) -> Line:
    return Line("info", "a host answers again", {"host": fact.origin, "seconds": round(fact.seconds, 3)})


@words(facts.HostGivenUp)
def _host_given_up(fact: facts.HostGivenUp) -> Line:
    fields: Fields = {"host": fact.origin, "urls": fact.urls, "seconds": round(fact.seconds, 3)}
    remedy = EXPLANATIONS[Reason.HOST_UNAVAILABLE].remedy
    return Line("warning", "a host is given up", {**fields, "detail": shown(fact.detail), "remedy": remedy})


@words(facts.LeftResting)
def _left_resting(fact: facts.LeftResting) -> Line:
    fields: Fields = {"urls": fact.urls, "hosts": fact.hosts, "seconds": round(fact.seconds, 3)}
    hint = "they stay in the queue: run again later; the first may be asked for after so many seconds"
    return Line("warning", "some URLs wait for their hosts", {**fields, "hint": hint})


@words(facts.DropfileBegun)
def _dropfile_begun(fact: facts.DropfileBegun) -> Line:
    fields: Fields = {"inbox": fact.dropfile, "path": fact.path, "generation": fact.generation}
    if not fact.rewritten:
        return Line("info", "a drop-file is read from its start", fields)
    if not fact.unread_bytes:
        return Line("info", "the drop-file was rewritten; it is read from its start", fields)
    remedy = "append lines, or put a new file in its place by renaming, but never truncate it"
    fields |= {"unread_bytes": fact.unread_bytes, "remedy": remedy}
    return Line("warning", "the drop-file was cut off before it was read to its end; it is read from its start", fields)


@words(facts.DropfileTrouble)
def _dropfile_trouble(fact: facts.DropfileTrouble) -> Line:
    fields: Fields = {"inbox": fact.dropfile, "path": fact.path, "detail": fact.detail, "remedy": fact.remedy}
    return Line("error", "the drop-file has to wait", fields)


@words(facts.DropfileWell)
def _dropfile_well(fact: facts.DropfileWell) -> Line:
    return Line("info", "the drop-file goes on", {"inbox": fact.dropfile, "path": fact.path})


@words(facts.LinesTaken)
def _lines_taken(fact: facts.LinesTaken) -> Line:
    shared = fact.lines - fact.fresh - fact.refused
    fields: Fields = {
        "inbox": fact.dropfile,
        "path": fact.path,
        "lines": fact.lines,
        "new": fact.fresh,
        "known": shared,
    }
    return Line("info" if shared else "debug", "lines taken", {**fields, "refused": fact.refused})


@words(facts.LineRefused)
def _line_refused(fact: facts.LineRefused) -> Line:
    fields: Fields = {"inbox": fact.dropfile, "path": fact.path, "line": fact.line, "url": shown(fact.url)}
    return Line("warning", "a line was refused", fields | reason_fields(fact.reason, fact.detail))


@words(facts.ResultsTold)
def _results_told(fact: facts.ResultsTold) -> Line:
    return Line("debug", "results written", {"inbox": fact.dropfile, "path": fact.path, "lines": fact.lines})
