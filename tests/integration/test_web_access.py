"""Who is let in, and what strangers cost, on a real server and a real socket."""

from __future__ import annotations

import asyncio
import json
import os
import re
import socket
import stat
from pathlib import Path

import httpx
import pytest

from dropmill.errors import ConfigurationError
from dropmill.observe.metrics import Metrics
from dropmill.settings import Http
from dropmill.web import connections as connections_module
from dropmill.web.server import serve
from dropmill.web.sessions import Sessions
from web_support import FakeDesk, job, served

pytestmark = pytest.mark.anyio

OPEN = ["/livez", "/readyz", "/healthz", "/metrics"]
READS = ["/", "/fragment", "/static/page.css", "/api/v1/status", "/api/v1/health", "/api/v1/jobs", "/api/v1/jobs/1",
         "/api/v1/why?target=a", "/api/v1/renditions/1", "/api/v1/openapi.json", "/nowhere", "/api/v1/groups",
         "/api/v1/groups/1", "/api/v1/duplicates", "/api/v1/batches", "/api/v1/batches/1", "/api/v1/index",
         "/api/v1/index/1", "/api/v1/images/1", "/api/v1/images/1/metadata", "/api/v1/images/1/preview?size=1280",
         "/api/v1/settings", "/api/v1/history", "/api/v1/events", "/review", "/jobs", "/scan", "/settings"]  # fmt: skip
WRITES = ["/api/v1/pause", "/api/v1/resume", "/api/v1/jobs/1/retry", "/api/v1/jobs/retry", "/api/v1/jobs/1/cancel",
          "/api/v1/add", "/api/v1/reprocess", "/api/v1/reload", "/act/pause", "/logout", "/api/v1/groups/resolve",
          "/api/v1/groups/1/resolve", "/api/v1/batches/1/undo", "/api/v1/index", "/api/v1/index/1/cancel",
          "/api/v1/forget", "/api/v1/settings/preview", "/api/v1/keeper/preview"]  # fmt: skip
TOKEN = "0123456789abcdef"


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def token_file(tmp_path: Path) -> str:
    path = tmp_path / "token"
    path.write_text(TOKEN + "\n")
    return str(path)


async def test_s05_another_host_name_is_refused_health_and_metrics_excepted() -> None:
    async with served(FakeDesk()) as client:
        for path in [*READS, "/login"]:
            answer = await client.get(path, headers={"host": "evil.example"})
            assert answer.status_code == 403, path
            assert answer.json()["reason"] == "host-not-allowed" and answer.json()["hint"]
        assert (await client.post("/api/v1/pause", json={}, headers={"host": "evil.example"})).status_code == 403
        for path in OPEN:
            assert (await client.get(path, headers={"host": "evil.example"})).status_code == 200, path


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:8686", "127.0.0.1", "127.0.0.1:1", "[::1]:8686", "pics.lan", "pics.lan:443"])  # fmt: skip
async def test_s05_loopback_names_and_configured_ones_are_served(host: str) -> None:
    async with served(FakeDesk(), allowed_hosts=("pics.lan",)) as client:
        assert (await client.get("/api/v1/status", headers={"host": host})).status_code == 200


@pytest.mark.parametrize("host", ["localhost.evil.example", "127.0.0.1.nip.io", "192.168.1.9", "evil.example:8686", "[::2]"])  # fmt: skip
async def test_s05_names_that_only_look_like_ours_are_refused(host: str) -> None:
    async with served(FakeDesk()) as client:
        assert (await client.get("/api/v1/status", headers={"host": host})).status_code == 403


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"origin": "http://127.0.0.1:1"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"origin": "http://[half"},
    ],
)
async def test_s06_changes_asked_for_by_another_site_are_refused(headers: dict[str, str]) -> None:
    desk = FakeDesk()
    async with served(desk) as client:
        for path in WRITES:
            answer = await client.post(path, json={}, headers=headers)
            assert (answer.status_code, answer.json()["reason"]) == (403, "cross-site"), path
    assert desk.asked == []


async def test_s06_our_own_page_and_programs_may_change_things() -> None:
    desk = FakeDesk()
    async with served(desk) as client:
        own = str(client.base_url).rstrip("/")
        for headers in ({}, {"origin": own, "sec-fetch-site": "same-origin"}):
            answer = await client.post("/api/v1/pause", json={"inbox": "camera"}, headers=headers)
            assert answer.status_code == 200
    assert desk.asked == [("pause", "camera")] * 2


async def test_s06_with_a_token_everything_but_health_and_metrics_needs_it(token_file: str) -> None:
    desk = FakeDesk(jobs=[job(1)])
    async with served(desk, token_file=token_file) as client:
        cookie = {"cookie": f"{Sessions(TOKEN).cookie}=x"}
        wrong = ({"authorization": "Bearer wrong"}, {"authorization": TOKEN}, cookie)
        asked = [(path, headers) for path in READS for headers in ({}, cookie)]
        # No more, because who guesses has to wait.
        for path, headers in [*asked, *((path, headers) for path in ("/", "/api/v1/status") for headers in wrong)]:
            answer = await client.get(path, headers=headers)
            assert answer.status_code == 401, path
            assert "bearer" in answer.headers["www-authenticate"].lower()
        for path in WRITES:
            assert (await client.post(path, json={})).status_code == 401, path
        for path in OPEN:
            assert (await client.get(path)).status_code == 200, path
        headers = {"authorization": f"bearer {TOKEN}"}
        assert (await client.get("/api/v1/status", headers=headers)).status_code == 200
        document = (await client.get("/api/v1/openapi.json", headers=headers)).json()
        assert document["security"] == [{"token": []}]
        assert document["components"]["securitySchemes"]["token"]["scheme"] == "bearer"
    assert desk.asked == []


async def test_the_login_form_gives_a_cookie_that_does_not_hold_the_token(token_file: str) -> None:
    async with served(FakeDesk(), token_file=token_file) as client:
        form = await client.get("/", headers={"accept": "text/html"})
        assert form.status_code == 401 and 'name="token"' in form.text and "/srv" not in form.text
        wrong = await client.post("/login", data={"token": "guess"})
        assert wrong.status_code == 401 and "not the token" in wrong.text and "set-cookie" not in wrong.headers
        right = await client.post("/login", data={"token": TOKEN})
        cookie = right.headers["set-cookie"]
        assert right.status_code == 303 and right.headers["location"] == "/"
        assert "HttpOnly" in cookie and "SameSite=strict" in cookie and TOKEN not in cookie
        assert (await client.get("/", headers={"accept": "text/html"})).status_code == 200
        out = await client.post("/logout")
        assert out.status_code == 303
        assert (await client.get("/api/v1/status")).status_code == 401
        assert (
            await client.post("/login", data={"token": TOKEN}, headers={"origin": "http://evil"})
        ).status_code == 403


@pytest.mark.parametrize(
    ("wanted", "led_to"),
    [
        ("/review?tier=near&folder=%2Fsrv%2Fa%20b", "/review?tier=near&folder=%2Fsrv%2Fa%20b"),
        ("/jobs?state=discarded", "/jobs?state=discarded"),
        ("/review/7", "/review/7"),
        ("/review?a=\r\nset-cookie: x", "/review"),
        ("//evil.example/review", "/"),
        ("https://evil.example/review?tier=near", "/"),
        ("/\\evil.example", "/"),
        ("/review/../../evil", "/"),
        ("/api/v1/status", "/"),
        ("", "/"),
    ],
)
async def test_s06_signing_in_leads_back_to_a_page_of_ours_alone(token_file: str, wanted: str, led_to: str) -> None:
    async with served(FakeDesk(), token_file=token_file) as client:
        right = await client.post("/login", data={"token": TOKEN, "wanted": wanted})
        assert (right.status_code, right.headers["location"]) == (303, led_to)


async def test_the_login_form_remembers_the_page_with_its_query(token_file: str) -> None:
    async with served(FakeDesk(), token_file=token_file) as client:
        form = await client.get("/review?tier=near&sort=newest", headers={"accept": "text/html"})
        assert 'name="wanted" value="/review?tier=near&amp;sort=newest"' in form.text


async def test_s06_every_page_is_behind_the_login_form_and_nothing_else_is(token_file: str) -> None:
    async with served(FakeDesk(), token_file=token_file) as client:
        html = {"accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
        for path in ("/", "/review", "/review/7", "/jobs", "/scan", "/settings", "/nowhere"):
            form = await client.get(path, headers=html)
            assert form.status_code == 401 and 'name="token"' in form.text, path
            assert "default-src 'none'" in form.headers["content-security-policy"]
        for path in ("/api/v1/groups", "/api/v1/events", "/api/v1/images/1/preview", "/static/page.js", "/api/nowhere"):
            refused = await client.get(path, headers=html)
            assert (refused.status_code, refused.json()["reason"]) == (401, "unauthorised"), path
        await client.post("/login", data={"token": TOKEN})
        for path in ("/", "/review", "/jobs", "/scan", "/settings"):
            page = await client.get(path, headers=html)
            policy = page.headers["content-security-policy"]
            assert page.status_code == 200, path
            assert "script-src 'self'" in policy and "unsafe" not in policy and "http:" not in policy
        assert (await client.get("/api/v1/settings/none")).status_code == 404


async def test_s06_a_token_file_that_cannot_be_read_stops_the_start(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="token file"):
        async with served(FakeDesk(), token_file=str(tmp_path / "none")):
            pass


async def test_off_loopback_behind_a_token_any_name_will_do(token_file: str) -> None:
    async with served(FakeDesk(), bind="0.0.0.0:0", token_file=token_file) as client:
        port = client.base_url.port
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as near:
            headers = {"host": "nas.home", "authorization": f"Bearer {TOKEN}"}
            assert (await near.get("/api/v1/status", headers=headers)).status_code == 200
            assert (await near.get("/api/v1/status", headers={"host": "nas.home"})).status_code == 401


async def test_s07_paths_and_foreign_ids_lead_nowhere(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "link.jpg").symlink_to(tmp_path / "secret")
    (tmp_path / "out" / "a.jpg").write_bytes(b"\xff\xd8picture")
    desk = FakeDesk()
    out = os.fsencode(tmp_path / "out")
    desk.files = {
        1: (out, b"a.jpg", "jpeg"),
        2: (out, b"link.jpg", "jpeg"),
        3: (out, b"../secret", "jpeg"),
        4: (out, b"gone.jpg", "jpeg"),
    }
    async with served(desk) as client:
        picture = await client.get("/api/v1/renditions/1")
        assert picture.content == b"\xff\xd8picture" and picture.headers["content-type"] == "image/jpeg"
        assert picture.headers["x-content-type-options"] == "nosniff"
        assert "sandbox" in picture.headers["content-security-policy"]
        assert "immutable" in picture.headers["cache-control"]
        assert [(await client.get(f"/api/v1/renditions/{n}")).status_code for n in (2, 3, 4, 5)] == [409, 409, 404, 404]
        for path in ("/static/../page.py", "/static/%2e%2e/page.py", "/static/..%2f..%2fetc%2fpasswd", "//etc/passwd",
                     "/api/v1/renditions/../../etc/passwd", "/livez/../api", "/static/nothing"):  # fmt: skip
            answer = await client.get(path)
            assert answer.status_code == 404 and "root:" not in answer.text, path
        for wrong in ("x", "-1", "1.5", "1e3", "%31%00", "9" * 5000):
            assert (await client.get(f"/api/v1/renditions/{wrong}")).status_code == 404, wrong
        assert [(await client.get(f"/api/v1/renditions/{n}")).status_code for n in (0, 1 << 53)] == [422, 422]


async def test_s08_long_requests_are_refused_without_being_kept() -> None:
    desk = FakeDesk()
    async with served(desk) as client:
        long = await client.post("/api/v1/add", content=b"x" * 10_000_000)
        assert long.status_code == 413 and long.json()["reason"] == "request-too-large"

        async def pieces() -> object:
            for _ in range(160):
                yield b"x" * 65536

        try:
            answer = await client.post("/api/v1/add", content=pieces())
            assert answer.status_code == 413
        except httpx.TransportError:
            pass  # Hung up on while still sending, which is as good.
        assert (await client.get("/livez", headers={"x-long": "y" * 1_000_000})).status_code in {400, 431}
        assert (await client.get("/livez")).status_code == 200


async def test_s08_a_thousand_idle_connections_lock_nobody_out() -> None:
    async with served(FakeDesk()) as client:
        host, port = client.base_url.host, client.base_url.port
        crowd = []
        for _ in range(1000):
            sock = socket.socket()
            sock.setblocking(False)
            await asyncio.get_running_loop().sock_connect(sock, (host, port))
            crowd.append(sock)
        try:
            async with asyncio.timeout(5):
                assert (await client.get("/livez")).status_code == 200
                assert (await client.get("/api/v1/status")).status_code == 200
        finally:
            for sock in crowd:
                sock.close()


async def test_s08_a_request_that_comes_too_slowly_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    impatient = connections_module.connections(patience_seconds=0.1)
    monkeypatch.setattr("dropmill.web.server.connections", lambda *_: impatient)
    async with served(FakeDesk()) as client:
        for begun in (
            b"",
            b"GET /livez HT",
            b"POST /api/v1/pause HTTP/1.1\r\nhost: localhost\r\ncontent-length: 9\r\n\r\n{",
        ):
            reader, writer = await asyncio.open_connection(client.base_url.host, client.base_url.port)
            writer.write(begun)
            async with asyncio.timeout(5):
                try:
                    await reader.read()
                except ConnectionResetError:
                    pass
            writer.close()
        await _asked_until_it_answers(client)


async def _asked_until_it_answers(client: httpx.AsyncClient) -> None:
    """On a machine in a jam, we too may be slower than the patience that a test has set."""
    async with asyncio.timeout(30):
        while True:
            try:
                assert (await client.get("/livez")).status_code == 200
            except httpx.TransportError:
                continue
            return


async def test_a_taken_port_is_named_with_what_to_do() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigurationError, match=f"127.0.0.1:{port} cannot be taken") as caught:
            async with serve(FakeDesk(), Metrics("0", 0.0), Http(bind=f"127.0.0.1:{port}")):
                pass
    assert "listens there" in caught.value.hint and caught.value.exit_code == 2


async def test_a_socket_file_is_made_used_and_removed(tmp_path: Path) -> None:
    path = tmp_path / "dropmill.sock"
    stale = socket.socket(socket.AF_UNIX)
    stale.bind(str(path))
    stale.close()
    async with served(FakeDesk(), bind=f"unix:{path}") as client:
        assert stat.S_IMODE(path.stat().st_mode) == 0o660
        assert (await client.get("/api/v1/status")).status_code == 200
        assert (await client.get("/api/v1/status", headers={"host": "evil.example"})).status_code == 403
        with pytest.raises(ConfigurationError, match="another program listens"):
            async with served(FakeDesk(), bind=f"unix:{path}"):
                pass
    assert not path.exists()
    path.write_text("somebody's")
    with pytest.raises(ConfigurationError, match="no socket"):
        async with served(FakeDesk(), bind=f"unix:{path}"):
            pass
    assert path.read_text() == "somebody's"


async def test_a_base_path_may_be_handed_on_or_taken_away_by_the_proxy() -> None:
    desk = FakeDesk(jobs=[job(1)])
    async with served(desk, base_path="/mill") as client:
        assert str(client.base_url).endswith("/mill/")
        root = f"http://{client.base_url.netloc.decode()}"
        for prefix in ("", "/mill"):
            for path in ("/livez", "/api/v1/status", "/"):
                assert (await client.get(root + prefix + path)).status_code == 200, prefix + path
        page = (await client.get(root + "/mill")).text
        assert 'action="/mill/act/pause"' in page and 'src="/mill/static/' in page
        assert (await client.post(root + "/mill/act/pause")).headers["location"] == "/mill/"
        assert (await client.get(root + "/millstone")).status_code == 404


async def test_errors_are_problems_with_reason_and_hint_and_defects_tell_nothing() -> None:
    desk = FakeDesk(jobs=[job(1)])
    async with served(desk) as client:
        missing = await client.get("/api/v1/jobs/99")
        assert missing.headers["content-type"] == "application/problem+json"
        assert missing.json() == {
            "type": "about:blank", "title": "Not Found", "status": 404, "detail": "there is no job 99",
            "reason": "not-found", "hint": "dropmill jobs lists them", "retryable": False,
        }  # fmt: skip
        conflict = await client.post("/api/v1/jobs/1/retry")
        assert (conflict.status_code, conflict.json()["reason"]) == (409, "conflict")
        wrong = await client.post("/api/v1/pause", json={"inbx": "camera"})
        assert wrong.status_code == 422 and "inbx" in wrong.json()["detail"]
        assert (
            await client.post("/api/v1/pause", content=b"{", headers={"content-type": "application/json"})
        ).status_code == 422
        assert (await client.put("/api/v1/pause", json={})).status_code == 405
        assert (await client.get("/api/v1/jobs", params={"limit": 0})).status_code == 422
        desk.failure = RuntimeError("inner secret")
        broken = await client.get("/api/v1/status")
        assert broken.status_code == 500 and "secret" not in broken.text and broken.json()["reason"] == "unexpected"


async def test_targets_and_paths_of_any_bytes_arrive_unchanged() -> None:
    desk = FakeDesk()
    async with served(desk) as client:
        name = b"/srv/\xff\n .jpg"
        encoded = "L3Nydi__CiAuanBn"
        assert (await client.get("/api/v1/why", params={"target_b64": encoded})).status_code == 200
        await client.get("/api/v1/why", params={"target": "12"})
        await client.post("/api/v1/reprocess", json={"target_b64": encoded})
        await client.post(
            "/api/v1/add", json={"paths_b64": [encoded], "paths": ["b"], "inbox": "camera", "priority": 5}
        )
        assert desk.asked == [
            ("why", name),
            ("why", "12"),
            ("reprocess", name),
            ("add", ["b", name], "camera", 5, None),
        ]
        for bad in ({"target_b64": "*"}, {"target_b64": ""}, {"target": ""}):
            assert (await client.get("/api/v1/why", params=bad)).status_code == 422
        for nothing in ({"target_b64": "AA=="}, {"target": "a\0"}, {}):
            assert (await client.get("/api/v1/why", params=nothing)).status_code == 404
        assert (await client.post("/api/v1/add", json={})).status_code == 422


async def test_the_description_of_the_api_names_every_route() -> None:
    async with served(FakeDesk()) as client:
        document = (await client.get("/api/v1/openapi.json")).json()
    assert set(document["paths"]) == {
        "/api/v1/status", "/api/v1/health", "/api/v1/jobs", "/api/v1/jobs/{job_id}", "/api/v1/why",
        "/api/v1/renditions/{rendition_id}", "/api/v1/jobs/retry", "/api/v1/jobs/{job_id}/retry",
        "/api/v1/jobs/{job_id}/cancel", "/api/v1/pause", "/api/v1/resume", "/api/v1/reprocess", "/api/v1/add",
            "/api/v1/add/urls",
        "/api/v1/reload", "/api/v1/groups", "/api/v1/groups/{group_id}", "/api/v1/groups/{group_id}/resolve",
        "/api/v1/groups/resolve", "/api/v1/duplicates", "/api/v1/batches", "/api/v1/batches/{batch_id}",
        "/api/v1/batches/{batch_id}/undo", "/api/v1/index", "/api/v1/index/{scan_id}", "/api/v1/index/{scan_id}/cancel",
        "/api/v1/forget", "/api/v1/images/{image_id}", "/api/v1/images/{image_id}/metadata",
        "/api/v1/images/{image_id}/preview", "/api/v1/settings", "/api/v1/settings/preview", "/api/v1/keeper/preview",
        "/api/v1/history", "/api/v1/refused", "/api/v1/images", "/api/v1/webhooks", "/api/v1/webhooks/{name}/test",
        "/api/v1/webhooks/{name}/enable", "/api/v1/webhooks/{name}/forget", "/api/v1/webhooks/{name}/retry",
    }  # fmt: skip
    assert json.dumps(document).count("problem+json") > 10


async def test_health_answers_by_state() -> None:
    desk = FakeDesk()
    async with served(desk) as client:
        assert (await client.head("/livez")).status_code == 200
        desk.state = "starting"
        assert (await client.get("/readyz")).status_code == 503
        desk.state = "running"
        desk.parts.append({"name": "output a", "status": "degraded", "detail": "d", "remedy": "r"})
        degraded = await client.get("/healthz")
        assert degraded.status_code == 200 and degraded.json()["parts"][1]["remedy"] == "r"
        desk.parts[1]["status"] = "failing"
        assert (await client.get("/healthz")).status_code == 503
        assert (await client.get("/livez")).status_code == 200


async def test_every_route_is_told_of_in_the_documentation() -> None:
    text = (Path(__file__).parents[2] / "docs" / "api.md").read_text("utf-8")
    async with served(FakeDesk()) as client:
        document = (await client.get("/api/v1/openapi.json")).json()
    routes = {
        f"{verb.upper()} {path.removeprefix('/api/v1')}" for path, verbs in document["paths"].items() for verb in verbs
    }
    assert {route for route in routes | {"GET /events"} if f"`{route}`" not in text} == set()
    told = {f"{verb} {path}" for verb, path in re.findall(r"`(GET|POST|PUT|DELETE) (/\S+)`", text)}
    assert told - routes == {"GET /events"}


async def test_every_field_and_parameter_of_the_api_is_described() -> None:
    async with served(FakeDesk()) as client:
        document = (await client.get("/api/v1/openapi.json")).json()
    schemas = document["components"]["schemas"]
    fields = {(name, field): told for name, one in schemas.items() for field, told in one.get("properties", {}).items()}
    assert len(fields) > 150
    assert [key for key, told in fields.items() if not told.get("description")] == []
    for path, verbs in document["paths"].items():
        for verb, route in verbs.items():
            assert route["summary"], (verb, path)
            problems = {code for code, told in route["responses"].items() if "problem+json" in json.dumps(told)}
            assert problems >= {"401", "403", "404", "409", "422", "503"}, (verb, path)
