"""When is a file finished? A pure function of what was seen and when; nothing here looks at a disk or a clock.

``settle(waiting, observation, now, rules)`` returns the new state of one path and what is wanted next. Times are
seconds of a clock that never jumps; a file's own mtime is never believed (W07).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import inf
from typing import Final, Literal

from dropmill.model.file import Signature
from dropmill.model.job import FoundBy
from dropmill.model.outcome import Ignored

# After a hint the file is looked at this soon, so that the clock starts from what it was then; hints in between coalesce.
PEEK_SECONDS: Final = 0.05
# Between looks at what does not change, the pause grows with the wait up to this; changes are told or scanned for.
LONGEST_PAUSE_SECONDS: Final = 30.0
WAITS_FOR_DONE_FILE: Final = "waiting for its done-file"
_WRITER, _EMPTY, _INCOMPLETE = "somebody has it open for writing", "empty so far", "not complete yet: "
# How the notes begin of files that are taken at the deadline, whatever speaks against it.
DELAYED: Final = (_WRITER, _EMPTY, _INCOMPLETE)


@dataclass(frozen=True, slots=True)
class Rules:
    """``settle_seconds`` is what holds at the moment, see ``model.pace``."""

    settle_seconds: float
    incomplete_timeout_seconds: float


@dataclass(frozen=True, slots=True)
class Completeness:
    """Whether a file reaches the end that its own format declares; ``detail`` says what is missing of it."""

    state: Literal["complete", "incomplete", "unknown"]
    detail: str = ""


COMPLETE: Final = Completeness("complete")
UNKNOWN: Final = Completeness("unknown")
"""The format does not tell, or it would take too long to find out; the decoder decides."""


def incomplete(detail: str) -> Completeness:
    return Completeness("incomplete", detail)


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
    idle: bool = False
    """Only others can bring it on: its done-file is missing, or it has been out of reach for long."""
    nudged_at: float = -inf
    troubled_at: float | None = None
    """Since when it cannot be looked at."""


@dataclass(frozen=True, slots=True)
class Hint:
    """Something happened to the path; scans bring the signature along."""

    found_by: FoundBy
    signature: Signature | None = None


@dataclass(frozen=True, slots=True)
class Nudge:
    """Something that the path may wait for has come. The path itself did not change."""


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
    complete: Completeness = UNKNOWN
    released: bool = True
    """Whether its done-file is there, or none is asked for."""


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
    waiting: Waiting | None, observation: Hint | Nudge | Look, now: float, rules: Rules
) -> tuple[Waiting | None, Request]:
    """One step of one path. A result without ``Waiting`` ends the wait."""
    if isinstance(observation, Hint):
        return _hinted(waiting, observation, now, rules)
    if waiting is None:
        return None, Forget()
    if isinstance(observation, Nudge):
        return _nudged(waiting, now, rules)
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
    hinted = replace(waiting, found_by=found_by, changed_at=now, look_at=look_at, idle=False)
    return hinted, LookAgain(look_at, probe=False)


def _nudged(waiting: Waiting, now: float, rules: Rules) -> tuple[Waiting, Request]:
    look_at = max(now, min(waiting.look_at, waiting.changed_at + rules.settle_seconds))
    return replace(waiting, look_at=look_at, nudged_at=now, idle=False), LookAgain(look_at, probe=True)


def _looked(waiting: Waiting, look: Look, now: float, rules: Rules) -> tuple[Waiting | None, Request]:
    if look.trouble:
        since = now if waiting.troubled_at is None else waiting.troubled_at
        pause = _pause(now - since, max(rules.settle_seconds, 1.0))
        for_long = now - since >= max(rules.incomplete_timeout_seconds, rules.settle_seconds)
        return _again(replace(waiting, troubled_at=since), now + pause, look.trouble, idle=for_long)
    waiting = replace(waiting, troubled_at=None)
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
    again = _reason_to_wait(waiting, look, now, rules)
    return again if again is not None else (None, Settled(look.signature, waiting.found_by))


def _reason_to_wait(waiting: Waiting, look: Look, now: float, rules: Rules) -> tuple[Waiting, Request] | None:
    """For a version that stayed as it is; None where nothing speaks against taking it."""
    if not look.ours:
        return None
    waited = now - waiting.changed_at
    shortest = max(rules.settle_seconds, PEEK_SECONDS)
    if not look.released:
        if waiting.nudged_at > now:  # It came after the look began.
            return _again(waiting, waiting.nudged_at, WAITS_FOR_DONE_FILE)
        return _again(waiting, now + _pause(waited, shortest), WAITS_FOR_DONE_FILE, idle=True)
    # Incompleteness only delays: at the deadline the decoder decides.
    deadline = waiting.changed_at + max(rules.incomplete_timeout_seconds, rules.settle_seconds)
    if now >= deadline:
        return None
    if look.writer:
        return _again(waiting, min(now + shortest, deadline), _WRITER)
    if look.signature is not None and look.signature.size_bytes == 0:
        return _again(waiting, min(now + shortest, deadline), _EMPTY)
    if look.complete.state == "incomplete":
        # A change is told or scanned for, so these looks are for files whose times do not tell of writes.
        pause = _pause(waited, shortest)
        return _again(waiting, min(now + pause, deadline), f"{_INCOMPLETE}{look.complete.detail}")
    return None


def _pause(waited_seconds: float, shortest: float) -> float:
    """Half of what was waited already, so that looks get rarer while the answer comes late by half at most."""
    return max(shortest, min(waited_seconds / 2, LONGEST_PAUSE_SECONDS))


def _again(waiting: Waiting, at: float, note: str, *, idle: bool = False) -> tuple[Waiting, Request]:
    return replace(waiting, look_at=at, note=note, idle=idle), LookAgain(at, probe=True)


@dataclass(frozen=True, slots=True)
class Ready:
    """A file version that stayed as it is, on its way into the queue; ``ignored`` if it is not ours."""

    rel: bytes
    signature: Signature
    found_by: FoundBy
    waited_seconds: float
    ignored: Ignored | None = None
