"""A disk that can lose what was not made durable, fill up, fail and be slow, underneath the real code of ``files/``.

The files are real ones in a folder on tmpfs. The calls that change anything are wrapped while a simulated process
runs: each is a step at which it may die, at which somebody else may act, or which may fail. What a call changed is
volatile until an fsync covers it; ``power_loss`` takes back a part of what is volatile.

The rules of durability are those that POSIX and the journalling file systems have in common: the bytes of a file are
safe after its own fsync; a change of names after an fsync of a directory that it touched, together with everything it
builds on. What users do to files is taken to be safe at once, and a rename is never torn.
"""

from __future__ import annotations

import errno
import os
import random
import stat
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from dropmill.files import rename as renames

Key = tuple[Any, ...]
_EXCHANGE = 2


class Crash(BaseException):
    """The simulated process is dead: no handler of errors sees this, and whatever ``finally`` still tries fails too."""


@dataclass(slots=True)
class Change:
    """One change of names. ``undo`` takes it back; ``about`` are the names and inodes it concerns, ``inside`` its directories."""

    what: str
    about: frozenset[Key]
    inside: frozenset[int]
    undo: Callable[[], None]
    durable: bool = False


@dataclass(slots=True)
class Real:
    """The calls as the system has them."""

    open: Callable[..., int] = os.open
    write: Callable[..., int] = os.write
    fsync: Callable[..., None] = os.fsync
    rename: Callable[..., None] = os.rename
    link: Callable[..., None] = os.link
    unlink: Callable[..., None] = os.unlink
    ftruncate: Callable[..., None] = os.ftruncate
    mkdir: Callable[..., None] = os.mkdir
    rmdir: Callable[..., None] = os.rmdir
    renameat2: Callable[..., None] = renames._renameat2


REAL = Real()


@dataclass(slots=True)
class Disk:
    """The folders below ``base`` but for those of ``apart``, whose files are not ours to keep (the state directory)."""

    base: bytes
    chance: random.Random
    trouble: Callable[[str, str], OSError | None]
    """``(call, area) → the error it meets``, if any; the area is the first folder below ``base``."""
    between: Callable[[bytes], None]
    """Others act here; the path is that which the next call is about."""
    renamed: Callable[[bytes, bytes, int], None]
    """``(from, to, inode)`` after each change of names that made something appear under ``to``."""
    separate: bool = False
    """Whether each area is a file system of its own, so that nothing can be renamed from one to another."""
    crash_at: int | None = None
    aim: tuple[str, int] | None = None
    """Instead of ``crash_at``: the process dies at the so-manieth of the calls in whose name this occurs."""
    steps: int = 0
    dead: bool = False
    apart: bytes = b"state"
    kept: Mapping[bytes, str] = field(default_factory=dict)
    """Folders within ``apart`` whose files are ours to keep all the same, with the name of the area that each is."""
    changes: list[Change] = field(default_factory=list)
    dirty: dict[int, tuple[int, bytes]] = field(default_factory=dict)
    """By inode of a file with unsafe bytes: a descriptor, and the bytes that are safe."""
    _dirs: dict[int, tuple[int, bytes]] = field(default_factory=dict)
    _graves: int = 0
    _outside: bool = True

    def step(self, call: str) -> None:
        """The process may die here."""
        if self.dead:
            raise Crash
        self.steps += 1
        due = self.crash_at is not None and self.steps >= self.crash_at
        if self.aim is not None and self.aim[0] in call:
            self.aim = self.aim[0], self.aim[1] - 1
            due = self.aim[1] <= 0
        if due:
            self.dead = True
            raise Crash(call)

    @contextmanager
    def others(self) -> Iterator[None]:
        """What is done in this block is not done by the simulated process."""
        before, self._outside = self._outside, True
        try:
            yield
        finally:
            self._outside = before

    @contextmanager
    def installed(self) -> Iterator[None]:
        """The simulated process runs in this block."""
        with pytest.MonkeyPatch.context() as patch:
            for name in ("open", "write", "fsync", "ftruncate", "rename", "link", "unlink", "mkdir", "rmdir"):
                patch.setattr(os, name, getattr(self, f"_{name}"))
            patch.setattr(os, "replace", self._rename)
            patch.setattr(renames, "_renameat2", self._renameat2)
            self._outside = False
            try:
                yield
            finally:
                self._outside = True

    # Where a call acts

    def _directory(self, path: Any, dir_fd: int | None) -> tuple[int, bytes, bytes] | None:
        """(inode, path, name) of the directory and the name in it; None where it is not one of ours."""
        if self._outside:
            return None
        parent, _, name = os.fsencode(path).rpartition(b"/")
        if dir_fd is not None and not parent:
            ino = os.fstat(dir_fd).st_ino
            known = self._dirs.get(ino)
            where = os.fsencode(os.readlink(f"/proc/self/fd/{dir_fd}")) if known is None else known[1]
        else:
            where, ino = parent, os.stat(parent or b".", dir_fd=dir_fd).st_ino
            known = self._dirs.get(ino)
        if not where.startswith(self.base + b"/") or self._area(where) == os.fsdecode(self.apart):
            return None
        if known is None:
            self._dirs[ino] = (REAL.open(where, os.O_PATH | os.O_DIRECTORY), where)
        return ino, where, name

    def _area(self, where: bytes) -> str:
        below = where[len(self.base) + 1 :]
        for folder, area in self.kept.items():
            if below == folder or below.startswith(folder + b"/"):
                return area
        return os.fsdecode(below.partition(b"/")[0])

    def _at(self, ino: int) -> int:
        """A descriptor of a directory that stays right when the directory is renamed."""
        return self._dirs[ino][0]

    def _meet(self, call: str, where: bytes, name: bytes = b"") -> None:
        """Die, let others act, or fail."""
        self.step(f"{call} in {self._area(where)}")
        with self.others():
            self.between(where + b"/" + name)
        error = self.trouble(call, self._area(where))
        if error is not None:
            raise error

    # The calls

    def _open(self, path: Any, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        place = self._directory(path, dir_fd) if not flags & (os.O_PATH | os.O_DIRECTORY) else None
        if place is None:
            return REAL.open(path, flags, mode, dir_fd=dir_fd)
        parent, where, name = place
        if not flags & os.O_CREAT:
            with self.others():
                self.between(where + b"/" + name)
            error = self.trouble("read", self._area(where))
            if error is not None:
                raise error
            fd = REAL.open(path, flags, mode, dir_fd=dir_fd)
            if flags & (os.O_WRONLY | os.O_RDWR):
                self._soil(os.fstat(fd).st_ino, self._at(parent), name)
            return fd
        self._meet("create", where, name)
        at = self._at(parent)
        existed = _lstat(at, name)
        if existed is not None and flags & os.O_TRUNC and stat.S_ISREG(existed.st_mode):
            self._soil(existed.st_ino, at, name)
        fd = REAL.open(path, flags, mode, dir_fd=dir_fd)
        if existed is None:
            ino = os.fstat(fd).st_ino
            self._soil(ino, at, name)
            self._log("create", [(parent, name)], [ino], lambda: REAL.unlink(name, dir_fd=at))
        return fd

    def _soil(self, ino: int, at: int, name: bytes) -> None:
        """From here on the file has bytes that are not safe."""
        if ino not in self.dirty:
            # Not open for writing in between, which would prevent leases.
            fd = REAL.open(name, os.O_PATH | os.O_NOFOLLOW, dir_fd=at)
            self.dirty[ino] = (fd, _bytes_of(fd))

    def _write(self, fd: int, data: Any) -> int:
        if self._outside or os.fstat(fd).st_ino not in self.dirty:
            return REAL.write(fd, data)
        self._meet("write", os.fsencode(os.readlink(f"/proc/self/fd/{fd}")))
        if len(data) > 1 and self.chance.random() < 0.05:
            data = data[: self.chance.randrange(1, len(data))]
        return REAL.write(fd, data)

    def _ftruncate(self, fd: int, length: int) -> None:
        if not self._outside and os.fstat(fd).st_ino in self.dirty:
            self._meet("truncate", os.fsencode(os.readlink(f"/proc/self/fd/{fd}")))
        REAL.ftruncate(fd, length)

    def _fsync(self, fd: int) -> None:
        where = os.fsencode(os.readlink(f"/proc/self/fd/{fd}"))
        if self._outside or not where.startswith(self.base + b"/") or self._area(where) == os.fsdecode(self.apart):
            return
        self._meet("fsync", where)
        seen = os.fstat(fd)
        if stat.S_ISDIR(seen.st_mode):
            for change in list(self.changes):
                if seen.st_ino in change.inside:
                    self._make_durable(change)
            self.changes = [change for change in self.changes if not change.durable]
        elif (clean := self.dirty.pop(seen.st_ino, None)) is not None:
            os.close(clean[0])

    def _rename(self, src: Any, dst: Any, *, src_dir_fd: int | None = None, dst_dir_fd: int | None = None) -> None:
        self._move(src, dst, src_dir_fd, dst_dir_fd, 0)

    def _renameat2(self, src_dir_fd: int, src: bytes, dst_dir_fd: int, dst: bytes, flags: int) -> None:
        self._move(src, dst, src_dir_fd, dst_dir_fd, flags)

    def _move(self, src: Any, dst: Any, src_dir_fd: int | None, dst_dir_fd: int | None, flags: int) -> None:
        one, two = self._directory(src, src_dir_fd), self._directory(dst, dst_dir_fd)
        if one is None or two is None:
            if flags:
                return REAL.renameat2(src_dir_fd, src, dst_dir_fd, dst, flags)
            return REAL.rename(src, dst, src_dir_fd=src_dir_fd, dst_dir_fd=dst_dir_fd)
        (one_ino, one_path, one_name), (two_ino, two_path, two_name) = one, two
        about = (one_path, one_name) if self.chance.random() < 0.5 else (two_path, two_name)
        self._meet("rename", *about)
        if self.separate and self._area(one_path) != self._area(two_path):
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV), src, None, dst)
        here, there = self._at(one_ino), self._at(two_ino)
        moved, before = _lstat(here, one_name), _lstat(there, two_name)
        names, inodes = [(one_ino, one_name), (two_ino, two_name)], [seen.st_ino for seen in (moved, before) if seen]
        if flags == _EXCHANGE:
            REAL.renameat2(here, one_name, there, two_name, flags)
            self._log("exchange", names, inodes, lambda: REAL.renameat2(here, one_name, there, two_name, _EXCHANGE))
        else:
            grave = self._bury(there, two_name, before) if not flags else None
            try:
                REAL.renameat2(here, one_name, there, two_name, flags)
            except OSError:
                if grave is not None:
                    REAL.unlink(grave)
                raise
            self._log("rename", names, inodes, lambda: _undo_rename(here, one_name, there, two_name, grave))
        self._arrived(one_path + b"/" + one_name, two_path + b"/" + two_name, moved)
        return None

    def _link(
        self,
        src: Any,
        dst: Any,
        *,
        src_dir_fd: int | None = None,
        dst_dir_fd: int | None = None,
        follow_symlinks: bool = True,
    ) -> None:
        one, two = self._directory(src, src_dir_fd), self._directory(dst, dst_dir_fd)
        if one is None or two is None:
            return REAL.link(src, dst, src_dir_fd=src_dir_fd, dst_dir_fd=dst_dir_fd, follow_symlinks=follow_symlinks)
        self._meet("link", *two[1:])
        here, there, name = self._at(one[0]), self._at(two[0]), two[2]
        seen = _lstat(here, one[2])
        REAL.link(one[2], name, src_dir_fd=here, dst_dir_fd=there, follow_symlinks=False)
        inodes = [seen.st_ino] if seen else []
        self._log("link", [(two[0], name)], inodes, lambda: REAL.unlink(name, dir_fd=there))
        self._arrived(one[1] + b"/" + one[2], two[1] + b"/" + name, seen)
        return None

    def _unlink(self, path: Any, *, dir_fd: int | None = None) -> None:
        place = self._directory(path, dir_fd)
        if place is None:
            return REAL.unlink(path, dir_fd=dir_fd)
        parent, where, name = place
        self._meet("unlink", where, name)
        at = self._at(parent)
        seen = _lstat(at, name)
        grave = self._bury(at, name, seen)
        REAL.unlink(name, dir_fd=at)
        if seen is not None and grave is not None:
            self._log("unlink", [(parent, name)], [seen.st_ino], lambda: REAL.rename(grave, name, dst_dir_fd=at))
        return None

    def _mkdir(self, path: Any, mode: int = 0o777, *, dir_fd: int | None = None) -> None:
        place = self._directory(path, dir_fd)
        if place is None:
            return REAL.mkdir(path, mode, dir_fd=dir_fd)
        parent, where, name = place
        self._meet("mkdir", where)
        at = self._at(parent)
        REAL.mkdir(name, mode, dir_fd=at)
        ino = os.stat(name, dir_fd=at).st_ino
        self._log("mkdir", [(parent, name)], [ino], lambda: REAL.rmdir(name, dir_fd=at))
        return None

    def _rmdir(self, path: Any, *, dir_fd: int | None = None) -> None:
        place = self._directory(path, dir_fd)
        if place is not None:
            self._meet("rmdir", place[1])
            self.settle({("name", place[0], place[2])})
        REAL.rmdir(path, dir_fd=dir_fd)

    def _arrived(self, source: bytes, target: bytes, moved: os.stat_result | None) -> None:
        if moved is not None and stat.S_ISREG(moved.st_mode):
            with self.others():
                self.renamed(source, target, moved.st_ino)

    def _bury(self, at: int, name: bytes, seen: os.stat_result | None) -> bytes | None:
        """Keep a file that is about to lose its name, in case the power fails before that is durable."""
        if seen is None or not stat.S_ISREG(seen.st_mode):
            return None
        self._graves += 1
        grave = self.base + b"/graves/%d" % self._graves
        REAL.link(name, grave, src_dir_fd=at, follow_symlinks=False)
        return grave

    # Durability

    def _log(self, what: str, names: list[tuple[int, bytes]], inodes: list[int], undo: Callable[[], None]) -> None:
        about = frozenset([("name", *name) for name in names] + [("inode", ino) for ino in inodes])
        self.changes.append(Change(what, about, frozenset(ino for ino, _ in names), undo))

    def settle(self, keys: set[Key]) -> None:
        """What concerns these names or inodes is durable from now on: somebody else builds on it."""
        for change in list(self.changes):
            if change.about & keys:
                self._make_durable(change)
        self.changes = [change for change in self.changes if not change.durable]

    def _make_durable(self, last: Change) -> None:
        """One change and all that it builds on: earlier ones of the same name, file or directory."""
        needed = set(last.about) | {("inode", ino) for ino in last.inside}
        last.durable = True
        for change in reversed(self.changes[: self.changes.index(last)]):
            if not change.durable and change.about & needed:
                change.durable = True
                needed |= change.about | {("inode", ino) for ino in change.inside}

    def power_loss(self) -> str:
        """Take back some or all of what is volatile; returns what was chosen."""
        volatile = [change for change in self.changes if not change.durable]
        choice = self.chance.choice(("nothing lost", "all lost", "a tail lost", "some lost"))
        if choice == "nothing lost":
            kept = volatile
        elif choice == "a tail lost":
            kept = volatile[: self.chance.randint(0, len(volatile))]
        else:
            kept = [change for change in volatile if choice == "some lost" and self.chance.random() < 0.5]
        for change in kept:
            self._make_durable(change)
        lost = [change for change in self.changes if not change.durable]
        for change in reversed(lost):
            change.undo()
        torn = 0
        for fd, safe in self.dirty.values():
            if choice != "nothing lost":
                torn += self._tear(fd, safe)
            os.close(fd)
        self.forget()
        return f"{choice}: {len(lost)} names, {torn} files"

    def _tear(self, fd: int, safe: bytes) -> int:
        """What a file holds whose last bytes were never written back: what was safe, a part, or zeros.

        What is as it was before is safe still, as the beginning of a file to which something was appended.
        """
        now = _bytes_of(fd)
        same = next((at for at, (one, other) in enumerate(zip(safe, now, strict=False)) if one != other), None)
        least = min(len(safe), len(now)) if same is None else same
        part = now[: self.chance.randint(least, len(now))]
        after = self.chance.choice((safe, part, part.ljust(len(now), b"\0"), now))
        if after == now:
            return 0
        with open(f"/proc/self/fd/{fd}", "wb") as file:
            file.write(after)
        return 1

    def keep_everything(self) -> None:
        """The process died, the machine did not."""
        for fd, _ in self.dirty.values():
            os.close(fd)
        self.forget()

    def forget(self) -> None:
        """All that is there is durable."""
        self.changes.clear()
        self.dirty.clear()
        for fd, _ in self._dirs.values():
            os.close(fd)
        self._dirs.clear()
        for grave in os.listdir(self.base + b"/graves"):
            REAL.unlink(self.base + b"/graves/" + grave)


def _lstat(at: int, name: bytes) -> os.stat_result | None:
    try:
        return os.stat(name, dir_fd=at, follow_symlinks=False)
    except OSError:
        return None


def _bytes_of(fd: int) -> bytes:
    with open(f"/proc/self/fd/{fd}", "rb") as file:
        return file.read()


def _undo_rename(here: int, one: bytes, there: int, two: bytes, grave: bytes | None) -> None:
    REAL.renameat2(there, two, here, one, 1)
    if grave is not None:
        REAL.rename(grave, two, dst_dir_fd=there)
