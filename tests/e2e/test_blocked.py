"""What the whole product does not reach: counted at the server that nobody was to connect to."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

import pytest

import pictures
from harness import Mill
from web import WebServer, document, redirect

SPELLINGS = [
    *("127.0.0.1", "127.1", "2130706433", "0x7f000001", "0177.0.0.1", "0", "①②⑦.⓪.⓪.①", "１２７.０.０.１", "localhost"),
    *("[::1]", "[::ffff:127.0.0.1]", "[::127.0.0.1]", "[64:ff9b::7f00:1]", "[2002:7f00:1::]"),
    "[2001:0:4136:e378:8000:63bf:80ff:fffe]",
]


def photo(seed: int) -> bytes:
    return pictures.jpeg(pictures.photo(64, 48, seed=seed))


def mill_of(root: Path, **options: Any) -> Mill:
    return Mill(root, **{"dropfiles": [{}], **options})


def append(mill: Mill, *lines: str) -> None:
    with (mill.root / "urls.txt").open("a") as file:
        file.write("".join(f"{line}\n" for line in lines))


def told(mill: Mill) -> dict[int, dict[str, Any]]:
    """The results by line."""
    text = (mill.root / "urls.txt.results.jsonl").read_text()
    return {one["line"]: one for one in map(json.loads, text.splitlines())}


def in_the_shipped_ports() -> int:
    for port in range(8000, 9000):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    pytest.skip("all ports from 8000 to 8999 are taken")


def test_u01_u02_as_shipped_nothing_connects_to_loopback(tmp_path: Path) -> None:
    """No setting of the network at all: the port is free, and the address is what forbids it."""
    with WebServer(port=in_the_shipped_ports()) as web:
        web.on("/*", document(photo(1)))
        mill = mill_of(tmp_path)
        append(mill, *(f"http://{host}:{web.port}/{n}.jpg" for n, host in enumerate(SPELLINGS)))
        done = mill.once()
        assert web.connections == 0
        assert sorted(told(mill)) == list(range(1, len(SPELLINGS) + 1)), done.stderr
        assert {one["reason"] for one in told(mill).values()} == {"blocked-address"}
        assert mill.outputs() == []


@pytest.mark.long
def test_u03_u06_u08_what_is_forbidden_is_told_line_by_line_and_never_dialled(tmp_path: Path) -> None:
    """Loopback is allowed for one address; what it redirects to, names, metadata and other ports are not."""
    with WebServer() as web, WebServer(address="127.0.0.2") as forbidden:
        elsewhere = f"127.0.0.2:{forbidden.port}"
        for name, location in (
            ("address", f"http://{elsewhere}/x.jpg"),
            ("mapped", f"http://[::ffff:127.0.0.2]:{forbidden.port}/x.jpg"),
            ("name", f"http://inside.example:{forbidden.port}/x.jpg"),
            ("file", "file:///etc/passwd"),
            ("gopher", f"gopher://{elsewhere}/_x"),
            ("circle", "/circle"),
        ):
            web.on(f"/{name}", redirect(location))
        for step in range(7):
            web.on(f"/long{step}", redirect(f"/long{step + 1}"))
        web.on("/good.jpg", document(photo(2)))
        expected = {
            web.url("/address"): "blocked-address",
            web.url("/mapped"): "blocked-address",
            web.url("/name"): "blocked-address",
            web.url("/file"): "blocked-scheme",
            web.url("/gopher"): "blocked-scheme",
            web.url("/circle"): "too-many-redirects",
            web.url("/long0"): "too-many-redirects",
            f"http://mixed.example:{web.port}/": "blocked-address",
            "http://169.254.169.254/latest/meta-data/": "blocked-address",
            "http://127.0.0.1:22/": "blocked-port",
            "http://denied.example/": "blocked-host",
            "http://127.0.0.1\\@example.com/": "bad-url",
            "ftp://127.0.0.1/": "blocked-scheme",
            web.url("/good.jpg"): None,
        }
        net = {
            "allow_networks": ["127.0.0.1/32", "169.254.0.0/16"],
            "ports": ["80", str(web.port), str(forbidden.port)],
            "deny_hosts": ["denied.example"],
            "addresses": {"inside.example": ["127.0.0.2"], "mixed.example": ["127.0.0.1", "127.0.0.2"]},
        }
        mill = mill_of(tmp_path, net=net)
        append(mill, *expected)
        done = mill.once()
        assert forbidden.connections == 0
        found = {line: one.get("reason") for line, one in told(mill).items()}
        assert found == dict(enumerate(expected.values(), start=1)), done.stderr
        assert len(mill.outputs()) == 1
        # Asked by its URL, it says which rule decided.
        why = mill.run("why", f"http://mixed.example:{web.port}/")
        assert "127.0.0.2 is loopback, and no network of net.allow_networks holds it" in why.stdout


@pytest.mark.long
def test_u07_credentials_reach_their_origin_and_nothing_that_is_written_or_shown(tmp_path: Path) -> None:
    with WebServer() as web, WebServer() as other:
        web.on("/go.jpg", redirect(other.url("/there.jpg")))
        other.on("/there.jpg", document(photo(3)))
        net = {"allow_networks": ["127.0.0.0/8"], "ports": ["1-65535"]}
        mill = mill_of(tmp_path, net=net, log={"level": "debug"}, dropfiles=[{"receipts": True}])
        lines = [web.url(path).replace("//", "//me:sesame@") for path in ("/go.jpg", "/none.jpg")]
        append(mill, *lines, "http://me:sesame@127.0.0.1:0/", "http://me:ses/sesame@h/", "ftp://me:sesame@h/")
        mill.start()
        mill.wait_for(lambda: (tmp_path / "urls.txt.results.jsonl").exists() and len(told(mill)) == 5)
        assert {request.headers["authorization"] for request in web.asked("/go.jpg")} == {"Basic bWU6c2VzYW1l"}
        assert ["authorization" in request.headers for request in other.asked("/there.jpg")] == [False]
        shown = [mill.get(path).text for path in ("/metrics", "/api/v1/status", "/api/v1/jobs", "/")]
        for arguments in (["status"], ["jobs", "--json"], ["why", lines[0]]):
            answered = mill.run(*arguments)
            shown.append(answered.stdout + answered.stderr)
        mill.stop()
        files = [mill.log, *tmp_path.glob("urls.txt.results*"), *mill.output.rglob("*.json")]
        shown += [path.read_text() for path in files if path.is_file()]
        assert len(files) >= 3
        for text in shown:
            assert "sesame" not in text and "bWU6c2VzYW1l" not in text
