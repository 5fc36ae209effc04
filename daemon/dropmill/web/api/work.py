"""Jobs, and what is taken in: what the daemon has to do, and what became of it."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import APIRouter, Query
from pydantic import ConfigDict, Field
from starlette.responses import Response

from dropmill.control.desk import Desk
from dropmill.web.api.common import (
    LARGEST_ID,
    NUMBER,
    Base64,
    Body,
    Id,
    Invalid,
    Target,
    Text,
    at_once,
    bytes_of,
    given,
    path_of,
    target_of,
)
from dropmill.web.api.shapes_work import (
    Added,
    Health,
    Job,
    Paused,
    Queued,
    Reload,
    Retried,
    Status,
    Story,
    UrlsAdded,
)
from dropmill.web.pictures import Pictures

Priority = Annotated[int, Field(ge=1, le=5), NUMBER]
PRIORITY: Final = Field(default=None, description="1 to 5, most urgent; 3 where left out.")
INBOX: Final = Field(default=None, description="Its name; may be left out where there is only one.")
LABEL: Final = Field(default=None, description="A word that names and exports may use.")


class OfInbox(Body):
    """One inbox, or all where it is null."""

    inbox: str | None = Field(default=None, description="Its name.")


class Additions(Body):
    """Files to take in, as text or as URL-safe base64 of their paths' bytes."""

    model_config = ConfigDict(json_schema_extra={"anyOf": [given("paths", minItems=1), given("paths_b64", minItems=1)]})

    paths: list[Text] = Field(default_factory=list, description="Absolute paths, or URLs.")
    paths_b64: list[Base64] = Field(default_factory=list, description="The same as URL-safe base64 of their bytes.")
    inbox: str | None = INBOX
    priority: Priority | None = PRIORITY
    label: str | None = LABEL


class ListedUrl(Body):
    """One line of a list."""

    url: str = Field(description="To be downloaded.")
    line: Annotated[int, NUMBER] = Field(default=0, description="Its number in the list, told again with a refusal.")
    fields: dict[str, str] = Field(default_factory=dict, description="As in a line of a drop-file.")


class UrlAdditions(Body):
    """URLs to download, at most a few thousand at a time."""

    urls: list[ListedUrl] = Field(max_length=10_000, description="In the order of the list.")
    inbox: str | None = INBOX
    priority: Priority | None = PRIORITY
    label: str | None = LABEL


def install(api: APIRouter, desk: Desk, pictures: Pictures) -> None:
    _reads(api, desk, pictures)
    _jobs(api, desk)
    _intake(api, desk)


def _reads(api: APIRouter, desk: Desk, pictures: Pictures) -> None:
    @api.get("/status", summary="State, inboxes, queue, workers, health", response_model=Status)
    async def status() -> Response:
        return at_once(await desk.status())

    @api.get("/health", summary="Every part, with a remedy for each that is not well", response_model=Health)
    async def health() -> Response:
        return at_once(await desk.health())

    @api.get("/jobs", summary="Jobs, newest first", response_model=list[Job])
    async def jobs(
        state: str | None = None,
        inbox: str | None = None,
        limit: Annotated[int, Query(ge=1, le=1000)] = 100,
        before: Annotated[
            int | None, Query(ge=1, le=LARGEST_ID, description="Only jobs with a smaller id, to page on.")
        ] = None,
    ) -> Response:
        return at_once(await desk.jobs(state, inbox, limit, before))

    @api.get("/jobs/{job_id:id}", summary="One job", response_model=Job)
    async def job(job_id: Id) -> Response:
        return at_once(await desk.job(job_id))

    @api.get("/why", summary="The whole life of one file", response_model=Story)
    async def why(target: Text | None = None, target_b64: Base64 | None = None) -> Response:
        return at_once(await desk.why(target_of(target, target_b64)))

    @api.get("/renditions/{rendition_id:id}", summary="The picture itself", response_class=Response)
    async def rendition(rendition_id: Id) -> Response:
        return await pictures.response(rendition_id)


def _jobs(api: APIRouter, desk: Desk) -> None:
    @api.post("/jobs/retry", summary="Try all discarded jobs again", response_model=Retried)
    async def retry_all() -> Response:
        return at_once(await desk.retry_all())

    @api.post("/jobs/{job_id:id}/retry", summary="Try a discarded job again", response_model=Job)
    async def retry(job_id: Id) -> Response:
        return at_once(await desk.retry(job_id))

    @api.post("/jobs/{job_id:id}/cancel", summary="Cancel a job that has not ended", response_model=Job)
    async def cancel(job_id: Id) -> Response:
        return at_once(await desk.cancel(job_id))

    @api.post("/pause", summary="Start no further jobs of an inbox, or of all", response_model=Paused)
    async def pause(of: OfInbox) -> Response:
        return at_once(await desk.pause(of.inbox))

    @api.post("/resume", summary="Start jobs again", response_model=Paused)
    async def resume(of: OfInbox) -> Response:
        return at_once(await desk.resume(of.inbox))

    @api.post(
        "/reload", summary="Apply the configuration as it is in its file now", status_code=202, response_model=Reload
    )
    async def reload() -> Response:
        return at_once(await desk.reload(), 202)

    @api.post("/reprocess", summary="Render again: a file, a job or a whole inbox", response_model=Queued)
    async def reprocess(body: Target) -> Response:
        return at_once(await desk.reprocess(body.bytes_or_text()))


def _intake(api: APIRouter, desk: Desk) -> None:
    @api.post("/add/urls", summary="Take in a lot of a list of URLs", response_model=UrlsAdded)
    async def add_urls(body: UrlAdditions) -> Response:
        return at_once(
            await desk.add_urls([url.model_dump() for url in body.urls], body.inbox, body.priority, body.label)
        )

    @api.post("/add", summary="Take files and URLs in", response_model=Added)
    async def add(body: Additions) -> Response:
        paths: list[str | bytes] = [*map(path_of, body.paths), *map(bytes_of, body.paths_b64)]
        if not paths:
            raise Invalid("no path is named", hint="give paths or paths_b64")
        return at_once(await desk.add(paths, body.inbox, body.priority, body.label))
