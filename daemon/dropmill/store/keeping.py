"""Groups in lots, with all that a choice of their keeper hangs on."""

from __future__ import annotations

import json
from collections.abc import Sequence

from dropmill.store.connection import Row, Session
from dropmill.store.drawing import Component, borders_of, holdings_of
from dropmill.store.groups import Filter, following


def lot(session: Session, after: int, limit: int) -> tuple[Sequence[Row], Component]:
    """Open groups behind that id, and their members; of a component's parts no pairs and judgements."""
    groups = following(session, Filter(), None, after, limit)
    members = session.all("members_of_groups", ids=json.dumps([row["id"] for row in groups]))
    ids = {row["image_id"] for row in members}
    images = {row["id"]: row for row in session.all("images_to_draw", ids=json.dumps(sorted(ids)))}
    borders = borders_of(session, ids)
    return groups, Component(images, holdings_of(session, ids), (), (), groups, members, 0, borders)
