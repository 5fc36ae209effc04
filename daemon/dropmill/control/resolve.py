"""A person's decision about one group or many: written down whole first, then carried out (``maintenance/batches.py``)."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from dropmill.control import groups, undo
from dropmill.control.house import House
from dropmill.control.moving_to import destination, named
from dropmill.errors import Conflict, Forbidden, NotFound
from dropmill.maintenance.batches import Wish
from dropmill.model.batch import NOT_THE_SAME, Action, BatchState, NoSuchMember, Plan, plan
from dropmill.model.file import shown
from dropmill.model.resemblance import Tier
from dropmill.store import batches, overviews
from dropmill.store import groups as group_rows
from dropmill.store.connection import Row, Session

Json = dict[str, Any]

# For so long an answer waits for its batch; a larger one goes on in the background.
PATIENCE_SECONDS: Final = 20.0
_PAGE: Final = 1000
_EXAMPLES: Final = 5
# So many of a group are looked through for one that has the keeper's bytes.
_MEMBERS: Final = 1000
_FILTERS: Final = frozenset({"tier", "inbox", "folder", "relation", "threshold", "state"})


async def resolve(
    house: House,
    group_id: int,
    action: str,
    keeper: int | None,
    members: Sequence[int] | None,
    folder: str | bytes | None,
    permanent: bool,
) -> Json:
    """As ``Desk.resolve``."""
    wanted = _action(action)
    if permanent:
        _refuse_permanent(house, wanted)
    _refuse_folder(wanted, folder)
    to = await destination(house, folder) if wanted is Action.MOVE else None

    def write(session: Session) -> tuple[int, Plan]:
        planned = _planned(session, group_id, wanted, keeper, members, to)
        now_ms = house.clock.now_ms()
        batch_id = batches.open_batch(session, wanted, BatchState.DOING, permanent=permanent, groups=1, now_ms=now_ms)
        batches.put_plan(session, batch_id, planned, to, now_ms)
        return batch_id, planned

    batch_id, planned = await house.catalog.write(write)
    await undo.settle(house, batch_id, PATIENCE_SECONDS)
    told = await undo.one(house, batch_id)
    items = told["items"]
    if wanted.touches_files:
        done = [item["member"] for item in items if item["state"] in {"done", "purged"}]
    else:
        done = sorted(set(members) if members is not None else {member.id for member in planned.others})
    skipped = [
        {name: item[name] for name in ("member", "path", "detail", "hint")}
        for item in items
        if item["state"] == "skipped"
    ]
    return {"batch": batch_id, "action": action, "state": told["state"], "done": done, "skipped": skipped}


def _action(word: str) -> Action:
    try:
        return Action(word)
    except ValueError:
        known = ", ".join(action.value for action in Action)
        raise NotFound(f"there is no action {word!r}", hint=f"actions: {known}") from None


def _refuse_permanent(house: House, action: Action) -> None:
    if action is not Action.DELETE:
        raise Conflict(
            f"{action.value} deletes nothing, so nothing of it can be for good",
            hint="leave out permanent, or choose the action delete",
        )
    if not house.settings.review.allow_permanent:
        raise Forbidden(
            "nothing may be deleted for good here",
            hint="leave out permanent: the trash keeps it for a while; or set allow_permanent in [review]",
            reason="permanent-not-allowed",
        )


def _refuse_folder(action: Action, folder: str | bytes | None) -> None:
    """An empty one is none, as of a form that was not filled in."""
    if folder and action is not Action.MOVE:
        raise Conflict(
            f"a folder to move to is named, and {action.value} moves nothing there",
            hint="leave out folder, or choose the action move",
        )


def _planned(
    session: Session,
    group_id: int,
    action: Action,
    keeper: int | None,
    members: Sequence[int] | None,
    to: batches.Destination | None,
) -> Plan:
    """Raises ``NotFound``, and ``Conflict`` where nothing would come of it."""
    group = batches.group(session, group_id) if 0 < group_id < 1 << 63 else None
    if group is None:
        raise NotFound(f"there is no group {group_id}", hint="it was resolved, or its files have gone; list them anew")
    try:
        planned = plan(group, action, keeper, None if members is None else frozenset(members))
    except NoSuchMember as error:
        raise NotFound(
            f"group {group_id} has no member {error.args[0]}", hint="look at it again: dropmill duplicates"
        ) from None
    planned = batches.leaving(session, planned, to)
    if planned.refused and not (planned.victims or planned.judgements):
        first = planned.refused[0]
        raise Conflict(f"nothing comes of that for group {group_id}: {first.detail}", hint=first.hint)
    if not (planned.victims or planned.judgements):
        raise Conflict(f"of group {group_id} no file is chosen", hint="name members other than the keeper")
    return planned


async def resolve_many(
    house: House,
    group_ids: Sequence[int] | None,
    wanted: Mapping[str, Any] | None,
    action: str,
    folder: str | bytes | None,
    dry_run: bool,
    as_of_ms: int | None,
) -> Json:
    """As ``Desk.resolve_many``."""
    acting = _action(action)
    _refuse_folder(acting, folder)
    if acting is Action.MOVE:
        await named(house, folder)
    chosen = await house.catalog.read(lambda session: _chosen(house, session, group_ids, wanted, as_of_ms))
    tier = Tier(wanted["tier"]) if wanted and wanted.get("tier") else None
    told = {
        **await overview(house, chosen.group_ids, acting, tier),
        "as_of": chosen.as_of_ms,
        "skipped": chosen.skipped,
    }
    if dry_run:
        return told
    if not told["members"]:
        if told["left"]:
            raise Conflict(told["left"][0]["detail"], hint=told["left"][0]["hint"])
        changed = "look at them again: they have changed meanwhile"
        resolved = "no group fits, or all have been resolved; list them anew"
        raise Conflict("there is nothing to be done", hint=changed if chosen.skipped else resolved)
    to = await destination(house, folder) if acting is Action.MOVE else None
    batch_id = await undo.begin(house, Wish(acting, chosen.group_ids, to, chosen.as_of_ms, tier))
    return {"batch": batch_id, **told}


@dataclass(frozen=True, slots=True)
class _Chosen:
    """``skipped``: how many more fit, but have changed after ``as_of_ms``."""

    group_ids: Sequence[int]
    as_of_ms: int
    skipped: int


def _chosen(
    house: House,
    session: Session,
    group_ids: Sequence[int] | None,
    wanted: Mapping[str, Any] | None,
    as_of_ms: int | None,
) -> _Chosen:
    """Raises ``NotFound`` for what there is none of."""
    newest = batches.newest_change(session)
    as_of_ms = newest if as_of_ms is None else min(as_of_ms, newest)
    fitting = _fitting(house, session, group_ids, wanted)
    seen = [number for number, changed_at_ms in fitting if changed_at_ms <= as_of_ms]
    return _Chosen(seen, as_of_ms, len(fitting) - len(seen))


def _fitting(
    house: House, session: Session, group_ids: Sequence[int] | None, wanted: Mapping[str, Any] | None
) -> list[tuple[int, int]]:
    """Ids, and when they changed last: of these groups, or of all, those that fit. A tier fits where any member has it."""
    filters = {name: value for name, value in (wanted or {}).items() if value is not None}
    if group_ids is not None and not filters:
        numbers = [number for number in dict.fromkeys(group_ids) if 0 < number < 1 << 63]
        rows = [group_rows.get(session, number) for number in numbers]
        return [(row["id"], row["changed_at_ms"]) for row in rows if row is not None]
    unknown = filters.keys() - _FILTERS
    if unknown:
        raise NotFound(f"there is no filter {min(unknown)!r}", hint=f"filters: {', '.join(sorted(_FILTERS))}")
    fitting, tier = replace(groups.filter_of(house, session, **filters), tier=None), filters.get("tier")
    found: list[tuple[int, int]] = []
    while page := group_rows.following(session, fitting, tier, found[-1][0] if found else 0, _PAGE):
        found += [(row["id"], row["changed_at_ms"]) for row in page]
    named = None if group_ids is None else set(group_ids)
    return [one for one in found if named is None or one[0] in named]


async def overview(house: House, group_ids: Sequence[int], action: Action, tier: Tier | None) -> Json:
    """What an action on all of these would come to, what it would leave and why, and where it would come to most; with
    ``tier``, on what of them is that alike."""
    same_bytes = action is Action.LINK

    def read(session: Session) -> Json:
        by_tier: dict[str, dict[str, int]] = {}
        left = {"groups": 0, "members": 0}
        largest: list[Row] = []
        for start in range(0, len(group_ids), _PAGE):
            lot = group_ids[start : start + _PAGE]
            for row in overviews.overview(session, lot, tier, same_bytes=same_bytes):
                of = by_tier.setdefault(row["tier"], {"groups": 0, "members": 0, "bytes": 0})
                for name in of:
                    of[name] += row[name]
                for name in left:
                    left[name] += row[f"left_{name}"]
            largest += overviews.largest(session, lot, tier, _EXAMPLES, same_bytes=same_bytes)
            largest = sorted(largest, key=lambda row: (-row["bytes"], row["id"]))[:_EXAMPLES]
        by_tier = {tier: of for tier, of in by_tier.items() if of["groups"]}
        whole = {name: sum(of[name] for of in by_tier.values()) for name in ("groups", "members", "bytes")}
        return {
            **whole,
            "by_tier": by_tier,
            "left": _left(left),
            "examples": _examples(session, largest, tier, same_bytes),
        }

    return await house.catalog.read(read)


def _left(left: Mapping[str, int]) -> list[Json]:
    """Only what a link would lose is left by a plan; what stands in the way of a file is met when it is dealt with."""
    detail, hint = NOT_THE_SAME
    return [{**left, "detail": detail, "hint": hint}] if left["members"] else []


def _examples(session: Session, largest: Sequence[Row], tier: Tier | None, same_bytes: bool) -> list[Json]:
    found = []
    for most in largest:
        row = group_rows.get(session, most["id"])
        if row is None:
            continue
        most_members = _MEMBERS if same_bytes or tier else 2
        keeper, example = _example(group_rows.members(session, [row["id"]], most_members)[row["id"]], tier, same_bytes)
        found.append(
            {
                "group": row["id"],
                "tier": tier or row["tier"],
                "relation": example["relation"] if tier else row["relation"],
                "members": most["members"],
                "bytes": most["bytes"],
                "keeper": _path(keeper),
                "path": _path(example),
            }
        )
    return found


def _example(members: Sequence[Row], tier: Tier | None, same_bytes: bool) -> tuple[Row, Row]:
    """A file that stays, and one that an action is for because of it. ``members``: the keeper first."""
    keeper, *others = members
    for one in others:
        if tier in {None, one["tier"]} and (not same_bytes or one["image_id"] == keeper["image_id"]):
            return keeper, one
    first: dict[int, Row] = {}
    for one in others:
        if first.setdefault(one["image_id"], one) is not one:
            return first[one["image_id"]], one
    return keeper, keeper


def _path(row: Mapping[str, Any]) -> str:
    return shown(os.path.join(row["root_path"], row["rel"]))
