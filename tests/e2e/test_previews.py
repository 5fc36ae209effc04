"""Previews over HTTP: made when first asked for, kept, checked for being still right, and gone with what they show."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from PIL import Image

import pictures
from dropmill.files.previews import Kept
from dropmill.maintenance.previews import superfluous
from harness import Mill


@pytest.fixture
def mill(tmp_path: Path) -> Iterator[Mill]:
    mill = Mill(tmp_path)
    mill.start()
    try:
        yield mill
    finally:
        if mill.process is not None:
            mill.kill()


def path_of(image: int, size: int = 320) -> str:
    return f"/api/v1/images/{image}/preview?size={size}"


def kept(mill: Mill) -> list[str]:
    return sorted(name for name in os.listdir(mill.state / "previews") if name.endswith(("-320.jpg", "-1280.jpg")))


def test_a_preview_is_small_upright_and_kept(mill: Mill) -> None:
    turned = pictures.jpeg(pictures.photo(1600, 1000), exif=pictures.exif({pictures.ORIENTATION: 6}))
    mill.drop("a.jpg", turned)
    mill.drop("small.png", pictures.png(pictures.photo(200, 100, seed=2)))
    mill.wait_for(lambda: len(mill.jobs("completed")) == 2)
    sizes = {}
    for image in (1, 2):
        for side in (320, 1280):
            answer = mill.get(path_of(image, side))
            assert answer.status_code == 200, answer.text
            assert answer.headers["content-type"] == "image/jpeg"
            assert answer.headers["cache-control"].startswith("private")
            assert answer.headers["x-content-type-options"] == "nosniff"
            with Image.open(io.BytesIO(answer.content)) as shown:
                sizes.setdefault(shown.size[0] > shown.size[1], []).append(shown.size)
    assert sizes == {False: [(200, 320), (800, 1280)], True: [(200, 100), (200, 100)]}
    assert len(kept(mill)) == 4
    tag = mill.get(path_of(1)).headers["etag"]
    again = mill.get(path_of(1), headers={"if-none-match": tag})
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
    assert mill.get(path_of(1, 1280), headers={"if-none-match": tag}).status_code == 200


def test_what_cannot_be_shown_says_why(mill: Mill) -> None:
    path = mill.drop("a.jpg", pictures.jpeg(pictures.photo(800, 600)))
    mill.wait_for(lambda: mill.jobs("completed"))
    path.rename(mill.root / "elsewhere.jpg")
    answer = mill.get(path_of(1))
    assert (answer.status_code, answer.json()["reason"]) == (404, "preview-unavailable")
    assert "gone" in answer.json()["detail"] and answer.json()["hint"]
    (mill.root / "elsewhere.jpg").rename(path)
    assert mill.get(path_of(1)).status_code == 200


def test_s07_only_catalogued_images_in_given_sizes_are_shown(mill: Mill) -> None:
    mill.drop("a.jpg", pictures.jpeg(pictures.photo(800, 600)))
    mill.wait_for(lambda: mill.jobs("completed"))
    answers = [mill.get(path_of(image)).status_code for image in (2, 10**15, (1 << 53) - 1)]
    assert answers == [404, 404, 404]
    for path in ("/api/v1/images/0/preview", "/api/v1/images/-1/preview", path_of(1, 321), path_of(1 << 64),
                 "/api/v1/images/%2e%2e%2fa/preview", "/api/v1/images/1/preview?size=../../etc"):  # fmt: skip
        assert mill.get(path).status_code in {404, 422}, path
    assert kept(mill) == [] if (mill.state / "previews").exists() else True


@pytest.mark.long
def test_many_who_ask_at_once_are_answered_and_work_goes_on(mill: Mill) -> None:
    for number in range(4):
        mill.drop(f"{number}.jpg", pictures.jpeg(pictures.photo(1200, 900, seed=number + 1)))
    mill.wait_for(lambda: len(mill.jobs("completed")) == 4)
    with ThreadPoolExecutor(24) as crowd:
        asked = [crowd.submit(mill.get, path_of(image, side)) for _ in range(6) for image in range(1, 5)
                 for side in (320, 1280)]  # fmt: skip
        mill.drop("more.jpg", pictures.jpeg(pictures.photo(700, 500, seed=9)))
        assert {one.result().status_code for one in asked} == {200}
    mill.wait_for(lambda: len(mill.jobs("completed")) == 5)
    assert len(kept(mill)) == 8
    assert not list((mill.state / "previews" / "new").iterdir())


@pytest.mark.long
def test_previews_of_images_that_are_not_catalogued_go(mill: Mill) -> None:
    mill.drop("a.jpg", pictures.jpeg(pictures.photo(800, 600)))
    mill.wait_for(lambda: mill.jobs("completed"))
    assert mill.get(path_of(1)).status_code == 200
    own = kept(mill)
    assert mill.stop() == 0
    strangers = [mill.state / "previews" / f"{digit * 64}{tail}.jpg" for digit in "ab" for tail in ("", "-320")]
    for stranger in strangers:
        stranger.write_bytes(b"x")
    mill.start()
    mill.wait_for(lambda: not any(stranger.exists() for stranger in strangers))
    assert kept(mill) == own


def test_previews_that_nobody_looked_at_for_longest_go_first() -> None:
    found = [Kept(b"%d" % number, "", 100, used_ns=number) for number in (5, 1, 4, 2, 3)]
    assert superfluous(found, 500) == []
    assert superfluous(found, 499) == [b"1"]
    assert superfluous(found, 300) == [b"1", b"2", b"3"]
    assert superfluous(found, 0) == [b"1", b"2", b"3", b"4", b"5"]
