"""Who is told by webhook, and over which connections."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dropmill.assembly.ground import Ground
from dropmill.model.inbox import URLS_SUFFIX
from dropmill.model.webhook import Posted
from dropmill.observe.facts import WebhookEnabled
from dropmill.settings import Settings, Webhook, read_all_secrets
from dropmill.store import webhooks

if TYPE_CHECKING:
    from dropmill.fetch.posting import Poster
    from dropmill.fetch.postman import Postman


@dataclass(frozen=True, slots=True)
class Office:
    """``runs``: what goes on for as long as the work does; nothing where no webhook is configured."""

    runs: tuple[Callable[[], Coroutine[Any, Any, None]], ...]
    postmen: tuple[Postman, ...]
    posters: Mapping[str, Poster]
    """By the name of the webhook."""

    async def finished(self) -> bool:
        """Whether everything that is owed to anybody was tried."""
        return all([await postman.finished() for postman in self.postmen])

    def wake(self, name: str) -> None:
        """A person has changed what is owed to it."""
        for postman in self.postmen:
            if postman.name == name:
                postman.wake()

    async def post(self, name: str, webhook_id: str, body: bytes) -> Posted:
        """As its events are sent."""
        return await self.posters[name].post(webhook_id, body)

    def keys(self, name: str) -> Sequence[bytes]:
        """Which sign; those that its file or variable had when the configuration was applied."""
        return self.posters[name].keys


async def make_office(ground: Ground) -> Office:
    """Records who is to be told from now on. Raises ``ConfigurationError`` for a secret that cannot be used."""
    settings = ground.settings
    keys = read_all_secrets(settings.webhooks)
    wanted = [wanted_by(settings, webhook, webhook.digest(keys[webhook.name])) for webhook in settings.webhooks]
    for name in await ground.catalog.write(lambda session: webhooks.configure(session, wanted)):
        ground.emit(WebhookEnabled(name, "its configuration has changed"))
    # What is kept for those that were taken out is let go in time, too.
    if not settings.webhooks and not await ground.catalog.read(webhooks.any_left):
        return Office((), (), {})
    from dropmill.fetch.postman import Bulletins, Postman

    postmen, posters = [], {}
    for webhook in settings.webhooks:
        # A mill without webhooks loads no HTTP client for them.
        from dropmill.fetch.posting import open_poster

        poster = open_poster(webhook, settings, keys[webhook.name], ground.clock)
        ground.closing.append(poster.close)
        posters[webhook.name] = poster
        postmen.append(
            Postman(webhook.name, poster, webhook.rules, ground.catalog, ground.clock, ground.chance, ground.emit)
        )
    bulletins = Bulletins(ground.catalog, ground.clock, ground.emit, postmen)
    ground.hearing.append(bulletins.heard)
    return Office((bulletins.run, *(postman.run for postman in postmen)), tuple(postmen), posters)


def wanted_by(settings: Settings, webhook: Webhook, digest: str) -> webhooks.Wanted:
    """Of an inbox, what is added to it by URL is told too."""
    names = webhook.inboxes or [*(one.name for one in settings.inboxes), *(one.name for one in settings.dropfiles)]
    every = {inbox.name for inbox in settings.every_inbox}
    inboxes = {one for name in names for one in (name, name + URLS_SUFFIX) if one in every}
    return webhooks.Wanted(
        webhook.name, digest, frozenset((inbox, kind) for inbox in inboxes for kind in webhook.events)
    )
