"""What pydantic found wrong, in the words of the configuration, and a mended copy so that the other checks can go on."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, Final

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from dropmill.settings.dedupe import Changes, Dedupe, TierPolicies
from dropmill.settings.downloads import Downloads
from dropmill.settings.dropfiles import Dropfile
from dropmill.settings.findings import Finding, Wrong, suggestion
from dropmill.settings.http import Http
from dropmill.settings.inboxes import Inbox
from dropmill.settings.locate import Key
from dropmill.settings.net import Net
from dropmill.settings.presets import PROFILES
from dropmill.settings.profiles import Profile, Rendition
from dropmill.settings.review import Review
from dropmill.settings.sections import Log, Output, Queue, Workers
from dropmill.settings.sources import Data, dotted
from dropmill.settings.top import Settings
from dropmill.settings.webhooks import Webhook

SECTIONS: Final[dict[str, type[BaseModel]]] = {
    "http": Http,
    "log": Log,
    "output": Output,
    "workers": Workers,
    "dedupe": Dedupe,
    "review": Review,
    "queue": Queue,
    "downloads": Downloads,
    "net": Net,
}
# Keys of the design that this version does not have, or that will never be: better said than "unknown key".
_NOT_HERE: Final = {
    "symlinks": ("symbolic links are never followed", "take it out; this cannot be configured"),
}
_EXPECTED: Final = {
    "bool": "must be true or false",
    "int": "must be a whole number",
    "float": "must be a number",
    "string": "must be text",
    "tuple": "must be a list",
    "list": "must be a list",
    "dict": "must be a table",
    "model": "must be a table of keys",
    "finite": "must be a finite number",
}


def model_at(key: Key) -> type[BaseModel] | None:
    """The model that holds the keys directly below ``key``."""
    match key:
        case ():
            return Settings
        case ("inboxes", int()):
            return Inbox
        case ("dropfiles", int()):
            return Dropfile
        case ("webhooks", int()):
            return Webhook
        case ("profiles", str()):
            return Profile
        case ("profiles", str(), "renditions", int()):
            return Rendition
        case ("inboxes" | "dropfiles", int(), "dedupe") | ("profiles", str(), "dedupe"):
            return TierPolicies
        case ("dedupe", "uniquify"):
            return Changes
        case (str() as name,):
            return SECTIONS.get(name)
    return None


def findings(error: ValidationError, where: Callable[[Key], str]) -> list[tuple[Key, Finding]]:
    """Each problem with its key; ``where`` names the place of a key."""
    found: list[tuple[Key, Finding]] = []
    details = error.errors(include_url=False)
    for detail in details:
        key, message, hint = _told(detail)
        # A list whose items are wrong counts as short of them; the items say it better.
        if detail["type"] == "too_short" and any(key == other["loc"][: len(key)] != other["loc"] for other in details):
            continue
        found.append((key, Finding(where(key), dotted(key), message, hint)))
    return found


def _told(detail: ErrorDetails) -> tuple[Key, str, str]:
    key: Key = tuple(part for part in detail["loc"] if part != "[key]")
    context = detail.get("ctx", {})
    cause = context.get("error")
    kind = detail["type"]
    if isinstance(cause, Wrong):
        return ((*key, cause.key) if cause.key else key), cause.message, cause.hint
    if kind == "extra_forbidden":
        return _unknown(key)
    if kind == "missing":
        what = _description(key)
        return key, f"is required: {what[:1].lower()}{what[1:]}" if what else "is required", ""
    value = _shown_value(detail["input"])
    if kind == "literal_error":
        valid = [word.strip(" '") for word in str(context["expected"]).replace(" or ", ",").split(",")]
        valid = [word for word in valid if word]
        return key, f"{value} is not valid", _choice(detail["input"], valid)
    for start, expected in _EXPECTED.items():
        if kind.startswith(start + "_") and kind.removeprefix(start + "_") in {
            "type",
            "parsing",
            "from_float",
            "number",
        }:
            return key, f"{expected}, not {value}", ""
    return key, f"{value} is not valid", _bound(kind, context) or detail["msg"]


def _choice(given: object, valid: list[str]) -> str:
    near = suggestion(str(given), valid)
    return near if near.startswith("valid") else f"{near} Valid are {', '.join(valid)}"


def _bound(kind: str, context: dict[str, Any]) -> str:
    match kind:
        case "greater_than":
            return f"must be more than {context['gt']:g}"
        case "greater_than_equal":
            return f"must be at least {context['ge']:g}"
        case "less_than_equal":
            return f"must be at most {context['le']:g}"
        case "too_short":
            return f"must have at least {context['min_length']} item(s)"
        case "too_long":
            return f"must have at most {context['max_length']} item(s)"
        case "string_too_short":
            return "must not be empty"
        case "string_pattern_mismatch":
            return f"must look like {_PATTERNS.get(context['pattern'], context['pattern'])}"
        case "string_unicode":
            return "must be UTF-8 text"
    return ""


_PATTERNS: Final = {r"^[0-7]{3,4}$": '"0644"', r"^#[0-9A-Fa-f]{6}$": '"#ffffff"'}


def _unknown(key: Key) -> tuple[Key, str, str]:
    last = str(key[-1])
    if last in _NOT_HERE and (last == "symlinks") == (len(key) > 1):
        return key, *_NOT_HERE[last]
    model = model_at(key[:-1])
    lists: dict[str, type[BaseModel]] = {"[[inboxes]]": Inbox, "[[dropfiles]]": Dropfile, "[[webhooks]]": Webhook}
    homes = lists | {f"[{name}]": one for name, one in SECTIONS.items()}
    belongs = [name for name, one in homes.items() if last in one.model_fields]
    if model in {Downloads, Net, TierPolicies} and belongs:
        return key, "unknown key", f"it belongs to {' or '.join(belongs)}"
    return key, "unknown key", suggestion(last, model.model_fields) if model else ""


def _description(key: Key) -> str:
    model = model_at(key[:-1])
    field = model.model_fields.get(str(key[-1])) if model else None
    return (field.description or "").rstrip(".") if field else ""


def _shown_value(value: object) -> str:
    text = repr(value) if not isinstance(value, bool) else str(value).lower()
    return text if len(text) <= 80 else text[:77] + "…"


def mended(merged: Data, broken: list[Key]) -> Data:
    """A copy in which each broken key holds something valid, so that what depends on the others can still be checked."""
    result = copy.deepcopy(merged)
    for key in broken:
        if len(key) > 1 or key[0] in Settings.model_fields or key[0] in result:
            _mend(result, key)
    return result


def _mend(data: Data, key: Key) -> None:
    """Put the stand-in for the field that ``key`` is in or is; leave fields out that have a default."""
    container, field = _field_of(key)
    place: Any = data
    for part in container:
        try:
            place = place[part]
        except (KeyError, IndexError, TypeError):
            return  # A container above it has been replaced already.
    stand_in = _stand_in((*container, field))
    if isinstance(place, dict):
        place.pop(field, None)
        if stand_in is not None:
            place[field] = stand_in
    elif isinstance(place, list) and isinstance(field, int):
        place[field] = stand_in


def _field_of(key: Key) -> tuple[Key, str | int]:
    for end in range(len(key), 0, -1):
        if model_at(key[: end - 1]) is not None and not isinstance(key[end - 1], int):
            return key[: end - 1], key[end - 1]
        if model_at(key[:end]) is not None:
            return key[: end - 1], key[end - 1]
    return key[:-1], key[-1]


def _stand_in(key: Key) -> Any:
    match key:
        case ("inboxes" | "dropfiles", int() as index):
            return {field: _stand_in((*key, field)) for field in ("name", "path", "output")} if index >= 0 else None
        case ("inboxes" | "dropfiles" as tables, int() as index, "name"):
            return f"unnamed-{tables}-{index}"
        case ("inboxes" | "dropfiles" as tables, int() as index, "path" | "output" as field):
            return f"/nonexistent/{tables}/{index}/{field}"
        case ("webhooks", int()):
            return {field: _stand_in((*key, field)) for field in ("name", "url", "secret_file")}
        case ("webhooks", int() as index, "name"):
            return f"unnamed-webhooks-{index}"
        case ("webhooks", int(), "url"):
            return "https://nowhere.invalid/"
        case ("webhooks", int(), "secret_file"):
            return "/nonexistent/webhooks/secret"
        case ("webhooks", int(), "secret_variable"):
            return "UNNAMED"
        case ("profiles", str()):
            return copy.deepcopy(PROFILES["web"])
        case ("profiles", str(), "renditions"):
            return [{"name": "unnamed", "scale": 1.0}]
        case ("profiles", str(), "renditions", int() as index):
            return {"name": f"unnamed-{index}", "scale": 1.0}
        case ("profiles", str(), "renditions", int() as index, "name"):
            return f"unnamed-{index}"
        # A broken size still says which mode was meant.
        case ("profiles", str(), "renditions", int(), "fit" | "fill"):
            return [1, 1]
        case ("profiles", str(), "renditions", int(), "width" | "height" | "scale"):
            return 1
    return None
