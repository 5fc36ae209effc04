"""The kernel's limits of watching, against what the inboxes need and what others of the same user hold (W14)."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from dropmill.control.doctor import service
from dropmill.control.doctor.finding import Finding, Ground, keep_setting
from dropmill.files import fstype

LEAST_QUEUE: Final = 4096
_ROOMY: Final = 524_288


@dataclass(slots=True)
class Held:
    """``unseen``: processes of the user that could not be looked into."""

    watches: int = 0
    instances: int = 0
    unseen: int = 0


def look(ground: Ground, proc: str = "/proc") -> Iterator[Finding]:
    """After the inboxes were counted."""
    watched = [
        inbox
        for inbox in ground.settings.inboxes
        if inbox.name in ground.folders
        and inbox.watch != "poll"
        and not (inbox.watch == "auto" and fstype.delivers_no_events(os.fsencode(inbox.path)))
    ]
    if not watched:
        return
    held = held_by(service.uid(ground), proc, but=ground.holder or "")
    yield from _watches(ground, [inbox.name for inbox in watched], held, proc)
    yield from _instances(len(watched), held, proc)
    queue = _number(f"{proc}/sys/fs/inotify/max_queued_events")
    if queue is not None and queue < LEAST_QUEUE:
        text = f"the kernel keeps {queue:,} events for each watcher (fs.inotify.max_queued_events)"
        why = "a burst of files overflows that; then the whole inbox is scanned, which is slower and loses nothing"
        yield Finding("inotify", "warning", text, "", "", why, "", keep_setting("fs.inotify.max_queued_events", 16384))


def _watches(ground: Ground, names: list[str], held: Held, proc: str) -> Iterator[Finding]:
    name, limit = _least(proc, "watches")
    if limit is None:
        return
    needed = sum(ground.folders[one].count for one in names)
    at_least = "" if all(ground.folders[one].all_counted for one in names) else "at least "
    has = f"{held.watches:,} of them are held by other programs of the user" + (
        f" ({held.unseen} more could not be asked)" if held.unseen else ""
    )
    if needed + held.watches > limit * 9 // 10:
        text = f"the inboxes hold {at_least}{needed:,} folders, and a user may watch {limit:,} ({name}); {has}"
        why = "folders without a watch are polled, so pictures there are found later"
        fix = keep_setting(name, enough(2 * (needed + held.watches)))
        yield Finding("inotify", "warning", text, "", "", why, "in a container: on its host", fix)
    else:
        text = f"watches: {at_least}{needed:,} needed, {limit:,} allowed; {has}"
        yield Finding("inotify", "ok", text)


def _instances(needed: int, held: Held, proc: str) -> Iterator[Finding]:
    name, limit = _least(proc, "instances")
    if limit is None:
        return
    if needed + held.instances > limit:
        text = (
            f"{needed} inotify instances are needed, {held.instances} are held by others, {limit} are allowed ({name})"
        )
        why = "an inbox without one is polled, so pictures there are found later"
        fix = keep_setting(name, max(512, 2 * (needed + held.instances)))
        yield Finding("inotify", "warning", text, "", "", why, "in a container: on its host", fix)
    else:
        yield Finding(
            "inotify", "ok", f"inotify instances: {needed} needed, {limit} allowed, {held.instances} taken by others"
        )


def enough(watches: int) -> int:
    """A limit that leaves room, as a power of two."""
    return max(_ROOMY, 1 << (watches - 1).bit_length())


def _least(proc: str, what: str) -> tuple[str, int | None]:
    """The smaller of the machine's limit and that of the user namespace, and its name."""
    found = []
    for name in (f"fs.inotify.max_user_{what}", f"user.max_inotify_{what}"):
        limit = _number(f"{proc}/sys/{name.replace('.', '/')}")
        if limit is not None:
            found.append((limit, name))
    if not found:
        return "", None
    limit, name = min(found)
    return name, limit


def held_by(uid: int, proc: str = "/proc", but: str = "") -> Held:
    """What processes of a user hold, from /proc/PID/fdinfo (proc(5)), the process ``but`` and this one left out."""
    held = Held()
    for pid in os.listdir(proc):
        folder = f"{proc}/{pid}"
        if not pid.isdecimal() or pid in {but, str(os.getpid())}:
            continue
        try:
            if os.stat(folder).st_uid != uid:
                continue
            watches = [_watches_of(folder, fd) for fd in os.listdir(f"{folder}/fd")]
        except OSError:
            if os.path.isdir(folder):
                held.unseen += 1
            continue
        held.watches += sum(count for count in watches if count is not None)
        held.instances += sum(count is not None for count in watches)
    return held


def _watches_of(folder: str, fd: str) -> int | None:
    """None for what is no inotify instance, or is closed by now."""
    try:
        if os.readlink(f"{folder}/fd/{fd}") not in {"anon_inode:inotify", "anon_inode:[inotify]"}:
            return None
        with open(f"{folder}/fdinfo/{fd}", encoding="ascii", errors="replace") as lines:
            return sum(line.startswith("inotify wd:") for line in lines)
    except OSError:
        return None


def _number(path: str) -> int | None:
    try:
        with open(path, encoding="ascii") as file:
            return int(file.read())
    except (OSError, ValueError):
        return None
