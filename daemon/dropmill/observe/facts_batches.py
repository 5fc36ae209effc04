"""What is worth telling of what a person had done to files."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from dropmill.observe.fact import Fact

DEED_RESULTS: Final = frozenset({"done", "purged", "skipped", "undone", "refused"})
"""``skipped``: left as it was; ``refused``: could not be taken back; ``purged``: gone for good."""


@dataclass(frozen=True, slots=True)
class BatchBegun(Fact):
    """``undo``: it is taken back. ``again``: an earlier run of the daemon had begun with it."""

    batch: int
    action: str
    groups: int
    files: int
    undo: bool
    again: bool


@dataclass(frozen=True, slots=True)
class BatchProgressed(Fact):
    """After each lot of files."""

    batch: int
    action: str
    undo: bool
    finished: int
    files: int


@dataclass(frozen=True, slots=True)
class DeedEnded(Fact):
    """One file of a batch. ``result`` is of ``DEED_RESULTS``; ``target``: where it is now, if it is anywhere else."""

    batch: int
    action: str
    result: str
    path: bytes
    target: bytes | None
    detail: str
    hint: str


@dataclass(frozen=True, slots=True)
class BatchEnded(Fact):
    """``state`` is done or undone; an undo that left something in its place ends as done. Undone without ``undo`` is one
    that could not be written down."""

    batch: int
    action: str
    state: str
    undo: bool
    done: int
    skipped: int
    undone: int
    size_bytes: int
    seconds: float


@dataclass(frozen=True, slots=True)
class BatchHeldUp(Fact):
    """A file can neither be dealt with nor be put back now; it is tried again."""

    batch: int
    path: bytes
    detail: str


@dataclass(frozen=True, slots=True)
class PreferencesChanged(Fact):
    """By a person, over the configuration: ``name = value`` each."""

    changes: tuple[str, ...]
