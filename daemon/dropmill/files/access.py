"""Reaching a file beneath a root without ever being led elsewhere: no symlink is followed, nothing blocks (S01, S02).

Roots come from the configuration and may themselves be reached through symlinks; everything below a root is input.
"""

from __future__ import annotations

import errno
import os
import stat as stat_module
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, Literal

from dropmill.model.file import Signature

Root = bytes | int
"""An absolute path, or an open descriptor of a directory (which stays open)."""

Kind = Literal["file", "directory", "symlink", "fifo", "socket", "device", "unknown"]
HardLinkPolicy = Literal["own", "any"]

_WALK: Final = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class Missing:
    """Nothing has this name now."""


@dataclass(frozen=True, slots=True)
class NotRegular:
    """The name, or for ``symlink`` also a directory on the way to it, is no plain file."""

    kind: Kind


class NotRegularFile(OSError):
    """Raised instead of opening something that is no plain file."""

    def __init__(self, kind: Kind, name: bytes) -> None:
        super().__init__(errno.ELOOP if kind == "symlink" else errno.EINVAL, f"not a regular file but a {kind}", name)
        self.kind: Kind = kind


def kind_of(mode: int) -> Kind:
    """The kind that ``st_mode`` tells."""
    kinds: tuple[tuple[int, Kind], ...] = (
        (stat_module.S_IFREG, "file"),
        (stat_module.S_IFDIR, "directory"),
        (stat_module.S_IFLNK, "symlink"),
        (stat_module.S_IFIFO, "fifo"),
        (stat_module.S_IFSOCK, "socket"),
        (stat_module.S_IFBLK, "device"),
        (stat_module.S_IFCHR, "device"),
    )
    return next((kind for bits, kind in kinds if stat_module.S_IFMT(mode) == bits), "unknown")


def components(rel: bytes) -> list[bytes]:
    """The parts of a path below a root. Raises ``ValueError`` for a path that could lead out of it."""
    if rel == b"":
        return []
    parts = rel.split(b"/")
    if any(part in {b"", b".", b".."} or b"\0" in part for part in parts):
        raise ValueError(f"not a path below a root: {rel!r}")
    return parts


@contextmanager
def closing(fd: int) -> Iterator[int]:
    """Close the descriptor at the end of the block."""
    try:
        yield fd
    finally:
        os.close(fd)


def open_root(root: Root) -> int:
    """A new descriptor of the root directory, symlinks followed. Raises OSError where it is missing."""
    if isinstance(root, int):
        return os.dup(root)
    return os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)


def open_dir_beneath(root: Root, rel_dir: bytes) -> int:
    """A new readable descriptor of the directory ``rel_dir`` (empty: the root itself).

    Raises ``NotRegularFile("symlink")`` where a component is a symlink, other OSErrors as the system gives them.
    """
    parts = components(rel_dir)
    if not parts:
        return open_root(root)
    fd = open_root(root)
    for part in parts[:-1]:
        with closing(fd):
            fd = _enter(fd, part, _WALK)
    with closing(fd):
        return _enter(fd, parts[-1], os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)


def _enter(dir_fd: int, name: bytes, flags: int) -> int:
    try:
        return os.open(name, flags, dir_fd=dir_fd)
    except OSError as error:
        # Linux answers ENOTDIR for a symlink opened with O_DIRECTORY | O_NOFOLLOW; only lstat tells it from a file.
        if error.errno in {errno.ENOTDIR, errno.ELOOP} and _is_symlink(dir_fd, name):
            raise NotRegularFile("symlink", name) from error
        raise


def _is_symlink(dir_fd: int, name: bytes) -> bool:
    seen = look(dir_fd, name)
    return seen is not None and stat_module.S_ISLNK(seen.st_mode)


def look(dir_fd: int, name: bytes) -> os.stat_result | None:
    """``lstat`` of one name in an open directory; None where nothing has it, or nothing could because it is too long."""
    try:
        return os.stat(name, dir_fd=dir_fd, follow_symlinks=False)
    except FileNotFoundError:
        return None
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            return None
        raise


@contextmanager
def parent_of(root: Root, rel: bytes) -> Iterator[tuple[int, bytes]]:
    """The open directory that holds ``rel``, and its name in there."""
    parent, _, name = rel.rpartition(b"/")
    components(rel)
    if not name:
        raise ValueError("the root itself is no file")
    with closing(open_dir_beneath(root, parent)) as dir_fd:
        yield dir_fd, name


def open_regular(dir_fd: int, name: bytes, flags: int = os.O_RDONLY) -> int:
    """Open a plain file by its name in an open directory. Raises ``NotRegularFile`` for anything else, never blocks."""
    # A device may act on being opened, so the name is looked at first; the descriptor is checked because the name
    # may have been swapped in between.
    before = os.stat(name, dir_fd=dir_fd, follow_symlinks=False)
    if not stat_module.S_ISREG(before.st_mode):
        raise NotRegularFile(kind_of(before.st_mode), name)
    try:
        fd = os.open(name, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=dir_fd)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise NotRegularFile("symlink", name) from error
        raise
    opened = os.fstat(fd)
    if not stat_module.S_ISREG(opened.st_mode):
        os.close(fd)
        raise NotRegularFile(kind_of(opened.st_mode), name)
    return fd


def open_beneath(root: Root, rel: bytes, flags: int = os.O_RDONLY) -> int:
    """Open the plain file ``rel`` below ``root``, no component through a symlink.

    Raises ``NotRegularFile`` for symlinks, pipes, sockets, devices and directories, ``ValueError`` for a path that
    leads out of the root, other OSErrors as they come. Never blocks on a pipe.
    """
    with parent_of(root, rel) as (dir_fd, name):
        return open_regular(dir_fd, name, flags)


def signature(root: Root, rel: bytes) -> Signature | Missing | NotRegular:
    """What ``lstat`` says of ``rel`` now. Raises OSErrors other than those that mean "not there"."""
    try:
        with parent_of(root, rel) as (dir_fd, name):
            seen = look(dir_fd, name)
    except NotRegularFile as error:
        return NotRegular(error.kind)
    except (FileNotFoundError, NotADirectoryError):
        return Missing()
    if seen is None:
        return Missing()
    if not stat_module.S_ISREG(seen.st_mode):
        return NotRegular(kind_of(seen.st_mode))
    return Signature.of(seen)


def owner_allowed(file: os.stat_result, inbox: os.stat_result, euid: int, policy: HardLinkPolicy = "own") -> bool:
    """Whether a file may be taken in: a hard link must belong to the inbox directory's owner or to the daemon (S03).

    A file with a single name was really dropped here, whoever owns it. ``policy="any"`` allows every link.
    """
    return policy == "any" or file.st_nlink <= 1 or file.st_uid in {inbox.st_uid, euid}


def read_head(root: Root, rel: bytes, size_bytes: int) -> bytes:
    """Up to ``size_bytes`` from the start of the plain file ``rel``. Raises as ``open_beneath``."""
    with closing(open_beneath(root, rel)) as fd:
        chunks = []
        while size_bytes > 0 and (chunk := os.read(fd, size_bytes)):
            chunks.append(chunk)
            size_bytes -= len(chunk)
        return b"".join(chunks)
