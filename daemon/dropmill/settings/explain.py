"""The configuration told to people and editors: every value with its origin, the schema, and a first file."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from dropmill.settings.load import Loaded
from dropmill.settings.locate import Key
from dropmill.settings.presets import PROFILES
from dropmill.settings.sources import TABLES, dotted
from dropmill.settings.top import Settings


@dataclass(frozen=True, slots=True)
class Change:
    """A value that was changed at runtime, over the configuration. ``at``: ISO 8601."""

    value: Any
    at: str


def show(loaded: Loaded, changes: Mapping[str, Change] | None = None) -> str:
    """Every effective value as TOML, with where it came from behind it; the text is itself a valid configuration.

    ``changes``: by dotted key, what goes before the configuration.

    Shipped profiles that no inbox uses and nobody changed are named in a comment only. Secrets are not part of the
    settings: the token stays in its file.
    """
    data = loaded.settings.model_dump(exclude_none=True)
    idle = idle_profiles(loaded)
    for name in idle:
        del data["profiles"][name]
    lines = [f"# from {loaded.path}" if loaded.path else "# no configuration file"]
    origin = dict(loaded.origin)
    for key, change in (changes or {}).items():
        *above, name = key.split(".")
        table = data
        for part in above:
            table = table[part]
        if name in table:
            told = f"{toml_value(table[name])}, {origin.get(key, 'default')}"
            origin[key] = (
                f"changed at runtime on {change.at}; configured: {told}; back to that: dropmill config reset {key}"
            )
            table[name] = change.value
    lines += _table(data, (), origin)
    if idle:
        lines += ["", f"# shipped profiles not in use: {', '.join(idle)}"]
    return "\n".join(lines) + "\n"


def idle_profiles(loaded: Loaded) -> list[str]:
    """Shipped profiles that no inbox uses and nobody changed."""
    used = {inbox.profile for inbox in loaded.settings.every_inbox}
    touched = {
        key.split(".")[1]
        for key, origin in loaded.origin.items()
        if key.startswith("profiles.") and origin != "default"
    }
    return sorted(set(PROFILES) & set(loaded.settings.profiles) - used - touched)


def _table(data: dict[str, Any], key: Key, origin: dict[str, str]) -> list[str]:
    plain, tables = [], []
    for name, value in data.items():
        inner = (*key, name)
        if isinstance(value, dict):
            body = _table(value, inner, origin)
            tables += ["", f"[{_header(inner)}]", *body] if _has_plain(value) else body
        elif _is_tables(value) and name in TABLES:
            for index, item in enumerate(value):
                tables += ["", f"[[{_header(inner)}]]", *_table(item, (*inner, index), origin)]
        elif _is_tables(value):
            plain.append(f"{_key(name)} = [")
            for index, item in enumerate(value):
                plain.append(f"  {toml_value(item)},  # {_origins((*inner, index), origin)}")
            plain.append("]")
        else:
            plain.append(f"{_key(name)} = {toml_value(value)}  # {origin.get(dotted(inner), 'default')}")
    return plain + tables


def _has_plain(data: dict[str, Any]) -> bool:
    return any(not isinstance(value, dict) for value in data.values())


def _is_tables(value: Any) -> bool:
    return isinstance(value, (list, tuple)) and bool(value) and isinstance(value[0], dict)


def _origins(key: Key, origin: dict[str, str]) -> str:
    """The one origin that is no default, or all of them where there are several."""
    start = dotted(key) + "."
    found = list(dict.fromkeys(place for name, place in origin.items() if name.startswith(start)))
    return ", ".join([place for place in found if place != "default"] or ["default"])


def _key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else toml_value(name)


def _header(key: Key) -> str:
    return ".".join(_key(str(part)) for part in key if not isinstance(part, int))


def toml_value(value: Any) -> str:
    """A value in TOML's spelling, on one line."""
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_key(name)} = {toml_value(inner)}" for name, inner in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(toml_value, value)) + "]"
    return json.dumps(value)


def schema() -> dict[str, Any]:
    """JSON Schema (draft 2020-12) of a configuration file, for editors; YAML and JSON fit it too."""
    result = Settings.model_json_schema(mode="validation")
    result.pop("$id", None)
    result["description"] = "Configuration of dropmill. Relative paths are taken from the folder of the file."
    # A file changes shipped profiles in part, so inside a file nothing of a profile is required but a new one's renditions.
    result["$defs"]["Profile"].pop("required", None)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **result}


@dataclass(frozen=True, slots=True)
class Answers:
    """What ``dropmill config init`` asks. ``originals`` is what becomes of a published one; empty folders are left out."""

    inbox: str
    output: str
    originals: Literal["keep", "archive", "delete"] = "keep"
    archive: str = ""
    duplicates: str = ""
    quarantine: str = ""
    readers: Literal["me", "group", "everyone"] = "everyone"
    group: str = ""
    state_dir: str = ""


_MODES: Final = {
    "me": ("0640", "0750", "the daemon's user and its own group may read the outputs"),
    "group": ("0640", "0750", "the group may read the outputs"),
    "everyone": ("0644", "0755", "everyone may read the outputs"),
}


def starter(answers: Answers) -> str:
    """The text of a first configuration file. Raises ``ValueError`` where ``archive`` is chosen without a folder."""
    if answers.originals == "archive" and not answers.archive:
        raise ValueError("an archive needs a folder")
    mode, dir_mode, meaning = _MODES[answers.readers]
    lines = ["# dropmill: `dropmill config show` prints every value, dropmill.example.toml explains them.", ""]
    if answers.state_dir:
        lines += ["# The catalog and the queue; local disk only.", f"state_dir = {toml_value(answers.state_dir)}", ""]
    lines += ["[output]", f"mode = {toml_value(mode)}  # {meaning}", f"dir_mode = {toml_value(dir_mode)}"]
    if answers.readers == "group" and answers.group:
        lines.append(f"group = {toml_value(answers.group)}")
    lines += ["", "[[inboxes]]", 'name = "inbox"']
    lines += [f"path = {toml_value(answers.inbox)}  # drop pictures here"]
    lines += [f"output = {toml_value(answers.output)}  # renditions appear here"]
    lines += ['profile = "web"  # 1600 and 400 pixels', f"on_success = {toml_value(answers.originals)}"]
    for name in ("archive", "duplicates", "quarantine"):
        folder = getattr(answers, name)
        if folder and (name != "archive" or answers.originals == "archive"):
            lines.append(f"{name} = {toml_value(folder)}")
    return "\n".join(lines) + "\n"
