"""What an address is: public, or one that the internet does not route, however it is wrapped (U02, U03, U04). Pure.

``ipaddress.is_global`` is not asked: it holds multicast, 6to4 and NAT64 of private addresses, and deprecated ranges for
global, and changes between versions of Python. The tables follow the IANA registries of special-purpose addresses
(https://www.iana.org/assignments/iana-ipv4-special-registry and iana-ipv6-special-registry, RFC 6890 and later), of IPv6
address space (everything but 2000::/3 is not unicast of the internet, RFC 4291) and of multicast.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Final

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

# Most specific ones first. Those without a name are public parts of a range that is not.
_SPECIAL_V4: Final = tuple(
    (IPv4Network(network), name)
    for network, name in (
        ("255.255.255.255/32", "the broadcast address"),
        ("192.0.0.0/24", "reserved for protocols"),
        ("192.0.2.0/24", "for documentation"),
        ("198.51.100.0/24", "for documentation"),
        ("203.0.113.0/24", "for documentation"),
        ("192.88.99.0/24", "for 6to4 relays, given up"),
        ("192.168.0.0/16", "private"),
        ("169.254.0.0/16", "link-local"),
        ("198.18.0.0/15", "for benchmarks"),
        ("172.16.0.0/12", "private"),
        ("100.64.0.0/10", "shared by customers of a provider"),
        ("0.0.0.0/8", "of this host or network"),
        ("10.0.0.0/8", "private"),
        ("127.0.0.0/8", "loopback"),
        ("224.0.0.0/4", "multicast"),
        ("240.0.0.0/4", "reserved"),
    )
)
_SPECIAL_V6: Final = tuple(
    (IPv6Network(network), name)
    for network, name in (
        ("::/128", "no address"),
        ("::1/128", "loopback"),
        ("2001:1::1/128", ""),
        ("2001:1::2/128", ""),
        ("2001:1::3/128", ""),
        ("::ffff:0:0/96", ""),
        ("64:ff9b::/96", ""),
        ("::/96", "an IPv4 address in a form that was given up"),
        ("100::/64", "for discarding"),
        ("100:0:0:1::/64", "a dummy prefix"),
        ("2001:2::/48", "for benchmarks"),
        ("2001:4:112::/48", ""),
        ("64:ff9b:1::/48", "for the translation of a local network"),
        ("2001::/32", ""),
        ("2001:3::/32", ""),
        ("2001:db8::/32", "for documentation"),
        ("2001:10::/28", "for hash identifiers, given up"),
        ("2001:20::/28", ""),
        ("2001:30::/28", ""),
        ("2001::/23", "reserved for protocols"),
        ("3fff::/20", "for documentation"),
        ("3ffe::/16", "for a test network, given up"),
        ("5f00::/16", "for segment routing"),
        ("fe80::/10", "link-local"),
        ("fec0::/10", "site-local, given up"),
        ("ff00::/8", "multicast"),
        ("fc00::/7", "private"),
        ("2000::/3", ""),
        ("::/0", "not of the internet"),
    )
)

# Where clouds tell the machines in them their secrets: AWS, Azure, Google, Oracle, OpenStack, DigitalOcean, Hetzner
# (169.254.169.254), AWS containers (169.254.170.2, .23), Alibaba, Tencent, Scaleway, Oracle (192.0.0.192), Azure's host.
METADATA: Final = frozenset(
    ip_address(text)
    for text in (
        "169.254.169.254",
        "169.254.170.2",
        "169.254.170.23",
        "169.254.0.23",
        "169.254.42.42",
        "100.100.100.200",
        "192.0.0.192",
        "168.63.129.16",
        "fd00:ec2::254",
        "fd00:ec2::23",
        "fd20:ce::254",
        "fd00:42::42",
        "fe80::a9fe:a9fe",
    )
)

_NAT64: Final = IPv6Network("64:ff9b::/96")
_NAT64_LOCAL: Final = IPv6Network("64:ff9b:1::/48")
_MAPPED: Final = IPv6Network("::ffff:0:0/96")
_COMPATIBLE: Final = IPv6Network("::/96")
_TRANSLATED: Final = IPv6Network("::ffff:0:0:0/96")
_SIX_TO_FOUR: Final = IPv6Network("2002::/16")
_TEREDO: Final = IPv6Network("2001::/32")
# The upper half of an ISATAP interface identifier, with the bit "globally unique" and without (RFC 5214, 6.1).
_ISATAP: Final = frozenset({0x00005EFE, 0x02005EFE})


@dataclass(frozen=True, slots=True)
class Layer:
    """An address, and what it was wrapped in (empty for the outermost)."""

    address: Address
    wrapped_in: str = ""


def read_address(text: str) -> Address | None:
    """An address as resolvers and sockets write it; a zone (``fe80::1%eth0``) is left out. None for anything else."""
    try:
        return ip_address(text.partition("%")[0])
    except ValueError:
        return None


def read_inet_aton(text: str) -> IPv4Address | None:
    """IPv4 in every spelling that inet_aton(3) takes: one to four parts, decimal, octal (0…) or hexadecimal (0x…).

    The last part fills what the others leave: ``127.1``, ``0x7f000001``, ``2130706433``, ``0177.0.0.1``, ``0``.
    """
    parts = text.split(".")
    if len(parts) > 4:
        return None
    values = []
    for part in parts:
        value = _number(part)
        if value is None:
            return None
        values.append(value)
    *head, last = values
    if any(value > 255 for value in head) or last >= 256 ** (4 - len(head)):
        return None
    number = last
    for place, value in enumerate(head):
        number += value << 8 * (3 - place)
    return IPv4Address(number)


def layers(address: Address) -> tuple[Layer, ...]:
    """The address and everything that it wraps, outermost first; each may be where a packet ends up (U02)."""
    found: list[Layer] = []
    waiting = [Layer(address)]
    while waiting:
        layer = waiting.pop(0)
        found.append(layer)
        if isinstance(layer.address, IPv6Address):
            waiting += [Layer(inner, how) for how, inner in _wrapped(layer.address)]
    return tuple(found)


def special(address: Address) -> str:
    """What the address is, such as ``loopback``, where it is not one of the public internet; else empty.

    Only this layer is looked at: what it wraps is for ``layers`` to tell.
    """
    if isinstance(address, IPv4Address):
        return next((name for network, name in _SPECIAL_V4 if address in network), "")
    plain = IPv6Address(int(address))
    return next(name for network, name in _SPECIAL_V6 if plain in network)


def is_metadata(address: Address) -> bool:
    """Whether a cloud tells secrets there (U03)."""
    plain = IPv6Address(int(address)) if isinstance(address, IPv6Address) else address
    return plain in METADATA


def _number(text: str) -> int | None:
    if not text.isascii() or len(text) > 64:
        return None
    lower = text.lower()
    try:
        if lower.startswith("0x"):
            return int(lower[2:] or "0", 16) if lower[2:].isalnum() or lower == "0x" else None
        if not lower.isdigit():
            return None
        return int(lower, 8 if lower.startswith("0") else 10)
    except ValueError:
        return None


def _wrapped(address: IPv6Address) -> Iterator[tuple[str, IPv4Address]]:
    number = int(address)
    low = number & 0xFFFFFFFF
    for network, how in (
        (_MAPPED, "IPv4-mapped"),
        (_NAT64, "NAT64"),
        (_TRANSLATED, "IPv4-translated"),
    ):
        if address in network:
            yield how, IPv4Address(low)
    if address in _COMPATIBLE and low > 1:
        yield "IPv4-compatible", IPv4Address(low)
    elif address in _NAT64_LOCAL:
        yield from (("NAT64", inner) for inner in _translated_locally(number))
    elif address in _SIX_TO_FOUR:
        yield "6to4", IPv4Address(number >> 80 & 0xFFFFFFFF)
    elif address in _TEREDO:
        # RFC 4380, section 4: server, flags, port and client, the last two with their bits turned over.
        yield "Teredo (server)", IPv4Address(number >> 64 & 0xFFFFFFFF)
        yield "Teredo (client)", IPv4Address(low ^ 0xFFFFFFFF)
    if number >> 32 & 0xFFFFFFFF in _ISATAP:
        yield "ISATAP", IPv4Address(low)


def _translated_locally(number: int) -> Iterator[IPv4Address]:
    """RFC 6052, section 2.2: in a /96 the IPv4 address is at the end, in shorter ones around the byte at bit 64."""
    low = number & 0xFFFFFFFF
    if low:
        yield IPv4Address(low)
    for prefix in (48, 56, 64):
        split = 64 - prefix
        suffix = 128 - 72 - (32 - split)
        if number & ((1 << suffix) - 1) == 0:
            yield IPv4Address(
                (number >> 64 & (1 << split) - 1) << (32 - split) | number >> suffix & (1 << 32 - split) - 1
            )
