"""Draws groups anew where pairs, files, evidence or decisions have changed, and all of them where the rules have."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Final

import anyio

from dropmill.maintenance.deeds import Books
from dropmill.model.keeping import KeeperRules
from dropmill.model.resemblance import Thresholds, Tier
from dropmill.ports import Clock
from dropmill.similarity.drawing import Rules, draw
from dropmill.similarity.keeping import Keeping
from dropmill.store import drawing, preferences
from dropmill.store.connection import Session
from dropmill.store.drawing import Component, Drawn

LOT: Final = 100
# Wishes with which there is nothing to draw go in larger lots: each committed picture makes one.
LONELY_LOT: Final = 1000
# What hangs together beyond so many images is cut, so that a burst of thousands of frames, each with hundreds of pairs, is drawn in pieces.
MOST_IMAGES: Final = 500


@dataclass(slots=True)
class Grouper:
    """``configured``: thresholds and keeper rules before what was chosen at runtime. ``tiers``: what is looked for."""

    catalog: Books
    configured: tuple[Thresholds, KeeperRules]
    tiers: frozenset[Tier]
    clock: Clock
    _one: anyio.Lock = field(default_factory=anyio.Lock)

    async def turn(self) -> bool:
        """One lot; False where nothing was left."""
        async with self._one:
            rules, keeper_rules, wished = await self._begin()
            if not wished:
                return await self._go_on()
            await self._draw_lot(rules, keeper_rules)
            return True

    async def catch_up(self, seconds: float) -> None:
        """Draw what has been wished for, for about so long: after a batch where no daemon runs. Where the rules are others
        by now, all the rest is left for the next daemon or run of ``index``."""
        until = self.clock.monotonic() + seconds
        async with self._one:
            while self.clock.monotonic() < until:
                rules, keeper_rules, before, wished = await self._rules()
                if before is None or not wished:
                    return
                await self._draw_lot(rules, keeper_rules)

    async def _draw_lot(self, rules: Rules, keeper_rules: KeeperRules) -> None:
        await self.catalog.write(lambda session: drawing.drop_lonely(session, LONELY_LOT), patient=True)
        seeds, seen, drawn = await self.catalog.read(lambda session: _draw(session, rules, keeper_rules))
        if seeds:
            now_ms = self.clock.now_ms()
            await self.catalog.write(lambda session: drawing.apply(session, seen, seeds, drawn, now_ms), patient=True)

    async def _begin(self) -> tuple[Rules, KeeperRules, bool]:
        """The rules in force, and whether anything is to be drawn. Where they are others than those by which the groups
        were drawn, all are drawn anew."""
        rules, keeper_rules, before, wished = await self._rules()
        digest = _digest(rules, keeper_rules)
        if before is None or before.rules != digest:
            await self.catalog.write(
                lambda session: drawing.begin_drawing(session, digest, rules.thresholds.min_texture)
            )
        return rules, keeper_rules, wished

    async def _rules(self) -> tuple[Rules, KeeperRules, drawing.Drawing | None, bool]:
        """Those in force, those by which the groups were drawn, and whether anything is to be drawn."""
        chosen, before, wished = await self.catalog.read(
            lambda session: (
                preferences.all_of(session),
                drawing.drawing(session),
                bool(drawing.wishes(session, 1)),
            )
        )
        thresholds, keeper_rules = self.configured
        rules = Rules(preferences.thresholds_under(chosen, thresholds), self.tiers)
        keeper_rules = preferences.keeper_rules(chosen, keeper_rules)
        return rules, keeper_rules, before, wished

    async def _go_on(self) -> bool:
        """While all are drawn anew, wish for the next ones."""
        under_way = await self.catalog.read(drawing.drawing)
        if under_way is None or under_way.after is None:
            return False
        await self.catalog.write(lambda session: drawing.go_on_drawing(session, under_way, LONELY_LOT))
        return True


def _draw(session: Session, rules: Rules, keeper_rules: KeeperRules) -> tuple[list[int], Component, list[Drawn]]:
    """In the reader's thread, where a large component keeps nobody else."""
    seeds = drawing.wishes(session, LOT)
    seen = drawing.component(session, seeds, MOST_IMAGES)
    kept = Keeping(seen, keeper_rules)
    return seeds, seen, draw(seen, rules, kept.order, kept.why)


def _digest(rules: Rules, keeper_rules: KeeperRules) -> str:
    told = f"{rules.thresholds} {sorted(tier.value for tier in rules.tiers)} {keeper_rules}"
    return hashlib.sha256(told.encode()).hexdigest()
