"""Everything about watching one folder that may block: to be called from the inbox's lane only, but for what says so."""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from dropmill.files import canary
from dropmill.files.events import EventTree, Pending
from dropmill.files.fstype import delivers_no_events
from dropmill.files.roots import InboxLock
from dropmill.files.standing import EXHAUSTED, Standing, holds_nothing, standing
from dropmill.model import watching
from dropmill.model.watching import Kind, Trouble

_LIMITS: Final = {errno.ENOSPC: "watches", errno.ENOMEM: "watches", errno.EMFILE: "instances"}


@dataclass(frozen=True, slots=True)
class Armed:
    """How the folder is watched from now on. ``canary``: whether the kernel owes an event of the self-test."""

    standing: Standing
    empty: bool
    mode: Literal["events", "poll"]
    troubles: dict[Kind, Trouble]
    canary: bool = False


class Vigil:
    """The lock and the watches of one folder, which go with whatever directory is at its path."""

    def __init__(
        self,
        root: bytes,
        lock: InboxLock,
        pending: Pending,
        *,
        recursive: bool,
        ignore: Sequence[str],
        watch: Literal["auto", "events", "poll"],
    ) -> None:
        self._root = root
        self._lock = lock
        self._pending = pending
        self._recursive = recursive
        self._ignore = ignore
        self._wanted = watch
        self._tree: EventTree | None = None

    def arm(self) -> Armed:
        """Lock the folder and watch it: by events where they work, else by polling.

        Raises ``AlreadyRunning`` where another daemon has it, OSError where it is not there (ENOENT) or nothing can be
        opened at all (EMFILE).
        """
        self.unwatch()
        if standing(self._root) is None:
            self.close()
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
        self._lock.take()
        seen = standing(self._root)
        if seen is None:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
        empty = holds_nothing(self._root)
        if self._wanted == "poll" or (self._wanted == "auto" and delivers_no_events(self._root)):
            return Armed(seen, empty, "poll", {})
        try:
            tree = EventTree(self._root, self._pending, recursive=self._recursive, ignore=self._ignore)
            tree.arm()
        except FileNotFoundError:
            raise
        except OSError as error:
            return Armed(seen, empty, "poll", _cannot_watch(error))
        self._tree = tree
        return Armed(seen, empty, "events", self.limited(), canary.release(self._root))

    def unwatch(self) -> None:
        """No more events."""
        tree, self._tree = self._tree, None
        if tree is not None:
            tree.disarm()

    def close(self) -> None:
        """Let go of the folder, which is not there any more or not ours to watch; it may be armed again."""
        self.unwatch()
        self._lock.release()

    def extend(self, directories: Sequence[bytes]) -> None:
        if self._tree is not None:
            self._tree.extend(directories)

    def heal(self) -> None:
        """Try again to watch what the limit left out."""
        if self._tree is not None:
            self._tree.heal()

    # From any thread, and at once:

    @property
    def reader_ended(self) -> bool:
        tree = self._tree
        return tree is not None and not tree.alive

    def ask_reader(self) -> bool:
        """Whether who reads the events has answered when it was asked last; it is asked again."""
        tree = self._tree
        return tree is None or tree.ask()

    @property
    def told(self) -> bool:
        """Whether the self-test was answered."""
        tree = self._tree
        return tree is not None and tree.told

    def watches(self, directory: bytes) -> bool:
        tree = self._tree
        return tree is not None and tree.watches(directory)

    @property
    def unwatched(self) -> list[bytes]:
        """Tops of the trees that have to be polled although the rest is watched (W14, W16)."""
        return list(self._polled())

    def limited(self) -> dict[Kind, Trouble]:
        count = sum(self._polled().values())
        return {Kind.LIMIT: watching.limit_reached("watches", count)} if count else {}

    def _polled(self) -> dict[bytes, bool]:
        tree = self._tree
        return {} if tree is None else tree.polled


def _cannot_watch(error: OSError) -> dict[Kind, Trouble]:
    if error.errno == errno.EMFILE and _files_are_out():
        raise error
    limit = _LIMITS.get(error.errno or 0)
    if limit is not None:
        return {Kind.LIMIT: watching.limit_reached(limit, 0)}
    return {Kind.LIMIT: watching.not_watchable(error.strerror or str(error))}


def _files_are_out() -> bool:
    """EMFILE is said of inotify instances and of open files alike."""
    try:
        os.close(os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC))
    except OSError as error:
        return error.errno in EXHAUSTED
    return False
