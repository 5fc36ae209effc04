"""Webhooks: how each stands, and what a person can do about one."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path
from starlette.responses import Response

from dropmill.control.desk import Desk
from dropmill.web.api.common import at_once
from dropmill.web.api.shapes_webhooks import Forgotten, Resent, Tested, Webhook

Name = Annotated[str, Path(min_length=1, max_length=64, description="As the configuration calls it.")]


def install(api: APIRouter, desk: Desk) -> None:
    @api.get("/webhooks", summary="Webhooks, and what they could not be told", response_model=list[Webhook])
    async def webhooks() -> Response:
        return at_once(await desk.webhooks())

    @api.post("/webhooks/{name}/enable", summary="Take up a webhook that was disabled", response_model=Webhook)
    async def enable(name: Name) -> Response:
        return at_once(await desk.enable_webhook(name))

    @api.post("/webhooks/{name}/retry", summary="Send its dead letters again", response_model=Resent)
    async def retry(name: Name) -> Response:
        return at_once(await desk.retry_webhook(name))

    @api.post("/webhooks/{name}/forget", summary="Let go what it could not be told", response_model=Forgotten)
    async def forget(name: Name) -> Response:
        return at_once(await desk.forget_webhook(name))

    @api.post(
        "/webhooks/{name}/test", summary="Send it a signed test event, and tell the answer", response_model=Tested
    )
    async def test(name: Name) -> Response:
        return at_once(await desk.test_webhook(name))
