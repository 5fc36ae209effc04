"""Which of several pictures that resemble each other is the one to keep, and why. Pure.

One criterion after another sorts out those that are clearly worse than the best: what is measured has a tolerance, so that
chance decides nothing, and what is not known of a picture is never held against it. What is left at the end differs in
nothing but its name.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from dropmill.model.keeping import Criterion, KeeperRules
from dropmill.model.resemblance import Evidence

LOSSLESS: Final = frozenset({"png", "tiff", "bmp", "gif"})
_PLACES: Final = ("library", "archive", "inbox", "move", "duplicates")
_MOST_SENTENCES: Final = 4


@dataclass(frozen=True, slots=True)
class Candidate:
    """A file. ``evidence`` is None as long as its pixels were not measured. ``kind`` is that of its root. ``within``: which
    share of its pixels another picture shows that it is a bordered copy of; 1 for all."""

    id: int
    path: bytes
    kind: str
    format: str
    width: int
    height: int
    size_bytes: int
    mtime_ns: int
    evidence: Evidence | None = None
    within: float = 1.0


@dataclass(frozen=True, slots=True)
class _Measure:
    """``of``: larger is better; None where it is not known. ``tolerance``: as much less is as good."""

    of: Callable[[Candidate, KeeperRules], float | None]
    tolerance: float
    tell: Callable[[Candidate, Sequence[Candidate]], str]


def rank(candidates: Iterable[Candidate], rules: KeeperRules) -> list[Candidate]:
    """Best first, the same in whatever order they come."""
    by_name = sorted(candidates, key=lambda candidate: (len(candidate.path), candidate.path, candidate.id))
    whole = {candidate.id: candidate for candidate in by_name}
    return [whole[one.id] for one in _ranked(_seen_through(by_name), rules, 0)]


def reasons(keeper: Candidate, candidates: Iterable[Candidate], rules: KeeperRules) -> list[str]:
    """Why ``keeper`` rather than each of the others, as sentences: what told them apart first, the most telling first."""
    told: dict[Criterion, list[Candidate]] = {}
    alike = False
    keeper, *others = _seen_through([keeper, *(other for other in candidates if other.id != keeper.id)])
    for other in others:
        criterion = next((one for one in rules.order if _apart(keeper, other, one, rules)), None)
        if criterion is None:
            alike = True
        elif _worse(other, keeper, criterion, rules):
            told.setdefault(criterion, []).append(other)
    sentences = [_MEASURES[one].tell(keeper, told[one]) for one in rules.order if one in told]
    if alike:
        sentences.append("Others differ from it in nothing but their place.")
    return sentences[:_MOST_SENTENCES]


def _seen_through(candidates: Sequence[Candidate]) -> list[Candidate]:
    """What shows a JPEG pixel for pixel and is none was made from it, however little that was compressed."""
    measured = [one.evidence for one in candidates if one.evidence is not None]
    qualities = {one.pixels_sha256: one.jpeg_quality for one in measured if one.jpeg_quality}
    seen = []
    for one in candidates:
        evidence = one.evidence
        if evidence is not None and not evidence.jpeg_quality and evidence.pixels_sha256 in qualities:
            one = replace(one, evidence=replace(evidence, earlier_quality=qualities[evidence.pixels_sha256]))
        seen.append(one)
    return seen


def _ranked(candidates: list[Candidate], rules: KeeperRules, turn: int) -> list[Candidate]:
    if turn == len(rules.order) or len(candidates) < 2:
        return candidates
    measure = _MEASURES[rules.order[turn]]
    values = {candidate.id: measure.of(candidate, rules) for candidate in candidates}
    left, ranked = candidates, []
    while left:
        known = [value for candidate in left if (value := values[candidate.id]) is not None]
        least = max(known, default=0.0) - measure.tolerance
        best = [one for one in left if (value := values[one.id]) is None or value >= least]
        ranked += _ranked(best, rules, turn + 1)
        chosen = {candidate.id for candidate in best}
        left = [candidate for candidate in left if candidate.id not in chosen]
    return ranked


def _apart(one: Candidate, other: Candidate, criterion: Criterion, rules: KeeperRules) -> bool:
    return _worse(one, other, criterion, rules) or _worse(other, one, criterion, rules)


def _worse(one: Candidate, other: Candidate, criterion: Criterion, rules: KeeperRules) -> bool:
    measure = _MEASURES[criterion]
    mine, its = measure.of(one, rules), measure.of(other, rules)
    return mine is not None and its is not None and mine < its - measure.tolerance


# What is measured.


def _folder(candidate: Candidate, rules: KeeperRules) -> float:
    for place, folder in enumerate(rules.prefer_folders):
        if candidate.path.startswith(folder.rstrip(b"/") + b"/"):
            return -float(place)
    return -float(len(rules.prefer_folders))


def _detail(candidate: Candidate, _rules: KeeperRules) -> float:
    """Doublings of both sides."""
    evidence = candidate.evidence
    width, height = (
        (evidence.effective_width, evidence.effective_height) if evidence else (candidate.width, candidate.height)
    )
    return math.log2(max(width * height, 1)) / 2 - _border(candidate)


def _pixels(candidate: Candidate, _rules: KeeperRules) -> float:
    return math.log2(max(candidate.width * candidate.height, 1)) / 2 - _border(candidate)


def _border(candidate: Candidate) -> float:
    """What a border takes of both sides, in doublings; with what it may be mismeasured by, so that of two that show the same
    the one without is kept."""
    return _BORDER_TOLERANCE - math.log2(candidate.within) / 2 if 0 < candidate.within < 1 else 0.0


def _genuine(candidate: Candidate, rules: KeeperRules) -> float:
    return _detail(candidate, rules) - _pixels(candidate, rules)


def _compression(candidate: Candidate, _rules: KeeperRules) -> float | None:
    """None for formats that do not tell."""
    evidence = candidate.evidence
    if evidence is None or not (evidence.jpeg_quality or evidence.earlier_quality or candidate.format in LOSSLESS):
        return None
    return float(min(quality for quality in (evidence.jpeg_quality, evidence.earlier_quality, 100) if quality))


def _generation(candidate: Candidate, _rules: KeeperRules) -> float | None:
    return None if candidate.evidence is None else -float(candidate.evidence.earlier_quality > 0)


def _exif(candidate: Candidate, _rules: KeeperRules) -> float | None:
    return None if candidate.evidence is None else float(candidate.evidence.exif_fields)


def _sharpness(candidate: Candidate, _rules: KeeperRules) -> float | None:
    return candidate.evidence.sharpness if candidate.evidence is not None and candidate.evidence.sharpness else None


def _format(candidate: Candidate, rules: KeeperRules) -> float:
    formats = rules.prefer_formats
    return -float(formats.index(candidate.format) if candidate.format in formats else len(formats))


def _size(candidate: Candidate, _rules: KeeperRules) -> float:
    return math.log2(max(candidate.size_bytes, 1))


def _place(candidate: Candidate, _rules: KeeperRules) -> float:
    return -float(_PLACES.index(candidate.kind) if candidate.kind in _PLACES else len(_PLACES))


def _age(candidate: Candidate, _rules: KeeperRules) -> float:
    return -candidate.mtime_ns / 1e9


# How it is told.


def _effective(candidate: Candidate) -> str:
    evidence = candidate.evidence
    if evidence is None:
        return _dimensions(candidate)
    return _inside(candidate, evidence.effective_width, evidence.effective_height)


def _inside(candidate: Candidate, width: int, height: int) -> str:
    side = math.sqrt(candidate.within)
    return f"{round(width * side)}x{round(height * side)}"


def _dimensions(candidate: Candidate) -> str:
    return f"{candidate.width}x{candidate.height}"


def _best(others: Sequence[Candidate], value: Callable[[Candidate], float]) -> Candidate:
    return max(others, key=value)


def _tell_detail(keeper: Candidate, others: Sequence[Candidate]) -> str:
    next_best = _best(others, lambda one: _detail(one, KeeperRules()))
    return f"It has more detail: about {_effective(keeper)} pixels of it, against {_effective(next_best)}."


def _tell_genuine(keeper: Candidate, others: Sequence[Candidate]) -> str:
    largest = _best(others, lambda one: one.width * one.height)
    return f"It was not enlarged: the one with {_dimensions(largest)} pixels has detail for {_effective(largest)} only."


def _tell_pixels(keeper: Candidate, others: Sequence[Candidate]) -> str:
    largest = _best(others, lambda one: _pixels(one, KeeperRules()))
    if largest.within < 1 <= keeper.within:
        return (
            f"It has no border: of another one with {_dimensions(largest)} pixels {largest.within:.0%} are the picture."
        )
    mine, its = (_inside(one, one.width, one.height) for one in (keeper, largest))
    return f"It has more pixels: {mine}, against {its}."


def _quality(candidate: Candidate) -> float:
    return _compression(candidate, KeeperRules()) or 0.0


def _tell_compression(keeper: Candidate, others: Sequence[Candidate]) -> str:
    next_best = _best(others, _quality)
    mine = "without loss" if _quality(keeper) >= 100 else f"with quality {_quality(keeper):.0f}"
    return f"It was compressed {mine}, another one with {_quality(next_best):.0f}."


def _tell_generation(_keeper: Candidate, others: Sequence[Candidate]) -> str:
    least = max(one.evidence.earlier_quality for one in others if one.evidence is not None)
    return f"It was compressed once; a copy was saved anew after a compression with quality {least}."


def _fields(candidate: Candidate) -> int:
    return candidate.evidence.exif_fields if candidate.evidence is not None else 0


def _tell_exif(keeper: Candidate, others: Sequence[Candidate]) -> str:
    return f"It has more EXIF fields: {_fields(keeper)}, against {max(map(_fields, others))}."


def _tell_size(keeper: Candidate, others: Sequence[Candidate]) -> str:
    return f"It is the larger file: {keeper.size_bytes:,} bytes, against {max(one.size_bytes for one in others):,}."


def _tell_format(keeper: Candidate, others: Sequence[Candidate]) -> str:
    return f"{keeper.format.upper()} is preferred to {' and '.join(sorted({one.format.upper() for one in others}))}."


def _tell_place(keeper: Candidate, others: Sequence[Candidate]) -> str:
    where = {"library": "a library", "archive": "an archive", "inbox": "an inbox", "move": "a folder of yours"}
    kinds = " and ".join(sorted({where.get(one.kind, "a folder for duplicates") for one in others}))
    return f"It lies in {where.get(keeper.kind, 'a folder for duplicates')}, not in {kinds}."


# The share of both sides, in doublings, by which measured detail may be off; an enlargement that is told from softness; a
# crop of a pixel or two; and the border of a preview of 512 pixels (imaging/compare.py).
_DETAIL_TOLERANCE: Final = math.log2(1.13)
_GENUINE_TOLERANCE: Final = math.log2(1.27)
_PIXELS_TOLERANCE: Final = math.log2(1.004)
_BORDER_TOLERANCE: Final = math.log2(1.02)
_MEASURES: Final = {
    Criterion.FOLDER: _Measure(_folder, 0.0, lambda *_: "It lies in a preferred folder."),
    Criterion.DETAIL: _Measure(_detail, _DETAIL_TOLERANCE, _tell_detail),
    Criterion.GENUINE: _Measure(_genuine, _GENUINE_TOLERANCE, _tell_genuine),
    Criterion.PIXELS: _Measure(_pixels, _PIXELS_TOLERANCE, _tell_pixels),
    Criterion.COMPRESSION: _Measure(_compression, 4.0, _tell_compression),
    Criterion.GENERATION: _Measure(_generation, 0.0, _tell_generation),
    Criterion.EXIF: _Measure(_exif, 1.0, _tell_exif),
    Criterion.SHARPNESS: _Measure(_sharpness, 0.1, lambda *_: "Its edges are sharper."),
    Criterion.FORMAT: _Measure(_format, 0.0, _tell_format),
    Criterion.SIZE: _Measure(_size, math.log2(1.02), _tell_size),
    Criterion.PLACE: _Measure(_place, 0.0, _tell_place),
    Criterion.AGE: _Measure(_age, 0.0, lambda *_: "It is the older file."),
}
