"""The troubles of one inbox: each told once when it begins and when it ends, and known as long as it lasts."""

from __future__ import annotations

from collections.abc import Iterable

from dropmill.model.watching import FOLDER, Kind, Trouble
from dropmill.observe.facts import Emit, InboxBack, InboxGone, WatchDegraded, WatchRestored


class Troubles:
    def __init__(self, inbox: str, emit: Emit) -> None:
        self._inbox = inbox
        self._emit = emit
        self._now: dict[Kind, Trouble] = {}

    def __contains__(self, kind: Kind) -> bool:
        return kind in self._now

    @property
    def worst(self) -> Trouble | None:
        return next((self._now[kind] for kind in Kind if kind in self._now), None)

    def begin(self, kind: Kind, trouble: Trouble) -> None:
        """Of a kind that lasts already only the words change."""
        new = kind not in self._now
        self._now[kind] = trouble
        if new and kind in FOLDER:
            self._emit(InboxGone(self._inbox, trouble.detail, trouble.remedy))
        elif new:
            self._emit(WatchDegraded(self._inbox, trouble.detail, trouble.remedy))

    def end(self, kinds: Iterable[Kind]) -> None:
        ended = {kind for kind in kinds if self._now.pop(kind, None) is not None}
        if ended & FOLDER and not FOLDER & self._now.keys():
            self._emit(InboxBack(self._inbox))
        if ended - FOLDER and not self._now.keys() - FOLDER:
            self._emit(WatchRestored(self._inbox))
