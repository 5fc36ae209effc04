"""Those who use the folders while the daemon works: what they drop, overwrite, rename and delete, and what is theirs.

Everything they do is chosen beforehand by the seed; when it happens is not: at its time, or earlier, between any two
system calls of the daemon.
"""

from __future__ import annotations

import hashlib
import os
import random
from collections.abc import Callable
from dataclasses import dataclass, field

from simulation.sim_disk import Disk
from simulation.sim_loop import Time
from simulation.sim_parts import picture, rendition_of

_NAMES = (b"a.png", b"b.png", b"c.jpg", b"sub/a.png", b"a.txt")
_PLACES = (b"archive", b"duplicates", b"quarantine")


@dataclass(slots=True)
class Original:
    """What somebody put into the inbox and counts on: one content in one file. ``sha256`` is None while it is written."""

    sha256: str | None
    size_bytes: int = 0
    given_up: bool = False
    """Deleted or overwritten by people, so nobody asks where it is."""


@dataclass(order=True, slots=True)
class Deed:
    at: float
    what: str = field(compare=False)
    do: Callable[[], None] = field(compare=False)


@dataclass(slots=True)
class People:
    base: bytes
    chance: random.Random
    time: Time
    disk: Disk
    tell: Callable[[str], None]
    originals: dict[int, Original] = field(default_factory=dict)
    """By inode, the file that is now what they dropped."""
    all_originals: list[Original] = field(default_factory=list)
    foreign: dict[bytes, tuple[int, bytes]] = field(default_factory=dict)
    """Files of others in our folders, by path: inode and bytes."""
    deeds: list[Deed] = field(default_factory=list)
    hinted: Callable[[bytes], None] = lambda _rel: None
    _contents: list[bytes] = field(default_factory=list)
    _count: int = 0
    _aim: bytes = b""
    _ambushes: int = 2
    """How often somebody takes the very name that the daemon is about to give."""

    def plan(self, deeds: int, seconds: float) -> None:
        kinds = (
            (self._drop, 8),
            (self._drop_slowly, 2),
            (self._overwrite, 3),
            (self._rename, 3),
            (self._delete, 2),
            (self._touch, 1),
            (self._squat, 4),
            (self._copy, 3),
        )
        for do in self.chance.choices([do for do, _ in kinds], [weight for _, weight in kinds], k=deeds):
            self.deeds.append(Deed(self.chance.uniform(0, seconds), do.__name__, do))
        self.deeds.sort()

    def due(self) -> None:
        """Do everything whose time has come."""
        while self.deeds and self.deeds[0].at <= self.time.seconds:
            self.next()

    def next(self, aim: bytes = b"") -> None:
        """The next deed, now; it may be done to ``aim``, the path that the daemon is about to touch."""
        self._aim = aim if self.chance.random() < 0.7 else b""
        try:
            if self._ambushes and any(map(self._aimed, (b"out", *_PLACES))):
                self._ambushes -= 1
                self._squat()
            elif self.deeds:
                self.deeds.pop(0).do()
        finally:
            self._aim = b""

    def _aimed(self, area: bytes) -> bytes:
        """The path below ``area`` that is aimed at, if it is there and no private one of the daemon's."""
        start = self.base + b"/" + area + b"/"
        rel = self._aim.removeprefix(start)
        # A file in the place of a folder is in the way until they take it away, which nobody would do here.
        return b"" if rel == self._aim or b".dropmill" in rel or b"." not in os.path.basename(rel) else rel

    # What they do

    def _inbox(self, rel: bytes) -> bytes:
        return self.base + b"/in/" + rel

    def _content(self) -> bytes:
        """New, or the same as before, or the same picture with another note, or broken."""
        self._count += 1
        turn = self.chance.random()
        if turn < 0.35 and self._contents:
            return self.chance.choice(self._contents)
        subject = f"broken{self._count}" if turn < 0.42 else f"s{self.chance.randint(1, 4)}"
        made = picture(subject, f"n{self._count if turn < 0.8 else 0}")
        self._contents.append(made)
        return made

    def _write(self, path: bytes, data: bytes) -> int:
        """A complete file at a passing path, with a time of its own; its inode."""
        with open(path, "wb") as file:
            file.write(data)
        return self._stamp(path)

    def _stamp(self, path: bytes) -> int:
        self._count += 1  # The file system's clock is too coarse for time that jumps.
        now = self.time.now_ns() + self._count
        os.utime(path, ns=(now, now))
        return os.stat(path).st_ino

    def _drop(self) -> None:
        rel, data = self._aimed(b"in") or self.chance.choice(_NAMES), self._content()
        if rel.endswith(b".txt"):
            data = b"a note"
        aside = self.base + b"/aside"
        ino = self._write(aside, data)
        self._settle(rel)
        self._forget_at(rel)
        os.rename(aside, self._inbox(rel))
        self._own(ino, data)
        self._said("drop", rel, data)

    def _drop_slowly(self) -> None:
        rel, data = self.chance.choice(_NAMES[:4]), self._content()
        path = self._inbox(rel)
        if os.path.lexists(path):
            return
        self._settle(rel)
        file = open(path, "wb", buffering=0)  # noqa: SIM115  # Closed by a later deed.
        half = self.chance.randrange(len(data))
        file.write(data[:half])
        ino = os.fstat(file.fileno()).st_ino
        original = Original(None)
        self.originals[ino] = original
        self.all_originals.append(original)
        self._said("begin", rel, data)

        def finish() -> None:
            file.write(data[half:])
            self._count += 1
            now = self.time.now_ns() + self._count
            os.utime(file.fileno(), ns=(now, now))
            with open(f"/proc/self/fd/{file.fileno()}", "rb") as written:
                became = written.read()  # Somebody else may have overwritten the beginning.
            file.close()
            original.given_up = True
            if ino in self.originals:
                self._own(ino, became)
            self._said("finish", rel, became)

        self.deeds.append(Deed(self.time.seconds + self.chance.uniform(0.1, 3.0), "finish", finish))
        self.deeds.sort()

    def _some(self) -> bytes | None:
        aimed = self._aimed(b"in")
        if aimed and os.path.isfile(self._inbox(aimed)):
            return aimed
        found = []
        for folder in (b"", b"sub/"):
            names = sorted(map(os.fsencode, os.listdir(self._inbox(folder))))
            found += [folder + name for name in names if not name.startswith(b".") and name != b"sub"]
        return self.chance.choice(found) if found else None

    def _overwrite(self) -> None:
        """In place, as a program that saves does."""
        rel, data = self._some(), self._content()
        if rel is None:
            return
        try:
            fd = os.open(self._inbox(rel), os.O_WRONLY | os.O_NONBLOCK)
        except BlockingIOError:
            return  # The daemon holds a lease on it just now; a program would wait.
        self._settle(rel)
        os.ftruncate(fd, 0)
        os.write(fd, data)
        self._count += 1
        now = self.time.now_ns() + self._count
        os.utime(fd, ns=(now, now))
        ino = os.fstat(fd).st_ino
        os.close(fd)
        self._own(ino, data)
        self._said("overwrite", rel, data)

    def _rename(self) -> None:
        rel, to = self._some(), self.chance.choice(_NAMES[:4])
        if rel is None or rel == to:
            return
        self._settle(rel)
        self._settle(to)
        self._forget_at(to)
        os.rename(self._inbox(rel), self._inbox(to))
        self.tell(f"people rename {rel!r} to {to!r}")
        self._hint(rel)
        self._hint(to)

    def _delete(self) -> None:
        rel = self._some()
        if rel is None:
            return
        self._settle(rel)
        self._forget_at(rel)
        os.unlink(self._inbox(rel))
        self.tell(f"people delete {rel!r}")
        self._hint(rel)

    def _touch(self) -> None:
        rel = self._some()
        if rel is not None:
            self._settle(rel)
            self._stamp(self._inbox(rel))
            self.tell(f"people touch {rel!r}")
            self._hint(rel)

    def _copy(self) -> None:
        rel = self._some()
        if rel is None:
            return
        with open(self._inbox(rel), "rb") as file:
            data = file.read()
        to = b"copy%d.png" % self._count
        ino = self._write(self.base + b"/aside", data)
        os.rename(self.base + b"/aside", self._inbox(to))
        self._own(ino, data)
        self._said(f"copy {rel!r} to", to, data)

    def _squat(self) -> None:
        """A file of theirs where one of ours may want to go, by chance with the very bytes that ours will have."""
        data = b"not yours %d" % self._count
        if any(map(self._aimed, (b"out", *_PLACES))):
            path = self._aim
        elif self.chance.random() < 0.6:
            path = (
                self.base
                + b"/out/"
                + self.chance.choice((b"a-t.jpg", b"b-t.jpg", b"c-t.jpg", b"sub/a-t.jpg", b"a.json"))
            )
            if self._contents and self.chance.random() < 0.3:
                data = rendition_of(hashlib.sha256(self.chance.choice(self._contents)).hexdigest(), "t")
        else:
            path = self.base + b"/" + self.chance.choice(_PLACES) + b"/" + self.chance.choice(_NAMES[:4])
        if os.path.lexists(path) or not os.path.isdir(os.path.dirname(path)):
            return
        parent = os.stat(os.path.dirname(path)).st_ino
        self.disk.settle({("name", parent, os.path.basename(path))})
        self.foreign[path] = (self._write(path, data), data)
        self.tell(f"people put a file of theirs at {path[len(self.base) + 1 :]!r}")

    # What they remember

    def _settle(self, rel: bytes) -> None:
        path = self._inbox(rel)
        parent, name = os.path.split(path)
        keys: set[tuple[object, ...]] = {("name", os.stat(parent).st_ino, name)}
        if os.path.lexists(path):
            keys.add(("inode", os.lstat(path).st_ino))
        self.disk.settle(keys)

    def _forget_at(self, rel: bytes) -> None:
        path = self._inbox(rel)
        if os.path.lexists(path):
            original = self.originals.pop(os.lstat(path).st_ino, None)
            if original is not None:
                original.given_up = True

    def _own(self, ino: int, data: bytes) -> None:
        if ino in self.originals:
            self.originals[ino].given_up = True
        original = Original(hashlib.sha256(data).hexdigest(), len(data))
        self.originals[ino] = original
        self.all_originals.append(original)

    def _said(self, what: str, rel: bytes, data: bytes) -> None:
        self.tell(f"people {what} {rel!r} ({hashlib.sha256(data).hexdigest()[:8]})")
        self._hint(rel)

    def _hint(self, rel: bytes) -> None:
        if self.chance.random() < 0.7:  # The others are found by the next scan.
            self.hinted(rel)
