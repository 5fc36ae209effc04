"""A model of PROTOCOL.md, small enough to visit every state: files with what a power cut would leave of them, and jobs.

One letter stands for the bytes of a file: ``x`` ``y`` ``z`` are originals (``p`` one that kills its worker), ``X`` is the
rendition of ``x``, ``f`` a foreign file, ``~`` what is half-written or torn. A place is a directory and a name: ``in/a``
in the inbox, ``in/.1`` a private name, ``st/1-1`` staged, ``out/A`` visible, ``ar/a`` in the archive, ``ar/.1`` a copy on
its way there. (inode, bytes) is the signature: whoever changes bytes changes the time; freed inode numbers are reused.

Modelled: all that order and interleaving can break. A power cut keeps either all names or only those that were fsynced,
and tears what was not; a rename is one entry of the journal. Not modelled: several renditions of an image (their common
suffix), swapping a rendition for its successor of the same name, moving without RENAME_NOREPLACE, companions, receipts,
hard links, disks that read back other bytes than were written, leases that cannot be trusted, the cap on interruptions,
and time: whatever may be tried again later may be tried again at once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

RULES = {
    "signature": "1: a signature is more than an inode number",
    "moved": "2: the same bytes whose catalogued path no longer holds them are moved, not a duplicate",
    "superseded": "3: the signature is compared before and after reading",
    "epoch-names": "4: staged with O_EXCL under a name with the epoch",
    "fsync-before-commit": "4: the staged file is fsynced before the commit",
    "fence": "5: the commit is fenced by epoch",
    "decide-inside": "6: a duplicate is decided in the transaction that commits it",
    "never-overwrite": "7: moving into place never overwrites",
    "name-committed-first": "7: a new final name is committed before the next attempt",
    "look-at-target": "8: look at the target before saying failed",
    "more-than-an-inode": "1, 8: an inode number alone does not make the target ours",
    "recorded-mount": "8: a missing staged file means something only on the recorded mount",
    "sync-then-visible": "8: directory fsync, then visible",
    "adopted-synced": "8, 9: a target that holds the bytes already is fsynced before the staged file goes",
    "owned-only": "9: only owned files are ever removed",
    "inode-matches": "9: only while the inode still matches",
    "dispose-after-visible": "10: dispose only after every publication is visible",
    "verify-anchor": "10: a duplicate goes only after its anchor's bytes are verified to exist",
    "finish-what-began": "10: that its rendition was taken away later does not hold back a move that may have begun",
    "finish-before-verify": "10, 12: what an interrupted call has moved already is recorded before the anchor is asked for",
    "reopen-duplicate": "10: if the anchor fails, the duplicate becomes available again",
    "private-name": "11: first rename the source to a private name",
    "compare": "11: then compare inode, size and time",
    "put-back-without-overwriting": "11: put back without overwriting",
    "lease": "11: if a writer still has it open, put it back",
    "target-recorded": "12: the target is recorded before the move",
    "copy-synced": "12: copy, fsync file and directory, then unlink",
    "identical-unlinked": "12: private name and target of the same bytes: unlink the private name",
    "counted-apart": "14: interruptions are not crashes",
    "crash-cap": "14: crashes lead to quarantine",
    "owed-is-kept": "15: only staged files that nobody owes are swept",
    "sweep": "15: stray staged files are resolved at start",
    "sweep-before-claim": "15: then the first claim",
    "stray-private": "15: private names that nobody owes are resolved",
}


@dataclass(frozen=True)
class Config:
    """What is dropped, what the inbox's policy is, and how much may go wrong. ``without``: the rule that is left out."""

    files: str = "x"
    """Bytes of ``in/a``, ``in/b``."""
    keep: bool = False
    """Originals stay in the inbox; else ``delete`` says how they leave it."""
    delete: bool = False
    keep_duplicates: bool = False
    replace: bool = False
    cross_device: bool = False
    daemon_crashes: int = 0
    worker_crashes: int = 0
    power_cuts: int = 0
    user_actions: int = 0
    acts: frozenset[str] = frozenset()
    """What may be acted on: kinds of user action, and ``unmount`` and ``lose`` (a staged file) among the troubles."""
    without: str = ""

    def holds(self, rule: str) -> bool:
        assert rule in RULES
        return rule != self.without


class Job(NamedTuple):
    """A row of ``jobs`` with its publication and disposal, and (``hand``, ``pstep``, ``dstep``) what a crash forgets."""

    path: str
    ino: int
    bytes: str
    state: str = "available"
    epoch: int = 0
    crashes: int = 0
    stops: int = 0
    hand: str = ""
    early: str = ""
    """The verdict of the early look, used only where rule 6 is left out."""
    outcome: str = ""
    outcomes: int = 0
    image: str = ""
    home: str = ""
    """Whether the row in ``versions`` counts the original as still there: ``kept`` or ``left``."""
    anchor: int = -1
    pub: str = ""
    staged: str = ""
    pino: int = 0
    final: str = ""
    adopted: bool = False
    pstep: str = ""
    disp: str = ""
    target: str = ""
    result: str = ""
    dstep: str = ""


class State(NamedTuple):
    live: tuple[tuple[str, int], ...]
    disk: tuple[tuple[str, int], ...]
    """The names that a power cut would leave."""
    inodes: tuple[tuple[int, str, bool], ...]
    """Inode, bytes, and whether they would survive a power cut."""
    seen: tuple[tuple[str, tuple[int, str]], ...]
    jobs: tuple[Job, ...]
    orphans: tuple[tuple[int, int, str, int], ...]
    """Job, epoch, how far its worker is, and the staged inode that it has open."""
    booting: bool
    mounted: bool
    writer: int
    budgets: tuple[int, int, int, int]
    """Daemon crashes, worker crashes, power cuts, user actions that are left."""
    gone: frozenset[str]
    """What a user or a disk took away: places, bytes, staged names. The model's excuse, not the daemon's knowledge."""


DAEMON, WORKER, POWER, USER = range(4)
STANDING = ("owed", "visible")


class World:
    """A state taken apart to be changed by one action. ``wrong`` is what the action itself broke."""

    def __init__(self, state: State) -> None:
        self.live = dict(state.live)
        self.disk = dict(state.disk)
        self.inodes = {ino: (content, synced) for ino, content, synced in state.inodes}
        self.seen = dict(state.seen)
        self.jobs = list(state.jobs)
        self.orphans = list(state.orphans)
        self.booting, self.mounted, self.writer = state.booting, state.mounted, state.writer
        self.budgets = list(state.budgets)
        self.gone = state.gone
        self.wrong = ""

    def freeze(self) -> State:
        used = {*self.live.values(), *self.disk.values(), self.writer, *(orphan[3] for orphan in self.orphans)}
        used.update(job.pino for job in self.jobs if job.hand in ("writing", "written"))
        return State(
            tuple(sorted(self.live.items())),
            tuple(sorted(self.disk.items())),
            tuple(sorted((ino, *kept) for ino, kept in self.inodes.items() if ino in used)),
            tuple(sorted(self.seen.items())),
            tuple(self.jobs),
            tuple(sorted(self.orphans)),
            self.booting,
            self.mounted,
            self.writer,
            tuple(self.budgets),  # type: ignore[arg-type]  # Four, as it came.
            self.gone,
        )

    def job(self, j: int, **changed: object) -> Job:
        self.jobs[j] = self.jobs[j]._replace(**changed)  # type: ignore[arg-type]  # Names are those of Job.
        return self.jobs[j]

    def bytes_at(self, place: str) -> str:
        """What a place holds; empty where nothing is."""
        return self.inodes[self.live[place]][0] if place in self.live else ""

    def create(self, place: str, content: str, synced: bool) -> int:
        ino = next(number for number in range(1, 99) if number not in self.inodes)
        self.inodes[ino] = (content, synced)
        self.live[place] = ino
        return ino

    def sync(self, directory: str) -> None:
        """fsync of a directory. A rename out of it is one entry of the journal: its other half becomes durable too."""
        before = dict(self.disk)
        for place in {*self.live, *self.disk}:
            if place.startswith(directory + "/"):
                self._write_down(place)
        lost = set(before.values()) - set(self.disk.values())
        for place, ino in self.live.items():
            if ino in lost:
                self.disk[place] = ino

    def _write_down(self, place: str) -> None:
        if place in self.live:
            self.disk[place] = self.live[place]
        else:
            self.disk.pop(place, None)

    def sync_all(self) -> None:
        self.disk = dict(self.live)

    def move(self, source: str, target: str) -> None:
        """Plain rename: what has the target's name is destroyed."""
        if target in self.live:
            self.remove(target, "overwritten")
        self.live[target] = self.live.pop(source)

    def remove(self, place: str, how: str = "removed", excuse: Callable[[str], bool] = lambda content: False) -> None:
        """The daemon takes a name away. Its bytes must be on the disk elsewhere, whole, or be excused."""
        ino = self.live.pop(place)
        content, _ = self.inodes[ino]
        if place.startswith(("st/", "ar/.")):
            return
        elsewhere = any(
            self.inodes[other] == (content, True)
            for at, other in self.disk.items()
            if at != place and (other != ino or self.live.get(at) == ino)
        )
        if not elsewhere and not excuse(content):
            self.wrong = f"lost: the only copy of {content!r} was {how} at {place}"
        if ino == self.writer:
            self.wrong = f"lost: {place} was {how} while its user writes to it"

    def shown(self, content: str) -> bool:
        """Whether a rendition is visible for good."""
        return any(self.inodes[ino] == (content, True) for at, ino in self.disk.items() if at.startswith("out/"))


def start(config: Config) -> State:
    live = tuple((f"in/{name}", ino) for ino, (name, _) in enumerate(zip("ab", config.files, strict=False), 1))
    inodes = tuple((ino, content, True) for ino, content in enumerate(config.files, 1))
    budgets = (config.daemon_crashes, config.worker_crashes, config.power_cuts, config.user_actions)
    return State(live, live, inodes, (), (), (), False, True, 0, budgets, frozenset())


def free_name(w: World, name: str) -> str:
    """``store/decisions.py: choose_names``: names are unique in the catalog, which knows nothing of foreign files."""
    while any(job.final == name and job.pub in (*STANDING, "retiring") for job in w.jobs):
        name += "~"
    return name
