"""What the network policy says of a URL, for ``dropmill why`` and ``dropmill check --url``. Nothing is requested."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dropmill.model.url import Url
from dropmill.ports import Clock
from dropmill.settings.downloads import Downloads
from dropmill.settings.net import Net

if TYPE_CHECKING:
    from dropmill.net.explain import Explained


async def explained(net: Net, downloads: Downloads, clock: Clock, url: Url) -> Explained:
    """Looks the name up, and judges it as a download would at this moment."""
    from dropmill.net.explain import explain  # Brings the HTTP libraries, which few commands need.
    from dropmill.net.resolver import SystemResolver

    resolver = SystemResolver(net.static_addresses, clock)
    try:
        return await explain(url, net.policy, resolver, proxy=bool(downloads.proxy))
    finally:
        resolver.close()


async def explain_url(net: Net, downloads: Downloads, clock: Clock, url: Url) -> str:
    """Whether it would be asked for now, and by which rule, as a sentence."""
    verdict = (await explained(net, downloads, clock, url)).verdict
    if verdict.reason is None:
        return f"the network policy allows it: {verdict.rule}"
    return f"it cannot be fetched now ({verdict.reason}): {verdict.rule}"
