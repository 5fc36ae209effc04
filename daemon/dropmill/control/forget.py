"""Forget: an image and its hashes leave the catalog, and no file is touched."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from functools import partial
from typing import Any, Final

from dropmill.control import places
from dropmill.control.describe import joined
from dropmill.control.house import House
from dropmill.control.places import Place
from dropmill.errors import Conflict, DropmillError, NotFound
from dropmill.files import previews
from dropmill.model.file import shown
from dropmill.model.url import is_url
from dropmill.observe.facts import Forgotten, StateTrouble
from dropmill.store import forgetting, scans, views

Json = dict[str, Any]

_DIGEST: Final = re.compile(r"[0-9a-f]{8,64}")


async def forget(house: House, target: str | bytes) -> Json:
    """``{image, sha256, files: [path], renditions: [path], notes: [text]}``: what is not known any more, and stays.

    Raises ``NotFound`` for what is not catalogued, and ``Conflict`` for a folder, for several images, and while anything
    of the image is still to be done.
    """
    image_id = await _image(house, os.fsdecode(target) if isinstance(target, bytes) else target)
    known = await house.catalog.read(lambda session: forgetting.known(session, image_id))
    if known is None:
        raise NotFound("it was forgotten at this moment", hint="there is nothing left to do")
    sources = [(row["root_id"], row["root_path"], row["rel"]) for row in known.files if row["kind"] == "inbox"]
    standing = await _standing(house, sources)
    gone = [(root_id, rel) for root_id, _, rel in sources if (root_id, rel) not in standing]
    if not await house.catalog.write(partial(forgetting.forget, image_id=image_id, gone=gone)):
        raise NotFound("it was forgotten at this moment", hint="there is nothing left to do")
    notes = await _forget_previews(house, known.sha256)
    if standing:
        notes.append(
            "a file of it still stands in an inbox and is left as it is; changed or dropped again, it is taken in as new"
        )
    held = {joined(row["root_path"], row["rel"]) for row in known.files if row["held"]}
    house.emit(Forgotten(known.sha256, len(held), len(known.renditions)))
    return {
        "image": image_id,
        "sha256": known.sha256,
        "files": sorted(held),
        "renditions": [joined(root, name) for root, name in known.renditions],
        "notes": notes,
    }


async def _image(house: House, text: str) -> int:
    """Raises ``NotFound`` and ``Conflict``."""
    if _DIGEST.fullmatch(text.lower()):
        found = await house.catalog.read(lambda session: forgetting.beginning(session, text.lower(), 2))
        if len(found) > 1:
            raise Conflict(f"several images have a SHA-256 that begins with {text}", hint="give more digits")
        if found:
            return found[0][0]
        raise NotFound(f"no image has the SHA-256 {text}", hint="dropmill why PATH tells that of a file")
    path = os.fsencode(text)
    if b"\0" in path or not path.startswith(b"/"):
        raise NotFound(f"{shown(path)} is no SHA-256 and no absolute path", hint="give the whole path, from /")
    return await _at(house, os.path.normpath(path))


async def _at(house: House, path: bytes) -> int:
    seen = await house.blocking("*", places.look, path)
    if seen.kind == "directory":
        raise Conflict(f"{shown(path)} is a folder", hint="name one file, or a SHA-256", reason="is-a-folder")
    found = await house.blocking("*", places.places_of, path, await places.known_roots(house))
    for place in found:
        image_id = await _of_place(house, path, place)
        if image_id is not None:
            return image_id
    raise NotFound(
        f"the catalog knows no picture of {shown(path)}", hint="dropmill why PATH tells what it knows of a file"
    )


async def _of_place(house: House, path: bytes, place: Place) -> int | None:
    root_id, rel = place.root.id, place.rel
    if root_id is None:
        return None
    image_id = await house.catalog.read(lambda session: forgetting.at_path(session, root_id, rel))
    if image_id is not None:
        return image_id
    named = await house.catalog.read(lambda session: views.named(session, root_id, rel))
    if place.root.kind == "output" and named:
        raise Conflict(f"{shown(path)} is a rendition", hint="name its original: dropmill why PATH tells which that is")
    if await house.catalog.read(lambda session: scans.refusal(session, root_id, rel)) is not None:
        raise NotFound(f"{shown(path)} holds no picture that could be catalogued", hint="there is nothing to forget")
    return None


async def _standing(house: House, sources: Sequence[tuple[int, bytes, bytes]]) -> set[tuple[int, bytes]]:
    """Those of the sources at which a file stands; all of them where that cannot be said."""

    def look() -> set[tuple[int, bytes]]:
        there = [(root_id, rel, os.path.join(root, rel)) for root_id, root, rel in sources if not is_url(rel)]
        return {(root_id, rel) for root_id, rel, path in there if places.look(path).kind != "nothing"}

    if not sources:
        return set()
    try:
        return await house.blocking("*", look)
    except Conflict:
        return {(root_id, rel) for root_id, _, rel in sources}


async def _forget_previews(house: House, sha256: str) -> list[str]:
    folder = previews.folder_in(house.settings.state_dir)
    try:
        await house.blocking("*", previews.forget, folder, sha256)
    except (OSError, DropmillError) as error:
        house.emit(StateTrouble("catalog", f"a preview could not be removed: {error}"))
        return [f"its preview in {shown(folder)} could not be removed: {error}"]
    return []
