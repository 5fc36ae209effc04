"""Making staged renditions visible, replacing and removing our own earlier ones: PROTOCOL 7, 8 and 9.

Every function may be interrupted at any system call and called again with the same arguments until it returns.
OSErrors propagate: the caller tries again later. The caller checks the recorded mount first (``roots.read_identity``),
because ``Lost`` is true only there.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat as stat_module
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from dropmill.files.access import closing, look, open_dir_beneath, open_regular, open_root
from dropmill.files.copying import copy_verified
from dropmill.files.durable import make_dirs, sha256_of, sync, sync_file
from dropmill.files.rename import aside_name, complete_torn_copy, exchange, finish_exchange, rename_noreplace
from dropmill.files.roots import STAGING
from dropmill.model.names import with_suffix


@dataclass(frozen=True, slots=True)
class Published:
    """The rendition is visible and durable, and the file is ours (*owned*)."""

    ino: int


@dataclass(frozen=True, slots=True)
class Adopted:
    """A file that is not ours has the name and exactly the bytes; it serves as the rendition (*adopted*)."""

    ino: int


@dataclass(frozen=True, slots=True)
class NameTaken:
    """Somebody else's file has the name. Commit another final name, then try again."""


@dataclass(frozen=True, slots=True)
class Lost:
    """Neither the staged file nor the target holds the rendition: it must be rendered again."""


# One turn moves, one looks; more are needed only when others act on the same name in the same instant.
_MOST_TURNS: Final = 20

PublishResult = Published | Adopted | NameTaken | Lost


@dataclass(frozen=True, slots=True)
class _Place:
    """One publication with its two directories open."""

    staging_fd: int
    staged: bytes
    final_fd: int
    final: bytes
    ino: int
    sha256: str
    size_bytes: int
    replaces_ino: int | None
    replaces_sha256: str | None

    @property
    def passing(self) -> bytes:
        """What a copy in the final directory is called until it has its name."""
        return b".dropmill-copy-" + self.staged

    def is_earlier(self, dir_fd: int, name: bytes, seen: os.stat_result) -> bool:
        """Our own earlier rendition, as we left it: an inode number alone may be another file's by now (W20)."""
        if not stat_module.S_ISREG(seen.st_mode) or seen.st_ino != self.replaces_ino:
            return False
        return _holds(dir_fd, name, self.replaces_sha256)

    def is_ours(self, dir_fd: int, name: bytes, seen: os.stat_result) -> bool:
        """By inode or by SHA-256 (PROTOCOL 8). The size must fit too: an inode number alone may be reused (W20)."""
        if stat_module.S_ISREG(seen.st_mode) and seen.st_size == self.size_bytes and seen.st_ino == self.ino:
            return True
        return self.is_ours_by_bytes(dir_fd, name, seen)

    def is_ours_by_bytes(self, dir_fd: int, name: bytes, seen: os.stat_result) -> bool:
        """Where the staged file may have been lost, its inode number can be that of a foreign file by now."""
        if not stat_module.S_ISREG(seen.st_mode) or seen.st_size != self.size_bytes:
            return False
        return _holds(dir_fd, name, self.sha256)


@dataclass(frozen=True, slots=True)
class Wanted:
    """One publication: ``<output>/.dropmill/<staged_name>`` is to become ``<output>/<final_name>``.

    ``replaces_ino`` and ``replaces_sha256``: of our own earlier rendition that may be swapped out of ``final_name``.
    """

    staged_name: str
    staged_ino: int
    sha256: str
    size_bytes: int
    final_name: bytes
    replaces_ino: int | None = None
    replaces_sha256: str | None = None


def publish_all(
    output: bytes, wanted: Sequence[Wanted], *, dir_mode: int = 0o755, gid: int = -1
) -> list[PublishResult | OSError]:
    """Move every rendition into place, overwriting nothing, and sync each directory once for all of them.

    Directories on the way get ``dir_mode`` and ``gid``. What is returned as a result is durable; an OSError, that of a
    sync included, is the answer for those that it concerns. Raises OSError where the output itself cannot be opened.
    """
    results: list[PublishResult | OSError] = []
    touched: dict[bytes, list[int]] = {}
    with closing(open_root(output)) as output_fd, closing(open_dir_beneath(output_fd, STAGING)) as staging_fd:
        for index, item in enumerate(wanted):
            parent = item.final_name.rpartition(b"/")[0]
            try:
                results.append(_move(output_fd, staging_fd, item, dir_mode, gid))
                touched.setdefault(parent, []).append(index)
            except OSError as error:
                results.append(error)
        for parent, indexes in touched.items():
            try:
                with closing(open_dir_beneath(output_fd, parent)) as final_fd:
                    sync(final_fd)
            except OSError as error:
                for index in indexes:
                    results[index] = error
        try:
            sync(staging_fd)
        except OSError as error:
            return [error] * len(wanted)
    return results


def publish(
    output: bytes,
    staged_name: str,
    staged_ino: int,
    sha256: str,
    size_bytes: int,
    final_name: bytes,
    *,
    dir_mode: int = 0o755,
    gid: int = -1,
    replaces_ino: int | None = None,
) -> PublishResult:
    """``publish_all`` of one. Raises OSError, ``FileNotFoundError`` for a missing output included."""
    item = Wanted(staged_name, staged_ino, sha256, size_bytes, final_name, replaces_ino)
    (result,) = publish_all(output, [item], dir_mode=dir_mode, gid=gid)
    if isinstance(result, OSError):
        raise result
    return result


def _move(output_fd: int, staging_fd: int, item: Wanted, dir_mode: int, gid: int) -> PublishResult:
    parent, _, name = item.final_name.rpartition(b"/")
    with closing(make_dirs(output_fd, parent, dir_mode, gid)) as final_fd:
        place = _Place(
            staging_fd,
            os.fsencode(item.staged_name),
            final_fd,
            name,
            item.staged_ino,
            item.sha256,
            item.size_bytes,
            item.replaces_ino,
            item.replaces_sha256,
        )
        for turn in range(_MOST_TURNS):
            try:
                result = _settle(place)
            except (FileExistsError, FileNotFoundError):
                # Somebody made or removed a name between our looking and our moving: look again and decide afresh.
                if turn == _MOST_TURNS - 1:
                    raise
                continue
            if result is not None:
                return result
        raise OSError(errno.EAGAIN, "the name changes hands faster than it can be looked at", item.final_name)


def _settle(place: _Place) -> PublishResult | None:
    """One look at both names and the one step that it asks for; None says look again."""
    _finish_interrupted_exchange(place)
    _settle_passing(place)
    target = look(place.final_fd, place.final)
    staged = look(place.staging_fd, place.staged)
    staged_ours = staged is not None and place.is_ours(place.staging_fd, place.staged, staged)
    if staged is not None and not staged_ours:
        return _return_swapped_out(place, staged, target)
    if target is None:
        if staged is None:
            return Lost()
        return _move_in(place)
    linked = staged is not None and target.st_ino == staged.st_ino
    if linked or place.is_ours_by_bytes(place.final_fd, place.final, target):
        if target.st_ino != place.ino:
            with closing(open_regular(place.final_fd, place.final)) as fd:
                sync_file(fd)  # A copy, or somebody else's file: nothing says yet that it is on the disk.
        if staged is not None:
            os.unlink(place.staged, dir_fd=place.staging_fd)
        return Published(target.st_ino) if _owned(place, target) else Adopted(target.st_ino)
    if staged is None:
        return Lost()
    if place.is_earlier(place.final_fd, place.final, target):
        try:
            exchange(place.staging_fd, place.staged, place.final_fd, place.final)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            return _replace_over(place)
        return None
    if complete_torn_copy(place.staging_fd, place.staged, place.final_fd, place.final, empty_too=True):
        return None
    return NameTaken()


def _move_in(place: _Place) -> Published | None:
    try:
        rename_noreplace(place.staging_fd, place.staged, place.final_fd, place.final)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        _copy_over(place, place.final)
        os.unlink(place.staged, dir_fd=place.staging_fd)
    moved = look(place.final_fd, place.final)
    # Where only a copy could be made, it is ours although its inode is another; nobody but us can know that later.
    if moved is not None and place.is_ours(place.final_fd, place.final, moved):
        return Published(moved.st_ino)
    return None


def _copy_over(place: _Place, name: bytes) -> None:
    """To a folder of the output that is a mount of its own: a copy, compared before it gets its name."""
    with closing(open_regular(place.staging_fd, place.staged)) as source:
        copy_verified(source, place.final_fd, place.passing + b".part", name, place.sha256)


def _replace_over(place: _Place) -> Published | None:
    """Swap our earlier rendition on another mount for a copy; ``_settle_passing`` ends what a crash leaves of it."""
    _copy_over(place, place.passing)
    exchange(place.final_fd, place.passing, place.final_fd, place.final)
    sync(place.final_fd)
    _settle_passing(place)
    now = look(place.final_fd, place.final)
    if now is not None and place.is_ours(place.final_fd, place.final, now):
        os.unlink(place.staged, dir_fd=place.staging_fd)
        return Published(now.st_ino)
    return None


def _settle_passing(place: _Place) -> None:
    """The passing name holds our copy before an exchange, and after it what it took from the target."""
    seen = look(place.final_fd, place.passing)
    if seen is None:
        return
    if place.is_ours(place.final_fd, place.passing, seen) or place.is_earlier(place.final_fd, place.passing, seen):
        os.unlink(place.passing, dir_fd=place.final_fd)
        return
    # Somebody put a file of his own under the name in the very instant of the exchange: it may not be lost.
    rename_noreplace(place.final_fd, place.passing, place.final_fd, with_suffix(place.final, f"kept-{seen.st_ino}"))


def _owned(place: _Place, target: os.stat_result) -> bool:
    return target.st_ino in {place.ino, place.replaces_ino}


def _return_swapped_out(place: _Place, out: os.stat_result, target: os.stat_result | None) -> PublishResult | None:
    """The staged name holds what an exchange took from the target: our earlier rendition, or a file that was not ours.

    The first is removed. The second goes back to its name, which an exchange frees again without a gap. Where no
    exchange can have happened, the staged file is damaged, and is left for ``sweep_staging``.
    """
    if place.replaces_ino is None or (target is not None and target.st_ino == place.replaces_ino):
        if target is None or not place.is_ours_by_bytes(place.final_fd, place.final, target):
            return Lost()
        return Published(target.st_ino) if _owned(place, target) else Adopted(target.st_ino)
    if target is not None and place.is_earlier(place.staging_fd, place.staged, out):
        if not place.is_ours_by_bytes(place.final_fd, place.final, target):
            # Our new rendition was overwritten right after it became visible; the earlier one has no place any more.
            os.unlink(place.staged, dir_fd=place.staging_fd)
            return None
        os.unlink(place.staged, dir_fd=place.staging_fd)
        return Published(target.st_ino)
    if target is None:
        rename_noreplace(place.staging_fd, place.staged, place.final_fd, place.final)
        return None
    if place.is_ours_by_bytes(place.final_fd, place.final, target):
        exchange(place.staging_fd, place.staged, place.final_fd, place.final)
        return None
    # Two foreign files, one after the other, met the same name within one exchange. Neither may be lost.
    _move_beside(place, place.staged, out.st_ino)
    return None


def _move_beside(place: _Place, name: bytes, ino: int) -> None:
    """Give a foreign file from staging a free name beside the final one."""
    rename_noreplace(place.staging_fd, name, place.final_fd, with_suffix(place.final, f"kept-{ino}"))


def _finish_interrupted_exchange(place: _Place) -> None:
    """Only file systems without RENAME_EXCHANGE ever leave something aside."""
    try:
        finish_exchange(place.staging_fd, place.staged, place.final_fd, place.final)
    except FileExistsError:
        aside = aside_name(place.staged)
        seen = look(place.staging_fd, aside)
        if seen is not None and place.is_earlier(place.staging_fd, aside, seen):
            os.unlink(aside, dir_fd=place.staging_fd)
        elif seen is not None:
            _move_beside(place, aside, seen.st_ino)


def retire(output: bytes, final_name: bytes, ino: int, sha256: str | None = None) -> bool:
    """Remove an owned rendition whose inode, and ``sha256`` if given, still match. True where this call, or an interrupted one, removed it.

    False where the name is gone or holds something else, which stays. Raises OSError.
    """
    parent, _, name = final_name.rpartition(b"/")
    away = b"retire-%d-%s" % (ino, hashlib.sha256(final_name).hexdigest()[:16].encode())
    with closing(open_root(output)) as output_fd, closing(open_dir_beneath(output_fd, STAGING)) as staging_fd:
        try:
            final_fd = open_dir_beneath(output_fd, parent)
        except FileNotFoundError:
            final_fd = None
        if final_fd is None:
            return _remove_retired(staging_fd, away, ino)
        with closing(final_fd):
            on_the_spot = b".dropmill-" + away
            if look(final_fd, on_the_spot) is not None:
                return _retire_on_the_spot(final_fd, name, on_the_spot, ino, sha256)
            seen = look(final_fd, name)
            if look(staging_fd, away) is None and seen is not None and _is_file(seen, ino):
                # The name is taken away before it is judged for good, so that a file that arrives under it meanwhile
                # is never the one that is removed.
                try:
                    os.rename(name, away, src_dir_fd=final_fd, dst_dir_fd=staging_fd)
                except OSError as error:
                    if error.errno != errno.EXDEV:
                        raise
                    return _retire_on_the_spot(final_fd, name, on_the_spot, ino, sha256)
                sync(final_fd)
            moved = look(staging_fd, away)
            if moved is not None and not (_is_file(moved, ino) and _holds(staging_fd, away, sha256)):
                _give_back(staging_fd, away, final_fd, name, moved.st_ino)
                return False
            return _remove_retired(staging_fd, away, ino)


def _retire_on_the_spot(final_fd: int, name: bytes, away: bytes, ino: int, sha256: str | None) -> bool:
    """In a folder that is a mount of its own: the same steps within it."""
    if look(final_fd, away) is None:
        os.rename(name, away, src_dir_fd=final_fd, dst_dir_fd=final_fd)
    moved = look(final_fd, away)
    if moved is not None and not (_is_file(moved, ino) and _holds(final_fd, away, sha256)):
        _give_back(final_fd, away, final_fd, name, moved.st_ino)
        return False
    return _remove_retired(final_fd, away, ino)


def _holds(dir_fd: int, name: bytes, sha256: str | None) -> bool:
    """Whether a plain file has these bytes; without a digest nothing is asked."""
    if sha256 is None:
        return True
    with closing(open_regular(dir_fd, name)) as fd:
        return sha256_of(fd) == sha256


def _is_file(seen: os.stat_result, ino: int) -> bool:
    return stat_module.S_ISREG(seen.st_mode) and seen.st_ino == ino


def _remove_retired(staging_fd: int, away: bytes, ino: int) -> bool:
    moved = look(staging_fd, away)
    if moved is None or not _is_file(moved, ino):
        return False
    os.unlink(away, dir_fd=staging_fd)
    sync(staging_fd)
    return True


def _give_back(staging_fd: int, away: bytes, final_fd: int, name: bytes, ino: int) -> None:
    try:
        rename_noreplace(staging_fd, away, final_fd, name)
    except FileExistsError:
        rename_noreplace(staging_fd, away, final_fd, with_suffix(name, f"kept-{ino}"))
    sync(final_fd)
