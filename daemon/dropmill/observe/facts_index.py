"""What becomes of the process that finds similar images."""

from __future__ import annotations

from dataclasses import dataclass

from dropmill.observe.fact import Fact


@dataclass(frozen=True, slots=True)
class IndexReady(Fact):
    """The process that finds similar images has read the catalog."""

    pid: int
    images: int
    seconds: float


@dataclass(frozen=True, slots=True)
class IndexLost(Fact):
    """That process ended or could not be started; it is started again after ``rest_seconds``."""

    detail: str
    rest_seconds: float


@dataclass(frozen=True, slots=True)
class IndexAnswered(Fact):
    """How long it took to find what resembles so many images."""

    images: int
    seconds: float
