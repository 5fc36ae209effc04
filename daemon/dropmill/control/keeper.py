"""What other rules would keep, told before they are put into the configuration."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final, cast

from dropmill.control import describe
from dropmill.control.house import House
from dropmill.control.preferences import valid
from dropmill.model.keeping import KeeperRules
from dropmill.settings.keeper import Keeper
from dropmill.similarity.keeping import Keeping
from dropmill.store import groups, keeping
from dropmill.store.connection import Row
from dropmill.store.drawing import Component

Json = dict[str, Any]
_LOT: Final = 100
MOST_EXAMPLES: Final = 20
MOST_SECONDS: Final = 5.0
"""After which the groups that were looked at stand for all."""


@dataclass(slots=True)
class _Tally:
    groups: int = 0
    changed: int = 0
    chosen: int = 0
    examples: list[Json] = field(default_factory=list)


async def preview(house: House, rules: Json) -> Json:
    """As ``Desk.keeper_preview``."""
    asked = cast(Keeper, valid(house.settings.keeper, rules)).rules
    tally, after = _Tally(), 0
    until = house.clock.monotonic() + MOST_SECONDS
    total = await house.catalog.read(lambda session: groups.total(session, groups.Filter()))
    while not after or house.clock.monotonic() < until:  # In lots, so that other readers have their turns between them.
        lot = await house.catalog.read(lambda session, after=after: keeping.lot(session, after, _LOT))  # type: ignore[misc]  # The default binds the loop's value.
        if not lot[0]:
            break
        await house.blocking("*", _count, *lot, asked, tally, patient=True)
        after = lot[0][-1]["id"]
    return {
        "of": max(total.groups, tally.groups),
        "groups": tally.groups,
        "changed": tally.changed,
        "chosen": tally.chosen,
        "examples": tally.examples,
    }


def _count(rows: Sequence[Row], seen: Component, rules: KeeperRules, tally: _Tally) -> None:
    """In a thread of the desk's, so that neither readers of the catalog nor the event loop wait for it."""
    kept = Keeping(seen, rules)
    holdings = {row["id"]: row for row in seen.holdings}
    members: dict[int, list[Row]] = {row["id"]: [] for row in rows}
    for member in seen.members:
        if member["holding_id"] in holdings:
            members[member["group_id"]].append(holdings[member["holding_id"]])
    for group in rows:
        tally.groups += 1
        if group["chosen"]:
            tally.chosen += 1
        elif members[group["id"]]:
            _compare(group, members[group["id"]], kept, tally)


def _compare(group: Row, holdings: Sequence[Row], kept: Keeping, tally: _Tally) -> None:
    by_id = {holding["id"]: holding for holding in holdings}
    now, then = group["keeper_holding_id"], kept.order(holdings)[0]
    if then == now or now not in by_id:
        return
    tally.changed += 1
    if len(tally.examples) < MOST_EXAMPLES:
        tally.examples.append(
            {
                "group": group["id"],
                "tier": group["tier"],
                "keeper": now,
                "keeper_path": _path(by_id[now]),
                "instead": then,
                "instead_path": _path(by_id[then]),
                "reasons": list(kept.why(then, holdings)),
            }
        )


def _path(holding: Row) -> Any:
    return describe.joined(holding["root_path"], holding["rel"])
