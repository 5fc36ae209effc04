"""Which folders of a configuration a sandbox has to let through, under as few names as keep renames cheap.

Each path that a unit names becomes a mount of its own, and between mounts a move is a copy. So an inbox and the folders
that its originals are moved to go under one parent where that is not much more than themselves.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from dropmill.settings import Inbox, Settings, UnixAddress

# The unit has these already.
_GRANTED: Final = ("/srv/dropmill", "/var/lib/dropmill")
_HOMES: Final = ("/home", "/root", "/run/user")
_TEMPORARY: Final = frozenset({"/tmp", "/var/tmp"})  # noqa: S108  # Named, not used.
# hier(7): what lies there belongs to others too.
_SHARED: Final = _TEMPORARY.union(
    ("/", "/bin", "/boot", "/dev", "/etc", "/home", "/lib", "/media", "/mnt", "/opt", "/proc", "/root", "/run"),
    ("/run/media", "/run/user", "/sbin", "/srv", "/sys", "/usr", "/usr/local", "/var", "/var/cache", "/var/lib"),
    ("/var/local", "/var/log", "/var/opt", "/var/spool", "/var/www"),
)


class Place(NamedTuple):
    """A folder to name, real and absolute; ``why`` says what of it the configuration names."""

    path: str
    why: str


def places(settings: Settings) -> list[Place]:
    """In the order of the configuration; none lies inside another, and none where the unit lets it write anyway."""
    named: list[Place] = []
    for inbox in settings.inboxes:
        named += _together([(_real(path), what) for path, what in family(inbox)])
    named += [Place(_real(path), f"{what}.") for path, what in _others(settings)]
    found: dict[str, list[str]] = {}
    for place in named:
        if not below(place.path, *_GRANTED):
            whys = found.setdefault(place.path, [])
            whys += [place.why] if place.why not in whys else []
    outer = [path for path in found if not any(path != other and below(path, other) for other in found)]
    return [Place(path, " ".join(found[path])) for path in outer]


def below(path: str, *folders: str) -> bool:
    """Whether it is one of them or lies in one."""
    return any(path == folder or path.startswith(folder.rstrip("/") + "/") for folder in folders)


def hidden(path: str) -> bool:
    """Whether ProtectHome hides it."""
    return below(_real(path), *_HOMES)


def temporary(path: str) -> bool:
    """Whether PrivateTmp puts an empty folder in its place."""
    return below(path, *_TEMPORARY)


def family(inbox: Inbox) -> list[tuple[str, str]]:
    """Path and what it is, of an inbox and what belongs to it; the output is last."""
    named = {"inbox": inbox.path, "archive": inbox.archive, "duplicates": inbox.duplicates}
    named |= {"quarantine": inbox.quarantine, "output": inbox.output}
    return [(path, f"{what} of {inbox.name}") for what, path in named.items() if path]


def _others(settings: Settings) -> Iterator[tuple[str, str]]:
    for one in settings.dropfiles:
        yield os.path.dirname(one.path), f"drop-file {one.name}"
        yield os.path.dirname(one.results_path), f"results of {one.name}"
        for path, what in ((one.output, "output"), (one.originals_folder, "originals"), (one.quarantine, "quarantine")):
            if path:
                yield path, f"{what} of {one.name}"
    for path in settings.library_roots:
        yield path, "library"
    if settings.review.default_move:
        yield settings.review.default_move, "where the review moves files"
    if settings.log.file:
        yield os.path.dirname(settings.log.file), "the log"
    if settings.http.audit_file:
        yield os.path.dirname(settings.http.audit_file), "the log of changes"
    if not settings.state_dir.startswith("/var/lib/"):
        yield settings.state_dir, "the state directory"
    address = settings.http.address
    if isinstance(address, UnixAddress) and not address.path.startswith("/run/"):
        yield os.path.dirname(address.path), "the folder of the page's socket"


def _together(named: Sequence[tuple[str, str]]) -> list[Place]:
    """All under one parent; else the output by itself; else each."""
    for count in (len(named), len(named) - 1):
        paths = [path for path, _ in named[:count]]
        parent = os.path.commonpath(paths)
        if count > 1 and _may_stand_for(parent, paths):
            whats = ", ".join(what for _, what in named[:count])
            together = Place(parent, f"{whats}: one parent, since between two folders that are named a move is a copy.")
            return [together, *(Place(path, f"{what}.") for path, what in named[count:])]
    return [Place(path, f"{what}.") for path, what in named]


def _may_stand_for(parent: str, paths: Sequence[str]) -> bool:
    """Whether it holds nothing of others by its name, and what lies on its own disk is all that is meant."""
    if parent in _SHARED or os.path.dirname(parent) == "/home":
        return parent in paths
    try:
        disk = os.stat(parent).st_dev
    except OSError:
        return True  # Nothing is there yet, so all of it will be made in one place.
    return all(_disk(path) in {disk, None} for path in paths)


def _disk(path: str) -> int | None:
    try:
        return os.stat(path).st_dev
    except OSError:
        return None


def _real(path: str) -> str:
    return os.path.realpath(path)
