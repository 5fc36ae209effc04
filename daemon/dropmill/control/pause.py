"""Pausing: no further jobs are started; those that run finish; what settles is queued all the same."""

from __future__ import annotations

from typing import Any

from dropmill.control.house import House
from dropmill.model.inbox import URLS_SUFFIX
from dropmill.observe.facts import Paused, Resumed
from dropmill.ports import ALL_INBOXES
from dropmill.store import queue

Json = dict[str, Any]


async def paused(house: House) -> set[str]:
    """Names of paused inboxes; ``*`` stands for all."""
    return await house.catalog.read(queue.paused)


async def pause(house: House, inbox: str | None) -> Json:
    name = ALL_INBOXES if inbox is None else house.inbox(inbox).name
    if house.live is not None:
        await house.live.engine.pause(name)
        for one in (None,) if inbox is None else (inbox, inbox + URLS_SUFFIX):
            await house.live.claimer.give_back(one)
            await house.live.fetcher.give_back(one)
    else:
        now_ms = house.clock.now_ms()
        await house.catalog.write(lambda session: queue.pause(session, name, now_ms))
    house.emit(Paused(name))
    return {"paused": sorted(await paused(house))}


async def resume(house: House, inbox: str | None) -> Json:
    names = await paused(house) if inbox is None else {house.inbox(inbox).name}
    for name in sorted(names):
        if house.live is not None:
            await house.live.engine.resume(name)
        else:
            await house.catalog.write(lambda session, name=name: queue.resume(session, name))  # type: ignore[misc]  # A default argument binds the loop's value.
        house.emit(Resumed(name))
    if house.live is not None:
        house.live.claimer.wake()
        house.live.fetcher.wake()
    return {"paused": sorted(await paused(house))}
