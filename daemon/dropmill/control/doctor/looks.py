"""Everything that ``dropmill check`` looks at, one look for each thing that may hang by itself."""

from __future__ import annotations

import os
import shlex
import stat
from collections.abc import Iterator
from functools import partial
from typing import Final

from dropmill.control import webhooks
from dropmill.control.doctor import (
    codecs,
    container,
    dropfiles,
    filesystem,
    folders,
    http,
    inboxes,
    machine,
    machine_clock,
    network,
    state,
    systemd,
)
from dropmill.control.doctor.finding import Finding, Ground
from dropmill.control.doctor.folders import Place
from dropmill.control.doctor.rounds import Look
from dropmill.errors import DropmillError
from dropmill.settings import Inbox, Settings

# The catalog is read whole: about two seconds a gigabyte from memory, and a disk may be a hundred times slower.
CATALOG_SECONDS: Final = 600.0
_ORIGINALS: Final = ("archive", "duplicates", "quarantine")


def of_machine(ground: Ground) -> Iterator[Look]:
    """What no configuration is needed for."""
    yield Look("clock", "the clock", partial(machine_clock.look, ground))
    yield Look("sandbox", "the kernel's sandboxes", partial(machine.sandbox, ground))
    yield Look("codecs", "the imaging libraries", codecs.look, seconds=codecs.SECONDS + 5)


def of_configuration(ground: Ground) -> Iterator[Look]:
    settings = ground.settings
    yield Look("user", "the user", partial(machine.user, ground), also=(settings.state_dir,))
    yield Look(
        "state", f"state directory {settings.state_dir}", partial(state.look, ground), "state_dir", settings.state_dir
    )
    yield Look("state", "the catalog", partial(state.catalog, ground), "state_dir", settings.state_dir, CATALOG_SECONDS)
    for place in _places(settings):
        yield Look(place.check, f"{place.word} {place.path}", partial(folders.look, place), place.key, place.path)
    for index, inbox in enumerate(settings.inboxes):
        yield from _of_inbox(ground, f"inboxes.{index}", inbox)
    for folder in settings.library_roots:
        yield Look("library", f"library root {folder}", partial(_library, folder), "library_roots", folder)
    for index, item in enumerate(settings.dropfiles):
        what = f"drop-file {item.name} {item.path}"
        yield Look("dropfile", what, partial(dropfiles.look, index, item), f"dropfiles.{index}.path", item.path)
    yield Look("network", "the netrc", partial(dropfiles.netrc, settings), "downloads.netrc", settings.downloads.netrc)
    yield Look("network", "what downloads need", partial(network.look, ground))
    yield Look("webhooks", "the webhooks", partial(_webhooks, settings))
    yield Look("http", f"page {settings.http.bind}", partial(http.look, ground), "http.bind", settings.http.bind)
    yield Look("output", "the group of outputs", partial(machine.group, ground), "output.group")
    yield Look("limits", "the limits of processes", partial(machine.limits, ground))
    yield from _in_container(ground)
    yield Look("systemd", "systemd", partial(systemd.look, ground))


def _in_container(ground: Ground) -> Iterator[Look]:
    inside = container.kind(ground.environ)
    if inside:
        yield Look("container", "the container", partial(container.told, inside))
    for kept in container.kept(ground.settings):
        look = partial(container.look, kept, inside)
        yield Look("container", f"{kept.word} {kept.folder}", look, kept.key, kept.folder)


def _places(settings: Settings) -> Iterator[Place]:
    """Every folder that is written, once, however often it is named."""
    reserve_mb = settings.min_free_mb
    try:
        gid = settings.output.gid()
    except DropmillError:
        gid = -1  # Told by the look at the group.
    met: set[str] = set()
    for place in _named(settings, gid, reserve_mb):
        if place.path not in met:
            met.add(place.path)
            yield place


def _named(settings: Settings, gid: int, reserve_mb: int) -> Iterator[Place]:
    yield Place(
        "state", "state_dir", "state", settings.state_dir, "the queue and the catalog are kept there", -1, reserve_mb
    )
    for index, inbox in enumerate(settings.inboxes):
        yield Place(
            "output", f"inboxes.{index}.output", "output", inbox.output, "nothing could be published", gid, reserve_mb
        )
        for name in _ORIGINALS:
            if getattr(inbox, name):
                needs = "originals that belong there would stay in the inbox"
                yield Place("originals", f"inboxes.{index}.{name}", name, getattr(inbox, name), needs, -1, reserve_mb)
    for index, item in enumerate(settings.dropfiles):
        key = f"dropfiles.{index}"
        yield Place("output", f"{key}.output", "output", item.output, "nothing could be published", gid, reserve_mb)
        for name, folder in (("originals", item.originals_folder), ("quarantine", item.quarantine)):
            if folder:
                needs = "downloads that belong there would be kept in the state directory"
                yield Place("originals", f"{key}.{name}", name, folder, needs, -1, reserve_mb)
    if settings.review.default_move:
        needs = "what a review moves would stay where it is"
        yield Place("originals", "review.default_move", "default_move", settings.review.default_move, needs)
    for key, word, file in (
        ("log.file", "the log's folder", settings.log.file),
        ("http.audit_file", "the audit log's folder", settings.http.audit_file),
    ):
        if file:
            yield Place("log", key, word, os.path.dirname(file) or "/", "the daemon would not start")


def _of_inbox(ground: Ground, key: str, inbox: Inbox) -> Iterator[Look]:
    what = f"inbox {inbox.name} {inbox.path}"
    yield Look("inbox", what, partial(inboxes.look, ground, key, inbox), f"{key}.path", inbox.path)
    for name in _ORIGINALS:
        target = getattr(inbox, name)
        if target:
            moving = partial(_moved, f"{key}.{name}", name, inbox.path, target)
            yield Look("originals", f"{name} {target}", moving, f"{key}.{name}", target, also=(inbox.path,))


def _moved(key: str, word: str, source: str, target: str) -> Iterator[Finding]:
    if os.path.isdir(source) and os.path.isdir(target):
        yield from filesystem.moved(key, word, source, target)


def _library(folder: str) -> Iterator[Finding]:
    try:
        os.scandir(folder).close()
    except OSError as error:
        remedy = "create or mount it, and let the daemon's user read it (ProtectHome of the unit hides /home)"
        text = f"{folder}: {error.strerror}"
        yield Finding("library", "warning", text, "library_roots", folder, "nothing below it can be indexed", remedy)
    else:
        yield Finding("library", "ok", f"library root {folder}: listed", "library_roots", folder)


def _webhooks(settings: Settings) -> Iterator[Finding]:
    bad = set()
    for severity, key, message, remedy in webhooks.trials(settings):
        bad.add(key.split(".")[1])
        why = "applications would not be told of pictures"
        yield Finding("webhooks", severity, message, key, "", why, remedy)
    for index, webhook in enumerate(settings.webhooks):
        if (
            webhook.secret_file
            and os.path.exists(webhook.secret_file)
            and os.stat(webhook.secret_file).st_mode & stat.S_IRWXO
        ):
            text, key = (
                f"{webhook.secret_file} can be read by everybody on this machine",
                f"webhooks.{index}.secret_file",
            )
            why = "whoever has the secret may send what looks like ours"
            fix = f"chmod o= {shlex.quote(webhook.secret_file)}"
            yield Finding("webhooks", "warning", text, key, webhook.secret_file, why, "", fix)
    for key, text in webhooks.tried(settings):
        if key.split(".")[1] not in bad:
            yield Finding("webhooks", "ok", text, key)
