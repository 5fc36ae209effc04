"""The application: routes, errors and the gate before them."""

from __future__ import annotations

from fastapi import FastAPI
from starlette.types import ASGIApp

from dropmill import __version__
from dropmill.control.desk import Desk
from dropmill.observe.metrics import Metrics
from dropmill.web import api, health, page, problem
from dropmill.web.access import Access
from dropmill.web.gate import Gate
from dropmill.web.pictures import Pictures


def build(desk: Desk, metrics: Metrics, pictures: Pictures, access: Access, base_path: str) -> ASGIApp:
    """An ASGI application. ``base_path``: the prefix under which a proxy shows it, or empty."""
    app = FastAPI(
        title="dropmill",
        version=__version__,
        summary="What became of each picture, and what to do about it.",
        openapi_url="/api/v1/openapi.json",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    problem.install(app)
    health.install(app, desk, metrics)
    app.include_router(api.router(desk, pictures))
    pages = page.Pages(desk, access, base_path)
    pages.install(app)
    return Gate(app, access, base_path, pages.login)
