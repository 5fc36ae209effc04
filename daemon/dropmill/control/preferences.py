"""What people may change while the daemon runs: over the configuration, kept in the catalog, and taken back by null."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, Final

from pydantic import BaseModel, ValidationError

from dropmill.control.describe import iso
from dropmill.control.house import House
from dropmill.control.moving_to import checked
from dropmill.errors import Conflict, NotFound
from dropmill.model.chance import expected_false_pairs
from dropmill.model.resemblance import Tier
from dropmill.observe.facts import PreferencesChanged
from dropmill.settings import Settings
from dropmill.similarity.counting import Tally, tally
from dropmill.store import groups, pairs, preferences
from dropmill.store.connection import Row, Session

Json = dict[str, Any]

NAMES: Final = (
    "dedupe.near_phash",
    "dedupe.near_dhash",
    "dedupe.similar_phash",
    "dedupe.similar_dhash",
    "dedupe.min_texture",
    "review.default_move",
    "review.confirm_permanent",
    "review.confirm_above_files",
)
_PAGE: Final = 1000
MOST_PAIRS: Final = 100_000
MOST_SECONDS: Final = 5.0
"""For which pairs are read; those that were met by then stand for all."""
_MOVE: Final = "review.default_move"


async def all_of(house: House) -> list[Json]:
    """``{name, value, configured, changed, changed_at, type, description}`` of each."""
    chosen, changed = await house.catalog.read(
        lambda session: (preferences.all_of(session), preferences.changed_at_ms(session))
    )
    return [_told(house.settings, name, chosen) | {"changed_at": iso(changed.get(name))} for name in NAMES]


def _told(settings: Settings, name: str, chosen: Mapping[str, Any]) -> Json:
    section, field, configured = _field(settings, name)
    value = chosen.get(name, configured)
    info = type(section).model_fields[field]
    told: Json = {"name": name, "value": value, "configured": configured, "changed": value != configured}
    told |= {"type": type(configured).__name__, "description": info.description or ""}
    for bound in info.metadata:
        for name_of_bound, word in (("minimum", "ge"), ("maximum", "le")):
            if (limit := getattr(bound, word, None)) is not None:
                told[name_of_bound] = limit
    return told


def _field(settings: Settings, name: str) -> tuple[BaseModel, str, Any]:
    section_name, _, field = name.partition(".")
    section: BaseModel = getattr(settings, section_name)
    return section, field, getattr(section, field)


async def change(house: House, changes: Mapping[str, Any]) -> list[Json]:
    """None takes one back to the configured value. Raises as ``_checked``."""
    wanted = await _checked(house, changes)
    now_ms = house.clock.now_ms()

    def write(session: Session) -> None:
        for name, value in wanted.items():
            if value is None:
                preferences.remove(session, name)
            else:
                preferences.put(session, name, value, now_ms)

    await house.catalog.write(write)
    told = (f"{name} = {'as configured' if value is None else value}" for name, value in wanted.items())
    house.emit(PreferencesChanged(tuple(told)))
    return await all_of(house)


async def _checked(house: House, changes: Mapping[str, Any]) -> dict[str, Any]:
    """The values as they will be kept. Raises ``NotFound`` for names there are none of, ``Conflict`` for values that the
    configuration could not have either, ``Forbidden`` for a folder that nothing may be moved to."""
    for name in changes:
        if name not in NAMES:
            raise NotFound(f"there is no preference {name!r}", hint=f"preferences: {', '.join(NAMES)}")
    chosen = {**await house.catalog.read(preferences.all_of), **changes}
    wanted: dict[str, Any] = {}
    for section_name in sorted({name.partition(".")[0] for name in changes}):
        section = getattr(house.settings, section_name)
        known = {name.partition(".")[2]: value for name, value in chosen.items() if name.startswith(f"{section_name}.")}
        then = valid(section, {field: value for field, value in known.items() if value is not None})
        for name, value in changes.items():
            if name.startswith(f"{section_name}."):
                wanted[name] = None if value is None else getattr(then, name.partition(".")[2])
    if wanted.get(_MOVE):
        await checked(house, os.fsencode(wanted[_MOVE]))
    return wanted


def valid(section: BaseModel, values: Mapping[str, Any]) -> BaseModel:
    """``section`` with other values. Raises ``Conflict`` for what the configuration could not have either."""
    try:
        return type(section).model_validate({**section.model_dump(), **values})
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or next(iter(values), "")
        raise Conflict(
            f"{place}: {first['msg'].removeprefix('Value error, ')}",
            hint="docs/configuration.md tells what is valid",
            reason="invalid-preference",
        ) from error


async def preview(house: House, changes: Mapping[str, Any]) -> Json:
    """What other thresholds would make of the groups: ``{groups_now, groups_then, by_tier: {tier: {now, then}}, images_now,
    images_then, expected_false_pairs_now, expected_false_pairs_then, compared_anew, pairs, complete}``. Changes nothing.

    Where not ``complete``, groups and images are those of the first ``pairs`` pairs alone, now as then.
    """
    wanted = await _checked(house, changes)
    configured = house.settings.dedupe.thresholds
    now = await house.catalog.read(preferences.all_of)
    then = {name: value for name, value in {**now, **wanted}.items() if value is not None}
    before, after = (preferences.thresholds_under(chosen, configured) for chosen in (now, then))
    rows, complete = await _pairs(house)
    tallies = [
        await house.blocking("*", tally, rows, thresholds, house.settings.tiers, patient=True)
        for thresholds in (before, after)
    ]
    counted = await house.catalog.read(lambda session: (groups.by_tier(session), groups.images(session)))
    drawn, images = counted
    if not complete:
        drawn = {tier.value: groups.Total(count, 0, 0) for tier, count in tallies[0].groups.items()}
    by_tier = {tier.value: _both(tier, drawn, *tallies) for tier in Tier}
    farthest = [max(thresholds.near_phash, thresholds.similar_phash) for thresholds in (before, after)]
    return {
        "groups_now": sum(one["now"] for one in by_tier.values()),
        "groups_then": sum(one["then"] for one in by_tier.values()),
        "by_tier": {tier: one for tier, one in by_tier.items() if one["now"] or one["then"]},
        "images_now": tallies[0].images,
        "images_then": tallies[1].images,
        "expected_false_pairs_now": expected_false_pairs(farthest[0], images),
        "expected_false_pairs_then": expected_false_pairs(farthest[1], images),
        # Flat pictures were not compared by their hashes: which of them are alike is known only once they were.
        "compared_anew": after.min_texture < before.min_texture,
        "pairs": len(rows),
        "complete": complete,
    }


def _both(tier: Tier, drawn: Mapping[str, groups.Total], before: Tally, after: Tally) -> dict[str, int]:
    """As they are drawn, and what the thresholds add or take: copies of the same bytes hang on no threshold."""
    now = drawn[tier.value].groups if tier.value in drawn else 0
    return {"now": now, "then": max(0, now + after.groups.get(tier, 0) - before.groups.get(tier, 0))}


async def _pairs(house: House) -> tuple[list[Row], bool]:
    """A page at a time, so that nobody else has to wait, and whether these are all."""
    found: list[Row] = []
    last = (0, 0)
    until = house.clock.monotonic() + MOST_SECONDS
    while page := await house.catalog.read(lambda session, last=last: pairs.page(session, last, _PAGE)):  # type: ignore[misc]  # The default binds the loop's value.
        if len(found) >= MOST_PAIRS or (found and house.clock.monotonic() >= until):
            return found, False
        found += page
        last = (page[-1]["a"], page[-1]["b"])
    return found, True
