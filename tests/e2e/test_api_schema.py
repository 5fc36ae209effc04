"""The API does what its OpenAPI document says, whatever it is asked: schemathesis against a running daemon."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

import pictures
from harness import Mill

PROGRAM = Path(sys.executable).parent / "schemathesis"
EXAMPLES = 20
# What there is: requests that lead nowhere would not get far.
KNOWN = """
[dictionaries.ids]
values = [1, 2, 3, 4]
[dictionaries.places]
values = {places}
[generation.dictionaries.integer]
dictionary = "ids"
probability = 0.4
[generation.dictionaries.string]
dictionary = "places"
probability = 0.3
"""
SEED = 5


@pytest.fixture
def mill(tmp_path: Path) -> Iterator[Mill]:
    """With a group, a finished scan, a discarded job, and a library to index."""
    library = tmp_path / "library"
    library.mkdir()
    for seed in (1, 2):
        (library / f"{seed}.jpg").write_bytes(pictures.jpeg(pictures.photo(800, 600, seed=seed), quality=70))
    mill = Mill(tmp_path, top={"library_roots": [str(library)]})
    mill.start()
    try:
        mill.drop("broken.jpg", b"\xff\xd8\xff" + b"nothing" * 100)
        for seed in (1, 2, 3):
            mill.drop(f"{seed}.jpg", pictures.jpeg(pictures.photo(800, 600, seed=seed)))
        mill.wait_for(lambda: len(mill.jobs("completed")) == 3 and mill.jobs("discarded"))
        asked = httpx.post(f"{mill.address}/api/v1/index", json={"folders": [str(library)]}, timeout=10)
        assert asked.status_code == 202, asked.text
        mill.wait_for(lambda: mill.get("/api/v1/groups").json()["total"] == 2)
        yield mill
    finally:
        if mill.process is not None:
            mill.kill()


@pytest.mark.long
@pytest.mark.timeout(600)
def test_s07_the_api_answers_as_its_description_says_whatever_it_is_asked(mill: Mill) -> None:
    """Requests that fit the description and such that do not, single ones and sequences that follow its links."""
    known = mill.root / "schemathesis.toml"
    places = [str(mill.inbox / "1.jpg"), str(mill.root / "library"), str(mill.root / "library" / "2.jpg"), "camera"]
    known.write_text(KNOWN.format(places=places))
    command = [
        PROGRAM,
        f"--config-file={known}",
        "run",
        f"{mill.address}/api/v1/openapi.json",
        "--no-color",
        "--phases=coverage,fuzzing,stateful",
    ]
    command += [f"--max-examples={EXAMPLES}", f"--seed={SEED}", "--suppress-health-check=all"]
    done = subprocess.run(command, cwd=mill.root, capture_output=True, text=True, timeout=550, check=False)
    assert done.returncode == 0, "\n".join(line[:500] for line in done.stdout.splitlines() if line.strip())[-20_000:]
    assert mill.get("/livez").status_code == 200
    assert mill.stop() == 0
    said = mill.log.read_text()
    assert "Traceback" not in said
