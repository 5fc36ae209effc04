"""What a picture resembles: what the index has found, completed inside the transaction by what was committed since."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Final

from dropmill.model.fingerprint import Content, Looks
from dropmill.model.inbox import Inbox
from dropmill.model.job import Job
from dropmill.model.resemblance import (
    WIDEST_DHASH,
    WIDEST_PHASH,
    Neighbour,
    Neighbours,
    Thresholds,
    Tier,
    bears_out,
    hamming,
    tier_of,
)
from dropmill.model.verdict import Alike, Kind
from dropmill.store import hashes, pairs
from dropmill.store.connection import Row, Session
from dropmill.store.earlier import images_at, own_images

HASH: Final = "hash"


def completed(session: Session, looks: Looks, neighbours: Neighbours) -> list[Neighbour]:
    """All catalogued images within the widest thresholds, nearest first, this transaction's own included.

    Of what the index has not read yet only those that stand as this one does are found; the comparer finds the turned.
    """
    found = list(neighbours.found)
    for lot in hashes.after(session, neighbours.upto):
        for image_id, phash, dhash in lot:
            one = Neighbour(image_id, HASH, hamming(looks.phash, phash), hamming(looks.dhash, dhash))
            if one.phash_distance <= WIDEST_PHASH and one.dhash_distance <= WIDEST_DHASH:
                found.append(one)
    found.sort(key=lambda one: (one.how != HASH, one.phash_distance, one.dhash_distance, one.image_id))
    return found


def alike(
    session: Session,
    job: Job,
    inbox: Inbox,
    content: Content,
    looks: Looks,
    near: Sequence[Neighbour],
    thresholds: Thresholds,
) -> list[Alike]:
    """Those of ``near`` that count: within the thresholds, textured as this one is, with standing renditions in scope.

    Flat pictures resemble nothing by their hashes. What identical pictures are is for the twins to say, and an earlier
    version of the same path is nothing to resemble.
    """
    if looks.texture < thresholds.min_texture:
        return []
    kinds = {one.image_id: (kind, one) for one in reversed(near) if (kind := _kind(one, thresholds))}
    if not kinds:
        return []
    rows = session.all(
        "alike_standing",
        ids=json.dumps(list(kinds)),
        scope=inbox.dedupe_scope,
        output_id=inbox.output.id,
        recipe=inbox.recipe_digest,
        root_id=inbox.root.id,
    )
    own = _own_versions(session, job, inbox) if rows else set()
    found = []
    for row in rows:
        kind, one = kinds[row["id"]]
        identical = row["sha256"] == content.sha256 or row["coded_sha256"] == content.coded_sha256
        if (
            not identical
            and row["id"] not in own
            and row["texture"] >= thresholds.min_texture
            and _borne_out(one, looks, row)
        ):
            found.append(Alike(row["id"], kind, one.phash_distance, one.dhash_distance))
    return sorted(
        found, key=lambda one: (list(Tier).index(one.tier), one.phash_distance, one.dhash_distance, one.image_id)
    )


def _borne_out(one: Neighbour, looks: Looks, row: Row) -> bool:
    fine = (int(looks.phash256, 16) ^ int(row["phash256"], 16)).bit_count()
    return one.how != HASH or bears_out(fine, min(looks.texture, row["texture"]))


def _kind(one: Neighbour, thresholds: Thresholds) -> Kind | None:
    if one.how != HASH:
        return "loose"
    tier = tier_of(one.phash_distance, one.dhash_distance, thresholds)
    if tier is Tier.NEAR:
        return "near"
    return "similar" if tier is Tier.SIMILAR else None


def _own_versions(session: Session, job: Job, inbox: Inbox) -> set[int]:
    """Of a path whose originals stay, or of a URL: whoever changes a picture there wants the new one."""
    if inbox.keeps_originals and inbox.on_source_changed == "replace":
        return own_images(session, job, inbox)
    return images_at(session, job, inbox) if inbox.keeps_originals or inbox.urls else set()


def remember(
    session: Session,
    image_id: int,
    content: Content,
    looks: Looks,
    near: Sequence[Neighbour] | None,
    min_texture: float,
) -> None:
    """Pairs with all that an image resembles, or, where that is not known, that it has to be found out.

    What it resembles loosely is known of no picture yet that was committed since the index was asked, nor is what was cut.
    """
    if near is None or looks.windows is not None:
        pairs.compare_later(session, [image_id])
    coded_alike = {"id": image_id, "coded_sha256": content.coded_sha256, "limit": 1}
    if near or (near is not None and session.all("images_coded_alike", **coded_alike)):
        pairs.put(session, pairs.resembling(session, image_id, near, min_texture))
