"""``config show``, ``config reset``, ``config schema`` and ``config init``."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from dropmill.cli import common
from dropmill.cli.common import ConfigOption, guarded
from dropmill.errors import ConfigurationError, Conflict, DropmillError

if TYPE_CHECKING:
    from dropmill.settings import Answers, Change, Settings

Originals = Literal["keep", "archive", "delete"]
Readers = Literal["me", "group", "everyone"]


def install(app: typer.Typer) -> None:
    config = typer.Typer(
        help="Show, describe or write the configuration.", no_args_is_help=True, rich_markup_mode=None,
        epilog=common.example("dropmill config show", "dropmill config init"),
    )  # fmt: skip
    config.command(epilog=common.example("dropmill config show --config dropmill.toml"))(show)
    config.command(epilog=common.example("dropmill config reset dedupe.near_phash"))(reset)
    config.command(epilog=common.example("dropmill config schema > dropmill.schema.json"))(schema)
    config.command(
        epilog=common.example(
            "dropmill config init", "dropmill config init --inbox ~/in --output ~/out --originals keep --yes"
        )
    )(init)
    app.add_typer(config, name="config")


@guarded
def show(config: ConfigOption = None) -> None:
    """Every effective value, and where it came from: also what was changed at runtime, on the page or over the API."""
    from dropmill import settings

    loaded = common.settings_of(config)
    changes, unknown = changed_at_runtime(loaded.settings)
    sys.stdout.write(settings.show(loaded, changes))
    if unknown:
        sys.stderr.write(f"warning: what was changed at runtime cannot be told: {common.printable(unknown)}\n")


def changed_at_runtime(settings: Settings) -> tuple[dict[str, Change], str]:
    """What goes before the configuration, by key; and why that cannot be told, where it cannot."""
    from dropmill.cli.reach import ask, runs
    from dropmill.settings import Change
    from dropmill.store.catalog import catalog_path

    try:
        if runs(settings):
            told = ask(settings, "settings")["preferences"]
        elif os.path.exists(catalog_path(settings.state_dir)):
            told = ask(settings, "preferences")
        else:
            told = []
    except DropmillError as error:
        return {}, error.public_message
    return {one["name"]: Change(one["value"], one["changed_at"]) for one in told if one["changed_at"]}, ""


@guarded
def reset(
    names: Annotated[list[str], typer.Argument(help="Keys, as `dropmill config show` tells them.", metavar="KEY…")],
    config: ConfigOption = None,
) -> None:
    """Take back what was changed at runtime, so that the configuration holds again."""
    from dropmill.cli.reach import ask

    known = common.known_settings(config).settings
    told = ask(known, "set_preferences", dict.fromkeys(names), change=True)
    for one in told:
        if one["name"] in names:
            sys.stdout.write(f"{one['name']} is {one['value']!r} again, as configured\n")


@guarded
def schema(config: ConfigOption = None) -> None:  # As for all commands; it makes no difference here.
    """A JSON Schema of the configuration, for editors."""
    from dropmill import settings

    common.print_json(settings.schema())


@guarded
def init(
    file: Annotated[Path, typer.Option("--file", "-f", help="Where to write it.")] = Path("dropmill.toml"),
    inbox: Annotated[str, typer.Option("--inbox", help="The folder to drop pictures into.")] = "",
    output: Annotated[str, typer.Option("--output", help="Where renditions appear.")] = "",
    originals: Annotated[
        Originals | None, typer.Option("--originals", help="What becomes of a published original.")
    ] = None,
    archive: Annotated[str, typer.Option("--archive", help="Folder for originals, where they are archived.")] = "",
    duplicates: Annotated[str, typer.Option("--duplicates", help="Folder for duplicates of what was published.")] = "",
    quarantine: Annotated[str, typer.Option("--quarantine", help="Folder for broken originals.")] = "",
    state_dir: Annotated[str, typer.Option("--state-dir", help="Folder of the catalog; local disk.")] = "",
    readers: Annotated[Readers | None, typer.Option("--readers", help="Who may read the outputs.")] = None,
    group: Annotated[str, typer.Option("--group", help="Which group, where a group reads them.")] = "",
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Ask nothing; what is not given gets its default.")] = False,
) -> None:
    """Write a first configuration.

    Asks for the folders, writes the file, makes the folders, and checks it all. Nothing is written or made before every
    answer is valid.
    """
    if file.exists():
        raise Conflict(f"{file} exists already", hint="name another with --file, or move it away")
    given = {"inbox": inbox, "output": output, "archive": archive, "duplicates": duplicates, "quarantine": quarantine}
    given["state_dir"] = state_dir
    try:
        answers = _Questions(os.path.dirname(os.path.abspath(file)), yes, given).ask(originals, readers, group)
    except typer.Abort as error:
        if not isinstance(error.__context__, EOFError):
            raise
        raise ConfigurationError("the answers ended", hint="--yes takes the defaults for what is not given") from None
    text = _checked(answers)
    _make_folders(answers)
    with open(file, "x", encoding="utf-8") as written:
        written.write(text)
    sys.stdout.write(f"wrote {file}\n")
    from dropmill.cli.checking import report

    code = report(file, as_json=False)
    if code == 0:
        sys.stdout.write(f"start it: dropmill run --config {file}\n")
    raise typer.Exit(code)


class _Questions:
    """What is not given is asked for, or has its default; each folder is held against those before it at once."""

    def __init__(self, base: str, yes: bool, given: dict[str, str]) -> None:
        self._base = base
        self._yes = yes
        self._given = given
        self._folders: dict[str, str] = {}

    def ask(self, originals: Originals | None, readers: Readers | None, group: str) -> Answers:
        from dropmill.settings import Answers

        self._folder("inbox", "Folder to drop pictures into", "inbox")
        self._folder("output", "Folder for the renditions", "outbox")
        wish = originals or ("archive" if self._given["archive"] else None)
        kept = self._choice(wish, "Originals", ("keep", "archive", "delete"), "keep")
        if kept == "archive":
            self._folder("archive", "Folder for archived originals", "archive")
        self._folder("duplicates", "Folder for duplicates (empty: they stay where they are)", "")
        self._folder("quarantine", "Folder for broken pictures (empty: they stay where they are)", "")
        who = self._choice(readers, "Who may read the renditions", ("me", "group", "everyone"), "everyone")
        if who == "group" and not group and not self._yes:
            group = typer.prompt("Which group (empty: the daemon's own)", default="")
        self._folder("state_dir", "Folder for dropmill's own state", "state")
        return Answers(originals=kept, readers=who, group=group, **self._folders)  # type: ignore[arg-type]  # Two are of the choices.

    def _folder(self, name: str, question: str, default: str) -> None:
        default = os.path.join(self._base, default) if default else ""
        given = self._given[name]
        while True:
            answer = given or (default if self._yes else typer.prompt(question, default=default))
            folder = _full(answer)
            wrong = self._wrong(name, folder)
            if not wrong:
                self._folders[name] = folder
                return
            if given or self._yes:
                raise ConfigurationError(wrong, hint=f"choose another with --{name.replace('_', '-')}")
            sys.stdout.write(f"{wrong}; another one, please\n")

    def _wrong(self, name: str, folder: str) -> str:
        """Why a folder will not do, or nothing."""
        if not folder:
            return ""
        for other, known in self._folders.items():
            if not known or "inbox" not in {name, other}:
                continue
            one, two = os.path.realpath(folder), os.path.realpath(known)
            if one == two:
                return f"{folder} is the {other} folder itself"
            if os.path.commonpath([one, two]) in {one, two}:
                return f"{folder} is {'inside' if one.startswith(two) else 'around'} the {other} folder {known}"
        standing = folder
        while not os.path.lexists(standing):
            standing = os.path.dirname(standing) or "/"
        if not os.path.isdir(standing):
            return f"{standing} is no folder"
        if not os.access(standing, os.W_OK | os.X_OK):
            return f"{standing} may not be written to"
        return ""

    def _choice(self, given: str | None, question: str, choices: tuple[str, ...], default: str) -> str:
        if given is not None or self._yes:
            return given or default
        while (answer := typer.prompt(f"{question} ({', '.join(choices)})", default=default)) not in choices:
            sys.stdout.write(f"one of {', '.join(choices)}, please\n")
        return str(answer)


def _checked(answers: Answers) -> str:
    """The text of the file, read back as the daemon would. Raises ``ConfigurationError``."""
    import tempfile

    from dropmill.settings import Finding, SettingsError, load, starter

    text = starter(answers)
    with tempfile.TemporaryDirectory(prefix="dropmill-init-") as folder:
        passing = Path(folder, "dropmill.toml")
        passing.write_text(text, encoding="utf-8")
        try:
            load(passing, {}, {}).settings.output.gid()
        except SettingsError as error:
            raise SettingsError([Finding("", one.key, one.message, one.hint) for one in error.findings]) from error
    return text


def _full(folder: str) -> str:
    """From the root, with ``~`` expanded, because the file itself may not hold one. Empty stays empty."""
    return os.path.abspath(os.path.expanduser(folder)) if folder else ""


def _make_folders(answers: Answers) -> None:
    wanted = (answers.inbox, answers.output, answers.archive, answers.duplicates, answers.quarantine, answers.state_dir)
    for folder in wanted:
        if folder:
            try:
                os.makedirs(folder, exist_ok=True)
            except OSError as error:
                raise ConfigurationError(
                    f"{folder}: cannot be made: {error.strerror}", hint="choose another folder, or make it yourself"
                ) from error
