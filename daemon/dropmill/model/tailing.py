"""Reading a text file that others append to, rotate, truncate and replace: what a look at it means, and where its lines
are (U15, U16). Pure.

A drop-file is known by device, inode, the offset up to which it was read, and digests of its head and of what stands
before that offset. What is at the path and has none of these is another file, a new *generation*, and read from its start.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import IntEnum, StrEnum
from typing import Final, Literal

OnRepeat = Literal["skip", "revalidate", "fetch"]

# How much of the head, and of what stands before the offset, is remembered by its digest.
FINGERPRINT_BYTES: Final = 1024
# The longest line that is looked at; of a longer one the beginning is told and the rest is skipped without being held.
LINE_BYTES: Final = 64 << 10
# Read at once; more than the longest line, so that each lot gets on.
LOT_BYTES: Final = 256 << 10
LOT_LINES: Final = 1000


@dataclass(frozen=True, slots=True)
class Dropfile:
    """A drop-file as the stages see it; paths are absolute. ``name`` is unique among drop-files and lists."""

    name: str
    path: bytes
    results: bytes
    on_repeat: OnRepeat
    quiet_seconds: float
    poll_seconds: float
    root: bytes = b""
    """The folder below which results are written, no symlink followed; empty for the one that they are in."""

    @property
    def results_place(self) -> tuple[bytes, bytes]:
        """The root of the results file, and its path below that."""
        root = self.root or self.results.rpartition(b"/")[0] or b"/"
        return root, self.results[len(root) :].lstrip(b"/")


class Midline(IntEnum):
    """Where the offset stands in a line."""

    NO = 0
    TAKEN = 1
    """The line before it was taken without its newline, for nothing was written for a while (U15)."""
    OVERLONG = 2
    """Within a line that was told of as too long."""


@dataclass(frozen=True, slots=True)
class FileId:
    dev: int
    ino: int


@dataclass(frozen=True, slots=True)
class Mark:
    """How far which file has been read. ``line`` counts the lines before the offset, blank ones and comments too."""

    file: FileId
    generation: int
    offset_bytes: int = 0
    line: int = 0
    midline: Midline = Midline.NO
    head_bytes: int = 0
    head_sha256: str = ""
    tail_sha256: str = ""
    """Of the bytes before the offset, ``FINGERPRINT_BYTES`` or as many as there are; empty at the start."""


@dataclass(frozen=True, slots=True)
class Look:
    """What a look saw. ``same``: the open file's head, and what stands before the offset, are as they were."""

    at_path: FileId | None
    open: FileId | None
    """The file that is read, which may have another name by now; None where there is none."""
    size_bytes: int
    changed: tuple[int, int]
    """Modification and change time of the open file, in nanoseconds."""
    same: bool


class Step(StrEnum):
    ABSENT = "absent"
    """There is no file to read: wait for one."""
    BEGIN = "begin"
    """Another file is to be read, from its start."""
    AGAIN = "again"
    """The file was rewritten: read it from its start."""
    READ = "read"
    LAST = "last"
    """Take the last line though it has no newline."""
    SWITCH = "switch"
    """The open file was renamed away or removed, and read to its end: let go of it."""
    WAIT = "wait"


def judge(mark: Mark | None, look: Look, tried_bytes: int, still: bool) -> Step:
    """What to do next.

    ``tried_bytes``: the size up to which the file is known to hold no further whole line. ``still``: nothing that the
    look shows has changed for as long as a last line without newline is waited for.
    """
    if look.open is None:
        return Step.ABSENT
    if mark is None or look.open != mark.file:
        return Step.BEGIN
    replaced = look.at_path is not None and look.at_path != look.open
    if look.size_bytes < mark.offset_bytes or not look.same:
        if look.at_path == look.open:
            return Step.AGAIN
        # What was renamed away is ours no more: whoever rewrites it there does not mean us.
        return Step.SWITCH if replaced else Step.WAIT
    if look.size_bytes > max(mark.offset_bytes, tried_bytes):
        return Step.READ
    if not still:
        return Step.WAIT
    if look.size_bytes > mark.offset_bytes:
        return Step.LAST
    # While nothing is at the path, the file that was there is kept open: somebody may still write to it.
    return Step.SWITCH if replaced else Step.WAIT


def at_end(mark: Mark | None, look: Look) -> bool:
    """Whether all that there is has been read, the last line included."""
    if look.open is None:
        return look.at_path is None
    read = mark is not None and look.open == mark.file and look.size_bytes == mark.offset_bytes
    return read and look.at_path in {None, look.open}


class Kind(StrEnum):
    WHOLE = "whole"
    REST = "rest"
    """What was written behind a line that had been taken without its newline; it bears that line's number."""
    OVERLONG = "overlong"


@dataclass(frozen=True, slots=True)
class Piece:
    """``text`` without its newline; of an overlong line the first ``LINE_BYTES``."""

    kind: Kind
    offset_bytes: int
    line: int
    text: bytes


def cut(data: bytes, mark: Mark, *, last: bool, most: int = LOT_LINES) -> tuple[list[Piece], Mark]:
    """The lines of ``data``, which was read at the mark's offset, and the mark behind them (fingerprints as before).

    At most ``most`` lines. ``last``: what stands at the end without a newline is taken too.
    """
    pieces: list[Piece] = []
    at, line, midline = 0, mark.line, mark.midline
    while at < len(data) and len(pieces) < most:
        end = data.find(b"\n", at)
        ends = end >= 0
        stop = end if ends else len(data)
        too_long = stop - at > LINE_BYTES
        if midline is Midline.OVERLONG:
            midline = Midline.NO if ends else Midline.OVERLONG
        elif not ends and not too_long and not last:
            break
        else:
            text = data[at : min(stop, at + LINE_BYTES)]
            if midline is Midline.TAKEN:
                if text.strip():
                    pieces.append(Piece(Kind.REST, mark.offset_bytes + at, line, text))
            else:
                line += 1
                kind = Kind.OVERLONG if too_long else Kind.WHOLE
                pieces.append(Piece(kind, mark.offset_bytes + at, line, text))
            midline = Midline.NO if ends else Midline.OVERLONG if too_long else Midline.TAKEN
        at = stop + ends
    return pieces, replace(mark, offset_bytes=mark.offset_bytes + at, line=line, midline=midline)
