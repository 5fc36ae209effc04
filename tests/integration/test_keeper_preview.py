"""What other rules would keep, told without changing anything."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, TypeVar, cast

import anyio
import pytest

from alike_support import Library, bits
from dropmill.control import keeper, preferences
from dropmill.control.house import House
from dropmill.errors import Conflict
from dropmill.observe.clock import SystemClock
from dropmill.settings import Settings
from dropmill.store import judgements

pytestmark = pytest.mark.anyio
A = 0x0F0F_3355_0FF0_C3A5
T = TypeVar("T")
B = 0x3C3C_A5A5_9696_0FF1


@pytest.fixture
async def library(tmp_path: Path) -> AsyncIterator[Library]:
    made = Library(tmp_path)
    yield made
    made.close()


async def _blocking(_inbox: str, function: Callable[..., T], *args: Any, patient: bool = False) -> T:
    """Never on the event loop."""
    assert patient
    return await anyio.to_thread.run_sync(function, *args)


def _house(library: Library) -> House:
    parts = {"catalog": library.catalog, "settings": Settings(), "clock": SystemClock(), "blocking": _blocking}
    return cast(House, SimpleNamespace(**parts))


async def test_a_rule_is_tried_on_all_open_groups(library: Library) -> None:
    """The large one is kept, unless a folder or the size of the file goes before."""
    large, _ = await library.put("large.jpg", A, size=(4000, 3000))
    small = await library.image(A ^ bits(1), size=(800, 600))
    await library.file(small, "small.jpg", kind="library", name="best", size_bytes=9_000)
    first = await library.image(B, size=(800, 600))
    for name in ("one.jpg", "two.jpg"):
        await library.file(first, name, ino=ord(name[0]))
    await library.settle()
    before = await library.groups()
    assert len(before) == 2

    assert (await keeper.preview(_house(library), {}))["changed"] == 0
    told = await keeper.preview(_house(library), {"prefer_folders": ["/srv/library/best"]})
    assert (told["groups"], told["changed"], told["chosen"]) == (2, 1, 0)
    (example,) = told["examples"]
    assert (example["keeper_path"], example["instead_path"]) == (
        "/srv/inbox/camera/large.jpg",
        "/srv/library/best/small.jpg",
    )
    assert example["reasons"] == ["It lies in a preferred folder."]
    told = await keeper.preview(_house(library), {"order": ["size"]})
    assert [one["instead_path"] for one in told["examples"]] == ["/srv/library/best/small.jpg"]
    assert await library.groups() == before

    digest = await library.sha256(large)
    await library.catalog.write(lambda session: judgements.put(session, "keeper", digest, now_ms=5))
    await library.settle()
    told = await keeper.preview(_house(library), {"order": ["size"]})
    assert (told["changed"], told["chosen"]) == (0, 1)


async def test_rules_that_the_configuration_could_not_have_are_refused(library: Library) -> None:
    for rules, word in (
        ({"order": ["beauty"]}, "order"),
        ({"weights": {}}, "weights"),
        ({"prefer_folders": ["~/a"]}, "~"),
    ):
        with pytest.raises(Conflict, match=word) as refusal:
            await keeper.preview(_house(library), rules)
        assert refusal.value.hint


async def test_a_preview_of_very_many_groups_ends_in_time_and_says_at_how_many_it_looked(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(6):
        await library.put(f"{number}-a.jpg", A ^ number << 40)
    for number in range(3):
        image = await library.image(B ^ number << 40, size=(800, 600))
        for name in ("one", "two"):
            await library.file(image, f"{number}-{name}.jpg")
    await library.settle()
    house = _house(library)
    whole = await keeper.preview(house, {})
    assert whole["groups"] == whole["of"] >= 2
    counted = await preferences.preview(house, {"dedupe.near_phash": 0})
    assert counted["complete"] and counted["pairs"] > 2

    monkeypatch.setattr(keeper, "_LOT", 1)
    monkeypatch.setattr(keeper, "MOST_SECONDS", 0.0)
    told = await keeper.preview(house, {})
    assert (told["groups"], told["of"]) == (1, whole["of"])
    monkeypatch.setattr(preferences, "_PAGE", 2)
    monkeypatch.setattr(preferences, "MOST_SECONDS", 0.0)
    cut = await preferences.preview(house, {"dedupe.near_phash": 0})
    assert (cut["complete"], cut["pairs"]) == (False, 2)
    assert cut["groups_now"] <= counted["groups_now"]
