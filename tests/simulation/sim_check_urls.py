"""What must hold of URLs when everything has come to rest."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from typing import TYPE_CHECKING, Any

import apsw

from dropmill.store.connection import connect
from simulation.sim_check import content_of, files_below, rows
from simulation.sim_urls import parsed
from simulation.sim_writers import KEY

if TYPE_CHECKING:
    from simulation.sim_run import Run
    from simulation.sim_urls import Urls

# What no host and no disk of a history gives a reason for.
_NO_REASON = frozenset({"unexpected", "interrupted", "protocol-error", "too-many-redirects", "publish-failed"})
_BEHIND = "it stands behind a last line%"


def at_rest(run: Run, urls: Urls) -> list[str]:
    """Everything that is wrong with URLs once nothing is left to do."""
    with closing(connect(os.fsdecode(run.base + b"/state/catalog.db"), readonly=True)) as connection:
        lines = [*_lines(urls, connection), *_results(urls, connection)]
        return [*lines, *_jobs(urls, connection), *_left(run, connection)]


def _lines(urls: Urls, connection: apsw.Connection) -> Iterator[str]:
    """Every line of every file was taken, and none twice."""
    taken = dict(rows(connection, f"SELECT {KEY}, count(*) FROM lines WHERE detail NOT LIKE ? GROUP BY 1", _BEHIND))
    for key, owed in urls.writers.lines.items():
        times = taken.pop(key, 0)
        if not owed.least <= times <= owed.most:
            yield f"line {key} was taken {times} times instead of {owed.least} to {owed.most}"
    for key in taken:
        if not any(key in half for half in urls.writers.halves):
            yield f"a line {key!r} was taken that nobody wrote"


def _results(urls: Urls, connection: apsw.Connection) -> Iterator[str]:
    told: list[dict[str, Any]] = []
    folder, name = os.path.split(urls.writers.results)
    for entry in sorted(os.listdir(folder), key=len, reverse=True):
        if entry.startswith(name):
            for line in content_of(folder + b"/" + entry).splitlines():
                one = parsed(line)
                if one is not None:
                    told.append(one)
                elif entry == name or not urls.writers.told_apart:
                    # What was torn when its file was taken away stays as it is, and is told anew.
                    yield f"{entry!r} holds {line[:60]!r}"
    for (line, at), times in Counter((one["id"], one["at"]) for one in told).items():
        if times > 1 and line not in urls.writers.told_apart:
            yield f"what came of line {line} at {at} is told {times} times"
    last = {one["id"]: one for one in sorted(told, key=lambda one: one["at"])}
    asked = (
        f"SELECT l.id, l.ended, l.told, l.key, coalesce(j.outcome, j.state, 'refused') "
        f"FROM (SELECT *, {KEY} AS key FROM lines) AS l LEFT JOIN jobs AS j ON j.id = l.job_id"
    )
    for line, ended, is_told, key, outcome in rows(connection, asked):
        if not (ended and is_told):
            yield f"line {line} ({key}) is not told of: ended {ended}, told {is_told}"
        elif line not in last:
            yield f"line {line} ({key}) has no result, and counts as told"
        elif last[line]["outcome"] != outcome:
            yield f"line {line} ({key}) is told as {last[line]['outcome']} and is {outcome}"
    known = {line for (line,) in rows(connection, "SELECT id FROM lines")}
    for line in last.keys() - known:
        yield f"a result is told of line {line}, which the catalog does not know"


def _jobs(urls: Urls, connection: apsw.Connection) -> Iterator[str]:
    asked = (
        "SELECT j.id, d.canonical, j.state, j.outcome, j.reason, j.detail, j.sha256 "
        "FROM jobs AS j JOIN downloads AS d ON d.job_id = j.id"
    )
    for job, url, state, outcome, reason, detail, sha256 in rows(connection, asked):
        if state == "completed" and sha256 not in urls.web.served.get(url, set()):
            yield f"job {job} is {outcome} with {str(sha256)[:8]}, which {url} never had"
        elif outcome in {"superseded", "moved"}:
            yield f"job {job} of a URL ended as {outcome}: {detail}"
        elif reason in _NO_REASON:
            yield f"job {job} of a URL is {state} for {reason}: {detail}"


def _left(run: Run, connection: apsw.Connection) -> Iterator[str]:
    for name, _ in files_below(run.base + b"/state/downloads"):
        yield f"{name!r} is left of the downloads"
    for host, waiting in rows(connection, "SELECT origin, waiting FROM hosts WHERE waiting <> 0"):
        yield f"{waiting} jobs are said to wait for {host}"
    for inbox, kind, count in rows(
        connection, "SELECT inbox, kind, count FROM url_counts WHERE kind IN ('scheduled', 'available', 'executing')"
    ):
        if count:
            yield f"{count} jobs of {inbox} are said to be {kind}, before their download"
