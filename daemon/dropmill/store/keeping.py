"""Groups in lots, with all that a choice of their keeper hangs on."""

from __future__ import annotations

import json
from collections.abc import Sequence

from dropmill.store.connection import Row, Session
from dropmill.store.drawing import Component
from dropmill.store.groups import Filter, following


def lot(session: Session, after: int, limit: int) -> tuple[Sequence[Row], Component]:
    """Open groups behind that id, and their members; of a component's parts only images, holdings, groups and members."""
    groups = following(session, Filter(), None, after, limit)
    members = session.all("members_of_groups", ids=json.dumps([row["id"] for row in groups]))
    ids = json.dumps(sorted({row["image_id"] for row in members}))
    images = {row["id"]: row for row in session.all("images_to_draw", ids=ids)}
    return groups, Component(images, session.all("holdings_of_images", ids=ids), (), (), groups, members, 0)
