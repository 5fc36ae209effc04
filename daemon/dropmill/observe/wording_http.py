"""What facts of clients are called in a log."""

from __future__ import annotations

from dropmill.model.file import shown
from dropmill.observe import facts
from dropmill.observe.words import Fields, Line, words


@words(facts.Audited)
def _audited(fact: facts.Audited) -> Line:
    fields: Fields = {"client": shown(fact.client), "by": fact.by, "method": shown(fact.method)}
    fields |= {"route": shown(fact.path), "given": dict(fact.given), "status": fact.status, "result": fact.result}
    if fact.reason:
        fields["problem"] = shown(fact.reason)
    if fact.agent:
        fields["agent"] = shown(fact.agent)
    if fact.left_out:
        fields["left_out"] = fact.left_out
    return Line("info" if fact.result == "done" else "warning", "audit", fields)


@words(facts.AuditCutShort)
def _cut_short(fact: facts.AuditCutShort) -> Line:
    fields: Fields = {"path": shown(fact.path), "lines": fact.lines}
    remedy = "they stand in the log itself (event audit); look after the disk that http.audit_file is on"
    return Line("error", "the last lines of the audit file were lost", {**fields, "remedy": remedy})


@words(facts.HttpRefused, detail=True)
def _refused(fact: facts.HttpRefused) -> Line:
    fields: Fields = {"client": shown(fact.client), "by": fact.cause, "route": shown(fact.path)}
    return Line("debug", "a request was refused", fields)


@words(facts.ClientHasty)
def _hasty(fact: facts.ClientHasty) -> Line:
    remedy = (
        "find out what it is; a reverse proxy belongs into http.trusted_proxies; http.requests_per_second is the limit"
    )
    fields: Fields = {"client": shown(fact.client), "per_second": fact.per_second, "at_once": fact.at_once}
    return Line("warning", "a client asks too often, or too much at once, and is refused", {**fields, "remedy": remedy})


@words(facts.ProxyUnnamed)
def _proxy_unnamed(fact: facts.ProxyUnnamed) -> Line:
    remedy = "if it is your reverse proxy, add its address to http.trusted_proxies"
    fields: Fields = {"client": shown(fact.client), "remedy": remedy}
    return Line("warning", "a proxy asks for others; they count as one client", fields)


@words(facts.TokenExposed)
def _token_exposed(fact: facts.TokenExposed) -> Line:
    fields: Fields = {"file": shown(fact.path), "detail": fact.detail, "remedy": fact.remedy}
    return Line("warning", "the access token is not safe", fields)
