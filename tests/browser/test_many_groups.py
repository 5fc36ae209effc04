"""A catalog of ten thousand groups, each of two files that are there, and a daemon of its own: how soon the review answers."""

from __future__ import annotations

import hashlib
import os
import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from anyio.from_thread import start_blocking_portal
from browsing import Tab

from dropmill.model.file import Signature
from dropmill.model.fingerprint import FINGERPRINT_VERSION, Content, Looks
from dropmill.model.image import Picture
from dropmill.model.resemblance import Evidence
from dropmill.store import examining, scans
from dropmill.store.catalog import Catalog, catalog_path
from dropmill.store.connection import Session
from harness import Mill
from pictures import jpeg, jpeg_with, photo, segment

Opening = Callable[..., Tab]
GROUPS = 10_000
PICTURES = 24
_COMMENT = 0xFE

pytestmark = [pytest.mark.long, pytest.mark.timeout(480)]


def found(library: Path) -> Iterator[tuple[scans.Found, Evidence]]:
    """Photographs, each twice, and told from one another by a comment; of hashes that chance has made."""
    chance = random.Random(5)
    made = [jpeg(photo(96, 64, seed)) for seed in range(PICTURES)]
    for number in range(GROUPS):
        data = jpeg_with(segment(_COMMENT, b"%d" % number), made[number % PICTURES])
        content = Content(hashlib.sha256(data).hexdigest(), hashlib.sha256(b"%d" % number).hexdigest())
        bits = [chance.getrandbits(64) for _ in range(3)]
        looks = Looks(*bits, f"{chance.getrandbits(256):064x}", 60.0, FINGERPRINT_VERSION)
        evidence = Evidence(content.sha256, 96, 64, 96, 64, 0.5, 90, 0, 3, "")
        for copy in ("a", "b"):
            rel = os.fsencode(f"{copy}/{number % 100:02}/{number}.jpg")
            path = library / os.fsdecode(rel)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
            yield scans.Found(rel, Signature.of(path.stat()), content, looks, Picture("jpeg", 96, 64, "RGB")), evidence


def fill(mill: Mill, library: Path) -> None:
    """By what a scan commits with, so that the daemon has the rest to do: to compare and to draw the groups."""
    mill.state.mkdir(exist_ok=True)
    catalog = Catalog(catalog_path(str(mill.state)))
    items = list(found(library))

    def put(session: Session) -> None:
        root_id = scans.put_library(session, os.fsencode(library))
        assert not scans.put(session, [root_id], [one for one, _ in items], 1)
        for one, evidence in items[::2]:
            image = scans.image(session, one.content.sha256)
            assert image is not None
            examining.measured(session, image["id"], evidence, "", 1)

    with start_blocking_portal() as portal:  # Playwright has an event loop in this thread.
        portal.call(catalog.write, put)
    catalog.close()


def test_ten_thousand_groups_of_a_daemon_are_there_at_once(tmp_path: Path, opened: Opening) -> None:
    """Measured, and not judged: machines differ."""
    library = tmp_path / "library"
    mill = Mill(tmp_path, top={"library_roots": [str(library)]})
    fill(mill, library)
    mill.start()

    def drawn() -> bool:
        told = mill.get("/api/v1/status").json()["duplicates"]
        return bool(told["groups"] == GROUPS and not told["uncompared"] + told["to_group"] + told["unmeasured"])

    mill.wait_for(drawn, 300)
    opened(mill.address, "/review").see("#groups .member img")  # The first previews are made.
    tab = opened(mill.address, "/livez")
    began = time.monotonic()
    tab.page.goto(mill.address.rstrip("/") + "/review", wait_until="commit")
    tab.see(".member")
    tab.press("j")
    tab.wait("document.activeElement.closest('.group') !== null")
    seconds = time.monotonic() - began
    assert "10,000 groups" in tab.see("#total", "10,000 groups")
    at = "[...document.querySelectorAll('.group')].indexOf(document.activeElement.closest('.group'))"
    for number in range(1, 41):  # Beyond the first page, too; what is pressed while the next one comes is not kept.
        tab.press("j")
        tab.wait(f"{at} === {number}")
    print(f"\n{GROUPS:,} groups of a daemon: the first page answers keys after {seconds:.2f} s")
    assert tab.shifts() == []
    assert tab.complaints == []
    assert mill.stop() == 0
