"""What was changed at runtime, over the configuration."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from typing import Any, Final

from dropmill.model.keeping import Criterion, KeeperRules
from dropmill.model.resemblance import Thresholds
from dropmill.store.connection import Session

_DEDUPE: Final = "dedupe."
_THRESHOLDS: Final = ("near_phash", "near_dhash", "similar_phash", "similar_dhash", "min_texture")


def all_of(session: Session) -> dict[str, Any]:
    """Values by dotted name, as in the configuration."""
    return {row["name"]: json.loads(row["value"]) for row in session.all("preferences_all")}


def changed_at_ms(session: Session) -> dict[str, int]:
    """When each was changed, by dotted name."""
    return {row["name"]: row["changed_at_ms"] for row in session.all("preferences_all")}


def put(session: Session, name: str, value: Any, now_ms: int) -> None:
    session.run("preference_put", name=name, value=json.dumps(value), now_ms=now_ms)


def remove(session: Session, name: str) -> None:
    """Let the configuration hold again."""
    session.run("preference_remove", name=name)


def keeper_rules(chosen: dict[str, Any], configured: KeeperRules) -> KeeperRules:
    """Those in force under such preferences."""
    changes: dict[str, Any] = {}
    if "keeper.order" in chosen:
        changes["order"] = tuple(map(Criterion, chosen["keeper.order"]))
    if "keeper.prefer_folders" in chosen:
        changes["prefer_folders"] = tuple(map(os.fsencode, chosen["keeper.prefer_folders"]))
    if "keeper.prefer_formats" in chosen:
        changes["prefer_formats"] = tuple(chosen["keeper.prefer_formats"])
    return replace(configured, **changes)


def thresholds(session: Session, configured: Thresholds) -> Thresholds:
    """Those in force."""
    return thresholds_under(all_of(session), configured)


def thresholds_under(chosen: dict[str, Any], configured: Thresholds) -> Thresholds:
    """Those in force under such preferences."""
    changes = {name: chosen[_DEDUPE + name] for name in _THRESHOLDS if _DEDUPE + name in chosen}
    return replace(configured, **changes)
