"""A mill with copies in its inbox, and what a person does about them over HTTP."""

from __future__ import annotations

import io
import os
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx
from PIL import Image

from harness import Mill

Json = dict[str, Any]


def picture(seed: int, size: tuple[int, int] = (64, 48)) -> bytes:
    """Bytes of a small JPEG like no other."""
    data = random.Random(seed).randbytes(size[0] * size[1] * 3)
    buffer = io.BytesIO()
    Image.frombytes("RGB", size, data).save(buffer, "JPEG", quality=80)
    return buffer.getvalue()


def copies(mill: Mill, sets: int, each: int) -> None:
    """So many sets of files with the same bytes, spread over folders, with times and modes of their own."""
    for number in range(sets):
        data = picture(number)
        for copy in range(each):
            name = f"{number:03}.jpg" if not copy else f"sub{copy}/{number:03}-{copy}.jpg"
            path = mill.drop(name, data)
            os.utime(path, ns=(10**18 + number, 10**18 + number * 1000 + copy))
            path.chmod(0o600 if copy % 2 else 0o644)


def review(root: Path, sets: int = 3, each: int = 3, **options: Any) -> Mill:
    """Started, with all published and its groups drawn. Files may be moved to ``lib``."""
    root.mkdir(exist_ok=True)
    (root / "lib").mkdir()
    top = {"library_roots": [str(root / "lib")], **options.pop("top", {})}
    mill = Mill(root, top=top, dedupe={"exact": "flag", "near": "off", "similar": "off"}, **options)
    copies(mill, sets, each)
    mill.start()
    mill.wait_for(lambda: mill.done(sets * each))
    wait_for_groups(mill, sets, each)
    return mill


def groups(mill: Mill, **query: Any) -> list[Json]:
    answer = mill.get("/api/v1/groups", params={"limit": "200", **query})
    answer.raise_for_status()
    found: list[Json] = answer.json()["groups"]
    return found


def wait_for_groups(mill: Mill, sets: int, each: int) -> None:
    mill.wait_for(lambda: [group["members_count"] for group in groups(mill)] == [each] * sets)


def post(mill: Mill, path: str, body: Mapping[str, Any] | None = None, status: int = 200) -> Any:
    answer = httpx.post(f"{mill.address}/api/v1{path}", json=body, timeout=60)
    assert answer.status_code == status, answer.text
    return answer.json()


def resolve(mill: Mill, group: int, action: str, status: int = 200, **more: Any) -> Any:
    return post(mill, f"/groups/{group}/resolve", {"action": action, **more}, status)


def batch(mill: Mill, number: int) -> Json:
    answer = mill.get(f"/api/v1/batches/{number}")
    answer.raise_for_status()
    found: Json = answer.json()
    return found


def ended(mill: Mill, number: int) -> Json:
    """The batch, once it is not under way any more."""
    mill.wait_for(lambda: batch(mill, number)["state"] not in {"doing", "undoing"})
    return batch(mill, number)


def tree(*tops: Path) -> dict[str, tuple[Any, ...]]:
    """Names, bytes, modes, times and which names are one file, of all that lies below; folders by their names."""
    found: dict[str, tuple[Any, ...]] = {}
    first: dict[tuple[int, int], str] = {}
    for top in tops:
        for here, folders, names in sorted(os.walk(top)):
            for name in folders:
                found[os.path.join(here, name)] = ("folder",)
            for name in sorted(names):
                path = os.path.join(here, name)
                seen = os.lstat(path)
                one = first.setdefault((seen.st_dev, seen.st_ino), path)
                found[path] = (Path(path).read_bytes(), oct(seen.st_mode), seen.st_mtime_ns, one)
    return found
