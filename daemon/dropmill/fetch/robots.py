"""What a host's owner says about machines: robots.txt (RFC 9309) and X-Robots-Tag. Asked only where it is configured."""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import Final, Protocol

import anyio
import anyio.to_thread
from protego import Protego

from dropmill.fetch.failing import failed, of_status
from dropmill.model.outcome import Reason
from dropmill.model.url import Url, follow
from dropmill.ports import Clock

MOST_BYTES: Final = 500 << 10
"""Of a robots.txt; what is longer is read so far (RFC 9309, 2.5)."""
KEPT_MS: Final = 24 * 3600 * 1000
# Parsed rules take many times the memory of their text, and the text is the host's to choose.
_KEPT_ORIGINS: Final = 256
_KEPT_CHARS: Final = 2 << 20
_FORBIDDING: Final = frozenset({"noai", "noimageai", "noindex", "noimageindex", "none"})
# What stands before a colon is a robot's name, unless it is a rule with a value.
_VALUED: Final = frozenset({"unavailable_after", "max-snippet", "max-image-preview", "max-video-preview"})


class RobotsStore(Protocol):
    """What is remembered of robots.txt, by origin."""

    async def get(self, origin: str) -> tuple[str, int] | None:
        """The text and when it was asked for, in wall milliseconds; None where it never was."""
        ...

    async def put(self, origin: str, text: str, at_ms: int) -> None: ...


@dataclass(frozen=True, slots=True)
class RobotsAnswer:
    """What came for ``/robots.txt``, redirects followed: ``text`` is its first ``MOST_BYTES``."""

    status: int
    text: str
    retry_after_seconds: float | None = None


Ask = Callable[[Url], Awaitable[RobotsAnswer]]


@dataclass(slots=True)
class _Known:
    rules: Protego | None = None
    chars: int = 0
    asked_at_ms: int = 0
    lock: anyio.Lock = field(default_factory=anyio.Lock)


class Robots:
    """``agent`` is the User-Agent that is sent; ``ask`` raises ``Stopped`` where no answer came."""

    def __init__(self, ask: Ask, agent: str, clock: Clock, store: RobotsStore | None) -> None:
        self._ask = ask
        self._agent = agent
        self._clock = clock
        self._store = store
        self._known: OrderedDict[str, _Known] = OrderedDict()

    async def check(self, url: Url) -> None:
        """Raises ``Stopped``: ``robots-disallowed``, or what kept its robots.txt from being read, which is passing."""
        known = self._known.setdefault(url.origin, _Known())
        self._known.move_to_end(url.origin)
        async with known.lock:
            if known.rules is None or self._clock.now_ms() - known.asked_at_ms >= KEPT_MS:
                text, known.asked_at_ms = await self._text(url)
                # In a thread, because half a megabyte of rules takes a while.
                known.rules = await anyio.to_thread.run_sync(Protego.parse, text)
                known.chars = len(text)
                self._make_room()
        if not known.rules.can_fetch(url.canonical, self._agent):
            raise failed(Reason.ROBOTS_DISALLOWED, f"{url.origin}/robots.txt disallows it", permanent=True)

    def _make_room(self) -> None:
        chars = sum(known.chars for known in self._known.values())
        while len(self._known) > 1 and (len(self._known) > _KEPT_ORIGINS or chars > _KEPT_CHARS):
            chars -= self._known.popitem(last=False)[1].chars

    async def _text(self, url: Url) -> tuple[str, int]:
        now_ms = self._clock.now_ms()
        kept = await self._store.get(url.origin) if self._store is not None else None
        if kept is not None and 0 <= now_ms - kept[1] < KEPT_MS:
            return kept
        answer = await self._ask(follow(url, "/robots.txt"))
        text = _judged(answer)
        if self._store is not None:
            await self._store.put(url.origin, text, now_ms)
        return text, now_ms


def _judged(answer: RobotsAnswer) -> str:
    """Unavailable (4xx) allows everything, unreachable (5xx, and 429, which says the same) nothing (RFC 9309, 2.3.1)."""
    if answer.status == 200:
        return answer.text
    if answer.status == 429 or answer.status >= 500:
        told = of_status(answer.status, answer.retry_after_seconds)
        raise failed(
            told.reason,
            f"nothing may be asked for while its robots.txt is answered with {answer.status}",
            blames_host=True,
            retry_after_seconds=answer.retry_after_seconds,
        )
    return ""


def forbidden_by(tags: Iterable[str], agent: str) -> str:
    """The rule in X-Robots-Tag headers that forbids a picture's use, or empty. Rules for other robots do not count."""
    product = re.split(r"[/\s]", agent.lower(), maxsplit=1)[0]
    for tag in tags:
        mine = True
        for part in tag.lower().split(","):
            name, colon, rest = (text.strip() for text in part.partition(":"))
            rule = name
            if colon and name not in _VALUED:
                # The name holds for what follows it in this header, up to the next name.
                mine, rule = name in {product, "*"}, rest
            if mine and rule in _FORBIDDING:
                return rule
    return ""
