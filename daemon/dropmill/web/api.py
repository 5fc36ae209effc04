"""``/api/v1``: what the desk can tell and do, as JSON."""

from __future__ import annotations

import base64
import binascii
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from dropmill.control.desk import Desk
from dropmill.errors import DropmillError
from dropmill.web.pictures import Pictures
from dropmill.web.problem import MEDIA_TYPE

Json = dict[str, Any]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class OfInbox(_Body):
    """One inbox, or all where it is null."""

    inbox: str | None = None


class Target(_Body):
    """A file, a job or an inbox: as text, or as URL-safe base64 of a path's bytes."""

    target: str | None = None
    target_b64: str | None = None


class Additions(_Body):
    """Files to take in, as text or as URL-safe base64 of their paths' bytes."""

    paths: list[str] = Field(default_factory=list)
    paths_b64: list[str] = Field(default_factory=list)
    inbox: str | None = None
    priority: int | None = Field(default=None, ge=1, le=5)
    label: str | None = None


class ListedUrl(_Body):
    """``line``: its number in the list, told again with a refusal. ``fields``: as in a line of a drop-file."""

    url: str
    line: int = 0
    fields: dict[str, str] = Field(default_factory=dict)


class UrlAdditions(_Body):
    """URLs to download, at most a few thousand at a time."""

    urls: list[ListedUrl] = Field(max_length=10_000)
    inbox: str | None = None
    priority: int | None = Field(default=None, ge=1, le=5)
    label: str | None = None


class Invalid(DropmillError):
    """The request cannot be understood."""

    reason = "invalid-request"


_PROBLEMS: dict[int | str, dict[str, Any]] = {
    code: {"description": description, "content": {MEDIA_TYPE: {}}}
    for code, description in (
        (401, "A token is needed"),
        (403, "Host or origin refused"),
        (404, "Not known"),
        (409, "Does not fit the present state"),
        (422, "Cannot be understood"),
    )
}


def router(desk: Desk, pictures: Pictures) -> APIRouter:
    api = APIRouter(prefix="/api/v1", responses=_PROBLEMS)
    _reads(api, desk, pictures)
    _changes(api, desk)
    return api


def _reads(api: APIRouter, desk: Desk, pictures: Pictures) -> None:
    @api.get("/status", summary="State, inboxes, queue, workers, health")
    async def status() -> Json:
        return await desk.status()

    @api.get("/health", summary="Every part, with a remedy for each that is not well")
    async def health() -> Json:
        return await desk.health()

    @api.get("/jobs", summary="Jobs, newest first")
    async def jobs(
        state: str | None = None,
        inbox: str | None = None,
        limit: Annotated[int, Query(ge=1, le=1000)] = 100,
        before: Annotated[int | None, Query(description="Only jobs with a smaller id, to page on.")] = None,
    ) -> list[Json]:
        return await desk.jobs(state, inbox, limit, before)

    @api.get("/jobs/{job_id}", summary="One job")
    async def job(job_id: int) -> Json:
        return await desk.job(job_id)

    @api.get("/why", summary="The whole life of one file")
    async def why(target: str | None = None, target_b64: str | None = None) -> Json:
        return await desk.why(_target(target, target_b64))

    @api.get("/renditions/{rendition_id}", summary="The picture itself", response_class=Response)
    async def rendition(rendition_id: int) -> Response:
        return await pictures.response(rendition_id)


def _changes(api: APIRouter, desk: Desk) -> None:
    @api.post("/jobs/retry", summary="Try all discarded jobs again")
    async def retry_all() -> Json:
        return await desk.retry_all()

    @api.post("/jobs/{job_id}/retry", summary="Try a discarded job again")
    async def retry(job_id: int) -> Json:
        return await desk.retry(job_id)

    @api.post("/jobs/{job_id}/cancel", summary="Cancel a job that has not ended")
    async def cancel(job_id: int) -> Json:
        return await desk.cancel(job_id)

    @api.post("/pause", summary="Start no further jobs of an inbox, or of all")
    async def pause(of: OfInbox) -> Json:
        return await desk.pause(of.inbox)

    @api.post("/resume", summary="Start jobs again")
    async def resume(of: OfInbox) -> Json:
        return await desk.resume(of.inbox)

    @api.post("/reload", summary="Apply the configuration as it is in its file now", status_code=202)
    async def reload() -> Json:
        return await desk.reload()

    @api.post("/reprocess", summary="Render again: a file, a job or a whole inbox")
    async def reprocess(body: Target) -> Json:
        return await desk.reprocess(_target(body.target, body.target_b64))

    @api.post("/add/urls", summary="Take in a lot of a list of URLs")
    async def add_urls(body: UrlAdditions) -> Json:
        return await desk.add_urls([url.model_dump() for url in body.urls], body.inbox, body.priority, body.label)

    @api.post("/add", summary="Take files and URLs in")
    async def add(body: Additions) -> Json:
        paths: list[str | bytes] = [*body.paths, *map(_bytes, body.paths_b64)]
        if not paths:
            raise Invalid("no path is named", hint="give paths or paths_b64")
        return await desk.add(paths, body.inbox, body.priority, body.label)


def _target(text: str | None, encoded: str | None) -> str | bytes:
    if encoded is not None:
        return _bytes(encoded)
    if not text:
        raise Invalid("no target is named", hint="give target or target_b64")
    return text


def _bytes(encoded: str) -> bytes:
    """Padding may be left out."""
    try:
        data = base64.b64decode(encoded + "=" * (-len(encoded) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise Invalid("this is no URL-safe base64", hint="encode the bytes of the path") from None
    if not data or b"\0" in data:
        raise Invalid("this is no path", hint="a path is not empty and has no zero byte")
    return data
