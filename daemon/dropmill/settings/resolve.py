"""One inbox of the settings as the stages see it, once its folders have their ids in the catalog."""

from __future__ import annotations

from collections.abc import Mapping

from dropmill.model.inbox import Inbox, Root
from dropmill.settings.inboxes import Inbox as InboxSettings
from dropmill.settings.top import Settings
from dropmill.settings.url_inboxes import UrlInbox


def resolved(settings: Settings, item: InboxSettings, roots: Mapping[str, Root], output_uuid: str) -> Inbox:
    """``roots`` by kind: ``inbox`` and ``output``, and ``archive``, ``duplicates``, ``quarantine`` where they are named.

    Raises ``KeyError`` for a profile that is not configured, ``ConfigurationError`` for an unknown group.
    """
    recipe = settings.profiles[item.profile].recipe()
    return Inbox(
        name=item.name,
        root=roots["inbox"],
        output=roots["output"],
        output_uuid=output_uuid,
        recipe=recipe,
        recipe_digest=recipe.digest(),
        limits=settings.workers.limits(),
        names=item.names,
        on_success=item.on_success,
        archive=roots.get("archive"),
        on_duplicate=item.on_duplicate,
        duplicates=roots.get("duplicates"),
        quarantine=roots.get("quarantine"),
        on_source_changed=item.on_source_changed,
        on_source_deleted=item.on_source_deleted,
        on_unsupported=item.on_unsupported,
        dedupe_scope=settings.dedupe.scope,
        policies=settings.dedupe.policies(item.dedupe, settings.profiles[item.profile].dedupe),
        settle_seconds=item.settle_seconds,
        settle_max_seconds=item.longest_settle_seconds,
        incomplete_timeout_seconds=item.incomplete_timeout_seconds,
        done_suffix=item.done_suffix,
        recursive=item.recursive,
        watch=item.watch,
        poll_seconds=item.poll_seconds,
        reconcile_seconds=item.reconcile_seconds,
        ignore=item.ignore,
        companions=item.travelling,
        hard_links=item.hard_links,
        receipts=item.receipts,
        priority=item.priority,
        label=item.label,
        mode=settings.output.mode_bits,
        dir_mode=settings.output.dir_mode_bits,
        gid=settings.output.gid(),
        takes_lists=item.urls,
        urls=isinstance(item, UrlInbox),
    )
