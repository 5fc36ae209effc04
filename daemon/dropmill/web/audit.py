"""Who changed what: one record of each request that was to change something, and of each that brought a wrong token."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import parse_qs

from starlette.types import Scope

from dropmill.model.file import shown
from dropmill.model.url import is_url, redact
from dropmill.observe.facts import Audited
from dropmill.ports import Clock
from dropmill.web.access import API, SAFE_METHODS
from dropmill.web.checkpoint import LOGIN_PATH
from dropmill.web.clients import Client
from dropmill.web.limits import Bucket

# Asked with a body, and changing nothing.
PREVIEWS: Final = frozenset({f"{API}v1/settings/preview", f"{API}v1/keeper/preview"})
# Longer requests are told of by their size.
MOST_TOLD_BYTES: Final = 64 << 10
MOST_CHARACTERS: Final = 200
MOST_AGENT_CHARACTERS: Final = 80
MOST_ITEMS: Final = 3
MOST_KEYS: Final = 30
DEEPEST: Final = 4
_SECRET_WORDS: Final = ("token", "secret", "password", "passwd", "authorization", "cookie", "credential")
# Whoever has shown no token, or could not.
NOBODY: Final = "nobody"
# Refusals cost whoever asks nothing, so they are not to fill the disk either; nor is anything else that strangers cause.
REFUSALS_PER_SECOND: Final = 2.0
REFUSALS_AT_ONCE: Final = 100.0


class Audit:
    def __init__(self, emit: Callable[[Audited], None], clock: Clock) -> None:
        self._emit = emit
        self._clock = clock
        self._room = Bucket(REFUSALS_PER_SECOND, REFUSALS_AT_ONCE, REFUSALS_AT_ONCE, clock.monotonic())
        self._left_out = 0

    def record(
        self, scope: Scope, headers: Mapping[str, str], client: Client, by: str, body: bytes, status: int, reason: str
    ) -> None:
        """``body``: of the request, as far as it was read; ``reason``: of the problem that it was answered with."""
        result = "done" if status < 400 else "refused" if status < 500 else "failed"
        if (result == "refused" or by == NOBODY) and self._room.take(self._clock.monotonic()):
            self._left_out += 1
            return
        left_out, self._left_out = self._left_out, 0
        self._emit(
            Audited(
                client.name,
                by,
                headers.get("user-agent", "")[:MOST_AGENT_CHARACTERS],
                scope["method"],
                scope["path"][:MOST_CHARACTERS],
                given(scope["path"], headers, body),
                status,
                result,
                reason,
                left_out,
            )
        )


def is_audited(scope: Scope) -> bool:
    return scope["method"] not in SAFE_METHODS and scope["path"] not in PREVIEWS


def given(path: str, headers: Mapping[str, str], body: bytes) -> dict[str, Any]:
    """What a request says, shortened; nothing of what is meant to be secret."""
    if path == LOGIN_PATH or not body:
        return {}
    if len(body) > MOST_TOLD_BYTES:
        return {"size_bytes": len(body)}
    if headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
        fields = parse_qs(body.decode("utf-8", "replace"))
        return {_key(name): _told(name, values[0]) for name, values in list(fields.items())[:MOST_KEYS]}
    try:
        told = json.loads(body)
    except (ValueError, RecursionError):
        return {"size_bytes": len(body)}
    return _fields(told, DEEPEST) if isinstance(told, dict) else {"body": _told("", told)}


def reason_of(body: bytes) -> str:
    """Of a problem that was sent."""
    try:
        return str(json.loads(body)["reason"])
    except (ValueError, KeyError, TypeError):
        return ""


def _fields(told: dict[str, Any], depth: int) -> dict[str, Any]:
    return {_key(name): _told(name, value, depth) for name, value in list(told.items())[:MOST_KEYS]}


def _key(name: str) -> str:
    return shown(name[:MOST_CHARACTERS])


def _told(name: str, value: Any, depth: int = DEEPEST) -> Any:
    if any(word in name.lower() for word in _SECRET_WORDS):
        return "***"
    if isinstance(value, str):
        # What follows the question mark is as good as a password where a link is signed.
        text = redact(value.partition("?")[0]) if is_url(value) else value
        return shown(text[:MOST_CHARACTERS])
    if isinstance(value, dict | list) and depth == 0:
        return "…"
    if isinstance(value, dict):
        return _fields(value, depth - 1)
    if isinstance(value, list):
        first = [_told("", item, depth - 1) for item in value[:MOST_ITEMS]]
        return first if len(value) <= MOST_ITEMS else {"count": len(value), "first": first}
    return value
