"""What dropmill is compared with, each in a process of its own: ``python -m bench.loops WHAT FOLDER OUT [PART OF]``.

``bare``: dropmill's recipe, staging and fsync included, with no daemon around it. ``plain``: the script that people
write. Prints a JSON object with ``images`` and ``cpu_seconds``, loading of libraries left out.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.gallery import files_in
from dropmill.model.file import Signature
from dropmill.model.image import Limits, Recipe, RenditionSpec
from dropmill.model.work import Preview, Processed, WorkRequest
from dropmill.settings.presets import PROFILES


def bare(files: Sequence[Path], out: Path) -> float:
    """Seconds of CPU for ``dropmill.imaging.recipe.process`` over all files, profile ``web``."""
    from dropmill.imaging.preload import preload
    from dropmill.imaging.recipe import process

    recipe = Recipe(tuple(_spec(told) for told in PROFILES["web"]["renditions"]))

    def wanted(preview: Preview) -> bool:
        return True

    preload()
    began = time.process_time()
    for number, path in enumerate(files, 1):
        signature = Signature.of(path.lstat())
        root, rel = os.fsencode(path.parent), os.fsencode(path.name)
        result = process(WorkRequest(number, 1, root, rel, signature, os.fsencode(out), recipe, Limits()), wanted)
        if not isinstance(result, Processed):
            raise RuntimeError(f"{path}: {result}")
    return time.process_time() - began


def _spec(told: dict[str, Any]) -> RenditionSpec:
    """A rendition of the profile: ``fit`` gives the box, the rest are fields."""
    width, height = told["fit"]
    rest = {key: value for key, value in told.items() if key != "fit"}
    return RenditionSpec(mode="fit", width=width, height=height, **rest)


def plain(files: Sequence[Path], out: Path) -> float:
    """Seconds of CPU for Pillow and imagehash as their manuals show them: two LANCZOS sizes, three hashes."""
    import imagehash
    from PIL import Image

    for hashed in (imagehash.phash, imagehash.dhash, imagehash.average_hash):
        hashed(Image.new("RGB", (64, 64)))  # Loads what imagehash loads late.
    began = time.process_time()
    for path in files:
        with Image.open(path) as picture:
            for name, side in (("large", 1600), ("thumb", 400)):
                small = picture.copy()
                small.thumbnail((side, side), Image.Resampling.LANCZOS, reducing_gap=None)
                small.save(out / f"{path.stem}-{name}.jpg", quality=82)
            for hashed in (imagehash.phash, imagehash.dhash, imagehash.average_hash):
                hashed(picture)
    return time.process_time() - began


def main(arguments: list[str]) -> int:
    what, folder, out, *part = arguments
    files = files_in(Path(folder))
    if part:
        index, of = map(int, part)
        files = files[index::of]
    seconds = {"bare": bare, "plain": plain}[what](files, Path(out))
    print(json.dumps({"images": len(files), "cpu_seconds": seconds}))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
