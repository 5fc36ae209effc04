"""A process that dies between two system calls, for tests of functions that must be resumable.

``dying(after)`` lets that many changing system calls through and kills the caller at the next one: ``Crash`` is no
``Exception``, so nothing but ``finally`` sees it, and whatever such a block still tries to change fails alike.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from dropmill.files import rename

_CHANGING = ("rename", "link", "unlink", "mkdir", "rmdir", "write", "fsync", "fchmod", "fchown", "utime", "setxattr")


class Crash(BaseException):
    """The process is dead."""


class Counter:
    def __init__(self, after: int, before_each: Callable[[int], None] | None) -> None:
        self.calls = 0
        self.died = False
        self._after = after
        self._before_each = before_each

    def step(self) -> None:
        if self.died or self.calls >= self._after:
            self.died = True
            raise Crash
        if self._before_each is not None:
            self._before_each(self.calls)
        self.calls += 1


@contextmanager
def dying(after: int, before_each: Callable[[int], None] | None = None) -> Iterator[Counter]:
    """Within the block, the changing system call number ``after`` (from 0) and all later ones raise ``Crash``.

    ``before_each(n)`` runs just before call ``n`` goes through: there another process may act.
    """
    counter = Counter(after, before_each)
    acting = [False]  # What others do in between is not counted and does not die with us.

    def wrapped(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            if not acting[0]:
                acting[0] = True
                try:
                    counter.step()
                finally:
                    acting[0] = False
            return real(*args, **kwargs)

        return call

    real_open = os.open

    def open_(path: Any, flags: int, *args: Any, **kwargs: Any) -> int:
        if flags & (os.O_CREAT | os.O_TRUNC) and not acting[0]:
            acting[0] = True
            try:
                counter.step()
            finally:
                acting[0] = False
        return real_open(path, flags, *args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        for name in _CHANGING:
            patch.setattr(os, name, wrapped(getattr(os, name)))
        patch.setattr(os, "open", open_)
        patch.setattr(rename, "_renameat2", wrapped(rename._renameat2))
        yield counter


def from_every_crash(run: Callable[[], Any], fresh: Callable[[], None], check: Callable[[Any], None]) -> int:
    """Kill ``run`` at its first, second, … change, then run it again until it returns, then ``check`` its result.

    ``fresh`` builds the scene each time. Returns the number of crash points, all of which were tried. A second crash
    falls on the resumed run too, one change after the other.
    """
    points = 0
    while True:
        fresh()
        with dying(points) as counter:
            try:
                result = run()
            except Crash:
                pass
        if not counter.died:
            check(result)
            return points
        resumed_at = 0
        while True:
            with dying(resumed_at) as counter:
                try:
                    result = run()
                except Crash:
                    pass
            if not counter.died:
                break
            resumed_at += 1
        check(result)
        points += 1
        assert points < 500
