"""Which facts pages hear of, and in which words: one function for each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from dropmill.model.file import shown
from dropmill.observe import facts, facts_batches, facts_libraries
from dropmill.observe.facts import Fact

Json = dict[str, Any]


def _job(fact: facts.Completed | facts.Discarded | facts.Rescheduled, **more: Any) -> tuple[str, Json]:
    return "job", {"id": fact.job_id, "inbox": fact.inbox, "source": shown(fact.path), **more}


def _completed(fact: facts.Completed) -> tuple[str, Json]:
    return _job(fact, state="completed", outcome=fact.outcome.value, reason=None)


def _discarded(fact: facts.Discarded) -> tuple[str, Json]:
    return _job(fact, state="discarded", outcome=None, reason=fact.reason.value)


def _rescheduled(fact: facts.Rescheduled) -> tuple[str, Json]:
    return _job(fact, state="scheduled", outcome=None, reason=fact.reason.value)


def _reloaded(_fact: facts.Reloaded) -> tuple[str, Json]:
    return "configuration", {"state": "applied"}


def _reload_refused(fact: facts.ReloadRefused) -> tuple[str, Json]:
    return "configuration", {"state": "refused", "findings": list(fact.findings)}


def _preferences(fact: facts_batches.PreferencesChanged) -> tuple[str, Json]:
    return "configuration", {"state": "preferences", "changed": sorted(fact.changes)}


def _scan_begun(fact: facts_libraries.CataloguingBegun) -> tuple[str, Json]:
    return "scan", {"id": fact.scan, "state": "running", "folders": list(fact.folders), "rehash": fact.rehash}


def _scan_progressed(fact: facts_libraries.CataloguingProgressed) -> tuple[str, Json]:
    told = {name: getattr(fact, name) for name in ("files", "total_files", "indexed", "eta_seconds")}
    speed = round(fact.files_per_second, 1)
    return "scan", {"id": fact.scan, "state": "running", **told, "files_per_second": speed}


def _scan_ended(fact: facts_libraries.CataloguingEnded) -> tuple[str, Json]:
    names = ("state", "indexed", "unchanged", "ignored", "refused", "vanished", "detail")
    return "scan", {"id": fact.scan, **{name: getattr(fact, name) for name in names}}


def _batch(fact: facts_batches.BatchBegun | facts_batches.BatchProgressed, finished: int) -> tuple[str, Json]:
    told = {"id": fact.batch, "action": fact.action, "state": "undoing" if fact.undo else "doing"}
    return "batch", {**told, "finished": finished, "files": fact.files}


def _batch_begun(fact: facts_batches.BatchBegun) -> tuple[str, Json]:
    return _batch(fact, 0)


def _batch_progressed(fact: facts_batches.BatchProgressed) -> tuple[str, Json]:
    return _batch(fact, fact.finished)


def _batch_ended(fact: facts_batches.BatchEnded) -> tuple[str, Json]:
    names = ("action", "state", "done", "skipped", "undone")
    return "batch", {"id": fact.batch, **{name: getattr(fact, name) for name in names}, "bytes": fact.size_bytes}


def _batch_held_up(fact: facts_batches.BatchHeldUp) -> tuple[str, Json]:
    return "batch", {"id": fact.batch, "state": "held", "path": shown(fact.path), "detail": fact.detail}


TIDINGS: Final[dict[type[Fact], Callable[[Any], tuple[str, Json]]]] = {
    facts.Completed: _completed,
    facts.Discarded: _discarded,
    facts.Rescheduled: _rescheduled,
    facts.Reloaded: _reloaded,
    facts.ReloadRefused: _reload_refused,
    facts_batches.PreferencesChanged: _preferences,
    facts_libraries.CataloguingBegun: _scan_begun,
    facts_libraries.CataloguingProgressed: _scan_progressed,
    facts_libraries.CataloguingEnded: _scan_ended,
    facts_batches.BatchBegun: _batch_begun,
    facts_batches.BatchProgressed: _batch_progressed,
    facts_batches.BatchEnded: _batch_ended,
    facts_batches.BatchHeldUp: _batch_held_up,
}
"""The kind of the event, and what it tells."""
