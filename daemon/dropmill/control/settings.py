"""The configuration in force, value by value, each with where it came from; what is secret is withheld."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any, Final
from urllib.parse import urlsplit

from pydantic import BaseModel

from dropmill.control.describe import iso
from dropmill.control.house import House, running
from dropmill.model.file import shown
from dropmill.settings import idle_profiles

Json = dict[str, Any]

WITHHELD: Final = "withheld"
# Headers carry keys and cookies; nobody can tell which of them do.
_SECRET: Final = frozenset({"headers"})


def told(house: House) -> Json:
    """``{file, applied_at, settings: [{key, value, origin, secret, description}]}``. Shipped profiles that no inbox uses
    and nobody changed are left out. Raises ``Conflict`` where no daemon runs."""
    configuration = running(house).configuration
    loaded = configuration.loaded
    idle = tuple(f"profiles.{name}." for name in idle_profiles(loaded))
    return {
        "file": None if loaded.path is None else shown(os.fsencode(loaded.path)),
        "applied_at": iso(configuration.loaded_ms),
        "settings": [
            {**one, "origin": loaded.origin.get(one["key"], "default")}
            for one in _values(loaded.settings, "")
            if not one["key"].startswith(idle)
        ],
    }


def _values(model: BaseModel, above: str) -> Iterator[Json]:
    plain = model.model_dump(mode="json")
    for name, field in type(model).model_fields.items():
        value, key = getattr(model, name), above + name
        if isinstance(value, BaseModel):
            yield from _values(value, f"{key}.")
        elif isinstance(value, dict) and any(isinstance(inner, BaseModel) for inner in value.values()):
            for inner_name, inner in value.items():
                yield from _values(inner, f"{key}.{inner_name}.")
        elif isinstance(value, tuple) and any(isinstance(inner, BaseModel) for inner in value):
            for index, inner in enumerate(value):
                yield from _values(inner, f"{key}.{index}.")
        elif value is not None:
            yield _leaf(key, name, plain[name]) | {"description": field.description or ""}


def _leaf(key: str, name: str, value: Any) -> Json:
    secret = (name in _SECRET and bool(value)) or _has_password(value)
    return {"key": key, "value": _withheld(value) if secret else value, "secret": secret}


def _has_password(value: Any) -> bool:
    """Of a proxy, for instance."""
    return isinstance(value, str) and "://" in value and "@" in urlsplit(value).netloc


def _withheld(value: Any) -> Any:
    """The names of headers, but not what they say; of a URL all but who we are there."""
    if isinstance(value, dict):
        return dict.fromkeys(value, WITHHELD)
    parts = urlsplit(value)
    return parts._replace(netloc=f"{WITHHELD}@{parts.netloc.rpartition('@')[2]}").geturl()
