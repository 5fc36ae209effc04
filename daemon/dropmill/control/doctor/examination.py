"""What ``dropmill check`` makes of what it looked at: where each setting stands, what is told once, what comes first."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Final

from dropmill.control.doctor import inotify, looks
from dropmill.control.doctor.finding import Finding, Ground
from dropmill.control.doctor.rounds import Look, Rounds
from dropmill.errors import DropmillError
from dropmill.files.probe import sweep
from dropmill.files.roots import state_holder
from dropmill.ports import Clock
from dropmill.settings import Finding as Mistake
from dropmill.settings import Loaded, Settings

DAEMON_SECONDS: Final = 10.0
Ask = Callable[[], str]


def examine(
    loaded: Loaded,
    clock: Clock,
    environ: Mapping[str, str],
    mistakes: Sequence[Mistake] = (),
    daemon: Ask | None = None,
) -> list[Finding]:
    """Blocking; leaves nothing behind but folders that the daemon would make too.

    Args:
        mistakes: what is wrong with the configuration; what rests on those keys holds a stand-in, of which nothing is told.
        daemon: asks the daemon, where one runs, for its version. Raises ``DropmillError``.
    """
    ground, rounds = Ground(loaded, clock, environ), Rounds(clock)
    found = [wrong(one) for one in mistakes]
    found += [
        Finding("configuration", "warning", one.message, one.key, remedy=one.hint, where=one.where)
        for one in loaded.warnings
    ]
    if not mistakes:
        told = f"configuration {loaded.path}: holds" if loaded.path else "configuration: holds"
        found.append(Finding("configuration", "ok", told, "", str(loaded.path or "")))
    broken = {one.key for one in mistakes}
    try:
        further = rounds.look([_holder(ground)])
        further += rounds.look([*_daemon(ground, daemon), *looks.of_configuration(ground), *looks.of_machine(ground)])
        further += rounds.look(
            [Look("inotify", "the limits of inotify", partial(inotify.look, ground), also=(loaded.settings.state_dir,))]
        )
    finally:
        sweep()
    found += [_placed(one, loaded) for one in further if not _rests_on(one.key, broken)]
    return _once(found)


def machine_alone(clock: Clock, environ: Mapping[str, str]) -> list[Finding]:
    """What can be told without any configuration."""
    ground = Ground(Loaded(Settings(), {}, [], None), clock, environ)
    return Rounds(clock).look(list(looks.of_machine(ground)))


def wrong(one: Mistake) -> Finding:
    """A mistake in the configuration."""
    return Finding("configuration", "error", one.message, one.key, remedy=one.hint, where=one.where)


def _rests_on(key: str, broken: Collection[str]) -> bool:
    return bool(key) and key in broken


def _holder(ground: Ground) -> Look:
    folder = ground.settings.state_dir

    def look() -> Iterator[Finding]:
        try:
            ground.holder = state_holder(os.fsencode(folder))
        except OSError:
            ground.veiled = True  # Trying to write tells why.
        yield from ()

    return Look("state", f"state directory {folder}", look, "state_dir", folder)


def _daemon(ground: Ground, ask: Ask | None) -> Iterator[Look]:
    """One that runs is asked for its version."""
    folder, pid = ground.settings.state_dir, ground.holder or "unknown"
    if ground.holder is None:
        return

    def look() -> Iterator[Finding]:
        try:
            version = ask() if ask is not None else ""
        except DropmillError as error:
            text = f"a daemon runs already (pid {pid}), and does not answer: {error.public_message}"
            yield Finding("http", "warning", text, "", folder, "", error.hint)
        else:
            yield _running(pid, version, folder)

    text = f"a daemon runs already (pid {pid}), and has not answered for {DAEMON_SECONDS:g} s"
    silence = Finding("http", "warning", text, "", folder, "it may hang", "this says more:", "dropmill health")
    yield Look("http", "the daemon", look, seconds=DAEMON_SECONDS, silence=silence)


def _running(pid: str, version: str, folder: str) -> Finding:
    from dropmill import __version__

    if version and version != __version__:
        text = f"a daemon runs already (pid {pid}), of version {version}; this is {__version__}"
        why = "it goes on with what it was started with; what was installed since is not in force"
        return Finding("http", "warning", text, "", folder, why, "start it anew:", "systemctl restart dropmill")
    text = f"a daemon runs already (pid {pid})" + (f", of this version ({version})" if version else "")
    return Finding("http", "note", text, "", folder)


def _placed(one: Finding, loaded: Loaded) -> Finding:
    return replace(one, where=where_of(loaded.origin, loaded.path, one.key)) if one.key and not one.where else one


def where_of(origin: Mapping[str, str], file: Path | None, key: str) -> str:
    """``file:line`` of a setting; empty where it has none."""
    place = origin.get(key, "")
    if not place or place == "default":
        return ""
    name, _, line = place.rpartition(":")
    return f"{file}:{line}" if file is not None and line.isdecimal() and name == file.name else place


def _once(found: Sequence[Finding]) -> list[Finding]:
    """Gravest first. Of disks that many folders are on, and of what is said of a path by two checks alike, once."""
    told: dict[tuple[str, ...], Finding] = {}
    for one in found:
        same = (one.check, one.path) if one.check == "space" else (one.check, one.path, one.found)
        if same not in told or one.rank < told[same].rank:
            told[same] = one
    return sorted(told.values(), key=lambda one: one.rank)
