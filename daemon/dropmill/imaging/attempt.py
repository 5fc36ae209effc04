"""What the steps of the recipe share: one attempt at one file, and the way to end it early."""

from __future__ import annotations

import mmap
import re
import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal

from PIL import Image, ImageFile

from dropmill.files.sniff import Kind
from dropmill.imaging.anatomy import Anatomy
from dropmill.model.bearing import Bearing, Changed
from dropmill.model.fingerprint import Content, Looks
from dropmill.model.image import Picture, RenditionSpec
from dropmill.model.outcome import Reason
from dropmill.model.work import Question, Rejected, Rendered, Troubled, WorkRequest, WorkResult

IccVerdict = Literal["none", "srgb", "converted", "broken"]
_LEFT_OVER: Final = re.compile(r" \(\d+ bytes not processed\)$")
# Decoders hold about this many bytes per pixel at their worst: the picture, a converted copy and their own buffers.
_DECODER_BYTES_PER_PIXEL = 12


class Stop(Exception):
    """Ends the attempt with a result; raised by steps, caught by ``process`` alone."""

    def __init__(self, result: WorkResult) -> None:
        super().__init__(result)
        self.result = result


def reject(reason: Reason, detail: str = "") -> Stop:
    return Stop(Rejected(reason, detail))


@dataclass(frozen=True, slots=True)
class Frame:
    """A decoded picture of the source and how long an animation shows it (milliseconds)."""

    image: Image.Image
    duration_ms: int = 0
    icc: bytes | None = None


@dataclass(frozen=True, slots=True)
class Canvas:
    """A rendition as pixels, sRGB and upright: one frame, or all of an animation, all of the same size."""

    spec: RenditionSpec
    frames: tuple[Frame, ...]


@dataclass(frozen=True, slots=True)
class Encoded:
    """A rendition as the bytes of a file."""

    spec: RenditionSpec
    data: bytes
    format: str
    width: int
    height: int


@dataclass(slots=True)
class Attempt:
    """Filled in from top to bottom, one step after another."""

    request: WorkRequest
    wanted: Callable[[Question], bool | Bearing]
    # source, anatomy
    data: bytes = b""
    kind: Kind = Kind.UNKNOWN
    sha256: str = ""
    anatomy: Anatomy = field(default_factory=Anatomy)
    # header
    decoder: ImageFile.ImageFile | None = None
    icc: bytes | None = None
    orientation: int = 1
    turned_by_decoder: bool = False
    picture: Picture | None = None
    rights: tuple[str, str] = ("", "")
    """Copyright and artist, to be kept in renditions."""
    content: Content | None = None
    stream_scale: float = 0.0
    """At which scale libvips is to hand the picture over; 0 where it is decoded in the ordinary way."""
    # pages
    animated: bool = False
    pages: tuple[int, ...] = (0,)
    page: int = 1
    """Of the source, counted from 1."""
    # decode, upright, colour: each wraps the one before, so that only one frame of an animation is in memory at full size.
    frames: Iterator[Frame] = field(default_factory=lambda: iter(()))
    screenshot: bool = False
    """Few colours in flat areas, which PNG keeps sharper and smaller than JPEG."""
    looks: Looks | None = None
    changed: Changed | None = None
    """Of the copy that is rendered, where it is to look otherwise."""
    canvases: tuple[Canvas, ...] = ()
    encoded: tuple[Encoded, ...] = ()
    rendered: list[Rendered] = field(default_factory=list)
    staged: list[str] = field(default_factory=list)
    """Names of what this attempt wrote, for taking it back."""

    def opened(self) -> ImageFile.ImageFile:
        if self.decoder is None:
            raise AssertionError("the header step comes first")
        return self.decoder

    def described(self) -> Picture:
        if self.picture is None:
            raise AssertionError("the header step comes first")
        return self.picture

    def note(self, **fields: Any) -> None:
        """Add what a later step learned about the picture."""
        self.picture = replace(self.described(), **fields)


@contextmanager
def decoding(attempt: Attempt) -> Iterator[None]:
    """Turns whatever a decoder raises into a verdict on the file; our own code stays outside this block.

    Raises:
        Stop: with ``Rejected`` (truncated, corrupt), or ``Troubled(memory-limit)`` when memory was the likelier cause.
    """
    try:
        yield
    except Stop:
        raise
    except MemoryError as error:
        raise Stop(Troubled(Reason.MEMORY_LIMIT, "out of memory while decoding")) from error
    except Exception as error:  # Decoders raise nearly every type on damaged input.
        raise Stop(_verdict(attempt, error)) from error


def _verdict(attempt: Attempt, error: Exception) -> WorkResult:
    if _memory_is_short(attempt):
        return Troubled(Reason.MEMORY_LIMIT, "decoding failed near the worker's memory limit")
    # How many bytes a decoder had left over in its own buffer tells nobody anything.
    text = _LEFT_OVER.sub("", " ".join(str(error).split()))[:200] or type(error).__name__
    if attempt.anatomy.truncated or "truncated" in text.lower() or isinstance(error, EOFError):
        return Rejected(Reason.TRUNCATED, text)
    return Rejected(Reason.CORRUPT, text)


def _memory_is_short(attempt: Attempt) -> bool:
    """Whether decoding this picture could not have fitted below RLIMIT_AS, so that its error proves nothing."""
    limit_bytes = resource.getrlimit(resource.RLIMIT_AS)[0]
    if limit_bytes == resource.RLIM_INFINITY:
        return False
    width, height = attempt.decoder.size if attempt.decoder else attempt.anatomy.size or (0, 0)
    try:  # Whether so much could be mapped; a confined worker cannot look into /proc.
        mmap.mmap(-1, max(width * height * _DECODER_BYTES_PER_PIXEL, 1), flags=mmap.MAP_PRIVATE).close()
    except OSError:
        return True
    return False
