"""Taking URLs in by hand: they become jobs at once, of a drop-file or of the URLs beside an inbox."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from dropmill.control.house import House
from dropmill.errors import Conflict
from dropmill.model.download import Wanted
from dropmill.model.dropline import KEYS, Bad, wanted
from dropmill.model.inbox import URLS_SUFFIX, Root
from dropmill.model.job import FoundBy
from dropmill.model.netpolicy import Policy
from dropmill.model.outcome import Reason, explained
from dropmill.model.tailing import OnRepeat
from dropmill.model.url import parse_url
from dropmill.observe.facts import Enqueued
from dropmill.settings import UrlInbox
from dropmill.settings.resolve import resolved
from dropmill.store import boot, dropfiles
from dropmill.store.connection import Session
from dropmill.store.dropfiles import Taken

Json = dict[str, Any]
_URL: Final = re.compile(rb"[A-Za-z][A-Za-z0-9+.-]*://")


@dataclass(frozen=True, slots=True)
class Wish:
    """What was said for all of them. ``inbox``: an inbox, a drop-file, or None where there is only one."""

    inbox: str | None
    priority: int | None
    label: str | None


@dataclass(frozen=True, slots=True)
class Asked:
    """One URL, which may hold credentials. ``fields``: as in a line of a drop-file. ``line``: where it stands, or 0."""

    url: str
    fields: dict[str, str] = field(default_factory=dict)
    line: int = 0


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of one URL: ``taken`` or ``bad``. ``blocked``: the rule that will keep it from being fetched, if any."""

    asked: Asked
    url: str
    """Safe to be shown."""
    taken: Taken | None = None
    bad: Bad | None = None
    blocked: str = ""

    @property
    def refusal(self) -> Json:
        """``{url, reason, detail, hint}`` of a bad one."""
        if self.bad is None:
            raise AssertionError("it was taken")
        return {
            "url": self.url,
            "reason": self.bad.reason,
            "detail": self.bad.detail,
            "hint": hint_of(self.bad.reason),
        }


def is_url(target: bytes) -> bool:
    """Whether something that was named on a command line is meant as a URL, whatever it is worth."""
    return _URL.match(target) is not None


def hint_of(reason: Reason) -> str:
    return explained(reason, of_url=True).remedy


async def add_urls(house: House, urls: Sequence[Asked], wish: Wish) -> Json:
    """``{inbox, new, known, blocked, refused: [{line, url, reason, detail, hint}]}``."""
    place = place_of(house, wish.inbox)
    answers = await take(house, place, urls, wish)
    fresh = [answer for answer in answers if answer.taken is not None and answer.taken.fresh]
    refused = [answer for answer in answers if answer.bad is not None]
    return {
        "inbox": place.name,
        "new": len(fresh),
        "known": len(answers) - len(fresh) - len(refused),
        "blocked": sum(bool(answer.blocked) for answer in fresh),
        "refused": [{"line": answer.asked.line} | answer.refusal for answer in refused],
    }


def place_of(house: House, name: str | None) -> UrlInbox:
    """Where URLs go that are meant for an inbox or a drop-file; the only drop-file, or else the only inbox, for None.

    Raises ``NotFound`` for a name that is not known, ``Conflict`` where there is more than one place.
    """
    places = house.settings.url_inboxes
    if name is None:
        for some in (
            [place for place in places if place.dropfile],
            [place for place in places if not place.dropfile],
        ):
            if len(some) == 1:
                return some[0]
        known = ", ".join(place.name.removesuffix(URLS_SUFFIX) for place in places) or "none is configured"
        raise Conflict(
            "which drop-file or inbox takes the URLs has to be said",
            hint=f"--inbox N, one of {known}",
            reason="ambiguous",
        )
    chosen = house.inbox(name)
    if isinstance(chosen, UrlInbox):
        return chosen
    return next(place for place in places if place.of_inbox == chosen.name)


async def take(house: House, place: UrlInbox, urls: Sequence[Asked], wish: Wish) -> list[Answer]:
    """One answer for each, in order. All that are good are in the queue on return, made in one transaction.

    One that the network policy forbids is taken in all the same: its job is discarded without a request, and says why.
    """
    read = [(asked, _read(asked, wish)) for asked in urls]
    good = [said for _, said in read if isinstance(said, Wanted)]
    now_ms = house.clock.now_ms()
    taken = await house.catalog.write(lambda session: _queue(session, house, place, good, now_ms)) if good else []
    for said, job in zip(good, taken, strict=True):
        if job.fresh:
            house.emit(Enqueued(job.job_id, place.name, said.canonical.encode(), FoundBy.MANUAL, 0))
    if house.live is not None and any(job.fresh for job in taken):
        house.live.fetcher.wake()
    policy, jobs = house.settings.net.policy, iter(taken)
    return [
        Answer(asked, said.url, bad=said)
        if isinstance(said, Bad)
        else Answer(asked, said.canonical, taken=next(jobs), blocked=_blocked(policy, said))
        for asked, said in read
    ]


def _read(asked: Asked, wish: Wish) -> Wanted | Bad:
    fields = dict(asked.fields)
    if wish.label is not None:
        fields.setdefault("label", wish.label)
    if wish.priority is not None:
        fields.setdefault("priority", str(wish.priority))
    unknown = sorted(fields.keys() - set(KEYS))
    if unknown:
        url = wanted(asked.url)
        detail = f"{unknown[0]!r} is no field; valid are {', '.join(KEYS)}"
        return Bad(Reason.BAD_LINE, detail, url.url if isinstance(url, Bad) else url.canonical)
    return wanted(asked.url, **fields)


def _blocked(policy: Policy, said: Wanted) -> str:
    verdict = policy.judge_url(parse_url(said.canonical))
    return "" if verdict.allowed else verdict.rule


def _queue(session: Session, house: House, place: UrlInbox, good: Sequence[Wanted], now_ms: int) -> list[Taken]:
    path = os.fsencode(os.path.abspath(place.path))
    root = Root(boot.put_root(session, "inbox", place.name, path), path)
    # Where no daemon runs nothing has looked for the output yet, and nobody needs it to queue a URL.
    inbox = resolved(house.settings, place, {"inbox": root, "output": Root(0, os.fsencode(place.output))}, "")
    on_repeat: OnRepeat = next((item.on_repeat for item in house.settings.dropfiles if item.name == place.name), "skip")
    return dropfiles.take_urls(session, inbox, good, FoundBy.MANUAL, now_ms, on_repeat)
