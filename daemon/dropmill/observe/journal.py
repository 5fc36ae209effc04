"""The journal of systemd: whether standard error leads into it, and entries with fields of their own by systemd-python."""

from __future__ import annotations

import errno
import importlib
import os
from collections.abc import Callable, Mapping
from typing import Final

from dropmill.observe.sink import Destination

SOCKET: Final = "/run/systemd/journal/socket"
# Where an entry is refused for its size, what identifies it is let through, and so much of each value.
MOST_BYTES: Final = 1000
_TOO_LARGE: Final = frozenset({errno.EMSGSIZE, errno.ENOBUFS, errno.EMFILE, errno.ENFILE})

Send = Callable[..., object]
"""``systemd.journal.sendv``: takes ``NAME=value`` as bytes, one argument a field. Raises OSError."""


def leads_there(fd: int, environ: Mapping[str, str]) -> bool:
    """Whether a descriptor is the stream into the journal that ``JOURNAL_STREAM`` tells of (systemd.exec(5)).

    The variable is inherited by what has its output elsewhere, so device and inode are compared.
    """
    device, _, inode = environ.get("JOURNAL_STREAM", "").partition(":")
    try:
        seen = os.fstat(fd)
    except OSError:
        return False
    return (device, inode) == (str(seen.st_dev), str(seen.st_ino))


def is_there() -> bool:
    return os.path.exists(SOCKET)


def sender() -> Send | None:
    """None where systemd-python is not installed: it is an extra."""
    try:
        send: Send = importlib.import_module("systemd.journal").sendv
    except (ImportError, AttributeError):
        return None
    return send


class Journal:
    """Takes what ``render.as_journal`` gives. What the journal does not take goes ``instead`` to another destination."""

    def __init__(self, send: Send, instead: Destination, *, prefixed: bool) -> None:
        """``prefixed``: lines of the other one begin with their priority, as journald understands it on a stream."""
        self._send = send
        self._instead = instead
        self._prefixed = prefixed
        self._said = False

    def write(self, line: object) -> None:
        fields: Mapping[str, str] = line if isinstance(line, Mapping) else {"MESSAGE": str(line), "PRIORITY": "6"}
        # Without a journal the library takes everything and says nothing (sd_journal_send(3)).
        if not is_there():
            self._write_instead(fields, f"there is no journal at {SOCKET}")
            return
        try:
            try:
                self._send(*encoded(fields))
            except OSError as error:
                if error.errno not in _TOO_LARGE:
                    raise
                self._send(*encoded(fields, MOST_BYTES))
        except OSError as error:
            self._write_instead(fields, f"the journal takes nothing: {error.strerror or error}")
        else:
            self._said = False

    def _write_instead(self, fields: Mapping[str, str], why: str) -> None:
        if not self._said:
            self._said = True
            self._put("4", f"{why}; what is logged comes here instead")
        self._put(fields["PRIORITY"], fields["MESSAGE"])

    def _put(self, priority: str, text: str) -> None:
        self._instead.write(prefixed(text, int(priority)) if self._prefixed else text)

    def close(self) -> None:
        self._instead.close()


def encoded(fields: Mapping[str, str], most_bytes: int | None = None) -> list[bytes]:
    """``NAME=value`` of each field; what is no text, as in names of files, is spelt out. ``most_bytes`` of each value."""
    return [
        name.encode("ascii") + b"=" + value.encode("utf-8", "backslashreplace")[:most_bytes]
        for name, value in fields.items()
    ]


def prefixed(text: str, priority: int) -> str:
    """Each line with its priority as sd-daemon(3) has it, which journald takes off again."""
    return "\n".join(f"<{priority}>{line}" for line in text.split("\n"))
