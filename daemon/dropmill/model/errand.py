"""What a worker is asked besides jobs: to measure a picture, to compare two, to make a preview; and its spelling as JSON.

An errand belongs to no job and changes nothing that anybody would miss: what it makes is a preview, which can be made
again. As with jobs, ``errand_result_from_wire`` takes plain JSON apart field by field and refuses what does not fit.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Final, cast

from dropmill.model.image import Limits
from dropmill.model.resemblance import EVIDENCE_VERSION, Evidence, Relation
from dropmill.model.wire import Wire, count, finite, hex256, text
from dropmill.model.work import NotOurs, Place, Preview, Rejected, Superseded, Troubled, result_from_wire

EXAMINED_SIDE: Final = 512
"""The longer side in pixels of the previews that are compared; smaller pictures are not enlarged."""
LARGEST_SIDE: Final = 4096
_NEW: Final = b"/new"


@dataclass(frozen=True, slots=True)
class Inspect:
    """Measure the picture ``rel`` under ``root``, and make its preview ``<sha256>.jpg`` of ``EXAMINED_SIDE`` in ``previews``.

    ``sha256`` is what its bytes must have; others answer ``Superseded``.
    """

    root: bytes
    rel: bytes
    sha256: str
    previews: bytes
    limits: Limits = field(default_factory=Limits)


@dataclass(frozen=True, slots=True)
class MakePreview:
    """Make the preview ``<sha256>-<side>.jpg`` in ``previews``, from the picture ``rel`` under ``root``."""

    root: bytes
    rel: bytes
    sha256: str
    previews: bytes
    side: int
    limits: Limits = field(default_factory=Limits)


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of one of two pictures to compare, beside its preview."""

    sha256: str
    coded_sha256: str
    pixels_sha256: str
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Compare:
    """Tell how ``other`` came from ``one``, or the other way round, from their previews in ``previews``."""

    previews: bytes
    one: Known
    other: Known


Errand = Inspect | MakePreview | Compare


@dataclass(frozen=True, slots=True)
class Inspected:
    evidence: Evidence


@dataclass(frozen=True, slots=True)
class Previewed:
    """The preview is there; sizes in pixels."""

    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Compared:
    """``detail``: what was seen, as a clause of English ("shows 84 % of the other").

    ``box`` (left, top, right, bottom) is where ``other`` lies in ``one`` after ``turn`` of it, as fractions of the
    width and height of ``one``; beyond 0 to 1 where it shows more. ``turn`` is the EXIF orientation (1 to 8) that would
    show ``other`` as ``one`` is. ``likeness``: how well both fit where one is cut or has a border, as ``imaging.register.Fit``.
    """

    relation: Relation
    detail: str = ""
    box: tuple[float, float, float, float] = (0.0, 0.0, 1.0, 1.0)
    turn: int = 1
    likeness: float = 0.0


@dataclass(frozen=True, slots=True)
class NoPreview:
    """The preview of this picture is not there, or broken: inspect it again."""

    sha256: str


Failure = Superseded | NotOurs | Rejected | Troubled
ErrandResult = Inspected | Previewed | Compared | NoPreview | Failure


@dataclass(frozen=True, slots=True)
class ErrandRequest:
    """An errand on its way to a worker. ``serial`` names what it stages, and is echoed like the epoch of a job."""

    errand: Errand
    serial: int

    @property
    def job_id(self) -> int:
        """None of the jobs, whose numbers begin at 1."""
        return 0

    @property
    def epoch(self) -> int:
        return self.serial

    @property
    def place(self) -> Place:
        root = self.errand.previews if isinstance(self.errand, Compare) else self.errand.root
        return root, staging_of(self.errand)


def staging_of(errand: Errand) -> bytes:
    """The folder that the worker may write to. Previews that are done are out of its reach."""
    return errand.previews + _NEW


def preview_name(sha256: str, side: int = EXAMINED_SIDE) -> bytes:
    """The file's name in the folder of previews."""
    return f"{sha256}.jpg".encode() if side == EXAMINED_SIDE else f"{sha256}-{side}.jpg".encode()


def preview_of(errand: Inspect | MakePreview) -> bytes:
    return preview_name(errand.sha256, errand.side if isinstance(errand, MakePreview) else EXAMINED_SIDE)


def errand_to_wire(request: ErrandRequest) -> Wire:
    errand = request.errand
    fields = asdict(errand)
    for name in ("root", "rel", "previews"):
        if name in fields:
            fields[name] = fields[name].decode("latin-1")  # Carries any byte string through JSON unchanged.
    return {"is": type(errand).__name__, "serial": request.serial, **fields}


def errand_from_wire(wire: Wire) -> ErrandRequest:
    """Of what ``errand_to_wire`` wrote."""
    fields: dict[str, Any] = dict(wire)
    kind, serial = fields.pop("is"), fields.pop("serial")
    for name in ("root", "rel", "previews"):
        if name in fields:
            fields[name] = fields[name].encode("latin-1")
    if "limits" in fields:
        fields["limits"] = Limits(**fields["limits"])
    if kind == "Compare":
        return ErrandRequest(Compare(fields["previews"], Known(**fields["one"]), Known(**fields["other"])), serial)
    return ErrandRequest({"Inspect": Inspect, "MakePreview": MakePreview}[kind](**fields), serial)


def errand_result_from_wire(wire: Wire) -> ErrandResult | Preview:
    """Raises ``ValueError`` for anything that a sound worker would not send."""
    try:
        return _result(wire)
    except (KeyError, TypeError, AttributeError, OverflowError) as error:
        raise ValueError(f"not a worker's message: {error}") from error


def check_errand_answer(errand: Errand, answer: ErrandResult | Preview) -> None:
    """Raises ``ValueError`` where an answer is not one to what was asked."""
    if isinstance(answer, Failure) or _fits(errand, answer):
        return
    raise ValueError("an answer to something else")


def _fits(errand: Errand, answer: Inspected | Previewed | Compared | NoPreview | Preview) -> bool:
    if isinstance(errand, Compare):
        asked = {errand.one.sha256, errand.other.sha256}
        return isinstance(answer, Compared) or (isinstance(answer, NoPreview) and answer.sha256 in asked)
    if isinstance(answer, Preview):
        return answer.pixels <= errand.limits.max_pixels and answer.pages <= errand.limits.max_frames
    if isinstance(errand, MakePreview):
        return isinstance(answer, Previewed) and max(answer.width, answer.height) <= errand.side
    return isinstance(answer, Inspected)


def _result(wire: Wire) -> ErrandResult | Preview:
    kind = wire.get("is")
    if kind == "Inspected":
        return Inspected(_evidence(wire["evidence"]))
    if kind == "Previewed":
        return Previewed(_side(wire["width"]), _side(wire["height"]))
    if kind == "NoPreview":
        return NoPreview(hex256(wire["sha256"]))
    if kind == "Compared":
        box = tuple(map(finite, wire["box"]))
        turn = count(wire["turn"])
        if len(box) != 4 or not 1 <= turn <= 8:
            raise ValueError("box or turn")
        likeness = finite(wire["likeness"])
        return Compared(Relation(wire["relation"]), text(wire["detail"], 200), cast(Any, box), turn, likeness)
    answer = result_from_wire(wire)
    if isinstance(answer, Preview | Failure):
        return answer
    raise ValueError(f"not an answer to an errand: {kind!r}")


def _evidence(wire: Wire) -> Evidence:
    names = ("width", "height", "effective_width", "effective_height", "jpeg_quality", "earlier_quality", "exif_fields")
    numbers = {name: count(wire[name]) for name in names}
    if wire["version"] != EVIDENCE_VERSION:
        raise ValueError("another version of evidence")
    return Evidence(
        pixels_sha256=hex256(wire["pixels_sha256"]),
        sharpness=finite(wire["sharpness"]),
        captured_at=text(wire["captured_at"], 40),
        **numbers,
    )


def _side(value: object) -> int:
    if 1 <= (side := count(value)) <= LARGEST_SIDE:
        return side
    raise ValueError("not a side of a preview")
