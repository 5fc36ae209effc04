"""What a decision about a group comes to; how deeds may change; how thresholds change the number of groups."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from dropmill.model.batch import (
    DEED_TRANSITIONS,
    Action,
    DeedState,
    Group,
    Judgement,
    Member,
    NoSuchMember,
    of_tier,
    plan,
)
from dropmill.model.resemblance import Thresholds, Tier
from dropmill.similarity.counting import tally


def member(number: int, sha256: str = "") -> Member:
    return Member(number, 100 + number, sha256 or f"sha-{number}", 1, b"%d.jpg" % number, 10, None)


KEEPER, COPY, ALIKE = member(1, "a"), member(2, "a"), member(3, "c")
GROUP = Group(7, 1, [KEEPER, COPY, ALIKE], {(101, 103)})


@pytest.mark.parametrize("action", [Action.DELETE, Action.MOVE])
def test_all_but_the_keeper_are_dealt_with(action: Action) -> None:
    planned = plan(GROUP, action)
    assert (planned.keeper, list(planned.victims)) == (KEEPER, [COPY, ALIKE])
    assert planned.judgements == [] and planned.refused == []


def test_only_what_has_the_same_bytes_is_linked() -> None:
    planned = plan(GROUP, Action.LINK)
    assert list(planned.victims) == [COPY]
    (refused,) = planned.refused
    assert refused.member == ALIKE and refused.hint


def test_another_keeper_is_a_judgement_too_and_the_suggested_one_goes() -> None:
    planned = plan(GROUP, Action.DELETE, keeper_id=3)
    assert planned.keeper == ALIKE and list(planned.victims) == [KEEPER, COPY]
    assert planned.judgements == [Judgement("keeper", "c")]


def test_a_keeper_is_named_without_any_deed() -> None:
    planned = plan(GROUP, Action.KEEP, keeper_id=1, chosen=[])
    assert planned.judgements == [Judgement("keeper", "a")] and not planned.victims


def test_the_keeper_is_never_dealt_with() -> None:
    planned = plan(GROUP, Action.DELETE, chosen={1, 2})
    assert list(planned.victims) == [COPY]
    assert [refusal.member for refusal in planned.refused] == [KEEPER]
    for action in Action:
        for chosen in (None, {1}, {1, 2, 3}, set()):
            for keeper_id in (None, 1, 2, 3):
                planned = plan(GROUP, action, keeper_id, chosen)
                assert planned.keeper not in planned.victims
                assert all(
                    victim.sha256 == planned.keeper.sha256 or action is not Action.LINK for victim in planned.victims
                )


def test_of_a_whole_group_every_pair_that_resembles_is_judged() -> None:
    """So that no other star is drawn of what is left of it. Files of the same bytes cannot be told to differ."""
    more = member(4, "d")
    group = Group(7, 1, [KEEPER, COPY, ALIKE, more], {(101, 103), (103, 104), (104, 999)})
    judged = plan(group, Action.DISMISS).judgements
    assert judged == [
        Judgement("both", "a", "a"),
        Judgement("different", "a", "c"),
        Judgement("different", "a", "d"),
        Judgement("different", "c", "d"),
    ]
    assert plan(group, Action.DISMISS, chosen={3}).judgements == [Judgement("different", "a", "c")]
    assert {judgement.kind for judgement in plan(group, Action.KEEP).judgements} == {"both"}


def test_strangers_are_no_members() -> None:
    with pytest.raises(NoSuchMember):
        plan(GROUP, Action.DELETE, keeper_id=9)
    with pytest.raises(NoSuchMember):
        plan(GROUP, Action.DELETE, chosen=[2, 9])


def test_every_state_of_a_deed_is_reached_and_nothing_comes_back_from_its_end() -> None:
    reached = {DeedState.OWED} | {state for steps in DEED_TRANSITIONS.values() for state in steps.values()}
    assert reached == set(DeedState) == DEED_TRANSITIONS.keys()
    assert {state for state, steps in DEED_TRANSITIONS.items() if not steps} == {
        DeedState.SKIPPED,
        DeedState.UNDONE,
        DeedState.PURGED,
    }


def pair(a: int, b: int, phash: int, dhash: int = 0, **more: Any) -> dict[str, Any]:
    row = {"a": a, "b": b, "how": "hash", "phash_distance": phash, "dhash_distance": dhash, "phash256_distance": 0}
    row |= {"relation": "", "texture_a": 50.0, "texture_b": 50.0, "pixels_a": 1000 - a, "pixels_b": 1000 - b}
    return {**row, "held": 1, "judged": 0, **more}


def test_groups_are_counted_as_they_would_be_drawn() -> None:
    pairs = [pair(1, 2, 2), pair(1, 3, 6), pair(4, 5, 8), pair(6, 7, 0, judged=1), pair(8, 9, 0, held=0), pair(2, 3, 0)]
    tiers = frozenset(Tier)
    now = tally(pairs, Thresholds(4, 8, 10, 10), tiers)
    assert (now.groups, now.images) == ({Tier.SIMILAR: 2}, 5)
    narrow = tally(pairs, Thresholds(2, 8, 2, 10), tiers)
    assert (narrow.groups, narrow.images) == ({Tier.NEAR: 1}, 2)
    assert tally(pairs, Thresholds(2, 8, 2, 10, min_texture=60.0), tiers).groups == {}
    assert tally(pairs, Thresholds(), frozenset({Tier.EXACT})).groups == {}


def test_of_a_tier_just_those_members_are_meant_and_copies_among_the_others() -> None:
    def alike(number: int, tier: Tier, image_id: int) -> Member:
        return replace(member(number), tier=tier.value, image_id=image_id)

    near = [alike(3, Tier.NEAR, 30), alike(4, Tier.NEAR, 30), alike(5, Tier.NEAR, 50)]
    group = Group(7, 1, [alike(1, Tier.EXACT, 10), alike(2, Tier.EXACT, 10), *near, alike(6, Tier.SIMILAR, 60)])
    plans = [plan(part, Action.DELETE) for part in of_tier(group, Tier.EXACT)]
    assert [(one.keeper.id, [victim.id for victim in one.victims]) for one in plans] == [(1, [2]), (3, [4])]
    (only,) = [plan(part, Action.DELETE) for part in of_tier(group, Tier.NEAR)]
    assert (only.group_id, only.keeper.id, [victim.id for victim in only.victims]) == (7, 1, [3, 4, 5])
    assert of_tier(group, Tier.LOOSE) == []
