"""Looking through an inbox, a bounded number of files at a time (W10, W11, W12, W33).

Symlinks are reported and never followed, junk directories are skipped, other file systems mounted below are entered.
"""

from __future__ import annotations

import os
import re
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from dropmill.files.access import Kind, closing, kind_of, open_dir_beneath
from dropmill.model.file import Signature
from dropmill.model.names import junk, junk_directory

CHUNK_ENTRIES: Final = 500

# Ours: an image on its way out of the inbox, or a companion of it (see dispose.py).
_PRIVATE: Final = re.compile(rb"\.dropmill-(\d+)(?:\+.+)?", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Entry:
    """A name that is not junk. Only those of kind ``file`` can become jobs; the others are ignored with their kind."""

    rel: bytes
    signature: Signature
    kind: Kind


@dataclass(frozen=True, slots=True)
class Leftover:
    """A private name that an interrupted disposal of job ``job_id`` left; ``companion`` where it is not the image."""

    rel: bytes
    job_id: int
    companion: bool


@dataclass(frozen=True, slots=True)
class ScanError:
    """A directory or file that could not be looked at; the scan went on without it. ``rel`` is empty for the root."""

    rel: bytes
    errno: int


@dataclass(frozen=True, slots=True)
class Chunk:
    entries: tuple[Entry, ...]
    leftovers: tuple[Leftover, ...]
    errors: tuple[ScanError, ...]


class Scanner:
    """One pass over an inbox, taken chunk by chunk from one thread; ``close`` ends it early.

    Memory is bounded by the chunk and by the number of directories still to be entered, not by the number of files.
    The order is that of the file systems. A file that is renamed meanwhile may be met twice or not at all, as with any
    scan: events, or the next scan, tell of it.
    """

    def __init__(
        self,
        root: bytes,
        *,
        recursive: bool = True,
        ignore: Sequence[str] = (),
        chunk_entries: int = CHUNK_ENTRIES,
        tops: Sequence[bytes] = (b"",),
    ) -> None:
        """``ignore``: further glob patterns of junk names, for files and directories alike.

        ``tops``: the directories to look through with all that is in them, below ``root``; empty is the root itself.
        """
        self._root = root
        self._recursive = recursive
        self._ignore = tuple(ignore)
        self._chunk_entries = chunk_entries
        self._directories = list(tops)
        self._found: list[Entry] = []
        self._leftovers: list[Leftover] = []
        self._errors: list[ScanError] = []
        self._walk: Generator[None, None, None] | None = self._steps()

    def next_chunk(self) -> Chunk | None:
        """At most ``chunk_entries`` further names, or None at the end. Never raises OSError: errors are in the chunk."""
        if self._walk is None:
            return None
        for _ in self._walk:
            if len(self._found) + len(self._leftovers) + len(self._errors) >= self._chunk_entries:
                return self._taken()
        self._walk = None
        last = self._taken()
        return last if last.entries or last.leftovers or last.errors else None

    def __iter__(self) -> Iterator[Chunk]:
        while (chunk := self.next_chunk()) is not None:
            yield chunk

    def close(self) -> None:
        """Let go of the directory that is open; the scan is over. From the thread that takes the chunks."""
        walk, self._walk = self._walk, None
        if walk is not None:
            walk.close()

    def _taken(self) -> Chunk:
        chunk = Chunk(tuple(self._found), tuple(self._leftovers), tuple(self._errors))
        self._found, self._leftovers, self._errors = [], [], []
        return chunk

    def _steps(self) -> Generator[None, None, None]:
        """One name at a time, so that the caller can stop between any two."""
        while self._directories:
            directory = self._directories.pop()
            try:
                with closing(open_dir_beneath(self._root, directory)) as dir_fd, os.scandir(dir_fd) as found:
                    for name in found:
                        self._meet(directory, name)
                        yield
            except OSError as error:
                self._errors.append(ScanError(directory, error.errno or 0))
                yield

    def _meet(self, directory: bytes, found: os.DirEntry[str]) -> None:
        name = os.fsencode(found.name)
        rel = directory + b"/" + name if directory else name
        private = _PRIVATE.fullmatch(name)
        try:
            if private is not None and found.is_file(follow_symlinks=False):
                self._leftovers.append(Leftover(rel, int(private[1]), b"+" in name))
            elif found.is_dir(follow_symlinks=False):
                if self._recursive and not junk_directory(rel, self._ignore):
                    self._directories.append(rel)
            elif not junk(rel, self._ignore):
                seen = found.stat(follow_symlinks=False)
                self._found.append(Entry(rel, Signature.of(seen), kind_of(seen.st_mode)))
        except FileNotFoundError:
            return  # Gone between listing and looking, which is no error of the directory.
        except OSError as error:
            self._errors.append(ScanError(rel, error.errno or 0))
