"""Those who write the drop-file while the daemon works: what they append, rotate, replace and cut off, and what of it
has to be answered.

Each line bears a label that no other line has, so that it is known again in the catalog and in the results.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from dataclasses import dataclass, field

import apsw

from simulation.sim_disk import Disk
from simulation.sim_loop import Time
from simulation.sim_people import Deed

KEY = "CASE WHEN label <> '' THEN label ELSE url END"


@dataclass(slots=True)
class Owed:
    """How often a line has to be answered, and how often it may be: what was taken away before it was read may be lost."""

    least: int = 0
    most: int = 0
    alive: int = 0
    """In how many files it stands that are, or will be, read."""


@dataclass(slots=True)
class Writers:
    """``lines``: by label, or by the text of what is no URL. ``halves``: beginnings of lines that waited for their end."""

    base: bytes
    chance: random.Random
    time: Time
    disk: Disk
    tell: Callable[[str], None]
    committed: Callable[[], apsw.Connection | None]
    quiet_seconds: float
    urls: list[str]
    later: Callable[[Deed], None]
    lines: dict[str, Owed] = field(default_factory=dict)
    halves: list[str] = field(default_factory=list)
    told_apart: set[int] = field(default_factory=set)
    """Ids that may be told twice: a results file with them was taken away before that was committed."""
    _sheet: list[tuple[str, bytes]] = field(default_factory=list)
    """What the file at the path holds: label and line of each."""
    _pending: Callable[[], None] | None = None
    _truncated_in: int = -1
    """The generation that the catalog knew when the file at the path was truncated, or -1 if it was not."""
    _count: int = 0
    _rotations: int = 0

    @property
    def path(self) -> bytes:
        return self.base + b"/lists/urls.txt"

    @property
    def results(self) -> bytes:
        return self.path + b".results.jsonl"

    def plan(self, deeds: int, seconds: float) -> list[Deed]:
        kinds = (
            (self._append, 10),
            (self._append_slowly, 2),
            (self._rotate, 2),
            (self._replace, 2),
            (self._truncate, 1),
            (self._remove, 1),
            (self._rotate_results, 1),
        )
        chosen = [self._append, *self.chance.choices([do for do, _ in kinds], [weight for _, weight in kinds], k=deeds)]
        return [Deed(self.chance.uniform(0, seconds), do.__name__, do) for do in chosen]

    # What they write

    def _line(self) -> tuple[str, bytes]:
        self._count += 1
        turn, label = self.chance.random(), f"L{self._count}."
        if turn < 0.06:
            key = f"nonsense{self._count}."
            return key, key.encode() + b"\n"
        if turn < 0.09:
            key = f"ftp://a.example/{self._count}"
            return key, key.encode() + b"\n"
        url = self.chance.choice(self.urls)
        extra = self.chance.choice(("",) * 20 + ("\tpriority=5", "\tdir=cats", "\ttype=jpeg", "\tsize=7"))
        before = self.chance.choice((b"",) * 8 + (b"# a comment\n", b"\n", b"  \r\n"))
        return label, before + f"{url}\tlabel={label}{extra}\n".encode()

    def _written(self, key: str) -> None:
        owed = self.lines.setdefault(key, Owed())
        owed.least += 1
        owed.most += 1
        owed.alive += 1

    def _destroyed(self) -> None:
        """What stood in the file at the path is gone; what the catalog has not got of it may be lost."""
        for key, _ in self._sheet:
            owed = self.lines[key]
            owed.alive -= 1
            owed.least = min(owed.least, self._known(key) + owed.alive)
        self._sheet = []
        self._truncated_in = -1

    def _known(self, key: str) -> int:
        connection = self.committed()
        if connection is None:
            return 0
        return int(connection.execute(f"SELECT count(*) FROM lines WHERE {KEY} = ?", (key,)).fetchone()[0])

    def _known_file(self) -> tuple[int, int]:
        """Inode and generation of the file that the daemon reads, as far as is committed."""
        connection = self.committed()
        found = connection and connection.execute("SELECT ino, generation FROM dropfiles").fetchone()
        return tuple(found) if found else (0, 0)

    def _is_read(self) -> bool:
        """Whether the daemon knows the file at the path as it is, so that it looks for it when that is renamed.

        Of what was rewritten before it was renamed, nobody can tell that this was not done afterwards.
        """
        ino, generation = self._known_file()
        return os.stat(self.path).st_ino == ino and generation > self._truncated_in

    def _append(self) -> None:
        self._finish()
        new = [self._line() for _ in range(self.chance.choice((1, 1, 2, 4)))]
        for key, _ in new:
            self._written(key)
        self._sheet += new
        self._put(b"".join(line for _, line in new))
        self.tell(f"people append {[key for key, _ in new]}")

    def _put(self, data: bytes) -> None:
        with open(self.path, "ab") as file:
            file.write(data)

    def _append_slowly(self) -> None:
        """Half a line now, the rest later: where that takes too long, the daemon takes the half for a line."""
        self._finish()
        key, line = self._line()
        half, began, whole = self.chance.randrange(1, len(line)), self.time.seconds, os.path.exists(self.path)
        self._put(line[:half])
        self._written(key)
        self._sheet.append((key, line))
        self.tell(f"people append half of {key}{'' if whole else ', to a new file'}")

        def finish() -> None:
            if self._pending is not finish:
                return
            self._pending = None
            self._put(line[half:])
            late = self.time.seconds - began >= 0.5 * self.quiet_seconds
            if late:
                self._excuse(key, line[:half])
            self.tell(f"people append the rest of {key}{', late' if late else ''}")

        self._pending = finish
        self.later(
            Deed(self.time.seconds + self.chance.uniform(0.1, 1.5 * self.quiet_seconds), "finish a line", finish)
        )

    def _excuse(self, key: str, half: bytes) -> None:
        self.lines[key].least = 0
        self.halves.append(half.decode())

    def _finish(self) -> None:
        """Nobody appends to half a line of somebody else, or takes the file away meanwhile."""
        if self._pending is not None:
            self._pending()

    def _rotate(self) -> None:
        self._finish()
        if not os.path.exists(self.path):
            return
        known = self._is_read()
        self._rotations += 1
        os.rename(self.path, self.path + b".%d" % self._rotations)
        self.tell(f"people rotate the drop-file{'' if known else ', which nobody has read'}")
        if known:
            self._sheet, self._truncated_in = [], -1
        else:
            self._destroyed()  # Two that were rotated while nobody looked are one more than is looked for.
        if self.chance.random() < 0.7:
            self._append()

    def _replace(self) -> None:
        """As an editor saves: another file with most of the lines, and another one."""
        self._finish()
        if not os.path.exists(self.path):
            return
        kept = [one for one in self._sheet if self.chance.random() < 0.8]
        new = [*kept, self._line()]
        for key, _ in new:
            self._written(key)
        self._destroyed()
        self._sheet = new
        with open(self.base + b"/aside-list", "wb") as file:
            file.write(b"".join(line for _, line in new))
        os.rename(self.base + b"/aside-list", self.path)
        self.tell(f"people replace the drop-file by {[key for key, _ in new]}")

    def _truncate(self) -> None:
        self._finish()
        if not os.path.exists(self.path):
            return
        self._destroyed()
        os.truncate(self.path, 0)
        self._truncated_in = self._known_file()[1]
        self.tell("people truncate the drop-file")
        if self.chance.random() < 0.5:
            self._append()

    def _remove(self) -> None:
        self._finish()
        if os.path.exists(self.path):
            self._destroyed()
            os.unlink(self.path)
            self.tell("people remove the drop-file")

    def _rotate_results(self) -> None:
        connection = self.committed()
        if connection is None or not os.path.exists(self.results):
            return
        self.told_apart |= {line for (line,) in connection.execute("SELECT id FROM lines WHERE told = 0")}
        folder, name = os.path.split(self.results)
        ino = os.lstat(self.results).st_ino
        self.disk.settle({("name", os.stat(folder).st_ino, name), ("inode", ino)})
        self._rotations += 1
        os.rename(self.results, self.results + b".%d" % self._rotations)
        self.tell("people rotate the results")
