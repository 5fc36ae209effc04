"""What a name alone tells: junk, companions, and names that give way to another or are too long (W09, W18, S04). Pure."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from typing import Final

from dropmill.model.extensions import IMAGE_EXTENSIONS

NAME_MAX_BYTES: Final = 255
"""The longest name that Linux file systems take (NAME_MAX of limits.h)."""

# What systems and programs leave behind, and what is still on its way; all dotfiles come on top.
# What came of the lines of a list, or of a drop-file, stands in a file beside it.
RESULTS_SUFFIX: Final = b".results.jsonl"
LIST_SUFFIX: Final = b".urls"
JUNK_FILES: Final = (
    "thumbs.db",
    "desktop.ini",
    "*.part",
    "*.filepart",
    "*.crdownload",
    "*.tmp",
    "~$*",
    "*.urls.results.jsonl",
)
JUNK_DIRECTORIES: Final = ("@eadir", "#recycle", "__macosx")


def junk(rel: bytes, extra: Iterable[str] = ()) -> bool:
    """Whether a file of this name is never a job. Upper and lower case are alike.

    ``extra``: further patterns; one with a slash in it is matched against the whole of ``rel``, the path in the inbox,
    any other against its last component. A name alone does for ``rel`` where no pattern has a slash.
    """
    return _matches(rel, (*JUNK_FILES, *JUNK_DIRECTORIES, *extra))


def junk_directory(rel: bytes, extra: Iterable[str] = ()) -> bool:
    """Whether a directory of this name (or path, as for ``junk``) is neither scanned nor watched."""
    return _matches(rel, (*JUNK_DIRECTORIES, *extra))


def junk_path(rel: bytes, extra: Sequence[str] = ()) -> bool:
    """Whether a path below an inbox is junk by its own name or by that of a directory on the way to it."""
    parts = rel.split(b"/")
    return junk(rel, extra) or any(junk_directory(b"/".join(parts[:end]), extra) for end in range(1, len(parts)))


def _matches(rel: bytes, patterns: Iterable[str]) -> bool:
    name = rel.rpartition(b"/")[2]
    if name.startswith(b"."):
        return True
    text, path = os.fsdecode(name).casefold(), os.fsdecode(rel).casefold()
    return any(fnmatchcase(path if "/" in pattern else text, pattern.casefold()) for pattern in patterns)


def split_extension(name: bytes) -> tuple[bytes, bytes]:
    """``IMG.jpg`` gives ``(IMG, .jpg)``. A leading dot begins no extension, nor does one with 20 bytes or more behind it."""
    stem, dot, extension = name.rpartition(b".")
    if not stem.strip(b".") or len(extension) >= 20:
        return name, b""
    return stem, dot + extension


def is_companion_name(name: bytes, extensions: Iterable[str]) -> bool:
    """Whether the name ends like a companion (``extensions`` without dot, case ignored): then it is never a job."""
    return _extension(name) in {extension.casefold().lstrip(".") for extension in extensions}


def companions_of(name: bytes, siblings: Iterable[bytes], extensions: Sequence[str]) -> list[bytes]:
    """Those of ``siblings`` that move with the image ``name``: ``IMG.xmp`` and ``IMG.jpg.xmp`` with ``IMG.jpg``.

    While another image of the same stem is among the siblings, ``IMG.xmp`` stays for it; the last one takes it along.
    """
    siblings = list(siblings)
    stem = split_extension(name)[0]
    shared = any(
        sibling != name and split_extension(sibling)[0] == stem and _is_image_name(sibling)
        for sibling in siblings
        if not is_companion_name(sibling, extensions)
    )
    owners = {name} if shared else {name, stem}
    return sorted(
        sibling
        for sibling in siblings
        if sibling != name and split_extension(sibling)[0] in owners and is_companion_name(sibling, extensions)
    )


def owner_names(companion: bytes) -> list[bytes]:
    """Every name an image could have that takes ``companion`` along, lower and upper case extensions alike."""
    stem = split_extension(companion)[0]
    endings = [cased for ending in sorted(IMAGE_EXTENSIONS) for cased in (ending, ending.upper())]
    return [stem] * _is_image_name(stem) + [stem + ending for ending in endings]


def _is_image_name(name: bytes) -> bool:
    return split_extension(name)[1].lower() in IMAGE_EXTENSIONS


def _extension(name: bytes) -> str:
    return os.fsdecode(split_extension(name)[1][1:]).casefold()


def with_suffix(name: bytes, suffix: str, keep: bytes | None = None) -> bytes:
    """The last component of ``name`` as ``{stem}~{suffix}{extension}``, within 255 bytes; directories stay.

    ``keep`` says what counts as the extension, such as ``-large.jpg``; by default what follows the last dot.
    """
    directory, slash, last = name.rpartition(b"/")
    if not keep or not last.endswith(keep):
        keep = split_extension(last)[1]
    stem = last[: len(last) - len(keep)]
    return directory + slash + shorten_component(stem + b"~" + suffix.encode() + keep, b"~" + suffix.encode() + keep)


def shorten(name: bytes, keep: bytes | None = None) -> bytes:
    """Every component of a path within 255 bytes; the longer ones are cut and carry a hash of their full name.

    ``keep``: the end of the last component that must stay, such as ``-large.jpg``; by default its extension.
    The same name always gives the same result, and names that differ give results that differ (48 bits of SHA-256).
    """
    *directories, last = name.split(b"/")
    return b"/".join([*(shorten_component(directory, b"") for directory in directories), shorten_component(last, keep)])


def shorten_component(name: bytes, keep: bytes | None = None) -> bytes:
    """One component as by ``shorten``."""
    if len(name) <= NAME_MAX_BYTES:
        return name
    if keep is None or not name.endswith(keep) or len(keep) > 120:
        keep = split_extension(name)[1]
    mark = b"~" + hashlib.sha256(name).hexdigest()[:12].encode()
    return _cut(name[: len(name) - len(keep)], NAME_MAX_BYTES - len(mark) - len(keep)) + mark + keep


def _cut(text: bytes, size_bytes: int) -> bytes:
    """At most so many bytes, and no half of a UTF-8 character at the end of what was whole before."""
    if len(text) <= size_bytes:
        return text
    end = size_bytes
    # A character has at most three continuation bytes; a longer run of them is no UTF-8 and may be cut anywhere.
    while end > size_bytes - 4 and text[end] & 0xC0 == 0x80:
        end -= 1
    return text[: end if text[end] & 0xC0 != 0x80 else size_bytes]
