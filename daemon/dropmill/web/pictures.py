"""Renditions for the page and the API: only what the catalog knows by its id, opened safely beneath its output (S07)."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from io import FileIO
from typing import Final

from starlette.responses import Response, StreamingResponse

from dropmill.control.desk import Desk
from dropmill.errors import Conflict, NotFound
from dropmill.files.access import open_beneath
from dropmill.files.lane import Lane

MEDIA_TYPES: Final = {"jpeg": "image/jpeg", "png": "image/png", "webp": "image/webp", "avif": "image/avif"}
CHUNK_BYTES: Final = 256 << 10


class Pictures:
    """Each output has a thread of its own, so that one that hangs keeps no other from being looked at (W40)."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._lanes: dict[bytes, Lane] = {}

    async def response(self, rendition_id: int) -> Response:
        """Raises ``NotFound`` for anything but a visible rendition, ``Conflict`` where its file cannot be read."""
        root, name, format_ = await self._desk.rendition_file(rendition_id)
        lane = self._lanes.setdefault(root, Lane("pictures"))
        try:
            file = await lane.call(_open, root, name)
        except FileNotFoundError:
            raise NotFound(
                "the rendition's file is gone", hint="somebody took it away; dropmill reprocess makes it again"
            ) from None
        except (OSError, ValueError) as error:
            why = error.strerror if isinstance(error, OSError) else "its name leads elsewhere"
            raise Conflict(f"the rendition cannot be read: {why}", hint="check the output folder") from None
        headers = {
            "content-length": str(os.fstat(file.fileno()).st_size),
            # The bytes of an id never change: a new version of a picture has a new id.
            "cache-control": "private, max-age=604800, immutable",
            "content-security-policy": "default-src 'none'; sandbox",
        }
        return StreamingResponse(
            _chunks(lane, file),
            headers=headers,
            media_type=MEDIA_TYPES.get(format_, "application/octet-stream"),
        )

    def close(self) -> None:
        for lane in self._lanes.values():
            lane.close()


def _open(root: bytes, name: bytes) -> FileIO:
    return FileIO(open_beneath(root, name))


async def _chunks(lane: Lane, file: FileIO) -> AsyncIterator[bytes]:
    # A reader that goes away before the first chunk leaves the closing to the file object's own end.
    with file:
        while chunk := await lane.call(file.read, CHUNK_BYTES):
            yield chunk
