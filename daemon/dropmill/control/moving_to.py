"""Folders that people may have files moved to: below ``library_roots``, or the configured one; never what we watch or
write ourselves."""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from typing import Final

from dropmill.control.house import House
from dropmill.errors import Conflict, Forbidden, NotFound
from dropmill.files import library
from dropmill.files.access import closing
from dropmill.files.durable import make_dirs
from dropmill.files.standing import bare_place
from dropmill.files.trash import TRASH
from dropmill.model.file import shown
from dropmill.settings import Settings
from dropmill.store import batches, preferences

BARE: Final = "mount it; or, to use the empty folder as it is, make a folder .dropmill in it"
DEFAULT_MOVE: Final = "review.default_move"
_FEW_ROOTS: Final = 5
_THEN: Final = ", then, where a daemon runs: dropmill reload"


async def destination(house: House, folder: str | bytes | None) -> batches.Destination:
    """Where a batch moves files: ``folder``, which is made where it is missing, or the default one. Raises as ``named``."""
    real = await named(house, folder, make=True)
    return await house.catalog.write(lambda session: batches.destination(session, real))


async def named(house: House, folder: str | bytes | None, *, make: bool = False) -> bytes:
    """That folder, or the default one, as ``checked``.

    Raises ``Conflict`` where none is named, ``Forbidden`` for one that nothing may be moved to, ``NotFound`` for one that
    cannot be had.
    """
    chosen = await house.catalog.read(preferences.all_of)
    default = str(chosen.get(DEFAULT_MOVE, house.settings.review.default_move))
    wanted = os.fsencode(folder or default)
    if not wanted:
        raise Conflict(
            "no folder to move to is named",
            hint="name one below library_roots, or set default_move in [review]",
            reason="no-folder",
        )
    return await checked(house, wanted, make=make)


async def checked(house: House, folder: bytes, *, make: bool = False) -> bytes:
    """The folder without links on the way, if files may be moved there. Raises as ``named``."""
    if b"\0" in folder or not folder.startswith(b"/"):
        raise NotFound(f"{shown(folder)} is no absolute path", hint="give the whole path, from /")
    bases = _bases(house.settings)
    # Nothing is looked at that nobody allowed to be looked at.
    if not any(library.within(os.path.normpath(folder), base) for base in bases):
        raise _outside(folder, to_allow(house.settings, folder))
    try:
        found = await house.blocking("*", _resolve, folder, bases, _forbidden(house.settings), make)
    except OSError as error:
        hint = BARE if error.errno == errno.ENODEV else "name a folder that the daemon may write"
        raise NotFound(f"{shown(folder)}: {error.strerror or error}", hint=hint) from error
    match found:
        case (str() as word, bytes() as place):
            raise Forbidden(
                f"{shown(folder)} is inside the {word} {shown(place)}",
                hint="what is moved there would come back as new, or be taken for ours; name another folder",
                reason="folder-in-use",
            )
        case bytes():
            return found
    raise _outside(folder, "it leads out of there by a link; name where it leads to, and allow that")


def _outside(folder: bytes, hint: str) -> Forbidden:
    return Forbidden(f"{shown(folder)} is outside library_roots", hint=hint, reason="outside-library-roots")


def to_allow(settings: Settings, folder: bytes) -> str:
    """How a folder gets into ``library_roots`` beside those that are there."""
    roots, added = settings.library_roots, f'"{shown(folder)}"'
    if len(roots) > _FEW_ROOTS:
        return f"add {added} to the list library_roots of the configuration{_THEN}"
    whole = ", ".join([*(f'"{shown(os.fsencode(root))}"' for root in roots), added])
    beside = " beside what is there" if roots else ""
    return f"add it to the configuration{beside}: library_roots = [{whole}]{_THEN}"


def _bases(settings: Settings) -> list[bytes]:
    named = [*settings.library_roots, *([settings.review.default_move] if settings.review.default_move else [])]
    return [os.path.normpath(os.fsencode(path)) for path in named]


def _forbidden(settings: Settings) -> list[tuple[str, bytes]]:
    """What is watched, and what only we write into."""
    places = [("state directory", settings.state_dir)]
    for inbox in settings.inboxes:
        places += [("inbox", inbox.path), ("output", inbox.output), ("quarantine", inbox.quarantine)]
    for dropfile in settings.dropfiles:
        places += [("output", dropfile.output), ("quarantine", dropfile.quarantine)]
    return [(word, os.fsencode(path)) for word, path in places if path]


def _resolve(
    folder: bytes, bases: Sequence[bytes], forbidden: Sequence[tuple[str, bytes]], make: bool
) -> bytes | tuple[str, bytes] | None:
    """Blocking. None: outside of what is allowed. Raises OSError where the allowed folder itself cannot be had."""
    real = os.path.realpath(folder)
    homes = [home for home in map(os.path.realpath, bases) if library.within(real, home)]
    if not homes:
        return None
    for word, path in forbidden:
        if library.within(real, os.path.realpath(path)):
            return word, path
    if TRASH in (parts := real.split(b"/")):
        return "trash", b"/".join(parts[: parts.index(TRASH) + 1])
    if (place := bare_place(real)) is not None:
        raise OSError(errno.ENODEV, f"no disk is mounted at {shown(place)}")
    if make:
        home = max(homes, key=len)
        if not os.path.isdir(home):
            with closing(make_dirs(os.path.dirname(home), os.path.basename(home))):
                pass  # The default folder itself, the first time.
        with closing(make_dirs(home, real[len(home.rstrip(b"/")) + 1 :])):
            pass
    return real
