"""What a person's decision about a group makes of it: deeds on files, and judgements on contents. Pure."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final, Literal

from dropmill.model.resemblance import Tier


class Action(StrEnum):
    """``KEEP``: all stay, and nobody is asked again. ``DISMISS``: they are no duplicates at all."""

    KEEP = "keep"
    MOVE = "move"
    DELETE = "delete"
    LINK = "link"
    DISMISS = "dismiss"

    @property
    def touches_files(self) -> bool:
        return self in {Action.MOVE, Action.DELETE, Action.LINK}


class BatchState(StrEnum):
    """``PLANNING``: its deeds are being written down, and nothing was touched."""

    PLANNING = "planning"
    DOING = "doing"
    DONE = "done"
    UNDOING = "undoing"
    UNDONE = "undone"


class DeedState(StrEnum):
    """``BEGUN``: the file may be on its way. ``PURGED``: it is gone for good."""

    OWED = "owed"
    BEGUN = "begun"
    DONE = "done"
    SKIPPED = "skipped"
    UNDONE = "undone"
    PURGED = "purged"


DEED_TRANSITIONS: Final[dict[DeedState, dict[str, DeedState]]] = {
    DeedState.OWED: {"its files are in order": DeedState.BEGUN, "they are not": DeedState.SKIPPED},
    DeedState.BEGUN: {
        "carried out": DeedState.DONE,
        "put back": DeedState.SKIPPED,
        "deleted for good": DeedState.PURGED,
    },
    DeedState.DONE: {"taken back": DeedState.UNDONE, "kept long enough": DeedState.PURGED},
    DeedState.SKIPPED: {},
    DeedState.UNDONE: {},
    DeedState.PURGED: {},
}
"""What can become of a deed, and by what."""

Kind = Literal["different", "both", "keeper"]


@dataclass(frozen=True, slots=True)
class Judgement:
    """By SHA-256, ``a`` <= ``b``; of ``keeper`` ``b`` is empty."""

    kind: Kind
    a: str
    b: str = ""


@dataclass(frozen=True, slots=True)
class Member:
    """A file of a group. ``id`` is that of its holding; ``rel`` is its path below the folder ``root_id``."""

    id: int
    image_id: int
    sha256: str
    root_id: int
    rel: bytes
    size_bytes: int
    job_id: int | None
    tier: str = Tier.EXACT.value
    """How it resembles the keeper of its group."""


@dataclass(frozen=True, slots=True)
class Group:
    """``resembling``: pairs of image ids among the members, beside those with the keeper, that resemble each other."""

    id: int
    keeper_id: int
    members: Sequence[Member]
    resembling: Collection[tuple[int, int]] = ()


@dataclass(frozen=True, slots=True)
class Refusal:
    """A member that cannot be dealt with so, and what to do instead."""

    member: Member
    detail: str
    hint: str


@dataclass(frozen=True, slots=True)
class Plan:
    """``others`` are what it is about; ``victims`` of them are moved, deleted or replaced by links. ``keeper`` stays."""

    group_id: int
    action: Action
    keeper: Member
    others: Sequence[Member]
    victims: Sequence[Member]
    refused: Sequence[Refusal]
    judgements: Sequence[Judgement]


def of_tier(group: Group, tier: Tier) -> list[Group]:
    """What of a group is that alike, each with the one of it that stays: the keeper and the members of that tier. Copies of
    the same bytes are exact among each other, however they resemble the keeper: of each such set the first one stays."""
    first = [member for member in group.members if member.id == group.keeper_id or member.tier == tier]
    parts = [replace(group, members=first)] if len(first) > 1 else []
    if tier is Tier.EXACT:
        copies: dict[int, list[Member]] = {}
        taken = {member.id for member in first}
        for member in group.members:
            if member.id not in taken:
                copies.setdefault(member.image_id, []).append(member)
        parts += [replace(group, keeper_id=alike[0].id, members=alike) for alike in copies.values() if len(alike) > 1]
    return parts


class NoSuchMember(ValueError):
    """``args[0]`` is no member of the group."""


def plan(group: Group, action: Action, keeper_id: int | None = None, chosen: Collection[int] | None = None) -> Plan:
    """What ``action`` comes to. ``chosen``: only these members; without them all but the keeper.

    Naming another keeper is a judgement too; with no others chosen it is all that comes of it. Raises ``NoSuchMember`` for ids that are not of the group.
    """
    known = {member.id: member for member in group.members}
    for wanted in (*((keeper_id,) if keeper_id is not None else ()), *(chosen or ())):
        if wanted not in known:
            raise NoSuchMember(wanted)
    keeper = known[group.keeper_id if keeper_id is None else keeper_id]
    others = [member for member in group.members if member.id != keeper.id and (chosen is None or member.id in chosen)]
    judgements = _judgements(group, action, keeper, others, whole=chosen is None)
    if keeper.id != group.keeper_id or (keeper_id is not None and not others):
        judgements.append(Judgement("keeper", keeper.sha256))
    about, refused = others, []
    if chosen is not None and keeper.id in chosen and action.touches_files:
        refused.append(Refusal(keeper, "this is the one that is kept", "name another one as the keeper"))
    if action is Action.LINK:
        refused += [Refusal(member, *NOT_THE_SAME) for member in others if member.sha256 != keeper.sha256]
        others = [member for member in others if member.sha256 == keeper.sha256]
    return Plan(group.id, action, keeper, about, others if action.touches_files else (), refused, judgements)


NOT_THE_SAME: Final = (
    "its bytes are not those of the keeper, so a link would lose what differs",
    "delete or move it instead",
)


def _judgements(
    group: Group, action: Action, keeper: Member, others: Sequence[Member], *, whole: bool
) -> list[Judgement]:
    """Of a whole group every pair that resembles is judged, so that no other star is drawn of what is left of it."""
    if action.touches_files:
        return []
    pairs = {(keeper.sha256, other.sha256) for other in others}
    if whole:
        by_image = {member.image_id: member.sha256 for member in group.members}
        pairs |= {(by_image[a], by_image[b]) for a, b in group.resembling if a in by_image and b in by_image}
    ordered = sorted({(min(pair), max(pair)) for pair in pairs})
    return [Judgement(_kind(action, a == b), a, b) for a, b in ordered]


def _kind(action: Action, same_bytes: bool) -> Kind:
    """Files with the same bytes cannot be told to differ: all that can be said is that they stay."""
    return "different" if action is Action.DISMISS and not same_bytes else "both"
