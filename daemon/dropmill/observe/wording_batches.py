"""What facts of batches are called in a log: who reads it later is to see what a person had done, and to what."""

from __future__ import annotations

from typing import Final

from dropmill.observe import facts
from dropmill.observe.words import Fields, Level, Line, words

_DONE: Final = {
    "delete": "moved to the trash",
    "move": "moved by a person",
    "link": "replaced by a hard link",
}


@words(facts.BatchBegun)
def _begun(fact: facts.BatchBegun) -> Line:
    fields: Fields = {"batch": fact.batch, "action": fact.action, "groups": fact.groups, "files": fact.files}
    what = "a batch is taken back" if fact.undo else "a batch is carried out"
    return Line("info", f"{what}, begun by an earlier run" if fact.again else what, fields)


@words(facts.BatchProgressed)
def _progressed(fact: facts.BatchProgressed) -> Line:
    fields: Fields = {"batch": fact.batch, "action": fact.action, "undo": fact.undo}
    return Line("debug", "a batch goes on", {**fields, "finished": fact.finished, "files": fact.files})


@words(facts.DeedEnded)
def _deed(fact: facts.DeedEnded) -> Line:
    level: Level = "info"
    match fact.result:
        case "done":
            event = _DONE[fact.action]
        case "purged":
            event = "deleted for good"
        case "undone":
            event = "taken back"
        case "refused":
            level, event = "warning", "cannot be taken back"
        case _:
            level, event = "warning", "left as it was"
    fields: Fields = {"batch": fact.batch, "action": fact.action, "path": fact.path}
    if fact.target is not None:
        fields["target"] = fact.target
    if fact.detail:
        fields["detail"] = fact.detail
    if fact.hint:
        fields["remedy"] = fact.hint
    return Line(level, event, fields)


@words(facts.BatchEnded)
def _ended(fact: facts.BatchEnded) -> Line:
    names = ("done", "skipped", "undone", "size_bytes")
    fields: Fields = {"batch": fact.batch, "action": fact.action, **{name: getattr(fact, name) for name in names}}
    fields["seconds"] = round(fact.seconds, 3)
    if fact.state == "undone" and not fact.undo:
        remedy = "ask for it again once what kept it from being written down is mended; nothing was touched"
        return Line("warning", "the batch comes to nothing", {**fields, "remedy": remedy})
    if fact.state == "undone":
        return Line("info", "the batch is taken back", fields)
    if fact.undo:
        remedy = "see to what is in the way, then undo it again"
        return Line("warning", "the batch is taken back in part", {**fields, "remedy": remedy})
    return Line("info", "the batch is done", fields)


@words(facts.BatchHeldUp)
def _held_up(fact: facts.BatchHeldUp) -> Line:
    fields: Fields = {"batch": fact.batch, "path": fact.path, "detail": fact.detail}
    return Line("error", "a batch is held up", {**fields, "remedy": "look at its disk; it is tried again by itself"})


@words(facts.PreferencesChanged)
def _preferences(fact: facts.PreferencesChanged) -> Line:
    return Line("info", "preferences were changed", {"changes": list(fact.changes)})
