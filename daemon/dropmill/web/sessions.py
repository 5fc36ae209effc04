"""What a browser carries after the login form: made from the token, which it does not give away, and good for a time.

Nothing is kept of a session but its end, so that another token, or a restart with another one, ends them all.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections import OrderedDict
from typing import Final

SESSION_SECONDS: Final = 30 * 24 * 3600
MOST_ENDED: Final = 4096
_SHAPE: Final = re.compile(r"([0-9a-f]{16})\.([0-9]{1,12})\.([0-9a-f]{64})")


class Sessions:
    def __init__(self, token: str) -> None:
        self._key = hmac.digest(token.encode(), b"dropmill sessions", "sha256")
        # Browsers keep one cookie of a name for all ports of a host, and another dropmill there has another token.
        self.cookie = f"dropmill-{hmac.digest(self._key, b'cookie', 'sha256').hex()[:8]}"
        """The name of its cookie."""
        self._ended: OrderedDict[str, None] = OrderedDict()

    def begin(self, now_ms: int) -> str:
        """The value of a new cookie."""
        return self._signed(secrets.token_hex(8), now_ms // 1000 + SESSION_SECONDS)

    def known(self, value: str, now_ms: int) -> str:
        """The session's number, of which nobody can make a cookie; empty where it is none of ours, is over or was ended."""
        match = _SHAPE.fullmatch(value)
        if match is None:
            return ""
        number, until = match[1], int(match[2])
        if not same(value, self._signed(number, until)) or now_ms >= until * 1000 or number in self._ended:
            return ""
        return number

    def end(self, number: str) -> None:
        """Until the next start, which forgets it; the browser has forgotten its cookie by then."""
        self._ended[number] = None
        if len(self._ended) > MOST_ENDED:
            self._ended.popitem(last=False)

    def _signed(self, number: str, until: int) -> str:
        said = f"{number}.{until}"
        return f"{said}.{hmac.new(self._key, said.encode(), hashlib.sha256).hexdigest()}"


def same(given: str, expected: str) -> bool:
    """Compared by digests of one length, in a time that tells nothing of either."""
    return hmac.compare_digest(_digest(given), _digest(expected))


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).digest()
