"""What all commands share: the option that names the configuration, and how errors are told."""

from __future__ import annotations

import functools
import os
import shlex
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, NoReturn, ParamSpec, TypeVar

import typer

from dropmill.errors import ConfigurationError, DropmillError

if TYPE_CHECKING:
    from dropmill.settings import Loaded

P = ParamSpec("P")
R = TypeVar("R")

ConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--config", "-c", help="Configuration file. Otherwise $DROPMILL_CONFIG, then /etc/dropmill/dropmill.toml."
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]

LEVELS: Final = ("debug", "info", "warning", "error")
_level = ""
_config: Path | None = None


def set_log_level(level: str) -> None:
    """Raises ``typer.BadParameter`` for an unknown level."""
    global _level  # One process runs one command; the error handler outlives every other scope.
    if level and level not in LEVELS:
        raise typer.BadParameter(f"one of {', '.join(LEVELS)}")
    _level = level


def log_level() -> str | None:
    """What ``--log-level`` says, or None."""
    return _level or None


def run_command() -> str:
    """How a daemon is started with the configuration that the command was given."""
    return "dropmill run" + (f" --config {shlex.quote(str(_config))}" if _config is not None else "")


def example(*lines: str) -> str:
    """The epilogue of a command's help."""
    return "Example: " + "  ·  ".join(lines)


def guarded(command: Callable[P, R]) -> Callable[P, R]:
    """Whatever a command raises becomes one line for its user and an exit code; never a traceback."""

    @functools.wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            result = command(*args, **kwargs)
            flush()
        except (typer.Exit, typer.Abort, typer.BadParameter):
            flush()
            raise
        except BrokenPipeError:
            deafen()
            raise typer.Exit(0) from None
        except KeyboardInterrupt:
            raise typer.Exit(130) from None
        except Exception as error:  # noqa: BLE001  # The last resort for everything that goes wrong in a command.
            fail(error)
        else:
            return result

    return run


def flush() -> None:
    """Bring what was printed on its way. A reader that has gone does not change what the command has to say."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        deafen()


def deafen() -> None:
    """Whoever read our output has seen enough; what is still buffered has nowhere to go."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def fail(error: BaseException) -> NoReturn:
    """Tell an error as its user should see it, and leave with its exit code."""
    raise typer.Exit(tell(error)) from None


def tell(error: BaseException) -> int:
    """Print ``error: …`` and its hint; with ``--log-level debug`` also where it came from. Returns the exit code."""
    known = first_known(error)
    if _level == "debug":
        import traceback

        sys.stderr.write("".join(traceback.format_exception(error)))
    if known is None:
        return _tell_unknown(error)
    findings = getattr(known, "findings", None)
    if findings:
        for finding in findings:
            say_error(str(finding))
        if known.hint:
            sys.stderr.write(f"hint: {printable(known.hint)}\n")
        return known.exit_code
    say_error(known.public_message)
    if known.hint:
        sys.stderr.write(f"hint: {printable(known.hint)}\n")
    return known.exit_code


def first_known(error: BaseException) -> DropmillError | None:
    """The first of our own errors in what may be a group of them; those that keep a daemon from starting go first."""
    found = list(_known(error))
    return next((one for one in found if isinstance(one, ConfigurationError)), found[0] if found else None)


def _known(error: BaseException) -> Iterator[DropmillError]:
    if isinstance(error, DropmillError):
        yield error
    elif isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from _known(inner)


def _tell_unknown(error: BaseException) -> int:
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    if isinstance(error, OSError) and error.strerror:
        from dropmill.model.file import shown

        name = error.filename
        where = f"{shown(name)}: " if isinstance(name, (bytes, str)) else ""
        say_error(f"{where}{error.strerror}")
    else:
        text = " ".join(str(error).split())
        say_error(f"unexpected {type(error).__name__}: {text}")
    sys.stderr.write("hint: `dropmill --log-level debug …` says more\n")
    return 1


def say_error(text: str) -> None:
    sys.stderr.write(f"error: {printable(text)}\n")


def printable(text: str) -> str:
    """As it can be written to a terminal of any encoding."""
    encoding = sys.stderr.encoding or "utf-8"
    return text.encode(encoding, "backslashreplace").decode(encoding)


def settings_of(config: Path | None, *, need_inboxes: bool = False, **overrides: object) -> Loaded:
    """The effective configuration; its warnings go to standard error. Raises ``SettingsError``."""
    from dropmill.settings import load

    options = {key.replace("__", "."): value for key, value in overrides.items()}
    loaded = load(config, os.environ, options, need_inboxes=need_inboxes)
    for warning in loaded.warnings:
        sys.stderr.write(f"warning: {printable(str(warning))}\n")
    return loaded


def known_settings(config: Path | None, *, tell_mistakes: bool = True) -> Loaded:
    """As ``settings_of``, for commands that ask a daemon: which one, something has to say.

    A file with mistakes keeps nobody from asking a daemon that runs, as long as it tells where that is. Raises
    ``ConfigurationError`` where neither a file nor a variable does.
    """
    from dropmill.settings import DEFAULT_PATH, Loaded, SettingsError
    from dropmill.settings.load import nearby

    global _config  # As the level: one process runs one command.
    _config = config
    try:
        loaded = settings_of(config)
    except SettingsError as error:
        from dropmill.cli.reach import runs

        if not isinstance(error.rest, Loaded) or not runs(error.rest.settings):
            raise
        loaded = error.rest
        for finding in error.findings if tell_mistakes else ():
            sys.stderr.write(
                f"warning: {printable(str(finding))} (not in force: the daemon runs with an earlier one)\n"
            )
    if loaded.path is None and not any(name.startswith("DROPMILL_") for name in os.environ):
        here = nearby()
        raise ConfigurationError(
            f"no configuration is found: --config is not given, $DROPMILL_CONFIG is not set, {DEFAULT_PATH} does not "
            "exist, and no DROPMILL_ variable is set",
            hint=f"perhaps --config {here}"
            if here
            else "name it with --config FILE, or write one: dropmill config init",
        )
    return loaded


def absolute(target: str) -> bytes:
    """A path from the command line as the bytes that it is on disk, from the root; ``..`` is taken as written."""
    return os.path.abspath(os.fsencode(target))


def print_json(value: Any) -> None:
    import json

    sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=True) + "\n")
