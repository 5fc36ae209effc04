"""What `dropmill check` tries of drop-files and of what downloads need. Nothing is asked of the network. Blocking."""

from __future__ import annotations

import errno
import os
import shlex
import stat
from collections.abc import Iterator

from dropmill.control.trials import Found, staging, writable
from dropmill.errors import DropmillError
from dropmill.files.access import kind_of
from dropmill.settings import Settings
from dropmill.settings.dropfiles import Dropfile
from dropmill.settings.url_inboxes import UrlInbox


def inboxes(settings: Settings) -> list[tuple[str, UrlInbox]]:
    """The drop-files as inboxes, each with the key of its table."""
    found = {inbox.name: inbox for inbox in settings.url_inboxes if not inbox.of_inbox}
    return [(f"dropfiles.{index}", found[item.name]) for index, item in enumerate(settings.dropfiles)]


def setting_of(key: str, kind: str) -> str:
    """What the setting for a folder is called in a table."""
    return "originals" if key.startswith("dropfiles.") and kind in {"archive", "duplicates"} else kind


def dropfiles(settings: Settings) -> Iterator[Found]:
    for index, item in enumerate(settings.dropfiles):
        key = f"dropfiles.{index}"
        yield from _readable(f"{key}.path", item.path)
        yield from _results(f"{key}.results" if item.results else f"{key}.path", item)
        for name, folder in _folders(item):
            yield from writable(f"{key}.{name}", folder)
        yield from staging(f"{key}.output", item.output)


def tried(settings: Settings) -> list[tuple[str, str]]:
    """As ``environment.tried``."""
    told = []
    for index, item in enumerate(settings.dropfiles):
        how = "can be read" if os.path.exists(item.path) else "is not there yet, and will be read once it is"
        told.append((f"dropfiles.{index}.path", f"drop-file {item.name} {item.path}: {how}"))
        results = f"{item.results_path}: can be written"
        told.append((f"dropfiles.{index}.{'results' if item.results else 'path'}", f"results file {results}"))
        for name, folder in _folders(item):
            how = "written, synced, renamed" if os.path.isdir(folder) else "can be made"
            told.append((f"dropfiles.{index}.{name}", f"{name} {folder}: {how}"))
    if settings.downloads.netrc:
        told.append(("downloads.netrc", f"netrc {settings.downloads.netrc}: can be read, by its owner alone"))
    return told


def _folders(item: Dropfile) -> list[tuple[str, str]]:
    named = (("output", item.output), ("originals", item.originals_folder), ("quarantine", item.quarantine))
    return [(name, folder) for name, folder in named if folder]


def _readable(key: str, path: str) -> Iterator[Found]:
    folder = os.path.dirname(path) or "/"
    if not os.path.isdir(folder):
        yield "error", key, f"the folder of {path} does not exist", f"mkdir -p {shlex.quote(folder)}"
        return
    trouble = _opened(path, os.O_RDONLY)
    if isinstance(trouble, OSError) and trouble.errno == errno.ENOENT:
        if not os.access(folder, os.R_OK | os.X_OK):
            text = f"the folder of {path} cannot be looked into, so the file would never be found"
            yield "error", key, text, f"chmod u+rx {shlex.quote(folder)}, as its owner"
    elif isinstance(trouble, OSError):
        text = f"{path} cannot be read: {trouble.strerror}"
        yield "error", key, text, f"chmod u+r {shlex.quote(path)}, as its owner; and u+x on its folder"
    elif trouble:
        yield "error", key, f"{path} is a {trouble}, not a text file", "name a file, which need not be there yet"


def _results(key: str, item: Dropfile) -> Iterator[Found]:
    path = item.results_path
    trouble = _opened(path, os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW)
    if isinstance(trouble, OSError) and trouble.errno == errno.ENOENT:
        folder = os.path.dirname(path) or "/"
        if not os.path.isdir(folder):
            if item.results:
                text = f"the folder of the results file {path} does not exist"
                yield "error", key, text, f"mkdir -p {shlex.quote(folder)}"
            return  # Else it is the drop-file's own, of which is told already.
        for severity, where, message, remedy in writable(key, folder):
            yield severity, where, f"the results file {path} cannot be made: {message}", remedy
    elif isinstance(trouble, OSError):
        said = "it is a link" if trouble.errno == errno.ELOOP else trouble.strerror
        text = f"the results file {path} cannot be written: {said}"
        yield "error", key, text, "let the daemon's user write it, or name another one: results = …"
    elif trouble:
        yield "error", key, f"the results file {path} is a {trouble}", "name another one: results = …"


def _opened(path: str, flags: int) -> OSError | str:
    """The error of opening it, the kind of what is no plain file, or nothing. Waits for nobody, as at a pipe."""
    try:
        fd = os.open(path, flags | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    except OSError as error:
        if error.errno in {errno.EISDIR, errno.ENXIO}:
            return "directory" if error.errno == errno.EISDIR else "fifo or socket"
        return error
    try:
        kind = kind_of(os.fstat(fd).st_mode)
    finally:
        os.close(fd)
    return "" if kind == "file" else kind


def downloads(settings: Settings) -> Iterator[Found]:
    path = settings.downloads.netrc
    if not path:
        return
    # The client's library takes a while to load, which nobody else has to wait for.
    from dropmill.net import read_netrc

    try:
        read_netrc(path)
        mode = os.stat(path).st_mode
    except DropmillError as error:
        yield "error", "downloads.netrc", error.public_message, error.hint
        return
    except OSError as error:
        yield "error", "downloads.netrc", f"{path} cannot be read: {error.strerror}", "name another file"
        return
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        text = f"{path} holds passwords, and others than its owner may read it"
        yield "warning", "downloads.netrc", text, f"chmod 600 {shlex.quote(path)}"
