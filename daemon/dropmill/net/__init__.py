"""Outgoing connections, all of them: resolved, checked, and dialled at the address that was checked.

Nothing else in the package makes a request to anywhere but the daemon's own address.
"""

from dropmill.net.client import USER_AGENT, ClientOptions, open_client, peer_address
from dropmill.net.failures import Failure, classify
from dropmill.net.redirects import Belongings, Hops, is_redirect, next_hop, read_netrc, redirected
from dropmill.net.resolver import ResolveFailed, Resolver, SystemResolver

__all__ = [
    "USER_AGENT",
    "Belongings",
    "ClientOptions",
    "Failure",
    "Hops",
    "ResolveFailed",
    "Resolver",
    "SystemResolver",
    "classify",
    "is_redirect",
    "next_hop",
    "open_client",
    "peer_address",
    "read_netrc",
    "redirected",
]
