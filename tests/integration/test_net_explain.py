"""Which rule decides about a URL, as ``dropmill check --url`` and ``dropmill why`` tell it."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import anyio
import pytest
from net_support import CLOCK, Answers

from dropmill.cli.checking import report_url
from dropmill.control.explain_url import explain_url
from dropmill.model.netpolicy import Policy
from dropmill.model.outcome import Reason
from dropmill.model.url import parse_url
from dropmill.net.explain import Explained, explain
from dropmill.settings.downloads import Downloads
from dropmill.settings.net import Net
from harness import PROGRAM


def explained(
    text: str, policy: Policy | None = None, resolver: Answers | None = None, *, proxy: bool = False
) -> Explained:
    async def story() -> Explained:
        return await explain(parse_url(text), policy or Policy(), resolver or Answers(), proxy=proxy)

    return anyio.run(story)


def test_each_rule_that_decides_is_named() -> None:
    names = Answers(good_example=["8.8.8.8"], bad_example=["8.8.8.8", "10.0.0.1"])
    free = explained("https://good.example/", resolver=names)
    assert free.verdict.allowed and free.verdict.rule == "8.8.8.8 is an address of the public internet"
    assert free.steps[-1] == ("addresses", "8.8.8.8")
    for text, reason, said in (
        ("http://bad.example/", Reason.BLOCKED_ADDRESS, "bad.example has the address 10.0.0.1: 10.0.0.1 is private"),
        ("http://good.example:22/", Reason.BLOCKED_PORT, "net.ports does not name port 22"),
        ("http://none.example/", Reason.DNS_FAILURE, "none.example: no such name"),
        ("http://[::1]/", Reason.BLOCKED_ADDRESS, "::1 is loopback"),
    ):
        verdict = explained(text, resolver=names).verdict
        assert verdict.reason == reason and verdict.rule.startswith(said)
    denied = explained("http://good.example/", Policy(deny_hosts=("example",)), names)
    assert (denied.verdict.reason, denied.addresses) == (Reason.BLOCKED_HOST, ())


def test_behind_a_proxy_names_are_not_looked_up_and_addresses_are_judged() -> None:
    names = Answers()
    assert "proxy" in explained("http://any.example/", resolver=names, proxy=True).verdict.rule
    assert names.asked == []
    assert not explained("http://10.0.0.1/", resolver=names, proxy=True).verdict.allowed


def test_it_says_the_same_as_the_request_would() -> None:
    net = Net(addresses={"a.example": ("127.0.0.1",)})

    async def said(net: Net) -> str:
        return await explain_url(net, Downloads(), CLOCK, parse_url("http://a.example/"))

    assert anyio.run(said, net).startswith(
        "it cannot be fetched now (blocked-address): a.example has the address 127.0.0.1"
    )
    free = Net(addresses={"a.example": ("127.0.0.1",)}, allow_networks=("127.0.0.0/8",))
    assert anyio.run(said, free) == (
        "the network policy allows it: 127.0.0.1 (loopback) is in 127.0.0.0/8 of net.allow_networks"
    )


@pytest.mark.parametrize(
    ("url", "code", "reason"),
    [
        ("http://user:sesame@a.example:8080/x", 0, None),
        ("http://user:sesame@127.1/", 2, "blocked-address"),
        ("ftp://user:sesame@a.example/", 2, "blocked-scheme"),
        ("http://user:sesame@a.example/ x", 2, "bad-url"),
    ],
)
def test_check_url_says_which_rule_decided(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], url: str, code: int, reason: str | None
) -> None:
    config = tmp_path / "dropmill.toml"
    config.write_text('[net]\naddresses = { "a.example" = ["8.8.8.8"] }\n')
    assert report_url(url, config, as_json=False) == code
    plain = capsys.readouterr().out
    assert plain.splitlines()[-1].startswith(f"refused ({reason}): " if reason else "allowed: 8.8.8.8 is an")
    assert report_url(url, config, as_json=True) == code
    as_json = capsys.readouterr().out
    told = json.loads(as_json)
    assert (told["ok"], told["reason"]) == (reason is None, reason)
    assert "sesame" not in plain + as_json


def test_check_url_ends_with_2_for_what_is_not_fetched(tmp_path: Path) -> None:
    config = tmp_path / "dropmill.toml"
    config.write_text("")
    command = [PROGRAM, "check", "--config", str(config), "--url", "http://127.1/"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (2, "")
    assert done.stdout.splitlines()[-1].startswith("refused (blocked-address): 127.0.0.1 is loopback")
