"""Disks that hang while a folder is armed, scanned or let go, and scans that have to wait: other folders never notice."""

from __future__ import annotations

import os
import random
import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import anyio
import pytest
from watchdog.observers import inotify_c

from dropmill.errors import AlreadyRunning
from dropmill.files import scan
from dropmill.files.events import EventTree, Pending
from dropmill.files.lane import Lane
from dropmill.files.roots import InboxLock
from dropmill.model.file import Signature
from dropmill.model.settling import Hint
from dropmill.observe.clock import SystemClock
from dropmill.observe.facts import EventsLost, Fact, InboxBack, InboxGone, Scanned
from dropmill.pipeline.watch import Watch

SECONDS = 20.0


class Hanging:
    """A function that, where it is asked of this path, hangs until the disk answers again."""

    def __init__(self, real: Callable[..., Any], concerns: Callable[..., bool]) -> None:
        self._real = real
        self._concerns = concerns
        self.reached = threading.Event()
        self.answers = threading.Event()

    def __call__(self, *args: Any, **options: Any) -> Any:
        if self._concerns(*args) and not self.answers.is_set():
            self.reached.set()
            assert self.answers.wait(SECONDS)
        return self._real(*args, **options)


@contextmanager
def in_a_thread(work: Callable[[], object]) -> Iterator[list[BaseException]]:
    """Its errors, once it has ended."""
    raised: list[BaseException] = []

    def run() -> None:
        try:
            work()
        except OSError as error:
            raised.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    yield raised
    thread.join(SECONDS)
    assert not thread.is_alive()


def test_w40_a_watch_that_hangs_keeps_no_other_inbox_from_its_events(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trees = {}
    came = threading.Event()
    pending = Pending(came.set)
    for name, told in (("share", Pending(lambda: None)), ("disk", pending)):
        (tmp_path / name).mkdir()
        trees[name] = EventTree(os.fsencode(tmp_path / name), told, recursive=True, ignore=())
        trees[name].arm()
    (tmp_path / "share" / "stuck").mkdir()
    hanging = Hanging(inotify_c.inotify_add_watch, lambda _fd, path, _mask: path.endswith(b"/stuck"))
    monkeypatch.setattr(inotify_c, "inotify_add_watch", hanging)
    with in_a_thread(lambda: trees["share"].extend([b"stuck"])):
        assert hanging.reached.wait(SECONDS)
        (tmp_path / "disk" / "a.jpg").touch()
        assert came.wait(SECONDS)
        assert list(pending.take().paths) == [b"a.jpg"]
        trees["disk"].disarm()
        hanging.answers.set()
    trees["share"].disarm()


@pytest.mark.parametrize("at", ["stat", "open"])
def test_w41_a_lock_that_was_closed_while_its_disk_hung_is_not_taken_any_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: str
) -> None:
    """A reload leaves the lane of a disk that hangs behind; what it had in hand comes to its end after the new start."""
    path = os.fsencode(tmp_path)
    old, new, other = InboxLock(path), InboxLock(path), InboxLock(path)
    hanging = Hanging(getattr(os, at), lambda asked, *_: asked == path)
    monkeypatch.setattr(os, at, hanging)
    with in_a_thread(old.take) as raised:
        assert hanging.reached.wait(SECONDS)
        old.close()
        hanging.answers.set()
    assert [type(error) for error in raised] == [OSError]
    new.take()
    with pytest.raises(AlreadyRunning):
        other.take()
    new.close()
    other.take()
    other.close()


class Stage:
    """A real watch on a real folder, with what it tells; ``full`` keeps discovery waiting."""

    def __init__(self, inbox: Path) -> None:
        self.facts: list[Fact] = []
        self.hints: list[bytes] = []
        self.is_full = False
        self.lane = Lane("lane-camera")
        self.lock = InboxLock(os.fsencode(inbox))
        settings: Any = SimpleNamespace(
            name="camera",
            root=SimpleNamespace(id=1, path=os.fsencode(inbox)),
            recursive=True,
            ignore=(),
            watch="events",
            poll_seconds=3600.0,
            reconcile_seconds=3600.0,
        )
        world: Any = self
        self.watch = Watch(
            settings,
            self.lane,
            self.lock,
            world,
            world,
            SystemClock(),
            random.Random(1),
            self.facts.append,
            self.hint,
            lambda wake: None,
            self._recognise,
            self._ignore,
            self._ignore,
        )

    def close(self) -> None:
        """In the order of a run that ends; none of it waits for the disk."""
        self.watch.close()
        self.lane.close()
        self.lock.close()

    @property
    def said(self) -> str:
        return "too much" if self.is_full else ""

    async def full(self) -> bool:
        return self.is_full

    async def known(self, _root_id: int, _seen: Sequence[tuple[bytes, Signature]]) -> Collection[bytes]:
        return set()

    def hint(self, rel: bytes, _hint: Hint) -> None:
        self.hints.append(rel)

    def told(self, kind: type[Fact]) -> int:
        return sum(isinstance(fact, kind) for fact in self.facts)

    async def until(self, fact: Callable[[], object]) -> None:
        with anyio.fail_after(SECONDS):
            while not fact():  # noqa: ASYNC110  # Facts set no event.
                await anyio.sleep(0.01)

    async def _recognise(self, *_: object) -> bool:
        return True

    async def _ignore(self, *_: object) -> None:
        return None


def test_w40_a_scan_that_is_cut_off_in_mid_call_ends_in_its_lane(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inbox = tmp_path / "in"
    inbox.mkdir()
    (inbox / "a.jpg").touch()
    hanging = Hanging(scan.kind_of, lambda _mode: True)
    monkeypatch.setattr(scan, "kind_of", hanging)

    async def story() -> None:
        stage = Stage(inbox)
        # What the watch raised instead of being cancelled would come out here.
        async with anyio.create_task_group() as group:
            group.start_soon(stage.watch.run)
            await stage.until(hanging.reached.is_set)
            group.cancel_scope.cancel()
        stage.close()
        hanging.answers.set()
        stage.lane._thread.join(SECONDS)
        assert not stage.lane._thread.is_alive()

    before = len(os.listdir("/proc/self/fd"))
    anyio.run(story)
    # The folder that was listed, the lock and the instance of inotify are let go.
    assert len(os.listdir("/proc/self/fd")) == before


def test_w26_w33_a_scan_that_waits_for_room_sees_that_its_folder_has_gone(tmp_path: Path) -> None:
    inbox = tmp_path / "in"
    inbox.mkdir()
    (inbox / "a.jpg").touch()

    async def story() -> None:
        stage = Stage(inbox)
        stage.is_full = True
        async with anyio.create_task_group() as group:
            group.start_soon(stage.watch.run)
            await stage.until(lambda: stage.hints == [b"a.jpg"])
            inbox.rename(tmp_path / "away")
            await stage.until(lambda: stage.told(InboxGone))
            assert not stage.told(Scanned)
            assert not stage.watch.quiet
            inbox.mkdir()
            (inbox / "b.jpg").touch()
            await stage.until(lambda: stage.told(InboxBack))
            stage.is_full = False
            await stage.until(lambda: stage.watch.quiet)
            group.cancel_scope.cancel()
        assert set(stage.hints) == {b"a.jpg", b"b.jpg"}
        assert stage.told(Scanned) == 1
        assert not stage.told(EventsLost)
        stage.close()
        stage.lane._thread.join(SECONDS)

    anyio.run(story)
