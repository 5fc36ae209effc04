"""Companions follow their image out of the inbox: same directory, same stem as the image has in its new place."""

from __future__ import annotations

import os
from collections.abc import Sequence
from itertools import product

from dropmill.files.access import look
from dropmill.files.durable import sha256_of
from dropmill.files.moving import Goal, forget_copy, move, opened_to_read, written_by_others
from dropmill.files.private import companion_of_private, private_companion_name, private_name, put_back_at
from dropmill.model.extensions import IMAGE_EXTENSIONS
from dropmill.model.names import companions_of, split_extension, with_suffix


def move_companions(
    dir_fd: int, image: bytes, tag: str, goal: Goal, extensions: Sequence[str], *, resumed: bool, lease_believed: bool
) -> bool:
    """Move every companion of ``image`` (a name, itself moved to ``goal`` already). False where one is being written.

    ``resumed``: an earlier call may have left companions under private names. While a new file has the image's name,
    companions under public names are taken to be that one's and stay. Raises OSError after putting back what it held.
    """
    waiting = _private_companions(dir_fd, tag) if resumed else []
    if look(dir_fd, image) is None:
        waiting += _take_companions(dir_fd, image, tag, extensions)
    done = True
    for private in waiting:
        done = _move_one(dir_fd, private, image, tag, goal, lease_believed) and done
    return done


def _private_companions(dir_fd: int, tag: str) -> list[bytes]:
    start = private_name(tag) + b"+"
    return sorted(name for name in map(os.fsencode, os.listdir(dir_fd)) if name.startswith(start))


def _take_companions(dir_fd: int, image: bytes, tag: str, extensions: Sequence[str]) -> list[bytes]:
    """Give each companion its private name, one after another as they are moved."""
    taken = []
    for companion in companions_of(image, _siblings(dir_fd, image, extensions), extensions):
        private = private_companion_name(tag, image, companion)
        if look(dir_fd, private) is not None:
            continue  # One of that name waits already; this later one follows when that is done.
        try:
            os.rename(companion, private, src_dir_fd=dir_fd, dst_dir_fd=dir_fd)
        except FileNotFoundError:
            continue
        taken.append(private)
    return taken


def _siblings(dir_fd: int, image: bytes, extensions: Sequence[str]) -> list[bytes]:
    """The names that matter to ``companions_of``, asked for one by one, in lower and in upper case.

    Listing the directory for each image would take quadratic time in a directory of 100,000 (W33).
    """
    stem = split_extension(image)[0]
    found = _existing(dir_fd, product((stem, image), extensions))
    if any(split_extension(name)[0] == stem for name in found):
        found += _existing(dir_fd, product((stem,), (ending.decode() for ending in IMAGE_EXTENSIONS)))
    return found


def _existing(dir_fd: int, wanted: product[tuple[bytes, str]]) -> list[bytes]:
    names = {
        owner + b"." + os.fsencode(cased.lstrip("."))
        for owner, ending in wanted
        for cased in (ending.lower(), ending.upper())
    }
    return sorted(name for name in names if look(dir_fd, name) is not None)


def _move_one(dir_fd: int, private: bytes, image: bytes, tag: str, goal: Goal, lease_believed: bool) -> bool:
    original = companion_of_private(private, image)
    try:
        forget_copy(dir_fd, private, goal)
        with opened_to_read(dir_fd, private) as fd:
            if not written_by_others(fd, lease_believed):
                _move_to_free_name(dir_fd, private, fd, goal)
                return True
        put_back_at(dir_fd, private, original, tag)
    except FileNotFoundError:
        if look(dir_fd, private) is not None:
            raise
    except OSError:
        put_back_at(dir_fd, private, original, tag)
        raise
    return look(dir_fd, original) is None


def _move_to_free_name(dir_fd: int, private: bytes, fd: int | None, goal: Goal) -> None:
    name = companion_of_private(private, goal.name)
    if move(dir_fd, private, fd, Goal(goal.dir_fd, name), None) or fd is None:
        return
    # The suffix follows from the bytes, so an interrupted call comes to the same name again.
    digest = sha256_of(fd)
    for suffix in (digest[:8], digest):
        if move(dir_fd, private, fd, Goal(goal.dir_fd, with_suffix(name, suffix)), None):
            return
    raise FileExistsError(f"no free name for {name!r}")
