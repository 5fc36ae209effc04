"""The network policy: which rule decides, and that the narrower one wins where it must."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest

from dropmill.model.netpolicy import Policy, Verdict, matches
from dropmill.model.outcome import Reason
from dropmill.model.url import UrlRefused, parse_url
from dropmill.settings.findings import Wrong
from dropmill.settings.net import Net

PRIVATE = tuple(
    ip_network(text) for text in ("10.0.0.0/8", "169.254.0.0/16", "100.64.0.0/10", "fd00::/8", "192.0.0.0/24")
)
EVERYTHING = tuple(ip_network(text) for text in ("0.0.0.0/0", "::/0"))


def judged(policy: Policy, *addresses: str) -> Verdict:
    return policy.judge_addresses("host.example", [ip_address(text) for text in addresses])


def test_u05_one_private_address_blocks_the_whole_answer() -> None:
    for answer in (["8.8.8.8", "127.0.0.1"], ["127.0.0.1", "8.8.8.8"], ["8.8.8.8", "::ffff:10.0.0.1"]):
        verdict = judged(Policy(), *answer)
        assert verdict.reason == Reason.BLOCKED_ADDRESS
        assert "one such among 2 blocks the host" in verdict.rule
    assert judged(Policy(), "8.8.8.8", "2606:4700::1").allowed


def test_u05_a_mixed_answer_is_free_where_its_private_part_is_allowed() -> None:
    assert judged(Policy(allow_networks=PRIVATE), "8.8.8.8", "10.0.0.1").allowed
    assert not judged(Policy(allow_networks=PRIVATE), "8.8.8.8", "10.0.0.1", "127.0.0.1").allowed


def test_an_answer_without_addresses_is_no_way() -> None:
    assert judged(Policy()).reason == Reason.DNS_FAILURE


@pytest.mark.parametrize(
    "networks", [PRIVATE, EVERYTHING, (ip_network("169.254.169.254/31"), ip_network("fd00:ec2::254/127"))]
)
@pytest.mark.parametrize(
    "address",
    [
        *("169.254.169.254", "fd00:ec2::254", "100.100.100.200", "169.254.170.2", "192.0.0.192", "168.63.129.16"),
        *("::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe", "2002:a9fe:a9fe::1"),
    ],
)
def test_u03_metadata_is_blocked_where_its_network_is_allowed(networks: tuple, address: str) -> None:
    verdict = judged(Policy(allow_networks=networks), address)
    assert verdict.reason == Reason.BLOCKED_ADDRESS and "metadata" in verdict.rule


def test_u03_metadata_is_reached_only_if_named_exactly() -> None:
    exact = Policy(allow_networks=(ip_network("169.254.169.254/32"), ip_network("fd00:ec2::254/128")))
    assert judged(exact, "169.254.169.254").allowed and judged(exact, "fd00:ec2::254").allowed
    assert judged(exact, "::ffff:169.254.169.254").allowed
    assert not judged(exact, "169.254.169.253").allowed and not judged(exact, "169.254.170.2").allowed


def test_denied_networks_go_before_allowed_ones_in_every_layer() -> None:
    policy = Policy(allow_networks=EVERYTHING, deny_networks=(ip_network("10.9.0.0/16"), ip_network("64:ff9b::/96")))
    assert judged(policy, "10.8.0.1").allowed and not judged(policy, "10.9.0.1").allowed
    assert not judged(policy, "::ffff:10.9.0.1").allowed
    assert not judged(policy, "64:ff9b::808:808").allowed
    assert "64:ff9b::/96 of net.deny_networks" in judged(policy, "64:ff9b::808:808").rule
    assert not judged(Policy(deny_networks=(ip_network("8.8.8.0/24"),)), "8.8.8.8").allowed


@pytest.mark.parametrize(
    ("pattern", "host", "named"),
    [
        ("example.com", "example.com", True),
        ("example.com", "a.b.example.com", True),
        ("example.com", "badexample.com", False),
        ("example.com", "example.com.evil.net", False),
        ("*.example.com", "a.example.com", True),
        ("*.example.com", "example.com", False),
        ("*.example.com", "badexample.com", False),
        ("127.0.0.1", "127.0.0.1", True),
    ],
)
def test_patterns_of_hosts(pattern: str, host: str, named: bool) -> None:
    assert matches(pattern, host) is named


def test_hosts_that_are_denied_or_not_among_the_allowed_are_blocked() -> None:
    policy = Policy(allow_hosts=("example.com",), deny_hosts=("*.internal.example.com",))
    assert policy.judge_url(parse_url("http://img.EXAMPLE.com./")).allowed
    denied = policy.judge_url(parse_url("http://a.internal.example.com/"))
    assert denied == Verdict(
        "net.deny_hosts names *.internal.example.com, which a.internal.example.com is", Reason.BLOCKED_HOST
    )
    other = policy.judge_url(parse_url("http://other.net/"))
    assert other == Verdict("net.allow_hosts does not name other.net", Reason.BLOCKED_HOST)


def test_an_allowed_host_does_not_open_a_private_address() -> None:
    assert not Policy(allow_hosts=("host.example",)).judge_addresses("host.example", [ip_address("10.0.0.1")]).allowed
    assert not Policy(allow_hosts=("10.0.0.1",)).judge_url(parse_url("http://10.0.0.1/")).allowed


@pytest.mark.parametrize("port", [1, 21, 22, 25, 79, 81, 444, 3306, 6379, 7999, 9000, 11211, 65535])
def test_u08_ports_of_other_services_are_blocked(port: int) -> None:
    verdict = Policy().judge_url(parse_url(f"http://example.com:{port}/"))
    assert verdict == Verdict(f"net.ports does not name port {port}", Reason.BLOCKED_PORT)


@pytest.mark.parametrize("port", [80, 443, 8000, 8080, 8999])
def test_web_ports_are_free(port: int) -> None:
    assert Policy().judge_url(parse_url(f"https://example.com:{port}/")).allowed


def test_a_verdict_can_be_raised() -> None:
    Policy().judge_url(parse_url("http://example.com/")).require()
    with pytest.raises(UrlRefused) as caught:
        Policy().judge_url(parse_url("http://2130706433/")).require()
    assert caught.value.reason == Reason.BLOCKED_ADDRESS
    assert "127.0.0.1 is loopback" in str(caught.value) and "net.allow_networks" in str(caught.value)


def test_the_section_gives_the_policy_in_canonical_spelling() -> None:
    net = Net(
        allow_networks=("10.0.0.0/8", "::1"),
        allow_hosts=("*.BÜCHER.example", "EXAMPLE.com.", "[::1]"),
        deny_hosts=("2130706433",),
        ports=("80", "8000-8999"),
        addresses={"CDN.example.": ("192.0.2.7", "::1")},
    )
    assert net.policy == Policy(
        allow_networks=(ip_network("10.0.0.0/8"), ip_network("::1/128")),
        allow_hosts=("*.xn--bcher-kva.example", "example.com", "::1"),
        deny_hosts=("127.0.0.1",),
        ports=((80, 80), (8000, 8999)),
    )
    assert net.static_addresses == {"cdn.example": (ip_address("192.0.2.7"), ip_address("::1"))}
    assert Net().policy == Policy()


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("allow_networks", ["10.0.0.1/8"], "the network is 10.0.0.0/8"),
        ("allow_networks", ["example.com"], "is no network"),
        ("deny_networks", ["fe80::1%eth0/64"], "is no network"),
        ("allow_hosts", ["https://example.com"], "write the name alone"),
        ("allow_hosts", ["a.*.example.com"], "write example.com or"),
        ("deny_hosts", ["example.com:80"], "is no host"),
        ("deny_hosts", [""], "there is no host"),
        ("ports", ["http"], "is no port"),
        ("ports", ["0"], "ports are 1 to 65535"),
        ("ports", ["9000-8000"], "the lower one first"),
        ("ports", ["65536"], "ports are 1 to 65535"),
        ("addresses", {"a.example": ["b.example"]}, "is no address"),
        ("addresses", {"a.example": []}, "has no address"),
        ("addresses", {"a/b": ["192.0.2.7"]}, "is no host"),
    ],
)
def test_what_is_wrong_in_the_section_is_said(field: str, value: object, said: str) -> None:
    with pytest.raises(ValueError) as caught:
        Net.model_validate({field: value})
    wrongs = [one["ctx"]["error"] for one in caught.value.errors() if "error" in one.get("ctx", {})]  # type: ignore[attr-defined]  # A frozen value is to refuse it.
    assert [isinstance(wrong, Wrong) and said in str(wrong) for wrong in wrongs] == [True]
