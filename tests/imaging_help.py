"""Runs one file through the recipe as a worker would, for the tests of imaging."""

from __future__ import annotations

import io
import os
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image

from dropmill.imaging.recipe import process
from dropmill.model.file import Signature
from dropmill.model.image import Limits, Recipe, RenditionSpec
from dropmill.model.work import Preview, Processed, Rendered, WorkRequest, WorkResult

LARGE = RenditionSpec("large", "fit", 1600, 1600)
THUMB = RenditionSpec("thumb", "fit", 400, 400)
WEB = Recipe((LARGE, THUMB))


@dataclass
class Bench:
    """An inbox and a staging folder."""

    folder: Path
    previews: list[Preview] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.inbox, self.staging = self.folder / "in", self.folder / "staging"
        self.inbox.mkdir(exist_ok=True)
        self.staging.mkdir(exist_ok=True)

    def put(self, data: bytes, name: str = "a.jpg") -> str:
        path = self.inbox / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return name

    def request(
        self, name: str | bytes, recipe: Recipe = WEB, limits: Limits | None = None, **more: object
    ) -> WorkRequest:
        rel = os.fsencode(name)
        signature = more.pop("signature", None) or Signature.of(os.lstat(os.path.join(os.fsencode(self.inbox), rel)))
        return WorkRequest(
            7, 3, os.fsencode(self.inbox), rel, signature, os.fsencode(self.staging), recipe, limits or Limits(), **more
        )

    def run(self, name: str | bytes, recipe: Recipe = WEB, limits: Limits | None = None, **more: object) -> WorkResult:
        return process(self.request(name, recipe, limits, **more), self._wanted)

    def of(self, data: bytes, recipe: Recipe = WEB, name: str = "a.jpg", **more: object) -> WorkResult:
        """Process ``data`` as a new file, with an empty staging folder."""
        for old in self.staging.iterdir():
            old.unlink()
        return self.run(self.put(data, name), recipe, **more)

    def good(self, data: bytes, recipe: Recipe = WEB, **more: object) -> Processed:
        result = self.of(data, recipe, **more)
        assert isinstance(result, Processed), result
        return result

    def only(self, data: bytes, spec: RenditionSpec, **recipe: object) -> Image.Image:
        """The one rendition ``spec`` of ``data``, decoded again."""
        result = self.good(data, Recipe((spec,), **recipe))
        assert len(result.renditions) == 1
        return self.open(result.renditions[0])

    def open(self, rendered: Rendered) -> Image.Image:
        picture = Image.open(io.BytesIO(self.bytes_of(rendered)))
        picture.load()
        return picture

    def bytes_of(self, rendered: Rendered) -> bytes:
        return (self.staging / rendered.staged_name).read_bytes()

    def left(self) -> list[str]:
        return sorted(path.name for path in self.staging.iterdir())

    def _wanted(self, preview: Preview) -> bool:
        self.previews.append(preview)
        return True
