"""What would become of a URL, rule by rule, without a request: the questions that the backend asks, told one by one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from dropmill.model.address import Address
from dropmill.model.netpolicy import Policy, Verdict
from dropmill.model.outcome import Reason
from dropmill.model.url import Url
from dropmill.net.resolver import ResolveFailed, Resolver

LOOKUP_SECONDS: Final = 5.0


@dataclass(frozen=True, slots=True)
class Explained:
    """``verdict`` tells the rule that decided; ``steps`` what was asked before, each with its answer."""

    verdict: Verdict
    steps: tuple[tuple[str, str], ...]
    addresses: tuple[Address, ...] = ()


async def explain(url: Url, policy: Policy, resolver: Resolver, *, proxy: bool) -> Explained:
    """``proxy``: whether one is configured, which then looks the name up in our place."""
    steps: list[tuple[str, str]] = []
    for what, verdict in (
        (f"host {url.host}", policy.judge_host(url.host)),
        (f"port {url.port}", policy.judge_port(url.port)),
    ):
        if not verdict.allowed:
            return Explained(verdict, tuple(steps))
        steps.append((what, verdict.rule))
    if proxy and url.address is None:
        rule = "downloads.proxy is set: the proxy looks the name up, and what it may reach is for the proxy to decide"
        return Explained(Verdict(rule), tuple(steps))
    try:
        addresses = await resolver.resolve(url.host, timeout_seconds=LOOKUP_SECONDS)
    except ResolveFailed as error:
        return Explained(Verdict(str(error), Reason.DNS_FAILURE), tuple(steps))
    if url.address is None:
        steps.append(("addresses", ", ".join(map(str, addresses))))
    return Explained(policy.judge_addresses(url.host, addresses), tuple(steps), addresses)
