"""What a file system keeps, and what dropmill does where it keeps less. Blocking."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from typing import Final

from dropmill.control.doctor.finding import Check, Finding
from dropmill.control.doctor.mounts import mount_of, mounts
from dropmill.files import fstype
from dropmill.files.probe import Tried, try_moving
from dropmill.settings import Inbox

_CLONES: Final = frozenset({"btrfs", "xfs", "bcachefs"})


def kind_of(path: str) -> str:
    """As in mount(8), such as ``ext4``; empty where it is not told."""
    mount = mount_of(os.path.realpath(path), mounts())
    return mount.kind if mount else ""


def kept(check: Check, key: str, path: str, tried: Tried) -> Iterator[Finding]:
    """Of a folder that was just written to."""
    lacks = []
    if not tried.links:
        lacks.append("no hard links")
    if not tried.keeps_modes:
        lacks.append("no permission bits")
    if not tried.fine_times:
        lacks.append("times of two seconds")
    if not tried.keeps_case:
        lacks.append("no difference between upper and lower case")
    kind = kind_of(path) or "its file system"
    if not lacks:
        yield Finding("filesystem", "ok", f"{path}: {kind} keeps links, modes, times and case", key, path)
        return
    text = f"{path}: {kind} has {_listed(lacks)}"
    yield Finding("filesystem", "note", text, key, path, " ".join(_consequences(check, tried)))


def _consequences(check: Check, tried: Tried) -> Iterator[str]:
    if not tried.links:
        yield "Where it has no atomic rename without overwriting either, names are taken by copies, which takes longer."
    if not tried.keeps_modes:
        yield "output.mode and output.group do nothing there; the options of its mount decide who may read."
    if not tried.fine_times:
        yield "Two versions of a file of the same size, written within two seconds, look like one."
    if not tried.keeps_case:
        yield "A.jpg and a.jpg are one name there: the second one is published as a~<hash>.jpg."


def watched(key: str, inbox: Inbox) -> Iterator[Finding]:
    """How changes of an inbox become known."""
    path = inbox.path
    silent = fstype.delivers_no_events(os.fsencode(path))
    kind = kind_of(path) or "its file system"
    if inbox.watch == "events" and silent:
        text = f'{path} is watched by events (watch = "events"), and {kind} tells of no changes made elsewhere'
        why = f"what other machines put there is found by the full scan every {inbox.reconcile_seconds:g} s only"
        remedy = 'take out watch = "events", or set it to "auto": then the folder is polled'
        yield Finding("inotify", "warning", text, f"{key}.watch", path, why, remedy)
    elif inbox.watch == "auto" and silent:
        text = f"{path} is polled every {inbox.poll_seconds:g} s: its file system ({kind}) tells nobody of changes"
        why = "inotify hears of what this machine does to a share, and of nothing else"
        yield Finding("inotify", "note", text, f"{key}.watch", path, why)
    else:
        how = "polled" if inbox.watch == "poll" else "watched by events"
        yield Finding("inotify", "ok", f"inbox {inbox.name} {path}: {how}", f"{key}.watch", path)


def moved(key: str, word: str, source: str, target: str) -> Iterator[Finding]:
    """Whether a file can be renamed from the inbox to the folder that originals go to."""
    error = try_moving(source, target)
    if error is None:
        yield Finding("originals", "ok", f"{word} {target}: originals are moved there by a rename", key, target)
    elif error.errno == errno.EXDEV:
        text = f"{target} is on another file system than the inbox: originals are copied, compared and removed"
        why = "that takes longer than a rename, and needs room on both disks meanwhile"
        if kind_of(target) in _CLONES and kind_of(source) == kind_of(target):
            why += "; a folder below the same mount would spare it"
        yield Finding("originals", "note", text, key, target, why)


def _listed(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
