"""The spelling of requests and results: what goes in comes out, and what a hostile worker makes up is refused."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dropmill.model.bearing import Bearing, Changed, Changes, Looked, bearing_from_wire
from dropmill.model.duplicates import CHANGE_METHODS
from dropmill.model.file import Signature
from dropmill.model.fingerprint import Content, Looks, Window
from dropmill.model.image import Limits, Picture, Recipe, RenditionSpec
from dropmill.model.outcome import Reason
from dropmill.model.work import (
    NotOurs,
    Preview,
    Processed,
    Recognised,
    Rejected,
    Rendered,
    Superseded,
    Troubled,
    WorkRequest,
    WorkResult,
    check_answer,
    request_from_wire,
    request_to_wire,
    result_from_wire,
    result_to_wire,
)

_count = st.integers(0, (1 << 63) - 1)
_uint64 = st.integers(0, (1 << 64) - 1)
_hex = st.text("0123456789abcdef", min_size=64, max_size=64)
_text = st.text(st.characters(exclude_categories=["Cs"]), max_size=500)
_finite = st.floats(allow_nan=False, allow_infinity=False)
_specs = st.builds(
    RenditionSpec,
    name=_text,
    mode=st.sampled_from(["fit", "fill", "width", "height", "scale"]),
    width=_count,
    height=_count,
    scale=_finite,
    format=st.sampled_from(["auto", "jpeg", "png", "webp", "avif"]),
)
_requests = st.builds(
    WorkRequest,
    job_id=_count,
    epoch=_count,
    root=st.binary(),
    rel=st.binary(),
    signature=st.builds(Signature, *[_uint64] * 5),
    staging=st.binary(),
    recipe=st.builds(Recipe, st.lists(_specs, max_size=3).map(tuple), matte=_text),
    limits=st.builds(Limits, _count, _count, _count, _count),
    mode=st.integers(0, 0o777),
    gid=st.integers(-1, 1 << 32),
)
_contents = st.builds(Content, _hex, _hex)
_rendered = st.builds(
    Rendered,
    name=_text,
    page=_count,
    staged_name=st.from_regex(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,199}", fullmatch=True),
    ino=_uint64,
    sha256=_hex,
    size_bytes=_count,
    width=_count,
    height=_count,
    format=st.sampled_from(["jpeg", "png", "webp", "avif"]),
)
_pictures = st.builds(
    Picture,
    **dict.fromkeys(("format", "mode", "captured_at", "copyright", "camera"), _text),
    **dict.fromkeys(("width", "height", "frames", "pages_dropped", "orientation"), _count),
    icc=st.sampled_from(["none", "srgb", "converted", "broken"]),
)
_looks = st.builds(Looks, _uint64, _uint64, _uint64, _hex, _finite)
_methods = st.lists(st.sampled_from(CHANGE_METHODS), max_size=4).map(tuple)
_changed = st.builds(Changed, _methods, _count, _finite, st.booleans(), _uint64, _uint64)
_processed = st.builds(
    Processed, _contents, _looks, _pictures, st.lists(_rendered, max_size=3).map(tuple), st.none() | _changed
)
_told = st.sampled_from([NotOurs, Rejected, Troubled]).flatmap(
    lambda kind: st.builds(kind, st.sampled_from(Reason), _text)
)
_results = (
    _processed
    | st.builds(Recognised, _contents, st.none() | _pictures, st.none() | _looks)
    | st.builds(Looked, _looks)
    | st.just(Superseded())
    | _told
    | st.builds(Preview, _contents, _count, _count)
)
_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


def through_json(wire: Any) -> Any:
    return json.loads(json.dumps(wire))


@given(_requests)
def test_a_request_comes_out_as_it_went_in(request_: WorkRequest) -> None:
    assert request_from_wire(through_json(request_to_wire(request_))) == request_


@given(_results)
def test_a_result_comes_out_as_it_went_in(result: WorkResult | Preview) -> None:
    assert result_from_wire(through_json(result_to_wire(result))) == result


_hashes = st.tuples(_uint64, _uint64)
_changes = st.builds(Changes, _methods, _count, _finite, st.lists(_hashes, max_size=3).map(tuple), _count, _count)


@given(st.builds(Bearing, st.booleans(), st.none() | _changes))
def test_the_answer_to_how_it_looks_comes_out_as_it_went_in(bearing: Bearing) -> None:
    assert bearing_from_wire(through_json(asdict(bearing))) == bearing


@given(_json)
def test_any_json_at_all_is_a_result_or_refused(value: Any) -> None:
    for wire in (value, {"is": value}):
        try:
            result_from_wire(wire)
        except ValueError:
            continue


@given(_results, st.data())
def test_a_result_with_any_field_made_up_is_sound_or_refused(result: WorkResult | Preview, data: st.DataObject) -> None:
    wire = through_json(result_to_wire(result))
    place = wire
    while True:
        key = data.draw(st.sampled_from(sorted(place)) if isinstance(place, dict) else st.integers(0, len(place) - 1))
        inner = place[key]
        if not isinstance(inner, dict | list) or not inner or data.draw(st.booleans()):
            break
        place = inner
    if isinstance(place, dict) and data.draw(st.booleans()):
        del place[key]
    else:
        place[key] = data.draw(_json)
    try:
        made = result_from_wire(wire)
    except ValueError:
        return
    # What is let through is a value that can be stored: it spells itself as plain JSON and UTF-8, and reads back equal.
    text = json.dumps(result_to_wire(made), ensure_ascii=False, allow_nan=False).encode()
    assert result_from_wire(json.loads(text)) == made


_LOOKS = Looks(1, 2, 3, "0" * 64, 10.5)
_SOUND = Processed(
    Content("a" * 64, "b" * 64),
    _LOOKS,
    Picture("jpeg", 4000, 3000, "RGB"),
    (Rendered("thumb", 1, "12-3-thumb.jpg", 99, "c" * 64, 1000, 400, 300, "jpeg"),),
)
_REQUEST = WorkRequest(
    12, 3, b"/r", b"x", Signature(1, 2, 3, 4, 5), b"/s", Recipe((RenditionSpec("thumb", "fit", 400, 400),)), Limits()
)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("content", "sha256"), "A" * 64),
        (("content", "sha256"), "a" * 63),
        (("content", "sha256"), "a" * 64 + "\n"),
        (("looks", "phash"), 1 << 64),
        (("looks", "phash"), -1),
        (("looks", "phash"), True),
        (("looks", "texture"), float("nan")),
        (("looks", "texture"), float("inf")),
        (("looks", "texture"), 10**400),
        (("looks", "texture"), "1"),
        (("picture", "width"), 1 << 63),
        (("picture", "width"), 1.5),
        (("picture", "format"), None),
        (("picture", "icc"), "evil"),
        (("picture", "icc"), []),
        (("renditions", 0, "staged_name"), ".."),
        (("renditions", 0, "staged_name"), ".hidden"),
        (("renditions", 0, "staged_name"), "../../etc/passwd"),
        (("renditions", 0, "staged_name"), "a/b"),
        (("renditions", 0, "staged_name"), "a\n"),
        (("renditions", 0, "staged_name"), "a" * 201),
        (("renditions", 0, "staged_name"), 7),
        (("renditions", 0, "format"), "exe"),
        (("renditions",), {"a": 1}),
        (("is",), "WorkerLost"),
        (("is",), ["Processed"]),
    ],
)
def test_what_a_sound_worker_would_not_send_is_refused(path: tuple[Any, ...], value: Any) -> None:
    wire = through_json(result_to_wire(_SOUND))
    place = wire
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    with pytest.raises(ValueError):
        result_from_wire(wire)


def test_texts_are_cut_and_made_storable() -> None:
    made = result_from_wire({"is": "Rejected", "reason": "corrupt", "detail": "\udcff" + "x" * 5000})
    assert isinstance(made, Rejected)
    assert made.detail == "?" + "x" * 1999


@pytest.mark.parametrize(
    "change",
    [
        {"staged_name": "13-3-thumb.jpg"},  # Another job's file.
        {"staged_name": "12-2-thumb.jpg"},  # An earlier epoch's.
        {"staged_name": "12-31-thumb.jpg"},
        {"name": "large"},
        {"page": 0},
    ],
)
def test_an_answer_that_names_what_was_not_asked_for_is_refused(change: dict[str, Any]) -> None:
    check_answer(_REQUEST, _SOUND)
    forged = replace(_SOUND, renditions=(replace(_SOUND.renditions[0], **change),))
    with pytest.raises(ValueError):
        check_answer(_REQUEST, forged)


@pytest.mark.parametrize("change", [{"pixels": Limits().max_pixels + 1}, {"pages": Limits().max_frames + 1}])
def test_i04_a_preview_cannot_ask_for_more_time_than_the_limits_give(change: dict[str, int]) -> None:
    largest = Preview(_SOUND.content, Limits().max_pixels, Limits().max_frames, 1 << 62)
    check_answer(_REQUEST, largest)
    with pytest.raises(ValueError):
        check_answer(_REQUEST, replace(largest, **change))


def test_one_staged_file_cannot_be_two_renditions() -> None:
    with pytest.raises(ValueError):
        check_answer(_REQUEST, replace(_SOUND, renditions=_SOUND.renditions * 2))


@given(_requests, _looks)
def test_how_a_picture_looks_is_heard_only_where_it_was_asked(request_: WorkRequest, looks: Looks) -> None:
    check_answer(replace(request_, asks_looks=True), Looked(looks))
    with pytest.raises(ValueError, match="not asked for"):
        check_answer(replace(request_, asks_looks=False), Looked(looks))


def test_hashes_of_parts_come_out_as_they_went_in_and_only_where_they_were_asked_for() -> None:
    parts = (Window(1, (1 << 64) - 1, "d" * 64), Window(0, 7, "e" * 64))
    answer = replace(_SOUND, looks=replace(_LOOKS, windows=parts))
    wire = json.loads(json.dumps(result_to_wire(answer)))
    assert result_from_wire(wire) == answer
    check_answer(replace(_REQUEST, windows=True), answer)
    with pytest.raises(ValueError, match="not asked for"):
        check_answer(_REQUEST, answer)
    for windows in ([[1, 2, "d" * 64]] * 17, [[1, 2]], [[1 << 64, 2, "d" * 64]], [[1, 2, "d"]], "d" * 64, 3):
        wire["looks"]["windows"] = windows
        with pytest.raises(ValueError):
            result_from_wire(wire)
