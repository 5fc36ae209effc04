"""Why a download ends without a file: statuses, broken connections, full disks, each as one value."""

from __future__ import annotations

import errno
from typing import Final

from dropmill.model.download import Failed
from dropmill.model.outcome import Reason

_REASONS: Final = {reason.value: reason for reason in Reason}
# Asked again later these may well be answered; of the other 4xx the request itself is the cause (RFC 9110, 15.5).
_PASSING_4XX: Final = frozenset({408, 425, 429})
# The host knows no such method or version, which time does not change.
_LASTING_5XX: Final = frozenset({501, 505})
# One picture may be what makes a program fail (500); these say that the host, or what is before it, cannot answer.
_HOSTS_OWN: Final = frozenset({429, 502, 503, 504, *range(520, 531)})
_NO_ROOM: Final = frozenset({errno.ENOSPC, errno.EDQUOT})


class Stopped(Exception):
    """Ends a download from within."""

    def __init__(self, result: Failed) -> None:
        super().__init__(result.detail)
        self.result = result


def failed(
    reason: Reason,
    detail: str,
    *,
    permanent: bool = False,
    blames_host: bool = False,
    retry_after_seconds: float | None = None,
) -> Stopped:
    return Stopped(Failed(reason, detail, permanent, retry_after_seconds, blames_host))


def of_status(status: int, retry_after_seconds: float | None) -> Failed:
    """An answer that is no file. ``retry_after_seconds`` is what its Retry-After asks for, or None."""
    passing = status in _PASSING_4XX or (500 <= status <= 599 and status not in _LASTING_5XX)
    return Failed(
        _REASONS.get(f"http-{status}", Reason.HTTP_ERROR),
        f"the host answered with {status}",
        permanent=not passing,
        retry_after_seconds=retry_after_seconds if passing else None,
        blames_host=status in _HOSTS_OWN,
    )


def of_disk(error: OSError) -> Failed:
    reason = Reason.DISK_FULL if error.errno in _NO_ROOM else Reason.IO_ERROR
    return Failed(reason, f"the download could not be written: {error.strerror or error}", permanent=False)
