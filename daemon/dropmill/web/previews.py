"""Previews for the page and the API: a browser keeps them, and asks whether they are still right."""

from __future__ import annotations

from io import FileIO
from typing import Final

from starlette.responses import Response

from dropmill.control.desk import Desk
from dropmill.errors import Unavailable
from dropmill.files.access import open_beneath
from dropmill.files.lane import Lane

# An id of an image always means the same bytes; the recipe of previews may change with another version of dropmill.
_CACHING: Final = "private, max-age=86400"


class Previews:
    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._lane: Lane | None = None

    async def response(self, image_id: int, side: int, if_none_match: str | None) -> Response:
        """Raises what ``Desk.preview_file`` does."""
        file = await self._desk.preview_file(image_id, side)
        tag = f'"{file.tag}"'
        headers = {"cache-control": _CACHING, "etag": tag}
        if if_none_match is not None and (tag in if_none_match or if_none_match.strip() == "*"):
            return Response(None, 304, headers)
        if self._lane is None:
            self._lane = Lane("preview files")
        try:
            data = await self._lane.call(_read, file.folder, file.name)
        except OSError as error:
            raise Unavailable(f"the preview cannot be read: {error.strerror}", hint="ask again in a moment") from error
        headers["content-security-policy"] = "default-src 'none'; sandbox"
        return Response(data, 200, headers, media_type="image/jpeg")

    def close(self) -> None:
        if self._lane is not None:
            self._lane.close()


def _read(folder: bytes, name: bytes) -> bytes:
    with FileIO(open_beneath(folder, name)) as file:
        return file.readall()
