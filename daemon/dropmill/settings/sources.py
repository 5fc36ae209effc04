"""The layers that a configuration is made of, each with names for its places: file, environment, options."""

from __future__ import annotations

import json
import os
import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from dropmill.settings.dropfiles import Dropfile
from dropmill.settings.findings import Finding, SettingsError
from dropmill.settings.http import Http
from dropmill.settings.inboxes import Inbox
from dropmill.settings.keeper import Keeper
from dropmill.settings.locate import Key, Lines, json_lines, toml_lines
from dropmill.settings.review import Review
from dropmill.settings.sections import IsPath, Log, Section
from dropmill.settings.top import Settings
from dropmill.settings.webhooks import Webhook

Data = dict[str, Any]
# Lists of tables, [[…]] in TOML.
TABLES: Final[dict[str, type[Section]]] = {"inboxes": Inbox, "dropfiles": Dropfile, "webhooks": Webhook}
SECTIONS_WITH_PATHS: Final[dict[str, type[Section]]] = {"http": Http, "log": Log, "keeper": Keeper, "review": Review}
EXTENSIONS = (".toml", ".yaml", ".yml", ".json")
# Far beyond what anybody writes. More would only be a mistake, or meant to exhaust whoever reads it.
MOST_BYTES: Final = 4 << 20
MOST_VALUES: Final = 100_000
MOST_LEVELS: Final = 24
_EXCESS_HINT: Final = "`dropmill config init` writes a configuration to start from"


@dataclass(frozen=True, slots=True)
class Layer:
    """Data of one source; ``origin`` and ``where`` name the place of a key, short for listings and full for findings."""

    data: Data
    origin: Callable[[Key], str]
    where: Callable[[Key], str]


def dotted(key: Key) -> str:
    return ".".join(map(str, key))


def file_layer(path: str) -> Layer:
    """Read a TOML, YAML or JSON file. Raises ``SettingsError`` where it cannot be read or parsed."""
    extension = os.path.splitext(path)[1].lower()
    if extension not in EXTENSIONS:
        hint = "name it .toml, .yaml, .yml or .json after what it holds"
        raise SettingsError([Finding(path, "", f"the extension {extension or '(none)'} says no format", hint)])
    text = _text(path)
    if extension == ".toml":
        data, lines = _toml(path, text)
    elif extension == ".json":
        data, lines = _json(path, text)
    else:
        data, lines = _yaml(path, text)
    excess = beyond_reason(data)
    if excess:
        raise SettingsError([Finding(path, "", excess, _EXCESS_HINT)])
    if data is None:
        data = {}
    if not isinstance(data, dict):
        raise SettingsError([Finding(f"{path}:1", "", "the file holds no table of keys", "start with a key")])
    if lines.twice:
        raise SettingsError(
            [Finding(f"{path}:{line}", dotted(key), "is given twice", "keep one") for key, line in lines.twice.items()]
        )
    name = os.path.basename(path)
    folder = os.path.dirname(os.path.abspath(path))
    return Layer(absolute(data, folder), lambda key: f"{name}:{lines.of(key)}", lambda key: f"{path}:{lines.of(key)}")


def _text(path: str) -> str:
    try:
        with open(path, "rb") as file:
            raw = file.read(MOST_BYTES + 1)
    except OSError as error:
        hint = "check the path" if isinstance(error, FileNotFoundError) else "the daemon's user must be able to read it"
        raise SettingsError([Finding(path, "", f"cannot be read: {error.strerror}", hint)]) from None
    if len(raw) > MOST_BYTES:
        raise SettingsError([Finding(path, "", f"is larger than {MOST_BYTES >> 20} MiB", _EXCESS_HINT)])
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise SettingsError([Finding(f"{path}:{line}", "", "is not UTF-8", "save the file as UTF-8")]) from None


def _toml(path: str, text: str) -> tuple[Any, Lines]:
    try:
        return tomllib.loads(text), toml_lines(text)
    except tomllib.TOMLDecodeError as error:
        message, _, place = str(error).rpartition(" (at ")
        line = re.match(r"line ([0-9]+)", place)
        number = line[1] if line else text.count("\n") + 1
        hint = 'text needs quotes, and Windows paths single ones: path = "/srv/inbox"'
        raise SettingsError([Finding(f"{path}:{number}", "", f"is not TOML: {message or error}", hint)]) from None
    except (ValueError, RecursionError) as error:
        raise SettingsError([Finding(path, "", f"is not TOML: {excess_of(error)}", _EXCESS_HINT)]) from None


def _json(path: str, text: str) -> tuple[Any, Lines]:
    try:
        return json.loads(text), json_lines(text)
    except json.JSONDecodeError as error:
        hint = "keys and text need double quotes; there are no comments and no comma after the last item"
        raise SettingsError([Finding(f"{path}:{error.lineno}", "", f"is not JSON: {error.msg}", hint)]) from None
    except (ValueError, RecursionError) as error:
        raise SettingsError([Finding(path, "", f"is not JSON: {excess_of(error)}", _EXCESS_HINT)]) from None


def _yaml(path: str, text: str) -> tuple[Any, Lines]:
    import yaml  # Only loaded where somebody writes YAML: it costs 30 ms.

    try:
        loader = yaml.SafeLoader(text)
        node = loader.get_single_node()
        lines = Lines()
        _yaml_lines(node, (), lines)
        return (None if node is None else loader.construct_document(node)), lines
    except (yaml.YAMLError, ValueError) as error:
        mark = getattr(error, "problem_mark", None)
        line = mark.line + 1 if mark else 1
        message = getattr(error, "problem", None) or str(error).splitlines()[0]
        hint = "indent with spaces, and quote text that holds ': ' or starts with a sign"
        raise SettingsError([Finding(f"{path}:{line}", "", f"is not YAML: {message}", hint)]) from None
    except (RecursionError, LookupError, TypeError, AttributeError) as error:
        # Its constructors trust that what is tagged as a number, a date or a set looks like one.
        raise SettingsError([Finding(path, "", f"is not YAML: {excess_of(error)}", _EXCESS_HINT)]) from None


def excess_of(error: Exception) -> str:
    """In words what a parser met that is no mistake of the syntax."""
    if isinstance(error, RecursionError):
        return "it nests too deeply"
    return str(error).partition(";")[0] or type(error).__name__


def beyond_reason(data: Any) -> str:
    """What is wrong with data that no configuration could be, before anything walks through it; or nothing.

    A list may hold itself, or the same one many times over, by YAML's references; every mention counts.
    """
    left, level = [data], 0
    count = 0
    while left:
        level += 1
        below: list[Any] = []
        for value in left:
            if isinstance(value, dict):
                below += [*value.keys(), *value.values()]
            elif isinstance(value, (list, tuple, set, frozenset)):
                below += value
            elif isinstance(value, str) and not _is_whole(value):
                return "a text holds half a character"
            if count + len(below) > MOST_VALUES:
                return f"holds more than {MOST_VALUES} values"
        count += len(below)
        left = below
        if level > MOST_LEVELS:
            return "nests too deeply"
    return ""


def _yaml_lines(node: Any, key: Key, lines: Lines) -> None:
    """Note the lines of a node tree; an anchor that holds itself ends at a depth no configuration has."""
    if len(key) > 12:
        return
    if node is not None and node.id == "mapping":
        for name, value in node.value:
            inner = (*key, str(name.value))
            line = name.start_mark.line + 1
            if inner in lines.by_key and name.value != "<<":
                lines.twice[inner] = line
            lines.by_key.setdefault(inner, line)
            _yaml_lines(value, inner, lines)
    elif node is not None and node.id == "sequence":
        for index, value in enumerate(node.value):
            lines.by_key[(*key, index)] = value.start_mark.line + 1
            _yaml_lines(value, (*key, index), lines)


def _is_whole(text: str) -> bool:
    """Whether it can be the name of a file, with bytes of any kind as Python writes them (PEP 383)."""
    try:
        text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return False
    return True


def option_layer(overrides: Mapping[str, object]) -> Layer:
    """Options by dotted key (``http.bind``); None means "not given"."""
    data: Data = {}
    for name, value in overrides.items():
        if value is not None:
            *folders, last = name.split(".")
            place = data
            for folder in folders:
                place = place.setdefault(folder, {})
            place[last] = value

    def named(key: Key) -> str:
        return "option --" + dotted(key).replace(".", "-").replace("_", "-")

    return Layer(absolute(data, os.getcwd()), named, named)


def path_fields(model: type[Section] | type[Settings]) -> dict[str, str]:
    """The fields of a model that hold paths, each with the word that stands for itself there, or an empty one."""
    return {
        name: mark.but
        for name, field in model.model_fields.items()
        for mark in field.metadata
        if isinstance(mark, IsPath)
    }


def absolute(data: Data, folder: str) -> Data:
    """A copy in which relative paths are taken from ``folder``. What is no text is left for validation to name."""
    result = _absolute_fields(data, path_fields(Settings), folder)
    for section, model in SECTIONS_WITH_PATHS.items():
        if isinstance(result.get(section), dict):
            result[section] = _absolute_fields(result[section], path_fields(model), folder)
    for tables, item_model in TABLES.items():
        if isinstance(result.get(tables), list):
            names = path_fields(item_model)
            result[tables] = [
                _absolute_fields(item, names, folder) if isinstance(item, dict) else item for item in result[tables]
            ]
    return result


def _absolute_fields(data: Data, names: Mapping[str, str], folder: str) -> Data:
    # A key that is no text can only come from YAML; as text it is reported like any other unknown key.
    result = {str(name): value for name, value in data.items()}
    for name, but in names.items():
        value = result.get(name)
        if isinstance(value, list | tuple):
            result[name] = [_absolute_text(item, but, folder) for item in value]
        elif name in result:
            result[name] = _absolute_text(value, but, folder)
    return result


def _absolute_text(value: Any, but: str, folder: str) -> Any:
    if isinstance(value, str) and value not in {"", but} and not value.startswith("~") and "\0" not in value:
        return _absolute_path(value, folder)
    return value


def _absolute_path(path: str, folder: str) -> str:
    joined = os.path.join(folder, path)
    # `..` behind a symbolic link is not what it looks like, so only the system may resolve it.
    return os.path.realpath(joined) if ".." in joined.split("/") else os.path.normpath(joined)
