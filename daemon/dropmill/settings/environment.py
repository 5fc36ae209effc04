"""``DROPMILL_…`` variables: shorthands, nesting by ``__``, and what is nobody's setting."""

from __future__ import annotations

import difflib
import json
import os
import re
import types
from collections.abc import Mapping
from typing import Annotated, Any, Final, Union, get_args, get_origin

from pydantic import BaseModel

from dropmill.settings.findings import Finding
from dropmill.settings.locate import Key
from dropmill.settings.sources import TABLES, Data, Layer, absolute, beyond_reason, dotted, excess_of
from dropmill.settings.top import Settings

PREFIX: Final = "DROPMILL_"
# One inbox without a file: the variable, and the key of the inbox that it sets.
SHORTHANDS: Final = {
    "DROPMILL_INBOX": "path",
    "DROPMILL_OUTPUT": "output",
    "DROPMILL_ARCHIVE": "archive",
    "DROPMILL_DUPLICATES": "duplicates",
    "DROPMILL_QUARANTINE": "quarantine",
}
# Read elsewhere: by `load` itself, and by the test suite.
_OTHERS: Final = frozenset({"DROPMILL_CONFIG", "DROPMILL_REQUIRE_ALL"})
# What Kubernetes and Docker links inject for every Service: here for one that is named dropmill or dropmill-….
_SERVICE = re.compile(
    r"DROPMILL_(?:[A-Z0-9]+_)*?(?:SERVICE_HOST|SERVICE_PORT(?:_[A-Z0-9_]+)?|PORT_[0-9]+_(?:TCP|UDP|SCTP)(?:_(?:PROTO|PORT|ADDR))?)"
)
_SERVICE_PORT = re.compile(r"DROPMILL_(?:[A-Z0-9]+_)*?PORT")
_SERVICE_URL = re.compile(r"(?:tcp|udp|sctp)://")


def environment_layer(
    environ: Mapping[str, str], *, file_has_inboxes: bool
) -> tuple[Layer, list[Finding], list[Finding]]:
    """The layer, what is wrong with it, and warnings (unknown variables, shorthands that a file overrules)."""
    data: Data = {}
    variables: dict[Key, str] = {}
    errors: list[Finding] = []
    warnings: list[Finding] = []
    for variable in sorted(environ):
        value = environ[variable]
        if (
            not variable.startswith(PREFIX)
            or variable in _OTHERS
            or variable in SHORTHANDS
            or _is_service(variable, value)
        ):
            continue
        key = tuple(variable.removeprefix(PREFIX).lower().split("__"))
        kind = _kind(key)
        if kind is None:
            warnings.append(_unknown(variable, key))
        elif kind is str or value:  # Empty means "not set", except where an empty text is a value of its own.
            try:
                _put(data, key, _decoded(value, kind))
            except ValueError as error:
                errors.append(Finding(f"environment {variable}", dotted(key), f"is not JSON: {error}", _json_hint(key)))
            else:
                variables[key] = f"environment {variable}"
    _one_inbox(environ, data, variables, warnings, file_has_inboxes)

    def named(key: Key) -> str:
        while key and key not in variables:
            key = key[:-1]
        return variables.get(key, "environment")

    return Layer(absolute(data, os.getcwd()), named, named), errors, warnings


def _is_service(variable: str, value: str) -> bool:
    if _SERVICE.fullmatch(variable):
        return True
    return bool(_SERVICE_PORT.fullmatch(variable) and _SERVICE_URL.match(value))


def _one_inbox(
    environ: Mapping[str, str], data: Data, variables: dict[Key, str], warnings: list[Finding], file_has_inboxes: bool
) -> None:
    given = {variable: key for variable, key in SHORTHANDS.items() if environ.get(variable)}
    if not given:
        return
    if file_has_inboxes or "inboxes" in data:
        by = "DROPMILL_INBOXES is set" if "inboxes" in data else "the file names inboxes"
        hint = "take it out, or set DROPMILL_INBOXES to replace those of the file"
        warnings += [Finding(f"environment {variable}", "", f"has no effect: {by}", hint) for variable in given]
        return
    data["inboxes"] = [{"name": "inbox", **{key: environ[variable] for variable, key in given.items()}}]
    for variable, key in given.items():
        variables[("inboxes", 0, key)] = f"environment {variable}"
    variables.setdefault(("inboxes",), f"environment {next(iter(given))}")


def _kind(key: Key) -> type[Any] | None:
    """What a key holds: str for text, int for other single values, dict or tuple for JSON; None where there is no such key."""
    kind: Any = Settings
    for part in key:
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            field = kind.model_fields.get(str(part))
            if field is None:
                return None
            kind = _bare(field.annotation)
        elif get_origin(kind) is dict:
            kind = _bare(get_args(kind)[1])
        else:
            return None
    if kind is str:
        return str
    if get_origin(kind) in {tuple, dict} or (isinstance(kind, type) and issubclass(kind, BaseModel)):
        return dict
    return int


def _bare(annotation: Any) -> Any:
    """The annotation without ``Annotated`` and ``| None``."""
    if get_origin(annotation) is Annotated:
        return _bare(get_args(annotation)[0])
    if get_origin(annotation) in {Union, types.UnionType}:
        return _bare(next(part for part in get_args(annotation) if part is not type(None)))
    return annotation


def _decoded(value: str, kind: type[Any]) -> Any:
    """Raises ValueError."""
    if kind is not dict:
        return value
    try:
        decoded = json.loads(value)
    except RecursionError as error:
        raise ValueError(excess_of(error)) from None
    excess = beyond_reason(decoded)
    if excess:
        raise ValueError(excess)
    return decoded


def _put(data: Data, key: Key, value: Any) -> None:
    place = data
    for part in key[:-1]:
        inner = place.setdefault(str(part), {})
        if not isinstance(inner, dict):
            raise ValueError(f"{dotted(key[:-1])} is set as a whole and in part")
        place = inner
    last = str(key[-1])
    if isinstance(value, dict) and isinstance(place.get(last), dict):
        place[last].update(value)
    else:
        place[last] = value


def _json_hint(key: Key) -> str:
    if key == ("inboxes",):
        return """write it as '[{"name": "camera", "path": "/srv/inbox", "output": "/srv/outbox"}]'"""
    if key == ("dropfiles",):
        return """write it as '[{"name": "list", "path": "/srv/urls.txt", "output": "/srv/outbox"}]'"""
    if key == ("webhooks",):
        return """write it as '[{"name": "app", "url": "https://app.example/hook", "secret_file": "/etc/dropmill/hook"}]'"""
    return """lists and tables are written as JSON, such as '["one", "two"]'"""


def _unknown(variable: str, key: Key) -> Finding:
    if key[0] in TABLES:
        hint = f"{key[0]} are set as a whole, as JSON in DROPMILL_{key[0].upper()}"
    else:
        near = difflib.get_close_matches(variable, [*SHORTHANDS, *_variables(Settings, PREFIX)], n=1, cutoff=0.75)
        hint = f"did you mean {near[0]}?" if near else "`dropmill config schema` lists the settings"
    return Finding(f"environment {variable}", "", "is no setting and has no effect", hint)


def _variables(model: type[BaseModel], prefix: str) -> list[str]:
    names = []
    for name, field in model.model_fields.items():
        variable = prefix + name.upper()
        names.append(variable)
        kind = _bare(field.annotation)
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            names += _variables(kind, variable + "__")
    return names
