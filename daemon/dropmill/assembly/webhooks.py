"""Who is told by webhook, and over which connections."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dropmill.assembly.ground import Ground
from dropmill.model.inbox import URLS_SUFFIX
from dropmill.observe.facts import WebhookEnabled
from dropmill.settings import Settings, Webhook, read_all_secrets
from dropmill.store import webhooks

if TYPE_CHECKING:
    from dropmill.fetch.postman import Postman


@dataclass(frozen=True, slots=True)
class Office:
    """``runs``: what goes on for as long as the work does; nothing where no webhook is configured."""

    runs: tuple[Callable[[], Coroutine[Any, Any, None]], ...]
    postmen: tuple[Postman, ...]

    async def finished(self) -> bool:
        """Whether everything that is owed to anybody was tried."""
        return all([await postman.finished() for postman in self.postmen])


async def make_office(ground: Ground) -> Office:
    """Records who is to be told from now on. Raises ``ConfigurationError`` for a secret that cannot be used."""
    settings = ground.settings
    keys = read_all_secrets(settings.webhooks)
    wanted = [wanted_by(settings, webhook, webhook.digest(keys[webhook.name])) for webhook in settings.webhooks]
    for name in await ground.catalog.write(lambda session: webhooks.configure(session, wanted)):
        ground.emit(WebhookEnabled(name, "its configuration has changed"))
    if not settings.webhooks:
        return Office((), ())
    # A mill without webhooks loads no HTTP client for them.
    from dropmill.fetch.posting import open_poster
    from dropmill.fetch.postman import Bulletins, Postman

    postmen = []
    for webhook in settings.webhooks:
        poster = open_poster(webhook, settings, keys[webhook.name], ground.clock)
        ground.closing.append(poster.close)
        postmen.append(
            Postman(webhook.name, poster, webhook.rules, ground.catalog, ground.clock, ground.chance, ground.emit)
        )
    bulletins = Bulletins(ground.catalog, ground.clock, ground.emit, postmen)
    ground.hearing.append(bulletins.heard)
    return Office((bulletins.run, *(postman.run for postman in postmen)), tuple(postmen))


def wanted_by(settings: Settings, webhook: Webhook, digest: str) -> webhooks.Wanted:
    """Of an inbox, what is added to it by URL is told too."""
    names = webhook.inboxes or [*(one.name for one in settings.inboxes), *(one.name for one in settings.dropfiles)]
    every = {inbox.name for inbox in settings.every_inbox}
    inboxes = {one for name in names for one in (name, name + URLS_SUFFIX) if one in every}
    return webhooks.Wanted(
        webhook.name, digest, frozenset((inbox, kind) for inbox in inboxes for kind in webhook.events)
    )
