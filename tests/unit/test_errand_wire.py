"""The spelling of errands and their answers: what goes in comes out, and what a hostile worker makes up is refused."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dropmill.model.errand import (
    Compare,
    Compared,
    Errand,
    ErrandRequest,
    ErrandResult,
    Inspect,
    Inspected,
    Known,
    MakePreview,
    NoPreview,
    Previewed,
    check_errand_answer,
    errand_from_wire,
    errand_result_from_wire,
    errand_to_wire,
)
from dropmill.model.fingerprint import Content
from dropmill.model.image import Limits
from dropmill.model.outcome import Reason
from dropmill.model.resemblance import Evidence, Relation
from dropmill.model.work import Preview, Recognised, Rejected, Superseded, Troubled, result_to_wire

A, B = "a" * 64, "b" * 64
EVIDENCE = Evidence(A, 4000, 3000, 3900, 3000, 0.6, 90, 0, 30, "2024:05:06 07:08:09")
INSPECT = Inspect(b"/in\xff", b"dir/\xfea.jpg", A, b"/state/previews")
MAKE = MakePreview(b"/in", b"a.jpg", A, b"/state/previews", 320, Limits(max_pixels=7))
COMPARE = Compare(b"/state/previews", Known(A, A, A, 4, 3), Known(B, B, B, 4, 3))
ANSWERS: list[tuple[Errand, ErrandResult]] = [
    (INSPECT, Inspected(EVIDENCE)),
    (MAKE, Previewed(320, 240)),
    (COMPARE, Compared(Relation.CROPPED, "the second shows 80% of the other", (0.1, 0.0, 1.0, 0.9), 1, 0.93)),
    (COMPARE, NoPreview(B)),
    (INSPECT, Superseded()),
    (MAKE, Rejected(Reason.CORRUPT, "broken")),
    (COMPARE, Troubled(Reason.IO_ERROR, "")),
]


def sent(wire: Any) -> Any:
    return json.loads(json.dumps(wire))


@pytest.mark.parametrize("errand", [INSPECT, MAKE, COMPARE])
def test_errands_come_back_as_they_were(errand: Errand) -> None:
    request = ErrandRequest(errand, 17)
    back = errand_from_wire(sent(errand_to_wire(request)))
    assert back == request
    assert (back.job_id, back.epoch) == (0, 17)


def test_a_worker_may_write_to_a_folder_of_its_own_only() -> None:
    assert ErrandRequest(INSPECT, 1).place == (b"/in\xff", b"/state/previews/new")
    assert ErrandRequest(COMPARE, 1).place == (b"/state/previews", b"/state/previews/new")


@pytest.mark.parametrize(("errand", "answer"), ANSWERS)
def test_answers_come_back_as_they_were(errand: Errand, answer: ErrandResult) -> None:
    back = errand_result_from_wire(sent(result_to_wire(answer)))
    assert back == answer
    check_errand_answer(errand, back)


@pytest.mark.parametrize(
    ("errand", "answer"),
    [
        (INSPECT, Previewed(1, 1)),
        (INSPECT, Compared(Relation.BURST)),
        (MAKE, Inspected(EVIDENCE)),
        (MAKE, Previewed(321, 240)),
        (COMPARE, Inspected(EVIDENCE)),
        (COMPARE, NoPreview("c" * 64)),
        (COMPARE, Preview(Content(A, A), 1, 1)),
        (INSPECT, NoPreview(A)),
        (MAKE, Preview(Content(A, A), 8, 1)),
        (INSPECT, Preview(Content(A, A), 1, 1 << 40)),
    ],
)
def test_s05_an_answer_to_something_else_is_a_breach(errand: Errand, answer: ErrandResult | Preview) -> None:
    with pytest.raises(ValueError, match="answer"):
        check_errand_answer(errand, answer)


def spoiled() -> list[dict[str, Any]]:
    inspected, compared = result_to_wire(Inspected(EVIDENCE)), result_to_wire(Compared(Relation.BURST))
    evidence = inspected["evidence"]
    return [
        {},
        {"is": "Inspected"},
        {"is": "Inspected", "evidence": evidence | {"pixels_sha256": "../../etc"}},
        {"is": "Inspected", "evidence": evidence | {"sharpness": float("inf")}},
        {"is": "Inspected", "evidence": evidence | {"width": -1}},
        {"is": "Inspected", "evidence": evidence | {"exif_fields": True}},
        {"is": "Inspected", "evidence": evidence | {"version": 99}},
        {"is": "Inspected", "evidence": evidence | {"captured_at": 7}},
        {"is": "Previewed", "width": 0, "height": 1},
        {"is": "Previewed", "width": 1, "height": 1 << 40},
        {"is": "NoPreview", "sha256": "A" * 64},
        compared | {"relation": "sister"},
        compared | {"box": [0, 0, 1]},
        compared | {"box": [0, 0, 1, None]},
        compared | {"turn": 9},
        result_to_wire(Recognised(Content(A, A))),
        {"is": "ErrandRequest"},
    ]


@pytest.mark.parametrize("wire", spoiled())
def test_s05_what_no_sound_worker_sends_is_refused(wire: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"."):
        errand_result_from_wire(wire)


def test_words_that_are_too_long_are_cut() -> None:
    long = result_to_wire(replace(Compared(Relation.BURST), detail="x" * 10_000))
    back = errand_result_from_wire(long)
    assert isinstance(back, Compared)
    assert len(back.detail) == 200


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)


@settings(deadline=None)
@given(
    st.sampled_from(["Inspected", "Previewed", "Compared", "NoPreview", "Superseded"]),
    st.dictionaries(st.text(), _json),
)
def test_s05_no_json_does_more_than_be_refused(kind: str, fields: dict[str, Any]) -> None:
    try:
        errand_result_from_wire({**fields, "is": kind})
    except ValueError:
        return
    assert kind == "Superseded"
