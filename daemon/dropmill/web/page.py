"""The status page: rendered here, kept fresh by a small script, complete without one."""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from importlib.resources import files
from typing import Any, Final
from urllib.parse import parse_qs

from fastapi import FastAPI
from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.types import Receive, Scope, Send

from dropmill.control.desk import Desk
from dropmill.errors import DropmillError
from dropmill.web import view
from dropmill.web.access import COOKIE, Access
from dropmill.web.problem import status_of

RECENT: Final = 60
RECENT_DISCARDED: Final = 20
COOKIE_SECONDS: Final = 30 * 24 * 3600
_STATIC_TYPES: Final = {
    "page.css": "text/css; charset=utf-8",
    "page.js": "text/javascript; charset=utf-8",
    "icon.svg": "image/svg+xml",
}
_POLICY: Final = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)


@cache
def _text(folder: str, name: str) -> str:
    return (files("dropmill.web") / folder / name).read_text("utf-8")


def _breakable(path: str) -> Markup:
    """Long paths may break after their slashes."""
    return Markup("/<wbr>").join(path.split("/"))


class Pages:
    def __init__(self, desk: Desk, access: Access, base_path: str) -> None:
        self._desk = desk
        self._access = access
        self._base_path = base_path
        self._templates = Environment(
            loader=FunctionLoader(lambda name: _text("templates", name)),
            autoescape=True,
            trim_blocks=True,
            lstrip_blocks=True,
            undefined=StrictUndefined,
        )
        self._templates.filters["breakable"] = _breakable
        version = hashlib.sha256("".join(_text("static", name) for name in _STATIC_TYPES).encode()).hexdigest()[:12]
        self._templates.globals |= {"base": base_path, "assets": version, "token_needed": bool(access.token)}
        self._login_style = _text("templates", "login.css")
        digest = base64.b64encode(hashlib.sha256(self._login_style.encode()).digest()).decode()
        self._login_policy = (
            f"default-src 'none'; style-src 'sha256-{digest}'; form-action 'self'; base-uri 'none'; "
            "frame-ancestors 'none'"
        )

    def install(self, app: FastAPI) -> None:
        for path, endpoint, method in (
            ("/", self._page, "GET"),
            ("/fragment", self._fragment, "GET"),
            ("/static/{name}", self._static, "GET"),
            ("/act/{verb}", self._act, "POST"),
            ("/login", self._sign_in, "POST"),
            ("/logout", self._sign_out, "POST"),
        ):
            app.add_route(path, endpoint, methods=[method], include_in_schema=False)

    async def login(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The form, as an ASGI application: the answer to a browser without a token."""
        await self._login_form("")(scope, receive, send)

    def _login_form(self, notice: str) -> Response:
        text = self._templates.get_template("login.html").render(style=self._login_style, notice=notice)
        headers = {"content-security-policy": self._login_policy, "www-authenticate": 'Bearer realm="dropmill"'}
        return Response(text, 401, headers, media_type="text/html")

    async def _view(self) -> dict[str, Any]:
        completed = await self._desk.jobs("completed", None, RECENT)
        discarded = await self._desk.jobs("discarded", None, RECENT_DISCARDED)
        return view.page(await self._desk.status(), completed + discarded)

    async def _render(self, template: str, status: int = 200, notice: DropmillError | None = None) -> Response:
        text = self._templates.get_template(template).render(await self._view(), notice=notice)
        return Response(text, status, {"content-security-policy": _POLICY}, media_type="text/html")

    async def _page(self, _request: Request) -> Response:
        return await self._render("page.html")

    async def _fragment(self, _request: Request) -> Response:
        return await self._render("fragment.html")

    async def _static(self, request: Request) -> Response:
        name = request.path_params["name"]
        if name not in _STATIC_TYPES:
            return Response("not found", 404, media_type="text/plain")
        headers = {"cache-control": "public, max-age=31536000, immutable"}
        return Response(_text("static", name), 200, headers, media_type=_STATIC_TYPES[name])

    async def _act(self, request: Request) -> Response:
        """The page's buttons, which are forms: done, and back to the page."""
        form = parse_qs((await request.body()).decode("utf-8", "replace"))
        inbox = form.get("inbox", [""])[0] or None
        job = form.get("job", [""])[0]
        try:
            match request.path_params["verb"]:
                case "pause":
                    await self._desk.pause(inbox)
                case "resume":
                    await self._desk.resume(inbox)
                case "retry" if job.isdecimal():
                    await self._desk.retry(int(job))
                case "retry-all":
                    await self._desk.retry_all()
                case _:
                    return Response("not found", 404, media_type="text/plain")
        except DropmillError as error:
            return await self._render("page.html", status_of(error), error)
        return RedirectResponse(f"{self._base_path}/", 303)

    async def _sign_in(self, request: Request) -> Response:
        form = parse_qs((await request.body()).decode("utf-8", "replace"))
        if not self._access.token_matches(form.get("token", [""])[0].strip()):
            return self._login_form("That is not the token.")
        response = RedirectResponse(f"{self._base_path}/", 303)
        response.set_cookie(
            COOKIE,
            self._access.cookie,
            max_age=COOKIE_SECONDS,
            path=self._base_path or "/",
            httponly=True,
            samesite="strict",
            secure=request.headers.get("x-forwarded-proto") == "https",
        )
        return response

    async def _sign_out(self, _request: Request) -> Response:
        response = RedirectResponse(f"{self._base_path}/", 303)
        response.delete_cookie(COOKIE, path=self._base_path or "/", httponly=True, samesite="strict")
        return response
