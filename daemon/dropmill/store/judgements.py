"""What a person decided about pictures, by their content. Triggers have the groups drawn anew."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

from dropmill.store.connection import Session

Kind = Literal["different", "both", "keeper"]


@dataclass(frozen=True, slots=True)
class Judgement:
    """``sha256_b`` is empty for ``keeper``, and equal to ``sha256_a`` where it is about copies of the same bytes."""

    sha256_a: str
    sha256_b: str
    kind: str
    decided_at_ms: int = 0


def put(session: Session, kind: Kind, sha256_a: str, sha256_b: str = "", *, batch_id: int = 0, now_ms: int) -> None:
    """Of a pair in either order. The same word may come from several batches; of keepers the latest stands."""
    session.run("judgement_put", **_pair(kind, sha256_a, sha256_b), batch_id=batch_id, now_ms=now_ms)


def of_images(session: Session, image_ids: Collection[int]) -> list[Judgement]:
    """Those about these images only."""
    return [Judgement(**row) for row in session.all("judgements_of_images", ids=json.dumps(sorted(image_ids)))]


def _pair(kind: Kind, sha256_a: str, sha256_b: str) -> dict[str, str]:
    if kind != "keeper":
        sha256_a, sha256_b = sorted((sha256_a, sha256_b))
    return {"kind": kind, "sha256_a": sha256_a, "sha256_b": sha256_b}
