"""Where a path lies: in which of the folders that dropmill knows, and what is there now."""

from __future__ import annotations

import os
import re
import stat as stat_module
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, Final, Literal

from dropmill.control import describe
from dropmill.control.house import House
from dropmill.errors import Conflict
from dropmill.files import library
from dropmill.files.access import kind_of
from dropmill.files.standing import holds_nothing
from dropmill.model.file import Signature, shown
from dropmill.model.names import JUNK_DIRECTORIES, JUNK_FILES
from dropmill.settings import Inbox
from dropmill.store import views
from dropmill.store.connection import Row

RootKind = Literal["inbox", "output", "archive", "duplicates", "quarantine", "library", "move"]


@dataclass(frozen=True, slots=True)
class Known:
    """A folder of ours. ``id`` is None where the catalog has not met it yet; ``inbox``: the configured inbox, if any."""

    kind: RootKind
    path: bytes
    id: int | None
    inbox: Inbox | None


@dataclass(frozen=True, slots=True)
class Place:
    root: Known
    rel: bytes


async def known_roots(house: House) -> list[Known]:
    """Folders of the configuration, with their ids, and those that only the catalog remembers."""
    rows = await house.catalog.read(views.roots)
    ids = {(row["kind"], row["name"]): row["id"] for row in rows}
    found: list[Known] = []
    for inbox in house.settings.inboxes:
        root = house.live.inboxes.get(inbox.name) if house.live else None
        found.append(Known("inbox", _absolute(inbox.path), ids.get(("inbox", inbox.name)), inbox))
        output = _absolute(inbox.output)
        output_id = root.output.id if root else next((row["id"] for row in rows if _is(row, "output", output)), None)
        found.append(Known("output", output, output_id, inbox))
        for kind, folder in (
            ("archive", inbox.archive),
            ("duplicates", inbox.duplicates),
            ("quarantine", inbox.quarantine),
        ):
            if folder:
                found.append(Known(kind, _absolute(folder), ids.get((kind, inbox.name)), inbox))  # type: ignore[arg-type]  # One of the kinds above.
    have = {known.id for known in found}
    return found + [Known(row["kind"], row["path"], row["id"], None) for row in rows if row["id"] not in have]


def _is(row: Row, kind: str, path: bytes) -> bool:
    return bool(row["kind"] == kind and row["path"] == path)


def _absolute(path: str) -> bytes:
    return os.fsencode(os.path.abspath(path))


def places_of(path: bytes, roots: Sequence[Known]) -> list[Place]:
    """Every folder of ours that the path lies in, innermost first, by the names as they are and with links resolved.

    Blocking: resolving looks at the disk. The path's last component is never resolved: a link is what it is (S01).
    """
    parent, _, name = path.rpartition(b"/")
    real = os.path.join(os.path.realpath(parent or b"/"), name)
    found: dict[tuple[int | None, bytes], Place] = {}
    for root in roots:
        for whole, folder in ((path, root.path), (real, os.path.realpath(root.path))):
            if whole.startswith(folder.rstrip(b"/") + b"/"):
                rel = whole[len(folder.rstrip(b"/")) + 1 :]
                found.setdefault((id(root), rel), Place(root, rel))
                break
    return sorted(found.values(), key=lambda place: -len(place.root.path))


def folder_of(path: bytes, roots: Sequence[Known]) -> Known | None:
    """The folder of ours that a path is itself. Blocking."""
    real = os.path.realpath(path)
    return next((root for root in roots if path == root.path or real == os.path.realpath(root.path)), None)


async def now(house: House, told: views.ToldJob) -> dict[str, Any]:
    """Where a job's original and outputs are as far as the catalog knows; ``missing``: those that are not there."""
    job = describe.job(told)
    paths = [one["output_path"] + b"/" + one["final_name"] for one in told.own]
    original = describe.original_of(told.row)
    known = [*([b"/".join(original)] if original else []), *paths]
    try:
        missing = await house.blocking("*", _missing, known)
    except Conflict:
        missing = []  # The folders do not answer: nothing is known of their files, so nothing is said.
    return {
        "source": job["source"],
        "original": job["original"],
        "outputs": job["outputs"],
        "missing": [shown(path) for path in missing],
    }


def _missing(paths: Sequence[bytes]) -> list[bytes]:
    return [path for path in paths if look(path).kind == "nothing"]


@dataclass(frozen=True, slots=True)
class Seen:
    """What has a path now. ``signature`` only of a plain file; ``behind_link``: a folder on the way is a symlink."""

    kind: str
    signature: Signature | None = None
    trouble: str = ""


def look(path: bytes) -> Seen:
    """Blocking; follows no link at the end of the path."""
    try:
        found = os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return Seen("nothing")
    except OSError as error:
        return Seen("unknown", trouble=error.strerror or str(error))
    signature = Signature.of(found) if stat_module.S_ISREG(found.st_mode) else None
    return Seen(kind_of(found.st_mode), signature)


def away(root: bytes, rel: bytes, mounts: Sequence[bytes]) -> bool:
    """Whether the disk that a path below ``root`` lay on seems not to be mounted. Blocking.

    As where nothing is in the folder itself, or in one of those below it that ``mounts`` names.
    """
    try:
        return holds_nothing(root) or library.away_below(root, rel, mounts)
    except OSError:
        return True


def link_on_the_way(root: bytes, rel: bytes) -> bytes | None:
    """The first directory below ``root`` on the way to ``rel`` that is a symlink, or None. Blocking."""
    parts = rel.split(b"/")[:-1]
    for end in range(1, len(parts) + 1):
        inner = b"/".join(parts[:end])
        if os.path.islink(os.path.join(root, inner)):
            return inner
    return None


_ESCAPED: Final = re.compile(rb"\\(?:x([0-9a-f]{2})|u([0-9a-f]{4})|(n))")


def unshown(path: bytes) -> bytes:
    """The path that was shown escaped, as it was copied from a table: ``caf\\xe9.jpg`` as its bytes on disk."""

    def byte(match: re.Match[bytes]) -> bytes:
        if match[1]:
            return bytes([int(match[1], 16)])
        return b"\n" if match[3] else chr(int(match[2], 16)).encode("utf-8", "surrogatepass")

    return _ESCAPED.sub(byte, path)


def junk_rule(rel: bytes, ignore: Sequence[str]) -> str:
    """The rule by which a path below an inbox is junk, in words; empty where it is not."""
    parts = rel.split(b"/")
    for end in range(1, len(parts) + 1):
        last = end == len(parts)
        rule = _rule(b"/".join(parts[:end]), (*(JUNK_FILES if last else ()), *JUNK_DIRECTORIES), ignore)
        if rule:
            return rule if last else f"it is in a folder whose {rule}"
    return ""


def _rule(rel: bytes, built_in: Sequence[str], ignore: Sequence[str]) -> str:
    name = rel.rpartition(b"/")[2]
    if name.startswith(b"."):
        return "name begins with a dot"
    text, path = os.fsdecode(name).casefold(), os.fsdecode(rel).casefold()
    for pattern in built_in:
        if fnmatchcase(text, pattern):
            return f"name matches {pattern}, which is never a picture of yours"
    for pattern in ignore:
        if fnmatchcase(path if "/" in pattern else text, pattern.casefold()):
            return f"name matches {pattern} of the inbox's ignore list"
    return ""
