"""Before anything runs: the folders of an inbox exist, are ours alone, and are known to the catalog."""

from __future__ import annotations

import errno
import os
import shlex
import stat
import uuid
from collections.abc import Mapping, Sequence
from typing import Final

from dropmill.errors import ConfigurationError
from dropmill.files import roots
from dropmill.files.lane import Lane
from dropmill.files.ownership import refusal
from dropmill.files.standing import disk_is_away, standing
from dropmill.model.inbox import Inbox, Root
from dropmill.model.outcome import Reason
from dropmill.observe.facts import Emit, OutputChanged
from dropmill.settings import Inbox as InboxSettings
from dropmill.settings import Settings, UrlInbox, resolved
from dropmill.store import boot as boots
from dropmill.store.catalog import Catalog
from dropmill.store.connection import Session

ANSWER_SECONDS: Final = 5.0


def lanes_of(settings: Settings) -> dict[bytes, Lane]:
    """One lane per inbox and per output, by path; all downloads, which stand on one local disk, share one."""
    lanes: dict[bytes, Lane] = {}
    downloads: Lane | None = None
    for inbox in settings.every_inbox:
        for folder in (inbox.path, inbox.output):
            path = os.fsencode(os.path.abspath(folder))
            if path in lanes:
                continue
            if isinstance(inbox, UrlInbox) and folder == inbox.path:
                lanes[path] = downloads = downloads or Lane("lane-downloads")
            else:
                lanes[path] = Lane(f"lane-{inbox.name}")
    return lanes


async def prepare_inbox(
    catalog: Catalog,
    settings: Settings,
    item: InboxSettings,
    lock: roots.InboxLock,
    lanes: Mapping[bytes, Lane],
    emit: Emit,
) -> Inbox:
    """Folders made where missing, the inbox locked against other daemons, and all of them known to the catalog.

    A folder that hangs keeps only its own lane busy: whatever is asked of it later comes after this (W40). Its inbox is
    locked by its watch then. Only an output that was never met has to answer. A folder that lay on a disk which is not
    mounted now is left as it is, and nothing gets into it (W27).
    """
    path, output = os.fsencode(os.path.abspath(item.path)), os.fsencode(os.path.abspath(item.output))
    dir_mode = int(settings.output.dir_mode, 8)
    targets = (("archive", item.archive), ("duplicates", item.duplicates), ("quarantine", item.quarantine))
    known_outputs, standings = await catalog.read(lambda session: _recorded(session, item.name, output, targets))
    try:
        standings |= await lanes[path].call_within(ANSWER_SECONDS, _take_inbox, item, lock, standings, dir_mode)
    except TimeoutError:
        pass  # Health and log say so from the first look on.
    output_standing = ""
    try:
        output_uuid, output_standing = await lanes[output].call_within(
            ANSWER_SECONDS, _make_output, item.output, dir_mode, known_outputs
        )
    except TimeoutError as error:
        known = await catalog.read(lambda session: boots.output_at(session, output))
        if known is None:
            raise ConfigurationError(
                f"{item.output}: the output {error.strerror}", hint="check the disk or share that it is on"
            ) from error
        output_uuid = known

    if await catalog.read(lambda session: boots.has_other_output(session, os.path.abspath(output), output_uuid)):
        emit(OutputChanged(item.name, output))

    async def root(kind: str, name: str, folder: str, standing: str = "") -> Root:
        where = os.fsencode(os.path.abspath(folder))

        def put(session: Session) -> int:
            root_id = boots.put_root(session, kind, name, where)
            if standing:
                boots.put_standing(session, root_id, standing)
            return root_id

        return Root(await catalog.write(put), where, standing)

    found = {
        "inbox": await root("inbox", item.name, item.path),
        "output": await root("output", output_uuid, item.output, output_standing),
    }
    for kind, folder in targets:
        if folder:
            found[kind] = await root(kind, item.name, folder, standings[folder])
    return resolved(settings, item, found, output_uuid)


def _recorded(
    session: Session, inbox: str, output: bytes, targets: Sequence[tuple[str, str | None]]
) -> tuple[list[tuple[str, str]], dict[str, str]]:
    """``(uuid, standing)`` of the outputs that were met at the path, and the standings of the other folders."""

    def standing(kind: str, folder: str) -> str:
        met = boots.standings(session, kind, os.fsencode(os.path.abspath(folder)))
        return next((identity for name, identity in met if name == inbox), "")

    return boots.standings(session, "output", output), {
        folder: standing(kind, folder) for kind, folder in targets if folder
    }


def _take_inbox(
    item: InboxSettings, lock: roots.InboxLock, targets: Mapping[str, str], dir_mode: int
) -> dict[str, str]:
    """Blocking. ``targets``: folders for originals and what they were; returns what they are to be held to."""
    if isinstance(item, UrlInbox):
        _make_folder(os.path.dirname(item.path), 0o700)
        _make_folder(item.path, 0o700)
    try:
        if not stat.S_ISDIR(os.stat(item.path).st_mode):
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), item.path)
        lock.take()
    except (FileNotFoundError, NotADirectoryError) as error:
        raise ConfigurationError(
            f"{item.path}: the inbox {item.name!r} does not exist", hint=f"create it: mkdir -p {shlex.quote(item.path)}"
        ) from error
    except OSError as error:
        what = (
            f"the inbox is {Reason.UNREADABLE}" if isinstance(error, PermissionError) else "the inbox cannot be opened"
        )
        raise refusal(item.path, what, error, need="rx", reason=Reason.UNREADABLE) from error
    return {folder: _made_or_away(folder, recorded, dir_mode) for folder, recorded in targets.items()}


def _made_or_away(folder: str, recorded: str, mode: int) -> str:
    """Blocking. What stands at a folder, made where it is missing; what stood there, while its disk is away."""
    path = os.fsencode(folder)
    try:
        if disk_is_away(path, recorded):
            return recorded
        _make_folder(folder, mode)
        seen = standing(path)
    except OSError as error:
        raise refusal(folder, "cannot be looked at", error, need="rx") from error
    return seen.identity if seen is not None else recorded


def _make_output(folder: str, dir_mode: int, known: Sequence[tuple[str, str]]) -> tuple[str, str]:
    """Blocking. The output's identity, which it is given where it has none, and what stands there.

    ``known``: those of the outputs that were met there. One whose disk is away stays the one that is waited for.
    """
    output = os.fsencode(folder)
    try:
        for identity, recorded in known:
            if disk_is_away(output, recorded):
                return identity, recorded
        _make_folder(folder, dir_mode)
        roots.make_staging(output)
        identity = roots.output_identity(output, lambda: str(uuid.uuid4()))
        seen = standing(output)
        return identity, seen.identity if seen is not None else ""
    except OSError as error:
        staging = roots.staging_of(output)
        if os.access(output, os.W_OK | os.X_OK) and os.path.isdir(staging):
            error.filename = staging  # An earlier start, by another user, has made it for itself alone.
        what, reason = "the output cannot be written", Reason.OUTPUT_UNAVAILABLE
        raise refusal(folder, what, error, need="rwx", reason=reason) from error


def _make_folder(folder: str, mode: int) -> None:
    if os.path.isdir(folder):
        return
    try:
        os.makedirs(folder, exist_ok=True)
        os.chmod(folder, mode)
    except OSError as error:
        raise refusal(folder, "cannot be created", error, need="rwx") from error
