"""Errors that carry their own remedy."""

from __future__ import annotations

from collections.abc import Sequence


class DropmillError(Exception):
    """What went wrong, said once, for logs, terminal, API and page alike.

    Attributes:
        reason: stable code, lower case with hyphens, listed in docs/reasons.md.
        hint: what the reader can do about it.
        retryable: whether the same action may succeed later without anyone changing anything.
        public_message: one line that may be shown to anyone who may use the program.
    """

    reason = "unexpected"
    retryable = False
    exit_code = 1

    def __init__(self, public_message: str, *, hint: str = "", reason: str = "", retryable: bool | None = None) -> None:
        super().__init__(public_message)
        self.public_message = public_message
        self.hint = hint
        if reason:
            self.reason = reason
        if retryable is not None:
            self.retryable = retryable

    def __str__(self) -> str:
        return f"{self.public_message} ({self.hint})" if self.hint else self.public_message


class ConfigurationError(DropmillError):
    """The configuration or the environment does not allow a start."""

    reason = "configuration"
    exit_code = 2


class StateError(DropmillError):
    """The state directory or its catalog cannot be used."""

    reason = "state"
    exit_code = 2


class NotReachable(DropmillError):
    """No daemon answers."""

    reason = "not-reachable"
    retryable = True
    exit_code = 4


class Unavailable(DropmillError):
    """A part that this needs is not there at the moment."""

    reason = "unavailable"
    retryable = True


class NotFound(DropmillError):
    """The job, path or inbox that was asked for is not known."""

    reason = "not-found"


class Conflict(DropmillError):
    """The request does not fit the state that the thing is in."""

    reason = "conflict"


class Forbidden(DropmillError):
    """Nobody may ask for this, whoever asks."""

    reason = "forbidden"


class AlreadyRunning(Conflict):
    """Another daemon has the state directory or the inbox; starting again would not help."""

    reason = "already-running"
    exit_code = 2
    holder = ""
    """The pid of the other one, where it is known."""


class Refused(Conflict):
    """A changed configuration cannot be applied. ``findings`` holds everything that is wrong with it."""

    reason = "configuration-refused"
    exit_code = 2

    def __init__(self, public_message: str, findings: Sequence[str]) -> None:
        super().__init__(public_message, hint="the earlier one stays in force; put it right, then: dropmill reload")
        self.findings = tuple(findings)
