"""What can be wrong with watching an inbox, in words: for health, status and the log alike."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """In the order in which they are told: of several, the first is what a person has to look at."""

    GONE = "gone"
    HELD = "held"
    NOT_MOUNTED = "not-mounted"
    DESCRIPTORS = "descriptors"
    READER = "reader"
    LIMIT = "limit"
    SILENT = "silent"


# Of these the folder itself is the matter; of the others, how it is watched.
FOLDER: frozenset[Kind] = frozenset({Kind.GONE, Kind.HELD, Kind.NOT_MOUNTED})


@dataclass(frozen=True, slots=True)
class Trouble:
    """``detail`` is what is the matter, ``remedy`` what a person can do about it. Neither names a path."""

    detail: str
    remedy: str


_POLL = 'set watch = "poll" for this inbox, or have files written on this machine'


def gone(said: str) -> Trouble:
    """``said``: what the system says where a folder is there and cannot be used."""
    return Trouble(
        f"the folder cannot be used: {said}" if said else "the folder is gone; waiting for it to come back",
        "bring the folder, or the disk it is on, back; the inbox then goes on by itself and nothing is forgotten",
    )


def held(holder: str) -> Trouble:
    """``holder``: the other's pid, where it is known."""
    return Trouble(
        f"the folder that is there now is in use by another daemon{holder and f', pid {holder}'}",
        "stop that one, or give this one a folder of its own; the inbox then goes on by itself",
    )


def not_mounted() -> Trouble:
    return Trouble(
        "the folder is empty and not on the mounted disk where it was before",
        "mount the disk; nothing is taken for deleted meanwhile. If the folder is meant to be here now, put a file into it",
    )


def out_of_descriptors(said: str) -> Trouble:
    return Trouble(
        f"files cannot be opened: {said}",
        "raise the limit on open files (LimitNOFILE= of the unit, or ulimit -n); nothing is lost, it is tried again",
    )


def reader_ended() -> Trouble:
    return Trouble(
        "nobody reads the file system's events; the reader is started anew and the inbox is scanned",
        "nothing to do; if it happens again, report it with the log",
    )


def reader_ends_again() -> Trouble:
    return Trouble(
        "polled instead of watched: what reads the file system's events ended twice within a minute",
        'report it with the log, and set watch = "poll" meanwhile',
    )


def limit_reached(what: str, directories: int) -> Trouble:
    """``what``: ``watches`` or ``instances``. ``directories``: tops of the trees that are not watched; 0 for the whole."""
    which = f"{directories} folders in it are" if directories > 1 else "a folder in it is" if directories else "it is"
    return Trouble(
        f"{which} polled instead of watched: the limit fs.inotify.max_user_{what} is reached",
        f'raise it (sysctl fs.inotify.max_user_{what}), or set watch = "poll"; it is tried again at each scan',
    )


def not_watchable(said: str) -> Trouble:
    return Trouble(
        f"polled instead of watched: {said}", 'make the folder readable for the daemon, or set watch = "poll"'
    )


def no_event_of_test() -> Trouble:
    return Trouble(
        "polled instead of watched: the file system did not tell of a file that the daemon made to test it", _POLL
    )


def no_event_of_file() -> Trouble:
    return Trouble("polled instead of watched: a scan found a file of which the file system had not told", _POLL)
