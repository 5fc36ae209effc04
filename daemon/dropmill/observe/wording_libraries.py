"""What facts of libraries are called in a log."""

from __future__ import annotations

from dropmill.observe import facts
from dropmill.observe.words import Fields, Line, reason_fields, words


@words(facts.CataloguingBegun)
def _begun(fact: facts.CataloguingBegun) -> Line:
    fields: Fields = {"scan": fact.scan, "folders": list(fact.folders), "rehash": fact.rehash}
    return Line("info", "cataloguing goes on" if fact.again else "cataloguing libraries", fields)


@words(facts.CataloguingProgressed, detail=True)
def _progressed(fact: facts.CataloguingProgressed) -> Line:
    fields: Fields = {"scan": fact.scan, "files": fact.files, "total_files": fact.total_files, "indexed": fact.indexed}
    fields["files_per_second"] = round(fact.files_per_second, 1)
    if fact.eta_seconds is not None:
        fields["eta_seconds"] = fact.eta_seconds
    return Line("debug", "cataloguing", fields)


@words(facts.CataloguingRefused)
def _refused(fact: facts.CataloguingRefused) -> Line:
    why = reason_fields(fact.reason, fact.detail)
    return Line("warning", "cannot be catalogued", {"scan": fact.scan, "path": fact.path, **why})


@words(facts.CataloguingTrouble)
def _trouble(fact: facts.CataloguingTrouble) -> Line:
    return Line("warning", "cannot be looked at", {"scan": fact.scan, "path": fact.path, "detail": fact.detail})


@words(facts.CataloguingEnded)
def _ended(fact: facts.CataloguingEnded) -> Line:
    names = ("indexed", "unchanged", "ignored", "refused", "vanished")
    fields: Fields = {"scan": fact.scan, **{name: getattr(fact, name) for name in names}}
    fields["seconds"] = round(fact.seconds, 3)
    if fact.detail:
        fields["detail"] = fact.detail
    events = {"done": "libraries are catalogued", "cancelled": "cataloguing was cancelled"}
    event = events.get(fact.state, "cataloguing failed")
    return Line("warning" if fact.state == "failed" else "info", event, fields)


@words(facts.OlderHashes)
def _older(fact: facts.OlderHashes) -> Line:
    if fact.parts:
        event = "pictures have hashes of an earlier version, or were catalogued before loose was wanted"
        hint = "what was turned or cut from them is not found; to hash them anew: dropmill index --rehash"
    else:
        event = "pictures have hashes of an earlier version"
        hint = "they are compared with one another only; to hash them anew: dropmill index --rehash"
    return Line("warning", event, {"images": fact.images, "hint": hint})


@words(facts.Forgotten)
def _forgotten(fact: facts.Forgotten) -> Line:
    fields: Fields = {"sha256": fact.sha256, "files": fact.files, "renditions": fact.renditions}
    return Line("info", "forgotten, as a person asked", fields)
