"""The outbox against a real receiver that fails, asks for rest, hangs, redirects, dies, and is gone."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest

from dropmill.assembly.webhooks import wanted_by
from dropmill.control.story import story
from dropmill.fetch import postman
from dropmill.fetch.posting import open_poster
from dropmill.fetch.postman import AT_ONCE, KEPT_MS, Bulletins, Postman
from dropmill.model.outcome import Reason
from dropmill.model.webhook import read_secret
from dropmill.observe import facts
from dropmill.observe.clock import SystemClock
from dropmill.observe.facts import Fact
from dropmill.settings import Inbox, Settings, Webhook
from dropmill.store import queue, times, views, webhooks
from dropmill.store.catalog import Catalog, catalog_path
from dropmill.store.connection import Session, connect
from hooks import OTHER_SECRET, SECRET, Answer, Request, receiving, verified
from old_catalogs import old_catalog

pytestmark = pytest.mark.anyio
CLOCK = SystemClock()
DAY_MS = 86_400_000


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Outbox:
    """A catalog whose jobs a test decides, and the real rounds of its webhooks."""

    def __init__(self, folder: Path) -> None:
        self.catalog = Catalog(catalog_path(str(folder)))
        self.folder = folder
        self.told: list[Fact] = []
        self._secrets: dict[str, str] = {}
        self._hooks: dict[str, Webhook] = {}
        self._bulletins: Bulletins | None = None
        self.postmen: dict[str, Postman] = {}
        self.leaving = anyio.Event()

    async def add(self, name: str, url: str, *secrets: str, **more: Any) -> None:
        """Configure one more; ``more`` are keys of its configuration."""
        (self.folder / name).write_text("\n".join(secrets or (SECRET,)))
        given = {"allow_networks": ["127.0.0.0/8"], "retry_base_seconds": 0.02, "retry_cap_seconds": 0.05}
        hook = Webhook(name=name, url=url, secret_file=str(self.folder / name), **(given | more))
        self._hooks[name] = hook
        await self.configure()

    async def configure(self) -> list[str]:
        settings = self.settings
        wanted = [wanted_by(settings, hook, hook.digest(hook.read_secrets({}))) for hook in settings.webhooks]
        return await self.catalog.write(lambda session: webhooks.configure(session, wanted))

    @property
    def settings(self) -> Settings:
        inbox = Inbox(name="camera", path="/in", output="/out")
        return Settings(inboxes=(inbox,), webhooks=tuple(self._hooks.values()))

    async def decide(self, rel: bytes, state: str = "discarded", **more: Any) -> int:
        """A job that ends so; returns its id."""

        def action(session: Session) -> int:
            run = session.connection.execute
            run("INSERT OR IGNORE INTO roots (id, kind, name, path) VALUES (1, 'inbox', 'camera', CAST('/in' AS BLOB))")
            run("INSERT OR IGNORE INTO boots VALUES ('now', 1, '1', 0, NULL)")
            now_ms = CLOCK.now_ms()
            job_id: int = run(
                "INSERT INTO jobs (root_id, inbox, rel, dev, ino, size_bytes, mtime_ns, ctime_ns, state, owner, epoch, "
                "priority, rank_ms, found_by, found_at_ms, settled_at_ms, enqueued_at_ms) VALUES (1, ?, ?, 1, 1, 10, 5, 5, "
                "'executing', 'now', 1, 3, 1, 'event', ?, ?, ?) RETURNING id",
                (more.get("inbox", "camera"), rel, now_ms, now_ms, now_ms),
            ).get
            outcome, reason = more.get("outcome"), more.get("reason", "truncated" if state == "discarded" else None)
            run(
                "UPDATE jobs SET state = ?, outcome = ?, reason = ?, finished_at_ms = ? WHERE id = ?",
                (state, outcome, reason, now_ms, job_id),
            )
            return job_id

        job_id = await self.catalog.write(action)
        if self._bulletins is not None:
            # As whoever decides tells of it.
            self._bulletins.heard(facts.Discarded(job_id, "camera", rel, Reason.TRUNCATED, "", False))
        return job_id

    @asynccontextmanager
    async def running(self, *names: str) -> AsyncIterator[None]:
        """The rounds of these, or of all."""
        postmen, posters = [], []
        for hook in self.settings.webhooks:
            if not names or hook.name in names:
                poster = open_poster(hook, self.settings, hook.read_secrets({}), CLOCK)
                posters.append(poster)
                postmen.append(
                    Postman(hook.name, poster, hook.rules, self.catalog, CLOCK, random.Random(1), self.told.append)
                )
        self.postmen = {postman.name: postman for postman in postmen}
        bulletins = self._bulletins = Bulletins(self.catalog, CLOCK, self.told.append, postmen)
        try:
            async with anyio.create_task_group() as group:
                for run in (bulletins.run, *(postman.run for postman in postmen)):
                    group.start_soon(run)
                yield
                self.leaving.set()
                group.cancel_scope.cancel()
        finally:
            for poster in posters:
                await poster.close()

    async def until(self, fact: Callable[[], Any]) -> None:
        deadline = time.monotonic() + 30
        while True:
            found = fact()
            if isinstance(found, Awaitable):
                found = await found
            if found:
                return
            assert time.monotonic() < deadline, self.told
            await anyio.sleep(0.02)

    def of(self, kind: type[Fact]) -> list[Any]:
        return [fact for fact in self.told if isinstance(fact, kind)]

    async def rows(self, text: str) -> list[tuple[Any, ...]]:
        return await self.catalog.read(lambda session: session.connection.execute(text).fetchall())

    async def age(self, by_ms: int) -> None:
        """All that was decided so far was decided so much earlier."""
        older = f"UPDATE webhook_events SET at_ms = at_ms - {by_ms}"
        await self.catalog.write(lambda session: session.connection.execute(older).get)

    async def forgotten(self, before_ms: int) -> dict[str, int]:
        return await self.catalog.write(lambda session: webhooks.forget(session, before_ms))

    async def nothing_owed(self) -> bool:
        return not await self.rows("SELECT 1 FROM deliveries") and not await self.rows("SELECT 1 FROM webhook_events")


@pytest.fixture
def outbox(tmp_path: Path) -> Any:
    made = Outbox(tmp_path)
    yield made
    made.catalog.close()


def at_first(*answers: Answer) -> Callable[[int, Request], Answer]:
    """These in turn, then 200."""
    return lambda number, _request: answers[number] if number < len(answers) else Answer()


FAILURES = {
    "500": Answer(500),
    "503 with a page": Answer(503, body=b"x" * 300_000),
    "404": Answer(404),
    "dies at once": Answer(cut=""" """),
    "dies within the head": Answer(cut="HTTP/1.1 200 OK\r\nContent-Len"),
    "is no HTTP": Answer(cut="220 mail ready\r\n"),
    "a redirect without a target": Answer(302),
    "429": Answer(429, {"Retry-After": "0"}),
}


@pytest.mark.parametrize("failure", FAILURES.values(), ids=FAILURES)
async def test_what_fails_is_sent_again_with_the_same_id_and_body_until_it_arrives(
    outbox: Outbox, failure: Answer
) -> None:
    with receiving(at_first(failure, failure)) as receiver:
        await outbox.add("app", receiver.url)
        await outbox.decide(b"a.jpg")
        async with outbox.running():
            await outbox.until(lambda: outbox.of(facts.WebhookDelivered))
            assert await outbox.nothing_owed()
    assert len(receiver.requests) == 3
    assert len(set(receiver.ids())) == 1
    assert len({request.body for request in receiver.requests}) == 1
    assert all(verified(request, SECRET) for request in receiver.requests)
    assert [fact.attempt for fact in outbox.of(facts.WebhookFailed)] == [1, 2]
    assert [fact.attempt for fact in outbox.of(facts.WebhookDelivered)] == [3]
    [(delivered, failures)] = await outbox.rows("SELECT delivered, failures FROM webhooks")
    assert (delivered, failures) == (1, 0)


async def test_an_answer_that_goes_on_for_ever_counts_by_its_status(outbox: Outbox) -> None:
    with receiving(at_first(Answer(200, {"Content-Length": "100000000"}, b"x" * 200_000))) as receiver:
        await outbox.add("app", receiver.url)
        await outbox.decide(b"a.jpg")
        async with outbox.running():
            await outbox.until(outbox.nothing_owed)
    assert len(receiver.requests) == 1


async def test_a_retry_after_is_kept_to_by_the_whole_endpoint(outbox: Outbox) -> None:
    with receiving(lambda number, request: Answer(429, {"Retry-After": "3600"})) as receiver:
        await outbox.add("app", receiver.url)
        await outbox.decide(b"a.jpg")
        async with outbox.running():
            await outbox.until(lambda: outbox.of(facts.WebhookFailed))
            await outbox.decide(b"b.jpg")
            await outbox.until(
                lambda: outbox.rows("SELECT 1 FROM webhook_events WHERE job_id = 2 AND body IS NOT NULL")
            )
        # A run that is started anew knows of it.
        async with outbox.running():
            await anyio.sleep(0.2)
        assert len(receiver.requests) == 1
    [(ready, tried, due)] = await outbox.rows(
        "SELECT w.ready_at_ms, d.tried_at_ms, d.next_attempt_at_ms FROM webhooks AS w, deliveries AS d WHERE d.attempts = 1"
    )
    assert ready == due == tried + 3_600_000
    # The clock is set back by a week: nobody waits a week longer.
    await outbox.catalog.write(lambda session: times.move(session, 7 * DAY_MS))
    latest = tried + DAY_MS
    await outbox.catalog.write(lambda session: times.bound(session, latest, latest, latest, latest))
    assert await outbox.rows("SELECT max(next_attempt_at_ms) FROM deliveries") == [(latest,)]
    assert await outbox.rows("SELECT ready_at_ms FROM webhooks") == [(latest,)]


async def test_one_that_hangs_is_given_up_in_time_and_keeps_no_other_waiting(outbox: Outbox) -> None:
    with receiving(lambda number, request: Answer(hang=True)) as silent, receiving() as well:
        await outbox.add("silent", silent.url, timeout_seconds=0.3, retry_base_seconds=60.0, retry_cap_seconds=60.0)
        await outbox.add("well", well.url)
        for name in (b"a.jpg", b"b.jpg", b"c.jpg"):
            await outbox.decide(name)
        async with outbox.running():
            await outbox.until(lambda: len(outbox.of(facts.WebhookDelivered)) == 3 and outbox.of(facts.WebhookFailed))
        failed = outbox.of(facts.WebhookFailed)[0]
        assert (failed.webhook, failed.reason) == ("silent", "download-timeout")
        assert len(silent.requests) <= 4
        # The same event has the same id for everybody, and one that was not told is kept.
        assert set(silent.ids()) <= set(well.ids())
    waiting = await outbox.rows("SELECT webhook, count(*) FROM deliveries GROUP BY webhook")
    assert waiting == [("silent", 3)]


async def test_a_redirect_is_a_failure_that_names_its_target_and_is_not_followed(outbox: Outbox) -> None:
    with receiving() as elsewhere:
        with receiving(lambda number, request: Answer(307, {"Location": elsewhere.url})) as receiver:
            await outbox.add("app", receiver.url, max_attempts=1)
            await outbox.decide(b"a.jpg")
            async with outbox.running():
                await outbox.until(lambda: outbox.of(facts.WebhookFailed))
        [failed] = outbox.of(facts.WebhookFailed)
        assert failed.reason == "http-error"
        assert elsewhere.url in failed.detail
        assert "not followed" in failed.detail
        assert elsewhere.requests == []


async def test_one_that_is_gone_is_disabled_for_good_and_what_waits_is_kept_for_its_return(outbox: Outbox) -> None:
    with receiving(at_first(Answer(410))) as receiver:
        await outbox.add("app", receiver.url)
        await outbox.decide(b"a.jpg")
        async with outbox.running():
            await outbox.until(lambda: outbox.of(facts.WebhookDisabled))
            await outbox.decide(b"b.jpg")
            await outbox.until(
                lambda: outbox.rows("SELECT 1 FROM webhook_events WHERE job_id = 2 AND body IS NOT NULL")
            )
        assert await outbox.configure() == []
        async with outbox.running():
            await anyio.sleep(0.2)
        assert len(receiver.requests) == 1, "a new start asks it nothing"
        # Another configuration takes it up again, as a person does.
        await outbox.catalog.write(lambda session: webhooks.enable(session, "app"))
        async with outbox.running():
            await outbox.until(outbox.nothing_owed)
        assert len(set(receiver.ids())) == 2
        receiver.script = lambda number, request: Answer(410)
        await outbox.decide(b"c.jpg")
        async with outbox.running():
            await outbox.until(lambda: len(outbox.of(facts.WebhookDisabled)) == 2)
        receiver.script = lambda number, request: Answer()
        outbox._hooks["app"] = outbox._hooks["app"].model_copy(update={"timeout_seconds": 5.0})
        assert await outbox.configure() == ["app"]
        async with outbox.running():
            await outbox.until(outbox.nothing_owed)


async def test_what_fails_too_often_is_a_dead_letter_that_is_kept_and_can_be_sent_again(outbox: Outbox) -> None:
    with receiving(lambda number, request: Answer(500 if number < 2 else 200)) as receiver:
        await outbox.add("app", receiver.url, max_attempts=2)
        job = await outbox.decide(b"a.jpg")
        async with outbox.running():
            await outbox.until(lambda: len(outbox.of(facts.WebhookFailed)) == 2)
            assert outbox.of(facts.WebhookFailed)[-1].after_seconds is None
            [letter] = await outbox.catalog.read(lambda session: webhooks.dead_letters(session, "app"))
            assert (letter["job_id"], letter["attempts"], letter["status"]) == (job, 2, 500)
            assert letter["webhook_id"] == receiver.ids()[0]
            again = await outbox.catalog.write(lambda session: webhooks.retry(session, "app", CLOCK.now_ms()))
            outbox.postmen["app"].wake()
            assert again == 1
            await outbox.until(outbox.nothing_owed)
    assert len(set(receiver.ids())) == 1
    assert len(receiver.requests) == 3


async def test_u02_a_webhook_on_a_private_address_is_not_reached_unless_it_is_allowed(outbox: Outbox) -> None:
    with receiving() as receiver:
        await outbox.add("app", receiver.url, allow_networks=[])
        await outbox.decide(b"a.jpg")
        async with outbox.running():
            await outbox.until(lambda: outbox.of(facts.WebhookFailed))
    assert outbox.of(facts.WebhookFailed)[0].reason == "blocked-address"
    assert receiver.requests == []


async def test_while_secrets_are_changed_a_receiver_may_know_either(outbox: Outbox) -> None:
    with receiving() as receiver:
        await outbox.add("app", receiver.url, OTHER_SECRET, SECRET)
        await outbox.decide(b"a.jpg")
        async with outbox.running():
            await outbox.until(outbox.nothing_owed)
    [request] = receiver.requests
    assert verified(request, SECRET)
    assert verified(request, OTHER_SECRET)
    assert not verified(request, "whsec_" + "A" * 43 + "=")
    moved = Request(request.path, request.headers | {"webhook-timestamp": "1"}, request.body)
    assert not verified(moved, SECRET)
    assert len(read_secret(SECRET)) == 32


async def test_only_what_is_asked_for_is_told(outbox: Outbox) -> None:
    with receiving() as receiver:
        await outbox.add("app", receiver.url, events=["image.discarded"], inboxes=["camera"])
        await outbox.decide(b"published.jpg", "completed", outcome="published")
        await outbox.decide(b"unchanged.jpg", "completed", outcome="unchanged")
        await outbox.decide(b"cancelled.jpg", "cancelled")
        await outbox.decide(b"of-another.jpg", inbox="scans")
        # What is added to an inbox by URL is its own.
        await outbox.decide(b"https://example.com/a.jpg", inbox="camera.urls", reason="http-404")
        async with outbox.running():
            await outbox.until(outbox.nothing_owed)
    [request] = receiver.requests
    assert request.document["type"] == "image.discarded"
    assert request.data["source"] == "https://example.com/a.jpg"
    assert request.data["reason"] == "http-404"
    assert set(request.data) == {
        *("job", "inbox", "source", "label", "outcome", "reason", "sha256", "size_bytes", "outputs", "duplicate_of"),
        *("found_at", "enqueued_at", "finished_at"),
    }


async def test_a_job_that_is_taken_up_again_before_its_end_was_told_has_another_end(outbox: Outbox) -> None:
    with receiving() as receiver:
        await outbox.add("app", receiver.url)
        job = await outbox.decide(b"a.jpg")

        def again(session: Session) -> None:
            session.connection.execute(
                "UPDATE jobs SET state = 'executing', owner = 'now', reason = NULL WHERE id = ?", (job,)
            )

        await outbox.catalog.write(again)
        assert await outbox.nothing_owed()
        ended = "UPDATE jobs SET state = 'discarded', reason = 'corrupt' WHERE id = ?"
        await outbox.catalog.write(lambda session: session.connection.execute(ended, (job,)).get)
        async with outbox.running():
            await outbox.until(outbox.nothing_owed)
    assert [request.data["reason"] for request in receiver.requests] == ["corrupt"]


async def test_a_job_is_kept_until_its_event_is_written_and_an_event_for_thirty_days(outbox: Outbox) -> None:
    await outbox.add("app", "http://127.0.0.1:9/")
    job = await outbox.decide(b"a.jpg")
    later_ms = CLOCK.now_ms() + DAY_MS
    pruned = await outbox.catalog.write(lambda session: queue.prune(session, later_ms, 10))
    assert (pruned.looked_at, pruned.forgotten) == (1, 0)
    async with outbox.running("nobody"):
        await outbox.until(lambda: outbox.rows("SELECT 1 FROM webhook_events WHERE body IS NOT NULL"))
    assert (await outbox.catalog.write(lambda session: queue.prune(session, later_ms, 10))).forgotten == 1
    assert await outbox.rows("SELECT job_id FROM webhook_events") == [(job,)]
    outbox._hooks.clear()
    await outbox.configure()
    assert await outbox.forgotten(CLOCK.now_ms() - DAY_MS) == {}
    assert await outbox.forgotten(CLOCK.now_ms() + 1) == {"app": 1}
    assert await outbox.nothing_owed()


async def test_what_is_owed_to_one_that_is_well_is_sent_however_old_it_is(
    outbox: Outbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A mill that was off for a month, or whose output was away, or whose clock was set, has its receivers told of all."""
    monkeypatch.setattr(postman, "LOOK_SECONDS", 0.02)
    monkeypatch.setattr(postman, "_FORGET_EVERY_SECONDS", 0.0)
    with receiving() as receiver:
        await outbox.add("app", receiver.url)
        for number in range(30):
            await outbox.decide(b"%d.jpg" % number)
        await outbox.age(KEPT_MS + DAY_MS)
        async with outbox.running():
            await outbox.until(lambda: len(outbox.of(facts.WebhookDelivered)) == 30)
    assert len(set(receiver.ids())) == 30
    assert outbox.of(facts.WebhookExpired) == []


async def test_dead_letters_and_what_is_owed_to_one_that_is_gone_are_kept_for_as_long_as_they_are_said_to_be(
    outbox: Outbox,
) -> None:
    """From the last attempt on, and from when it said that it is gone: what is old by then may still be acted upon."""
    with receiving(lambda number, request: Answer(500)) as broken, receiving(at_first(Answer(410))) as gone:
        await outbox.add("broken", broken.url, max_attempts=1)
        await outbox.add("gone", gone.url)
        await outbox.decide(b"a.jpg")
        await outbox.age(KEPT_MS + DAY_MS)
        async with outbox.running():
            await outbox.until(lambda: outbox.of(facts.WebhookFailed) and outbox.of(facts.WebhookDisabled))
    now_ms = CLOCK.now_ms()
    assert await outbox.forgotten(now_ms - KEPT_MS) == {}
    assert await outbox.forgotten(now_ms + 1) == {"broken": 1, "gone": 1}
    assert await outbox.nothing_owed()


async def test_what_a_receiver_takes_while_the_work_ends_is_not_sent_again(
    outbox: Outbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postman, "GRACE_SECONDS", 30.0)
    gate = threading.Event()

    def answer(_number: int, _request: Request) -> Answer:
        gate.wait(60)
        return Answer()

    async def open_at_the_end() -> None:
        await outbox.leaving.wait()
        gate.set()

    with receiving(answer) as receiver:
        await outbox.add("app", receiver.url)
        for number in range(AT_ONCE + 1):
            await outbox.decide(b"%d.jpg" % number)
        async with anyio.create_task_group() as group:
            group.start_soon(open_at_the_end)
            async with outbox.running():
                await outbox.until(lambda: len(receiver.requests) == AT_ONCE)
        assert len(outbox.of(facts.WebhookDelivered)) == len(receiver.requests) == AT_ONCE, "and no other is begun"
        assert await outbox.rows("SELECT attempts FROM deliveries") == [(0,)]


async def test_one_that_answers_nothing_holds_up_the_end_for_a_moment_only(
    outbox: Outbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postman, "GRACE_SECONDS", 0.05)
    with receiving(lambda number, request: Answer(hang=True)) as silent:
        await outbox.add("silent", silent.url, timeout_seconds=120.0)
        await outbox.decide(b"a.jpg")
        with anyio.fail_after(60):
            async with outbox.running():
                await outbox.until(lambda: silent.requests)
    assert await outbox.rows("SELECT attempts FROM deliveries") == [(0,)]
    assert outbox.of(facts.WebhookFailed) == []


async def test_an_event_waits_until_everything_of_its_job_is_visible(outbox: Outbox) -> None:
    """And an event and its deliveries are of the transaction that decides: one that is rolled back owes nothing."""
    with receiving() as receiver:
        await outbox.add("app", receiver.url)

        def fail(session: Session) -> None:
            session.connection.execute("UPDATE jobs SET state = 'discarded', reason = 'empty', finished_at_ms = 1")
            raise ValueError("the disk is full")

        job = await outbox.decide(b"a.jpg", "cancelled")
        with pytest.raises(ValueError, match="the disk is full"):
            await outbox.catalog.write(fail)
        assert await outbox.nothing_owed()

        def publish(session: Session) -> None:
            run = session.connection.execute
            run("PRAGMA defer_foreign_keys = on")
            run("INSERT INTO roots (id, kind, name, path) VALUES (2, 'output', 'x', CAST('/out' AS BLOB))")
            run(
                "INSERT INTO images VALUES (1, 'aa', 'bb', 1, 1, 2, 3, 'cc', 0.5, 'jpeg', 10, 10, 'RGB', 1, 0, 1, '', '', "
                "'', '', 9, 0)"
            )
            run(
                "INSERT INTO publications (job_id, image_id, output_id, recipe, rendition, page, staged_name, ino, sha256, "
                "size_bytes, width, height, format, final_name, final_key, state) VALUES (?, 1, 2, 'r', 't', 1, 's', 1, "
                "'dd', 1, 1, 1, 'jpeg', CAST('a.jpg' AS BLOB), 'a.jpg', 'owed')",
                (job,),
            )
            run(
                "UPDATE jobs SET state = 'completed', outcome = 'published', sha256 = 'aa', image_id = 1, "
                "finished_at_ms = 7 WHERE id = ?",
                (job,),
            )

        await outbox.catalog.write(publish)
        assert await outbox.catalog.read(lambda session: webhooks.unwritten(session, 10)) == []
        visible = "UPDATE publications SET state = 'visible', visible_at_ms = 8"
        await outbox.catalog.write(lambda session: session.connection.execute(visible).get)
        async with outbox.running():
            await outbox.until(outbox.nothing_owed)
    [request] = receiver.requests
    assert [output["path"] for output in request.data["outputs"]] == ["/out/a.jpg"]


async def test_many_events_are_sent_a_few_at_a_time_in_order_and_each_once(outbox: Outbox) -> None:
    gate, counting, under_way, most = threading.Event(), threading.Lock(), 0, 0

    def answer(_number: int, _request: Request) -> Answer:
        nonlocal under_way, most
        with counting:
            under_way += 1
            most = max(most, under_way)
        gate.wait(30)
        with counting:
            under_way -= 1
        return Answer()

    with receiving(answer) as receiver:
        await outbox.add("app", receiver.url)
        for number in range(120):
            await outbox.decide(b"%d.jpg" % number)
        async with outbox.running():
            await outbox.until(lambda: under_way == AT_ONCE)
            await anyio.sleep(0.1)
            gate.set()
            await outbox.until(outbox.nothing_owed)
        assert most == AT_ONCE
        assert len(receiver.requests) == len(set(receiver.ids())) == 120
        sources = [request.data["source"] for request in receiver.requests]
        numbers = [int(source.removeprefix("/in/").removesuffix(".jpg")) for source in sources]
        assert max(abs(place - number) for place, number in enumerate(numbers)) < 2 * AT_ONCE


async def test_where_nothing_is_due_nobody_asks_the_catalog(outbox: Outbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither while nothing is owed, nor while what is owed waits for its time, nor while one is disabled."""
    asked: list[str] = []
    for name in ("read", "write"):
        whole = getattr(outbox.catalog, name)

        async def counted(action: Any, name: str = name, whole: Any = whole, **more: Any) -> Any:
            asked.append(name)
            return await whole(action, **more)

        monkeypatch.setattr(outbox.catalog, name, counted)
    with (
        receiving() as well,
        receiving(lambda number, request: Answer(500)) as failing,
        receiving(lambda number, request: Answer(410)) as gone,
    ):
        for name, receiver in (("well", well), ("failing", failing), ("gone", gone)):
            await outbox.add(name, receiver.url, retry_base_seconds=3600.0, retry_cap_seconds=3600.0)
        await outbox.decide(b"a.jpg")
        async with outbox.running():
            await outbox.until(lambda: outbox.of(facts.WebhookFailed) and outbox.of(facts.WebhookDisabled))
            await outbox.until(lambda: outbox.of(facts.WebhookDelivered))

            async def quiet() -> bool:
                asked.clear()
                await anyio.sleep(1.2)
                return not asked

            await outbox.until(quiet)
            # And what comes about is heard of at once.
            await outbox.decide(b"b.jpg")
            await outbox.until(lambda: len(well.requests) == 2)


async def test_what_a_job_was_told_as_and_to_whom_is_kept_with_it(outbox: Outbox) -> None:
    with receiving(at_first(Answer(500))) as slow, receiving(lambda number, request: Answer(500)) as broken:
        await outbox.add("slow", slow.url)
        await outbox.add("broken", broken.url, max_attempts=2)
        job = await outbox.decide(b"a.jpg")
        async with outbox.running():
            await outbox.until(lambda: outbox.of(facts.WebhookDelivered) and len(outbox.of(facts.WebhookFailed)) == 3)
        told = await outbox.catalog.read(lambda session: views.life(session, job))
        assert told is not None
        [telling] = told.tellings
        assert (telling["webhook"], telling["type"], telling["attempts"]) == ("slow", "image.discarded", 2)
        [letter] = told.deliveries
        assert (letter["webhook"], letter["state"], letter["attempts"]) == ("broken", "dead", 2)
        texts = [entry["text"] for entry in story(told)]
        assert "webhook slow was told: image.discarded, at attempt 2" in texts
        assert any(
            "webhook broken could not be told" in text and "dropmill webhooks retry broken" in text for text in texts
        )
        # It goes with the job; one that was forgotten before it was told leaves nothing behind.
        await outbox.catalog.write(lambda session: webhooks.retry(session, "broken", CLOCK.now_ms()))
        broken.script = lambda number, request: Answer()
        await outbox.catalog.write(lambda session: session.connection.execute("DELETE FROM jobs").get)
        assert await outbox.rows("SELECT * FROM tellings") == []
        async with outbox.running():
            await outbox.until(outbox.nothing_owed)
        assert await outbox.rows("SELECT * FROM tellings") == []
    assert len(broken.requests) == 3


async def test_what_is_owed_to_one_that_was_taken_out_waits_for_it_for_a_month(
    outbox: Outbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that is named anew is another one: what was owed to the earlier name stays with that."""
    with receiving(lambda number, request: Answer(500)) as receiver:
        await outbox.add("app", receiver.url, retry_base_seconds=60.0, retry_cap_seconds=60.0)
        first = await outbox.decide(b"a.jpg")
        async with outbox.running():
            await outbox.until(lambda: outbox.of(facts.WebhookFailed))
        outbox._hooks.clear()
        receiver.script = lambda number, request: Answer()
        await outbox.add("renamed", receiver.url)
        await outbox.decide(b"b.jpg")
        async with outbox.running():
            await outbox.until(lambda: outbox.of(facts.WebhookDelivered))
        assert await outbox.rows("SELECT webhook, attempts FROM deliveries") == [("app", 1)]
        told = await outbox.catalog.read(lambda session: views.life(session, first))
        assert told is not None
        assert "it is not in the configuration any more" in story(told)[-1]["text"]
        # It comes back and is told.
        await outbox.add("app", receiver.url, timeout_seconds=5.0)
        await outbox.catalog.write(
            lambda session: session.connection.execute("UPDATE deliveries SET next_attempt_at_ms = 0").get
        )
        async with outbox.running():
            await outbox.until(outbox.nothing_owed)
        # Or it does not.
        receiver.script = lambda number, request: Answer(410)
        await outbox.decide(b"c.jpg")
        async with outbox.running():
            await outbox.until(lambda: len(outbox.of(facts.WebhookDisabled)) == 2)
        outbox._hooks.clear()
        await outbox.configure()
        assert await outbox.catalog.read(webhooks.any_left)
        await outbox.catalog.write(lambda session: webhooks.forget_all(session, "app"))
        assert await outbox.rows("SELECT DISTINCT webhook FROM deliveries") == [("renamed",)]
        await outbox.age(KEPT_MS + DAY_MS)
        # The rounds of nobody: what is kept for those who left is let go.
        monkeypatch.setattr(postman, "LOOK_SECONDS", 0.05)
        async with outbox.running():
            await outbox.until(lambda: outbox.of(facts.WebhookExpired))
        assert await outbox.nothing_owed()
        assert outbox.of(facts.WebhookExpired) == [facts.WebhookExpired("renamed", 1)]
        assert not await outbox.catalog.read(webhooks.any_left)


def test_a_catalog_of_the_schema_before_is_lifted_and_told_from_then_on(tmp_path: Path) -> None:
    path = old_catalog(tmp_path, 4, jobs=60)
    Catalog(str(path)).close()
    connection = connect(str(path))
    session = Session(connection)
    with connection:
        webhooks.configure(session, [webhooks.Wanted("app", "1", frozenset({("camera", "image.discarded")}))])
        connection.execute(
            "UPDATE jobs SET state = 'discarded', reason = 'empty', finished_at_ms = 5 WHERE state = 'available'"
        )
    told = connection.execute("SELECT type, at_ms FROM webhook_events").fetchall()
    assert told == [("image.discarded", 5)] * 10
    assert len(webhooks.unwritten(session, 100)) == 10
    connection.close()
