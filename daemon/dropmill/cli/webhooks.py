"""``dropmill webhooks``: how those stand that are told what became of pictures."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from dropmill.cli import common, completing
from dropmill.cli.common import ConfigOption, JsonOption, guarded

app = typer.Typer(
    help="Applications that are told what became of pictures.",
    epilog=common.example("dropmill webhooks", "dropmill webhooks test app", "dropmill webhooks retry app"),
    invoke_without_command=True,
    rich_markup_mode=None,
)

NameArgument = Annotated[
    str,
    typer.Argument(
        help="The webhook, as the configuration calls it.", metavar="NAME", autocompletion=completing.webhooks
    ),
]


def install(parent: typer.Typer) -> None:
    app.callback()(listed)
    app.command(epilog=common.example("dropmill webhooks enable app"))(enable)
    app.command(epilog=common.example("dropmill webhooks retry app"))(retry)
    app.command(epilog=common.example("dropmill webhooks forget app"))(forget)
    app.command("test", epilog=common.example("dropmill webhooks test app"))(trial)
    parent.add_typer(app, name="webhooks")


def _ask(config: Any, method: str, *arguments: Any, change: bool = False) -> Any:
    from dropmill.cli.reach import ask

    return ask(common.known_settings(config).settings, method, *arguments, change=change)


@guarded
def listed(context: typer.Context, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """How each webhook stands, and the events that could not be delivered."""
    if context.invoked_subcommand is not None:
        return
    told = _ask(config, "webhooks")
    if as_json:
        common.print_json(told)
        return
    from dropmill.cli import tables

    tables.show(tables.webhooks(told))


@guarded
def enable(name: NameArgument, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Take up a webhook that was disabled because it answered 410 Gone.

    What waits for it is sent.
    """
    told = _ask(config, "enable_webhook", name, change=True)
    _say(told, as_json, f"{name} is enabled; {told['waiting']} waiting")


@guarded
def retry(name: NameArgument, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Send the dead letters of a webhook again.

    What waits for its next try is left to that; enable sends it at once.
    """
    told = _ask(config, "retry_webhook", name, change=True)
    _say(told, as_json, f"{told['retried']} of {name} sent again")


@guarded
def forget(name: NameArgument, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Let go what a webhook could not be told.

    That is its dead letters; of one that is not in the configuration any more, also what it was still to be told.
    """
    told = _ask(config, "forget_webhook", name, change=True)
    _say(told, as_json, f"{told['forgotten']} of {name} let go")


@guarded
def trial(name: NameArgument, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Send a signed test event; exit code 1 where it is not accepted."""
    told = _ask(config, "test_webhook", name)
    if told["delivered"]:
        _say(told, as_json, f"{name} answered {told['status']} in {told['seconds']:g} s")
        if told["remedy"] and not as_json:
            sys.stderr.write(f"hint: {told['remedy']}\n")
        return
    if as_json:
        common.print_json(told)
    else:
        common.say_error(f"{name}: {told['detail']} ({told['reason']})")
        if told["remedy"]:
            sys.stderr.write(f"hint: {told['remedy']}\n")
    raise typer.Exit(1)


def _say(told: Any, as_json: bool, text: str) -> None:
    if as_json:
        common.print_json(told)
    else:
        sys.stdout.write(text + "\n")
