"""``/api/v1``: what the desk can tell and do, as JSON; events as they happen; pictures by their id."""

from __future__ import annotations

from fastapi import APIRouter

from dropmill.control.desk import Desk
from dropmill.web.api import groups, images, index, settings, webhooks, work
from dropmill.web.api.common import PROBLEMS
from dropmill.web.events import Events
from dropmill.web.pictures import Pictures
from dropmill.web.previews import Previews


def router(desk: Desk, pictures: Pictures, previews: Previews, events: Events) -> APIRouter:
    api = APIRouter(prefix="/api/v1", responses=PROBLEMS)
    work.install(api, desk, pictures)
    groups.install(api, desk)
    index.install(api, desk)
    images.install(api, desk, previews)
    settings.install(api, desk)
    webhooks.install(api, desk)
    events.install(api)
    return api
