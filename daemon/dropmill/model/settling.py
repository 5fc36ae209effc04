"""When is a file finished? A pure function of what was seen and when; nothing here looks at a disk or a clock.

``settle(waiting, observation, now, rules)`` returns the new state of one path and what is wanted next. Times are
seconds of a clock that never jumps; a file's own mtime is never believed (W07).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from dropmill.model.file import Signature
from dropmill.model.job import FoundBy
from dropmill.model.outcome import Ignored

# After a hint the file is looked at this soon, so that the clock starts from what it was then; hints in between coalesce.
PEEK_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class Rules:
    settle_seconds: float
    incomplete_timeout_seconds: float


@dataclass(frozen=True, slots=True)
class Waiting:
    """A path that is not finished yet, as far as we know. ``changed_at`` is when it last differed or was hinted at."""

    found_by: FoundBy
    found_at: float
    changed_at: float
    look_at: float
    signature: Signature | None = None
    note: str = ""
    """Why it still waits, for people who ask."""


@dataclass(frozen=True, slots=True)
class Hint:
    """Something happened to the path; scans bring the signature along."""

    found_by: FoundBy
    signature: Signature | None = None


@dataclass(frozen=True, slots=True)
class Look:
    """What was found there: None for "nothing there". ``writer``: somebody has it open for writing, as far as known.

    What is not ``ours`` (a pipe, a text file) is not waited for to be complete.
    ``trouble`` says why the file could not be looked at; it is tried again.
    """

    signature: Signature | None
    writer: bool = False
    ours: bool = True
    trouble: str = ""


@dataclass(frozen=True, slots=True)
class LookAgain:
    """Look at the path at ``at``; with ``probe``, also for writers."""

    at: float
    probe: bool


@dataclass(frozen=True, slots=True)
class Settled:
    signature: Signature
    found_by: FoundBy


@dataclass(frozen=True, slots=True)
class Forget:
    """Nothing is there any more."""


Request = LookAgain | Settled | Forget


def settle(
    waiting: Waiting | None, observation: Hint | Look, now: float, rules: Rules
) -> tuple[Waiting | None, Request]:
    """One step of one path. A result without ``Waiting`` ends the wait."""
    if isinstance(observation, Hint):
        return _hinted(waiting, observation, now, rules)
    if waiting is None:
        return None, Forget()
    return _looked(waiting, observation, now, rules)


def _hinted(waiting: Waiting | None, hint: Hint, now: float, rules: Rules) -> tuple[Waiting, Request]:
    peek = now + min(PEEK_SECONDS, rules.settle_seconds)
    if waiting is None:
        if hint.signature is not None:  # The scan has looked already.
            look_at = now + rules.settle_seconds
            return Waiting(hint.found_by, now, now, look_at, hint.signature), LookAgain(look_at, probe=True)
        return Waiting(hint.found_by, now, now, peek), LookAgain(peek, probe=False)
    if hint.signature is not None and hint.signature == waiting.signature:
        return waiting, LookAgain(waiting.look_at, probe=True)  # A scan that confirms is no change.
    # The watcher did see a file that a concurrent scan merely met first.
    found_by = hint.found_by if waiting.found_by is FoundBy.RECONCILE else waiting.found_by
    look_at = max(now, min(waiting.look_at, peek))
    return replace(waiting, found_by=found_by, changed_at=now, look_at=look_at), LookAgain(look_at, probe=False)


def _looked(waiting: Waiting, look: Look, now: float, rules: Rules) -> tuple[Waiting | None, Request]:
    if look.trouble:
        return _again(waiting, now + max(rules.settle_seconds, 1.0), look.trouble)
    if look.signature is None:
        if waiting.changed_at > now:  # Something happened there after the look began: its answer is an old one.
            return _again(waiting, waiting.changed_at, "")
        return None, Forget()
    if look.signature != waiting.signature:
        changed = replace(waiting, signature=look.signature, changed_at=now)
        return _again(changed, now + rules.settle_seconds, "still changing")
    due = waiting.changed_at + rules.settle_seconds
    if now < due:
        return _again(waiting, due, "waiting for it to stay as it is")
    # Incompleteness only delays: at the deadline the decoder decides.
    deadline = waiting.changed_at + max(rules.incomplete_timeout_seconds, rules.settle_seconds)
    if look.ours and now < deadline:
        pause = max(rules.settle_seconds, PEEK_SECONDS)
        if look.writer:
            return _again(waiting, min(now + pause, deadline), "somebody has it open for writing")
        if look.signature.size_bytes == 0:
            return _again(waiting, min(now + pause, deadline), "empty so far")
    return None, Settled(look.signature, waiting.found_by)


def _again(waiting: Waiting, at: float, note: str) -> tuple[Waiting, Request]:
    return replace(waiting, look_at=at, note=note), LookAgain(at, probe=True)


@dataclass(frozen=True, slots=True)
class Ready:
    """A file version that stayed as it is, on its way into the queue; ``ignored`` if it is not ours."""

    rel: bytes
    signature: Signature
    found_by: FoundBy
    waited_seconds: float
    ignored: Ignored | None = None
