"""config/compose.yaml, run: an application and dropmill in containers of their own that share volumes and nothing else."""

from __future__ import annotations

import base64
import json
import os
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

import parts
import pictures
from container_bed import PROGRAMS, Bed, Container

pytestmark = [pytest.mark.long, pytest.mark.timeout(900)]

COMPOSE = Path(__file__).parents[2] / "config" / "compose.yaml"
TOKEN = "0123456789abcdef0123456789abcdef"
# As applications do that know nothing of anybody watching: in place, and with a pause longer than files have to settle.
DROP = """
import base64, sys, time
data = base64.b64decode(sys.argv[2])
with open(sys.argv[1], "wb") as file:
    file.write(data[: len(data) // 2])
    file.flush()
    time.sleep(5)
    file.write(data[len(data) // 2 :])
"""
# As a kubelet does: no token, and a host that nobody configured.
PROBE = """
import json, sys, urllib.error, urllib.request
told = {}
for path in sys.argv[1:]:
    asked = urllib.request.Request("http://127.0.0.1:8686" + path, headers={"Host": "10.244.1.7:8686"})
    try:
        told[path] = urllib.request.urlopen(asked).status
    except urllib.error.HTTPError as error:
        told[path] = error.code
print(json.dumps(told))
"""


@pytest.fixture(scope="module")
def bed() -> Iterator[Bed]:
    parts.need_root()
    parts.need_programs(**PROGRAMS, unshare="util-linux", nsenter="util-linux")
    bed = Bed()
    try:
        yield bed
    finally:
        bed.close()


@pytest.fixture
def volumes(bed: Bed) -> Iterator[str]:
    """What the names of this test's volumes begin with."""
    prefix = f"dropmill-test-{uuid.uuid4().hex[:12]}"
    yield prefix
    for name in yaml.safe_load(COMPOSE.read_text("utf-8"))["volumes"]:
        bed.podman("volume", "rm", "--force", f"{prefix}-{name}", check=False)


def short(volume: str | dict[str, Any]) -> str:
    """As the command line has it; podman knows ``nocopy`` as well."""
    if isinstance(volume, str):
        return volume
    said = [word for word, so in {"ro": volume.get("read_only"), "nocopy": volume["volume"]["nocopy"]}.items() if so]
    return ":".join([volume["source"], volume["target"], ",".join(said)])


def options(service: dict[str, Any], volumes: str, token: Path) -> list[str]:
    """A service as options of ``podman run``; what the bed does by itself (read-only, no capabilities) is left out."""
    told = ["--user", service["user"]]
    told += [f"--env={name}={value}" for name, value in service.get("environment", {}).items()]
    told += [f"--volume={volumes}-{short(volume)}" for volume in service["volumes"]]
    told += [f"--tmpfs={path}" for path in service["tmpfs"]]
    # Secrets of files are mounted there, as the specification of Compose says.
    told += [f"--volume={token}:/run/secrets/{name}:ro" for name in service.get("secrets", [])]
    if "healthcheck" in service:
        told.append(f"--health-cmd={json.dumps(service['healthcheck']['test'][1:])}")
    return told


def probed(mill: Container, *paths: str) -> dict[str, int]:
    told = mill.exec("python", "-c", PROBE, *paths)
    assert told.returncode == 0, told.stderr
    found: dict[str, int] = json.loads(told.stdout)
    return found


def test_an_application_and_its_sidecar_share_volumes_as_the_compose_file_has_them(
    bed: Bed, volumes: str, tmp_path: Path
) -> None:
    services = yaml.safe_load(COMPOSE.read_text("utf-8"))["services"]
    token = tmp_path / "token"
    token.write_text(TOKEN)
    token.chmod(0o400)
    uid, gid = map(int, services["dropmill"]["user"].split(":"))
    os.chown(token, uid, gid)
    with bed.container(*options(services["dropmill"], volumes, token)) as mill:
        mill.wait_for(mill.is_healthy)
        mill.wait_for(lambda: probed(mill, "/readyz")["/readyz"] == 200)
        paths = ("/livez", "/readyz", "/healthz", "/metrics", "/api/v1/status")
        assert list(probed(mill, *paths).values()) == [200, 200, 200, 200, 401]

        waiting = ["--entrypoint=python", *options(services["app"], volumes, token)]
        with bed.container(*waiting, command=["-c", "import signal; signal.pause()"]) as app:
            data = base64.b64encode(pictures.jpeg(pictures.photo(640, 480))).decode()
            dropped = app.exec("python", "-c", DROP, "/inbox/one.jpg", data)
            assert dropped.returncode == 0, dropped.stderr
            # The token of the secret opens the API to the commands inside.
            mill.wait_for(lambda: [len(job["outputs"]) for job in mill.ask("jobs")] == [2])
            (job,) = mill.ask("jobs")
            assert (job["outcome"], job["attempts"]) == ("published", 1), "it was not taken before it was whole"
            seen = app.exec("ls", "/usr/share/nginx/html").stdout.split()
            assert seen == ["one-large.jpg", "one-thumb.jpg"]
            assert app.exec("touch", "/usr/share/nginx/html/x").returncode != 0, "renditions are there to be read"
        assert mill.stop() == 0
