"""The imaging libraries: whether each format is really read and written, and which known weaknesses their versions have."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any, Final

from dropmill.control.doctor import advisories
from dropmill.control.doctor.finding import Finding
from dropmill.store.connection import sqlite_version

SECONDS: Final = 60.0
# In a process of its own: a library that cannot be loaded, or crashes as it is, must not take the check with it.
_PROGRAM: Final = "from dropmill.imaging.trial import told; print(told())"
AGAIN: Final = "pip install --force-reinstall dropmill"
_MORE: Final = "`dropmill version --components` says more"
# Which package brings a component, where that is not Pillow.
_BRINGS: Final = {
    "libheif": "pillow-heif",
    "libde265": "pillow-heif",
    "libvips": "pyvips-binary",
    "SQLite": "apsw",
}


def look() -> Iterator[Finding]:
    try:
        ended = subprocess.run(
            [sys.executable, "-c", _PROGRAM], capture_output=True, text=True, timeout=SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        text = f"the imaging libraries do not load in {SECONDS:g} s"
        yield Finding("codecs", "error", text, why="no picture could be processed", remedy=_MORE, fix=AGAIN)
        return
    if ended.returncode:
        last = (ended.stderr.strip().splitlines() or [_ending(ended.returncode)])[-1]
        text = f"the imaging libraries cannot be loaded: {last}"
        yield Finding("codecs", "error", text, why="no picture could be processed", remedy=_MORE, fix=AGAIN)
        return
    told = json.loads(ended.stdout.splitlines()[-1])
    yield from _formats(told["formats"])
    yield from _missing(told["components"])
    yield from _advisories({**told["components"], "SQLite": sqlite_version()})


def _ending(code: int) -> str:
    return f"signal {-code}" if code < 0 else f"exit status {code}"


def _formats(formats: dict[str, str]) -> Iterator[Finding]:
    well = [name for name, trouble in formats.items() if not trouble]
    for name, trouble in formats.items():
        if trouble:
            text = f"{name} does not work: {trouble}"
            yield Finding("codecs", "error", text, "", "", "pictures of that kind would be refused", _MORE, AGAIN)
    if well:
        yield Finding(
            "codecs", "ok", f"codecs: the imaging libraries load, and a small picture comes back as {', '.join(well)}"
        )


def _missing(components: dict[str, Any]) -> Iterator[Finding]:
    for name in [name for name, version in components.items() if version == "missing"]:
        if name == "libheif":
            text = "HEIC and HEIF files are left alone: their codec is not installed"
            why = "they are ignored as codec-missing, and taken up again once it is"
            yield Finding("codecs", "note", text, why=why, fix="pip install 'dropmill[heif]'")
        elif name == "libvips":
            text = "pictures above workers.memory_limit_mb wait for room in memory: libvips, to stream them, is not installed"
            yield Finding("codecs", "note", text, fix="pip install 'dropmill[vips]'")
        else:
            text = f"{name} is missing from the imaging libraries"
            yield Finding("codecs", "warning", text, remedy=_MORE, fix=AGAIN)


def _advisories(components: dict[str, str]) -> Iterator[Finding]:
    met = list(advisories.applying(components))
    for advisory, version in met:
        text = f"{advisory.component} {version} has {advisory.name}: {advisory.what}; fixed in {advisory.fixed_in}"
        package = _BRINGS.get(advisory.component, "pillow")
        why = "workers are confined, so what it reaches is one picture at a time"
        if advisory.component == "SQLite":
            why = "it keeps the catalog and the queue"
        remedy = (
            f"advisories as of {advisories.AS_OF}; a library of the distribution may have the fix under its old number"
        )
        fix = f"pip install --upgrade {package}"
        yield Finding("advisories", "warning", text, "", advisory.component, why, remedy, fix)
    if not met:
        known = len({one.component for one in advisories.TABLE} & components.keys())
        text = f"versions: {known} libraries have none of {len(advisories.TABLE)} known weaknesses (as of {advisories.AS_OF})"
        yield Finding("advisories", "ok", text)
