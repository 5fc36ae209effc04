"""What is rather kept of the files of a component, by what the catalog knows of them."""

from __future__ import annotations

from collections.abc import Sequence

from dropmill.model.keeping import KeeperRules
from dropmill.similarity.drawing import Row
from dropmill.similarity.keeper import Candidate, rank, reasons
from dropmill.store.drawing import Component


class Keeping:
    """Of the files of a component, under rules."""

    def __init__(self, seen: Component, rules: KeeperRules) -> None:
        self._rules = rules
        self._candidates = {row["id"]: candidate(seen, row) for row in seen.holdings}

    def order(self, holdings: Sequence[Row]) -> Sequence[int]:
        """As ``drawing.Order``."""
        return [one.id for one in rank((self._candidates[row["id"]] for row in holdings), self._rules)]

    def why(self, keeper: int, holdings: Sequence[Row]) -> Sequence[str]:
        """As ``drawing.Why``."""
        return reasons(self._candidates[keeper], (self._candidates[row["id"]] for row in holdings), self._rules)


def candidate(seen: Component, holding: Row) -> Candidate:
    """A file of a component, by its row of ``holdings_of_images``."""
    image = seen.images[holding["image_id"]]
    return Candidate(
        holding["id"],
        holding["root_path"] + b"/" + holding["rel"],
        holding["root_kind"],
        image["format"],
        image["width"],
        image["height"],
        holding["size_bytes"],
        holding["mtime_ns"],
        seen.evidence(holding["image_id"]),
        seen.borders.get(holding["image_id"], 1.0),
    )
