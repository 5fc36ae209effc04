"""Addresses: what each is, in every wrapping, and that nothing of the public internet is taken for something else."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dropmill.model.address import METADATA, is_metadata, layers, read_address, read_inet_aton, special
from dropmill.model.netpolicy import Policy
from dropmill.model.outcome import Reason

INNER = ["127.0.0.1", "10.1.2.3", "192.168.1.1", "172.16.0.9", "169.254.169.254", "100.64.0.1", "0.0.0.0", "224.0.0.1"]

NOT_PUBLIC = [
    *("0.0.0.0", "0.1.2.3", "10.0.0.1", "10.255.255.255", "100.64.0.0", "100.127.255.255", "127.0.0.1", "127.255.0.1"),
    *("169.254.0.1", "172.16.0.0", "172.31.255.255", "192.0.0.1", "192.0.0.9", "192.0.2.1", "192.88.99.1"),
    *("192.168.0.1", "198.18.0.1", "198.19.255.255", "198.51.100.1", "203.0.113.1", "224.0.0.1", "239.255.255.250"),
    *("240.0.0.1", "255.255.255.254", "255.255.255.255"),
    *("::", "::1", "::2", "100::1", "100:0:0:1::1", "64:ff9b:1::808:808", "200::1", "400::1", "2001::1", "2001:2::1"),
    *("2001:10::1", "2001:1::4", "2001:db8::1", "3fff::1", "3fff:fff::1", "3ffe::1", "4000::1", "5f00::1", "8000::1"),
    *("fc00::1", "fdff::1", "fe00::1", "fe80::1", "febf::1", "fec0::1", "feff::1", "ff02::1", "ff0e::1"),
    *("fe80::1%eth0", "ff02::1%2"),
]
PUBLIC = [
    *("1.1.1.1", "8.8.8.8", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "126.255.255.255"),
    *("128.0.0.0", "169.253.255.255", "169.255.0.0", "172.15.255.255", "172.32.0.0", "192.0.1.0", "192.0.3.0"),
    *("192.167.255.255", "192.169.0.0", "198.17.255.255", "198.20.0.0", "198.51.101.0", "203.0.114.0"),
    *("223.255.255.255", "192.31.196.1", "192.52.193.1", "192.175.48.1"),
    *("2606:4700::1111", "2001:200::1", "2001:4860:4860::8888", "2400::1", "2a00:1450::1", "2001:20::1", "2001:3::1"),
    *("2001:4:112::1", "2001:1::1", "2620:4f:8000::1", "3ffd::1", "3fff:1000::1", "2001:db9::1"),
]


def six(prefix: int, inner: str, shift: int = 0) -> IPv6Address:
    return IPv6Address(prefix | int(IPv4Address(inner)) << shift)


def wrappings(inner: str) -> dict[str, IPv6Address]:
    """The address in everything that carries one."""
    turned = int(IPv4Address(inner)) ^ 0xFFFFFFFF
    number = int(IPv4Address(inner))
    server = int(IPv4Address("65.54.227.120"))
    teredo = int(IPv6Address("2001::"))
    local = int(IPv6Address("64:ff9b:1::"))
    return {
        "mapped": six(int(IPv6Address("::ffff:0:0")), inner),
        "compatible": six(0, inner),
        "translated": six(int(IPv6Address("::ffff:0:0:0")), inner),
        "nat64": six(int(IPv6Address("64:ff9b::")), inner),
        "nat64-local-96": six(local, inner),
        "nat64-local-48": IPv6Address(local | number >> 16 << 64 | (number & 0xFFFF) << 40),
        "6to4": six(int(IPv6Address("2002::")), inner, 80),
        "teredo-client": IPv6Address(teredo | server << 64 | turned),
        "teredo-server": IPv6Address(teredo | number << 64 | (0x08080808 ^ 0xFFFFFFFF)),
        "isatap-private": six(int(IPv6Address("2a00:1450::5efe:0:0")), inner),
        "isatap-global": six(int(IPv6Address("2a00:1450::200:5efe:0:0")), inner),
    }


@pytest.mark.parametrize("inner", INNER)
@pytest.mark.parametrize("wrapping", sorted(wrappings("127.0.0.1")))
def test_u02_a_wrapped_private_address_is_unwrapped_and_blocked(wrapping: str, inner: str) -> None:
    address = wrappings(inner)[wrapping]
    assert ip_address(inner) in {layer.address for layer in layers(address)} or inner == "0.0.0.0"
    verdict = Policy().judge_address(address)
    assert (verdict.allowed, verdict.reason) == (False, Reason.BLOCKED_ADDRESS)


@pytest.mark.parametrize("wrapping", ["mapped", "nat64", "6to4", "teredo-client", "teredo-server", "isatap-global"])
def test_u02_a_wrapped_public_address_is_reached(wrapping: str) -> None:
    """In a network that has IPv6 only, all of the IPv4 internet is behind NAT64."""
    assert Policy().judge_address(wrappings("8.8.4.4")[wrapping]).allowed


@pytest.mark.parametrize(
    ("text", "inner"),
    [
        ("2002:7f00:1::5efe:808:808", "127.0.0.1"),
        ("2002:808:808::5efe:7f00:1", "127.0.0.1"),
        ("2002:808:808::200:5efe:a9fe:a9fe", "169.254.169.254"),
    ],
)
def test_u02_what_is_wrapped_twice_is_blocked_for_either(text: str, inner: str) -> None:
    assert ip_address(inner) in {layer.address for layer in layers(ip_address(text))}
    assert not Policy().judge_address(ip_address(text)).allowed


@pytest.mark.parametrize("text", NOT_PUBLIC)
def test_u04_what_is_not_of_the_public_internet_is_blocked(text: str) -> None:
    address = read_address(text)
    assert address is not None and any(special(layer.address) for layer in layers(address))
    verdict = Policy().judge_address(address)
    assert verdict.reason == Reason.BLOCKED_ADDRESS and "net.allow_networks" in verdict.rule


@pytest.mark.parametrize("text", PUBLIC)
def test_u04_what_is_of_the_public_internet_is_reached(text: str) -> None:
    address = ip_address(text)
    assert special(address) == ""
    verdict = Policy().judge_address(address)
    assert verdict.allowed and "public internet" in verdict.rule


@given(st.ip_addresses(v=4))
def test_u04_what_the_standard_library_calls_private_is_never_public(address: IPv4Address) -> None:
    if (
        address.is_private
        or address.is_loopback
        or address.is_multicast
        or address.is_reserved
        or address.is_link_local
    ):
        assert special(address)


@given(st.ip_addresses(v=6))
def test_u04_only_the_global_unicast_space_is_public(address: IPv6Address) -> None:
    if Policy().judge_address(address).allowed:
        inside = int(address) >> 125 == 1
        wrapped = int(address) >> 32 in {int(IPv6Address("64:ff9b::")) >> 32, 0xFFFF}
        assert inside or wrapped


@given(st.ip_addresses(v=4), st.sampled_from(sorted(wrappings("127.0.0.1"))))
def test_u02_wrapping_never_opens_what_is_closed(inner: IPv4Address, wrapping: str) -> None:
    if not Policy().judge_address(inner).allowed:
        assert not Policy().judge_address(wrappings(str(inner))[wrapping]).allowed


def test_u03_the_metadata_services_are_known_in_every_wrapping() -> None:
    for text in (
        "169.254.169.254",
        "fd00:ec2::254",
        "100.100.100.200",
        "169.254.170.2",
        "192.0.0.192",
        "168.63.129.16",
    ):
        assert is_metadata(ip_address(text))
    assert is_metadata(IPv6Address("fe80::a9fe:a9fe%eth0"))
    assert all(not Policy().judge_address(address).allowed for address in METADATA)


@pytest.mark.parametrize(
    "text",
    ["", "1.2.3.4.5", "256.0.0.1", "1.2.3.256", "1.2.65536", "1.16777216", "4294967296", "08", "0x", "0xg", "1.", "-1"],
)
def test_u01_numbers_that_are_no_address(text: str) -> None:
    found = read_inet_aton(text)
    assert found is None or (text == "0x" and found == IPv4Address(0))


@given(
    st.ip_addresses(v=4),
    st.integers(1, 4),
    st.lists(st.sampled_from([str, hex, "0{:o}".format]), min_size=4, max_size=4),
)
def test_u01_all_spellings_of_inet_aton(address: IPv4Address, parts: int, spell: list) -> None:
    octets = address.packed
    head, tail = octets[: parts - 1], int.from_bytes(octets[parts - 1 :])
    text = ".".join(write(number) for write, number in zip(spell, [*head, tail], strict=False))
    assert read_inet_aton(text) == address
