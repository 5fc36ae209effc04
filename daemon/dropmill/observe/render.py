"""How a worded line looks: JSON for machines, one readable line for people, structured fields for journald."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, tzinfo
from typing import Any, Final

from dropmill.model.file import shown
from dropmill.model.outcome import with_detail
from dropmill.observe.journal import prefixed

EventDict = Mapping[str, Any]

_COLOURS: Final = {"debug": "2", "info": "32", "warning": "33", "error": "31"}
# Syslog's numbers, as journald wants them.
PRIORITIES: Final = {"debug": 7, "info": 6, "warning": 4, "error": 3}
# Said in the sentence itself, or of no use to a reader of the terminal.
_LEFT_OUT: Final = {
    "event",
    "level",
    "timestamp_ms",
    "path",
    "inbox",
    "reason",
    "cause",
    "detail",
    "remedy",
    "hint",
} | {
    "job_id",
    "outcome",
    "found_by",
    "boot",
    "quarantined",
    "target",
    "same_as",
    "resembles",
    "tier",
    "disposition",
    "exception",
}

# What journald takes as the name of a field (sd_journal_send(3)).
_OUTSIDE_OF_NAMES: Final = re.compile(r"[^A-Z0-9_]")
MOST_NAME_CHARS: Final = 64

_LIKE: Final = {"near": "near-duplicate of", "similar": "similar to"}


def as_json(_logger: object, _method: str, event: Mapping[str, Any]) -> str:
    """One object a line, its time first."""
    rest = {key: value for key, value in event.items() if key not in {"timestamp_ms", "event", "level"}}
    head = {"timestamp": _utc(event["timestamp_ms"]), "level": event["level"], "event": event["event"]}
    return json.dumps(head | rest, ensure_ascii=False, default=str)


def _utc(timestamp_ms: int) -> str:
    return datetime.fromtimestamp(timestamp_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def as_journal(_logger: object, _method: str, event: Mapping[str, Any]) -> dict[str, str]:
    """An entry: one readable MESSAGE, and each field of the JSON line as ``DROPMILL_<NAME>``."""
    entry = {
        "MESSAGE": _sentence(event, colour=lambda text, _code: text),
        "PRIORITY": str(PRIORITIES[event["level"]]),
        "SYSLOG_IDENTIFIER": "dropmill",
    }
    for key, value in event.items():
        if key not in {"timestamp_ms", "level"} and value not in (None, "", {}, []):
            entry[f"DROPMILL_{_OUTSIDE_OF_NAMES.sub('_', key.upper())}"[:MOST_NAME_CHARS]] = _text(value)
    return entry


def with_priority(render: Callable[[object, str, Any], str]) -> Callable[[object, str, Any], str]:
    """The same lines, each with its priority in front, for a stream that the journal reads."""

    def rendered(logger: object, method: str, event: Any) -> str:
        return prefixed(render(logger, method, event), PRIORITIES[event["level"]])

    return rendered


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, default=str)


class Console:
    """For eyes: local time, what happened, to which file, why, and what to do."""

    def __init__(self, *, colours: bool, zone: tzinfo | None = None) -> None:
        self._colours = colours
        self._zone = zone

    def __call__(self, _logger: object, _method: str, event: Mapping[str, Any]) -> str:
        at = datetime.fromtimestamp(event["timestamp_ms"] / 1000, UTC).astimezone(self._zone)
        return f"{self._colour(at.strftime('%H:%M:%S'), '2')}  {_sentence(event, self._colour)}"

    def _colour(self, text: str, code: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self._colours and text else text


def _sentence(event: Mapping[str, Any], colour: Callable[[str, str], str]) -> str:
    """``discarded  /srv/inbox/a.jpg  truncated: the picture ends too early → copy it again … (job 12)``."""
    # What could forge a line or steer a terminal is escaped before our own colours come in.
    exception = event.get("exception")
    event = {key: shown(value) if isinstance(value, str) else value for key, value in event.items()}
    parts = [colour(f"{event['event']:<10}", _COLOURS[event["level"]])]
    if event.get("path"):
        parts.append(event["path"])
    elif event.get("inbox"):
        parts.append("all inboxes" if event["inbox"] == "*" else f"inbox {event['inbox']}")
    if "target" in event:
        parts.append(f"→ {event['target']}")
    if "same_as" in event:
        parts.append(f"same as {event['same_as']}")
    if "resembles" in event:
        parts.append(f"{_LIKE.get(event.get('tier', ''), 'like')} {event['resembles']}")
    why = _why(event)
    if why:
        parts.append(why)
    rest = ", ".join(_say(key, value) for key, value in event.items() if key not in _LEFT_OUT and value not in ("", {}))
    if "job_id" in event:
        rest = f"{rest}, job {event['job_id']}" if rest else f"job {event['job_id']}"
    if rest:
        parts.append(colour(f"({rest})", "2"))
    remedy = event.get("remedy") or event.get("hint")
    if remedy:
        parts.append(f"→ {remedy}")
    sentence = "  ".join(parts)
    return f"{sentence}\n{exception}" if exception else sentence


def _why(event: Mapping[str, Any]) -> str:
    detail, cause, reason = event.get("detail", ""), event.get("cause", ""), event.get("reason", "")
    said = with_detail(reason, cause, detail)
    return f"{reason}: {said}" if reason and said else reason or said


def _say(key: str, value: object) -> str:
    if key == "size_bytes" and isinstance(value, int):
        return _size(value)
    if key == "seconds":
        return f"{value:.2f} s"
    if key == "result":
        return str(value)
    if key == "after_seconds":
        return f"in {value} s"
    if isinstance(value, Mapping):
        return f"{key.replace('_', ' ')}: " + " ".join(f"{name} {count}" for name, count in value.items())
    if isinstance(value, list):
        return f"{key.replace('_', ' ')}: " + "; ".join(shown(str(item)) for item in value)
    return f"{key.replace('_', ' ')} {value}"


def _size(size_bytes: int) -> str:
    for limit, unit in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if size_bytes >= limit:
            return f"{size_bytes / limit:.1f} {unit}"
    return f"{size_bytes} bytes"
