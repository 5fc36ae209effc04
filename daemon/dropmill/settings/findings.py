"""What is wrong with a configuration: every finding at once, each with its place and remedy."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from dropmill.errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing to look at.

    Attributes:
        where: ``file:line``, ``environment DROPMILL_…``, ``option --…``, or empty where it belongs to no place.
        key: dotted key as in ``Loaded.origin`` (``inboxes.0.path``), or empty.
        message: what is wrong.
        hint: what to do about it, or empty.
    """

    where: str
    key: str
    message: str
    hint: str = ""

    def __str__(self) -> str:
        place = "".join(f"{part}: " for part in (self.where, self.key) if part)
        return f"{place}{self.message}; {self.hint}" if self.hint else f"{place}{self.message}"


class SettingsError(ConfigurationError):
    """The configuration cannot be used. ``findings`` holds everything that is wrong with it; the exit code is 2.

    ``rest``: the ``Loaded`` that the sound part of it gives, for whoever wants to look further; None where there is none.
    """

    def __init__(self, findings: Sequence[Finding], rest: object = None) -> None:
        self.findings = tuple(findings)
        self.rest = rest
        super().__init__("\n".join(map(str, self.findings)))


class Wrong(ValueError):
    """Raised by validators of the models: a message with its hint, and the key within the model that it is about."""

    def __init__(self, message: str, hint: str = "", key: str = "") -> None:
        super().__init__(f"{message}; {hint}" if hint else message)
        self.message = message
        self.hint = hint
        self.key = key


def suggestion(word: str, valid: Iterable[str]) -> str:
    """A hint that names the nearest valid word, or the whole choice where none is near."""
    choice = sorted(valid)
    near = difflib.get_close_matches(word.lower(), choice, n=1, cutoff=0.6)
    if near:
        return f"did you mean {near[0]}?"
    return f"valid are {', '.join(choice)}" if choice else ""
