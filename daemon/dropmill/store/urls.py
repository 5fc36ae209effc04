"""How it stands with the URLs: what is still to be fetched, how far drop-files were read, which hosts are left in peace."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from dropmill.store.connection import Row, Session

# Hosts at rest that are named, those first for which most URLs wait.
MOST_HOSTS: Final = 20
_REFUSED: Final = "refused"


@dataclass(frozen=True, slots=True)
class Urls:
    to_fetch: Mapping[str, Counter[str]]
    """Jobs that are not fetched yet, by inbox and state (scheduled, available, executing, discarded, cancelled)."""
    refused: Mapping[str, int]
    """Lines that were refused, by drop-file, or by the inbox of URLs of an inbox into which lists were dropped."""
    dropfiles: Mapping[str, Row]
    """``name, path, line, offset_bytes`` of those that were asked for and ever read."""
    resting: list[Row] = field(default_factory=list)
    """``origin, ready_at_ms, detail, waiting`` of hosts for which URLs wait; at most ``MOST_HOSTS``."""
    resting_hosts: int = 0
    resting_urls: int = 0
    failing_hosts: int = 0
    """Of those that rest: whose circuit is open."""

    def of(self, inbox: str) -> Counter[str]:
        return self.to_fetch.get(inbox, Counter())

    def all(self, state: str) -> int:
        return sum(counter[state] for counter in self.to_fetch.values())


def urls(session: Session, now_ms: int, dropfiles: Iterable[str] = ()) -> Urls:
    """``dropfiles``: names of those of which is to be told how far they were read."""
    to_fetch: dict[str, Counter[str]] = {}
    refused: dict[str, int] = {}
    for row in session.all("url_counts"):
        if row["kind"] == _REFUSED:
            refused[row["inbox"]] = row["count"]
        else:
            to_fetch.setdefault(row["inbox"], Counter())[row["kind"]] = row["count"]
    rows = session.all("dropfiles_named", names=json.dumps(list(dropfiles)))
    resting = session.all("hosts_resting", now_ms=now_ms, limit=MOST_HOSTS)
    (total,) = session.all("hosts_resting_count", now_ms=now_ms)
    named = {row["name"]: row for row in rows}
    return Urls(to_fetch, refused, named, resting, total["hosts"], total["urls"], total["failing"])
