"""What downloads and webhooks rest on: a resolver, certificates, the proxy. Nothing is sent anywhere."""

from __future__ import annotations

import os
import ssl
from collections.abc import Iterator
from typing import Final

from dropmill.control.doctor.finding import Finding, Ground

RESOLV_CONF: Final = "/etc/resolv.conf"
_PROXIES: Final = ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy")


def look(ground: Ground, resolv_conf: str = RESOLV_CONF) -> Iterator[Finding]:
    settings = ground.settings
    if not (settings.dropfiles or settings.webhooks or any(inbox.urls for inbox in settings.inboxes)):
        return
    servers = name_servers(resolv_conf)
    if settings.downloads.proxy and not settings.webhooks:
        yield Finding("network", "ok", "resolver: names are resolved by the proxy or by it", "downloads.proxy")
    elif not servers:
        text = f"{resolv_conf} names no name server"
        why = "hosts are looked up at 127.0.0.1 then; if nobody answers there, no URL is fetched and no webhook told"
        remedy = "name one, or the addresses of the hosts under [net] addresses"
        yield Finding("network", "warning", text, "", resolv_conf, why, remedy, "getent hosts example.org")
    else:
        yield Finding("network", "ok", f"resolver: {', '.join(servers)}", "", resolv_conf)
    yield from _certificates()
    yield from _proxies(ground)


def name_servers(resolv_conf: str = RESOLV_CONF) -> list[str]:
    try:
        with open(resolv_conf, encoding="utf-8", errors="replace") as lines:
            fields = [line.split() for line in lines]
    except OSError:
        return []
    return [one[1] for one in fields if len(one) > 1 and one[0] == "nameserver"]


def _certificates() -> Iterator[Finding]:
    """As the client trusts: certifi's, and those of the system."""
    import certifi

    paths = ssl.get_default_verify_paths()
    system = next((path for path in (paths.cafile, paths.capath) if path and os.path.exists(path)), "")
    bundle = certifi.where()
    if not os.path.exists(bundle) and not system:
        text = "no certificates of authorities are installed"
        why = "every https connection would be refused as not trusted"
        yield Finding("network", "error", text, "", bundle, why, "", "pip install --force-reinstall certifi")
        return
    told = f"certificates: {bundle}" + (f" and {system}" if system else "; the system has none of its own")
    yield Finding("network", "ok", told, "", bundle)


def _proxies(ground: Ground) -> Iterator[Finding]:
    named = [name for name in _PROXIES if ground.environ.get(name)]
    if named and not ground.settings.downloads.proxy:
        text = f"${named[0]} is set, and not used: downloads go by the configuration alone"
        why = "a variable that somebody set for other programs must not lead downloads elsewhere"
        remedy = 'if this machine reaches hosts through it only: [downloads] proxy = "…"'
        yield Finding("network", "note", text, "downloads.proxy", "", why, remedy)
