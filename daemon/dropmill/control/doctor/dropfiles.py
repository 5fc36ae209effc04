"""Drop-files, their results, and what downloads need. Nothing is asked of the network. Blocking."""

from __future__ import annotations

import errno
import os
import shlex
import stat
from collections.abc import Iterator

from dropmill.control.doctor import folders
from dropmill.control.doctor.finding import Finding, grant, may
from dropmill.control.doctor.folders import Place
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


def look(index: int, item: Dropfile) -> Iterator[Finding]:
    """The file and its results; its folders are tried as all folders are."""
    key = f"dropfiles.{index}"
    bad = list(_readable(f"{key}.path", item.path))
    how = "can be read" if os.path.exists(item.path) else "is not there yet, and will be read once it is"
    yield from bad or [Finding("dropfile", "ok", f"drop-file {item.name} {item.path}: {how}", f"{key}.path", item.path)]
    key = f"{key}.results" if item.results else f"{key}.path"
    bad_results = list(_results(key, item))
    yield from bad_results
    if not bad and not bad_results:
        path = item.results_path
        yield Finding("dropfile", "ok", f"results file {path}: can be written", key, path)


def _readable(key: str, path: str) -> Iterator[Finding]:
    folder = os.path.dirname(path) or "/"
    why = "no line of it becomes a job"
    if not os.path.isdir(folder):
        text = f"the folder of {path} does not exist"
        yield Finding("dropfile", "error", text, key, path, why, "", f"mkdir -p {shlex.quote(folder)}")
        return
    trouble = _opened(path, os.O_RDONLY)
    if isinstance(trouble, OSError) and trouble.errno == errno.ENOENT:
        if not may(folder, os.R_OK | os.X_OK):
            text = f"the folder of {path} cannot be looked into, so the file would never be found"
            yield Finding("dropfile", "error", text, key, path, why, "", grant("rx", folder, os.geteuid()))
    elif isinstance(trouble, OSError):
        text = f"{path} cannot be read: {trouble.strerror}"
        closed = folders.closed_on_the_way(path)
        fix = grant("x", closed, os.geteuid()) if closed else grant("r", path, os.geteuid())
        yield Finding("dropfile", "error", text, key, path, why, "", fix)
    elif trouble:
        text = f"{path} is a {trouble}, not a text file"
        yield Finding("dropfile", "error", text, key, path, why, "name a file, which need not be there yet")


def _results(key: str, item: Dropfile) -> Iterator[Finding]:
    path = item.results_path
    why = "nobody could be told what became of the lines"
    trouble = _opened(path, os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW)
    if isinstance(trouble, OSError) and trouble.errno == errno.ENOENT:
        folder = os.path.dirname(path) or "/"
        if not os.path.isdir(folder):
            if item.results:
                text = f"the folder of the results file {path} does not exist"
                yield Finding("dropfile", "error", text, key, path, why, "", f"mkdir -p {shlex.quote(folder)}")
            return  # Else it is the drop-file's own, of which is told already.
        yield from folders.look(Place("dropfile", key, "the folder of results", folder, why))
    elif isinstance(trouble, OSError):
        said = "it is a link" if trouble.errno == errno.ELOOP else trouble.strerror
        text = f"the results file {path} cannot be written: {said}"
        remedy = "let the daemon's user write it, or name another one: results = …"
        yield Finding("dropfile", "error", text, key, path, why, remedy)
    elif trouble:
        remedy = "name another one: results = …"
        yield Finding("dropfile", "error", f"the results file {path} is a {trouble}", key, path, why, remedy)


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


def netrc(settings: Settings) -> Iterator[Finding]:
    path = settings.downloads.netrc
    if not path:
        return
    # The client's library takes a while to load, which nobody else has to wait for.
    from dropmill.net import read_netrc

    key = "downloads.netrc"
    try:
        read_netrc(path)
        mode = os.stat(path).st_mode
    except DropmillError as error:
        yield Finding("network", "error", error.public_message, key, path, remedy=error.hint)
        return
    except OSError as error:
        text = f"{path} cannot be read: {error.strerror}"
        yield Finding("network", "error", text, key, path, remedy="name another file")
        return
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        text = f"{path} holds passwords, and others than its owner may read it"
        yield Finding("network", "warning", text, key, path, fix=f"chmod 600 {shlex.quote(path)}")
    else:
        yield Finding("network", "ok", f"netrc {path}: can be read, by its owner alone", key, path)
