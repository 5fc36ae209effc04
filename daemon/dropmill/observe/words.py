"""The table of words for facts, and what a line of the log is made of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeVar

from dropmill.model.outcome import Reason, explained
from dropmill.model.url import is_url
from dropmill.observe.fact import Fact

Level = Literal["debug", "info", "warning", "error"]
Fields = dict[str, Any]
F = TypeVar("F", bound=Fact)


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the log. ``fields`` holds what JSON can say; paths are printable text."""

    level: Level
    event: str
    fields: Fields


WORDS: Final[dict[type[Fact], Callable[[Any], Line]]] = {}
# Told many times for each picture, and always at the level "debug": a log that leaves that out need not word them.
DETAILS: Final[set[type[Fact]]] = set()


def words(fact: type[F], *, detail: bool = False) -> Callable[[Callable[[F], Line]], Callable[[F], Line]]:
    """Put the words of a type of fact into the table; ``detail``: into ``DETAILS`` too."""

    def put(word: Callable[[F], Line]) -> Callable[[F], Line]:
        WORDS[fact] = word
        if detail:
            DETAILS.add(fact)
        return word

    return put


def reason_fields(reason: Reason, detail: str, path: bytes = b"") -> Fields:
    """Why, in a stable word and in a sentence, and what the reader can do about it. ``path``: of the job, may be a URL."""
    explanation = explained(reason, of_url=is_url(path))
    return {"reason": reason.value, "cause": explanation.cause, "detail": detail, "remedy": explanation.remedy}
