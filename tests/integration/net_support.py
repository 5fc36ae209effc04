"""A resolver that says what a test wants, a client over it, and certificates of an authority made for the test."""

from __future__ import annotations

import ssl
import subprocess
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from ipaddress import ip_address, ip_network
from pathlib import Path

import httpx

from dropmill.model.address import Address
from dropmill.model.netpolicy import Policy
from dropmill.net import ClientOptions, ResolveFailed, open_client
from dropmill.observe.clock import SystemClock
from parts import need_programs

CLOCK = SystemClock()


def policy(*networks: str, **more: object) -> Policy:
    """Any port, and these networks beside the public internet."""
    allowed = tuple(ip_network(text) for text in networks)
    return Policy(allow_networks=allowed, **{"ports": ((1, 65535),), **more})  # type: ignore[arg-type]  # Tests give the answers themselves.


class Answers:
    """A resolver with a script: each host's answers in turn, the last one again and again."""

    def __init__(self, **hosts: Sequence[str] | Sequence[Sequence[str]]) -> None:
        self.hosts: dict[str, list[Sequence[str]]] = {}
        for name, answers in hosts.items():
            in_turn = [answers] if all(isinstance(one, str) for one in answers) else list(answers)
            self.hosts[name.replace("_", ".")] = in_turn  # type: ignore[assignment]  # Tests give the answers themselves.
        self.asked: list[str] = []

    async def resolve(self, host: str, *, timeout_seconds: float | None) -> tuple[Address, ...]:
        self.asked.append(host)
        if host not in self.hosts:
            try:
                return (ip_address(host),)
            except ValueError:
                raise ResolveFailed(host, "no such name", missing=True) from None
        answers = self.hosts[host]
        texts = answers.pop(0) if len(answers) > 1 else answers[0]
        return tuple(ip_address(text) for text in texts)


@asynccontextmanager
async def client(
    rules: Policy, resolver: Answers | None = None, options: ClientOptions | None = None
) -> AsyncIterator[httpx.AsyncClient]:
    async with open_client(rules, resolver or Answers(), CLOCK, options) as opened:
        yield opened


class Authority:
    """Signs certificates, and is trusted by whoever uses ``trusting``."""

    def __init__(self, folder: Path) -> None:
        need_programs(openssl="openssl")
        self._folder = folder
        # Both certificates as RFC 5280 wants them, which Python insists on from 3.13 on.
        is_authority = "-addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign,cRLSign"
        self._openssl(f"req -x509 {_KEY} -keyout ca.key -out ca.pem -subj /CN=authority -days 2 {is_authority}")

    def server(self, name: str) -> ssl.SSLContext:
        """What a server of that name uses."""
        self._openssl(f"req {_KEY} -keyout {name}.key -out {name}.csr -subj /CN={name}")
        (self._folder / "san").write_text(f"subjectAltName=DNS:{name}\nauthorityKeyIdentifier=keyid\n")
        sign = f"x509 -req -in {name}.csr -CA ca.pem -CAkey ca.key -CAcreateserial -extfile san"
        self._openssl(f"{sign} -days 2 -out {name}.pem")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self._folder / f"{name}.pem", self._folder / f"{name}.key")
        return context

    @property
    def file(self) -> Path:
        """The authority's own certificate."""
        return self._folder / "ca.pem"

    def trusting(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=self.file)

    def _openssl(self, arguments: str) -> None:
        subprocess.run(["openssl", *arguments.split()], cwd=self._folder, check=True, capture_output=True)


_KEY = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes"
