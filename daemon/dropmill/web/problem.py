"""Errors as ``application/problem+json`` (RFC 9457), with the stable reason and the hint of ``DropmillError``."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any, Final

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response

from dropmill.errors import Conflict, DropmillError, NotFound, Refused

MEDIA_TYPE: Final = "application/problem+json"


def problem(status: int, detail: str, *, reason: str, hint: str = "", **more: Any) -> Response:
    body: dict[str, Any] = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "reason": reason,
        "hint": hint,
    }
    return JSONResponse(body | more, status, media_type=MEDIA_TYPE)


def status_of(error: DropmillError) -> int:
    if isinstance(error, NotFound):
        return HTTPStatus.NOT_FOUND
    if isinstance(error, Conflict):
        return HTTPStatus.CONFLICT
    if error.reason == "invalid-request":
        return HTTPStatus.UNPROCESSABLE_ENTITY
    return HTTPStatus.SERVICE_UNAVAILABLE if error.retryable else HTTPStatus.INTERNAL_SERVER_ERROR


def install(app: FastAPI) -> None:
    """Every error of the application answers in this form."""

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
    async def http(_request: Request, error: HTTPException) -> Response:
        reason = {404: "not-found", 405: "method-not-allowed"}.get(error.status_code, "http")
        response = problem(error.status_code, str(error.detail), reason=reason)
        response.headers.update(error.headers or {})
        return response

    @app.exception_handler(Exception)
    async def unexpected(_request: Request, _error: Exception) -> Response:
        # The server logs the exception itself; a stranger learns nothing of our insides.
        return problem(500, "something went wrong inside dropmill", reason="unexpected", hint="look at the log")
