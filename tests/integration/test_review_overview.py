"""What an action on many groups is told to come to: no more than it does."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from alike_support import Library, bits
from dropmill.control import resolve
from dropmill.control.house import House
from dropmill.errors import Conflict
from dropmill.settings import Settings

pytestmark = pytest.mark.anyio
ALIKE = 0x0F0F_3355_0FF0_C3A5
SAME = 0x3C3C_A5A5_9696_0FF1


@pytest.fixture
async def library(tmp_path: Path) -> AsyncIterator[Library]:
    """A group of a picture and a smaller copy, and one of four names of the same bytes, two of which are one file."""
    made = Library(tmp_path)
    await made.put("large.jpg", ALIKE, size=(4000, 3000))
    await made.put("small.jpg", ALIKE ^ bits(1), size=(800, 600))
    image = await made.image(SAME)
    for name, ino in (("a.jpg", 11), ("b.jpg", 12), ("c.jpg", 13), ("c again.jpg", 13)):
        await made.file(image, name, ino=ino)
    await made.settle()
    yield made
    made.close()


async def overview(library: Library, action: str) -> dict[str, Any]:
    house = cast(House, SimpleNamespace(catalog=library.catalog, settings=Settings()))
    return await resolve.resolve_many(house, None, {}, action, None, True, None)


async def test_a_file_of_several_names_is_reclaimed_once(library: Library) -> None:
    told = await overview(library, "delete")
    assert (told["groups"], told["members"], told["bytes"], told["left"]) == (2, 4, 3000, [])


async def test_links_are_told_only_where_bytes_are_the_same(library: Library) -> None:
    told = await overview(library, "link")
    assert (told["groups"], told["members"], told["bytes"]) == (1, 3, 2000)
    assert told["by_tier"] == {"exact": {"groups": 1, "members": 3, "bytes": 2000}}
    (left,) = told["left"]
    assert (left["groups"], left["members"]) == (1, 1) and "bytes" in left["detail"] and left["hint"]
    (example,) = told["examples"]
    assert (example["members"], example["bytes"]) == (3, 2000)


async def test_where_nothing_can_be_linked_it_is_told_why(library: Library) -> None:
    await library.do("DELETE FROM groups WHERE tier = 'exact'")
    house = cast(House, SimpleNamespace(catalog=library.catalog, settings=Settings()))
    with pytest.raises(Conflict, match="bytes are not those of the keeper") as refusal:
        await resolve.resolve_many(house, None, {}, "link", None, False, None)
    assert "delete or move" in refusal.value.hint
