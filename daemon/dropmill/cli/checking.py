"""``dropmill check``: configuration and environment, every finding at once, each with what to do about it."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from dropmill.cli import common
from dropmill.cli.common import ConfigOption, JsonOption, guarded

if TYPE_CHECKING:
    from dropmill.control.environment import Remark

CODECS_SECONDS: Final = 60.0
# In a process of its own: a library that cannot be loaded, or crashes as it is, must not take the check with it.
_CODECS: Final = "import json; from dropmill.imaging.codecs import components; print(json.dumps(components()))"


def install(app: typer.Typer) -> None:
    examples = (
        "dropmill check",
        "dropmill check --config new.toml --json",
        "dropmill check --url https://example.com/a.jpg",
    )
    app.command(epilog=common.example(*examples))(check)


@guarded
def check(
    config: ConfigOption = None,
    url: Annotated[
        str,
        typer.Option(
            "--url", help="Say instead whether this URL may be fetched, and which rule decides. Nothing is fetched."
        ),
    ] = "",
    as_json: JsonOption = False,
) -> None:
    """Try whether everything works; exit code 2 on errors.

    Folders, permissions, locks, leases, limits, disk space, codecs.
    """
    raise typer.Exit(report_url(url, config, as_json=as_json) if url else report(config, as_json=as_json))


def report_url(text: str, config: Path | None, *, as_json: bool) -> int:
    """Print which rules a URL meets, the one that decides last; 2 if it would not be fetched, else 0."""
    import anyio

    from dropmill.control.explain_url import explained
    from dropmill.model.outcome import Reason
    from dropmill.model.outcome import explained as explained_reason
    from dropmill.model.url import UrlRefused, parse_url, redact
    from dropmill.observe.clock import SystemClock

    settings = common.settings_of(config).settings
    shown = redact(text)
    steps: tuple[tuple[str, str], ...] = ()
    addresses: tuple[object, ...] = ()
    try:
        url = parse_url(text)
    except UrlRefused as error:
        reason, rule = str(error.reason), error.detail
    else:
        found = anyio.run(explained, settings.net, settings.downloads, SystemClock(), url)
        shown, steps, addresses = url.canonical, found.steps, found.addresses
        reason, rule = str(found.verdict.reason or ""), found.verdict.rule
    if as_json:
        told = {"ok": not reason, "url": shown, "reason": reason or None, "rule": rule}
        common.print_json({**told, "steps": dict(steps), "addresses": [str(address) for address in addresses]})
    else:
        lines = [shown, *(f"  {what}: {answer}" for what, answer in steps)]
        remedy = f"; {explained_reason(Reason(reason), of_url=True).remedy}" if reason else ""
        lines.append(f"{f'refused ({reason})' if reason else 'allowed'}: {rule}{remedy}")
        sys.stdout.write("".join(f"{common.printable(line)}\n" for line in lines))
    return 2 if reason else 0


def report(config: Path | None, *, as_json: bool) -> int:
    """Print all remarks, and what was tried and found well; 2 if one of them is an error, else 0."""
    from dropmill.control.describe import counted

    found, tried = _remarks(config)
    errors = sum(remark.severity == "error" for remark in found)
    if as_json:
        common.print_json({"ok": not errors, "findings": [asdict(remark) for remark in found], "tried": tried})
    else:
        for remark in found:
            stream = sys.stderr if remark.severity == "error" else sys.stdout
            stream.write(f"{remark.severity}: {common.printable(str(remark))}\n")
            stream.flush()
        for line in tried:
            sys.stdout.write(f"ok: {common.printable(line)}\n")
        others = len(found) - errors
        said = f"{counted(errors, 'error')}, {counted(others, 'other remark')}" if found else "all is well"
        sys.stdout.write(f"{said}\n")
    return 2 if errors else 0


def _remarks(config: Path | None) -> tuple[list[Remark], list[str]]:
    import os

    from dropmill.control.environment import Remark, remarks, tried
    from dropmill.files.lease import ignore_sigio
    from dropmill.observe.clock import SystemClock
    from dropmill.settings import Loaded, SettingsError, load

    ignore_sigio()
    try:
        loaded = load(config, os.environ, {})
    except SettingsError as error:
        wrong = [Remark("error", one.where, one.key, one.message, one.hint) for one in error.findings]
        if not isinstance(error.rest, Loaded):
            return [*wrong, *_codecs()], []
        # What rests on a broken key holds a stand-in, of which nobody needs to hear.
        broken = {one.key for one in error.findings}
        further = remarks(error.rest, SystemClock())
        return [*wrong, *(one for one in further if not one.key or one.key not in broken), *_codecs()], []
    found, codecs = remarks(loaded, SystemClock()), _codecs()
    bad = {remark.key for remark in found if remark.severity != "note"}
    told = [text for key, text in tried(loaded.settings) if key not in bad]
    if not any(remark.severity == "error" for remark in codecs):
        told.append("codecs: the imaging libraries load")
    return [*found, *codecs], told


def _codecs() -> list[Remark]:
    import json

    from dropmill.control.environment import Remark

    remedy = "install it again: pip install --force-reinstall dropmill; `dropmill version --components` says more"
    try:
        ended = subprocess.run(
            [sys.executable, "-c", _CODECS], capture_output=True, text=True, timeout=CODECS_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        return [Remark("error", "", "", "the imaging libraries do not load in a minute", remedy)]
    if ended.returncode:
        last = (ended.stderr.strip().splitlines() or [f"exit status {ended.returncode}"])[-1]
        return [Remark("error", "", "", f"the imaging libraries cannot be loaded: {last}", remedy)]
    missing = [name for name, version in json.loads(ended.stdout).items() if version == "missing"]
    told = []
    for name in missing:
        if name == "libheif":
            text, what = (
                "HEIC and HEIF files are left alone: their codec is not installed",
                "pip install 'dropmill[heif]'",
            )
            told.append(Remark("note", "", "", text, what))
        elif name == "libvips":
            text = "pictures above workers.memory_limit_mb wait for room in memory: libvips, to stream them, is not installed"
            told.append(Remark("note", "", "", text, "pip install 'dropmill[vips]'"))
        else:
            told.append(Remark("warning", "", "", f"{name} is missing from the imaging libraries", remedy))
    return told
