"""Which folders of a configuration a sandbox has to let through, under as few names as keep renames cheap.

Each path that a unit names becomes a mount of its own, and between mounts a move is a copy. So an inbox and the folders
that its originals are moved to go under one parent where that holds nothing else.
"""

from __future__ import annotations

import os
import string
from collections.abc import Collection, Iterator, Sequence
from itertools import islice
from typing import Final, NamedTuple

from dropmill.control.doctor.mounts import MOUNTINFO, mounts
from dropmill.files.standing import declared_places
from dropmill.settings import Inbox, Settings, UnixAddress

# The units may write there already, and to the state directory that they name.
_GRANTED: Final = "/srv/dropmill"
_HOMES: Final = ("/home", "/root", "/run/user")
_TEMPORARY: Final = frozenset({"/tmp", "/var/tmp"})  # noqa: S108  # Named, not used.
# hier(7): what lies there belongs to others too.
_SHARED: Final = _TEMPORARY.union(
    ("/", "/bin", "/boot", "/dev", "/etc", "/home", "/lib", "/media", "/mnt", "/opt", "/proc", "/root", "/run"),
    ("/run/media", "/run/user", "/sbin", "/srv", "/sys", "/usr", "/usr/local", "/var", "/var/cache", "/var/lib"),
    ("/var/local", "/var/log", "/var/opt", "/var/spool", "/var/www"),
)
# A folder with so many names in it is taken for one that holds things of others.
_MOST_NAMES: Final = 1_000
# Of systemd's VALID_CHARS (src/basic/unit-name.c), what stays as it is in the name of a unit.
_PLAIN: Final = frozenset((string.ascii_letters + string.digits + ":_.").encode("ascii"))


class Place(NamedTuple):
    """A folder to name, real and absolute; ``why`` says what of it the configuration names."""

    path: str
    why: str


def places(settings: Settings, state: str) -> list[Place]:
    """In the order of the configuration; none lies inside another, and none where the unit lets it write anyway.

    ``state``: the state directory that the unit itself names.
    """
    named: list[Place] = []
    known = set(every(settings))
    for inbox in settings.inboxes:
        named += _together([(_real(path), what) for path, what in family(inbox)], known)
    named += [Place(_real(path), f"{what}.") for path, what in _others(settings)]
    found: dict[str, list[str]] = {}
    for place in named:
        if not below(place.path, _GRANTED, state):
            whys = found.setdefault(place.path, [])
            whys += [place.why] if place.why not in whys else []
    outer = [path for path in found if not any(path != other and below(path, other) for other in found)]
    return [Place(path, " ".join(found[path])) for path in outer]


def every(settings: Settings) -> list[str]:
    """Each folder that is configured, real and absolute."""
    named = [path for inbox in settings.inboxes for path, _ in family(inbox)]
    return list(dict.fromkeys(map(_real, [*named, *(path for path, _ in _others(settings))])))


def copied(settings: Settings, found: Sequence[Place]) -> Iterator[tuple[str, list[str]]]:
    """Inboxes by name whose originals a unit with these places copies where they could be moved; and their folders."""
    named = [_GRANTED, *(place.path for place in found)]
    for inbox in settings.inboxes:
        folders = [_real(path) for path, _ in family(inbox)[:-1]]
        mounted = {next((one for one in named if below(path, one)), path) for path in folders}
        if len(mounted) > 1 and len({_disk(path) for path in folders} - {None}) < 2:
            yield inbox.name, folders


def mount_units(folders: Sequence[str]) -> list[str]:
    """The units of the mounts that real paths lie on, but for the root's; mounted now, or known to fstab(5)."""
    there = [*(one.point for one in mounts(MOUNTINFO)), *map(os.fsdecode, declared_places())]
    points = [max((point for point in there if below(path, point)), key=len, default="/") for path in folders]
    return [mount_unit(point) for point in dict.fromkeys(points) if point != "/"]


def mount_unit(point: str) -> str:
    """As ``systemd-escape --path --suffix=mount`` has it (systemd.unit(5), "String escaping")."""
    data = os.fsencode(point.strip("/"))
    plain = (
        "-" if byte == ord("/") else chr(byte) if byte in _PLAIN and (at or byte != ord(".")) else f"\\x{byte:02x}"
        for at, byte in enumerate(data)
    )
    return "".join(plain) + ".mount"


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


def _together(named: Sequence[tuple[str, str]], known: Collection[str]) -> list[Place]:
    """All under one parent; else the output by itself; else each."""
    for count in (len(named), len(named) - 1):
        paths = [path for path, _ in named[:count]]
        parent = os.path.commonpath(paths)
        if count > 1 and _may_stand_for(parent, paths, known):
            whats = ", ".join(what for _, what in named[:count])
            together = Place(parent, f"{whats}: one parent, since between two folders that are named a move is a copy.")
            return [together, *(Place(path, f"{what}.") for path, what in named[count:])]
    return [Place(path, f"{what}.") for path, what in named]


def _may_stand_for(parent: str, paths: Sequence[str], known: Collection[str]) -> bool:
    """Whether it is one of them, or holds nothing but folders of the configuration, which lie on its own disk."""
    if parent in paths:
        return True
    if parent in _SHARED or os.path.dirname(parent) == "/home":
        return False
    try:
        disk = os.stat(parent).st_dev
    except OSError:
        return True  # Nothing is there yet, so all of it will be made in one place.
    if any(_disk(path) not in {disk, None} for path in paths):
        return False
    return not _holds_others(parent, known)


def _holds_others(folder: str, known: Collection[str]) -> bool:
    """Whether anything in it is neither a configured folder, nor on the way to one, nor made by dropmill or mkfs.

    So is a folder taken that cannot be listed, or is too full to be looked through.
    """
    try:
        with os.scandir(folder) as found:
            entries = list(islice(found, _MOST_NAMES))
    except FileNotFoundError:
        return False
    except OSError:
        return True
    for entry in entries:
        if entry.path in known or entry.name.startswith(".dropmill") or entry.name == "lost+found":
            continue
        on_the_way = any(below(path, entry.path) for path in known)
        if not on_the_way or _holds_others(entry.path, known):
            return True
    return len(entries) == _MOST_NAMES


def _disk(path: str) -> int | None:
    try:
        return os.stat(path).st_dev
    except OSError:
        return None


def _real(path: str) -> str:
    return os.path.realpath(path)
