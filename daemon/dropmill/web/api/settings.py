"""The configuration in force, what of it can be changed while the daemon runs, and how the last day went."""

from __future__ import annotations

import json
from typing import Annotated

from fastapi import APIRouter
from pydantic import AfterValidator, Field, JsonValue
from starlette.responses import Response

from dropmill.control.desk import Desk
from dropmill.web.api.common import Body, Json, at_once
from dropmill.web.api.shapes_house import Effective, History, KeeperPreview, Preference, PreferencesPreview


def _plain(value: JsonValue) -> JsonValue:
    """What JSON can carry back: Python also reads NaN, and half a character."""
    json.dumps(value, allow_nan=False).encode()
    return value


Value = Annotated[JsonValue, AfterValidator(_plain)]


class Changes(Body):
    preferences: dict[str, Value] = Field(
        max_length=100, description="New values by name, as GET /settings lists them; null: as configured."
    )


class Rules(Body):
    rules: dict[str, Value] = Field(max_length=100, description="As in the table [keeper] of the configuration.")


def install(api: APIRouter, desk: Desk) -> None:
    @api.get("/settings", summary="Each value, and where it came from", response_model=Effective)
    async def settings() -> Json:
        return await desk.settings()

    @api.put(
        "/settings",
        summary="Change preferences; the configuration itself is changed in its file",
        response_model=list[Preference],
    )
    async def change(body: Changes) -> list[Json]:
        return await desk.set_preferences(body.preferences)

    @api.post("/settings/preview", summary="What other preferences would change", response_model=PreferencesPreview)
    async def preview(body: Changes) -> Json:
        return await desk.preview_preferences(body.preferences)

    @api.post("/keeper/preview", summary="What other rules would keep", response_model=KeeperPreview)
    async def keeper_preview(body: Rules) -> Json:
        return await desk.keeper_preview(body.rules)

    @api.get("/history", summary="The last day, minute by minute", response_model=History)
    async def history() -> Response:
        return at_once(await desk.history())
