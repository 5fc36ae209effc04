"""What is mounted where, as /proc/self/mountinfo tells it: it can be asked without touching a disk that may hang."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

MOUNTINFO: Final = "/proc/self/mountinfo"
_ESCAPED: Final = re.compile(r"\\([0-7]{3})")


@dataclass(frozen=True, slots=True)
class Mount:
    """``kind`` as in mount(8): ``ext4``, ``nfs4``, ``fuse.sshfs``. ``options`` of the mount and of its file system."""

    point: str
    kind: str
    source: str
    options: frozenset[str]

    @property
    def read_only(self) -> bool:
        return "ro" in self.options


def mounts(file: str = MOUNTINFO) -> list[Mount]:
    """Later ones cover earlier ones at the same place. Empty where it is not told."""
    found = []
    try:
        with open(file, encoding="utf-8", errors="surrogateescape") as lines:
            for line in lines:
                left, _, right = line.partition(" - ")
                fields, rest = left.split(), right.split()
                if len(fields) < 6 or len(rest) < 2:
                    continue
                options = frozenset(fields[5].split(",")) | frozenset(rest[2].split(",") if len(rest) > 2 else ())
                found.append(Mount(_plain(fields[4]), rest[0], _plain(rest[1]), options))
    except OSError:
        return []
    return found


def mount_of(path: str, among: Sequence[Mount]) -> Mount | None:
    """The mount that a path without links on its way lies on."""
    best = None
    for one in among:
        inside = path == one.point or path.startswith(one.point.rstrip("/") + "/")
        if inside and (best is None or len(one.point) >= len(best.point)):
            best = one
    return best


def standing(folder: str) -> str:
    """The folder, or the nearest above it that is there. Blocking."""
    while not os.path.isdir(folder) and folder not in {"", "/"}:
        folder = os.path.dirname(folder)
    return folder or "/"


def _plain(field: str) -> str:
    return _ESCAPED.sub(lambda found: chr(int(found[1], 8)), field)
