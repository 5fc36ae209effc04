"""``[net]``: which hosts, ports and networks may be reached. Validators bring every value into canonical spelling."""

from __future__ import annotations

import ipaddress
import re
from typing import Annotated

from pydantic import AfterValidator, Field, field_validator

from dropmill.model.address import Address, Network, read_address
from dropmill.model.netpolicy import Policy
from dropmill.model.url import UrlRefused, canonical_host
from dropmill.settings.findings import Wrong
from dropmill.settings.sections import Section

_PORTS = re.compile(r"([0-9]{1,5})(?:-([0-9]{1,5}))?")


def _network(text: str) -> str:
    try:
        ipaddress.ip_network(text)
    except ValueError as error:
        hint = "write an address or a network, as in 10.0.0.0/8, 192.168.1.5 or fd00::/8"
        if "host bits" in str(error):
            hint = f"the network is {ipaddress.ip_network(text, strict=False)}"
        raise Wrong(f"{text!r} is no network", hint) from None
    return text


def _host(text: str) -> str:
    six = read_address(text.strip("[]"))
    if six is not None and six.version == 6:
        return str(six)
    try:
        return canonical_host(text)
    except UrlRefused as error:
        raise Wrong(
            f"{text!r} is no host: {error.detail}", "write the name alone, without scheme, port or path"
        ) from None


def _pattern(text: str) -> str:
    rest = text.removeprefix("*.")
    if "*" in rest:
        raise Wrong(f"{text!r} has a * elsewhere than in front", "write example.com or *.example.com")
    return f"*.{_host(rest)}" if rest != text else _host(text)


def _ports(text: str) -> str:
    first, last = _range(text)
    if not 1 <= first <= last <= 65535:
        raise Wrong(f"{text!r} is no range of ports", "ports are 1 to 65535, the lower one first")
    return text


def _range(text: str) -> tuple[int, int]:
    match = _PORTS.fullmatch(text)
    if match is None:
        raise Wrong(f"{text!r} is no port", 'write a port or a range of them as text, as in "443" or "8000-8999"')
    return int(match[1]), int(match[2] or match[1])


Networks = tuple[Annotated[str, AfterValidator(_network)], ...]
Hosts = tuple[Annotated[str, AfterValidator(_pattern)], ...]


class Net(Section):
    """What downloads may reach. Without any setting: the web ports of the public internet."""

    allow_networks: Networks = Field(
        default=(),
        description="Networks that may be reached although they are not of the public internet, such as 10.1.0.0/16. "
        "The metadata services of clouds are reached only if named exactly, as a /32 or /128.",
    )
    deny_networks: Networks = Field(
        default=(), description="Networks that are never reached; goes before allow_networks."
    )
    allow_hosts: Hosts = Field(
        default=(),
        description="If not empty, only these hosts are reached. example.com names it and its subdomains, "
        "*.example.com the subdomains alone. What addresses they may have is not changed by it.",
    )
    deny_hosts: Hosts = Field(default=(), description="Hosts that are never reached; goes before allow_hosts.")
    ports: tuple[Annotated[str, AfterValidator(_ports)], ...] = Field(
        default=("80", "443", "8000-8999"), min_length=1, description="Ports and ranges of ports that are reached."
    )
    addresses: dict[str, tuple[str, ...]] = Field(
        default_factory=dict,
        description="Addresses of hosts that are not to be looked up, by host, as with curl's --resolve. "
        "They are checked like any other.",
    )

    @field_validator("addresses")
    @classmethod
    def _hosts_and_addresses(cls, value: dict[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
        known = {}
        for host, addresses in value.items():
            for text in addresses:
                if read_address(text) is None:
                    raise Wrong(f"{text!r} of {host!r} is no address", "write IPv4 or IPv6 addresses, as in 192.0.2.7")
            if not addresses:
                raise Wrong(f"{host!r} has no address", "name at least one, or take the host out")
            known[_host(host)] = addresses
        return known

    @property
    def policy(self) -> Policy:
        return Policy(
            allow_networks=networks(self.allow_networks),
            deny_networks=networks(self.deny_networks),
            allow_hosts=self.allow_hosts,
            deny_hosts=self.deny_hosts,
            ports=tuple(_range(text) for text in self.ports),
        )

    @property
    def static_addresses(self) -> dict[str, tuple[Address, ...]]:
        """``addresses`` as values."""
        return {
            host: tuple(found for text in texts if (found := read_address(text)) is not None)
            for host, texts in self.addresses.items()
        }


def networks(texts: tuple[str, ...]) -> tuple[Network, ...]:
    """Of texts that have been checked."""
    return tuple(ipaddress.ip_network(text) for text in texts)
