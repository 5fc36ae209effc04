"""Contents by their id: what they are, what they say of themselves, and small pictures of them."""

from __future__ import annotations

from enum import IntEnum
from typing import Annotated

from fastapi import APIRouter, Header, Query
from starlette.responses import Response

from dropmill.control.desk import Desk
from dropmill.errors import NotFound
from dropmill.web.api.common import Base64, Id, Json, Text, at_once, target_of
from dropmill.web.api.shapes_library import Image, ImagePage, Metadata
from dropmill.web.previews import Previews


class Side(IntEnum):
    """Not a Literal: of a query, which is text, pydantic makes no number for one."""

    SMALL = 320
    LARGE = 1280


def install(api: APIRouter, desk: Desk, previews: Previews) -> None:
    @api.get("/images", summary="What a path or URL holds or held, newest first", response_model=ImagePage)
    async def images(
        source: Annotated[Text | None, Query(description="The whole path of a file, or a URL.")] = None,
        source_b64: Annotated[Base64 | None, Query(description="The same as URL-safe base64 of its bytes.")] = None,
        cursor: Annotated[str | None, Query(description="`next` of the page before.")] = None,
        limit: Annotated[int, Query(ge=1, le=200)] = 50,
    ) -> Response:
        if source is None and source_b64 is None:
            raise NotFound("no source is named", hint="give source or source_b64")
        return at_once(await desk.images(target_of(source, source_b64), cursor, limit))

    @api.get("/images/{image_id:id}", summary="A content, and the files that hold it", response_model=Image)
    async def image(image_id: Id) -> Json:
        return await desk.image(image_id)

    @api.get("/images/{image_id:id}/metadata", summary="What the picture says of itself", response_model=Metadata)
    async def metadata(image_id: Id) -> Json:
        return await desk.image_metadata(image_id)

    @api.get(
        "/images/{image_id:id}/preview",
        summary="A small JPEG of it, upright, made when first asked for",
        response_class=Response,
        responses={200: {"content": {"image/jpeg": {}}}, 304: {"description": "The one that you have is right"}},
    )
    async def preview(
        image_id: Id,
        size: Annotated[Side, Query(description="Longest side in pixels, at most.")] = Side.SMALL,
        if_none_match: Annotated[str | None, Header()] = None,
    ) -> Response:
        return await previews.response(image_id, size, if_none_match)
