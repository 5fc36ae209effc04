"""Inboxes: listed, counted, read, and written where originals leave them. Blocking."""

from __future__ import annotations

import os
import shlex
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from dropmill.control.doctor import filesystem
from dropmill.control.doctor.finding import Finding, Folders, Ground, as_root, capable, grant, may, user_name
from dropmill.control.doctor.folders import Place, closed_on_the_way, refused
from dropmill.errors import Conflict
from dropmill.files import lease
from dropmill.files.probe import try_folder
from dropmill.files.roots import lock_directory
from dropmill.model.names import junk, junk_directory
from dropmill.settings import Inbox

# Counting the folders of a huge tree would take longer than anybody waits.
MOST_FOLDERS: Final = 1_000_000
COUNT_SECONDS: Final = 4.0
# As many of the files that are there are tried to be read.
SAMPLE: Final = 200
# Clocks that are set by the network differ by less.
_AHEAD_MS: Final = 60_000
# From <linux/capability.h>: leases may be taken on files of others.
CAP_LEASE: Final = 28


@dataclass(slots=True)
class _Walked:
    folders: int = 0
    all_counted: bool = True
    files: int = 0
    unreadable: list[str] = field(default_factory=list)
    closed: list[str] = field(default_factory=list)
    ahead: list[str] = field(default_factory=list)
    others: list[str] = field(default_factory=list)


def look(ground: Ground, key: str, inbox: Inbox) -> Iterator[Finding]:
    path = inbox.path
    missing = _listed(key, inbox)
    if missing is not None:
        yield missing
        return
    yield from _in_use(ground, f"{key}.path", inbox)
    walked = _walk(ground, inbox)
    ground.folders[inbox.name] = Folders(walked.folders, walked.all_counted)
    yield from _met(ground, key, inbox, walked)
    yield from filesystem.watched(key, inbox)
    yield from _written(key, inbox)
    yield from _leases(ground, key, inbox, walked)
    sticky = os.stat(path)
    if _moves(inbox) and sticky.st_mode & stat.S_ISVTX and os.geteuid() not in {0, sticky.st_uid}:
        text = f"{path} is sticky: files of others cannot be moved out of it"
        why = "only their owner, or the folder's, may rename them; disposal is tried again for ever"
        fix = as_root(f"chmod -t {shlex.quote(path)}")
        remedy = (
            "give the folder to that user, or take the sticky bit away, after which everybody who may write to it may also "
            "rename and remove the files of others there:"
        )
        yield Finding("inbox", "warning", text, f"{key}.path", path, why, remedy, fix)


def _listed(key: str, inbox: Inbox) -> Finding | None:
    path, quoted = inbox.path, shlex.quote(inbox.path)
    why = "nothing can be taken in"
    if not os.path.isdir(path):
        closed = closed_on_the_way(path)
        if closed:
            text = f"{path} cannot be reached: {closed} is closed to {user_name(os.geteuid())}"
            return Finding("inbox", "error", text, f"{key}.path", path, why, "", grant("x", closed, os.geteuid()))
        text = f"{path} is no folder" if os.path.lexists(path) else f"{path} does not exist"
        return Finding("inbox", "error", text, f"{key}.path", path, why, "", f"mkdir -p {quoted}")
    try:
        with os.scandir(path) as found:
            next(found, None)
    except OSError as error:
        text = f"{path} cannot be listed: {error.strerror}"
        return Finding("inbox", "error", text, f"{key}.path", path, why, "", grant("rx", path, os.geteuid()))
    return None


def _in_use(ground: Ground, key: str, inbox: Inbox) -> Iterator[Finding]:
    """Another state's daemon on the same inbox; the lock is taken for an instant, and released at once (W41)."""
    holder = ground.holder
    try:
        lock_directory(os.fsencode(inbox.path)).release()
    except Conflict as error:
        if ground.veiled:
            text = f"{error.public_message}; whether that is this configuration's, only its user may ask"
            yield Finding("inbox", "note", text, key, inbox.path)
        # A holder without a number is in another container; then the two cannot be told apart.
        elif holder is None or (holder and not error.public_message.endswith(f"pid {holder}")):
            text = f"{error.public_message}, which has another state directory"
            yield Finding("inbox", "error", text, key, inbox.path, "each picture would be taken twice", error.hint)


def _walk(ground: Ground, inbox: Inbox) -> _Walked:
    """Every folder that would be watched, and a sample of the files, as far as that goes in a few seconds."""
    walked = _Walked()
    deadline = ground.clock.monotonic() + COUNT_SECONDS
    now_ms = ground.clock.now_ms()
    todo = [(inbox.path, b"")]
    while todo:
        folder, rel = todo.pop()
        walked.folders += 1
        if walked.folders >= MOST_FOLDERS or ground.clock.monotonic() > deadline:
            walked.all_counted = False
            break
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    name = rel + b"/" + os.fsencode(entry.name) if rel else os.fsencode(entry.name)
                    if entry.is_dir(follow_symlinks=False):
                        if inbox.recursive and not junk_directory(name, inbox.ignore):
                            todo.append((entry.path, name))
                    elif (
                        walked.files < SAMPLE and entry.is_file(follow_symlinks=False) and not junk(name, inbox.ignore)
                    ):
                        _sample(walked, entry.path, now_ms)
        except OSError:
            walked.closed.append(folder)
    return walked


def _sample(walked: _Walked, path: str, now_ms: int) -> None:
    try:
        seen = os.lstat(path)
    except OSError:
        return  # Gone: the daemon, or its owner, was quicker.
    walked.files += 1
    if not may(path, os.R_OK):
        walked.unreadable.append(path)
    if seen.st_mtime_ns // 1_000_000 > now_ms + _AHEAD_MS:
        walked.ahead.append(path)
    if seen.st_uid != os.geteuid():
        walked.others.append(path)


def _met(ground: Ground, key: str, inbox: Inbox, walked: _Walked) -> Iterator[Finding]:
    path = inbox.path
    count = f"{walked.folders:,} folder{'s' * (walked.folders != 1)}"
    if not walked.all_counted:
        count = f"more than {count}"
    yield Finding("inbox", "ok", f"inbox {inbox.name} {path}: listed, {count}", f"{key}.path", path)
    who = os.geteuid()
    for what, met in (("folder", walked.closed), ("file", walked.unreadable)):
        if met:
            many = f"{len(met)} {what}s, such as {met[0]}," if len(met) > 1 else f"{met[0]}"
            text = f"{many} cannot be read by {user_name(who)}"
            why = "what cannot be read stays where it is, and is no job"
            remedy = "let whoever drops files there leave them readable for it (umask, or the share's options); now:"
            fix = _readable(path, who)
            yield Finding("inbox", "warning", text, f"{key}.path", met[0], why, remedy, fix)
    if walked.ahead:
        many = (
            f"{len(walked.ahead)} files, such as {walked.ahead[0]}, have"
            if len(walked.ahead) > 1
            else f"{walked.ahead[0]} has"
        )
        text = f"{many} a time in the future"
        why = "this machine's clock, or that of whoever wrote them, is wrong; dropmill goes by its own and waits no longer"
        fix = f"date; stat -c '%y %n' {shlex.quote(walked.ahead[0])}"
        yield Finding("clock", "note", text, f"{key}.path", walked.ahead[0], why, "", fix)


def _readable(path: str, uid: int) -> str:
    grants = grant("rX", path, uid)
    return (
        grants.replace("setfacl -m", "setfacl -R -m")
        if "setfacl" in grants
        else as_root(f"chmod -R a+rX {shlex.quote(path)}")
    )


def _moves(inbox: Inbox) -> bool:
    return inbox.on_success != "keep" or inbox.on_duplicate != "keep" or bool(inbox.quarantine)


def _written(key: str, inbox: Inbox) -> Iterator[Finding]:
    """Originals leave their folder by a rename, so that has to be writable; where they stay, nothing needs to be."""
    path = inbox.path
    tried = try_folder(path)
    if tried.error is None:
        yield from filesystem.kept("inbox", f"{key}.path", path, tried)
        if _moves(inbox):
            yield Finding("inbox", "ok", f"inbox {inbox.name} {path}: originals can leave it", f"{key}.path", path)
    elif _moves(inbox):
        needs = "originals cannot be moved out of it, so it would fill up"
        yield refused(Place("inbox", f"{key}.path", "inbox", path, needs), tried.error, tried.step)
    else:
        text = f"inbox {inbox.name} {path}: read-only for {user_name(os.geteuid())}, and originals stay where they are"
        yield Finding("inbox", "ok", text, f"{key}.path", path)


def _leases(ground: Ground, key: str, inbox: Inbox, walked: _Walked) -> Iterator[Finding]:
    """Only where leases mean something, and of a file of our own; for those of others CAP_LEASE is needed (W01)."""
    path, root = inbox.path, os.fsencode(inbox.path)
    key = f"{key}.settle_seconds"
    why = "only time tells when a file is complete, so whatever writes slowly may be taken too early"
    remedy = "choose settle_seconds longer than any pause of whatever writes"
    if not lease.believed(root):
        kind = filesystem.kind_of(path) or "this file system"
        text = f"{path}: read leases mean nothing on {kind}"
        yield Finding("leases", "note", text, key, path, why, remedy)
        return
    said: list[str] = []

    def ask(file: str) -> str:
        found = lease.probe(root, os.fsencode(os.path.basename(file)))
        said.append("" if found is lease.Lease.FREE else found.value)
        return said[0]

    if try_folder(path, also=ask).error is None and said and said[0]:
        text = f"{path}: no read lease was granted ({said[0]})"
        yield Finding("leases", "note", text, key, path, why, remedy)
        return
    others = [file for file in walked.others if file not in walked.unreadable]
    if others and not capable(CAP_LEASE, ground.holder or "self"):
        owner = user_name(os.stat(others[0]).st_uid)
        text = f"{path} holds files of {owner}, for which {user_name(os.geteuid())} gets no read lease"
        why = "only a file's owner, or CAP_LEASE, may ask the kernel who is writing it; else only time tells when it is complete"
        remedy = "choose settle_seconds longer than any pause of whatever writes, or give the service CAP_LEASE:"
        yield Finding("leases", "note", text, key, others[0], why, remedy, "dropmill check --unit")
    elif said:
        yield Finding("leases", "ok", f"{path}: read leases tell who is writing", key, path)
