"""What the network policy says of a URL, in a sentence."""

from __future__ import annotations

from dropmill.model.url import Url
from dropmill.ports import Clock
from dropmill.settings.net import Net


async def explain_url(net: Net, clock: Clock, url: Url) -> str:
    """Whether it would be asked for now, and by which rule."""
    return f"network policy: {net.policy.judge_url(url).rule}"
