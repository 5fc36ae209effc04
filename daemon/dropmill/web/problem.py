"""Errors as ``application/problem+json`` (RFC 9457), with the stable reason and the hint of ``DropmillError``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from http import HTTPStatus
from typing import Any, Final

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response

from dropmill.errors import Conflict, DropmillError, Forbidden, NotFound, Refused

MEDIA_TYPE: Final = "application/problem+json"


class Problem(BaseModel):
    """What went wrong, and what can be done about it (RFC 9457)."""

    type: str = Field(description="Always about:blank: `reason` tells the kinds apart.")
    title: str = Field(description="The status in words.")
    status: int = Field(description="As in the first line of the answer.")
    detail: str = Field(description="What went wrong, in one sentence.")
    reason: str = Field(description="Stable code, lower case with hyphens.")
    hint: str = Field(description="What can be done about it; empty where there is nothing.")
    retryable: bool | None = Field(default=None, description="Whether the same request may succeed later.")
    findings: list[str] | None = Field(default=None, description="Everything that is wrong with a configuration.")
    errors: list[dict[str, str]] | None = Field(default=None, description="Each `where` and `what` of a 422.")


PROBLEMS: Final[dict[int | str, dict[str, Any]]] = {
    code: {
        "description": description,
        "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }
    for code, description in (
        (400, "Not even HTTP, or no JSON"),
        (401, "A token is needed"),
        (403, "Host, origin or folder refused"),
        (404, "Not known"),
        (405, "Not with this method"),
        (409, "Does not fit the present state"),
        (413, "Too long"),
        (414, "Too long an address"),
        (422, "Cannot be understood"),
        (429, "Too often, or too many wrong tokens; Retry-After says when to ask again"),
        (431, "Too many headers"),
        (503, "Not at the moment; `retryable` is true"),
    )
}
"""What any request may be answered with, as the OpenAPI document tells it."""


def body_of(status: int, detail: str, *, reason: str, hint: str = "") -> dict[str, Any]:
    return {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "reason": reason,
        "hint": hint,
    }


def problem(status: int, detail: str, *, reason: str, hint: str = "", **more: Any) -> Response:
    return JSONResponse(body_of(status, detail, reason=reason, hint=hint) | more, status, media_type=MEDIA_TYPE)


def status_of(error: DropmillError) -> int:
    if isinstance(error, NotFound):
        return HTTPStatus.NOT_FOUND
    if isinstance(error, Forbidden):
        return HTTPStatus.FORBIDDEN
    if isinstance(error, Conflict):
        return HTTPStatus.CONFLICT
    if error.reason == "invalid-request":
        return HTTPStatus.UNPROCESSABLE_ENTITY
    return HTTPStatus.SERVICE_UNAVAILABLE if error.retryable else HTTPStatus.INTERNAL_SERVER_ERROR


def install(app: FastAPI, methods: Callable[[str], Sequence[str]]) -> None:
    """Every error of the application answers in this form. ``methods``: those that a path takes."""

    @app.exception_handler(DropmillError)
    async def known(_request: Request, error: DropmillError) -> Response:
        more = {"findings": list(error.findings)} if isinstance(error, Refused) else {}
        return problem(
            status_of(error),
            error.public_message,
            reason=error.reason,
            hint=error.hint,
            retryable=error.retryable,
            **more,
        )

    @app.exception_handler(RequestValidationError)
    async def invalid(_request: Request, error: RequestValidationError) -> Response:
        errors = [{"where": ".".join(map(str, item["loc"])), "what": item["msg"]} for item in error.errors()]
        said = "; ".join(f"{item['where']}: {item['what']}" for item in errors)
        return problem(422, said, reason="invalid-request", hint="see /api/v1/openapi.json", errors=errors)

    @app.exception_handler(HTTPException)
    async def http(request: Request, error: HTTPException) -> Response:
        reason = {404: "not-found", 405: "method-not-allowed"}.get(error.status_code, "http")
        response = problem(error.status_code, str(error.detail), reason=reason)
        response.headers.update(error.headers or {})
        if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
            response.headers["allow"] = ", ".join(methods(request.scope["path"]))
        return response

    @app.exception_handler(Exception)
    async def unexpected(_request: Request, _error: Exception) -> Response:
        # The server logs the exception itself; a stranger learns nothing of our insides.
        return problem(500, "something went wrong inside dropmill", reason="unexpected", hint="look at the log")
