"""The pages: rendered here as far as they are text, kept fresh or filled by small scripts."""

from __future__ import annotations

import base64
import hashlib
import re
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
from dropmill.web.access import Access
from dropmill.web.checkpoint import cookies
from dropmill.web.clients import CLIENT, Client
from dropmill.web.problem import status_of
from dropmill.web.sessions import SESSION_SECONDS

RECENT: Final = 60
RECENT_DISCARDED: Final = 20
# Those that a script fills from the API, by their path; the status page is rendered here.
FILLED: Final = {"/review": "review", "/jobs": "jobs", "/scan": "scan", "/settings": "settings"}
PAGE_PATH: Final = re.compile(r"/|/review(/[1-9][0-9]{0,17})?|/jobs|/scan|/settings")
# What browsers send as it is; all else comes percent-encoded.
_QUERY: Final = re.compile(r"[!$-;=?-~]{0,2000}", re.ASCII)
_TYPES: Final = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
_POLICY: Final = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_IMPORT: Final = re.compile(r'^import[^"]*"\./([a-z-]+\.js)"|^\} from "\./([a-z-]+\.js)"', re.MULTILINE)


@cache
def _text(folder: str, name: str) -> str:
    return (files("dropmill.web") / folder / name).read_text("utf-8")


@cache
def _assets() -> dict[str, str]:
    """The media type of each file that is served, by its name."""
    names = sorted(entry.name for entry in (files("dropmill.web") / "static").iterdir())
    return {name: kind for name in names for suffix, kind in _TYPES.items() if name.endswith(suffix)}


@cache
def _version() -> str:
    """Part of the path of every asset, so that browsers may keep them for ever, modules that import one another too."""
    return hashlib.sha256("\0".join(_text("static", name) for name in _assets()).encode()).hexdigest()[:12]


@cache
def _modules(name: str) -> tuple[str, ...]:
    """What a script imports, itself included: told in the page's head, they are fetched together, not one by one."""
    found: dict[str, None] = {name: None}
    waiting = [name]
    while waiting:
        for match in _IMPORT.finditer(_text("static", waiting.pop())):
            one = match[1] or match[2]
            if one not in found:
                found[one] = None
                waiting.append(one)
    return tuple(found)


def _breakable(path: str) -> Markup:
    """Long paths may break after their slashes."""
    return Markup("/<wbr>").join(path.split("/"))


def _page_of_ours(wanted: str) -> str:
    """A page with its query, as it is asked for; ``/`` for whatever else a form may name, another site above all."""
    path, mark, query = wanted.partition("?")
    if not PAGE_PATH.fullmatch(path):
        return "/"
    return f"{path}{mark}{query}" if _QUERY.fullmatch(query) else path


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
        self._templates.filters["modules"] = _modules
        assets = f"{base_path}/static/{_version()}"
        self._templates.globals |= {"base": base_path, "assets": assets, "token_needed": bool(access.token)}
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
            *((path, self._filled, "GET") for path in FILLED),
            ("/review/{group}", self._filled, "GET"),
            ("/static/{name}", self._static, "GET"),
            ("/static/{version}/{name}", self._static, "GET"),
            ("/act/{verb}", self._act, "POST"),
            ("/login", self._sign_in, "POST"),
            ("/logout", self._sign_out, "POST"),
        ):
            app.add_route(path, endpoint, methods=[method], include_in_schema=False)

    async def login(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The form, as an ASGI application: the answer to a browser without a token."""
        query = scope["query_string"].decode("latin-1")
        wanted = scope["path"] + (f"?{query}" if query else "")
        await self._login_form("", wanted)(scope, receive, send)

    def login_later(self, seconds: int) -> Response:
        """The form, for whoever has sent too many wrong tokens."""
        form = self._login_form(f"Too many wrong tokens. Try again in {seconds} s.", "/", 429)
        form.headers["retry-after"] = str(seconds)
        return form

    def _login_form(self, notice: str, wanted: str, status: int = 401) -> Response:
        text = self._templates.get_template("login.html").render(style=self._login_style, notice=notice, wanted=wanted)
        headers = {"content-security-policy": self._login_policy, "www-authenticate": 'Bearer realm="dropmill"'}
        return Response(text, status, headers, media_type="text/html")

    async def _view(self) -> dict[str, Any]:
        completed = await self._desk.jobs("completed", None, RECENT)
        discarded = await self._desk.jobs("discarded", None, RECENT_DISCARDED)
        return view.page(await self._desk.status(), completed + discarded)

    async def _render(self, template: str, status: int = 200, notice: DropmillError | None = None) -> Response:
        return self._html(template, status, **await self._view(), notice=notice, here="status")

    def _html(self, template: str, status: int = 200, **values: Any) -> Response:
        text = self._templates.get_template(template).render(values)
        return Response(text, status, {"content-security-policy": _POLICY}, media_type="text/html")

    async def _page(self, _request: Request) -> Response:
        return await self._render("page.html")

    async def _fragment(self, _request: Request) -> Response:
        return await self._render("fragment.html")

    async def _filled(self, request: Request) -> Response:
        path = request.url.path.removeprefix(self._base_path)
        if not PAGE_PATH.fullmatch(path):
            return Response("not found", 404, media_type="text/plain")
        name = FILLED["/" + path.split("/")[1]]
        return self._html(f"{name}.html", here=name, group=request.path_params.get("group", ""))

    async def _static(self, request: Request) -> Response:
        name = request.path_params["name"]
        if name not in _assets():
            return Response("not found", 404, media_type="text/plain")
        current = request.path_params.get("version") == _version()
        kept = "public, max-age=31536000, immutable" if current else "no-cache"
        return Response(_text("static", name), 200, {"cache-control": kept}, media_type=_assets()[name])

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
        wanted = _page_of_ours(form.get("wanted", [""])[0])
        if not self._access.token_matches(form.get("token", [""])[0].strip()):
            return self._login_form("That is not the token.", wanted)
        response = RedirectResponse(f"{self._base_path}{wanted}", 303)
        client: Client = request.scope[CLIENT]
        response.set_cookie(
            self._access.sessions.cookie,
            self._access.sessions.begin(self._desk.house.clock.now_ms()),
            max_age=SESSION_SECONDS,
            path=self._base_path or "/",
            httponly=True,
            samesite="strict",
            # A proxy that is not named tells nothing, but the browser says where it is.
            secure=client.https or request.headers.get("origin", "").startswith("https://"),
        )
        return response

    async def _sign_out(self, request: Request) -> Response:
        now_ms = self._desk.house.clock.now_ms()
        sessions = self._access.sessions
        session = sessions.known(cookies(request.headers).get(sessions.cookie, ""), now_ms)
        if session:
            sessions.end(session)
        response = RedirectResponse(f"{self._base_path}/", 303)
        response.delete_cookie(sessions.cookie, path=self._base_path or "/", httponly=True, samesite="strict")
        return response
