"""``dropmill check``: configuration and machine, every finding at once, each with the command that fixes it."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated

import typer

from dropmill.cli import common, findings
from dropmill.cli.common import ConfigOption, JsonOption, guarded
from dropmill.cli.unit import report_unit

if TYPE_CHECKING:
    from dropmill.control.doctor.finding import Finding
    from dropmill.settings import Loaded


def install(app: typer.Typer) -> None:
    examples = (
        "dropmill check",
        "dropmill check --all",
        "dropmill check --config new.toml --json",
        "dropmill check --url https://example.com/a.jpg",
        "dropmill check --unit > folders.conf.new && mv folders.conf.new folders.conf",
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
    unit: Annotated[
        bool,
        typer.Option("--unit", help="Print instead the drop-in for systemd that lets the service reach these folders."),
    ] = False,
    everything: Annotated[bool, typer.Option("--all", "-v", help="List what is well too.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Try whether everything works, and say what fixes what does not; exit code 2 on errors.

    Folders are really written to, with a file that is gone a moment later; nothing is sent anywhere.
    """
    if unit:
        raise typer.Exit(report_unit(config, as_json=as_json))
    raise typer.Exit(report_url(url, config, as_json=as_json) if url else report(config, everything, as_json=as_json))


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


def report(config: Path | None, everything: bool = False, *, as_json: bool) -> int:
    """Print all findings; 2 if one of them is an error, else 0."""
    found = _found(config)
    errors = any(one.severity == "error" for one in found)
    if as_json:
        told = [one.as_json() for one in found]
        tried = [one.found for one in found if one.severity == "ok"]
        common.print_json({"ok": not errors, "summary": findings.summary(found), "findings": told, "tried": tried})
    else:
        findings.tell(found, everything=everything)
    return 2 if errors else 0


def _found(config: Path | None) -> list[Finding]:
    import os

    from dropmill.control.doctor.examination import examine, machine_alone, wrong
    from dropmill.files.lease import ignore_sigio
    from dropmill.observe.clock import SystemClock
    from dropmill.settings import Loaded, SettingsError, load

    ignore_sigio()
    # The files of trials are removed on the way out, also where somebody loses patience.
    signal.signal(signal.SIGTERM, _leave)
    clock = SystemClock()
    try:
        loaded = load(config, os.environ, {})
    except SettingsError as error:
        if isinstance(error.rest, Loaded):
            return examine(error.rest, clock, os.environ, error.findings, _asking(error.rest))
        return [*map(wrong, error.findings), *machine_alone(clock, os.environ)]
    return examine(loaded, clock, os.environ, daemon=_asking(loaded))


def _leave(number: int, _frame: FrameType | None) -> None:
    raise SystemExit(128 + number)


def _asking(loaded: Loaded) -> Callable[[], str]:
    def ask() -> str:
        from dropmill.cli import reach

        return str(reach.ask(loaded.settings, "status").get("version", ""))

    return ask
