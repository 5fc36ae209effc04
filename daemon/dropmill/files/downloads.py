"""The private folder of an inbox's downloads: what lies in it after a run that died."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass

from dropmill.model.download import stored_name

_PRIVATE = re.compile(rb"\.dropmill-(\d+)")
_OWN = re.compile(rb"(\d+)(\.part(\.json)?)?$")


@dataclass(frozen=True, slots=True)
class Stored:
    """A file in the folder. ``job_id``: whose it is, 0 for nobody's; ``leaving``: a disposal had it in hand;
    ``partial``: what a download needs to go on, and nothing else does."""

    name: bytes
    job_id: int
    leaving: bool
    partial: bool


def stored(root: bytes) -> list[Stored]:
    """Blocking. Every file in the folder. Raises OSError."""
    found = []
    for name in os.listdir(root):
        private, own = _PRIVATE.match(name), _OWN.match(name)
        match = private or own
        partial = own is not None and own[2] is not None
        found.append(Stored(name, int(match[1]) if match else 0, private is not None, partial))
    return found


def names_of(job_id: int) -> list[bytes]:
    """What may lie there for a job: its download, or a part of it and what that is of."""
    return [stored_name(job_id) + suffix for suffix in (b".part.json", b".part", b"")]


def remove(root: bytes, names: Iterable[bytes]) -> int:
    """Blocking. Remove files that nobody needs; returns how many there were. Raises OSError.

    What a power cut brings back is found by ``stored`` at the next start, as nobody's.
    """
    removed = 0
    for name in names:
        try:
            os.unlink(os.path.join(root, name))
            removed += 1
        except FileNotFoundError:
            continue
    return removed
