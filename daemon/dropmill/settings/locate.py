"""Where each key stands in a text: line numbers for TOML and JSON, whose parsers give none.

The scanner runs only over texts that the real parser has accepted, so it need not recognise mistakes; where it
loses its way all the same, a key gets the line of its table.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field

Key = tuple[str | int, ...]

_SKIP = re.compile(r"(?:[ \t\r\n]+|#[^\n]*)*")
_BLANK = re.compile(r"[ \t]*")
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_BARE_VALUE = re.compile(r"[^,\]}#\r\n]*")
_STRING = re.compile(
    r'"""(?:[^\\]|\\.)*?"{3,5}(?!")' r"|'''.*?'{3,5}(?!')" r'|"(?:[^"\\\n]|\\.)*"' r"|'[^'\n]*'",
    re.DOTALL,
)


@dataclass
class Lines:
    """Lines by key, 1 is the first; ``twice`` holds keys that occur again, with the line of the later one."""

    by_key: dict[Key, int] = field(default_factory=dict)
    twice: dict[Key, int] = field(default_factory=dict)

    def of(self, key: Key) -> int:
        """The line of the key, or of the nearest one above it."""
        while key and key not in self.by_key:
            key = key[:-1]
        return self.by_key.get(key, 1)


def toml_lines(text: str) -> Lines:
    return _Scanner(text, "=").document()


def json_lines(text: str) -> Lines:
    scanner = _Scanner(text, ":")
    scanner.value(())
    return scanner.lines


class _Scanner:
    def __init__(self, text: str, separator: str) -> None:
        self._text = text
        self._separator = separator
        self._at = 0
        self._line = 1
        self._counted = 0
        self._tables: dict[Key, int] = {}
        self._seen: set[Key] = set()
        self.lines = Lines()

    def document(self) -> Lines:
        table: Key = ()
        while self._skip(_SKIP) < len(self._text):
            before = self._at
            if self._text[self._at] == "[":
                table = self._header()
            else:
                self._pair(table)
            if self._at == before:  # Nothing that a valid text can hold: give up rather than turn in circles.
                break
        return self.lines

    def value(self, key: Key) -> None:
        """Step over one value, noting what is inside."""
        self._skip(_SKIP)
        start = self._text[self._at : self._at + 1]
        if start == "[":
            self._inside("]", key)
        elif start == "{":
            self._inside("}", key)
        elif start in {'"', "'"} and (match := _STRING.match(self._text, self._at)):
            self._at = match.end()
        else:
            self._skip(_BARE_VALUE)

    def _header(self) -> Key:
        line = self._line_here()
        is_array = self._text.startswith("[[", self._at)
        self._at += 2 if is_array else 1
        parts = self._dotted()
        end = self._text.find("]", self._at)
        self._at = len(self._text) if end < 0 else end + (2 if is_array else 1)
        table: Key = ()
        for depth, part in enumerate(parts, 1):
            table = (*table, part)
            self.lines.by_key.setdefault(table, line)
            if is_array and depth == len(parts):
                self._tables[table] = self._tables.get(table, -1) + 1
            if table in self._tables:
                table = (*table, self._tables[table])
                self.lines.by_key.setdefault(table, line)
        self.lines.by_key[table] = line
        return table

    def _pair(self, table: Key) -> None:
        line = self._line_here()
        key = table
        for part in self._dotted():
            key = (*key, part)
            self.lines.by_key.setdefault(key, line)
        self._skip(_SKIP)
        if self._text.startswith(self._separator, self._at):
            self._at += 1
            if key in self._seen:
                self.lines.twice[key] = line
            self._seen.add(key)
            self.value(key)

    def _inside(self, end: str, key: Key) -> None:
        self._at += 1
        index = 0
        while self._skip(_SKIP) < len(self._text) and self._text[self._at] != end:
            before = self._at
            if end == "}":
                self._pair(key)
            else:
                self.lines.by_key[(*key, index)] = self._line_here()
                self.value((*key, index))
            index += 1
            self._skip(_SKIP)
            if self._text.startswith(",", self._at):
                self._at += 1
            if self._at == before:
                break
        self._at += 1

    def _dotted(self) -> list[str]:
        parts = []
        while True:
            self._skip(_BLANK)
            if match := _STRING.match(self._text, self._at):
                parts.append(_unquoted(match[0]))
            elif match := _BARE_KEY.match(self._text, self._at):
                parts.append(match[0])
            else:
                return parts
            self._at = match.end()
            self._skip(_BLANK)
            if self._separator == ":" or not self._text.startswith(".", self._at):
                return parts
            self._at += 1

    def _skip(self, pattern: re.Pattern[str]) -> int:
        match = pattern.match(self._text, self._at)
        if match:
            self._at = match.end()
        return self._at

    def _line_here(self) -> int:
        self._line += self._text.count("\n", self._counted, self._at)
        self._counted = self._at
        return self._line


def _unquoted(text: str) -> str:
    if text.startswith('"'):
        try:
            return str(json.loads(text))
        except ValueError:  # An escape that TOML has and JSON has not; the key then keeps its quotes.
            return text
    return text[1:-1]
