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
from dropmill.store import keeping
from dropmill.store.connection import Row, Session

Json = dict[str, Any]
_LOT: Final = 500
MOST_EXAMPLES: Final = 20


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
    while True:  # In lots, so that other readers have their turns between them.
        last = await house.catalog.read(lambda session, after=after: _count(session, after, asked, tally))  # type: ignore[misc]  # The default binds the loop's value.
        if last is None:
            break
        after = last
    return {
        "groups": tally.groups,
        "changed": tally.changed,
        "chosen": tally.chosen,
        "examples": tally.examples,
    }


def _count(session: Session, after: int, rules: KeeperRules, tally: _Tally) -> int | None:
    groups, seen = keeping.lot(session, after, _LOT)
    kept = Keeping(seen, rules)
    holdings = {row["id"]: row for row in seen.holdings}
    members: dict[int, list[Row]] = {row["id"]: [] for row in groups}
    for member in seen.members:
        if member["holding_id"] in holdings:
            members[member["group_id"]].append(holdings[member["holding_id"]])
    for group in groups:
        tally.groups += 1
        if group["chosen"]:
            tally.chosen += 1
        elif members[group["id"]]:
            _compare(group, members[group["id"]], kept, tally)
    return groups[-1]["id"] if groups else None


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
