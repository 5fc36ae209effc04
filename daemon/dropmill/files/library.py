"""Libraries that people already have: to which root a folder belongs, what lies in it, and what of it is gone. Blocking.

Nothing here writes. A file belongs to one root only, so that it never becomes two holdings: the innermost known folder
that it lies in.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from dropmill.files import sniff
from dropmill.files.access import (
    NotRegularFile,
    closing,
    look,
    open_regular,
    owner_allowed,
    parent_of,
    signature,
)
from dropmill.files.scan import Entry, Scanner
from dropmill.files.standing import MEANT, holds_nothing, is_bare
from dropmill.model.extensions import IMAGE_EXTENSIONS
from dropmill.model.file import Signature, shown
from dropmill.model.outcome import Ignored, Reason

# What a later look at the same bytes would say again, under any configuration.
LASTING: Final = frozenset(
    {Reason.EMPTY, Reason.NOT_AN_IMAGE, Reason.TRUNCATED, Reason.CORRUPT, Reason.SYMLINK, Reason.NOT_A_FILE}
)


@dataclass(frozen=True, slots=True)
class Claim:
    """A folder of which something is known. ``roots``: ids in the catalog, the first for what is new.

    ``why``: why nothing in it is catalogued by a scan, as a clause; empty where it may be.
    """

    path: bytes
    roots: tuple[int, ...] = ()
    why: str = ""


@dataclass(frozen=True, slots=True)
class Part:
    """What of one root a scan looks through: all below ``top`` (empty: the root itself) but what is ``excluded``.

    ``roots`` is empty for a folder that is still to become a root. Paths but ``path`` are relative to it.
    """

    path: bytes
    roots: tuple[int, ...]
    top: bytes
    excluded: frozenset[bytes]

    @property
    def folder(self) -> bytes:
        return os.path.join(self.path, self.top) if self.top else self.path

    def holds(self, rel: bytes) -> bool:
        """Whether a path below the root is this part's."""
        return within(rel, self.top) and not any(within(rel, other) for other in self.excluded)


def within(path: bytes, folder: bytes) -> bool:
    """Whether ``path`` is ``folder`` or lies in it, by their names; everything lies in an empty one."""
    return not folder or path == folder or path.startswith(folder.rstrip(b"/") + b"/")


def below(path: bytes, folder: bytes) -> bytes:
    """The path relative to a folder that it lies in; empty for the folder itself."""
    return path[len(folder.rstrip(b"/")) + 1 :]


def real_folder(path: bytes) -> bytes:
    """Where a folder really is. Raises OSError where it is none, or may not be entered."""
    real = os.path.realpath(path, strict=True)
    with os.scandir(real):
        return real


def within_any(real: bytes, roots: Sequence[bytes]) -> bool:
    """Whether a real path lies below one of the roots, wherever these lead."""
    return any(within(real, os.path.realpath(root)) for root in roots)


def merged(claims: Iterable[Claim]) -> list[Claim]:
    """One claim for each path: what forbids goes first, and the ids of all are kept."""
    by_path: dict[bytes, Claim] = {}
    for claim in claims:
        other = by_path.get(claim.path)
        roots = tuple(dict.fromkeys((*(other.roots if other else ()), *claim.roots)))
        by_path[claim.path] = Claim(claim.path, roots, (other.why if other else "") or claim.why)
    return list(by_path.values())


def plan(folders: Sequence[bytes], claims: Sequence[Claim]) -> tuple[list[Part], list[str]]:
    """What a scan of ``folders`` looks through, and what it leaves out, as sentences.

    All paths are real ones. A folder in another one of the list, and one that is named twice, are looked through once.
    """
    parts: dict[tuple[bytes, bytes], Part] = {}
    notes: list[str] = []
    outer = [one for one in dict.fromkeys(folders) if not any(one != other and within(one, other) for other in folders)]
    for folder in outer:
        owner = max(
            (claim for claim in claims if within(folder, claim.path)), key=lambda one: len(one.path), default=None
        )
        if owner is not None and owner.why:
            notes.append(f"{shown(folder)} is left out: it is {owner.why}")
            continue
        _put(parts, owner or Claim(folder), folder, claims)
        for claim in claims:
            if claim.path == folder or not within(claim.path, folder):
                continue
            if claim.why:
                notes.append(f"{shown(claim.path)} is left out: it is {claim.why}")
            else:
                _put(parts, claim, claim.path, claims)
    return list(parts.values()), list(dict.fromkeys(notes))


def _put(parts: dict[tuple[bytes, bytes], Part], owner: Claim, folder: bytes, claims: Sequence[Claim]) -> None:
    inner = {claim.path for claim in claims if claim.path != folder and within(claim.path, folder)}
    top = below(folder, owner.path)
    excluded = frozenset(below(path, owner.path) for path in inner)
    parts.setdefault((owner.path, top), Part(owner.path, owner.roots, top, excluded))


class LibraryScanner(Scanner):
    """One pass over a part. ``mounts``: the mount points that were met below its root so far."""

    def __init__(self, part: Part) -> None:
        super().__init__(part.path, tops=[part.top])
        self._excluded = part.excluded
        self._dev = os.stat(part.folder).st_dev
        self._elsewhere: dict[bytes, int] = {}
        """Devices of directories that are on another one than ``top``."""
        self.mounts: list[bytes] = []

    def _meet(self, directory: bytes, found: os.DirEntry[str]) -> None:
        name = os.fsencode(found.name)
        rel = directory + b"/" + name if directory else name
        if rel in self._excluded:
            return
        super()._meet(directory, found)
        if not self._directories or self._directories[-1] != rel:
            return
        dev = _dev_of(found)
        if dev != self._dev:
            self._elsewhere[rel] = dev
        if dev != self._elsewhere.get(directory, self._dev):
            self.mounts.append(rel)


def _dev_of(found: os.DirEntry[str]) -> int:
    try:
        return found.stat(follow_symlinks=False).st_dev
    except OSError:
        return -1  # Entering it tells what is wrong.


def is_empty(part: Part) -> bool:
    """Whether nothing is in the folder, as where its disk is not mounted, or it cannot be looked at."""
    try:
        return holds_nothing(part.folder)
    except OSError:
        return True


@dataclass(frozen=True, slots=True)
class Judged:
    """``ignored`` is None for what a worker has to see. ``trouble``: it could not be looked at."""

    entry: Entry
    ignored: Ignored | None = None
    trouble: str = ""


def judge_many(root: bytes, entries: Sequence[Entry], *, heif: bool) -> list[Judged]:
    """By the rules of inboxes, but what a picture's name promises is left to the worker, so that it is read once."""
    return [_judge(root, entry, heif=heif) for entry in entries]


def _judge(root: bytes, entry: Entry, *, heif: bool) -> Judged:
    if entry.kind != "file":
        return Judged(entry, Ignored(Reason.SYMLINK if entry.kind == "symlink" else Reason.NOT_A_FILE, entry.kind))
    try:
        with parent_of(root, entry.rel) as (dir_fd, name):
            seen = look(dir_fd, name)
            if seen is None:
                return Judged(entry, trouble="it has gone meanwhile")
            if not owner_allowed(seen, os.stat(root), os.geteuid()):
                return Judged(entry, Ignored(Reason.FOREIGN_HARD_LINK, f"owner uid {seen.st_uid}"))
            if sniff.extension_of(name) in IMAGE_EXTENSIONS:
                return Judged(entry)
            with closing(open_regular(dir_fd, name)) as fd:
                head = os.read(fd, sniff.HEAD_BYTES)
        return Judged(entry, sniff.judge(name, head, entry.signature.size_bytes, heif))
    except PermissionError:
        return Judged(entry, Ignored(Reason.UNREADABLE))
    except (FileNotFoundError, NotADirectoryError, NotRegularFile):
        return Judged(entry, trouble="it has gone meanwhile")
    except OSError as error:
        return Judged(entry, trouble=error.strerror or str(error))


def gone(part: Part, rels: Sequence[bytes], mounts: Collection[bytes], *, plain: bool) -> list[bytes]:
    """Those of ``rels`` that are not there any more, as files of this part; ``plain``: as plain files.

    ``mounts``: where below the root a disk was when the files were seen. What lay on one that is away is not gone (W26).
    """
    away = [mount for mount in mounts if _is_away(part.path, mount)]
    folders: dict[bytes, bool] = {b"": True}
    return [rel for rel in rels if _is_gone(part, rel, away, folders, plain)]


def _is_gone(part: Part, rel: bytes, away: Collection[bytes], folders: dict[bytes, bool], plain: bool) -> bool:
    if any(within(rel, other) for other in part.excluded):
        return True  # Another root's by now.
    if any(within(rel, mount) for mount in away):
        return False
    try:
        if not _is_folder(part.path, rel.rpartition(b"/")[0], folders):
            return True
        seen = os.lstat(os.path.join(part.path, rel))
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        return False
    return plain and not stat.S_ISREG(seen.st_mode)


def _is_folder(root: bytes, rel: bytes, known: dict[bytes, bool]) -> bool:
    """Whether a path below the root is a directory without any link on the way. Raises OSError where that is not said."""
    if rel not in known:
        above = rel.rpartition(b"/")[0]
        there = _is_folder(root, above, known)
        known[rel] = there and stat.S_ISDIR(os.lstat(os.path.join(root, rel)).st_mode)
    return known[rel]


def away_below(root: bytes, rel: bytes, mounts: Collection[bytes]) -> bool:
    """Blocking. Whether a folder below a root lay on a disk that is away; ``mounts`` as for ``gone``.

    A folder called ``.dropmill`` in the disk's place says that it is meant as it is.
    """
    around = [os.path.join(root, mount) for mount in mounts if within(rel, mount) and _is_away(root, mount)]
    return any(not os.path.lexists(place + MEANT) for place in around)


def _is_away(root: bytes, rel: bytes) -> bool:
    """Whether a former mount point is none now, and holds nothing or is not there."""
    try:
        return is_bare(os.path.join(root, rel))
    except OSError:
        return True


def standing_now(root: bytes, rel: bytes) -> Signature | None:
    """The signature of a plain file, or None where none is. Raises OSError where that cannot be told."""
    seen = signature(root, rel)
    return seen if isinstance(seen, Signature) else None


def each_chunk(part: Part, heard: Callable[[int, int], None], ended: Callable[[], bool]) -> None:
    """Count the files of a part and their bytes: ``heard`` is told of each chunk; stops early once ``ended``."""
    scanner = LibraryScanner(part)
    try:
        while not ended() and (chunk := scanner.next_chunk()) is not None:
            files = (entry.signature.size_bytes for entry in chunk.entries if entry.kind == "file")
            heard(len(chunk.entries), sum(files))
    finally:
        scanner.close()
