"""What crosses the pipe between the daemon and a worker, and its spelling as JSON.

A worker that decodes hostile files may itself be hostile, so nothing here is unpickled: ``result_from_wire`` takes
plain JSON apart field by field and refuses what does not fit.
"""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Final, cast

from dropmill.model.bearing import Changed, Looked, changed_from_wire
from dropmill.model.file import Signature
from dropmill.model.fingerprint import FINGERPRINT_VERSION, MOST_WINDOWS, STREAMED_VERSION, Content, Looks, Window
from dropmill.model.image import Limits, Picture, Recipe, RenditionSpec
from dropmill.model.outcome import Reason
from dropmill.model.wire import Wire, count, finite, hex256, text, uint64

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Place = tuple[bytes, bytes]
"""The two folders that a worker deals with: the source's root, and staging."""


@dataclass(frozen=True, slots=True)
class WorkRequest:
    """One attempt. The source is ``rel`` (bytes, relative) under ``root``; renditions go to ``staging``, never elsewhere."""

    job_id: int
    epoch: int
    root: bytes
    rel: bytes
    signature: Signature
    staging: bytes
    recipe: Recipe
    limits: Limits
    mode: int = 0o644
    """Permission bits of each rendition, whatever the umask."""
    gid: int = -1
    """Group of each rendition; -1 leaves it to the system."""
    asks_looks: bool = False
    """Whether the daemon wants to know how a picture looks before it is rendered (``model/bearing.py``)."""
    budget_bytes: int = 0
    """What a picture may take of memory before it is streamed, where that is possible; 0 for never. Set by the pool."""
    windows: bool = False
    """Whether the hashes of its parts are wanted too."""

    @property
    def place(self) -> Place:
        return self.root, self.staging


@dataclass(frozen=True, slots=True)
class Preview:
    """Sent once the bytes are hashed and the header is read; the daemon answers whether renditions are wanted.

    ``pixels`` counts all frames and pages that will be decoded, ``pages`` those that are rendered each by itself.
    ``needs_bytes`` is an estimate of the memory that rendering takes at its peak.
    """

    content: Content
    pixels: int
    pages: int
    needs_bytes: int = 0
    streams: bool = False
    """libvips reduces the picture while it reads it, so what goes wrong proves nothing about the file."""


@dataclass(frozen=True, slots=True)
class Rendered:
    """A rendition staged and fsynced as ``<staging>/<staged_name>``. ``page`` is 1 for the first."""

    name: str
    page: int
    staged_name: str
    ino: int
    sha256: str
    size_bytes: int
    width: int
    height: int
    format: str


@dataclass(frozen=True, slots=True)
class Linked:
    """What was staged as links to renditions of an image; empty where that could not be done."""

    image_id: int
    renditions: tuple[Rendered, ...]


@dataclass(frozen=True, slots=True)
class Processed:
    content: Content
    looks: Looks
    picture: Picture
    renditions: tuple[Rendered, ...]
    changed: Changed | None = None
    """Of a copy that was to look otherwise."""


@dataclass(frozen=True, slots=True)
class Recognised:
    """The daemon already knew these bytes, this coded image or one that looks alike, so nothing was rendered.

    ``looks``: of a picture that was decoded before that was known.
    """

    content: Content
    picture: Picture | None = None
    looks: Looks | None = None


@dataclass(frozen=True, slots=True)
class Superseded:
    """The version that settled is gone, or changed while it was read (PROTOCOL 3)."""


@dataclass(frozen=True, slots=True)
class NotOurs:
    """A recognised kind outside the allow-list, or a link, pipe or device: ignored, not broken."""

    reason: Reason
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Rejected:
    """An image by name or content that cannot become renditions; trying again would not help."""

    reason: Reason
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Troubled:
    """The machine, not the file, stood in the way (EIO, ENOSPC, EACCES, memory): try again later."""

    reason: Reason
    detail: str = ""


@dataclass(frozen=True, slots=True)
class WorkerLost:
    """Said by the pool, never by a worker: it died, ran past the deadline or over its memory during this attempt."""

    reason: Reason
    detail: str = ""


WorkResult = Processed | Recognised | Superseded | NotOurs | Rejected | Troubled
Question = Preview | Looked
"""What a worker asks, and the daemon answers with bool or ``Bearing``."""

_SIMPLE: Final[dict[str, type[Superseded | NotOurs | Rejected | Troubled]]] = {
    "Superseded": Superseded,
    "NotOurs": NotOurs,
    "Rejected": Rejected,
    "Troubled": Troubled,
}
_STAGED = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,199}")
_MAX_DETAIL: Final = 2_000
_MAX_TEXT: Final = 500


def request_to_wire(request: WorkRequest) -> Wire:
    """Only to be read: parts of it are shared between calls."""
    return {
        "job_id": request.job_id,
        "epoch": request.epoch,
        # Latin-1 carries any byte string through JSON unchanged.
        "root": request.root.decode("latin-1"),
        "rel": request.rel.decode("latin-1"),
        "signature": _flat(request.signature),
        "staging": request.staging.decode("latin-1"),
        "recipe": _recipe_to_wire(request.recipe),
        "limits": _flat(request.limits),
        "mode": request.mode,
        "gid": request.gid,
        "asks_looks": request.asks_looks,
        "budget_bytes": request.budget_bytes,
        "windows": request.windows,
    }


@lru_cache(maxsize=256)  # One for each profile, and asdict would take longer than the whole round trip to a worker.
def _recipe_to_wire(recipe: Recipe) -> Wire:
    return asdict(recipe)


def _flat(part: Signature | Limits) -> Wire:
    return {name: getattr(part, name) for name in part.__slots__}


def request_from_wire(wire: Wire) -> WorkRequest:
    recipe = dict(wire["recipe"])
    recipe["renditions"] = tuple(RenditionSpec(**spec) for spec in recipe["renditions"])
    return WorkRequest(
        job_id=wire["job_id"],
        epoch=wire["epoch"],
        root=wire["root"].encode("latin-1"),
        rel=wire["rel"].encode("latin-1"),
        signature=Signature(**wire["signature"]),
        staging=wire["staging"].encode("latin-1"),
        recipe=Recipe(**recipe),
        limits=Limits(**wire["limits"]),
        mode=wire["mode"],
        gid=wire["gid"],
        asks_looks=wire["asks_looks"],
        budget_bytes=wire["budget_bytes"],
        windows=wire["windows"],
    )


def result_to_wire(result: DataclassInstance) -> Wire:
    """Of a ``WorkResult`` or ``Preview``, or what answers an errand: the name of the class, and its fields."""
    return {"is": type(result).__name__, **asdict(result)}


def result_from_wire(wire: Wire) -> WorkResult | Question:
    """Raises ``ValueError`` for anything that a sound worker would not send."""
    try:
        return _result(wire)
    except (KeyError, TypeError, AttributeError, OverflowError) as error:
        raise ValueError(f"not a worker's message: {error}") from error


def check_answer(request: WorkRequest, answer: WorkResult | Question) -> None:
    """Raises ``ValueError`` where an answer names what the request did not ask for.

    A worker that a picture has taken over could else have the files of other jobs published as its own: every staged
    name must be one of this job and epoch (PROTOCOL 4), each once, for a rendition of the recipe. And it could give itself
    all the time in the world: the deadline grows with what a preview says, which the limits bound.
    """
    if isinstance(answer, Preview):
        if answer.pixels > request.limits.max_pixels or answer.pages > request.limits.max_frames:
            raise ValueError("a preview of more than the limits allow")
        return
    if isinstance(answer, Looked) and not request.asks_looks:
        raise ValueError("a question that was not asked for")
    looks = answer.looks if isinstance(answer, Processed | Recognised | Looked) else None
    if looks is not None and looks.windows is not None and not request.windows:
        raise ValueError("hashes that were not asked for")
    if not isinstance(answer, Processed):
        return
    asked = {spec.name for spec in request.recipe.renditions}
    own = f"{request.job_id}-{request.epoch}-"
    seen: set[str] = set()
    for rendered in answer.renditions:
        if rendered.name not in asked or rendered.page < 1:
            raise ValueError("a rendition that was not asked for")
        if not rendered.staged_name.startswith(own) or rendered.staged_name in seen:
            raise ValueError("a staged name that is not this job's own")
        seen.add(rendered.staged_name)


def _result(wire: Wire) -> WorkResult | Question:
    kind = wire.get("is")
    if kind in _SIMPLE:
        if kind == "Superseded":
            return Superseded()
        made = _SIMPLE[cast(str, kind)]
        return made(Reason(wire["reason"]), text(wire["detail"], _MAX_DETAIL))  # type: ignore[call-arg]  # not Superseded
    if kind == "Looked":
        return Looked(_looks(wire["looks"]))
    content = Content(hex256(wire["content"]["sha256"]), hex256(wire["content"]["coded_sha256"]))
    if kind == "Recognised":
        picture, looks = wire["picture"], wire["looks"]
        return Recognised(
            content, None if picture is None else _picture(picture), None if looks is None else _looks(looks)
        )
    if kind == "Preview":
        pixels, pages, needs_bytes = (count(wire[name]) for name in ("pixels", "pages", "needs_bytes"))
        return Preview(content, pixels, pages, needs_bytes, wire["streams"] is True)
    if kind == "Processed":
        changed = wire["changed"]
        return Processed(
            content,
            _looks(wire["looks"]),
            _picture(wire["picture"]),
            tuple(map(_rendered, wire["renditions"])),
            None if changed is None else changed_from_wire(changed),
        )
    raise ValueError(f"not a worker's message: {kind!r}")


def _looks(wire: Wire) -> Looks:
    return Looks(
        phash=uint64(wire["phash"]),
        dhash=uint64(wire["dhash"]),
        ahash=uint64(wire["ahash"]),
        phash256=hex256(wire["phash256"]),
        texture=finite(wire["texture"]),
        version=_version(wire["version"]),
        windows=None if wire["windows"] is None else _windows(wire["windows"]),
    )


def _windows(wire: list[list[object]]) -> tuple[Window, ...]:
    if type(wire) is not list or len(wire) > MOST_WINDOWS:
        raise ValueError("windows")
    return tuple(Window(uint64(phash), uint64(dhash), hex256(phash256)) for phash, dhash, phash256 in wire)


def _version(value: object) -> int:
    if type(value) is int and value in {FINGERPRINT_VERSION, STREAMED_VERSION}:
        return value
    raise ValueError("not a version of fingerprints")


def _picture(wire: Wire) -> Picture:
    texts = {name: text(wire[name], _MAX_TEXT) for name in ("format", "mode", "captured_at", "copyright", "camera")}
    numbers = {name: count(wire[name]) for name in ("width", "height", "frames", "pages_dropped", "orientation")}
    if wire["icc"] not in {"none", "srgb", "converted", "broken"}:
        raise ValueError("icc")
    return Picture(**texts, **numbers, icc=wire["icc"])  # type: ignore[arg-type]  # str and int by construction


def _rendered(wire: Wire) -> Rendered:
    if not _STAGED.fullmatch(wire["staged_name"]) or wire["format"] not in {"jpeg", "png", "webp", "avif"}:
        raise ValueError("staged_name or format")
    numbers = {name: count(wire[name]) for name in ("page", "size_bytes", "width", "height")}
    return Rendered(
        name=text(wire["name"], _MAX_TEXT),
        ino=uint64(wire["ino"]),
        staged_name=wire["staged_name"],
        sha256=hex256(wire["sha256"]),
        format=wire["format"],
        **numbers,
    )
