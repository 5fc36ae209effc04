"""Calls on a file that may hang or fail: what keeps it from being used, told once when it begins and once when it ends."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, TypeVar

from dropmill.files.lane import Lane
from dropmill.model.watching import Trouble
from dropmill.observe.facts import DropfileTrouble, DropfileWell, Emit

T = TypeVar("T")

# How long a file system may take to answer before people are told.
HANG_SECONDS: Final = 5.0


class Reach:
    """One file of a drop-file, through a lane of its own: while it hangs, nothing but its own stage waits."""

    def __init__(self, dropfile: str, path: bytes, lane: Lane, emit: Emit) -> None:
        self._dropfile = dropfile
        self._path = path
        self._lane = lane
        self._emit = emit
        self._trouble: Trouble | None = None

    @property
    def trouble(self) -> str:
        """What is the matter, or empty."""
        return self._trouble.detail if self._trouble else ""

    @property
    def remedy(self) -> str:
        return self._trouble.remedy if self._trouble else ""

    async def ask(self, function: Callable[..., T], *arguments: object) -> T:
        """Await ``function(*arguments)``, which may block. Raises what it raises."""
        future = self._lane.send(function, *arguments)
        done, _ = await asyncio.wait([future], timeout=HANG_SECONDS)
        if not done:
            hint = "check the disk or share that it is on; it goes on by itself"
            self.begin(Trouble(f"has not answered for {HANG_SECONDS:g} s", hint))
        return await future

    def begin(self, trouble: Trouble) -> None:
        """Of a trouble that lasts only the words change."""
        if self._trouble is None:
            self._emit(DropfileTrouble(self._dropfile, self._path, trouble.detail, trouble.remedy))
        self._trouble = trouble

    def end(self) -> None:
        if self._trouble is not None:
            self._trouble = None
            self._emit(DropfileWell(self._dropfile, self._path))
