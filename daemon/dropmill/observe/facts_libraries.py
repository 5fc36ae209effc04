"""What is worth telling of libraries that are catalogued in place."""

from __future__ import annotations

from dataclasses import dataclass

from dropmill.model.outcome import Reason
from dropmill.observe.fact import Fact


@dataclass(frozen=True, slots=True)
class CataloguingBegun(Fact):
    """``folders`` as people are shown them; without any, all that is catalogued is hashed anew. ``again``: an earlier run of
    the daemon had begun it."""

    scan: int
    folders: tuple[str, ...]
    rehash: bool
    again: bool


@dataclass(frozen=True, slots=True)
class CataloguingProgressed(Fact):
    """Once a second at most. ``eta_seconds`` is None while that cannot be said."""

    scan: int
    files: int
    total_files: int
    indexed: int
    files_per_second: float
    eta_seconds: int | None


@dataclass(frozen=True, slots=True)
class CataloguingRefused(Fact):
    """A file that should be a picture and cannot be catalogued."""

    scan: int
    path: bytes
    reason: Reason
    detail: str


@dataclass(frozen=True, slots=True)
class CataloguingTrouble(Fact):
    """A folder or file that cannot be looked at; the scan goes on without it, and forgets nothing of it."""

    scan: int
    path: bytes
    detail: str


@dataclass(frozen=True, slots=True)
class CataloguingEnded(Fact):
    """``state``: done, cancelled or failed."""

    scan: int
    state: str
    indexed: int
    unchanged: int
    ignored: int
    refused: int
    vanished: int
    seconds: float
    detail: str


@dataclass(frozen=True, slots=True)
class OlderHashes(Fact):
    """Found at start: images whose hashes were taken by another recipe than ours. ``parts``: or of which those of their parts
    are wanted and not there."""

    images: int
    parts: bool = False


@dataclass(frozen=True, slots=True)
class Forgotten(Fact):
    """A person had an image and its hashes taken from the catalog."""

    sha256: str
    files: int
    renditions: int
