"""Which of several pictures is the one to keep, by the rules alone."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from pydantic import ValidationError

from dropmill.model.keeping import Criterion, KeeperRules
from dropmill.model.resemblance import Border, Evidence, border_from, evidence_from_json, evidence_to_json
from dropmill.settings.keeper import Keeper
from dropmill.similarity.keeper import Candidate, rank, reasons

EVIDENCE = Evidence("a" * 64, 4000, 3000, 4000, 3000, 0.6, 90, 0, 30, "2024:05:06 07:08:09")
ORIGINAL = Candidate(1, b"/library/a.jpg", "library", "jpeg", 4000, 3000, 5_000_000, 10**18, EVIDENCE)


def like(number: int, evidence: Evidence | None = EVIDENCE, **other: object) -> Candidate:
    return replace(ORIGINAL, id=number, path=b"/library/copy-%d.jpg" % number, evidence=evidence, **other)  # type: ignore[arg-type]  # Fields by name.


WORSE = {
    "has more detail": like(
        2, replace(EVIDENCE, effective_width=2000, effective_height=1500), width=2000, height=1500, size_bytes=9_000_000
    ),
    "was not enlarged": like(3, replace(EVIDENCE, effective_width=4100), width=8000, height=6000, size_bytes=9_000_000),
    "has more pixels": like(4, replace(EVIDENCE, effective_width=3900), width=3900, height=2950, size_bytes=9_000_000),
    "was compressed with quality 90, another one with 60": like(
        5, replace(EVIDENCE, jpeg_quality=98, earlier_quality=60), size_bytes=9_000_000
    ),
    "saved anew after a compression with quality 90": like(
        6, replace(EVIDENCE, jpeg_quality=98, earlier_quality=90), size_bytes=9_000_000
    ),
    "more EXIF fields: 30, against 2": like(7, replace(EVIDENCE, exif_fields=2), size_bytes=9_000_000),
    "edges are sharper": like(8, replace(EVIDENCE, sharpness=0.3), size_bytes=9_000_000),
    "JPEG is preferred to WEBP": like(
        9, replace(EVIDENCE, jpeg_quality=0, pixels_sha256="b" * 64), format="webp", size_bytes=9_000_000
    ),
    "a copy was saved anew after a compression with quality 90": like(
        13, replace(EVIDENCE, jpeg_quality=0, exif_fields=60), format="png", size_bytes=20_000_000
    ),
    "larger file: 5,000,000 bytes, against 4,000,000": like(10, size_bytes=4_000_000),
    "in a library, not in a folder for duplicates": like(11, kind="duplicates"),
    "older file": like(12, mtime_ns=ORIGINAL.mtime_ns + 1_000_000),
}


@pytest.mark.parametrize("why", WORSE)
def test_the_better_one_is_kept_and_the_reason_told(why: str) -> None:
    other = WORSE[why]
    for candidates in ([ORIGINAL, other], [other, ORIGINAL]):
        assert rank(candidates, KeeperRules()) == [ORIGINAL, other]
    told = reasons(ORIGINAL, [ORIGINAL, other], KeeperRules())
    assert len(told) == 1
    assert why in told[0]


def test_only_what_lies_within_a_border_counts() -> None:
    framed = replace(EVIDENCE, width=4800, height=3600, effective_width=4800, effective_height=3600)
    bordered = like(2, framed, width=4800, height=3600, size_bytes=9_000_000, within=4000 * 3000 / (4800 * 3600))
    assert rank([bordered, ORIGINAL], KeeperRules()) == [ORIGINAL, bordered]
    assert reasons(ORIGINAL, [bordered, ORIGINAL], KeeperRules()) == [
        "It has no border: of another one with 4800x3600 pixels 69% are the picture."
    ]
    # What is truly larger is kept with its border.
    small = like(3, replace(EVIDENCE, effective_width=2000, effective_height=1500), width=2000, height=1500)
    assert rank([small, bordered], KeeperRules())[0] is bordered
    assert "about 4000x3000 pixels of it, against 2000x1500" in reasons(bordered, [small], KeeperRules())[0]


def test_a_border_is_told_and_read_again() -> None:
    for border in (Border(True, 0.735), Border(False, 0.5)):
        assert border_from(border.told) == border
    assert border_from("the second shows 84% of the other") is None and border_from("") is None


def test_equal_files_are_told_apart_by_their_names() -> None:
    deeper = replace(ORIGINAL, id=2, path=b"/library/copies/a.jpg")
    assert rank([deeper, ORIGINAL], KeeperRules()) == [ORIGINAL, deeper]
    assert reasons(ORIGINAL, [deeper, ORIGINAL], KeeperRules()) == ["Others differ from it in nothing but their place."]


def test_the_order_of_candidates_does_not_matter() -> None:
    expected = rank([ORIGINAL, *WORSE.values()], KeeperRules())
    assert expected[0] is ORIGINAL
    for seed in range(20):
        shuffled = random.Random(seed).sample(expected, len(expected))
        assert rank(shuffled, KeeperRules()) == expected


def test_what_is_not_measured_yet_counts_for_nothing() -> None:
    unknown = replace(ORIGINAL, id=2, path=b"/library/b.jpg", evidence=None, size_bytes=6_000_000)
    assert rank([ORIGINAL, unknown], KeeperRules())[0] is unknown
    assert reasons(unknown, [ORIGINAL, unknown], KeeperRules()) == [
        "It is the larger file: 6,000,000 bytes, against 5,000,000."
    ]


def test_a_preferred_folder_goes_before_all_else() -> None:
    better = WORSE["has more detail"]
    small = replace(better, path=b"/best/a.jpg")
    rules = KeeperRules(prefer_folders=(b"/best", b"/library"))
    assert rank([ORIGINAL, small], rules) == [small, ORIGINAL]
    assert reasons(small, [ORIGINAL, small], rules) == ["It lies in a preferred folder."]
    # A folder whose name only begins alike is another one.
    assert rank([ORIGINAL, replace(small, path=b"/bester/a.jpg")], rules)[0] is ORIGINAL


def test_the_order_of_criteria_is_the_rule() -> None:
    smaller = WORSE["has more detail"]
    rules = KeeperRules(order=(Criterion.SIZE, Criterion.DETAIL))
    assert rank([ORIGINAL, smaller], rules)[0] is smaller
    assert "larger file" in reasons(smaller, [ORIGINAL, smaller], rules)[0]


def test_formats_are_preferred_as_configured() -> None:
    png = replace(ORIGINAL, id=2, path=b"/library/b.png", format="png", evidence=None)
    jpeg = replace(ORIGINAL, evidence=None)
    assert rank([jpeg, png], KeeperRules())[0] is png
    assert rank([jpeg, png], Keeper(prefer_formats=("jpeg",)).rules)[0] is jpeg


def test_the_rules_come_from_the_configuration() -> None:
    rules = Keeper(order=("size", "folder"), prefer_folders=("/b",)).rules
    assert rules.order == (Criterion.SIZE, Criterion.FOLDER)
    assert rules.prefer_folders == (b"/b",)
    assert Keeper().rules == KeeperRules()
    for wrong in ({"order": ()}, {"order": ("size", "size")}, {"order": ("beauty",)}, {"prefer_formats": ("psd",)}):
        with pytest.raises(ValidationError):
            Keeper.model_validate(wrong)


def test_evidence_survives_its_spelling() -> None:
    assert evidence_from_json(evidence_to_json(EVIDENCE)) == EVIDENCE
