"""What facts of webhooks are called in a log."""

from __future__ import annotations

from dropmill.model.file import shown
from dropmill.observe import facts
from dropmill.observe.words import Fields, Line, words


@words(facts.WebhookDelivered, detail=True)
def _delivered(fact: facts.WebhookDelivered) -> Line:
    fields: Fields = {"webhook": fact.webhook, "told": fact.event, "job_id": fact.job_id, "attempt": fact.attempt}
    return Line("debug", "a webhook was told", {**fields, "seconds": round(fact.seconds, 3)})


@words(facts.WebhookFailed)
def _failed(fact: facts.WebhookFailed) -> Line:
    fields: Fields = {"webhook": fact.webhook, "told": fact.event, "job_id": fact.job_id, "attempt": fact.attempt}
    fields |= {"reason": fact.reason, "detail": shown(fact.detail)}
    if fact.after_seconds is None:
        remedy = f"once the receiver is well: dropmill webhooks retry {fact.webhook}; or let it go: dropmill webhooks forget {fact.webhook}"
        return Line("error", "a webhook could not be told; it is a dead letter now", {**fields, "remedy": remedy})
    return Line("warning", "a webhook could not be told", {**fields, "after_seconds": round(fact.after_seconds, 3)})


@words(facts.WebhookDisabled)
def _disabled(fact: facts.WebhookDisabled) -> Line:
    remedy = f"correct its url, or take it out; if it is back: dropmill webhooks enable {fact.webhook}"
    fields: Fields = {"webhook": fact.webhook, "detail": shown(fact.detail), "remedy": remedy}
    return Line("error", "a webhook is disabled: it says that it is gone for good", fields)


@words(facts.WebhookEnabled)
def _enabled(fact: facts.WebhookEnabled) -> Line:
    return Line("info", "a webhook is enabled again", {"webhook": fact.webhook, "cause": fact.cause})


@words(facts.WebhookForgot)
def _forgot(fact: facts.WebhookForgot) -> Line:
    return Line(
        "warning", "what a webhook could not be told is let go", {"webhook": fact.webhook, "events": fact.events}
    )


@words(facts.WebhookExpired)
def _expired(fact: facts.WebhookExpired) -> Line:
    fields: Fields = {"webhook": fact.webhook, "events": fact.events}
    return Line("warning", "what a webhook could not be told for thirty days is let go", fields)


@words(facts.WebhookRetried)
def _retried(fact: facts.WebhookRetried) -> Line:
    return Line("info", "dead letters are sent again", {"webhook": fact.webhook, "letters": fact.letters})
