"""The application: routes, errors and the gate before them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from fastapi import FastAPI
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp

from dropmill import __version__
from dropmill.control.desk import Desk
from dropmill.observe.facts import Emit
from dropmill.observe.metrics import Metrics
from dropmill.settings import Http
from dropmill.web import api, health, page, problem
from dropmill.web.access import Access
from dropmill.web.checkpoint import Checkpoint
from dropmill.web.clients import Clients
from dropmill.web.events import Events
from dropmill.web.gate import Gate
from dropmill.web.pictures import Pictures
from dropmill.web.previews import Previews

_ABOUT: Final = """\
Errors are problems (RFC 9457) with a stable `reason` and a `hint`. Ids stand for files; the only paths that are taken are
folders to index and to move to, below `library_roots`, and files to take in.

`GET /api/v1/events` is a stream of server-sent events without end, which is why it is not in this document; docs/api.md
tells of it.
"""


@dataclass(frozen=True, slots=True)
class Served:
    """What routes need beside the desk."""

    pictures: Pictures
    previews: Previews
    events: Events


def build(
    desk: Desk, metrics: Metrics, served: Served, access: Access, settings: Http, clients: Clients, emit: Emit
) -> ASGIApp:
    """An ASGI application."""
    app = FastAPI(
        title="dropmill",
        version=__version__,
        summary="What became of each picture, and what to do about it.",
        description=_ABOUT,
        openapi_url="/api/v1/openapi.json",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    routes = api.router(desk, served.pictures, served.previews, served.events)
    problem.install(app, lambda path: _methods([*routes.routes, *app.routes], path))
    health.install(app, desk, metrics)
    app.include_router(routes)
    _describe(app, token_needed=bool(access.token))
    pages = page.Pages(desk, access, settings.base_path)
    pages.install(app)
    clock = desk.house.clock
    checkpoint = Checkpoint(access, settings, clock, pages.login, pages.login_later)
    return Gate(app, settings, clients, checkpoint, clock, emit)


def _methods(routes: Sequence[BaseRoute], path: str) -> list[str]:
    """All that any route of this path takes; a single route knows only of its own."""
    found: set[str] = set()
    for route in routes:
        if isinstance(route, Route) and route.path_regex.match(path):
            found |= route.methods or set()
    return sorted(found)


def _describe(app: FastAPI, *, token_needed: bool) -> None:
    """The OpenAPI document, with the shape of problems, to which every route refers, and with the token, if one is."""
    made = app.openapi

    def openapi() -> dict[str, Any]:
        document = made()
        components = document.setdefault("components", {})
        components.setdefault("schemas", {})["Problem"] = problem.Problem.model_json_schema()
        if token_needed:
            components["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
            document["security"] = [{"token": []}]
        return document

    app.openapi = openapi  # type: ignore[method-assign]  # As FastAPI documents it for extending the document.
