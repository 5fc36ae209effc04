"""What other paths hold that once held the same bytes: the evidence for "moved" (PROTOCOL 2)."""

from __future__ import annotations

from collections.abc import Sequence

from dropmill.files.access import NotRegularFile, closing, open_beneath, signature
from dropmill.files.durable import sha256_of
from dropmill.model.file import Signature
from dropmill.model.verdict import Presence

Home = tuple[bytes, int, int, int]
"""(path, inode, size in bytes, mtime in ns) as the ledger remembers it."""


class HomeOutOfReach(OSError):
    """Nobody can tell what ``filename``, one of the homes, holds now."""


def presences(root: bytes, ino: int, homes: Sequence[Home], sha256: str) -> dict[bytes, Presence]:
    """For each home, whether it still holds the bytes of ``sha256``; ``ino`` is the inode of the file that asks.

    The caller's file holds these bytes. A home whose times changed is hashed, because a restore or a touch is no
    farewell. Raises ``HomeOutOfReach``.
    """
    found = {}
    for rel, known, size, mtime in homes:
        try:
            found[rel] = _presence(root, rel, ino, known, size, mtime, sha256)
        except OSError as error:
            raise HomeOutOfReach(error.errno or 0, error.strerror or str(error), rel) from error
    return found


def _presence(root: bytes, rel: bytes, ino: int, known_ino: int, size: int, mtime_ns: int, sha256: str) -> Presence:
    # Freed inode numbers are given out again, but this one comes with the very bytes that have left the home.
    left = Presence.RENAMED if known_ino == ino else Presence.GONE
    seen = signature(root, rel)
    if not isinstance(seen, Signature) or seen.size_bytes != size:
        return left
    if seen.ino == ino:
        return Presence.SAME_FILE
    if (seen.ino, seen.mtime_ns) == (known_ino, mtime_ns):
        return Presence.HOLDS
    try:
        with closing(open_beneath(root, rel)) as fd:
            return Presence.HOLDS if sha256_of(fd) == sha256 else left
    except (FileNotFoundError, NotRegularFile):
        return left
