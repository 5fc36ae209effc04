"""Which URLs and addresses may be reached, and which rule says so (U01 to U08). Pure.

Used by everything that makes a request: the network backend asks for every connection, ``dropmill check --url`` and
``dropmill why`` ask the same questions to tell the answers.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from dropmill.model.address import Address, Layer, Network, is_metadata, layers, special
from dropmill.model.outcome import Reason
from dropmill.model.url import Url, UrlRefused

PUBLIC_WEB_PORTS = ((80, 80), (443, 443), (8000, 8999))


@dataclass(frozen=True, slots=True)
class Verdict:
    """``rule`` is one sentence that names the rule that decided; ``reason`` is None where the way is free."""

    rule: str
    reason: Reason | None = None

    @property
    def allowed(self) -> bool:
        return self.reason is None

    def require(self) -> None:
        """Raises ``UrlRefused`` where the way is not free."""
        if self.reason is not None:
            raise UrlRefused(self.reason, self.rule)


@dataclass(frozen=True, slots=True)
class Policy:
    """The section ``net`` as a value; the default reaches the public internet's web ports and nothing else.

    Hosts: ``example.com`` names it and its subdomains, ``*.example.com`` the subdomains only; in canonical spelling.
    Ports: ranges, both ends included.
    """

    allow_networks: tuple[Network, ...] = ()
    deny_networks: tuple[Network, ...] = ()
    allow_hosts: tuple[str, ...] = ()
    deny_hosts: tuple[str, ...] = ()
    ports: tuple[tuple[int, int], ...] = PUBLIC_WEB_PORTS

    def judge_url(self, url: Url) -> Verdict:
        """Host, port and, where the host is one, address. Of a name, the addresses remain to be judged."""
        verdict = self.judge_place(url.host, url.port)
        if verdict.allowed and url.address is not None:
            return self.judge_address(url.address)
        return verdict

    def judge_place(self, host: str, port: int) -> Verdict:
        """The host, by its canonical spelling alone, and the port."""
        verdict = self.judge_host(host)
        return self.judge_port(port) if verdict.allowed else verdict

    def judge_host(self, host: str) -> Verdict:
        for pattern in self.deny_hosts:
            if matches(pattern, host):
                return Verdict(f"net.deny_hosts names {pattern}, which {host} is", Reason.BLOCKED_HOST)
        for pattern in self.allow_hosts:
            if matches(pattern, host):
                return Verdict(f"net.allow_hosts names {pattern}, which {host} is")
        if self.allow_hosts:
            return Verdict(f"net.allow_hosts does not name {host}", Reason.BLOCKED_HOST)
        return Verdict("net.deny_hosts does not name it" if self.deny_hosts else "no list of hosts is set")

    def judge_port(self, port: int) -> Verdict:
        for first, last in self.ports:
            if first <= port <= last:
                return Verdict(f"net.ports names {first if first == last else f'{first}-{last}'}")
        return Verdict(f"net.ports does not name port {port}", Reason.BLOCKED_PORT)

    def judge_addresses(self, host: str, addresses: Sequence[Address]) -> Verdict:
        """One address that is blocked blocks the host: a mixed answer is how a check is led astray (U05)."""
        if not addresses:
            return Verdict(f"{host} has no address", Reason.DNS_FAILURE)
        free = Verdict("")
        for address in addresses:
            verdict = self.judge_address(address)
            if not verdict.allowed:
                among = f"; one such among {len(addresses)} blocks the host" if len(addresses) > 1 else ""
                said = verdict.rule if str(address) == host else f"{host} has the address {address}: {verdict.rule}"
                return Verdict(f"{said}{among}", verdict.reason)
            free = free if free.rule else verdict
        return free

    def judge_address(self, address: Address) -> Verdict:
        """Every layer of a wrapped address has to be free (U02)."""
        said = ""
        for layer in layers(address):
            verdict = self._judge_layer(layer)
            if not verdict.allowed:
                return verdict
            said = said or verdict.rule
        return Verdict(said or f"{address} is an address of the public internet")

    def _judge_layer(self, layer: Layer) -> Verdict:
        """The rule of a free one is empty where no setting was needed."""
        name = f"{layer.address} (wrapped as {layer.wrapped_in})" if layer.wrapped_in else str(layer.address)
        denied = _containing(self.deny_networks, layer.address)
        if denied is not None:
            return Verdict(f"{name} is in {denied} of net.deny_networks", Reason.BLOCKED_ADDRESS)
        if is_metadata(layer.address):
            if any(network.num_addresses == 1 and layer.address in network for network in self.allow_networks):
                return Verdict(f"net.allow_networks names exactly {name}, the metadata service of a cloud")
            rule = f"{name} is the metadata service of a cloud, and net.allow_networks does not name exactly it"
            return Verdict(rule, Reason.BLOCKED_ADDRESS)
        kind = special(layer.address)
        if not kind:
            return Verdict("")
        allowed = _containing(self.allow_networks, layer.address)
        if allowed is not None:
            return Verdict(f"{name} ({kind}) is in {allowed} of net.allow_networks")
        return Verdict(f"{name} is {kind}, and no network of net.allow_networks holds it", Reason.BLOCKED_ADDRESS)


def matches(pattern: str, host: str) -> bool:
    """Whether a pattern of ``allow_hosts`` or ``deny_hosts`` names the host, both in canonical spelling."""
    suffix = pattern.removeprefix("*")
    if suffix != pattern:
        return host.endswith(suffix)
    return host == pattern or host.endswith("." + pattern)


def _containing(networks: Iterable[Network], address: Address) -> Network | None:
    return next((network for network in networks if network.version == address.version and address in network), None)
