"""Libraries that are catalogued in place, and what is forgotten again."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import ConfigDict, Field
from starlette.responses import Response

from dropmill.control.desk import Desk
from dropmill.web.api.common import (
    NUMBER,
    Base64,
    Body,
    Flag,
    Id,
    Invalid,
    Json,
    Target,
    Text,
    at_once,
    bytes_of,
    given,
    path_of,
)
from dropmill.web.api.shapes_library import Begun, Forgotten, RefusedPage, Scan

Workers = Annotated[int, Field(ge=0, le=1024), NUMBER]


class Indexing(Body):
    model_config = ConfigDict(
        json_schema_extra={
            "anyOf": [
                given("folders", minItems=1),
                given("folders_b64", minItems=1),
                {"required": ["rehash"], "properties": {"rehash": {"const": True}}},
            ]
        }
    )

    folders: list[Text] = Field(default_factory=list, max_length=100, description="Below one of `library_roots`.")
    folders_b64: list[Base64] = Field(
        default_factory=list, max_length=100, description="The same as URL-safe base64 of their bytes."
    )
    workers: Workers | None = Field(
        default=None, description="Files that are read at a time, at most; 0: as configured."
    )
    rehash: Flag = Field(default=False, description="Measure anew what an older recipe has measured.")


def install(api: APIRouter, desk: Desk) -> None:
    @api.post("/index", summary="Catalogue libraries in place", status_code=202, response_model=Begun)
    async def index(body: Indexing) -> Json:
        folders: list[str | bytes] = [*map(path_of, body.folders), *map(bytes_of, body.folders_b64)]
        if not folders and not body.rehash:
            raise Invalid("no folder is named", hint="give folders or folders_b64")
        return await desk.index(folders, body.workers, body.rehash)

    @api.get("/index", summary="Runs over libraries, newest first", response_model=list[Scan])
    async def scans() -> list[Json]:
        return await desk.scans()

    @api.get("/refused", summary="Files of libraries that could not be catalogued, and why", response_model=RefusedPage)
    async def refused(
        cursor: Annotated[str | None, Query(description="`next` of the page before.")] = None,
        limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    ) -> Response:
        return at_once(await desk.refused(cursor, limit))

    @api.get("/index/{scan_id:id}", summary="How far one run is", response_model=Scan)
    async def scan(scan_id: Id) -> Json:
        return await desk.scan(scan_id)

    @api.post("/index/{scan_id:id}/cancel", summary="End a run; what is catalogued stays", response_model=Scan)
    async def cancel(scan_id: Id) -> Json:
        return await desk.cancel_scan(scan_id)

    @api.post("/forget", summary="Take an image and its hashes from the catalog", response_model=Forgotten)
    async def forget(body: Target) -> Json:
        return await desk.forget(body.bytes_or_text())
