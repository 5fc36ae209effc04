"""What each fact is called in a log: a level, an event in plain words, and fields. Every output format starts from here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from dropmill.model.file import shown
from dropmill.model.job import FoundBy
from dropmill.model.outcome import EXPLANATIONS, Outcome, Reason, explained_as_ignored
from dropmill.model.url import is_url
from dropmill.observe import facts
from dropmill.observe import wording_batches as _batches  # noqa: F401  # As below.
from dropmill.observe import wording_http as _http  # noqa: F401  # As below.
from dropmill.observe import wording_libraries as _libraries  # noqa: F401  # As below.
from dropmill.observe import wording_urls as _urls  # noqa: F401  # For the words that it puts into the table.
from dropmill.observe import wording_webhooks as _webhooks  # noqa: F401  # As above.
from dropmill.observe.facts import Fact
from dropmill.observe.words import WORDS, Fields, Level, Line, reason_fields
from dropmill.observe.words import words as _words
from dropmill.ports import ALL_INBOXES


class Wording:
    """Words facts. ``roots``: the folder of each inbox, so that lines name files by their whole path."""

    def __init__(self, roots: Mapping[str, bytes]) -> None:
        self._roots = roots

    def __call__(self, fact: Fact) -> Line:
        """Raises ``KeyError`` for a type of fact that has no words; a test holds the table against facts.py."""
        word = WORDS[type(fact)]
        line = word(fact)
        for field in ("path", "target", "same_as", "resembles"):
            name = line.fields.get(field)
            if isinstance(name, bytes):
                line.fields[field] = shown(self._whole(line.fields.get("inbox"), name))
        return line

    def _whole(self, inbox: str | None, name: bytes) -> bytes:
        root = self._roots.get(inbox) if inbox is not None else None
        if root is None or name.startswith(b"/") or is_url(name):
            return name
        return root.rstrip(b"/") + b"/" + name if name else root


def worded() -> frozenset[type[Fact]]:
    """The types of fact that have words."""
    return frozenset(WORDS)


# The life of the daemon.


@_words(facts.Started)
def _started(fact: facts.Started) -> Line:
    return Line(
        "info",
        "starting",
        {"version": fact.version, "pid": fact.pid, "boot": fact.boot, "state_dir": shown(fact.state_dir)},
    )


@_words(facts.Ready)
def _ready(fact: facts.Ready) -> Line:
    fields: Fields = {"inboxes": fact.inboxes, "dropfiles": fact.dropfiles, "page": fact.http}
    return Line("info", "ready", {**fields, "seconds": round(fact.seconds, 3)})


@_words(facts.Beginning, detail=True)
def _beginning(fact: facts.Beginning) -> Line:
    return Line("debug", "still starting", {"detail": fact.doing, "seconds": round(fact.seconds, 1)})


@_words(facts.Draining, detail=True)
def _draining(fact: facts.Draining) -> Line:
    fields: Fields = {"in_hand": fact.in_hand, "commits": fact.commits, "left_seconds": round(fact.left_seconds, 1)}
    return Line("debug", "finishing what is in hand", fields)


@_words(facts.Stopping)
def _stopping(fact: facts.Stopping) -> Line:
    return Line("info", "stopping", {"cause": fact.cause})


@_words(facts.Stopped)
def _stopped(fact: facts.Stopped) -> Line:
    return Line("info", "stopped", {"released": fact.released})


@_words(facts.Reloading)
def _reloading(fact: facts.Reloading) -> Line:
    return Line("info", "reading the configuration", {"cause": fact.cause})


@_words(facts.Reloaded)
def _reloaded(fact: facts.Reloaded) -> Line:
    fields: Fields = {"changed": list(fact.changed)}
    if fact.warnings:
        fields["warnings"] = list(fact.warnings)
    return Line("warning" if fact.warnings else "info", "the new configuration is in force", fields)


@_words(facts.ReloadRefused)
def _reload_refused(fact: facts.ReloadRefused) -> Line:
    remedy = "put it right, then: dropmill reload"
    fields: Fields = {"findings": list(fact.findings), "remedy": remedy}
    return Line("error", "the configuration is refused; the earlier one stays in force", fields)


@_words(facts.PreviousRunDied)
def _previous_run_died(fact: facts.PreviousRunDied) -> Line:
    fields: Fields = {"boot": fact.boot, "pid": fact.pid, "in_flight": dict(fact.in_flight)}
    return Line("warning", "the run before ended without a shutdown", fields)


@_words(facts.Recovered)
def _recovered(fact: facts.Recovered) -> Line:
    return Line("info", "recovered", {"interrupted": fact.interrupted, "strays": fact.strays})


@_words(facts.Alive)
def _alive(_fact: facts.Alive) -> Line:
    return Line("debug", "alive", {})


@_words(facts.Stuck)
def _stuck(fact: facts.Stuck) -> Line:
    remedy = "a service manager with a watchdog restarts the daemon; otherwise restart it; nothing is lost"
    return Line("error", "the daemon is stuck", {"detail": fact.detail, "remedy": remedy})


@_words(facts.StateTrouble)
def _state_trouble(fact: facts.StateTrouble) -> Line:
    return Line("error", f"{fact.what} is held up", {"detail": fact.detail})


@_words(facts.ClockSet)
def _clock_set(fact: facts.ClockSet) -> Line:
    direction = "forward" if fact.seconds > 0 else "back"
    fields: Fields = {"seconds": round(fact.seconds, 3), "remedy": "none needed: what waits goes on waiting as long"}
    return Line("warning", f"the system clock was set {direction}", fields)


@_words(facts.CatalogLogGrown)
def _catalog_log_grown(fact: facts.CatalogLogGrown) -> Line:
    remedy = "a program keeps reading catalog.db: end it (fuser -v catalog.db names it); the log then shrinks by itself"
    return Line("warning", "the catalog's log grows", {"size_bytes": fact.size_bytes, "remedy": remedy})


# The life of a file.


@_words(facts.Enqueued)
def _enqueued(fact: facts.Enqueued) -> Line:
    fields: Fields = {"job_id": fact.job_id, "inbox": fact.inbox, "path": fact.path}
    fields["found_by"] = fact.found_by.value
    if not is_url(fact.path):  # Nobody knows it yet; a line may say what it is to be.
        fields["size_bytes"] = fact.size_bytes
    if fact.found_by is FoundBy.RECONCILE and not fact.met_before:
        hint = 'the watcher missed it; where the file system tells nobody of changes, set watch = "poll"'
        return Line("warning", "queued", {**fields, "hint": hint})
    return Line("info", "queued", fields)


@_words(facts.FileIgnored)
def _file_ignored(fact: facts.FileIgnored) -> Line:
    level: Level = "warning" if fact.reason is Reason.CODEC_MISSING else "info"
    if fact.reason is Reason.URL_LIST:
        return Line("info", "taken for a list of URLs", {"inbox": fact.inbox, "path": fact.path})
    why = explained_as_ignored(fact.reason)
    fields: Fields = {"inbox": fact.inbox, "path": fact.path, **reason_fields(fact.reason, fact.detail)}
    fields |= {"cause": why.cause, "remedy": why.remedy}
    return Line(level, "ignored", fields)


@_words(facts.FilesHeldUp)
def _files_held_up(fact: facts.FilesHeldUp) -> Line:
    hint = "it is tried again until it can be read; the inbox's line on the page tells while there are such files"
    fields: Fields = {"inbox": fact.inbox, "path": fact.path, "detail": fact.detail, "hint": hint}
    return Line("warning", "a file cannot be looked at", fields)


@_words(facts.Claimed, detail=True)
def _claimed(fact: facts.Claimed) -> Line:
    fields: Fields = {"job_id": fact.job_id, "inbox": fact.inbox, "path": fact.path}
    waited = round(fact.waited_seconds, 3)
    return Line("debug", "started", {**fields, "attempt": fact.attempt, "waited_seconds": waited})


@_words(facts.Completed)
def _completed(fact: facts.Completed) -> Line:
    fields: Fields = {"job_id": fact.job_id, "inbox": fact.inbox, "path": fact.path}
    if fact.anchor is not None:
        fields["same_as" if fact.tier in {None, "bytes", "coded"} else "resembles"] = fact.anchor
    if fact.tier is not None:
        fields["tier"] = fact.tier
        if fact.outcome is not Outcome.DUPLICATE:
            fields["policy"] = fact.policy.value
    fields |= {"outcome": fact.outcome.value, "size_bytes": fact.size_bytes, "seconds": round(fact.seconds, 3)}
    return Line("info", fact.outcome.value, fields)


@_words(facts.Discarded)
def _discarded(fact: facts.Discarded) -> Line:
    fields: Fields = {"job_id": fact.job_id, "inbox": fact.inbox, "path": fact.path}
    fields |= reason_fields(fact.reason, fact.detail, fact.path) | {"quarantined": fact.moves}
    return Line("warning", "discarded", fields)


@_words(facts.Rescheduled)
def _rescheduled(fact: facts.Rescheduled) -> Line:
    fields: Fields = {"job_id": fact.job_id, "inbox": fact.inbox, "path": fact.path}
    fields |= reason_fields(fact.reason, fact.detail, fact.path)
    return Line(
        "warning", "will be retried", {**fields, "attempt": fact.attempt, "after_seconds": round(fact.after_seconds, 1)}
    )


@_words(facts.Interrupted)
def _interrupted(fact: facts.Interrupted) -> Line:
    fields: Fields = {"job_id": fact.job_id, "inbox": fact.inbox, "path": fact.path}
    if fact.discarded:
        return Line("warning", "discarded", fields | reason_fields(Reason.INTERRUPTED, ""))
    return Line("info", "taken up again after an interruption", fields)


@_words(facts.RenditionVisible, detail=True)
def _rendition_visible(fact: facts.RenditionVisible) -> Line:
    fields: Fields = {"job_id": fact.job_id, "inbox": fact.inbox, "path": fact.path}
    event = "rendition was there already" if fact.adopted else "rendition is visible"
    return Line("debug", event, {**fields, "size_bytes": fact.size_bytes})


_TAKEN: Final = {"archive": "archived", "duplicates": "set apart", "quarantine": "quarantined", "delete": "deleted"}
# What is at its host stays there.
_TAKEN_DOWNLOADS: Final = _TAKEN | {
    "archive": "download kept",
    "duplicates": "download kept",
    "delete": "download deleted",
}


@_words(facts.OriginalDisposed)
def _original_disposed(fact: facts.OriginalDisposed) -> Line:
    fields: Fields = {"job_id": fact.job_id, "inbox": fact.inbox, "path": fact.path}
    if fact.target is not None:
        fields["target"] = fact.target
    taken = _TAKEN_DOWNLOADS if is_url(fact.path) else _TAKEN
    event = taken.get(fact.disposition, fact.disposition) if fact.result in {"moved", "deleted"} else "left alone"
    return Line("info", event, {**fields, "disposition": fact.disposition, "result": fact.result})


@_words(facts.OwedLater)
def _owed_later(fact: facts.OwedLater) -> Line:
    fields: Fields = {"job_id": fact.job_id, "path": fact.path, "detail": fact.detail}
    return Line("warning", f"{fact.what} has to wait", {**fields, "after_seconds": round(fact.after_seconds, 1)})


@_words(facts.PublicationFailed)
def _publication_failed(fact: facts.PublicationFailed) -> Line:
    fields: Fields = {"job_id": fact.job_id, "path": fact.path}
    return Line("error", "publication failed", fields | reason_fields(Reason.PUBLISH_FAILED, fact.detail))


@_words(facts.RenditionLost)
def _rendition_lost(fact: facts.RenditionLost) -> Line:
    fields: Fields = {"job_id": fact.job_id, "inbox": fact.inbox, "path": fact.path}
    return Line("warning", "a finished rendition was lost; its picture is rendered again", fields)


@_words(facts.SourceDeleted)
def _source_deleted(fact: facts.SourceDeleted) -> Line:
    return Line("info", "renditions removed: the original was deleted", {"inbox": fact.inbox, "path": fact.path})


# Workers.


@_words(facts.WorkerDied)
def _worker_died(fact: facts.WorkerDied) -> Line:
    fields: Fields = {"job_id": fact.job_id, "inbox": fact.inbox, "path": fact.path}
    return Line("warning", "a worker was lost", {**fields, "reason": fact.reason.value, "detail": fact.detail})


@_words(facts.WorkerSaid)
def _worker_said(fact: facts.WorkerSaid) -> Line:
    fields: Fields = {} if fact.job_id is None else {"job_id": fact.job_id}
    return Line("debug", "a worker said", {**fields, "pid": fact.pid, "text": shown(fact.text)})


# The index of similar images.


@_words(facts.IndexReady)
def _index_ready(fact: facts.IndexReady) -> Line:
    fields: Fields = {"pid": fact.pid, "images": fact.images, "seconds": round(fact.seconds, 3)}
    return Line("info", "the index of similar images is ready", fields)


@_words(facts.IndexLost)
def _index_lost(fact: facts.IndexLost) -> Line:
    remedy = (
        "it is started again by itself; until then new images are compared later, or wait where the answer is needed"
    )
    fields: Fields = {"detail": fact.detail, "again_seconds": fact.rest_seconds, "remedy": remedy}
    return Line("warning", "the index of similar images was lost", fields)


@_words(facts.IndexAnswered, detail=True)
def _index_answered(fact: facts.IndexAnswered) -> Line:
    fields: Fields = {"images": fact.images, "seconds": round(fact.seconds, 6)}
    return Line("debug", "the index of similar images answered", fields)


# Inboxes.


@_words(facts.Scanned)
def _scanned(fact: facts.Scanned) -> Line:
    fields: Fields = {"inbox": fact.inbox, "found_by": fact.found_by.value, "files": fact.files, "new": fact.new}
    level: Level = "info" if fact.new and fact.found_by is not FoundBy.EVENT else "debug"
    return Line(level, "scanned", {**fields, "seconds": round(fact.seconds, 3)})


@_words(facts.ScanTrouble)
def _scan_trouble(fact: facts.ScanTrouble) -> Line:
    remedy = EXPLANATIONS[Reason.IO_ERROR].remedy + ", and that the daemon's user may read it"
    fields: Fields = {"inbox": fact.inbox, "path": fact.path, "detail": fact.detail, "remedy": remedy}
    return Line("warning", "a folder could not be read", fields)


@_words(facts.EventsLost)
def _events_lost(fact: facts.EventsLost) -> Line:
    return Line("warning", "the kernel lost events; the inbox is scanned at once", {"inbox": fact.inbox})


@_words(facts.WatchDegraded)
def _watch_degraded(fact: facts.WatchDegraded) -> Line:
    fields: Fields = {"inbox": fact.inbox, "detail": fact.detail, "remedy": fact.hint}
    return Line("warning", "the inbox is not watched as it should be", fields)


@_words(facts.WatchRestored)
def _watch_restored(fact: facts.WatchRestored) -> Line:
    return Line("info", "the inbox is watched as it should be again", {"inbox": fact.inbox})


@_words(facts.InboxGone)
def _inbox_gone(fact: facts.InboxGone) -> Line:
    fields: Fields = {"inbox": fact.inbox, "path": b"", "detail": fact.detail, "remedy": fact.remedy}
    return Line("error", "inbox is gone", fields)


@_words(facts.OutputChanged)
def _output_changed(fact: facts.OutputChanged) -> Line:
    return Line(
        "warning",
        "output is another folder than before",
        {
            "inbox": fact.inbox,
            "path": fact.path,
            "remedy": "if its disk is not mounted, stop, mount it and start again; what was published stays known",
        },
    )


@_words(facts.InboxBack)
def _inbox_back(fact: facts.InboxBack) -> Line:
    return Line("info", "inbox is back", {"inbox": fact.inbox, "path": b""})


@_words(facts.Held)
def _held(fact: facts.Held) -> Line:
    fields: Fields = {"inbox": fact.inbox, "path": fact.path, "detail": fact.detail, "remedy": fact.remedy}
    if fact.inbox == ALL_INBOXES:
        return Line("error", "nothing more is queued", {**fields, "place": fact.place})
    return Line("error", "inbox waits for its surroundings", {**fields, "place": fact.place})


@_words(facts.Unheld)
def _unheld(fact: facts.Unheld) -> Line:
    if fact.inbox == ALL_INBOXES:
        return Line("info", "files are queued again", {"inbox": fact.inbox})
    return Line("info", "inbox goes on", {"inbox": fact.inbox})


@_words(facts.Paused)
def _paused(fact: facts.Paused) -> Line:
    return Line("info", "paused", {"inbox": fact.inbox})


@_words(facts.Resumed)
def _resumed(fact: facts.Resumed) -> Line:
    return Line("info", "resumed", {"inbox": fact.inbox})


@_words(facts.StageTimed, detail=True)
def _stage_timed(fact: facts.StageTimed) -> Line:
    return Line("debug", "stage", {"stage": fact.stage, "seconds": round(fact.seconds, 6)})
