"""The private folder of an inbox's downloads: what lies in it after a run that died."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass

_PRIVATE = re.compile(rb"\.dropmill-(\d+)")
_OWN = re.compile(rb"(\d+)(\.part(\.json)?)?$")


@dataclass(frozen=True, slots=True)
class Stored:
    """A file in the folder. ``job_id``: whose it is, 0 for nobody's; ``leaving``: a disposal had it in hand."""

    name: bytes
    job_id: int
    leaving: bool


def stored(root: bytes) -> list[Stored]:
    """Blocking. Every file in the folder. Raises OSError."""
    found = []
    for name in os.listdir(root):
        private, own = _PRIVATE.match(name), _OWN.match(name)
        match = private or own
        found.append(Stored(name, int(match[1]) if match else 0, private is not None))
    return found


def remove(root: bytes, names: Iterable[bytes]) -> int:
    """Blocking. Remove files that nobody needs; returns how many there were. Raises OSError."""
    removed = 0
    for name in names:
        try:
            os.unlink(os.path.join(root, name))
            removed += 1
        except FileNotFoundError:
            continue
    return removed
