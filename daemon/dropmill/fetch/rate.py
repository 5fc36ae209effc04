"""How fast: the pace that all downloads together keep, and the one that a host has to keep."""

from __future__ import annotations

from typing import Final

from dropmill.ports import Clock

WINDOW_SECONDS: Final = 10.0
# What an idle line may make up for at once, so that the pace holds over any second and not only over a minute.
_BURST_SECONDS: Final = 0.1


class Throttle:
    """``downloads.max_bytes_per_second``, shared by all downloads: bytes that came have their turn one after the other.

    What waits for its turn reads nothing meanwhile, and the window of TCP does the rest.
    """

    def __init__(self, bytes_per_second: int, clock: Clock) -> None:
        self._bytes_per_second = bytes_per_second
        self._clock = clock
        self._free_at = float("-inf")

    def claim(self, size_bytes: int) -> float:
        """Seconds to wait until these bytes have had their time; whoever claims them waits."""
        if not self._bytes_per_second:
            return 0.0
        now = self._clock.monotonic()
        self._free_at = max(self._free_at, now - _BURST_SECONDS) + size_bytes / self._bytes_per_second
        return max(self._free_at - now, 0.0)


class Pace:
    """Whether a download keeps ``downloads.min_bytes_per_second``, measured over windows of ten seconds (U09).

    Times are of a monotonic clock, in seconds. Silence is the business of the read timeout: this is asked when
    something arrived.
    """

    def __init__(self, min_bytes_per_second: int, now: float) -> None:
        self._min_bytes_per_second = min_bytes_per_second
        self._since = now
        self._bytes = 0

    def excuse(self, seconds: float) -> None:
        """So long we did not read; that is not the host's doing."""
        self._since += seconds

    def kept(self, size_bytes: int, now: float) -> bool:
        """With so many bytes more at ``now``; False ends the download."""
        self._bytes += size_bytes
        elapsed_seconds = now - self._since
        if elapsed_seconds < WINDOW_SECONDS:
            return True
        kept = self._bytes >= self._min_bytes_per_second * elapsed_seconds
        self._since, self._bytes = now, 0
        return kept
