"""Every setting by its variable, and the JSON Schema that editors get: both agree with what is loaded."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from test_settings import EXAMPLE, INBOX, uncommented

from dropmill.settings import load, schema
from dropmill.settings.sources import TABLES

SCHEMA = schema()
CONFIG = EXAMPLE.parent
# Where a value that was made up would not do, or not without another setting.
OWN = {
    "state_dir": "/srv/state",
    "http.bind": "127.0.0.1:1",
    "http.token_file": str(EXAMPLE),
    "http.base_path": "/mill",
    "http.socket_mode": "0600",
    "log.file": "/var/log/mill",
    "output.mode": "0640",
    "output.dir_mode": "0750",
    "downloads.proxy": "http://proxy.example:3128",
    "dedupe.similar": "off",
    "dedupe.loose": "flag",
    "downloads.headers": {"accept-language": "de"},
    "net.addresses": {"pictures.example": ["192.0.2.1"]},
}


def settings(part: dict[str, Any], prefix: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], dict[str, Any]]]:
    """Every key that has a variable of its own, with its schema."""
    for name, field in part["properties"].items():
        if "$ref" in field:
            yield from settings(SCHEMA["$defs"][field["$ref"].rpartition("/")[2]], (*prefix, name))
        elif name not in {*TABLES, "profiles"}:
            yield (*prefix, name), field


ALL = dict(settings(SCHEMA))


def another(key: str, field: dict[str, Any]) -> Any:
    """A value that the key may have and does not have by itself."""
    if key in OWN:
        return OWN[key]
    default = field.get("default")
    if "enum" in field:
        return next(choice for choice in field["enum"] if choice not in {default, ""})
    if field.get("type") == "boolean":
        return not default
    if field.get("type") in {"integer", "number"}:
        return default + 1 if default + 1 <= field.get("maximum", default + 1) else default - 1
    return default


@pytest.mark.parametrize("key", ALL, ids=".".join)
def test_every_setting_has_a_variable_that_is_heard(tmp_path: Path, key: tuple[str, ...]) -> None:
    dotted = ".".join(key)
    value = another(dotted, ALL[key])
    variable = f"DROPMILL_{'__'.join(key).upper()}"
    config = tmp_path / "dropmill.toml"
    config.write_text(INBOX)
    text = value if isinstance(value, str) else json.dumps(value)
    result = load(config, {variable: text}, {}, need_inboxes=False)
    held: Any = result.settings.model_dump(mode="json")
    for name in key:
        held = held[name]
    assert held == value
    told = {origin for name, origin in result.origin.items() if f"{name}.".startswith(f"{dotted}.")}
    assert told == {f"environment {variable}"}


def test_the_schema_is_one_and_takes_what_is_handed_out() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    validator = jsonschema.Draft202012Validator(SCHEMA)
    example = EXAMPLE.read_text("utf-8")
    for text in (example, uncommented(example), (CONFIG / "local.toml").read_text("utf-8")):
        assert [error.message for error in validator.iter_errors(tomllib.loads(text))] == []


@pytest.mark.parametrize(
    ("wrong", "word"),
    [
        ({"nonsense": 1}, "nonsense"),
        ({"http": {"bind": 8686}}, "8686"),
        ({"log": {"level": "loud"}}, "loud"),
        ({"profiles": {"web": {"renditions": [{"name": "a", "width": 0}]}}}, "0"),
    ],
)
def test_the_schema_refuses_what_would_be_refused(wrong: dict[str, Any], word: str) -> None:
    errors = list(jsonschema.Draft202012Validator(SCHEMA).iter_errors(wrong))
    assert errors
    assert word in json.dumps([error.message for error in errors])


def test_every_bound_that_is_given_is_one_that_editors_know() -> None:
    """Pydantic puts those that it cannot express there under names of its own, which mean nothing."""
    assert not {"ge", "gt", "le", "lt"} & set(_words(SCHEMA))


def _words(part: Any) -> Iterator[str]:
    if isinstance(part, dict):
        for name, inner in part.items():
            yield name
            yield from _words(inner)
    elif isinstance(part, list):
        for inner in part:
            yield from _words(inner)
