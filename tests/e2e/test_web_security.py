"""The page and the API of a real daemon, behind a real nginx, as docs/security.md sets it up."""

from __future__ import annotations

import json
import re
import signal
from pathlib import Path
from typing import Any

import httpx
import pytest

from harness import Mill, files_below
from nginx import PACKAGE, PROGRAM, nginx
from parts import need_programs

pytestmark = pytest.mark.long

OLD = "0ld-0123456789abcdef0123456789"
NEW = "n3w-0123456789abcdef0123456789"
GUESS = "gu3ss-0123456789abcdef"
GUESSER = "127.0.0.2"
GUESSES = 8
# Signing in, a pause, one that another site asked for, the guesses, and what the command asked.
RECORDS = 3 + GUESSES + 1


def documented(language: str, containing: str) -> str:
    """The example in docs/security.md that has these words."""
    text = (Path(__file__).parents[2] / "docs" / "security.md").read_text("utf-8")
    return next(block for block in re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL) if containing in block)


def records(path: Path) -> list[dict[str, Any]]:
    """What a log says of clients, as far as its lines are whole."""
    lines = path.read_text().splitlines(keepends=True) if path.exists() else []
    told = [json.loads(line) for line in lines if line.endswith("\n")]
    return [
        {name: value for name, value in one.items() if name != "timestamp"} for one in told if one["event"] == "audit"
    ]


def answers(mill: Mill, token: str) -> int:
    """The status; 0 while the parts are being replaced."""
    try:
        return mill.get("/api/v1/status", headers={"authorization": f"Bearer {token}"}).status_code
    except httpx.HTTPError:
        return 0


def test_s06_behind_nginx_clients_are_told_apart_recorded_and_a_new_token_ends_what_the_old_one_opened(
    tmp_path: Path,
) -> None:
    need_programs(**{PROGRAM: PACKAGE})
    (tmp_path / "token").write_text(OLD + "\n")
    (tmp_path / "token").chmod(0o644)
    http = {
        "token_file": "token",
        "audit_file": "audit.jsonl",
        "base_path": "/dropmill",
        "trusted_proxies": ["127.0.0.1"],
    }
    mill = Mill(tmp_path, http=http)
    mill.start()
    port = str(httpx.URL(mill.address).port)
    found = re.search(r"location (/\S+) \{(.*)\}", documented("nginx", "proxy_pass"), re.DOTALL)
    assert found is not None
    with nginx({found[1]: found[2].replace("8686", port)}) as proxy:
        base = proxy.url("dropmill")
        with httpx.Client(verify=False, trust_env=False, timeout=30) as browser:
            _signs_in_and_pauses(browser, base)
            _guesses(base)
            assert mill.run("resume", check=True).returncode == 0
            shown = [mill.run(*command).stdout for command in (("config", "show"), ("status", "--json"))]
            mill.wait_for(lambda: len(records(mill.log)) == RECORDS == len(records(tmp_path / "audit.jsonl")))
            assert records(tmp_path / "audit.jsonl") == records(mill.log)
            _is_recorded(records(mill.log))

            (tmp_path / "token").write_text("\n")
            assert mill.process is not None
            mill.process.send_signal(signal.SIGHUP)
            mill.wait_for(lambda: "is empty" in mill.log.read_text())
            assert browser.get(base + "/api/v1/status").status_code == 200, "the earlier one stays in force"
            (tmp_path / "token").write_text(NEW + "\n")
            mill.process.send_signal(signal.SIGHUP)
            mill.wait_for(lambda: answers(mill, NEW) == 200)
            assert answers(mill, OLD) == 401
            assert browser.get(base + "/api/v1/status").status_code == 401
    assert mill.stop() == 0
    log = mill.log.read_text()
    assert "the access token is not safe" in log and "chmod 0640" in log
    for path in [mill.log, tmp_path / "audit.jsonl", *files_below(mill.state)]:
        content = path.read_bytes()
        assert not any(token.encode() in content for token in (OLD, NEW, GUESS)), path
    assert not any(token in text for token in (OLD, NEW) for text in shown)


def _signs_in_and_pauses(browser: httpx.Client, base: str) -> None:
    own = {"origin": base.removesuffix("/dropmill"), "sec-fetch-site": "same-origin"}
    form = browser.get(base + "/", headers={"accept": "text/html"})
    assert form.status_code == 401 and 'action="/dropmill/login"' in form.text
    signed = browser.post(base + "/login", data={"token": OLD}, headers=own)
    assert (signed.status_code, signed.headers["location"]) == (303, "/dropmill/")
    assert "Path=/dropmill" in signed.headers["set-cookie"] and "Secure" not in signed.headers["set-cookie"]
    page = browser.get(base + "/", headers={"accept": "text/html"})
    assert page.status_code == 200 and 'action="/dropmill/act/pause"' in page.text
    assert browser.post(base + "/act/pause", data={"inbox": "camera"}, headers=own).status_code == 303
    assert browser.post(base + "/act/pause", headers={"origin": "http://evil.example"}).status_code == 403
    assert browser.get(base + "/", headers={"host": "evil.example"}).status_code == 403
    with browser.stream("GET", base + "/api/v1/events") as stream:
        assert next(stream.iter_lines()).startswith("retry:"), "nothing on the way keeps it back"


def _guesses(base: str) -> None:
    """Of another client, who claims to be many: nginx adds whom it heard it from, and that is believed."""
    with httpx.Client(transport=httpx.HTTPTransport(local_address=GUESSER, verify=False), timeout=30) as guesser:
        for number in range(GUESSES):
            claimed = {"x-forwarded-for": f"198.51.100.{number}", "authorization": f"Bearer {GUESS}"}
            assert guesser.get(base + "/api/v1/status", headers=claimed).status_code in {401, 429}


def _is_recorded(told: list[dict[str, Any]]) -> None:
    assert (told[0]["route"], told[0]["by"], told[0]["result"], told[0]["given"]) == ("/login", "token", "done", {})
    assert (told[1]["route"], told[1]["given"]) == ("/act/pause", {"inbox": "camera"})
    assert re.fullmatch("session [0-9a-f]{8}", told[1]["by"])
    assert (told[2]["status"], told[2]["problem"]) == (403, "cross-site")
    guesses = [one for one in told if one["route"] == "/api/v1/status"]
    assert len(guesses) == GUESSES
    assert {(one["client"], one["by"], one["result"]) for one in guesses} == {(GUESSER, "nobody", "refused")}
    assert (told[-1]["route"], told[-1]["by"], told[-1]["result"]) == ("/api/v1/resume", "token", "done")
    assert told[-1]["agent"].startswith("dropmill/")
