"""The system calls on drop-files and their results files. Everything here blocks: it is called from a lane."""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

from dropmill.files.access import NotRegularFile, closing, kind_of, open_beneath, open_regular, parent_of
from dropmill.files.durable import sync, sync_file, write_all
from dropmill.model.dropline import Line, read_piece
from dropmill.model.tailing import FINGERPRINT_BYTES, LOT_BYTES, FileId, Look, Mark, cut

_READ: Final = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
_APPEND: Final = os.O_RDWR | os.O_APPEND | os.O_NOCTTY
_MAKE: Final = _APPEND | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
# A rotated file is looked for among so many names of the folder.
_MOST_SIBLINGS: Final = 10_000
_CHUNK_BYTES: Final = 1 << 20
# Longer than any line that we write.
_LONGEST_RESULT_BYTES: Final = 16 << 20
RESULT_OPENING: Final = b'{"line": '
"""What every line that we write begins with."""


@dataclass(frozen=True, slots=True)
class Lot:
    """``lines`` say something; ``mark`` is behind them and behind the blank ones among them. ``size_bytes`` of the file
    when they were read."""

    lines: tuple[Line, ...]
    mark: Mark
    size_bytes: int


class Reading:
    """One drop-file, held open so that what is appended to it while it is renamed away, or removed, is read to its end."""

    def __init__(self, path: bytes, opened: int | None = None) -> None:
        """``opened``: a descriptor of the file, which is closed with the rest."""
        self._path = path
        self._fd = opened
        self._checked: tuple[Mark, tuple[int, int, int]] | None = None
        self._same = False
        self._done: FileId | None = None

    def look(self, mark: Mark | None) -> Look:
        """``mark``: how far which file was read. Raises OSError, ``NotRegularFile`` where the path holds something else."""
        at_path = _identity(self._path)
        if self._fd is None:
            self._open(mark, at_path)
        if self._fd is None:
            return Look(at_path, None, 0, (0, 0), same=False)
        seen = os.fstat(self._fd)
        state = (seen.st_size, seen.st_mtime_ns, seen.st_ctime_ns)
        opened = FileId(seen.st_dev, seen.st_ino)
        if mark is not None and opened == mark.file and self._checked != (mark, state):
            self._same = self._is_same(self._fd, mark)
            self._checked = (mark, state)
        return Look(at_path, opened, seen.st_size, state[1:], self._same)

    def read(self, mark: Mark, *, last: bool) -> Lot | None:
        """The next lines; None where the file was rewritten meanwhile, of which the next look tells. Raises OSError."""
        if self._fd is None:
            return None
        data = os.pread(self._fd, LOT_BYTES, mark.offset_bytes)
        size_bytes = mark.offset_bytes + len(data)
        # Within a file that has more the end of what was read is not the end of a line.
        pieces, behind = cut(data, mark, last=last and len(data) < LOT_BYTES)
        marked = self._fingerprinted(self._fd, mark, behind, data)
        if marked is None:
            self._checked = None
            return None
        lines = tuple(line for piece in pieces if (line := read_piece(piece)) is not None)
        return Lot(lines, marked, size_bytes)

    def switch(self) -> None:
        """Let go of the file for good: the next look opens what is at the path."""
        if self._fd is not None:
            seen = os.fstat(self._fd)
            self._done = FileId(seen.st_dev, seen.st_ino)
        self.close()

    def close(self) -> None:
        fd, self._fd = self._fd, None
        self._checked = None
        if fd is not None:
            os.close(fd)

    def _open(self, mark: Mark | None, at_path: FileId | None) -> None:
        if mark is not None and at_path != mark.file != self._done:
            self._fd = self._renamed(mark)
        if self._fd is None and at_path is not None:
            try:
                self._fd = _open_regular(self._path)
            except FileNotFoundError:
                return  # Gone just now; the next look tells.

    def _renamed(self, mark: Mark) -> int | None:
        """The file that was read before, if it has another name in the same folder now, as after a rotation."""
        folder, _, name = self._path.rpartition(b"/")
        try:
            with os.scandir(folder or b"/") as found:
                for number, entry in enumerate(found):
                    if number >= _MOST_SIBLINGS:
                        return None
                    # Before anything was read of it there is no content to know it by, and inodes are used again.
                    known = mark.offset_bytes > 0 or entry.name.startswith(name.split(b".")[0])
                    if entry.inode() == mark.file.ino and entry.name != name and known:
                        fd = self._as_before(folder + b"/" + entry.name, mark)
                        if fd is not None:
                            return fd
        except FileNotFoundError:
            return None
        return None

    def _as_before(self, path: bytes, mark: Mark) -> int | None:
        try:
            fd = _open_regular(path)
        except OSError:
            return None  # Not ours to read, or gone: then there is nothing to be read on.
        seen = os.fstat(fd)
        if FileId(seen.st_dev, seen.st_ino) == mark.file and self._is_same(fd, mark):
            return fd
        os.close(fd)
        return None

    @staticmethod
    def _is_same(fd: int, mark: Mark) -> bool:
        tail_bytes = min(mark.offset_bytes, FINGERPRINT_BYTES)
        head = os.pread(fd, mark.head_bytes, 0)
        tail = os.pread(fd, tail_bytes, mark.offset_bytes - tail_bytes)
        return (_digest(head), _digest(tail)) == (mark.head_sha256, mark.tail_sha256)

    def _fingerprinted(self, fd: int, before: Mark, behind: Mark, data: bytes) -> Mark | None:
        """``behind`` with the fingerprints of what was read; None where the file does not hold what was read any more."""
        if not self._is_same(fd, before):
            return None
        offset = behind.offset_bytes
        consumed = data[: offset - before.offset_bytes]
        head = os.pread(fd, min(offset, FINGERPRINT_BYTES), 0)
        tail_bytes = min(offset, FINGERPRINT_BYTES)
        tail = os.pread(fd, tail_bytes, offset - tail_bytes)
        fresh_tail = tail[-len(consumed) :] if consumed else b""
        fresh_head = head[before.offset_bytes :]
        if fresh_tail != consumed[-tail_bytes:] or fresh_head != consumed[: len(fresh_head)]:
            return None
        return replace(behind, head_bytes=len(head), head_sha256=_digest(head), tail_sha256=_digest(tail))


def open_list(root: bytes, rel: bytes) -> int:
    """A descriptor of a list below an inbox, no symlink followed. Raises OSError."""
    return open_beneath(root, rel)


def _identity(path: bytes) -> FileId | None:
    try:
        seen = os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    return FileId(seen.st_dev, seen.st_ino)


def _open_regular(path: bytes) -> int:
    """Raises ``NotRegularFile`` for pipes, folders and the like, without waiting for anybody."""
    fd = os.open(path, _READ)
    kind = kind_of(os.fstat(fd).st_mode)
    if kind != "file":
        os.close(fd)
        raise NotRegularFile(kind, path)
    return fd


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest() if data else ""


# Results. ``rel`` is a path below ``root``, of which no part is a symlink.


@dataclass(frozen=True, slots=True)
class ResultsFile:
    """What a results file is now."""

    file: FileId
    size_bytes: int


def open_results(root: bytes, rel: bytes, mode: int, gid: int) -> ResultsFile:
    """Look at the results file, and make it where there is none. Raises OSError."""
    with parent_of(root, rel) as (dir_fd, name):
        try:
            fd = open_regular(dir_fd, name, _APPEND)
        except FileNotFoundError:
            with closing(os.open(name, _MAKE, 0o600, dir_fd=dir_fd)) as made:
                if gid >= 0:
                    os.fchown(made, -1, gid)
                os.fchmod(made, mode)
                os.fsync(made)
                sync(dir_fd)
                return _results_file(made)
        with closing(fd):
            return _results_file(fd)


def _results_file(fd: int) -> ResultsFile:
    seen = os.fstat(fd)
    return ResultsFile(FileId(seen.st_dev, seen.st_ino), seen.st_size)


def whole_results(root: bytes, rel: bytes, offset_bytes: int) -> Iterator[tuple[bytes, int]]:
    """Each whole line from an offset on, with the offset behind it, in bounded memory and durable. Raises OSError."""
    with parent_of(root, rel) as (dir_fd, name), closing(open_regular(dir_fd, name)) as fd:
        sync_file(fd)  # What is found here counts as told.
        _sync_name(dir_fd, offset_bytes)
        held, at = b"", offset_bytes
        while chunk := os.pread(fd, _CHUNK_BYTES, at + len(held)):
            *lines, held = (held + chunk).split(b"\n")
            for line in lines:
                at += len(line) + 1
                yield line, at
            if len(held) > _LONGEST_RESULT_BYTES:
                return  # Nothing of ours.


def append_results(root: bytes, rel: bytes, expected: ResultsFile, lines: bytes) -> int:
    """Append and fsync; the size behind it. A torn line of ours behind ``expected.size_bytes`` is cut off.

    Whatever else stands there is somebody else's, and stays. Raises OSError, ``FileNotFoundError`` also where another file is there than the expected one.
    """
    with parent_of(root, rel) as (dir_fd, name), closing(open_regular(dir_fd, name, _APPEND)) as fd:
        now = _results_file(fd)
        if now.file != expected.file or now.size_bytes < expected.size_bytes:
            raise FileNotFoundError(errno.ENOENT, "the results file was exchanged", rel)
        end_bytes = now.size_bytes
        if end_bytes > expected.size_bytes:
            if _is_torn(os.pread(fd, _LONGEST_RESULT_BYTES, expected.size_bytes)):
                end_bytes = expected.size_bytes
                os.ftruncate(fd, end_bytes)
            elif os.pread(fd, 1, end_bytes - 1) != b"\n":
                lines = b"\n" + lines
        write_all(fd, lines)
        sync_file(fd)
        _sync_name(dir_fd, expected.size_bytes)
        return end_bytes + len(lines)


def _sync_name(dir_fd: int, size_bytes: int) -> None:
    """Whoever made the file may have been cut short before its name was durable."""
    if size_bytes == 0:
        sync(dir_fd)


def _is_torn(text: bytes) -> bool:
    """Whether this is the beginning of one line of ours, with the zeros behind it that a power failure leaves in a file whose
    size was written and whose data were not."""
    begun = text.rstrip(b"\0")
    ours = begun.startswith(RESULT_OPENING) or RESULT_OPENING.startswith(begun)
    return ours and len(text) < _LONGEST_RESULT_BYTES and b"\n" not in text
