"""What is told of URLs: drop-files, downloads and the hosts that are asked."""

from __future__ import annotations

from dataclasses import dataclass

from dropmill.model.outcome import Reason
from dropmill.observe.fact import Fact


@dataclass(frozen=True, slots=True)
class FetchStarted(Fact):
    """``path`` of this and what follows is the URL, in its canonical form."""

    job_id: int
    inbox: str
    path: bytes
    attempt: int


@dataclass(frozen=True, slots=True)
class Downloaded(Fact):
    """``received_bytes``: of this attempt. ``not_modified``: what was fetched before is what the host still has."""

    job_id: int
    inbox: str
    path: bytes
    status: int
    size_bytes: int
    received_bytes: int
    seconds: float
    not_modified: bool


@dataclass(frozen=True, slots=True)
class DownloadFailed(Fact):
    """One attempt. ``Rescheduled`` or ``Discarded`` follows."""

    job_id: int
    inbox: str
    path: bytes
    reason: Reason
    detail: str
    received_bytes: int
    seconds: float


@dataclass(frozen=True, slots=True)
class HostResting(Fact):
    """Nothing is asked of a host for so long: it wants that (``failing`` False), or its circuit is open."""

    origin: str
    seconds: float
    failing: bool
    probes: int
    detail: str


@dataclass(frozen=True, slots=True)
class HostBack(Fact):
    """It answers again, after so many seconds."""

    origin: str
    seconds: float


@dataclass(frozen=True, slots=True)
class HostGivenUp(Fact):
    """It has been failing for so long that its URLs were discarded, with a ``Discarded`` each."""

    origin: str
    urls: int
    seconds: float
    detail: str


@dataclass(frozen=True, slots=True)
class LeftResting(Fact):
    """With ``--once``: URLs that stay for another run; the first of them may be asked for in so many seconds."""

    hosts: int
    urls: int
    seconds: float


@dataclass(frozen=True, slots=True)
class DropfileBegun(Fact):
    """A drop-file is read from its start, or a list (then ``dropfile`` is the inbox of its URLs): a new one, or one that was ``rewritten``, with so much known to be unread."""

    dropfile: str
    path: bytes
    generation: int
    rewritten: bool
    unread_bytes: int


@dataclass(frozen=True, slots=True)
class DropfileTrouble(Fact):
    """A drop-file cannot be read, or its results not be written; ``path`` says which of the two."""

    dropfile: str
    path: bytes
    detail: str
    remedy: str


@dataclass(frozen=True, slots=True)
class DropfileWell(Fact):
    """What was told by ``DropfileTrouble`` is over."""

    dropfile: str
    path: bytes


@dataclass(frozen=True, slots=True)
class LinesTaken(Fact):
    """Lines of a drop-file were committed: ``fresh`` made a job each, the others share one, but for ``refused`` ones."""

    dropfile: str
    path: bytes
    lines: int
    fresh: int
    refused: int


@dataclass(frozen=True, slots=True)
class LineRefused(Fact):
    """``url`` holds no credentials."""

    dropfile: str
    path: bytes
    line: int
    url: str
    reason: Reason
    detail: str


@dataclass(frozen=True, slots=True)
class ResultsTold(Fact):
    dropfile: str
    path: bytes
    lines: int
