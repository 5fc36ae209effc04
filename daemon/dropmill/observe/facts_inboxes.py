"""What is told of the folders that are watched and written to."""

from __future__ import annotations

from dataclasses import dataclass

from dropmill.observe.fact import Fact


@dataclass(frozen=True, slots=True)
class ScanTrouble(Fact):
    inbox: str
    path: bytes
    detail: str


@dataclass(frozen=True, slots=True)
class EventsLost(Fact):
    """The kernel's event queue overflowed; a full scan follows at once (W15)."""

    inbox: str


@dataclass(frozen=True, slots=True)
class WatchDegraded(Fact):
    inbox: str
    detail: str
    hint: str


@dataclass(frozen=True, slots=True)
class WatchRestored(Fact):
    """What was told by ``WatchDegraded`` is over."""

    inbox: str


@dataclass(frozen=True, slots=True)
class InboxGone(Fact):
    """The folder is not there, is another daemon's, or is only the place where its disk belongs."""

    inbox: str
    detail: str
    remedy: str = "mount it or make the folder again; nothing is forgotten"


@dataclass(frozen=True, slots=True)
class InboxBack(Fact):
    inbox: str


@dataclass(frozen=True, slots=True)
class OutputChanged(Fact):
    """At start, another folder is where an output was recorded: an unmounted disk, or one that was made anew."""

    inbox: str
    path: bytes


@dataclass(frozen=True, slots=True)
class SourceDeleted(Fact):
    """A kept original was deleted by its user, and its renditions are removed as the inbox asks."""

    inbox: str
    path: bytes


@dataclass(frozen=True, slots=True)
class Held(Fact):
    """No job of the inbox is begun (``*``: no file of any is queued), because of one of its folders, named by ``place``."""

    inbox: str
    place: str
    path: bytes
    detail: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Unheld(Fact):
    inbox: str
