"""Commands that change: retry, cancel, pause, resume, reload, reprocess."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Annotated, Any

import typer

from dropmill.cli import common, completing
from dropmill.cli.common import ConfigOption, JsonOption, guarded
from dropmill.errors import NotFound, Refused


def number_of(what: str) -> Callable[[str | int], int]:
    """Reads the id of such a thing. Raises ``typer.BadParameter`` for what can be none."""

    def number(text: str | int) -> int:
        if not (str(text).isdecimal() and str(text).isascii()):
            raise typer.BadParameter(f"{str(text)!r} is no {what} number")
        return int(text)

    return number


JobArgument = Annotated[
    int, typer.Argument(help="The job's id, as `dropmill jobs` tells it.", metavar="ID", parser=number_of("job"))
]
InboxArgument = Annotated[
    str | None,
    typer.Argument(
        help="One inbox; all where it is left out.",
        metavar="[INBOX]",
        autocompletion=completing.inboxes_and_dropfiles,
    ),
]


def install(app: typer.Typer) -> None:
    app.command(epilog=common.example("dropmill retry 17", "dropmill retry --all"))(retry)
    app.command(epilog=common.example("dropmill cancel 17"))(cancel)
    app.command(epilog=common.example("dropmill pause", "dropmill pause camera"))(pause)
    app.command(epilog=common.example("dropmill resume", "dropmill resume camera"))(resume)
    app.command(epilog=common.example("dropmill reload", "systemctl reload dropmill"))(reload)
    app.command(epilog=common.example("dropmill reprocess 17", "dropmill reprocess --inbox camera"))(reprocess)


def _ask(config: Any, method: str, *arguments: Any) -> Any:
    from dropmill.cli.reach import ask

    return ask(common.known_settings(config).settings, method, *arguments, change=True)


@guarded
def retry(
    job_id: Annotated[
        int | None, typer.Argument(help="A discarded job.", metavar="ID", parser=number_of("job"))
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="All discarded jobs.")] = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Try a discarded job again.

    Its original is put back into the inbox first.
    """
    if (job_id is None) != everything:
        raise typer.BadParameter("give one id, or --all")
    if job_id is not None:
        told = _ask(config, "retry", job_id)
        _say(told, as_json, f"job {job_id} is {told['state']} again: {told['source']}")
        return
    told = _ask(config, "retry_all")
    from dropmill.control.describe import counted

    are = "is" if len(told["retried"]) == 1 else "are"
    _say(told, as_json, f"{counted(len(told['retried']), 'job')} {are} available again")
    _skipped(told["skipped"], as_json, "id")


@guarded
def cancel(job_id: JobArgument, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Cancel a job that has not ended.

    Its original stays where it is.
    """
    told = _ask(config, "cancel", job_id)
    _say(
        told,
        as_json,
        f"job {job_id} is {told['state']}: {told['source']}{'' if told['phase'] else ' stays where it is'}",
    )


@guarded
def pause(inbox: InboxArgument = None, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Start no further jobs, of one inbox or of all.

    Those that run finish, and what is dropped waits. Kept across restarts.
    """
    told = _ask(config, "pause", inbox)
    _say(told, as_json, f"paused: {'everything' if inbox is None else inbox}")


@guarded
def resume(inbox: InboxArgument = None, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Start jobs again, of one inbox or of all."""
    told = _ask(config, "resume", inbox)
    _say(told, as_json, f"resumed: {'everything' if inbox is None else inbox}")
    if "*" in told["paused"] and not as_json:
        sys.stdout.write("everything is still paused: dropmill resume\n")


@guarded
def reload(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Apply a changed configuration to the running daemon.

    It is checked first, whole; where anything is wrong the earlier one stays in force and the exit code is 2. Running jobs
    finish. The daemon reads the file that it was started with; options and variables of its start stay in force.
    """
    from dropmill.cli.reach import reload as reloaded
    from dropmill.settings import SettingsError

    try:
        settings = common.known_settings(config, tell_mistakes=False).settings
    except SettingsError as error:
        # So broken that it does not even say where the daemon is, or no daemon runs.
        raise Refused("the configuration cannot be applied", list(map(str, error.findings))) from error
    told = reloaded(settings)
    _say(told, as_json, "the new configuration is in force")


@guarded
def reprocess(
    target: Annotated[str | None, typer.Argument(help="A path, a URL or a job id.", metavar="[PATH|URL|ID]")] = None,
    inbox: Annotated[
        str | None,
        typer.Option(
            "--inbox",
            help="Everything that this inbox or drop-file has published.",
            autocompletion=completing.inboxes_and_dropfiles,
        ),
    ] = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Render again, as after a change of the profile.

    Earlier renditions are replaced. A URL is downloaded again unless its original was kept.
    """
    if (target is None) == (inbox is None):
        raise typer.BadParameter("give a path, a URL, a job id, or --inbox")
    if target is not None:
        from dropmill.cli.asking import meant

        told = _ask(config, "reprocess", meant(target))
    else:
        settings = common.known_settings(config).settings
        if inbox not in {known.name for known in settings.every_inbox}:
            raise NotFound(f"there is no inbox or drop-file {inbox!r}", hint="dropmill status lists them")
        told = _ask(config, "reprocess", inbox)
    _say(told, as_json, f"{len(told['queued'])} queued: job {', '.join(map(str, told['queued'])) or 'none'}")
    _skipped(told["skipped"], as_json, "target")


def _say(told: Any, as_json: bool, text: str) -> None:
    if as_json:
        common.print_json(told)
    else:
        sys.stdout.write(text + "\n")


def _skipped(skipped: list[dict[str, Any]], as_json: bool, key: str) -> None:
    """What could not be done is an error of the command, however much else was done."""
    if not skipped:
        return
    if not as_json:
        for one in skipped:
            common.say_error(f"{one[key]}: {one['detail']}; {one['hint']}")
    raise typer.Exit(1)
