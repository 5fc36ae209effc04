"""The private names under which an original waits, in its own directory, while it is judged (PROTOCOL 11).

``.dropmill-<job>`` is the image of a job; ``.dropmill-<job>+s<ext>`` its companion ``<stem><ext>``, ``+n<ext>`` its
companion ``<name><ext>``. So the name to put each back under follows from the image's name alone.
"""

from __future__ import annotations

import os
from typing import Final

from dropmill.files.access import look, parent_of
from dropmill.files.durable import sync
from dropmill.files.rename import rename_noreplace
from dropmill.model.names import split_extension, with_suffix

_MOST_TRIES: Final = 1000


def private_name(tag: str) -> bytes:
    """Of the image of the job that ``tag`` (digits) names."""
    if not tag.isdecimal() or not tag.isascii():
        raise ValueError(f"a private tag is a job's number, not {tag!r}")
    return b".dropmill-" + tag.encode()


def private_companion_name(tag: str, image: bytes, companion: bytes) -> bytes:
    """Of a companion (a name) of the image ``image`` (a name)."""
    stem, extension = split_extension(companion)
    return private_name(tag) + (b"+n" if stem == image else b"+s") + extension


def companion_of_private(private: bytes, image: bytes) -> bytes:
    """The name that a private companion has beside an image called ``image``, here or in the archive."""
    _, _, told = private.partition(b"+")
    owner = image if told[:1] == b"n" else split_extension(image)[0]
    return owner + told[1:]


def put_back_at(dir_fd: int, private: bytes, name: bytes, tag: str) -> bytes:
    """Give a private file its name again, overwriting nothing, and return the name it got.

    A name that is taken by other bytes gives ``{stem}~returned-<job>``. Raises ``FileNotFoundError`` if the private
    file is gone.
    """
    for turn in range(_MOST_TRIES):
        suffix = f"returned-{tag}" + (f"-{turn}" if turn > 1 else "")
        candidate = with_suffix(name, suffix) if turn else name
        try:
            rename_noreplace(dir_fd, private, dir_fd, candidate)
        except FileExistsError:
            if not _is_link(dir_fd, private, candidate):
                continue
            os.unlink(private, dir_fd=dir_fd)  # A crash between link and unlink: both names lead to one inode.
        sync(dir_fd)
        return candidate
    raise FileExistsError(f"no free name for {name!r}")


def _is_link(dir_fd: int, one: bytes, other: bytes) -> bool:
    here, there = look(dir_fd, one), look(dir_fd, other)
    return here is not None and there is not None and (here.st_dev, here.st_ino) == (there.st_dev, there.st_ino)


def put_back(root: bytes, private_rel: bytes, image_name: bytes | None = None) -> bytes:
    """At start-up: put a stray private file (a ``scan.Leftover``) back, and return the path it got below ``root``.

    ``image_name``: the last component of the job's path, where the catalog knows the job and its path is in that same
    directory; otherwise the file comes back as ``returned-<job>``, to be recognised by its content.
    Raises ``ValueError`` for a name that is not private, OSErrors, ``FileNotFoundError`` if it is gone.
    """
    directory, slash, private = private_rel.rpartition(b"/")
    tag = private.removeprefix(b".dropmill-").partition(b"+")[0].decode("ascii", "replace")
    if not private.startswith(private_name(tag)):
        raise ValueError(f"not a private name: {private!r}")
    image = image_name or f"returned-{tag}".encode()
    name = companion_of_private(private, image) if b"+" in private else image
    with parent_of(root, private_rel) as (dir_fd, _):
        return directory + slash + put_back_at(dir_fd, private, name, tag)
